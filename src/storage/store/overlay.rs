//! A file that is looked at and never changed: what redb writes while it opens or repairs it stays in memory.

use std::collections::HashMap;
use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use parking_lot::Mutex;
use redb::{Builder, Database};

use crate::storage::StorageError;

use super::open::{holder_of, no_ring, open_error};

/// Bytes that are kept together once any of them was written.
const BLOCK: u64 = 4096;
/// Blocks that may be written: opening a ring takes a few dozens, a full repair of a gigabyte some thousands.
const MAX_BLOCKS: usize = (256 << 20) / BLOCK as usize;

/// A read-only file under what was written since it was opened.
#[derive(Debug)]
struct Overlay {
    file: File,
    file_len: u64,
    written: Mutex<Written>,
}

#[derive(Debug)]
struct Written {
    len: u64,
    blocks: HashMap<u64, Box<[u8]>>,
}

/// Opens a ring's file to look at it. The lock is shared: others may look too, and nobody may write meanwhile.
pub(super) fn look(dir: &Path, file: &Path, cache_bytes: usize) -> Result<Database, StorageError> {
    let missing = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => StorageError::NoRing { path: dir.to_path_buf() },
        _ => StorageError::Unreadable { path: file.to_path_buf(), source },
    };
    let handle = File::open(file).map_err(missing)?;
    match handle.try_lock_shared() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(StorageError::Locked { path: dir.to_path_buf(), holder: holder_of(file) });
        }
        Err(TryLockError::Error(source)) => return Err(missing(source)),
    }
    let file_len = handle.metadata().map_err(missing)?.len();
    if file_len == 0 {
        return Err(no_ring(file, "it is empty"));
    }
    let written = Mutex::new(Written { len: file_len, blocks: HashMap::new() });
    let mut builder = Builder::new();
    builder.set_cache_size(cache_bytes);
    builder
        .create_with_backend(Overlay { file: handle, file_len, written })
        .map_err(|error| open_error(dir, file, error))
}

impl Overlay {
    /// A block as the file has it; zeros beyond its end.
    fn block(&self, number: u64) -> io::Result<Box<[u8]>> {
        let mut block = vec![0; BLOCK as usize].into_boxed_slice();
        let from = number * BLOCK;
        let there = self.file_len.saturating_sub(from).min(BLOCK) as usize;
        self.file.read_exact_at(&mut block[..there], from)?;
        Ok(block)
    }
}

impl redb::StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.written.lock().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let written = self.written.lock();
        if offset.checked_add(out.len() as u64).is_none_or(|end| end > written.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let there = (self.file_len.saturating_sub(offset) as usize).min(out.len());
        let (in_file, beyond) = out.split_at_mut(there);
        self.file.read_exact_at(in_file, offset)?;
        beyond.fill(0);
        if written.blocks.is_empty() {
            return Ok(());
        }
        for (number, within, range) in parts(offset, out.len()) {
            if let Some(block) = written.blocks.get(&number) {
                let len = range.len();
                out[range].copy_from_slice(&block[within..within + len]);
            }
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.written.lock().len = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut written = self.written.lock();
        for (number, within, range) in parts(offset, data.len()) {
            if !written.blocks.contains_key(&number) {
                if written.blocks.len() >= MAX_BLOCKS {
                    return Err(io::Error::other("the file needs more repair than fits into memory"));
                }
                let block = self.block(number)?;
                written.blocks.insert(number, block);
            }
            if let Some(block) = written.blocks.get_mut(&number) {
                block[within..within + range.len()].copy_from_slice(&data[range]);
            }
        }
        Ok(())
    }
}

/// The blocks that a stretch lies in: number, first byte within the block, and which bytes of the stretch.
fn parts(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let end = offset + len as u64;
    (offset / BLOCK..end.div_ceil(BLOCK)).map(move |number| {
        let from = (number * BLOCK).max(offset);
        let to = ((number + 1) * BLOCK).min(end);
        (number, (from % BLOCK) as usize, (from - offset) as usize..(to - offset) as usize)
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use redb::{ReadableDatabase, TableDefinition};

    use super::{look, parts};
    use crate::storage::StorageError;

    const TABLE: TableDefinition<'_, u64, u64> = TableDefinition::new("t");

    #[test]
    fn stretches_fall_into_blocks() {
        let all: Vec<_> = parts(4090, 4106).collect();
        assert_eq!(all, [(0, 4090, 0..6), (1, 0, 6..4102), (2, 0, 4102..4106)]);
        assert_eq!(parts(8192, 0).count(), 0);
    }

    #[test]
    fn what_is_written_through_a_look_never_reaches_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ring.redb");
        assert!(matches!(look(dir.path(), &file, 1 << 20), Err(StorageError::NoRing { .. })));
        let put = |db: &redb::Database, key| {
            let txn = db.begin_write().unwrap();
            txn.open_table(TABLE).unwrap().insert(key, key).unwrap();
            txn.commit().unwrap();
        };
        put(&redb::Database::create(&file).unwrap(), 1);
        let before = fs::read(&file).unwrap();
        let db = look(dir.path(), &file, 1 << 20).unwrap();
        (2..5000).for_each(|key| put(&db, key));
        let read = db.begin_read().unwrap().open_table(TABLE).unwrap();
        assert_eq!((read.get(1).unwrap().unwrap().value(), read.get(4999).unwrap().unwrap().value()), (1, 4999));
        // Nobody writes meanwhile, others may look.
        assert!(redb::Database::create(&file).is_err());
        drop((read, look(dir.path(), &file, 1 << 20).unwrap(), db));
        assert!(fs::read(&file).unwrap() == before);
        fs::write(&file, b"").unwrap();
        assert!(matches!(look(dir.path(), &file, 1 << 20), Err(StorageError::Damaged { .. })));
    }
}
