//! What is known of a worker's process beside its heartbeats: `app` plugs in who reads it.

use crate::model::Timestamp;

/// A process at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ProcessReading {
    /// Tells it from a later process of the same number.
    pub start_ticks: u64,
    /// When it started; `None` where the machine's start is not known.
    pub started_at: Option<Timestamp>,
    /// The kernel's letter for its state; `Z` is a zombie.
    pub state: char,
    /// CPU time since it started.
    pub cpu_seconds: f64,
    /// Resident memory.
    pub rss_bytes: f64,
}

/// Reads processes by number, quickly (a tick reads hundreds) and without waiting for anybody.
pub trait Processes: Send + Sync {
    /// The process now.
    ///
    /// # Errors
    /// Why there is no reading: it has gone, or may not be read.
    fn read(&self, pid: i32) -> Result<ProcessReading, String>;
}

/// Sees no process.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProcesses;

impl Processes for NoProcesses {
    fn read(&self, pid: i32) -> Result<ProcessReading, String> {
        Err(format!("process {pid} cannot be read here"))
    }
}
