//! What is derived from two readings, for those who want one number now: JSON snapshots and the project's socket.

use parking_lot::Mutex;

use crate::model::Timestamp;

/// CPU time of all cores together since the start of the machine, in the kernel's ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuTimes {
    /// Time that was neither idle nor waiting for I/O.
    pub busy: u64,
    /// All time.
    pub total: u64,
}

/// The machine at a glance. What was not read is `None`, never 0.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Snapshot {
    /// Share of the CPU time of all cores that was busy between the last two readings, 0 to 1.
    pub cpu_ratio: Option<f64>,
    /// Memory that the kernel manages, in bytes.
    pub memory_total_bytes: Option<f64>,
    /// Memory that new work could get without swapping, in bytes.
    pub memory_available_bytes: Option<f64>,
    /// Swap space, in bytes.
    pub swap_total_bytes: Option<f64>,
    /// Swap space that is free, in bytes.
    pub swap_free_bytes: Option<f64>,
    /// Load average of the last minute.
    pub load1: Option<f64>,
}

/// The last [`Snapshot`], written by the collectors and read by anybody.
#[derive(Debug, Default)]
pub struct Usage(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: Option<(Timestamp, CpuTimes)>,
    snapshot: Snapshot,
}

impl Usage {
    /// The machine at the last tick.
    pub fn snapshot(&self) -> Snapshot {
        self.0.lock().snapshot
    }

    pub(super) fn cpu(&self, now: Timestamp, times: CpuTimes) {
        let mut state = self.0.lock();
        state.snapshot.cpu_ratio = state.last.and_then(|(then, last)| ratio(now - then, last, times));
        state.last = Some((now, times));
    }

    pub(crate) fn set(&self, snapshot: Snapshot) {
        self.0.lock().snapshot = snapshot;
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut Snapshot)) {
        change(&mut self.0.lock().snapshot);
    }
}

/// Busy share of the time between two readings; `None` for an empty interval or counters that ran backwards.
fn ratio(elapsed_ms: i64, last: CpuTimes, times: CpuTimes) -> Option<f64> {
    let total = times.total.checked_sub(last.total)?;
    let busy = times.busy.checked_sub(last.busy)?;
    (elapsed_ms > 0 && total > 0).then(|| (busy as f64 / total as f64).min(1.0))
}
