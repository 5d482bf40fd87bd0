//! redb: tables, transactions, and its errors in our words.

mod open;
mod rows;
mod segments;

use std::path::{Path, PathBuf};

use parking_lot::{Mutex, RwLock};
use redb::{Builder, Database, Durability, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};

use crate::model::Timestamp;

use super::StorageError;
use super::schema::{FILE_NAME, FORMAT};

pub(crate) use rows::{StateChange, StateKey, StoredRecord};
pub(crate) use segments::{Retire, SealChange, SegmentReader, damaged};

const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const ROWS: TableDefinition<'_, (i64, u64), &[u8]> = TableDefinition::new("rows");
const SEGMENTS: TableDefinition<'_, (u64, u32), &[u8]> = TableDefinition::new("segments");
const DIRECTORY: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("directory");
const SERIES: TableDefinition<'_, (u32, u32), &[u8]> = TableDefinition::new("series");
const STATE: TableDefinition<'_, (u8, &[u8]), &[u8]> = TableDefinition::new("state");

type Result<T> = std::result::Result<T, StorageError>;

/// How the database is opened, at the start and after it failed.
type Opener = Box<dyn Fn() -> Result<Database> + Send + Sync>;

/// The database and where it lives.
pub(crate) struct Store {
    /// `None` in memory.
    file: Option<PathBuf>,
    opener: Opener,
    db: RwLock<Option<Database>>,
    /// Serialises writers and numbers the rows.
    writer: Mutex<Writer>,
}

/// What only the one writer of the moment may touch.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    next_row: u64,
    run: u32,
    /// How far rows of the last run may reach beyond the window length of this one, in milliseconds.
    slack_ms: i64,
}

impl Writer {
    /// Rows before this window are covered once everything before `window_end` is sealed.
    pub(crate) fn rows_before(&self, window_end: Timestamp) -> Timestamp {
        window_end.saturating_sub(self.slack_ms)
    }
}

impl Store {
    /// Opens the ring's file, making directory and file where they are missing.
    pub(crate) fn open(dir: &Path, cache_bytes: usize) -> Result<Self> {
        std::fs::create_dir_all(dir).map_err(|source| StorageError::Unwritable { path: dir.to_path_buf(), source })?;
        let (dir, file) = (dir.to_path_buf(), dir.join(FILE_NAME));
        let path = file.clone();
        let opener = move || {
            let builder = &mut Builder::new();
            builder.set_cache_size(cache_bytes).create(&path).map_err(|error| open::open_error(&dir, &path, error))
        };
        Self::with_opener(Some(file), Box::new(opener))
    }

    /// A store that ends with the process.
    pub(crate) fn in_memory() -> Result<Self> {
        let open = || Builder::new().create_with_backend(redb::backends::InMemoryBackend::new());
        Self::with_opener(None, Box::new(move || open().map_err(|e| failed("making a ring in memory", e))))
    }

    /// A store on whatever `opener` opens.
    pub(crate) fn with_opener(file: Option<PathBuf>, opener: Opener) -> Result<Self> {
        let store = Self { file, opener, db: RwLock::new(None), writer: Mutex::new(Writer::default()) };
        store.reopen()?;
        Ok(store)
    }

    /// Opens the database anew: at the start, and after the disk failed.
    pub(crate) fn reopen(&self) -> Result<()> {
        let mut slot = self.db.write();
        // The lock on the file goes with the old handle.
        *slot = None;
        *slot = Some((self.opener)()?);
        drop(slot);
        self.prepare()
    }

