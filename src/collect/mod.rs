//! Collectors and their scheduler: what is read from this machine and from the targets that it knows.
//!
//! A [`Collector`] reads one source and writes numbers; the [`Scheduler`] calls it on its slots and hands the batch to
//! an [`Output`](crate::model::Output). Every own family stands once in [`catalogue`].

pub mod catalogue;
mod collector;
pub mod demo;
mod emit;
pub mod gpu;
pub mod llm;
pub(crate) mod proc_pid;
mod scheduler;
pub mod scrape;
pub mod system;
#[cfg(test)]
mod testing;
pub mod textfile;
pub mod windows;
pub mod worker;

pub use collector::{CollectError, Collector, Reading};
pub use scheduler::{
    CollectorView, Demand, FastHandle, FastJob, FastSampler, FastSink, Job, Outcome, RateCount, SamplingCounters,
    Scheduler, SchedulerHandle,
};

/// The names that configuration may use: every collector of this machine, `worker`, `gpu` and `textfile`.
pub fn collector_names() -> Vec<&'static str> {
    let usage = std::sync::Arc::default();
    let mut names: Vec<&'static str> = system::collectors(&system::SystemConfig::default(), &usage)
        .iter()
        .map(|job| job.collector.name())
        .chain(["worker", "gpu", "textfile"])
        .collect();
    names.sort_unstable();
    names
}
