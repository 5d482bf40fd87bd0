//! Why a file could not be opened, in words for a person.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;

use redb::backends::FileBackend;
use redb::{Builder, Database};

use crate::storage::StorageError;
use crate::storage::schema::FORMAT;

use super::failed;

/// What the person in front of a damaged file can do.
pub(super) const WHAT_TO_DO: &str =
    "move the file away to begin a new history, or choose another --storage.path; nothing was overwritten";

/// Opens the ring's file; makes directory and file where they are missing.
pub(super) fn open_or_make(dir: &Path, file: &Path, cache_bytes: usize) -> Result<Database, StorageError> {
    std::fs::create_dir_all(dir).map_err(|source| unwritable(dir, source))?;
    let mut builder = Builder::new();
    builder.set_cache_size(cache_bytes);
    match std::fs::metadata(file) {
        Ok(found) if found.len() == 0 => Err(no_ring(file, "it is empty")),
        Ok(_) => builder.create(file).map_err(|error| open_error(dir, file, error)),
        Err(_) => make(&builder, dir, file),
    }
}

/// A new file gets its name when it is whole, so that a kill or a full disk leaves none that cannot be opened.
fn make(builder: &Builder, dir: &Path, file: &Path) -> Result<Database, StorageError> {
    let new = file.with_extension("new");
    let handle = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&new);
    let handle = handle.map_err(|source| unwritable(&new, source))?;
    match handle.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(StorageError::Locked { path: dir.to_path_buf(), holder: holder_of(&new) });
        }
        Err(TryLockError::Error(source)) => return Err(unwritable(&new, source)),
    }
    if file.exists() {
        // Another process has made it meanwhile.
        return builder.create(file).map_err(|error| open_error(dir, file, error));
    }
    // What an earlier attempt left there.
    handle.set_len(0).map_err(|source| unwritable(&new, source))?;
    let backend = FileBackend::new(handle).map_err(|error| open_error(dir, &new, error))?;
    let db = builder.create_with_backend(backend).map_err(|error| open_error(dir, &new, error))?;
    let named = std::fs::rename(&new, file).and_then(|()| File::open(dir)).and_then(|dir| dir.sync_all());
    named.map_err(|source| unwritable(file, source))?;
    Ok(db)
}

/// Whether a write failed for want of space.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

pub(super) fn unwritable(path: &Path, source: io::Error) -> StorageError {
    if is_full(&source) {
        return StorageError::Full { doing: "opening the ring" };
    }
    StorageError::Unwritable { path: path.to_path_buf(), source }
}

pub(super) fn no_ring(file: &Path, reason: &str) -> StorageError {
    StorageError::Damaged { what: file.display().to_string(), reason: format!("{reason}; {WHAT_TO_DO}") }
}

/// Puts redb's refusal to open into words.
pub(super) fn open_error(dir: &Path, file: &Path, error: redb::DatabaseError) -> StorageError {
    match error {
        redb::DatabaseError::DatabaseAlreadyOpen => {
            StorageError::Locked { path: dir.to_path_buf(), holder: holder_of(file) }
        }
        redb::DatabaseError::UpgradeRequired(found) => {
            StorageError::NewerFormat { path: file.to_path_buf(), found: found.into(), supported: FORMAT }
        }
        redb::DatabaseError::Storage(redb::StorageError::Io(source)) if source.kind() == io::ErrorKind::InvalidData => {
            no_ring(file, "it is no ring file")
        }
        redb::DatabaseError::Storage(redb::StorageError::Io(source)) => unwritable(file, source),
        redb::DatabaseError::Storage(redb::StorageError::Corrupted(reason)) => no_ring(file, &reason),
        other => failed("opening the ring", other),
    }
}

/// ` (pid N)` of the process that holds the lock on a file, as `/proc/locks` knows it; else empty.
pub(super) fn holder_of(file: &Path) -> String {
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
