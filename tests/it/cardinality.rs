//! Limits of series, asked of the real binary: what is over them is counted, named once in the log, and said to who pushed it.

use std::path::Path;
use std::time::Duration;

use crate::support::{Daemon, get, post, temp_dir, wait_for};

const PATIENCE: Duration = Duration::from_secs(30);

fn configure(path: &Path, series_per_family: u32) {
    let text =
        format!("storage: {{limits: {{series_per_family: {series_per_family}}}}}\ncollectors: {{enabled: []}}\n");
    std::fs::write(path, text).expect("writable");
}

/// One of the daemon's own metrics. The page is made once a second.
fn becomes(daemon: &Daemon, series: &str, expected: f64) {
    wait_for(&format!("{series} {expected}"), PATIENCE, || {
        let page = get(&format!("{}/metrics", daemon.url)).text();
        let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        (line.and_then(|value| value.parse().ok()) == Some(expected)).then_some(())
    });
}

/// Pushes one event a run; gives the status and the answer.
fn push(daemon: &Daemon, runs: std::ops::Range<u32>) -> (u16, serde_json::Value) {
    let event =
        |run| format!("{{\"name\":\"loss\",\"type\":\"gauge\",\"value\":{run},\"labels\":{{\"run\":\"{run}\"}}}}\n");
    let reply =
        post(&format!("{}/api/watchfire/v1/events", daemon.url), runs.map(event).collect::<String>().as_bytes());
    (reply.status, reply.json())
}

fn lines_with(daemon: &Daemon, what: &str) -> usize {
    daemon.process.log().lines().filter(|line| line.contains(what)).count()
}

#[test]
fn a_family_over_its_limit_is_refused_counted_and_named_once() {
    let dir = temp_dir();
    let file = dir.path().join("watchfire.yml");
    configure(&file, 100);
    let daemon = Daemon::start(&[format!("--config.file={}", file.display())]);
    let (status, answer) = push(&daemon, 0..150);
    let data = &answer["data"];
    assert_eq!((status, data["accepted"].as_u64(), data["rejected"].as_u64()), (400, Some(100), Some(50)), "{answer}");
    assert_eq!(data["overLimit"], 50);
    let error = answer["error"].as_str().unwrap_or_default();
    assert!(
        error.contains("line 101") && error.contains("100 series") && error.contains("series_per_family"),
        "{error}"
    );
    assert!(error.contains("(50 lines were refused by a limit of series)"), "{error}");
    // What is known goes on.
    assert_eq!(push(&daemon, 0..100).0, 200);
    for _ in 0..3 {
        assert_eq!(push(&daemon, 100..150).0, 400);
    }
    becomes(&daemon, "watchfire_events_over_limit_total", 200.0);
    becomes(&daemon, "watchfire_registry_series_refused_total{limit=\"family\"}", 200.0);
    becomes(&daemon, "watchfire_registry_series_refused_total{limit=\"total\"}", 0.0);
    becomes(&daemon, "watchfire_registry_full_families", 1.0);
    wait_for("the pushed series in the history", PATIENCE, || {
        (daemon.value("count(loss)") == Some(100.0)).then_some(())
    });
    let full = "a metric has as many series as one may have";
    assert_eq!(lines_with(&daemon, full), 1, "{}", daemon.process.log());
    assert!(daemon.process.log().lines().any(|line| line.contains(full) && line.contains("loss")));
    let series = get(&format!("{}/api/watchfire/v1/series", daemon.url)).json();
    let limits = &series["data"];
    assert_eq!((limits["limitPerFamily"].as_u64(), limits["limit"].as_u64()), (Some(100), Some(1_000_000)), "{limits}");
    assert_eq!(limits["fullFamilies"], serde_json::json!([{"name": "loss", "value": 100}]));
    // A reload changes the limits; nothing is lost by it.
    configure(&file, 200);
    daemon.process.signal("HUP");
    becomes(&daemon, "watchfire_registry_series_limit{limit=\"family\"}", 200.0);
    becomes(&daemon, "watchfire_registry_full_families", 0.0);
    let (status, answer) = push(&daemon, 0..150);
    assert_eq!((status, answer["data"]["accepted"].as_u64()), (200, Some(150)), "{answer}");
    assert_eq!(lines_with(&daemon, "a metric has room for new series again"), 1);
    wait_for("the other series", PATIENCE, || (daemon.value("count(loss)") == Some(150.0)).then_some(()));
}
