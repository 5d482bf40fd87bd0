//! A kernel file that stays open: each tick reads it again from its start into a buffer that is kept.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Bytes of one file that are read at most: `/proc/stat` of a thousand cores has 200 KiB.
const MAX_FILE_BYTES: usize = 4 << 20;

/// Room that a first read gets; grows once to what the file needs.
const FIRST_READ_BYTES: usize = 4096;

/// A file that is read again and again.
#[derive(Debug)]
pub(crate) struct Source {
    path: PathBuf,
    /// The open file, if it is the kernel's.
    kept: Option<File>,
    /// Whether the last read found that what was open has gone, and opened what has the path now.
    is_another: bool,
    buffer: Vec<u8>,
    length: usize,
}

impl Source {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, kept: None, is_another: false, buffer: Vec::new(), length: 0 }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The file's bytes now. A handle that stopped to work (device gone and back) is opened again once.
    pub(crate) fn read(&mut self) -> io::Result<&[u8]> {
        let was_open = self.kept.is_some();
        let kept = self.read_kept();
        self.is_another = was_open && kept.is_none();
        self.length = match kept {
            Some(length) => length,
            None => self.read_anew()?,
        };
        Ok(self.last().1)
    }

    /// Has the file opened again by the next read.
    pub(crate) fn close(&mut self) {
        self.kept = None;
    }

    /// Whether the last read found another file of the kernel under the path than the read before.
    pub(crate) fn is_another(&self) -> bool {
        self.is_another
    }

    /// Path and bytes of the last read that went well.
    pub(crate) fn last(&self) -> (&Path, &[u8]) {
        (&self.path, self.buffer.get(..self.length).unwrap_or_default())
    }

    fn read_kept(&mut self) -> Option<usize> {
        let read = read_from_start(self.kept.as_ref()?, &mut self.buffer);
        if read.is_err() {
            self.kept = None;
        }
        read.ok()
    }

    /// Opens and reads. Only a file of the kernel stays open: its reads fail once its device has gone. Any other file can
    /// be removed or replaced, and the old one goes on being readable.
    fn read_anew(&mut self) -> io::Result<usize> {
        let file = open(&self.path)?;
        let length = read_from_start(&file, &mut self.buffer)?;
        self.kept = is_kernels(&file).then_some(file);
        Ok(length)
    }
}

/// Opens for reading; what is no file after all (a pipe without a writer) does not make us wait.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)
}

/// Whether the file is made by the kernel when it is read: proc, sysfs, cgroups, selinuxfs.
#[cfg(target_os = "linux")]
fn is_kernels(file: &File) -> bool {
    use std::os::fd::AsRawFd;

    /// `include/uapi/linux/magic.h`: proc, sysfs, cgroup, cgroup2, selinuxfs.
    const MAGIC: [u64; 5] = [0x9fa0, 0x6265_6572, 0x0027_e0eb, 0x6367_7270, 0xf97c_ff8c];
    let mut stat = std::mem::MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: the handle is open and `stat` is room for the answer.
    if unsafe { libc::fstatfs(file.as_raw_fd(), stat.as_mut_ptr()) } != 0 {
        return false;
    }
    // SAFETY: the call above went well and filled it.
    let stat = unsafe { stat.assume_init() };
    #[expect(clippy::cast_sign_loss, reason = "a pattern of bits")]
    let kind = stat.f_type as u64 & 0xffff_ffff;
    MAGIC.contains(&kind)
}

#[cfg(not(target_os = "linux"))]
fn is_kernels(_: &File) -> bool {
    false
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
    let length = read_from_start(&open(path)?, buffer)?;
    Ok(buffer.get(..length).unwrap_or_default())
}

/// Whether the error says that the file has gone, so that a look for devices would not find it again.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Whether the error says that this kernel or machine does not have the file at all.
pub(crate) fn is_missing(error: &io::Error) -> bool {
    is_gone(error) || error.kind() == io::ErrorKind::Unsupported || error.raw_os_error() == Some(libc::EOPNOTSUPP)
}

#[cfg(test)]
mod tests {
    use super::{Source, is_gone, is_missing, read_once};

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

    #[test]
    fn a_file_that_goes_or_is_replaced_is_not_read_on() {
        let folder = tempfile::tempdir().unwrap();
        let (path, fresh) = (folder.path().join("f"), folder.path().join("g"));
        std::fs::write(&path, "old").unwrap();
        let mut source = Source::new(path.clone());
        assert_eq!(source.read().unwrap(), b"old");
        std::fs::remove_file(&path).unwrap();
        assert!(is_gone(&source.read().unwrap_err()));
        std::fs::write(&path, "again").unwrap();
        assert_eq!(source.read().unwrap(), b"again");
        std::fs::write(&fresh, "replaced").unwrap();
        std::fs::rename(&fresh, &path).unwrap();
        assert_eq!(source.read().unwrap(), b"replaced");
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(!is_missing(&source.read().unwrap_err()), "a folder is there and cannot be read");
    }

    #[test]
    fn a_pipe_in_place_of_a_file_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        assert!(Source::new(path).read().is_err());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn files_of_the_kernel_stay_open() {
        let mut source = Source::new("/proc/self/stat".into());
        source.read().unwrap();
        assert!(source.kept.is_some());
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("f"), "x").unwrap();
        let mut source = Source::new(folder.path().join("f"));
        source.read().unwrap();
        assert!(source.kept.is_none());
    }
}
