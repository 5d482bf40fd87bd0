//! The clients for agents, in Rust and in Python, against real daemons: the examples are run as they are.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::support::{Daemon, find_program, get, skip, wait_for};

#[path = "../../examples/worker.rs"]
#[allow(dead_code, reason = "its main is for people")]
mod example;

fn runs(daemon: &Daemon, worker: &str) -> Vec<Value> {
    let json = get(&format!("{}/api/watchfire/v1/runs?worker={worker}", daemon.url)).json();
    json["data"]["runs"].as_array().cloned().unwrap_or_default()
}

fn worker(daemon: &Daemon, id: &str) -> Value {
    let json = get(&format!("{}/api/watchfire/v1/workers", daemon.url)).json();
    let list = json["data"]["workers"].as_array().cloned().unwrap_or_default();
    list.into_iter().find(|worker| worker["id"] == id).unwrap_or_default()
}

#[test]
fn the_rust_example_tells_what_it_does() {
    let daemon = Daemon::start::<&str>(&[]);
    let mut tokens = 0;
    let stats = example::work(&daemon.url, "example-rust", |step| {
        tokens += [400, 500, 500][step - 1];
        // The example goes on when this step is known here: nothing is told too late to be seen.
        wait_for("the step", Duration::from_secs(20), || {
            let seen = worker(&daemon, "example-rust");
            let told = (&seen["tokens"]["total_session"], seen["queue"].as_u64(), seen["in_flight"].as_u64());
            (told == (&Value::from(tokens), Some(3 - step as u64), Some(0)) && seen["status"] == "running")
                .then_some(())
        });
    })
    .expect("a good URL");
    assert!(stats.sent >= 6 && stats.failed == 0 && stats.refused == 0, "{stats:?}");
    let last = worker(&daemon, "example-rust");
    assert_eq!(
        (&last["status"], &last["labels"]["language"]),
        (&Value::from("idle"), &Value::from("rust")),
        "its last words"
    );
    let runs: Vec<_> = runs(&daemon, "example-rust")
        .iter()
        .map(|run| (run["run_id"].clone(), run["tokens"].clone(), run["status"].clone()))
        .collect();
    let run = |id: &str| (Value::from(id), Value::from(1400), Value::from("ended"));
    assert_eq!(runs, [run("run-2"), run("run-1")]);
}

#[test]
fn the_python_client_passes_its_tests() {
    let Some(python) = find_program(&["python3"]) else { return skip("the_python_client_passes_its_tests", "python3") };
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("clients/python");
    let out = Command::new(python)
        .current_dir(folder)
        .args(["-B", "-W", "error", "-m", "unittest", "-v", "test_watchfire_worker"])
        .env("WATCHFIRE_BINARY", env!("CARGO_BIN_EXE_watchfire"))
        .output()
        .expect("python3 runs");
    assert!(out.status.success(), "{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    let said = String::from_utf8_lossy(&out.stderr);
    let ran = said.lines().filter(|line| line.ends_with("... ok")).count();
    assert!(ran >= 10 && said.contains(&format!("Ran {ran} tests")), "{said}");
}

#[test]
fn the_python_example_tells_what_it_does() {
    let Some(python) = find_program(&["python3"]) else {
        return skip("the_python_example_tells_what_it_does", "python3");
    };
    let daemon = Daemon::start::<&str>(&[]);
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/worker.py");
    let out = Command::new(python).arg("-B").arg(script).arg(&daemon.url).output().expect("python3 runs");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let last = worker(&daemon, "example-python");
    assert_eq!((&last["status"], &last["tokens"]["total_session"]), (&Value::from("idle"), &Value::from(2800)));
    // Its second run is told at the latest by its last words, which end it.
    assert_eq!(last["run_id"], "run-2");
}
