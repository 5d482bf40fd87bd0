//! A kernel file that stays open: each tick reads it again from its start into a buffer that is kept.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Bytes of one file that are read at most: `/proc/stat` of a thousand cores has 200 KiB.
const MAX_FILE_BYTES: usize = 4 << 20;

/// Room that a first read gets; grows once to what the file needs.
const FIRST_READ_BYTES: usize = 4096;

/// A file that is read again and again.
#[derive(Debug)]
pub(crate) struct Source {
    path: PathBuf,
    file: Option<File>,
    buffer: Vec<u8>,
    length: usize,
}

impl Source {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, file: None, buffer: Vec::new(), length: 0 }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The file's bytes now. A handle that stopped to work (device gone and back) is opened again once.
    pub(crate) fn read(&mut self) -> io::Result<&[u8]> {
        let length = match self.read_open() {
            Ok(length) => length,
            Err(error) => {
                if self.file.take().is_none() {
                    return Err(error);
                }
                self.read_open()?
            }
        };
        self.length = length;
        Ok(self.last().1)
    }

    /// Path and bytes of the last read that went well.
    pub(crate) fn last(&self) -> (&Path, &[u8]) {
        (&self.path, self.buffer.get(..self.length).unwrap_or_default())
    }

    fn read_open(&mut self) -> io::Result<usize> {
        let file = match &self.file {
            Some(file) => file,
            None => self.file.insert(File::open(&self.path)?),
        };
        read_from_start(file, &mut self.buffer)
    }
}

fn read_from_start(file: &File, buffer: &mut Vec<u8>) -> io::Result<usize> {
    if buffer.is_empty() {
        buffer.resize(FIRST_READ_BYTES, 0);
    }
    let mut length = 0;
    loop {
        if length == buffer.len() {
            if length >= MAX_FILE_BYTES {
                return Ok(length);
            }
            buffer.resize(length * 2, 0);
        }
        let rest = buffer.get_mut(length..).unwrap_or_default();
        match file.read_at(rest, length as u64) {
            Ok(0) => return Ok(length),
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Reads a small file once into a buffer that the caller keeps; for files that are too many to stay open.
pub(crate) fn read_once<'b>(path: &Path, buffer: &'b mut Vec<u8>) -> io::Result<&'b [u8]> {
    let file = File::open(path)?;
    let length = read_from_start(&file, buffer)?;
    Ok(buffer.get(..length).unwrap_or_default())
}

/// Whether the error says that this kernel or machine does not have the file at all.
pub(crate) fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::Unsupported)
        || error.raw_os_error() == Some(libc::EOPNOTSUPP)
}

#[cfg(test)]
mod tests {
    use super::{Source, read_once};

    #[test]
    fn reads_again_and_grows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let mut source = Source::new(path.clone());
        assert!(source.read().is_err());
        for size in [3, 10_000, 0, 4096] {
            std::fs::write(&path, vec![b'x'; size]).unwrap();
            assert_eq!(source.read().unwrap().len(), size);
            assert_eq!(read_once(&path, &mut Vec::new()).unwrap().len(), size);
        }
    }
}
