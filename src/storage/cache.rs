//! Indexes and timestamps of segments that were read lately: a page that refreshes asks for the same hour again and again.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::generations::Generations;
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

/// What was decoded lately.
pub(crate) struct IndexCache(Mutex<Generations<SliceKey, Decoded>>);

impl Default for IndexCache {
    fn default() -> Self {
        Self(Mutex::new(Generations::new(MAX_BYTES)))
    }
}

impl IndexCache {
    pub(crate) fn get(&self, key: SliceKey) -> Option<Decoded> {
        self.0.lock().get(&key, Decoded::clone).0
    }

    /// Keeps it, unless it would push out too much.
    pub(crate) fn put(&self, key: SliceKey, decoded: Decoded, bytes: usize) {
        if bytes <= MAX_BYTES / 8 {
            self.0.lock().put(key, decoded, bytes);
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        *self.0.lock() = Generations::new(MAX_BYTES);
    }
}
