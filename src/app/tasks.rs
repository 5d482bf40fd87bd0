//! Background work of the whole: the ring's maintenance on a thread of its own.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::clock::Clock;
use crate::storage::{Progress, Ring};

/// Between two looks at the ring when nothing is due.
const IDLE: Duration = Duration::from_secs(1);
/// Between two slices of a seal: others get the disk and the core in between.
const BETWEEN_SLICES: Duration = Duration::from_millis(5);

/// The thread that seals windows and retires old segments.
pub(super) struct Maintenance {
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Maintenance {
    pub(super) fn start(ring: Arc<Ring>, clock: Clock) -> std::io::Result<Self> {
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let signal = Arc::clone(&stop);
        let run = move || {
            let (stopped, wake) = &*signal;
            let mut stopped = stopped.lock();
            let mut failing = false;
            while !*stopped {
                let result = parking_lot::MutexGuard::unlocked(&mut stopped, || ring.maintain(clock.now()));
                let wait = if matches!(result, Ok(Progress::More)) { BETWEEN_SLICES } else { IDLE };
                // Said once when it begins: a full disk must not fill the log too.
                if let Err(error) = &result
                    && !failing
                {
                    tracing::error!(%error, "the ring cannot be maintained; samples stay in memory");
                }
                failing = result.is_err() || ring.is_degraded();
                wake.wait_for(&mut stopped, wait);
            }
        };
        let thread = std::thread::Builder::new().name("storage-seal".into()).spawn(run)?;
        Ok(Self { stop, thread: Some(thread) })
    }

    /// Ends the thread after the slice that runs.
    pub(super) fn stop(mut self) {
        *self.stop.0.lock() = true;
        self.stop.1.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic has been reported by its hook; there is nothing left to do here.
            let _ = thread.join();
        }
    }
}
