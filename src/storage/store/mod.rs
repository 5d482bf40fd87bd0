//! redb: tables, transactions, and its errors in our words.

mod compact;
mod copy;
mod open;
mod overlay;
mod raw;
mod rows;
mod segments;
mod tail;

use std::hash::{BuildHasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use parking_lot::{Mutex, RwLock};
use redb::{Builder, Database, Durability, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};

use crate::model::Timestamp;

use super::StorageError;
use super::schema::{FILE_NAME, FORMAT};

pub(crate) use copy::Copy;
pub(crate) use raw::SmallTables;
pub(crate) use rows::{StateChange, StateKey, StoredRecord};
pub(crate) use segments::{MergeChange, Replaced, Retire, SealChange, SegmentReader, Stream, damaged};

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
    db: RwLock<Option<Handle>>,
    /// Device and inode of the file that is open.
    identity: Mutex<Option<(u64, u64)>>,
    /// Serialises writers and numbers the rows.
    writer: Mutex<Writer>,
    /// Segments that were merged into others while queries may be reading them.
    replaced: Mutex<Vec<Replaced>>,
    /// The file is being compacted: whoever wants it waits.
    compacting: AtomicBool,
    /// Rows that are beside the file, not yet in it.
    tail: Mutex<tail::Tail>,
}

/// An open database. After damaged pages made redb panic, it may panic again when it is dropped.
struct Handle(Option<Database>);

/// The database that is open.
fn opened<'a>(handle: &'a Option<Handle>, doing: &'static str) -> Result<&'a Database> {
    handle.as_ref().and_then(|handle| handle.0.as_ref()).ok_or_else(|| failed(doing, "the database is closed"))
}

impl Drop for Handle {
    fn drop(&mut self) {
        let db = self.0.take();
        // What it had to say has been said when the damage was found.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(db)));
    }
}

/// What only the one writer of the moment may touch.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    next_row: u64,
    run: u32,
    /// Whether the tail of the process before has been taken over.
    adopted: bool,
    /// Rows that were keyed by windows of another length.
    foreign: Option<ForeignRows>,
}

/// Rows of the time before the window's length was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ForeignRows {
    /// No such row reaches beyond this.
    until: Timestamp,
    /// The longest window that keys them, in milliseconds.
    length_ms: i64,
}

impl Writer {
    /// Rows of windows before this one are covered once everything before `window_end` is sealed.
    pub(crate) fn rows_before(&self, window_end: Timestamp) -> Timestamp {
        match self.foreign {
            // A foreign window may begin before `window_end` and end after it.
            Some(rows) if window_end < rows.until => window_end.saturating_sub(rows.length_ms - 1),
            _ => window_end,
        }
    }

    /// The number of this run of the process in the rows; 0 before the file was opened.
    pub(crate) fn run(&self) -> u32 {
        self.run
    }
}

impl Store {
    /// The store in a directory. Nothing is opened before [`Store::reopen`].
    pub(crate) fn in_dir(dir: &Path, cache_bytes: usize) -> Self {
        let (dir, file) = (dir.to_path_buf(), dir.join(FILE_NAME));
        let path = file.clone();
        let opener = move || open::open_or_make(&dir, &path, cache_bytes);
        Self::with_opener(Some(file), Box::new(opener))
    }

    /// The store in a directory, to look at: its file is never changed.
    pub(crate) fn to_look_at(dir: &Path, cache_bytes: usize) -> Self {
        let (dir, file) = (dir.to_path_buf(), dir.join(FILE_NAME));
        let path = file.clone();
        Self::with_opener(Some(file), Box::new(move || overlay::look(&dir, &path, cache_bytes)))
    }

    /// A store that ends with the process.
    pub(crate) fn in_memory() -> Self {
        let open = || Builder::new().create_with_backend(redb::backends::InMemoryBackend::new());
        Self::with_opener(None, Box::new(move || open().map_err(|e| failed("making a ring in memory", e))))
    }

    /// A store on whatever `opener` opens, at the first [`Store::reopen`].
    pub(crate) fn with_opener(file: Option<PathBuf>, opener: Opener) -> Self {
        let (db, writer) = (RwLock::new(None), Mutex::new(Writer::default()));
        let compacting = AtomicBool::new(false);
        let (replaced, tail) = (Mutex::default(), Mutex::default());
        Self { file, opener, db, identity: Mutex::new(None), writer, replaced, compacting, tail }
    }

    /// Whether the file has been taken away or replaced behind our back.
    pub(crate) fn is_gone(&self) -> bool {
        use std::os::unix::fs::MetadataExt;
        let Some(file) = &self.file else { return false };
        let found = std::fs::metadata(file).ok().map(|m| (m.dev(), m.ino()));
        let opened = *self.identity.lock();
        opened.is_some() && found != opened
    }

