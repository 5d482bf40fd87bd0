//! The ring behind the pipeline's and the rules' write doors.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::model::{Batch, GroupId, Irregular, Output};
use crate::pipeline::{Pipeline, Store};
use crate::rules::RuleSink;
use crate::storage::{Ring, StorageError};

/// Commits (seconds) without a dropped sample after which the next one is news again.
const QUIET_COMMITS: u32 = 600;

/// Tells when a counter of losses begins to grow: the log gets one line a time, the metric says how many.
#[derive(Debug)]
struct Losses {
    seen: u64,
    quiet: u32,
}

impl Losses {
    fn is_news(&mut self, count: u64) -> bool {
        if count == self.seen {
            self.quiet = self.quiet.saturating_add(1);
            return false;
        }
        self.seen = count;
        std::mem::take(&mut self.quiet) >= QUIET_COMMITS
    }
}

/// The ring as the pipeline's writer thread sees it.
pub(super) struct RingStore {
    ring: Arc<Ring>,
    over_limit: Losses,
    unknown: Losses,
}

impl RingStore {
    pub(super) fn new(ring: Arc<Ring>) -> Self {
        let losses = || Losses { seen: 0, quiet: QUIET_COMMITS };
        Self { ring, over_limit: losses(), unknown: losses() }
    }

    /// Names samples that storage itself dropped for want of room: nothing is lost in silence.
    fn report_losses(&mut self) {
        let counters = self.ring.counters();
        let samples = counters.over_limit.load(Ordering::Relaxed);
        if self.over_limit.is_news(samples) {
            tracing::warn!(
                samples,
                "samples are dropped: a target or rule group has more than 65536 series in memory, or too many samples \
                 come late (watchfire_storage_over_limit_samples_total)"
            );
        }
        let samples = counters.unknown_series.load(Ordering::Relaxed);
        if self.unknown.is_news(samples) {
            tracing::warn!(
                samples,
                "samples are dropped: their series had left the table (watchfire_storage_unknown_series_samples_total)"
            );
        }
    }
}

impl Store for RingStore {
    fn append(&mut self, batch: &Batch) -> Result<(), StorageError> {
        self.ring.append(batch)
    }

    fn append_irregular(&mut self, items: &[Irregular]) -> Result<(), StorageError> {
        self.ring.append_irregular(items)
    }

    fn commit(&mut self) -> Result<(), StorageError> {
        self.report_losses();
        self.ring.commit()?;
        // Kept in memory only is no success: the log says so once, and once when it is over.
        self.ring.failure().map_or(Ok(()), |reason| Err(StorageError::Failed { doing: "committing", reason }))
    }
}

/// Samples of rules go straight to the head: the next rule of the group reads them. The next commit makes them durable.
pub(super) struct DirectSink {
    pub(super) ring: Arc<Ring>,
    pub(super) pipeline: Pipeline,
}

impl RuleSink for DirectSink {
    fn register_group(&self, file: &str, name: &str, _interval: Duration) -> GroupId {
        self.pipeline.register_group(&format!("rules:{file}:{name}"))
    }

    fn retire_group(&self, _group: GroupId) {
        // The runner has written stale markers for everything the group had.
    }

    fn write(&self, batch: Batch) -> Result<(), StorageError> {
        self.ring.append(&batch)?;
        self.pipeline.hub().publish(Arc::new(batch));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Losses, QUIET_COMMITS};

    #[test]
    fn losses_are_news_when_they_begin() {
        let mut losses = Losses { seen: 0, quiet: QUIET_COMMITS };
        let mut news = |counts: &[u64]| counts.iter().filter(|count| losses.is_news(**count)).count();
        assert_eq!(news(&[0, 0, 5, 6, 7, 7, 8]), 1);
        assert_eq!(news(&vec![8; QUIET_COMMITS as usize - 1]), 0);
        assert_eq!(news(&[9]), 0, "not quiet for long enough");
        assert_eq!(news(&vec![9; QUIET_COMMITS as usize]), 0);
        assert_eq!(news(&[10, 11]), 1);
    }
}
