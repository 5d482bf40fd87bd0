//! Indexes and timestamps of segments that were read lately: a page that refreshes asks for the same hour again and again.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::generations::{Generations, Outgrown};
use crate::limits::{MAX_INDEX_CACHE_BYTES, MAX_TIMES_CACHE_BYTES};
use crate::model::Timestamp;

use super::segment::SegmentIndex;

/// Names a slice by its segment and its place in there; the segment's index has the last place of all.
pub(crate) type SliceKey = (u64, u32);

/// What was decoded.
#[derive(Clone)]
pub(crate) enum Decoded {
    Times(Arc<[Timestamp]>),
    Index(Arc<SegmentIndex>),
}

/// What was decoded lately. Indexes and timestamps have a bound each: an index of a hundred thousand series would push out
/// the timestamps of everybody else.
pub(crate) struct IndexCache {
    indexes: Mutex<Generations<SliceKey, Decoded>>,
    times: Mutex<Generations<SliceKey, Decoded>>,
}

impl Default for IndexCache {
    fn default() -> Self {
        Self {
            indexes: Mutex::new(Generations::new(MAX_INDEX_CACHE_BYTES)),
            times: Mutex::new(Generations::new(MAX_TIMES_CACHE_BYTES)),
        }
    }
}

impl IndexCache {
    pub(crate) fn get(&self, key: SliceKey) -> Option<Decoded> {
        let entries = if key.1 == u32::MAX { &self.indexes } else { &self.times };
        let (found, outgrown) = entries.lock().get(&key, Decoded::clone);
        drop(outgrown);
        found
    }

    /// Keeps it, unless it would push out too much: an index may take half of the room, timestamps an eighth.
    pub(crate) fn put(&self, key: SliceKey, decoded: Decoded, bytes: usize) {
        let (entries, most) = match decoded {
            Decoded::Index(_) => (&self.indexes, MAX_INDEX_CACHE_BYTES / 2),
            Decoded::Times(_) => (&self.times, MAX_TIMES_CACHE_BYTES / 8),
        };
        if bytes <= most {
            // Freed where nobody waits for the lock.
            let outgrown: Outgrown<Decoded> = entries.lock().put(key, decoded, bytes);
            drop(outgrown);
        }
    }

    /// Forgets what nobody asked for since the last time.
    pub(crate) fn age(&self) {
        let outgrown = (self.indexes.lock().age(), self.times.lock().age());
        drop(outgrown);
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        *self.indexes.lock() = Generations::new(MAX_INDEX_CACHE_BYTES);
        *self.times.lock() = Generations::new(MAX_TIMES_CACHE_BYTES);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Decoded, IndexCache};
    use crate::limits::{MAX_INDEX_CACHE_BYTES, MAX_TIMES_CACHE_BYTES};
    use crate::storage::codec::PcoCodec;
    use crate::storage::segment::{ColumnEntry, ColumnKind, SegmentIndex, Slice};

    /// An index with one slice of so many series, and what the reader says it weighs.
    fn index(series: u32) -> (Arc<SegmentIndex>, usize) {
        let column = |id: u32| ColumnEntry { id, kind: ColumnKind::Floats, at: 0..1 };
        let columns: Vec<ColumnEntry> = (0..series).map(column).collect();
        let bytes = (columns.len() + 2) * 32;
        assert!(columns.len() * size_of::<ColumnEntry>() <= bytes);
        let slice = Slice { ticks: 1, first: 0, last: 0, times: 0..1, columns };
        (
            Arc::new(SegmentIndex { codec: PcoCodec::default(), slices: vec![slice], exemplars: Default::default() }),
            bytes,
        )
    }

    #[test]
    fn indexes_of_a_hundred_thousand_series_are_kept_within_the_bound() {
        let cache = IndexCache::default();
        let kept = |id: u64| matches!(cache.get((id, u32::MAX)), Some(Decoded::Index(_)));
        let (large, bytes) = index(100_000);
        let times: Arc<[i64]> = (0..3600).collect();
        cache.put((0, 0), Decoded::Times(times), 3600 * 8);
        for id in 0..100 {
            cache.put((id, u32::MAX), Decoded::Index(Arc::clone(&large)), bytes);
            assert!(kept(id), "the newest is there");
            assert!(cache.indexes.lock().len() * bytes <= MAX_INDEX_CACHE_BYTES, "after {id}");
        }
        assert!(cache.indexes.lock().len() >= 4, "a range of some hours finds its indexes");
        assert!(cache.get((0, 0)).is_some(), "timestamps have a room of their own");
        cache.put((500, u32::MAX), Decoded::Index(Arc::clone(&large)), MAX_INDEX_CACHE_BYTES / 2 + 1);
        cache.put((500, 0), Decoded::Times(Arc::from([0])), MAX_TIMES_CACHE_BYTES / 8 + 1);
        assert!(!kept(500) && cache.get((500, 0)).is_none(), "what is too large pushes nothing out");
        cache.clear();
        assert!(!kept(99));
    }
}
