//! How a thread of collectors ends: it is told to, and waited for with patience that has an end.

use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// What a tick that runs gets to come to its end: far more than any needs that the kernel answers.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Tells the owner of a thread that it has ended.
#[derive(Debug, Default)]
pub(super) struct End {
    has_come: Mutex<bool>,
    changed: Condvar,
}

/// Tells that the thread has ended, also when it panics.
pub(super) struct Ending<'s>(&'s End);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        *self.0.has_come.lock() = true;
        self.0.changed.notify_all();
    }
}

impl End {
    /// For the thread: what is dropped when it ends.
    pub(super) fn is_told_by_this(&self) -> Ending<'_> {
        Ending(self)
    }

    /// Waits for the thread. False when it did not end in time: it is left alone then, and ends with the process.
    pub(super) fn wait(&self, thread: JoinHandle<()>, patience: Duration) -> bool {
        let mut has_come = self.has_come.lock();
        self.changed.wait_while_for(&mut has_come, |come| !*come, patience);
        if *has_come {
            drop(has_come);
            // A panic inside a collector is caught; one outside has been reported by the hook already.
            let _ = thread.join();
            return true;
        }
        tracing::error!(
            thread = thread.thread().name().unwrap_or_default(),
            seconds = patience.as_secs(),
            "a collector waits for the kernel and does not end: it is left behind"
        );
        false
    }
}
