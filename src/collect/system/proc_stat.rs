//! `/proc/stat`, read once a tick for the two collectors that need it: making its text is the dearest of the system files.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::source::Source;
use crate::model::Timestamp;

/// A share of `/proc/stat`.
#[derive(Debug, Clone)]
pub(crate) struct ProcStat {
    path: Arc<PathBuf>,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    source: Source,
    bytes: Vec<u8>,
    read_at: Option<Timestamp>,
}

impl ProcStat {
    pub(crate) fn new(proc: &Path) -> Self {
        let path = proc.join("stat");
        let shared = Shared { source: Source::new(path.clone()), bytes: Vec::new(), read_at: None };
        Self { path: Arc::new(path), shared: Arc::new(Mutex::new(shared)) }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Calls `parse` with the file as it was at the tick `now`.
    pub(crate) fn with<T>(&self, now: Timestamp, parse: impl FnOnce(&[u8]) -> T) -> io::Result<T> {
        let shared = &mut *self.shared.lock();
        if shared.read_at != Some(now) {
            shared.read_at = None;
            shared.bytes.clear();
            shared.bytes.extend_from_slice(shared.source.read()?);
            shared.read_at = Some(now);
        }
        Ok(parse(&shared.bytes))
    }
}

/// Clock ticks a second in which the kernel counts CPU time (`USER_HZ`, 100 everywhere that Linux runs today).
pub(crate) fn user_hz() -> f64 {
    // SAFETY: sysconf takes a number and has no memory to get wrong.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    if ticks > 0 { ticks as f64 } else { 100.0 }
}
