//! Indexes and timestamps of segments that were read lately: a page that refreshes asks for the same hour again and again.

use std::sync::Arc;

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use crate::model::Timestamp;

use super::segment::SegmentIndex;

/// Bytes of indexes and timestamps that are kept.
const MAX_BYTES: usize = 8 << 20;

/// Names a slice by its segment and its place in there; the segment's index has the last place of all.
pub(crate) type SliceKey = (u64, u32);

/// What was decoded.
#[derive(Clone)]
pub(crate) enum Decoded {
    Times(Arc<[Timestamp]>),
    Index(Arc<SegmentIndex>),
}

/// Two generations: what is used in the young one stays, the old one goes as a whole.
#[derive(Default)]
pub(crate) struct IndexCache {
    generations: Mutex<Generations>,
}

#[derive(Default)]
struct Generations {
    young: FxHashMap<SliceKey, (Decoded, usize)>,
    old: FxHashMap<SliceKey, (Decoded, usize)>,
    young_bytes: usize,
}

impl IndexCache {
    pub(crate) fn get(&self, key: SliceKey) -> Option<Decoded> {
        let mut generations = self.generations.lock();
        if let Some((decoded, _)) = generations.young.get(&key) {
            return Some(decoded.clone());
        }
        let (decoded, bytes) = generations.old.remove(&key)?;
        generations.put(key, decoded.clone(), bytes);
        Some(decoded)
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        *self.generations.lock() = Generations::default();
    }

    pub(crate) fn put(&self, key: SliceKey, decoded: Decoded, bytes: usize) {
        self.generations.lock().put(key, decoded, bytes);
    }
}

impl Generations {
    fn put(&mut self, key: SliceKey, decoded: Decoded, bytes: usize) {
        if bytes > MAX_BYTES / 8 {
            return;
        }
        if self.young_bytes + bytes > MAX_BYTES / 2 {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        self.young_bytes += bytes;
        self.young.insert(key, (decoded, bytes));
    }
}
