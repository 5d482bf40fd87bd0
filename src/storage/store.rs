//! redb: tables, transactions, and its errors in our words.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use parking_lot::{Mutex, RwLock};
use redb::{Builder, Database, Durability, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};

use crate::model::{Labels, Timestamp};

use super::StorageError;
use super::bytes::{check_crc, put_u32, seal_crc};
use super::head::Record;
use super::schema::{FILE_NAME, FORMAT, RECORD_VERSION};
use super::segment::{SegmentMeta, decode_series, encode_series, overlapping_pieces, piece_ranges};

const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const ROWS: TableDefinition<'_, (i64, u64), &[u8]> = TableDefinition::new("rows");
const SEGMENTS: TableDefinition<'_, (u64, u32), &[u8]> = TableDefinition::new("segments");
const DIRECTORY: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("directory");
const SERIES: TableDefinition<'_, (u32, u32), &[u8]> = TableDefinition::new("series");
const STATE: TableDefinition<'_, (u8, &[u8]), &[u8]> = TableDefinition::new("state");

/// Bytes of a row record in one value; longer ones are continued under the next number.
const ROW_PIECE: usize = (64 << 10) - 200;

type Result<T> = std::result::Result<T, StorageError>;

/// The database and where it lives.
pub(crate) struct Store {
    /// `None` in memory.
    path: Option<PathBuf>,
    cache_bytes: usize,
    db: RwLock<Option<Database>>,
    /// Serialises writers and numbers the rows.
    writer: Mutex<Writer>,
}

/// What only the one writer of the moment may touch.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    next_row: u64,
    run: u32,
}

/// What a seal changes, all in one transaction.
pub(crate) struct SealChange<'a> {
    pub(crate) meta: &'a SegmentMeta,
    pub(crate) stream: &'a [u8],
    /// Number of the first new label set, and the label sets.
    pub(crate) series: (u32, &'a [Labels]),
    /// Rows of windows before this one go.
    pub(crate) rows_before: Timestamp,
    pub(crate) retire: &'a Retire,
}

/// What retention takes.
#[derive(Debug, Default)]
pub(crate) struct Retire {
    pub(crate) segments: Vec<u64>,
    pub(crate) epochs: Vec<u32>,
}

/// One record of rows, whole and checked.
pub(crate) struct StoredRecord {
    pub(crate) window: Timestamp,
    pub(crate) run: u32,
    pub(crate) rows: Vec<u8>,
}

impl Store {
    /// Opens the ring's file, making directory and file where they are missing.
    pub(crate) fn open(dir: &Path, cache_bytes: usize) -> Result<Self> {
        std::fs::create_dir_all(dir).map_err(|source| StorageError::Unwritable { path: dir.to_path_buf(), source })?;
        let store = Self {
            path: Some(dir.to_path_buf()),
            cache_bytes,
            db: RwLock::new(None),
            writer: Mutex::new(Writer::default()),
        };
        store.reopen()?;
        Ok(store)
    }

    /// A store that ends with the process.
    pub(crate) fn in_memory() -> Result<Self> {
        let db = Builder::new()
            .create_with_backend(redb::backends::InMemoryBackend::new())
            .map_err(|e| failed("making a ring in memory", e))?;
        let store =
            Self { path: None, cache_bytes: 0, db: RwLock::new(Some(db)), writer: Mutex::new(Writer::default()) };
        store.prepare()?;
        Ok(store)
    }

    /// Opens the file anew: at the start, and after the disk failed.
    pub(crate) fn reopen(&self) -> Result<()> {
        let Some(dir) = &self.path else { return Ok(()) };
        let mut slot = self.db.write();
        // The lock on the file goes with the old handle.
        *slot = None;
        let file = dir.join(FILE_NAME);
        let db = Builder::new()
            .set_cache_size(self.cache_bytes)
            .create(&file)
            .map_err(|error| open_error(dir, &file, error))?;
        *slot = Some(db);
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
            Some(found) if found > FORMAT => Err(StorageError::NewerFormat {
                path: self.path.clone().unwrap_or_default().join(FILE_NAME),
                found,
                supported: FORMAT,
            }),
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
        let file = self.path.as_ref().map(|dir| dir.join(FILE_NAME));
        file.and_then(|file| std::fs::metadata(file).ok()).map_or(0, |m| m.blocks() * 512)
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

    /// Waits for the other writers.
    pub(crate) fn writer(&self) -> parking_lot::MutexGuard<'_, Writer> {
        self.writer.lock()
    }

