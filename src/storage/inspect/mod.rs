//! Looking at a ring from outside: a list of its segments, a survey of what takes room, and a walk over every checksum.
//!
//! Nothing here changes the file: [`Ring::look`] keeps what opening it writes in memory.

mod segment;
mod survey;
#[cfg(test)]
mod tests;
mod verify;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::model::{NoSeries, Timestamp};

use super::StorageError;
use super::catalog::cost;
use super::config::Config;
use super::ring::Ring;
use super::rollup::Tier;
use super::store::Store;

pub use survey::{LabelCount, MetricSize, Survey, TierSize};
#[cfg(test)]
pub(crate) use verify::walk;
pub use verify::{Finding, Verified, verify};

/// Bytes that redb may cache while a file is looked at.
const CACHE_BYTES: usize = 16 << 20;

/// What the directory says of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Its number; later ones are larger.
    pub id: u64,
    /// Which rollups are in it; `None`: raw samples.
    pub tier: Option<Tier>,
    /// Start of its window.
    pub window: Timestamp,
    /// End of its window, exclusive.
    pub window_end: Timestamp,
    /// First sample.
    pub min_time: Timestamp,
    /// Last sample.
    pub max_time: Timestamp,
    /// Series in it.
    pub series: u64,
    /// Samples in it; of rollups, buckets.
    pub samples: u64,
    /// Bytes of its columns and index.
    pub bytes: u64,
    /// Bytes of the pages that it takes, its share of the series table included.
    pub page_bytes: u64,
}

impl Ring {
    /// Opens the ring in a directory to look at it: queries work as ever, and the file stays as it is, whatever is done
    /// to the ring. Others may look at the same time; a daemon cannot write meanwhile.
    ///
    /// # Errors
    /// When there is no ring, another process writes to it, the file is damaged, or a newer watchfire wrote it.
    pub fn look(path: &Path, clock: Clock) -> Result<Self, StorageError> {
        let config = Config {
            path: path.to_path_buf(),
            retention_size_bytes: u64::MAX,
            retention_time: Duration::MAX,
            max_ahead: None,
            cache_bytes: CACHE_BYTES,
            ..Config::default()
        };
        Self::with_store(config, clock, Arc::new(NoSeries), Store::to_look_at(path, CACHE_BYTES))
    }

    /// All segments, those of rollups too, ascending by number.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        let inner = self.inner.read();
        let info = |s: &Arc<super::segment::SegmentMeta>| SegmentInfo {
            id: s.id,
            tier: s.tier,
            window: s.window,
            window_end: s.window_end,
            min_time: s.min_ts,
            max_time: s.max_ts,
            series: u64::from(s.series),
            samples: s.samples,
            bytes: s.stream_len,
            page_bytes: cost(s),
        };
        let mut all: Vec<_> = inner.catalog.segments().iter().chain(inner.catalog.rolled.iter()).map(info).collect();
        all.sort_by_key(|segment| segment.id);
        all
    }
}
