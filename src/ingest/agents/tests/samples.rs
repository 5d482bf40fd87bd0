//! What heartbeats become in ticks and between them.

use super::super::{AgentsConfig, RunStatus};
use super::{T0, World, at};

#[test]
fn a_heartbeat_becomes_series_and_silence_ends_what_was_said() {
    let world = World::new(AgentsConfig::default());
    world.machine.set(7, 100, 'S', 1.0);
    let body = r#"{"pid":7,"project":"p","run_id":"r","status":"running","tokens":{"current_run":5,"total_session":50,"limit":200},
        "queue":3,"in_flight":2,"labels":{"team":"x"}}"#;
    world.beat("w", body, 0.0);
    world.machine.set(7, 100, 'S', 1.5);
    let expected = [
        "cpu_ratio{} 0.5",
        "heartbeats_total{} 1",
        "idle_seconds{} 0",
        "in_flight{} 2",
        "info{pid=7,run_id=r,team=x} 1",
        "last_heartbeat_timestamp_seconds{} 1700000000",
        "queue_length{} 3",
        "reapable{} 0",
        "resident_memory_bytes{} 4096",
        "run_start_timestamp_seconds{} 1700000000",
        "run_tokens{} 5",
        "session_tokens{} 50",
        "status{status=idle} 0",
        "status{status=paused} 0",
        "status{status=running} 1",
        "tokens_limit{} 200",
        "tokens_total{} 5",
        "tokens_usage_ratio{} 0.25",
        "zombie{} 0",
    ];
    assert_eq!(world.tick(1.0), expected);
    let silent = world.tick(31.0);
    for gone in ["status", "queue_length", "in_flight", "run_tokens", "tokens_limit", "idle_seconds"] {
        assert!(!silent.iter().any(|line| line.starts_with(gone)), "{gone}: {silent:?}");
    }
    for stays in ["tokens_total{} 5", "last_heartbeat", "cpu_ratio", "info{"] {
        assert!(silent.iter().any(|line| line.starts_with(stays)), "{stays}: {silent:?}");
    }
    assert_eq!(world.agents.views()[0].status(at(31.0)), None);
    // Forgotten after ten minutes, with everything that was held.
    (4..60).for_each(|tens| assert!(!world.tick(f64::from(tens) * 10.0).is_empty()));
    assert!(!world.tick(600.0).is_empty());
    assert_eq!(world.tick(601.0), Vec::<String>::new());
    assert_eq!((world.agents.views().len(), world.table.counts().held), (0, 0));
    assert_eq!(world.agents.runs()[0].status, RunStatus::Lost);
    assert_eq!(world.agents.runs()[0].ended_at, Some(T0), "when it was last heard of");
}

#[test]
fn labels_follow_what_the_worker_says() {
    let world = World::new(AgentsConfig::default());
    world.beat("w", r#"{"status":"idle","project":"p","labels":{"team":"x"}}"#, 0.0);
    let held = |second| {
        world.tick(second);
        world.table.counts().held
    };
    let before = held(1.0);
    world.beat("w", r#"{"status":"idle","project":"p","labels":{"team":"y"},"run_id":"r"}"#, 1.0);
    assert_eq!(held(2.0), before, "one info for another");
    world.beat("w", r#"{"status":"idle","project":"q"}"#, 2.0);
    assert_eq!(held(3.0), before, "everything moves to the new project");
    assert!(world.tick(4.0).contains(&"info{} 1".to_owned()));
    assert!(world.agents.end("w", at(5.0)) && !world.agents.end("w", at(5.0)));
    assert_eq!(held(6.0), 0);
}

#[test]
fn what_is_said_between_ticks_is_there_at_once() {
    let world = World::new(AgentsConfig::default());
    let said = |n: u32| format!(r#"{{"status":"running","project":"p","run_id":"r","tokens":{{"current_run":{n}}}}}"#);
    let fresh = |second: f64| {
        let mut floats = Vec::new();
        world.agents.fresh(at(second), &mut floats);
        world.lines(&floats)
    };
    world.beat("w", &said(5), 0.0);
    assert_eq!(fresh(0.1), Vec::<String>::new(), "no tick has had its series yet");
    world.tick(1.0);
    assert_eq!(fresh(1.1), Vec::<String>::new(), "the tick has told");
    world.beat("w", &said(7), 1.2);
    let lines = fresh(1.2);
    for line in ["tokens_total{} 7", "run_tokens{} 7", "heartbeats_total{} 2", "status{status=running} 1"] {
        assert!(lines.contains(&line.to_owned()), "{line}: {lines:?}");
    }
    assert_eq!(fresh(1.3), Vec::<String>::new(), "told once");
    // Series of another project come with its first tick; those of the old one get nothing more.
    world.beat("w", r#"{"status":"running","project":"q","tokens":{"current_run":9}}"#, 1.4);
    assert_eq!(fresh(1.4), Vec::<String>::new());
    world.beat("w", &said(8), 1.5);
    world.agents.end("w", at(1.6));
    assert_eq!(fresh(1.7), Vec::<String>::new(), "who has signed off says nothing");
}