    /// Writes rows and state in one transaction.
    pub(crate) fn commit(&self, writer: &mut Writer, records: &[Record], state: &[StateChange]) -> Result<()> {
        let first = writer.next_row;
        let run = writer.run;
        let next = self.write("writing rows", Durability::Immediate, |txn| {
            let mut number = first;
            let mut rows = txn.open_table(ROWS)?;
            for record in records {
                let bytes = encode_record(record, run);
                let mut pieces = bytes.chunks(ROW_PIECE).peekable();
                while let Some(piece) = pieces.next() {
                    let mut value = rows.insert_reserve((record.window, number), piece.len() + 1)?;
                    let value = value.as_mut();
                    value[0] = u8::from(pieces.peek().is_some());
                    value[1..].copy_from_slice(piece);
                    number += 1;
                }
            }
            drop(rows);
            put_state(txn, state)?;
            Ok(number)
        })?;
        writer.next_row = next;
        Ok(())
    }

    /// Writes a segment and everything that goes with it.
    pub(crate) fn seal(&self, change: &SealChange<'_>) -> Result<()> {
        self.write("sealing a window", Durability::Immediate, |txn| {
            let meta = change.meta;
            let mut segments = txn.open_table(SEGMENTS)?;
            for (number, range) in piece_ranges(change.stream.len()).into_iter().enumerate() {
                let mut value = change.stream.get(range).unwrap_or_default().to_vec();
                seal_crc(&mut value);
                segments.insert((meta.id, number as u32), value.as_slice())?;
            }
            drop(segments);
            txn.open_table(DIRECTORY)?.insert(meta.id, meta.encode().as_slice())?;
            let (first, labels) = change.series;
            let mut series = txn.open_table(SERIES)?;
            for (at, block) in encode_series(labels) {
                series.insert((meta.epoch, first + at as u32), block.as_slice())?;
            }
            drop(series);
            txn.open_table(ROWS)?.retain_in(..(change.rows_before, 0), |_, _| false)?;
            retire(txn, change.retire)
        })
    }

    /// Takes what retention names.
    pub(crate) fn retire(&self, change: &Retire) -> Result<()> {
        self.write("retiring segments", Durability::Immediate, |txn| retire(txn, change))
    }

    /// Drops rows of windows before this one: a segment covers them.
    pub(crate) fn drop_rows(&self, before: Timestamp) -> Result<()> {
        self.write("dropping rows", Durability::Immediate, |txn| {
            txn.open_table(ROWS)?.retain_in(..(before, 0), |_, _| false)?;
            Ok(())
        })
    }

    /// The directory, ascending by number, and how many of its records are damaged.
    pub(crate) fn directory(&self) -> Result<(Vec<SegmentMeta>, u64)> {
        self.read("reading the directory", |txn| {
            let mut damaged = 0;
            let mut metas = Vec::new();
            for entry in txn.open_table(DIRECTORY)?.iter()? {
                let (id, record) = entry?;
                match SegmentMeta::decode(id.value(), record.value()) {
                    Ok(meta) => metas.push(meta),
                    Err(_) => damaged += 1,
                }
            }
            Ok((metas, damaged))
        })
    }

    /// The label sets of a series table by their number; damaged blocks leave holes and are counted.
    pub(crate) fn series(&self, epoch: u32) -> Result<(Vec<Option<Labels>>, u64)> {
        self.read("reading a series table", |txn| {
            let mut all = Vec::new();
            let mut damaged = 0;
            for entry in txn.open_table(SERIES)?.range((epoch, 0)..=(epoch, u32::MAX))? {
                let (key, block) = entry?;
                match decode_series(block.value()) {
                    Ok(labels) => {
                        all.resize(key.value().1 as usize, None);
                        all.extend(labels.into_iter().map(Some));
                    }
                    Err(_) => damaged += 1,
                }
            }
            Ok((all, damaged))
        })
    }

    /// The epochs that have a series table.
    pub(crate) fn epochs(&self) -> Result<Vec<u32>> {
        self.read("reading the series tables", |txn| {
            let series = txn.open_table(SERIES)?;
            let mut epochs = Vec::new();
            let mut from = 0;
            while let Some(entry) = series.range((from, 0)..)?.next() {
                let epoch = entry?.0.value().0;
                epochs.push(epoch);
                match epoch.checked_add(1) {
                    Some(above) => from = above,
                    None => break,
                }
            }
            Ok(epochs)
        })
    }