    /// Opens the database anew: at the start, and after the disk failed.
    pub(crate) fn reopen(&self) -> Result<()> {
        let mut slot = self.db.write();
        // The lock on the file goes with the old handle.
        *slot = None;
        *slot = Some(Handle(Some(self.guard("opening the ring", &self.opener)?)));
        drop(slot);
        self.remember_identity();
        self.prepare()
    }

    fn remember_identity(&self) {
        use std::os::unix::fs::MetadataExt;
        let found = self.file.as_ref().and_then(|file| std::fs::metadata(file).ok());
        *self.identity.lock() = found.map(|m| (m.dev(), m.ino()));
    }

    /// redb trusts its own pages: where they are damaged it may panic, and then the file is what is wrong.
    ///
    /// A transaction must have no table open while it opens another: a panic there leaves a lock that the open one
    /// wants when it is dropped, and a second panic would end the process.
    fn guard<T>(&self, doing: &'static str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(self.damaged_file(format!("found while {doing}"))))
    }

    fn damaged_file(&self, reason: String) -> StorageError {
        let what = self.file.as_ref().map_or_else(|| "the ring".to_owned(), |file| file.display().to_string());
        StorageError::Damaged { what, reason: format!("{reason}; {}", open::WHAT_TO_DO) }
    }

    /// redb's error in our words.
    fn broken(&self, doing: &'static str, error: impl Into<redb::Error>) -> StorageError {
        match error.into() {
            redb::Error::Io(error) if open::is_full(&error) => StorageError::Full { doing },
            redb::Error::Corrupted(reason) => self.damaged_file(format!("{reason}, found while {doing}")),
            other => failed(doing, other),
        }
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
            if meta.get("tail")?.is_none() {
                // A tail of another file that had this name must not fit.
                let chance = RandomState::new().hash_one(run) >> 1;
                meta.insert("tail", &chance.to_le_bytes()[..])?;
            }
            drop(meta);
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
        let is_first = !writer.adopted;
        self.adopt_tail(&mut writer, is_first)?;
        // A disk that was full at the start gets another chance: until then nothing is written over the tail.
        writer.adopted = true;
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
        let db = opened(&guard, doing)?;
        self.guard(doing, || {
            let mut txn = db.begin_write().map_err(|e| self.broken(doing, e))?;
            txn.set_durability(durability).map_err(|e| failed(doing, e))?;
            // Without it a killed process would have the whole file read at the next start.
            txn.set_quick_repair(true);
            let out = change(&txn).map_err(|e| self.broken(doing, e))?;
            txn.commit().map_err(|e| self.broken(doing, e))?;
            Ok(out)
        })
    }

    fn read<T>(
        &self,
        doing: &'static str,
        look: impl FnOnce(&redb::ReadTransaction) -> std::result::Result<T, redb::Error>,
    ) -> Result<T> {
        let guard = self.db.read();
        let db = opened(&guard, doing)?;
        self.guard(doing, || {
            let txn = db.begin_read().map_err(|e| self.broken(doing, e))?;
            look(&txn).map_err(|e| self.broken(doing, e))
        })
    }

    /// Remembers the length of a window, and how far rows reach that were keyed by windows of another length.
    pub(crate) fn set_window(&self, window_ms: i64) -> Result<()> {
        let known = self.read("reading the window", |txn| {
            let meta = txn.open_table(META)?;
            let same = meta.get("window_ms")?.and_then(|v| number(v.value())) == Some(window_ms);
            Ok(same && meta.get("foreign_rows")?.is_none())
        })?;
        if known {
            // The usual case: a start need not wait for the disk once more.
            self.writer.lock().foreign = None;
            return Ok(());
        }
        let foreign = self.write("remembering the window", Durability::Immediate, |txn| {
            let mut meta = txn.open_table(META)?;
            let old = meta.get("window_ms")?.and_then(|v| number(v.value()));
            let known = meta.get("foreign_rows")?.and_then(|v| {
                let (until, length) = v.value().split_at_checked(8)?;
                Some(ForeignRows { until: number(until)?, length_ms: number(length)? })
            });
            meta.insert("window_ms", &window_ms.to_le_bytes()[..])?;
            drop(meta);
            let Some(old) = old.filter(|old| *old != window_ms) else { return Ok(known) };
            let last = txn.open_table(ROWS)?.last()?.map(|(key, _)| key.value().0);
            let foreign = last.map(|last| {
                let until = last.saturating_add(old);
                known.filter(|rows| rows.until > last).map_or(ForeignRows { until, length_ms: old }, |rows| {
                    ForeignRows { until: until.max(rows.until), length_ms: old.max(rows.length_ms) }
                })
            });
            if let Some(rows) = foreign {
                let bytes = [rows.until.to_le_bytes(), rows.length_ms.to_le_bytes()].concat();
                txn.open_table(META)?.insert("foreign_rows", bytes.as_slice())?;
            }
            Ok(foreign)
        })?;
        self.writer.lock().foreign = foreign;
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

/// A number of the table `meta`.
fn number(bytes: &[u8]) -> Option<i64> {
    bytes.first_chunk().map(|b| i64::from_le_bytes(*b))
}
