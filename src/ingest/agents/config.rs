//! What heartbeats may do, and what is counted.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// Bytes of one heartbeat: all labels at their longest fit several times.
pub const MAX_HEARTBEAT_BYTES: usize = 64 << 10;
/// Workers that may be known at once: at some twenty series each they stay below a family's limit, and a tick that reads
/// each one's process takes 10 ms.
pub const MAX_WORKERS: usize = 1000;

/// Bounds of heartbeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentsConfig {
    /// The most workers at once.
    pub max_workers: usize,
    /// The most labels of one worker.
    pub max_labels: usize,
    /// Bytes of a label's value.
    pub max_label_bytes: usize,
    /// Runs that are remembered, those under way included; the oldest ended one goes first.
    pub max_runs: usize,
    /// After so long without a heartbeat nobody knows what a worker does.
    pub silent_after: Duration,
    /// After so long without a heartbeat a worker is forgotten, and its run counts as lost.
    pub forget_after: Duration,
    /// A full house lets go a worker that has been idle for so long.
    pub idle_may_go_after: Duration,
}

impl Default for AgentsConfig {
    fn default() -> Self {
        Self {
            max_workers: MAX_WORKERS,
            max_labels: 16,
            max_label_bytes: 256,
            max_runs: 2 * MAX_WORKERS,
            silent_after: Duration::from_secs(30),
            forget_after: Duration::from_secs(600),
            idle_may_go_after: Duration::from_secs(60),
        }
    }
}

/// Totals since the start.
#[derive(Debug, Default)]
pub struct AgentCounters {
    /// Heartbeats that were taken.
    pub accepted: AtomicU64,
    /// Heartbeats that were refused: bad, too large, or of one worker too many.
    pub rejected: AtomicU64,
    /// Workers that were let go for another one.
    pub evicted: AtomicU64,
    /// Workers that were forgotten because they were silent for long.
    pub forgotten: AtomicU64,
    /// Runs whose record could not be kept or read.
    pub run_errors: AtomicU64,
}
