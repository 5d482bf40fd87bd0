//! What can go wrong with the store, in words for the person who reads the log.

use std::path::PathBuf;

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// Another process has the file open.
    #[error("data directory {path} is in use by another watchfire{holder}: stop it or choose another --storage.path", path = path.display())]
    Locked {
        /// The data directory.
        path: PathBuf,
        /// ` (pid N)` when it is known, else empty.
        holder: String,
    },
    /// A newer watchfire wrote the file.
    #[error("{path} was written by a newer watchfire (format {found}, this one reads up to {supported}): update, or choose another --storage.path", path = path.display())]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Format in the file.
        found: u32,
        /// Newest format that this build reads.
        supported: u32,
    },
    /// The directory or file cannot be created or written.
    #[error("cannot write to {path}: {source}", path = path.display())]
    Unwritable {
        /// The path.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// There is no ring where one was to be looked at.
    #[error("there is no ring in {path}: expected the directory that holds ring.redb (--storage.path)", path = path.display())]
    NoRing {
        /// The directory.
        path: PathBuf,
    },
    /// A file cannot be read.
    #[error("cannot read {path}: {source}", path = path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// There is no room for what must be written.
    #[error("no space left on the disk while {doing}")]
    Full {
        /// What we were doing.
        doing: &'static str,
    },
    /// The database failed.
    #[error("storage failed while {doing}: {reason}")]
    Failed {
        /// What we were doing.
        doing: &'static str,
        /// What the database says.
        reason: String,
    },
    /// A record does not match its checksum or its description.
    #[error("damaged {what}: {reason}")]
    Damaged {
        /// Which record.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A selection would exceed the query's sample limit.
    #[error("query processing would load too many samples into memory in query execution")]
    TooManySamples,
    /// Whoever asked for a selection does not want it any more.
    #[error("the selection was stopped")]
    Stopped,
}
