//! The PromQL test language through the binary: our own scripts, and the shared ones that must pass whole.

use std::path::PathBuf;

use crate::support::{Daemon, shared, skip};

/// Runs scripts and gives exit code and output.
fn run(files: &[PathBuf]) -> (Option<i32>, String) {
    let out =
        Daemon::command().args(["test", "promql", "--skip-native-histograms"]).args(files).output().expect("runs");
    (out.status.code(), String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned())
}

fn own(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/promql").join(name)
}

#[test]
fn our_scripts_pass() {
    let dir = own("");
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir)
        .expect("tests/promql is there")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "test"))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    let (code, said) = run(&files);
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn a_wrong_script_fails_and_says_where() {
    let dir = crate::support::temp_dir();
    let file = crate::support::write(dir.path(), "wrong.test", "load 1m\n  m 1 2 3\n\neval instant at 1m m\n  m 3\n");
    let (code, said) = run(&[file]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("wrong.test: 0/1") && said.contains('3') && said.contains('2'), "{said}");
}

#[test]
fn the_shared_scripts_pass_whole() {
    let Some(shared) = shared() else { return skip("the_shared_scripts_pass_whole", "the shared folder") };
    let whole = [
        "literals",
        "selectors",
        "operators",
        "staleness",
        "range_queries",
        "collision",
        "subquery",
        "at_modifier",
        "trig_functions",
    ];
    let files: Vec<PathBuf> = whole.iter().map(|name| shared.join(format!("promqltest/{name}.test"))).collect();
    let (code, said) = run(&files);
    assert_eq!(code, Some(0), "{said}");
}
