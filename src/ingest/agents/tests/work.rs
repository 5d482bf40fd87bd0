//! Runs, and what is known of idle workers.

use std::sync::Arc;

use super::super::AgentsConfig;
use super::{T0, World, at};

#[test]
fn runs_begin_end_and_come_back() {
    let world = World::new(AgentsConfig::default());
    let state = |second: f64, body: &str| {
        world.beat("w", body, second);
        let runs = world.agents.runs();
        let first = runs.first().map(|run| (run.run_id.clone(), run.status.as_str(), run.ended_at.map(|at| at - T0)));
        (runs.len(), first.unwrap_or_default())
    };
    let one = |n, id: &str, status, ended: Option<i64>| (n, (id.to_owned(), status, ended));
    assert_eq!(state(0.0, r#"{"status":"idle","run_id":"old"}"#), one(0, "", "", None), "nothing is made up");
    assert_eq!(state(1.0, r#"{"status":"running","run_id":"a"}"#), one(1, "a", "running", None));
    assert_eq!(state(2.0, r#"{"status":"paused","run_id":"a"}"#), one(1, "a", "paused", None));
    assert_eq!(state(3.0, r#"{"status":"idle","run_id":"a"}"#), one(1, "a", "ended", Some(3000)));
    assert_eq!(state(4.0, r#"{"status":"running","run_id":"a"}"#), one(1, "a", "running", None));
    assert_eq!(state(5.0, r#"{"status":"running","run_id":"b"}"#), one(2, "b", "running", None));
    assert_eq!(world.agents.runs()[1].ended_at, Some(at(5.0)));
    assert_eq!(state(6.0, r#"{"status":"idle"}"#), one(2, "b", "ended", Some(6000)));
    assert_eq!(world.agents.views()[0].run_started_at, None);
}

#[test]
fn runs_survive_a_restart_and_are_bounded() {
    let config = AgentsConfig { max_runs: 3, ..AgentsConfig::default() };
    let world = World::new(config.clone());
    for run in 0..6 {
        world.beat(
            "w",
            &format!(r#"{{"status":"running","run_id":"r{run}","project":"p","tokens":{{"current_run":9}}}}"#),
            f64::from(run),
        );
        world.tick(f64::from(run));
    }
    let names = |world: &World| {
        world.agents.runs().iter().map(|run| format!("{}:{}", run.run_id, run.status.as_str())).collect::<Vec<_>>()
    };
    assert_eq!(names(&world), ["r5:running", "r4:ended", "r3:ended"]);
    assert_eq!(world.runs.0.lock().len(), 3);
    let again = World::on(config.clone(), Arc::clone(&world.runs));
    assert_eq!(names(&again), names(&world));
    // The worker goes on with its run; what it used before the restart is not counted twice.
    again.beat("w", r#"{"status":"running","run_id":"r5","project":"p","tokens":{"current_run":12}}"#, 7.0);
    assert_eq!(again.agents.runs().len(), 3);
    assert_eq!(again.agents.runs()[0].started_at, at(5.0));
    assert_eq!(again.value(8.0, "tokens_total"), Some(3.0));
    // Another one is never heard of again.
    let third = World::on(config.clone(), Arc::clone(&world.runs));
    third.tick(700.0);
    assert_eq!(names(&third)[0], "r5:lost");
    // Damaged records cost themselves.
    world.runs.0.lock().insert(vec![1], b"short key".to_vec());
    world.runs.0.lock().insert(99u64.to_be_bytes().to_vec(), br#"{"v":9}"#.to_vec());
    let fourth = World::on(config, Arc::clone(&world.runs));
    assert_eq!(fourth.agents.runs().len(), 3);
    assert_eq!(fourth.agents.counters().run_errors.load(std::sync::atomic::Ordering::Relaxed), 2);
}

#[test]
fn idle_past_the_ttl_is_reapable_and_a_busy_one_never_is() {
    let world = World::new(AgentsConfig::default());
    world.machine.set(7, 1, 'S', 0.0);
    let reapable = |second| world.agents.views()[0].reapable(at(second));
    for (beat, second, expected) in [
        (Some(r#"{"status":"idle","ttl_seconds":10}"#), 0.0, Some(false)),
        (None, 9.9, Some(false)),
        (None, 10.0, Some(true)),
        // Still idle: the clock goes on.
        (Some(r#"{"status":"idle","ttl_seconds":10}"#), 11.0, Some(true)),
        (Some(r#"{"status":"running","ttl_seconds":10}"#), 12.0, Some(false)),
        (None, 500.0, Some(false)),
        (Some(r#"{"status":"paused","ttl_seconds":10}"#), 501.0, Some(false)),
        (None, 10_000.0, Some(false)),
        (Some(r#"{"status":"idle","ttl_seconds":10}"#), 10_001.0, Some(false)),
        (None, 10_012.0, Some(true)),
        // Nobody said when it may be ended.
        (Some(r#"{"status":"idle"}"#), 10_013.0, Some(false)),
        (Some(r#"{"status":"idle","ttl_seconds":10,"pid":7}"#), 10_014.0, Some(true)),
        // Its process cannot be seen: nothing is known.
        (Some(r#"{"status":"idle","ttl_seconds":10,"pid":8}"#), 10_015.0, None),
    ] {
        if let Some(body) = beat {
            world.beat("w", body, second);
        }
        assert_eq!(reapable(second), expected, "{beat:?} at {second}");
    }
}
