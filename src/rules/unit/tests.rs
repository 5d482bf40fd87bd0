use std::path::Path;

use super::*;
use crate::rules::read_tests::shared;

#[test]
fn promtools_test_files() {
    let Some(folder) = shared("rules/unit") else { return };
    let cases: &[(&str, &[&str])] = &[
        ("unittest.yml", &[]),
        ("at-modifier-test.yml", &[]),
        ("negative-offset-test.yml", &[]),
        ("rules_run.yml", &["wrong test"]),
        ("rules_run_fuzzy.yml", &["wrong fuzzy match"]),
        ("failing.yml", &["Failing test", "Failing alert test"]),
        ("bad-promql.yml", &["test 1"]),
    ];
    for (name, expected) in cases {
        let report = run_file(&folder.join(name), |_| true);
        let tests = report.outcome.as_ref().unwrap_or_else(|errors| panic!("{name}: {errors}"));
        let failed: Vec<&str> = tests.iter().filter(|t| !t.failures.is_empty()).map(|t| t.name.as_str()).collect();
        assert!(failed.starts_with(expected) && report.failed() != expected.is_empty(), "{report}");
        assert!(expected.len() == failed.len() || *name == "failing.yml", "{report}");
    }
    for (name, message) in [
        ("bad-input-series.yml", "bad-input-series.yml:3:9: tests[0].input_series[0]: cannot read the series: "),
        ("bad-rules-syntax-test.yml", "bad-rules-syntax.yml:7:21: groups[0].rules[0].expr: "),
    ] {
        let report = run_file(&folder.join(name), |_| true).to_string();
        assert!(report.contains(message), "{report}");
    }
}

#[test]
fn shipped_rules_pass_their_tests() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rules");
    let mut files = 0;
    let mut failed = String::new();
    for path in std::fs::read_dir(folder).expect("the folder").flatten().map(|entry| entry.path()) {
        let report = run_file(&path, |_| true);
        if report.failed() {
            failed += &format!("{report}\n");
        }
        files += 1;
    }
    assert!(failed.is_empty(), "{failed}");
    assert_eq!(files, crate::rules::SHIPPED.len(), "each shipped file has a test file");
}

#[test]
fn each_shipped_alert_fires_in_a_test() {
    for file in crate::rules::SHIPPED {
        let tests = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rules").join(file.name));
        let tests = tests.expect("a test file");
        let rules = crate::rules::RuleFile::parse(file.name, file.text).expect("good");
        for rule in rules.groups.iter().flat_map(|group| &group.rules).filter(|rule| rule.alert().is_some()) {
            assert!(tests.contains(&rule.name), "{} has no test in tests/rules/{}", rule.name, file.name);
        }
    }
}

/// Prometheus itself agrees: files are valid, and their tests pass there too.
#[test]
fn promtool_agrees() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = |folder: &str| {
        let entries = std::fs::read_dir(root.join(folder)).expect("the folder").flatten();
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    for (args, files) in [(["check", "rules"], files("rules")), (["test", "rules"], files("tests/rules"))] {
        match std::process::Command::new("promtool").args(args).args(files).output() {
            Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
            Err(error) => println!("SKIPPED: promtool cannot be run: {error}"),
        }
    }
}