    /// Checks the format, makes the tables, and numbers this run of the process.
    fn prepare(&self) -> Result<()> {
        let mut writer = self.writer.lock();
        self.check_format()?;
        let run = self.write("preparing the tables", Durability::Immediate, |txn| {
            let mut meta = txn.open_table(META)?;
            let number = |bytes: &[u8]| bytes.first_chunk().map_or(0, |b| u32::from_le_bytes(*b));
            let run = meta.get("run")?.map_or(0, |v| number(v.value())).wrapping_add(1);
            meta.insert("format", &FORMAT.to_le_bytes()[..])?;
            meta.insert("run", &run.to_le_bytes()[..])?;
            txn.open_table(ROWS)?;
            txn.open_table(SEGMENTS)?;
            txn.open_table(DIRECTORY)?;
            txn.open_table(SERIES)?;
            txn.open_table(STATE)?;
            Ok(run)
        })?;
        let next_row = self.read("looking for rows", |txn| {
            let rows = txn.open_table(ROWS)?;
            let mut next = 0;
            // Numbers only grow, across windows too; windows are few.
            let mut window = i64::MIN;
            while let Some(entry) = rows.range((window, 0)..)?.next() {
                let (first, _) = entry?;
                window = first.value().0;
                if let Some(last) = rows.range((window, 0)..=(window, u64::MAX))?.next_back() {
                    next = next.max(last?.0.value().1 + 1);
                }
                match window.checked_add(1) {
                    Some(above) => window = above,
                    None => break,
                }
            }
            Ok(next)
        })?;
        // A store that was reopened after a failure goes on with its numbers.
        writer.next_row = writer.next_row.max(next_row);
        if writer.run == 0 {
            writer.run = run;
        }
        Ok(())
    }

    fn check_format(&self) -> Result<()> {
        let found = self.read("reading the format", |txn| match txn.open_table(META) {
            Ok(meta) => Ok(meta.get("format")?.and_then(|v| v.value().first_chunk().map(|b| u32::from_le_bytes(*b)))),
            Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(error.into()),
        })?;
        match found {
            Some(found) if found > FORMAT => {
                Err(StorageError::NewerFormat { path: self.file.clone().unwrap_or_default(), found, supported: FORMAT })
            }
            _ => Ok(()),
        }
    }

    /// Closes the file; later calls fail.
    pub(crate) fn close(&self) {
        *self.db.write() = None;
    }

    /// Bytes of the file's allocated blocks.
    pub(crate) fn disk_bytes(&self) -> u64 {
        use std::os::unix::fs::MetadataExt;
        self.file.as_ref().and_then(|file| std::fs::metadata(file).ok()).map_or(0, |m| m.blocks() * 512)
    }

    fn write<T>(
        &self,
        doing: &'static str,
        durability: Durability,
        change: impl FnOnce(&WriteTransaction) -> std::result::Result<T, redb::Error>,
    ) -> Result<T> {
        let guard = self.db.read();
        let db = guard.as_ref().ok_or_else(|| failed(doing, "the database is closed"))?;
        let mut txn = db.begin_write().map_err(|e| failed(doing, e))?;
        txn.set_durability(durability).map_err(|e| failed(doing, e))?;
        // Without it a killed process would have the whole file read at the next start.
        txn.set_quick_repair(true);
        let out = change(&txn).map_err(|e| failed(doing, e))?;
        txn.commit().map_err(|e| failed(doing, e))?;
        Ok(out)
    }

    fn read<T>(
        &self,
        doing: &'static str,
        look: impl FnOnce(&redb::ReadTransaction) -> std::result::Result<T, redb::Error>,
    ) -> Result<T> {
        let guard = self.db.read();
        let db = guard.as_ref().ok_or_else(|| failed(doing, "the database is closed"))?;
        let txn = db.begin_read().map_err(|e| failed(doing, e))?;
        look(&txn).map_err(|e| failed(doing, e))
    }

    /// Remembers the length of a window; rows that were keyed by longer ones are kept a little longer.
    pub(crate) fn set_window(&self, window_ms: i64) -> Result<()> {
        let old = self.write("remembering the window", Durability::Immediate, |txn| {
            let mut meta = txn.open_table(META)?;
            let old = meta.get("window_ms")?.and_then(|v| v.value().first_chunk().map(|b| i64::from_le_bytes(*b)));
            if old != Some(window_ms) {
                meta.insert("window_ms", &window_ms.to_le_bytes()[..])?;
            }
            Ok(old.unwrap_or(window_ms))
        })?;
        self.writer.lock().slack_ms = (old - window_ms).max(0);
        Ok(())
    }

    /// Waits for the other writers.
    pub(crate) fn writer(&self) -> parking_lot::MutexGuard<'_, Writer> {
        self.writer.lock()
    }
}

fn failed(doing: &'static str, error: impl std::fmt::Display) -> StorageError {
    StorageError::Failed { doing, reason: error.to_string() }
}
