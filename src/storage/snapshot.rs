//! A copy of the ring as of one commit, taken while ticks go on.
//!
//! Segments never change, so they are copied one by one, each in a read transaction of its own. What is sealed meanwhile is
//! copied too, until one transaction sees a directory of which everything is there: its rows and small tables
//! make the copy whole. So the copy is the ring at that commit: a prefix of what was committed.

use std::collections::BTreeSet;
use std::path::Path;

use super::StorageError;
use super::ring::Ring;
use super::segment::SegmentMeta;
use super::store::{Copy, SmallTables, Store};

/// How often seals may overtake the copying before we give up: each round copies only what is new.
const MAX_ROUNDS: usize = 100;

/// What a snapshot has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SnapshotInfo {
    /// Segments that were copied.
    pub segments: u64,
    /// Raw samples in them; those of write-ahead rows come on top.
    pub samples: u64,
    /// Bytes of the segments' columns and indexes.
    pub bytes: u64,
}

impl Ring {
    /// Writes a copy of the ring into a directory, which is made if need be: what is committed at the end of the call. A
    /// daemon opens it like any ring. Appends, queries and seals go on meanwhile; one segment at a time is held
    /// in memory.
    ///
    /// # Errors
    /// When the directory has a ring already or cannot be written, or the database failed; nothing is left behind then.
    pub fn snapshot(&self, dir: &Path) -> Result<SnapshotInfo, StorageError> {
        if !self.is_degraded() {
            self.write_pending(self.clock.now())?;
        }
        copy(&self.store, dir)
    }
}

fn copy(store: &Store, dir: &Path) -> Result<SnapshotInfo, StorageError> {
    let copy = Copy::begin(dir)?;
    let mut copied = BTreeSet::new();
    for _ in 0..MAX_ROUNDS {
        let (metas, _) = store.directory()?;
        for meta in &metas {
            if copied.insert(meta.id) {
                copy.segment(meta.id, &store.raw_pieces(meta.id)?)?;
            }
        }
        for epoch in store.epochs()? {
            copy.series(epoch, &store.raw_series(epoch)?)?;
        }
        let small = store.small_tables()?;
        if small.directory.iter().all(|(id, _)| copied.contains(id)) {
            let gone: Vec<u64> = copied.iter().copied().filter(|id| !has(&small, *id)).collect();
            copy.finish(&small, &gone)?;
            return Ok(info(&small));
        }
    }
    Err(StorageError::Failed {
        doing: "taking a snapshot",
        reason: "segments are sealed faster than they can be copied: try again".to_owned(),
    })
}

fn has(small: &SmallTables, id: u64) -> bool {
    small.directory.binary_search_by_key(&id, |(id, _)| *id).is_ok()
}

fn info(small: &SmallTables) -> SnapshotInfo {
    let mut info = SnapshotInfo::default();
    for meta in small.directory.iter().filter_map(|(id, record)| SegmentMeta::decode(*id, record).ok()) {
        info.segments += 1;
        info.samples += if meta.tier.is_none() { meta.samples } else { 0 };
        info.bytes += meta.stream_len;
    }
    info
}
