//! A second file that becomes a ring when everything is in it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use redb::{Builder, Database, Durability, ReadableTable, WriteTransaction};

use crate::storage::StorageError;
use crate::storage::schema::FILE_NAME;

use super::open::{is_full, unwritable};
use super::raw::{Numbered, SmallTables};
use super::{DIRECTORY, META, ROWS, Result, SEGMENTS, SERIES, STATE, failed};

/// Bytes that redb may cache while it writes the copy.
const CACHE_BYTES: usize = 4 << 20;
const DOING: &str = "writing a snapshot";

/// A ring that is being written. Dropped before [`Copy::finish`], it leaves nothing behind.
pub(crate) struct Copy {
    dir: PathBuf,
    /// Has the ring's name only when it is whole.
    part: PathBuf,
    db: Option<Database>,
    made_dir: bool,
}

impl Copy {
    /// Makes directory and file.
    ///
    /// # Errors
    /// When there is a ring already, or the directory cannot be written.
    pub(crate) fn begin(dir: &Path) -> Result<Self> {
        let made_dir = !dir.exists();
        fs::create_dir_all(dir).map_err(|source| unwritable(dir, source))?;
        let name = dir.join(FILE_NAME);
        if name.exists() {
            let source = std::io::Error::new(std::io::ErrorKind::AlreadyExists, "there is a ring already");
            return Err(unwritable(&name, source));
        }
        let part = name.with_extension("part");
        // What an earlier attempt left there.
        match fs::remove_file(&part) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(unwritable(&part, error)),
            _ => {}
        }
        let mut copy = Self { dir: dir.to_path_buf(), part, db: None, made_dir };
        copy.db = Some(Builder::new().set_cache_size(CACHE_BYTES).create(&copy.part).map_err(broken)?);
        copy.write(Durability::None, |txn| {
            txn.open_table(META)?;
            txn.open_table(ROWS)?;
            txn.open_table(SEGMENTS)?;
            txn.open_table(DIRECTORY)?;
            txn.open_table(SERIES)?;
            txn.open_table(STATE)?;
            Ok(())
        })?;
        Ok(copy)
    }

    /// Adds the pieces of a segment.
    pub(crate) fn segment(&self, id: u64, pieces: &[Numbered<u32>]) -> Result<()> {
        self.write(Durability::None, |txn| {
            let mut table = txn.open_table(SEGMENTS)?;
            for (number, piece) in pieces {
                table.insert((id, *number), piece.as_slice())?;
            }
            Ok(())
        })
    }

    /// Adds the blocks of a series table that are missing.
    pub(crate) fn series(&self, epoch: u32, blocks: &[Numbered<u32>]) -> Result<()> {
        self.write(Durability::None, |txn| {
            let mut table = txn.open_table(SERIES)?;
            for (first, block) in blocks {
                if table.get((epoch, *first))?.is_none() {
                    table.insert((epoch, *first), block.as_slice())?;
                }
            }
            Ok(())
        })
    }

    /// Adds everything else, takes away what the ring no longer has, and gives the file its name.
    pub(crate) fn finish(mut self, small: &SmallTables, gone: &[u64]) -> Result<()> {
        self.write(Durability::Immediate, |txn| {
            let mut segments = txn.open_table(SEGMENTS)?;
            for id in gone {
                segments.retain_in((*id, 0)..=(*id, u32::MAX), |_, _| false)?;
            }
            drop(segments);
            let mut directory = txn.open_table(DIRECTORY)?;
            for (id, record) in &small.directory {
                directory.insert(*id, record.as_slice())?;
            }
            drop(directory);
            let mut rows = txn.open_table(ROWS)?;
            for (key, value) in &small.rows {
                rows.insert(*key, value.as_slice())?;
            }
            drop(rows);
            let mut state = txn.open_table(STATE)?;
            for ((table, key), value) in &small.state {
                state.insert((*table, key.as_slice()), value.as_slice())?;
            }
            drop(state);
            let mut meta = txn.open_table(META)?;
            for (key, value) in &small.meta {
                meta.insert(key.as_str(), value.as_slice())?;
            }
            Ok(())
        })?;
        self.db = None;
        let name = self.dir.join(FILE_NAME);
        let named = fs::rename(&self.part, &name).and_then(|()| File::open(&self.dir)).and_then(|dir| dir.sync_all());
        named.map_err(|source| unwritable(&name, source))?;
        // Nothing to clean up.
        self.part.clear();
        Ok(())
    }

    fn write(
        &self,
        durability: Durability,
        change: impl FnOnce(&WriteTransaction) -> std::result::Result<(), redb::Error>,
    ) -> Result<()> {
        let db = self.db.as_ref().ok_or_else(|| failed(DOING, "the file is closed"))?;
        let mut txn = db.begin_write().map_err(broken)?;
        txn.set_durability(durability).map_err(|e| failed(DOING, e))?;
        txn.set_quick_repair(matches!(durability, Durability::Immediate));
        change(&txn).map_err(broken)?;
        txn.commit().map_err(broken)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        self.db = None;
        if self.part.as_os_str().is_empty() {
            return;
        }
        // The error that brought us here is the one to report.
        let _ = fs::remove_file(&self.part);
        if self.made_dir {
            let _ = fs::remove_dir(&self.dir);
        }
    }
}

fn broken(error: impl Into<redb::Error>) -> StorageError {
    match error.into() {
        redb::Error::Io(error) if is_full(&error) => StorageError::Full { doing: DOING },
        other => failed(DOING, other),
    }
}
