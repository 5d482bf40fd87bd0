//! Free pages go back to the file system.

use std::sync::atomic::Ordering::Relaxed;

use redb::{CompactionError, Durability};

use super::{Result, Store, failed};

impl Store {
    /// Moves the pages in use to the front of the file and cuts off the rest; says whether any moved. Everybody who wants the
    /// file waits meanwhile: some 4 ms for each MB in use.
    ///
    /// # Errors
    /// When the disk failed; the file is as whole as ever.
    pub(crate) fn compact(&self) -> Result<bool> {
        self.compacting.store(true, Relaxed);
        let moved = self.compact_alone();
        self.compacting.store(false, Relaxed);
        moved.and_then(|moved| {
            // A process that is killed now would have the whole file read at the next start: compacting leaves no allocator state.
            self.write("ending a compaction", Durability::Immediate, |_| Ok(moved))
        })
    }

    fn compact_alone(&self) -> Result<bool> {
        let doing = "compacting the file";
        let mut slot = self.db.write();
        let handle = slot.as_mut().and_then(|handle| handle.0.as_mut());
        let db = handle.ok_or_else(|| failed(doing, "the database is closed"))?;
        self.guard(doing, || match db.compact() {
            Ok(moved) => Ok(moved),
            Err(CompactionError::Storage(error)) => Err(self.broken(doing, error)),
            Err(error) => Err(failed(doing, error)),
        })
    }

    /// Whether the file is being compacted at this moment.
    pub(crate) fn is_compacting(&self) -> bool {
        self.compacting.load(Relaxed)
    }
}
