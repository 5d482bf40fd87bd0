//! One process by its number, read when somebody asks: no lock, no tick to wait for.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::collect::proc_pid::{PidStat, page_bytes};
use crate::collect::system::proc_stat::user_hz;
use crate::collect::system::{BootTime, Roots};
use crate::model::Timestamp;

/// Room for `/proc/PID/stat`: 52 numbers and a name.
const STAT_BYTES: usize = 2048;

/// Reads processes by number. A reading is one open and one read, some 10 µs.
#[derive(Debug, Clone)]
pub struct PidReader {
    roots: Roots,
    boot: Arc<Mutex<BootTime>>,
    hz: f64,
    page_bytes: f64,
}

/// What one process was at the moment of the reading.
#[derive(Debug, Clone, PartialEq)]
pub struct PidReading {
    /// Its number.
    pub pid: i32,
    /// Clock ticks between the machine's start and its own: with the pid the identity of a process.
    pub start_ticks: u64,
    /// When it started, in seconds since the epoch; `None` where the machine's start is not known.
    pub start_time: Option<f64>,
    /// Its parent's number.
    pub parent: i32,
    /// The kernel's letter: R, S, D, Z, T, I.
    pub state: char,
    /// CPU time of all its threads since it started, user and system, in seconds.
    pub cpu_seconds: f64,
    /// Resident memory in bytes; 0 for a zombie.
    pub rss_bytes: f64,
    /// Threads.
    pub threads: u64,
}

/// Why there is no reading.
#[derive(Debug, thiserror::Error)]
pub enum PidError {
    /// There is no such process (any more).
    #[error("no process {0}")]
    Gone(i32),
    /// The kernel would not tell.
    #[error("/proc/{pid}/stat: {source}")]
    Unreadable {
        /// Its number.
        pid: i32,
        /// Why.
        source: io::Error,
    },
    /// What the kernel says is not a line of proc(5).
    #[error("/proc/{0}/stat: expected a line of proc(5)")]
    Garbage(i32),
}

impl PidReader {
    /// A reader of `roots`' processes.
    pub fn new(roots: &Roots) -> Self {
        let boot = BootTime::new(roots);
        Self { roots: roots.clone(), boot: Arc::new(Mutex::new(boot)), hz: user_hz(), page_bytes: page_bytes() }
    }

    /// Reads a process now.
    ///
    /// # Errors
    /// [`PidError`]: it has gone, or may not be read.
    pub fn read(&self, pid: i32) -> Result<PidReading, PidError> {
        let mut buffer = [0; STAT_BYTES];
        let path = self.roots.proc.join(pid.to_string()).join("stat");
        let length = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(path)
            .and_then(|mut file| file.read(&mut buffer))
            .map_err(
                |source| {
                    if is_gone(&source) { PidError::Gone(pid) } else { PidError::Unreadable { pid, source } }
                },
            )?;
        let stat = PidStat::parse(buffer.get(..length).unwrap_or_default()).ok_or(PidError::Garbage(pid))?;
        Ok(PidReading {
            pid,
            start_ticks: stat.start_ticks,
            start_time: self.boot.lock().seconds().map(|boot| boot + stat.start_ticks as f64 / self.hz),
            parent: stat.parent,
            state: char::from(stat.state),
            cpu_seconds: stat.user_ticks.saturating_add(stat.system_ticks) as f64 / self.hz,
            rss_bytes: stat.resident_pages as f64 * self.page_bytes,
            threads: stat.threads,
        })
    }
}

impl PidReading {
    /// Whether it has ended and its parent has not asked how.
    pub fn is_zombie(&self) -> bool {
        self.state == 'Z' && self.threads <= 1
    }

    /// Seconds since it started; `None` where its start is not known, never negative.
    pub fn uptime_seconds(&self, now: Timestamp) -> Option<f64> {
        self.start_time.map(|start| (now as f64 / 1e3 - start).max(0.0))
    }

    /// CPU time since an earlier reading `elapsed_seconds` ago, in percent of one core. `None` when that was another process
    /// of the same number, or no time has passed.
    pub fn cpu_percent(&self, before: &Self, elapsed_seconds: f64) -> Option<f64> {
        let same = before.pid == self.pid && before.start_ticks == self.start_ticks;
        let used = (self.cpu_seconds - before.cpu_seconds).max(0.0);
        (same && elapsed_seconds > 0.0).then(|| used / elapsed_seconds * 100.0)
    }
}

/// Whether the error says that the process has ended.
pub(super) fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
}

#[cfg(test)]
mod tests {
    use super::{PidError, PidReader};
    use crate::collect::system::Roots;
    use crate::collect::system::proc_stat::user_hz;
    use crate::collect::testing::put;

    #[test]
    fn readings_and_their_absence() {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), "proc/stat", "btime 1000\n");
        let hz = user_hz() as u64;
        let line = |start: u64, user: u64| {
            format!("7 (a b) Z 1 7 7 0 -1 0 0 0 0 0 {user} 0 0 0 20 0 1 0 {start} 8192 10 0 0 0")
        };
        let reader = PidReader::new(&Roots::under(root.path()));
        let read = |text: &str| {
            put(root.path(), "proc/7/stat", text);
            reader.read(7)
        };
        let first = read(&line(5 * hz, hz)).unwrap();
        assert_eq!((first.start_time, first.uptime_seconds(1_010_000)), (Some(1005.0), Some(5.0)));
        assert_eq!((first.is_zombie(), first.threads, first.cpu_seconds), (true, 1, 1.0));
        let headless = read(&line(5 * hz, hz).replace(" 20 0 1 0 ", " 20 0 2 0 ")).unwrap();
        assert!(!headless.is_zombie(), "its main thread has ended, another runs");
        let later = read(&line(5 * hz, 2 * hz)).unwrap();
        assert_eq!(later.cpu_percent(&first, 2.0), Some(50.0));
        assert_eq!((later.cpu_percent(&first, 0.0), first.cpu_percent(&later, 1.0)), (None, Some(0.0)));
        assert_eq!(read(&line(6 * hz, 3 * hz)).unwrap().cpu_percent(&first, 1.0), None, "the number was given away");
        assert!(matches!(read("rubbish"), Err(PidError::Garbage(7))));
        assert!(matches!(reader.read(8), Err(PidError::Gone(8))));
    }

    #[test]
    fn a_clock_that_is_set_moves_the_machines_start() {
        let root = tempfile::tempdir().unwrap();
        let hz = user_hz() as u64;
        put(root.path(), "proc/7/stat", &format!("7 (a) S 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 3 0 {} 8192 10 0", 5 * hz));
        let reader = PidReader::new(&Roots::under(root.path()));
        let started = || reader.read(7).unwrap().start_time;
        assert_eq!(started(), None, "the machine's start is not known yet");
        put(root.path(), "proc/stat", "btime 1000\n");
        assert_eq!(started(), Some(1005.0), "what was not known is asked for again");
        put(root.path(), "proc/stat", "btime 4600\n");
        assert_eq!(started(), Some(4605.0));
        put(root.path(), "proc/stat", "");
        assert_eq!(started(), Some(4605.0), "the last one known");
    }
}
