//! How a thread of collectors ends: it is told to, and waited for with patience that has an end.

use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// What a tick that runs gets to come to its end: far more than any needs that the kernel answers.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Tells a thread to stop, and its owner that it has.
#[derive(Debug, Default)]
pub(super) struct Stop {
    /// Somebody wants it to end.
    pub(super) wanted: Mutex<bool>,
    /// Notified with that.
    pub(super) changed: Condvar,
    has_ended: Mutex<bool>,
    ended: Condvar,
}

/// Tells that the thread has ended, also when it panics.
pub(super) struct Ending<'s>(&'s Stop);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        *self.0.has_ended.lock() = true;
        self.0.ended.notify_all();
    }
}

impl Stop {
    /// For the thread: what is dropped when it ends.
    pub(super) fn ends_with_this(&self) -> Ending<'_> {
        Ending(self)
    }

    /// Waits for the thread. False when it did not end in time: it is left alone then, and ends with the process.
    pub(super) fn end(&self, thread: JoinHandle<()>, patience: Duration) -> bool {
        let mut has_ended = self.has_ended.lock();
        self.ended.wait_while_for(&mut has_ended, |ended| !*ended, patience);
        if *has_ended {
            drop(has_ended);
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
