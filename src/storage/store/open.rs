//! Why a file could not be opened, in words for a person.

use std::io;
use std::path::Path;

use crate::storage::StorageError;
use crate::storage::schema::FORMAT;

use super::failed;

/// Puts redb's refusal to open into words.
pub(super) fn open_error(dir: &Path, file: &Path, error: redb::DatabaseError) -> StorageError {
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
