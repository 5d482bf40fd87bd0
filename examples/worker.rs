//! An agent that tells a watchfire what it does: `cargo run --example worker -- http://127.0.0.1:9480`.
//!
//! The heartbeats come from a thread of their own; the agent only says what changed.
#![allow(clippy::print_stdout, reason = "a program for people")]

use std::time::Duration;

use watchfire::worker::{Worker, WorkerError, WorkerStats};

fn main() -> Result<(), WorkerError> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "http://127.0.0.1:9480".to_owned());
    let stats = work(&url, "example-rust", |_| {})?;
    println!("{} heartbeats were taken, {} were not", stats.sent, stats.failed + stats.refused);
    Ok(())
}

/// Two runs of three steps each; `after_step` is told how many steps are done.
pub(crate) fn work(url: &str, id: &str, mut after_step: impl FnMut(usize)) -> Result<WorkerStats, WorkerError> {
    let worker = Worker::builder(url, id)
        .project("example")
        .label("language", "rust")
        .token_limit(10_000)
        .ttl(Duration::from_secs(60))
        .interval(Duration::from_millis(200))
        .start()?;
    let tasks = ["read", "think", "write"];
    for run in 1..=2 {
        worker.start_run(&format!("run-{run}"));
        for (step, task) in tasks.iter().enumerate() {
            worker.set_queue((tasks.len() - step - 1) as u64);
            worker.set_in_flight(1);
            worker.add_tokens(ask_a_model(task));
            worker.set_in_flight(0);
            after_step(step + 1);
        }
        worker.idle();
    }
    let stats = worker.stats();
    // Its last words are sent when it is dropped.
    drop(worker);
    Ok(stats)
}

/// Stands for the real work; answers how many tokens it took.
fn ask_a_model(task: &str) -> u64 {
    100 * task.len() as u64
}
