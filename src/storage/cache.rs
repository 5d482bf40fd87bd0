//! Decoded pieces of segments that were read lately: a page that refreshes asks for the same hour again and again.

use std::sync::Arc;

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use crate::model::Timestamp;

use super::querier::Column;
use super::segment::SegmentIndex;

/// Bytes of decoded columns and indexes that are kept.
const MAX_BYTES: usize = 8 << 20;

/// Names a column: segment, slice, place in the slice; the slice's times have the last place of all.
pub(crate) type ColumnKey = (u64, u32, u32);

/// What was decoded.
#[derive(Clone)]
pub(crate) enum Decoded {
    Values(Column),
    Times(Arc<[Timestamp]>),
    Index(Arc<SegmentIndex>),
}

/// Two generations: what is used in the young one stays, the old one goes as a whole.
#[derive(Default)]
pub(crate) struct ColumnCache {
    generations: Mutex<Generations>,
}

#[derive(Default)]
struct Generations {
    young: FxHashMap<ColumnKey, (Decoded, usize)>,
    old: FxHashMap<ColumnKey, (Decoded, usize)>,
    young_bytes: usize,
}

impl ColumnCache {
    pub(crate) fn get(&self, key: ColumnKey) -> Option<Decoded> {
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

    pub(crate) fn put(&self, key: ColumnKey, decoded: Decoded, bytes: usize) {
        self.generations.lock().put(key, decoded, bytes);
    }
}

impl Generations {
    fn put(&mut self, key: ColumnKey, decoded: Decoded, bytes: usize) {
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
