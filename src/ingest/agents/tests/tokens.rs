//! Tokens add up, whatever workers say.

use super::super::{AgentsConfig, RunStatus};
use super::World;

#[test]
fn tokens_never_fall_within_a_run_and_each_run_begins_anew() {
    let world = World::new(AgentsConfig::default());
    // Run, stated tokens; the run's tokens, the worker's total.
    for (second, (run, stated, of_run, total)) in [
        ("a", Some(10), Some(10.0), Some(10.0)),
        ("a", Some(15), Some(15.0), Some(15.0)),
        ("a", Some(3), Some(15.0), Some(15.0)),
        ("a", None, Some(15.0), Some(15.0)),
        ("a", Some(20), Some(20.0), Some(20.0)),
        ("b", None, None, Some(20.0)),
        ("b", Some(30), Some(30.0), Some(50.0)),
        ("c", Some(2), Some(2.0), Some(52.0)),
        // Back to the first: only what is new counts.
        ("a", Some(25), Some(25.0), Some(57.0)),
    ]
    .into_iter()
    .enumerate()
    {
        let tokens = stated.map(|n| format!(r#","tokens":{{"current_run":{n}}}"#)).unwrap_or_default();
        let second = second as f64;
        world.beat("w", &format!(r#"{{"status":"running","run_id":"{run}"{tokens}}}"#), second);
        assert_eq!(
            (world.value(second, "run_tokens"), world.value(second, "tokens_total")),
            (of_run, total),
            "{second}"
        );
    }
    let runs: Vec<_> = world.agents.runs().iter().map(|run| (run.run_id.clone(), run.status, run.tokens)).collect();
    let run = |id: &str, status, tokens| (id.to_owned(), status, Some(tokens));
    use RunStatus::{Ended, Running};
    assert_eq!(runs, [run("c", Ended, 2), run("b", Ended, 30), run("a", Running, 25)]);
}

#[test]
fn tokens_without_runs_begin_anew_with_the_process_and_the_work() {
    let world = World::new(AgentsConfig::default());
    // Status, pid, stated tokens; tokens as they are shown, the worker's total.
    for (second, (status, pid, stated, shown, total)) in [
        ("running", 7, Some(100), Some(100.0), 100.0),
        ("running", 7, Some(30), Some(100.0), 100.0),
        ("running", 8, Some(30), Some(30.0), 130.0),
        ("idle", 8, Some(40), Some(40.0), 140.0),
        ("idle", 8, Some(5), Some(40.0), 140.0),
        ("running", 8, Some(6), Some(6.0), 146.0),
        ("paused", 8, Some(2), Some(6.0), 146.0),
        ("running", 8, Some(2), Some(6.0), 146.0),
        ("idle", 8, Some(6), Some(6.0), 146.0),
        ("running", 8, None, None, 146.0),
        ("running", 8, Some(3), Some(3.0), 149.0),
        // One that goes on counting is not counted twice.
        ("idle", 8, Some(3), Some(3.0), 149.0),
        ("running", 8, Some(4), Some(4.0), 150.0),
    ]
    .into_iter()
    .enumerate()
    {
        let tokens = stated.map(|n| format!(r#","tokens":{{"current_run":{n}}}"#)).unwrap_or_default();
        let second = second as f64;
        let view = world.beat("w", &format!(r#"{{"status":"{status}","pid":{pid}{tokens}}}"#), second);
        let seen = view.beat.tokens.current_run.map(|tokens| tokens as f64);
        assert_eq!((seen, world.value(second, "tokens_total")), (shown, Some(total)), "{second}");
    }
}
