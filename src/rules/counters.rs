//! What rule evaluation counts since the start.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counters of the rules room; `app` registers them.
#[derive(Debug, Default)]
pub struct RuleCounters {
    /// Rules evaluated.
    pub evaluations: AtomicU64,
    /// Of these, failed.
    pub evaluation_failures: AtomicU64,
    /// Slots of groups that were due.
    pub iterations: AtomicU64,
    /// Of these, passed without an evaluation because an earlier one took too long.
    pub iterations_missed: AtomicU64,
    /// Evaluations that began at the latest time because a source had not delivered.
    pub late_sources: AtomicU64,
    /// Samples written.
    pub samples: AtomicU64,
    /// Samples left out because the series table is full.
    pub samples_refused: AtomicU64,
    /// Samples left out because another rule of the group wrote another value to the same series.
    pub samples_duplicate: AtomicU64,
    /// Batches that storage refused.
    pub write_failures: AtomicU64,
    /// Alerts handed to notifications.
    pub alerts_sent: AtomicU64,
    /// Nanoseconds spent in evaluations.
    pub evaluation_ns: AtomicU64,
    /// Evaluations that panicked: a bug; the group goes on with its next slot.
    pub panics: AtomicU64,
    /// When rules were last loaded, in milliseconds.
    pub last_load: AtomicU64,
}

impl RuleCounters {
    pub(super) fn add(counter: &AtomicU64, count: usize) {
        counter.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(super) fn add_time(&self, elapsed: Duration) {
        let ns = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        self.evaluation_ns.fetch_add(ns, Ordering::Relaxed);
    }
}
