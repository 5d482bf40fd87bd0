//! What a collector is: something that reads one source and writes numbers for series it interned before.

use crate::model::{Batch, Intern, Timestamp};

/// How a tick of a collector went. The numbers themselves are in the batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// Everything that the source offers was read.
    Complete,
    /// Something was missing; the reason says what and why. The rest was read.
    Degraded(String),
    /// The source is not on this machine (no GPU, no PSI); the reason says what would be needed.
    Unavailable(String),
}

/// Why a collector read nothing at all this time.
#[derive(Debug, thiserror::Error)]
#[error("collector {collector}: {reason}")]
pub struct CollectError {
    /// Name of the collector.
    pub collector: &'static str,
    /// What failed, on which source.
    pub reason: String,
}

/// One source of measurements. Synchronous: it runs on the collectors' thread and must be quick (a tick is a second).
pub trait Collector: Send {
    /// Short name: `cpu`, `meminfo`, `worker`, `gpu`; the word in configuration and in `watchfire_collector_*`.
    fn name(&self) -> &'static str;

    /// Reads the source once and appends float samples to `out`. `now` is the slot's time; rates and percentages are
    /// derived from the difference to the previous call, never by waiting. New series are interned through `intern`;
    /// known ones reuse their references, so that a steady tick formats, hashes and allocates no label.
    ///
    /// # Errors
    /// When nothing could be read. What was appended before is kept.
    fn collect(&mut self, now: Timestamp, intern: &dyn Intern, out: &mut Batch) -> Result<Reading, CollectError>;
}
