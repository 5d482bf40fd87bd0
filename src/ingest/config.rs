//! What events may do, and what is counted.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// Bounds of pushed events.
#[derive(Debug, Clone, PartialEq)]
pub struct EventsConfig {
    /// The most series (a histogram counts once).
    pub max_series: usize,
    /// The most labels of one event.
    pub max_labels: usize,
    /// A series that no event named for so long ends.
    pub expire_after: Duration,
    /// Upper bounds of histograms, ascending, without +Inf.
    pub buckets: Vec<f64>,
}

impl Default for EventsConfig {
    fn default() -> Self {
        Self {
            max_series: 10_000,
            max_labels: 32,
            expire_after: Duration::from_secs(24 * 3600),
            // The default bounds of Prometheus' client libraries, longer by what model calls need.
            buckets: vec![0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0],
        }
    }
}

/// Totals since the start.
#[derive(Debug, Default)]
pub struct EventCounters {
    /// Lines that were taken.
    pub accepted: AtomicU64,
    /// Lines that were refused.
    pub rejected: AtomicU64,
    /// Of the refused ones, those whose new series a limit refused.
    pub over_limit: AtomicU64,
    /// Series that ended because no event named them any more.
    pub expired: AtomicU64,
}
