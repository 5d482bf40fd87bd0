//! What the pipeline counts.

use std::sync::atomic::AtomicU64;

/// Totals since the start; `queued` is a level.
#[derive(Debug, Default)]
pub struct PipelineCounters {
    /// Batches that were pushed.
    pub batches: AtomicU64,
    /// Samples in them, stale markers included.
    pub samples: AtomicU64,
    /// Stale markers that were written for vanished series and ended groups.
    pub stale_markers: AtomicU64,
    /// Batches and irregular pushes that storage lost because its queue was full.
    pub dropped_batches: AtomicU64,
    /// Samples in those.
    pub dropped_samples: AtomicU64,
    /// Appends that storage refused.
    pub store_errors: AtomicU64,
    /// Commits that succeeded.
    pub commits: AtomicU64,
    /// Commits that failed.
    pub commit_errors: AtomicU64,
    /// Microseconds spent in commits.
    pub commit_us: AtomicU64,
    /// Microseconds spent in appends.
    pub append_us: AtomicU64,
    /// Jobs that wait for storage now.
    pub queued: AtomicU64,
}
