use std::path::PathBuf;

use super::{RuleFile, check_files, duplicate_rules};

/// The folder with Prometheus' test data, if it is there.
pub(super) fn shared(folder: &str) -> Option<PathBuf> {
    let root = std::env::var_os("WATCHFIRE_SHARED").map_or_else(|| PathBuf::from("../shared"), PathBuf::from);
    let folder = root.join(folder);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("SKIPPED: {} is not there (set WATCHFIRE_SHARED)", folder.display());
    None
}

fn errors(text: &str) -> Vec<String> {
    match RuleFile::parse("r.yml", text) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn says_what_prometheus_says() {
    // Each rule stands alone in a group; the message without its place.
    let cases: &[(&str, &str, &str)] = &[
        ("{expr: 1}", "6:5", r#"group "g", rule 1, "": one of 'record' or 'alert' must be set"#),
        (
            "{record: a, alert: b, expr: 1}",
            "6:24",
            r#"group "g", rule 1, "b": only one of 'record' and 'alert' must be set"#,
        ),
        ("{record: a}", "6:5", r#"group "g", rule 1, "a": field 'expr' must be set in rule"#),
        ("{record: a, expr: ''}", "6:23", r#"group "g", rule 1, "a": field 'expr' must be set in rule"#),
        (
            "{record: a, expr: rate(hi)}",
            "6:28",
            r#"group "g", rule 1, "a": could not parse expression: 1:6: parse error: expected type range vector in call to function "rate", got instant vector"#,
        ),
        ("{record: a, expr: 1, for: 1m}", "6:31", r#"group "g", rule 1, "a": invalid field 'for' in recording rule"#),
        (
            "{record: a, expr: 1, keep_firing_for: 1m}",
            "6:43",
            r#"group "g", rule 1, "a": invalid field 'keep_firing_for' in recording rule"#,
        ),
        (
            "{record: a, expr: 1, annotations: {x: y}}",
            "6:39",
            r#"group "g", rule 1, "a": invalid field 'annotations' in recording rule"#,
        ),
        (
            "{record: 'a{b=\"c\"}', expr: 1}",
            "6:14",
            r#"group "g", rule 1, "a{b=\"c\"}": braces present in the recording rule name; should it be in expr?: a{b="c"}"#,
        ),
        (
            "{record: a, expr: 1, labels: {__name__: x}}",
            "6:45",
            r#"group "g", rule 1, "a": invalid label name: __name__"#,
        ),
        (
            "{alert: a, expr: 1, for: 5}",
            "6:30",
            r#""5" has no unit; expected a duration such as 500ms, 30s, 5m or 1h30m"#,
        ),
        ("{alert: a, exp: 1}", "6:5", r#"group "g", rule 1, "a": field 'expr' must be set in rule"#),
        (
            "{alert: a, expr: 1, anotations: {}}",
            "6:25",
            r#"unknown key; expected one of alert, annotations, expr, for, keep_firing_for, labels, record; did you mean "annotations"?"#,
        ),
    ];
    for (rule, place, message) in cases {
        let text = format!("\ngroups:\n- name: g\n  rules:\n  # the rule\n  - {rule}\n");
        let errors = errors(&text);
        let expected =
            errors.iter().any(|error| error.starts_with(&format!("r.yml:{place}: ")) && error.ends_with(message));
        assert!(expected, "{rule}: {errors:#?}");
    }
}

#[test]
fn groups_are_checked_and_everything_is_said_at_once() {
    let text = "groups:\n- rules: []\n- {name: g, intervall: 5s}\n- {name: g, limit: many, rules: [{record: x, expr: 'a +'}]}\n";
    let expected = [
        "r.yml:2:3: groups[0]: Groupname must not be empty",
        "r.yml:3:13: groups[1].intervall: unknown key; expected one of interval, labels, limit, name, query_offset, rules; did you mean \"interval\"?",
        "r.yml:4:3: groups[2]: groupname: \"g\" is repeated in the same file",
        "r.yml:4:20: groups[2].limit: found \"many\"; expected a whole number from -2147483648 to 2147483647",
        "r.yml:4:56: groups[2].rules[0].expr: group \"g\", rule 1, \"x\": could not parse expression: 1:4: parse error: unexpected end of input",
    ];
    assert_eq!(errors(text), expected);
    let nothing = "groups:\n- {name: g, rules: [{record: x, expr: a}]}\n";
    assert_eq!(errors(nothing), [""; 0]);
    assert_eq!(errors(""), [""; 0]);
}

#[test]
fn expression_errors_stand_inside_blocks() {
    let text = "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: |\n      sum(rate(x[5m]))\n        / foo(y)\n    for: 1m\n";
    let errors = errors(text);
    assert!(errors.len() == 1 && errors[0].starts_with("r.yml:7:11: groups[0].rules[0].expr: "), "{errors:?}");
}

#[test]
fn group_labels_are_merged_and_rules_keep_their_order() {
    let text = "groups:\n- name: g\n  labels: {a: group, b: group}\n  interval: 5s\n  query_offset: 1s\n  limit: 3\n  rules:\n  - {record: r, expr: up, labels: {a: rule}}\n  - {alert: A, expr: up==0, for: 1m, keep_firing_for: 2m, annotations: {s: t}}\n";
    let file = RuleFile::parse("r.yml", text).expect("good");
    let group = &file.groups[0];
    assert_eq!((group.interval.map(|i| i.as_secs()), group.limit), (Some(5), 3));
    assert_eq!(group.rules[0].labels.to_string(), r#"{a="rule", b="group"}"#);
    assert_eq!((group.rules[1].name.as_str(), group.rules[1].query.as_str()), ("A", "up == 0"));
    assert_eq!(group.rules[1].mark.line, 9);
}

#[test]
fn shared_rule_files() {
    let Some(folder) = shared("rules") else { return };
    // A name with a dash is fine under UTF-8 names, the default of Prometheus 3.
    let good = ["legacy_validation_annotation.bad.yaml"];
    let entries = std::fs::read_dir(folder.join("rulefmt")).expect("readable").flatten();
    for path in entries.map(|entry| entry.path()) {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let is_good = good.contains(&name.as_str()) || !name.contains(".bad.");
        assert_eq!(!check_files(&[&path]).failed(), is_good, "{name}: {}", check_files(&[&path]));
    }
    for (name, rules) in [("rules.yml", 5), ("features.yml", 4), ("at-modifier.yml", 1), ("negative-offset.yml", 1)] {
        let file = RuleFile::load(&folder.join("unit").join(name)).expect(name);
        assert_eq!(file.rule_count(), rules, "{name}");
    }
    let duplicates = duplicate_rules(&RuleFile::load(&folder.join("unit/prometheus-rules.lint.yml")).expect("good"));
    assert_eq!(duplicates.len(), 1);
    assert!(duplicates[0].to_string().contains("lines 4, 11"), "{}", duplicates[0]);
}

/// Whatever a half-written or garbled file looks like, it gives errors and no panic.
#[test]
fn garbled_files_never_panic() {
    let text = "groups:\n- name: é\n  interval: 5s\n  rules: &r\n  - alert: A\n    expr: |\n      sum(rate(x{a=\"é\"}[5m]))\n        > 1 and\n    for: 1m\n    labels: {a: \"x\\ty \\u00e9\", <<: {b: 'it''s'}}\n    annotations: {s: \"{{ $labels.é | humanize }}\"}\n- {name: h, rules: *r}\n";
    let starts: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    for at in &starts {
        RuleFile::parse("r.yml", &text[..*at]).ok();
        for garbage in ["'", "\"", "\t", ": ", "\n", "[", "é\\", "*r", "\u{85}"] {
            RuleFile::parse("r.yml", &format!("{}{garbage}{}", &text[..*at], &text[*at..])).ok();
        }
    }
    assert!(RuleFile::parse("r.yml", text).is_err_and(|errors| errors.to_string().contains("r.yml:8:")));
}
