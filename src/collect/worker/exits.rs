//! Ends of workers.

use crate::model::Timestamp;

/// How a worker ended, as a label says it.
pub(super) const REASONS: [&str; 4] = ["completed", "failed", "signal", "unknown"];

/// A worker has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerExit {
    /// The tick that saw it, in milliseconds since the epoch: at most one interval after the end.
    pub at: Timestamp,
    /// Its group.
    pub group: String,
    /// Its number.
    pub pid: i32,
    /// Its name as the kernel has it.
    pub name: String,
    /// Whether it belonged to the group through an ancestor.
    pub inherited: bool,
    /// When it started, in seconds since the epoch; with the pid its identity.
    pub start_time: Option<f64>,
    /// Seconds between its start and `at`.
    pub lifetime_seconds: Option<f64>,
    /// What it gave to `exit`; `None` when a signal ended it, or nobody can know.
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Resident memory in bytes at the last reading that saw it run.
    pub last_rss_bytes: f64,
}

impl WorkerExit {
    /// `completed` (exit code 0), `failed` (another one), `signal`, or `unknown`.
    pub fn reason(&self) -> &'static str {
        REASONS.get(self.reason_index()).copied().unwrap_or("unknown")
    }

    pub(super) fn reason_index(&self) -> usize {
        match (self.exit_code, self.signal) {
            (Some(0), _) => 0,
            (Some(_), _) => 1,
            (None, Some(_)) => 2,
            (None, None) => 3,
        }
    }
}

/// Exit code and signal of what `wait` tells.
pub(super) fn decode(status: Option<i32>) -> (Option<i32>, Option<i32>) {
    match status {
        None => (None, None),
        Some(status) if status & 0x7f == 0 => (Some((status >> 8) & 0xff), None),
        Some(status) => (None, Some(status & 0x7f)),
    }
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn wait_statuses() {
        for (status, expected) in [
            (None, (None, None)),
            (Some(0), (Some(0), None)),
            (Some(0x700), (Some(7), None)),
            (Some(9), (None, Some(9))),
            (Some(0x8b), (None, Some(11))),
        ] {
            assert_eq!(decode(status), expected, "{status:?}");
        }
    }
}
