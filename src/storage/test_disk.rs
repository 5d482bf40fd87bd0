//! A disk for tests: a file in memory that stops after some writes, or keeps a record of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::{fmt, io};

use parking_lot::Mutex;

use super::StorageError;
use super::store::Store;
use super::testing::Random;

/// What a database asked of its disk.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Write(usize, Vec<u8>),
    Length(usize),
    Sync,
}

/// A file in memory that outlives its database, and a count of the writes that it still takes. Clones share both.
#[derive(Clone)]
pub(crate) struct Disk {
    pub(crate) bytes: Arc<Mutex<Vec<u8>>>,
    pub(crate) left: Arc<AtomicI64>,
    /// Every step since it was asked to keep them.
    record: Arc<Mutex<Option<Vec<Step>>>>,
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Disk")
    }
}

impl Disk {
    pub(crate) fn new() -> Self {
        Self::with(Vec::new())
    }

    pub(crate) fn with(bytes: Vec<u8>) -> Self {
        Self { bytes: Arc::new(Mutex::new(bytes)), left: Arc::new(AtomicI64::new(i64::MAX)), record: Arc::default() }
    }

    /// Keeps every step from now on.
    pub(crate) fn record(&self) {
        *self.record.lock() = Some(Vec::new());
    }

    /// How many steps there were since [`Disk::record`].
    pub(crate) fn recorded(&self) -> usize {
        self.record.lock().as_ref().map_or(0, Vec::len)
    }

    /// The steps since [`Disk::record`].
    pub(crate) fn take_record(&self) -> Vec<Step> {
        self.record.lock().take().unwrap_or_default()
    }

    pub(crate) fn store(&self) -> Store {
        let disk = self.clone();
        let open = move || redb::Builder::new().set_cache_size(1 << 16).create_with_backend(disk.clone());
        let error = |e: redb::DatabaseError| match e {
            redb::DatabaseError::Storage(redb::StorageError::Io(e)) if e.kind() == io::ErrorKind::StorageFull => {
                StorageError::Full { doing: "opening" }
            }
            other => StorageError::Failed { doing: "opening", reason: other.to_string() },
        };
        Store::with_opener(None, Box::new(move || open().map_err(error)))
    }

    fn step(&self, step: impl FnOnce() -> Step) -> io::Result<()> {
        if self.left.fetch_sub(1, Relaxed) <= 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if let Some(record) = self.record.lock().as_mut() {
            record.push(step());
        }
        Ok(())
    }
}

impl redb::StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes.lock().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let bytes = self.bytes.lock();
        let from = offset as usize;
        out.copy_from_slice(bytes.get(from..from + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.step(|| Step::Length(len as usize))?;
        self.bytes.lock().resize(len as usize, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.step(|| Step::Sync)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.step(|| Step::Write(offset as usize, data.to_vec()))?;
        let from = offset as usize;
        self.bytes.lock().get_mut(from..from + data.len()).ok_or(io::ErrorKind::UnexpectedEof)?.copy_from_slice(data);
        Ok(())
    }
}

/// Does a step to an image.
pub(crate) fn apply(image: &mut Vec<u8>, step: &Step) {
    match step {
        Step::Write(from, data) => {
            if let Some(place) = image.get_mut(*from..from + data.len()) {
                place.copy_from_slice(data);
            }
        }
        Step::Length(len) => image.resize(*len, 0),
        Step::Sync => {}
    }
}

/// What a power cut leaves: of the writes since the last sync some are there, some are not, and some are there in part
/// (in sectors of 512 bytes). The file's length is what it was told last.
pub(crate) fn apply_some(image: &mut Vec<u8>, unsynced: &[Step], random: &mut Random) {
    let longest = unsynced.iter().map(|step| if let Step::Length(len) = step { *len } else { 0 }).max().unwrap_or(0);
    let last = unsynced.iter().rev().find_map(|step| if let Step::Length(len) = step { Some(*len) } else { None });
    if longest > image.len() {
        image.resize(longest, 0);
    }
    for step in unsynced {
        let Step::Write(from, data) = step else { continue };
        match random.below(3) {
            0 => {}
            1 => apply(image, step),
            _ => {
                for (at, sector) in data.chunks(512).enumerate() {
                    if random.below(2) == 0 {
                        apply(image, &Step::Write(from + at * 512, sector.to_vec()));
                    }
                }
            }
        }
    }
    if let Some(last) = last {
        image.resize(last, 0);
    }
}
