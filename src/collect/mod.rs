//! Collectors and their scheduler: what is read from this machine and from the targets that it knows.
//!
//! A [`Collector`] reads one source and writes numbers; the [`Scheduler`] calls it on its slots and hands the batch to
//! a [`BatchSink`]. Every own family stands once in [`catalogue`].

pub mod catalogue;
mod collector;
mod emit;
pub mod gpu;
pub mod llm;
pub(crate) mod proc_pid;
mod scheduler;
pub mod scrape;
pub mod system;
#[cfg(test)]
mod testing;
pub mod worker;

pub use collector::{CollectError, Collector, Reading};
pub use scheduler::{BatchSink, CollectorView, Job, Outcome, Scheduler, SchedulerHandle};
