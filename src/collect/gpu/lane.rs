//! One driver: its source, the thread that calls it, and what happens when that thread ends or hangs.

use std::sync::Arc;
use std::time::Duration;

use super::fast::FastLane;
use super::poller::{Answer, Poller};
use super::reading::{GpuError, GpuReadings, GpuSource};
use crate::model::Timestamp;

/// A thread that ended is started again after this time.
const RESTART_MS: i64 = 30_000;

/// Makes a source; called again when the thread that held the last one has ended.
pub(super) type MakeSource = Box<dyn Fn() -> Box<dyn GpuSource> + Send>;

/// A source and its thread.
pub(super) struct Lane {
    make: MakeSource,
    poller: Option<Poller>,
    ended_at: Option<Timestamp>,
    fast: Arc<FastLane>,
}

impl Lane {
    pub(super) fn new(make: MakeSource) -> Self {
        Self { make, poller: None, ended_at: None, fast: Arc::default() }
    }

    pub(super) fn fast(&self) -> Arc<FastLane> {
        Arc::clone(&self.fast)
    }

    /// The reading at `now`, if it comes within `deadline`.
    pub(super) fn ask(&mut self, now: Timestamp, deadline: Duration) -> Result<Arc<GpuReadings>, GpuError> {
        let wait = self.ended_at.is_some_and(|ended| (0..RESTART_MS).contains(&(now - ended)));
        if self.poller.is_none() && !wait {
            let poller = Poller::spawn((self.make)(), &self.fast);
            self.poller = Some(poller.map_err(|error| GpuError::Failed(format!("no thread: {error}")))?);
        }
        let Some(poller) = &mut self.poller else {
            return Err(GpuError::Failed("the thread that reads the driver has ended".into()));
        };
        match poller.ask(now, deadline) {
            Answer::Read(answer) => answer,
            Answer::Late(since) => {
                Err(GpuError::Failed(format!("the driver has not answered for {:.1} s", since.as_secs_f64())))
            }
            Answer::Gone => {
                self.fast.disconnect();
                (self.poller, self.ended_at) = (None, Some(now));
                Err(GpuError::Failed("the thread that reads the driver has ended".into()))
            }
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.fast.disconnect();
    }
}