    /// All rows, window by window in the order in which they were written, and how many records are damaged.
    pub(crate) fn rows(&self, mut each: impl FnMut(StoredRecord)) -> Result<u64> {
        self.read("replaying rows", |txn| {
            let mut damaged = 0;
            let mut bytes = Vec::new();
            for entry in txn.open_table(ROWS)?.iter()? {
                let (key, value) = entry?;
                let Some((more, piece)) = value.value().split_first() else { continue };
                bytes.extend_from_slice(piece);
                if *more == 1 {
                    continue;
                }
                match decode_record(&bytes) {
                    Some((run, rows)) => each(StoredRecord { window: key.value().0, run, rows: rows.to_vec() }),
                    None => damaged += 1,
                }
                bytes.clear();
            }
            Ok(damaged)
        })
    }

    /// Opens one segment for reading. The transaction ends with `look`.
    pub(crate) fn with_segment<T>(
        &self,
        meta: &SegmentMeta,
        look: impl FnOnce(&mut SegmentReader<'_>) -> Result<T>,
    ) -> Result<T> {
        let doing = "reading a segment";
        let guard = self.db.read();
        let db = guard.as_ref().ok_or_else(|| failed(doing, "the database is closed"))?;
        let txn = db.begin_read().map_err(|e| failed(doing, e))?;
        let table = txn.open_table(SEGMENTS).map_err(|e| failed(doing, e))?;
        look(&mut SegmentReader { meta, table, last: None })
    }

    /// One value of the small tables.
    pub(crate) fn state_get(&self, table: u8, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.read("reading state", |txn| {
            Ok(txn.open_table(STATE)?.get((table, key))?.map(|value| value.value().to_vec()))
        })
    }

    /// All pairs of a small table, ascending by key.
    pub(crate) fn state_scan(&self, table: u8) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        self.read("reading state", |txn| {
            let state = txn.open_table(STATE)?;
            let mut pairs = Vec::new();
            for entry in state.range::<(u8, &[u8])>((table, &[][..])..)? {
                let (key, value) = entry?;
                let (found, key) = key.value();
                if found != table {
                    break;
                }
                pairs.push((key.to_vec(), value.value().to_vec()));
            }
            Ok(pairs)
        })
    }
}

/// A change of a small table: table, key, and the value or `None` to remove it.
pub(crate) type StateChange = (StateKey, Option<Vec<u8>>);

/// Table and key of a small table's value.
pub(crate) type StateKey = (u8, Vec<u8>);

fn put_state(txn: &WriteTransaction, changes: &[StateChange]) -> std::result::Result<(), redb::Error> {
    if changes.is_empty() {
        return Ok(());
    }
    let mut state = txn.open_table(STATE)?;
    for ((table, key), value) in changes {
        match value {
            Some(value) => state.insert((*table, key.as_slice()), value.as_slice())?,
            None => state.remove((*table, key.as_slice()))?,
        };
    }
    Ok(())
}

fn retire(txn: &WriteTransaction, change: &Retire) -> std::result::Result<(), redb::Error> {
    let mut segments = txn.open_table(SEGMENTS)?;
    let mut directory = txn.open_table(DIRECTORY)?;
    for id in &change.segments {
        directory.remove(*id)?;
        segments.retain_in((*id, 0)..=(*id, u32::MAX), |_, _| false)?;
    }
    let mut series = txn.open_table(SERIES)?;
    for epoch in &change.epochs {
        series.retain_in((*epoch, 0)..=(*epoch, u32::MAX), |_, _| false)?;
    }
    Ok(())
}

/// Reads parts of one segment's stream; remembers the piece it read last.
pub(crate) struct SegmentReader<'a> {
    meta: &'a SegmentMeta,
    table: redb::ReadOnlyTable<(u64, u32), &'static [u8]>,
    last: Option<(u32, Vec<u8>)>,
}

