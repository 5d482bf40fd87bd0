//! Directories, their files, and what tells one version of a file from the next.

use std::fs::Metadata;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use regex::Regex;

/// Files that are read; each costs a system call a tick.
pub(super) const MAX_FILES: usize = 1000;
/// Directories that patterns may stand for.
const MAX_DIRECTORIES: usize = 100;
/// Entries of one directory that are looked at.
const MAX_ENTRIES: usize = 10_000;
/// Bytes of one file: 30,000 series.
const MAX_BYTES: u64 = 4 << 20;
/// Bytes of all files together; their lines are kept.
const MAX_ALL_BYTES: u64 = 32 << 20;

/// A version of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    modified: (i64, i64),
    /// A program that sets back the time of its file changes this one.
    changed: (i64, i64),
    size: u64,
    inode: u64,
}

impl Stamp {
    fn of(meta: &Metadata) -> Self {
        Self {
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
            size: meta.len(),
            inode: meta.ino(),
        }
    }

    /// Whole seconds, as node_exporter shows them.
    pub(super) fn mtime_seconds(&self) -> f64 {
        self.modified.0 as f64
    }
}

/// All `*.prom` files in order, and the first thing that was wrong with the directories.
pub(super) fn list(patterns: &[String]) -> (Vec<(PathBuf, Stamp)>, Option<String>) {
    let (mut found, mut problem) = (Vec::new(), None);
    for directory in patterns.iter().flat_map(|pattern| expand(pattern)) {
        let entries = match std::fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) => {
                problem.get_or_insert_with(|| format!("cannot read {}: {error}", directory.display()));
                continue;
            }
        };
        for entry in entries.take(MAX_ENTRIES).flatten() {
            let path = entry.path();
            if path.extension().is_none_or(|extension| extension != "prom") {
                continue;
            }
            // What vanishes between the two calls is gone. A pipe would make us wait.
            match std::fs::metadata(&path) {
                Ok(meta) if meta.is_file() => found.push((path, Stamp::of(&meta))),
                Ok(_) => {
                    problem.get_or_insert_with(|| format!("{} is no file", path.display()));
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    if std::fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_symlink()) {
                        problem.get_or_insert_with(|| format!("{} is a link to nothing", path.display()));
                    }
                }
                Err(error) => {
                    problem.get_or_insert_with(|| format!("cannot read {}: {error}", path.display()));
                }
            }
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found.dedup_by(|a, b| a.0 == b.0);
    if found.len() > MAX_FILES {
        problem.get_or_insert_with(|| format!("expected at most {MAX_FILES} files, found {}", found.len()));
        found.truncate(MAX_FILES);
    }
    if let Some(path) = fit(&mut found, MAX_ALL_BYTES) {
        problem.get_or_insert_with(|| {
            format!(
                "{}: expected at most {MAX_ALL_BYTES} bytes in all files, so it and others are left out",
                path.display()
            )
        });
    }
    (found, problem)
}

/// Leaves out files that do not fit beside those before them; the first of these. One that is too large by itself is not kept anyway.
fn fit(found: &mut Vec<(PathBuf, Stamp)>, mut room: u64) -> Option<PathBuf> {
    let mut first = None;
    found.retain(|(path, stamp)| {
        let size = if stamp.size > MAX_BYTES { 0 } else { stamp.size };
        let fits = size <= room;
        if fits {
            room -= size;
        } else {
            first.get_or_insert_with(|| path.clone());
        }
        fits
    });
    first
}

/// The text of a file.
pub(super) fn read(path: &Path) -> Result<String, String> {
    let told = |error: std::io::Error| format!("cannot be read: {error}");
    // A pipe that took the file's place meanwhile must not make us wait.
    let open = std::fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let mut bytes = Vec::new();
    open.map_err(told)?.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(told)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("expected at most {MAX_BYTES} bytes"));
    }
    String::from_utf8(bytes).map_err(|error| format!("is not UTF-8 from byte {} on", error.utf8_error().valid_up_to()))
}

/// The directories that a pattern stands for; itself when it stands for none, so that a missing one is reported.
fn expand(pattern: &str) -> Vec<PathBuf> {
    if !pattern.contains(['*', '?', '[']) {
        return vec![PathBuf::from(pattern)];
    }
    let start = if pattern.starts_with('/') { "/" } else { "." };
    let mut places = vec![PathBuf::from(start)];
    for part in pattern.split('/').filter(|part| !part.is_empty() && *part != ".") {
        let Some(wanted) = matcher(part) else {
            places.iter_mut().for_each(|place| place.push(part));
            continue;
        };
        let mut next: Vec<PathBuf> = Vec::new();
        for place in &places {
            let Ok(entries) = std::fs::read_dir(place) else { continue };
            let fits = |path: &PathBuf| {
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
                wanted.is_match(name) && (part.starts_with('.') || !name.starts_with('.')) && path.is_dir()
            };
            next.extend(entries.take(MAX_ENTRIES).flatten().map(|entry| entry.path()).filter(fits));
        }
        next.truncate(MAX_DIRECTORIES);
        places = next;
    }
    places.sort();
    if places.is_empty() { vec![PathBuf::from(pattern)] } else { places }
}

/// A path's part with `*`, `?` or `[…]`; `None` when it has none of them.
fn matcher(part: &str) -> Option<Regex> {
    if !part.contains(['*', '?', '[']) {
        return None;
    }
    let mut text = String::from("^(?s:");
    let mut chars = part.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '*' => text.push_str(".*"),
            '?' => text.push('.'),
            '[' => {
                let set: String = chars.by_ref().take_while(|c| *c != ']').collect();
                let set = set.replace('\\', "\\\\").replace('[', "\\[").replace('&', "\\&").replace('~', "\\~");
                text.push_str(&format!("[{set}]"));
            }
            other => text.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
        }
    }
    text.push_str(")$");
    Regex::new(&text).ok()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{MAX_BYTES, Stamp, fit, matcher};

    #[test]
    fn all_files_share_one_budget() {
        let check = |sizes: &[u64], room, kept: &[usize], first: Option<usize>| {
            let path = |n: usize| PathBuf::from(n.to_string());
            let stamp = |size| Stamp { modified: (0, 0), changed: (0, 0), size, inode: 0 };
            let mut found: Vec<_> = sizes.iter().enumerate().map(|(n, size)| (path(n), stamp(*size))).collect();
            assert_eq!(fit(&mut found, room), first.map(path), "{sizes:?}");
            let left: Vec<PathBuf> = found.into_iter().map(|(path, _)| path).collect();
            assert_eq!(left, kept.iter().map(|n| path(*n)).collect::<Vec<_>>(), "{sizes:?}");
        };
        check(&[], 10, &[], None);
        check(&[4, 6], 10, &[0, 1], None);
        check(&[4, 7, 6, 1], 10, &[0, 2], Some(1));
        // It is refused when it is read, and takes no room.
        check(&[MAX_BYTES + 1, 10], 10, &[0, 1], None);
    }

    #[test]
    fn patterns() {
        let cases = [
            ("*", "abc", true),
            ("a*c", "abc", true),
            ("a*c", "abd", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("[ab]x", "bx", true),
            ("[^ab]x", "bx", false),
            ("[a-c].d", "b.d", true),
            ("[a-c].d", "bxd", false),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(matcher(pattern).expect(pattern).is_match(name), expected, "{pattern} {name}");
        }
        assert!(matcher("plain").is_none());
    }
}
