//! The demo: a machine that does not exist, for `serve --demo`. Everything is a pure function of (seed, time), smooth
//! and the same on every run: a hot GPU (a shipped alert fires after two minutes), one that comes and goes, two models,
//! and a training worker that leaks until the kernel kills it (a shipped alert fires within the first minute).
//! `watchfire_demo 1`, which `telemetry` writes, says on every page that none of it is real.

mod agents;
mod gpus;
mod models;
mod node;
mod sheet;
mod story;
mod wave;
mod workers;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use crate::model::Timestamp;

use super::gpu::{FastGpus, GpuHandle, Gpus};
use super::system::{Usage, own_process};
use super::worker::WorkersHandle;
use super::{Collector, FastJob, Job};

pub use agents::{DemoAgents, DemoProcess};

use sheet::Sheet;
use story::Story;

/// The jobs of the demo, with the doors that the real collectors have.
pub struct Demo {
    /// What to schedule.
    pub jobs: Vec<Job>,
    /// What is sampled between ticks while a page follows closely: the machine, its GPUs and models.
    pub fast: Vec<FastJob>,
    /// The machine at a glance.
    pub usage: Arc<Usage>,
    /// The made-up processes.
    pub workers: WorkersHandle,
    /// The made-up GPUs.
    pub gpus: GpuHandle,
}

/// Makes the demo of `seed`, whose story begins at `start`; every part ticks each `interval`. Beside it, `process_*`
/// of watchfire itself is real.
pub fn demo(seed: u64, start: Timestamp, interval: Duration) -> Demo {
    let story = Story { seed, start_ms: start };
    let usage = Arc::new(Usage::default());
    let workers = WorkersHandle::fixed();
    let gpus = Gpus::with_source(Some(workers.clone()), move || Box::new(gpus::DemoGpus(story)));
    let gpu_handle = gpus.handle();
    let node = node::DemoNode { story, usage: Arc::clone(&usage), sheet: Sheet::default() };
    let worker = workers::DemoWorkers { story, handle: workers.clone(), sheet: Sheet::default() };
    let models = models::DemoModels { story, sheet: Sheet::default() };
    let job = |group, collector: Box<dyn Collector>| Job { group, interval, collector };
    let jobs = vec![
        job("node", Box::new(node)),
        job("worker", Box::new(worker)),
        job("gpu", Box::new(gpus)),
        job("llm", Box::new(models)),
        job("watchfire", own_process()),
    ];
    let node = node::DemoNode { story, usage: Arc::default(), sheet: Sheet::default() };
    let models = models::DemoModels { story, sheet: Sheet::default() };
    let fast = |collector: Box<dyn Collector>| FastJob { every: interval, collector };
    let fast = vec![fast(Box::new(node)), fast(Box::new(models)), fast(Box::new(FastGpus::new(gpu_handle.clone())))];
    Demo { jobs, fast, usage, workers, gpus: gpu_handle }
}