impl SegmentReader<'_> {
    /// A part of the stream, `None` when retention has taken the segment.
    ///
    /// # Errors
    /// When a piece is damaged or the database failed.
    pub(crate) fn part(&mut self, part: Range<usize>) -> Result<Option<Vec<u8>>> {
        let mut out = Vec::with_capacity(part.len());
        for (number, range) in overlapping_pieces(self.meta.stream_len as usize, &part) {
            let Some(piece) = self.piece(number)? else { return Ok(None) };
            let from = part.start.max(range.start) - range.start;
            let to = part.end.min(range.end) - range.start;
            let Some(bytes) = piece.get(from..to) else {
                return Err(damaged(self.meta.id, "a piece is shorter than it should be"));
            };
            out.extend_from_slice(bytes);
        }
        Ok(Some(out))
    }

    fn piece(&mut self, number: u32) -> Result<Option<&[u8]>> {
        if self.last.as_ref().is_none_or(|(last, _)| *last != number) {
            let id = self.meta.id;
            let found = self.table.get((id, number)).map_err(|e| failed("reading a segment", e))?;
            let Some(value) = found else { return Ok(None) };
            let body = check_crc(value.value()).map_err(|e| damaged(id, e.0))?.to_vec();
            self.last = Some((number, body));
        }
        Ok(self.last.as_ref().map(|(_, body)| body.as_slice()))
    }
}

/// The error for a segment whose bytes are wrong.
pub(crate) fn damaged(id: u64, reason: &str) -> StorageError {
    StorageError::Damaged { what: format!("segment {id}"), reason: reason.to_owned() }
}

fn encode_record(record: &Record, run: u32) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(record.rows.len() + 9);
    bytes.push(RECORD_VERSION);
    put_u32(&mut bytes, run);
    bytes.extend_from_slice(&record.rows);
    seal_crc(&mut bytes);
    bytes
}

fn decode_record(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (version, rest) = check_crc(bytes).ok()?.split_first()?;
    let (run, rows) = rest.split_first_chunk()?;
    (*version == RECORD_VERSION).then_some((u32::from_le_bytes(*run), rows))
}

fn failed(doing: &'static str, error: impl std::fmt::Display) -> StorageError {
    StorageError::Failed { doing, reason: error.to_string() }
}

/// Puts redb's refusal to open into words.
fn open_error(dir: &Path, file: &Path, error: redb::DatabaseError) -> StorageError {
    let unwritable = |source| StorageError::Unwritable { path: file.to_path_buf(), source };
    match error {
        redb::DatabaseError::DatabaseAlreadyOpen => {
            StorageError::Locked { path: dir.to_path_buf(), holder: holder_of(file) }
        }
        redb::DatabaseError::UpgradeRequired(found) => {
            StorageError::NewerFormat { path: file.to_path_buf(), found: found.into(), supported: FORMAT }
        }
        redb::DatabaseError::Storage(redb::StorageError::Io(source)) if source.kind() == io::ErrorKind::InvalidData => {
            StorageError::Damaged { what: file.display().to_string(), reason: "it is no ring file".to_owned() }
        }
        redb::DatabaseError::Storage(redb::StorageError::Io(source)) => unwritable(source),
        redb::DatabaseError::Storage(redb::StorageError::Corrupted(reason)) => {
            StorageError::Damaged { what: file.display().to_string(), reason }
        }
        other => failed("opening the ring", other),
    }
}

/// ` (pid N)` of the process that holds the lock on a file, as `/proc/locks` knows it; else empty.
fn holder_of(file: &Path) -> String {
    use std::os::unix::fs::MetadataExt;
    let Ok(inode) = std::fs::metadata(file).map(|m| m.ino()) else { return String::new() };
    let Ok(locks) = std::fs::read_to_string("/proc/locks") else { return String::new() };
    holder_in(&locks, inode).map_or_else(String::new, |pid| format!(" (pid {pid})"))
}

/// A line is `1: FLOCK  ADVISORY  WRITE 708 fe:01:123456 0 EOF`: the pid, then device and inode (proc_locks(5)).
fn holder_in(locks: &str, inode: u64) -> Option<u32> {
    locks.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip_while(|w| *w != "WRITE").skip(1);
        let pid = words.next()?.parse().ok().filter(|pid| *pid > 0)?;
        let number = words.next()?.rsplit(':').next()?.parse::<u64>().ok()?;
        (number == inode).then_some(pid)
    })
}

#[cfg(test)]
mod tests {
    use super::holder_in;

    #[test]
    fn finds_the_holder_of_a_lock() {
        let locks = "1: POSIX  ADVISORY  READ  5 08:01:77 0 EOF\n2: FLOCK  ADVISORY  WRITE 708 fe:01:123 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 0 fe:01:9 0 EOF\n";
        assert_eq!(holder_in(locks, 123), Some(708));
        assert_eq!(holder_in(locks, 77), None);
        assert_eq!(holder_in(locks, 9), None);
        assert_eq!(holder_in("nonsense", 1), None);
    }
}
