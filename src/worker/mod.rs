//! A worker's own voice: tells a watchfire what this program does, without ever slowing or stopping it.
//!
//! Calls only change a small state in memory. A thread of its own sends the newest state as a heartbeat (`docs/agents.md`): at once when the
//! status or the run changed, else once an interval. What happens between two heartbeats is told by the later one; a watchfire that
//! does not answer is asked again ever more rarely, and nothing queues up meanwhile.
//!
//! ```
//! use watchfire::worker::Worker;
//!
//! // Nobody needs to listen there.
//! let worker = Worker::builder("http://127.0.0.1:1", "coder-1").project("alpha").label("team", "blue").start()?;
//! worker.start_run("r17");
//! worker.add_tokens(1200);
//! worker.idle();
//! # Ok::<(), watchfire::worker::WorkerError>(())
//! ```

mod builder;
mod sender;
mod state;

#[cfg(test)]
mod tests;

pub use builder::{WorkerBuilder, WorkerError};
pub use state::{Worker, WorkerStats};
