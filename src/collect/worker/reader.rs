//! Reading below `/proc/PID` as cheaply as it goes: one read into a buffer that is kept, and files of group members
//! that stay open. The kernel ties an open file to its process: when that has ended, reading says so, whoever has the
//! number by then.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::listing::Listing;
use super::pidfd;
use crate::collect::system::bytes::{lines, number, words};
use crate::collect::system::{Roots, count_entries, count_of};

/// Room for one read; the largest, `status` of a machine with many cores, takes 2 KiB.
const READ_BYTES: usize = 8192;

/// Open files that are kept for members at most, whatever the limit of this process says.
const MAX_KEPT_FILES: u64 = 8192;

/// Files that one member keeps open: `stat`, `io`, the folder of its open files, and a handle that tells how it ended.
const FILES_PER_MEMBER: u64 = 4;

/// What stays open of one member.
#[derive(Debug, Default)]
pub(super) struct Kept {
    stat: Option<File>,
    io: Option<File>,
    /// To ask for its size only, which is the number of its open files.
    fds: Option<File>,
    pub(super) pidfd: Option<OwnedFd>,
}

impl Kept {
    pub(super) fn is_open(&self) -> bool {
        self.stat.is_some() || self.io.is_some() || self.fds.is_some() || self.pidfd.is_some()
    }
}

/// The way into `/proc`.
pub(super) struct ProcReader {
    root: PathBuf,
    path: PathBuf,
    buffer: Vec<u8>,
    /// Only the kernel's own tree says that a process has ended through a file that is open.
    is_kernel: bool,
    /// Whether the numbers of the tree are those of our own view: a host's tree in a container has others.
    has_our_pids: bool,
    /// How many members may keep files open, and how many do.
    keep_limit: usize,
    pub(super) kept: usize,
}

impl ProcReader {
    pub(super) fn new(roots: &Roots) -> Self {
        let root = roots.proc.clone();
        let own = std::fs::read_link(root.join("self")).ok();
        let has_our_pids = own.is_some_and(|own| own.to_str() == Some(std::process::id().to_string().as_str()));
        // Half of what this process may open stays for others.
        let files = open_files_limit().map_or(0, |limit| (limit / 2).min(MAX_KEPT_FILES));
        Self {
            is_kernel: roots.is_kernel_proc(),
            has_our_pids,
            path: root.clone(),
            root,
            buffer: vec![0; READ_BYTES],
            keep_limit: usize::try_from(files / FILES_PER_MEMBER).unwrap_or(0),
            kept: 0,
        }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// A way to list the numbers of this tree.
    pub(super) fn listing(&self) -> Listing {
        Listing::new(&self.root, self.is_kernel, self.has_our_pids)
    }

    /// Opens what is worth to stay open of a member. The caller reads `stat` through it once more before it trusts the
    /// handle: the number might have been given away in between.
    pub(super) fn keep(&mut self, pid: i32) -> Kept {
        if !self.is_kernel || self.kept >= self.keep_limit {
            return Kept::default();
        }
        self.kept += 1;
        let open = |this: &mut Self, file: &str| File::open(this.below(pid, file)).ok();
        let stat = open(self, "stat");
        let pidfd = stat.as_ref().filter(|_| self.has_our_pids).and_then(|_| pidfd::open(pid));
        let flags = libc::O_PATH | libc::O_DIRECTORY;
        let fds = OpenOptions::new().read(true).custom_flags(flags).open(self.below(pid, "fd")).ok();
        Kept { stat, io: open(self, "io"), fds, pidfd }
    }

    /// Open files of a process; `None` when they may not be counted.
    pub(super) fn open_files(&mut self, pid: i32, kept: &Kept) -> Option<u64> {
        let size = kept.fds.as_ref().and_then(|folder| folder.metadata().ok());
        let count = size.as_ref().and_then(count_of);
        count.or_else(|| count_entries(self.below(pid, "fd")).map(|count| count as u64))
    }

    /// Open files by another folder of a process than its own.
    pub(super) fn open_files_of(&mut self, pid: i32, folder: &str) -> Option<u64> {
        count_entries(self.below(pid, folder)).map(|count| count as u64)
    }

    /// Whether the process is there, as far as its folder tells.
    pub(super) fn is_there(&mut self, pid: i32) -> bool {
        self.below(pid, "").exists()
    }

    /// `/proc/PID/stat`.
    pub(super) fn stat(&mut self, pid: i32, kept: Option<&Kept>) -> io::Result<&[u8]> {
        match kept.and_then(|kept| kept.stat.as_ref()) {
            Some(file) => read_at_start(file, &mut self.buffer),
            None => self.file(pid, "stat"),
        }
    }

    /// `/proc/PID/io`.
    pub(super) fn io(&mut self, pid: i32, kept: Option<&Kept>) -> io::Result<&[u8]> {
        match kept.and_then(|kept| kept.io.as_ref()) {
            Some(file) => read_at_start(file, &mut self.buffer),
            None => self.file(pid, "io"),
        }
    }

    /// A short file of a process: one read, cut at [`READ_BYTES`].
    pub(super) fn file(&mut self, pid: i32, name: &str) -> io::Result<&[u8]> {
        let mut file = self.open(pid, name)?;
        let length = file.read(&mut self.buffer)?;
        Ok(self.buffer.get(..length).unwrap_or_default())
    }

    /// A file of a process that may be longer than one read, up to `limit` bytes.
    pub(super) fn whole(&mut self, pid: i32, name: &str, limit: usize, out: &mut Vec<u8>) -> io::Result<()> {
        out.clear();
        self.open(pid, name)?.take(limit as u64).read_to_end(out).map(|_| ())
    }

    /// Opens without waiting: a pipe that stands where a file was expected must not hold all collectors up. The kernel's own tree
    /// has files only.
    fn open(&mut self, pid: i32, name: &str) -> io::Result<File> {
        let is_kernel = self.is_kernel;
        let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(self.below(pid, name))?;
        if is_kernel || file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
    }

    fn below(&mut self, pid: i32, name: &str) -> &Path {
        let mut digits = itoa::Buffer::new();
        self.path.clone_from(&self.root);
        self.path.push(digits.format(pid));
        self.path.push(name);
        &self.path
    }
}

fn read_at_start<'b>(file: &File, buffer: &'b mut [u8]) -> io::Result<&'b [u8]> {
    let length = file.read_at(buffer, 0)?;
    Ok(buffer.get(..length).unwrap_or_default())
}

/// The number behind `name` at a line's start: `VmSwap:   12 kB`.
pub(super) fn field(bytes: &[u8], name: &[u8]) -> Option<u64> {
    let rest = lines(bytes).find_map(|line| line.strip_prefix(name))?;
    words(rest).next().and_then(number)
}

/// The most files that a process may open, of its `limits`; `None` for "unlimited".
pub(super) fn files_limit(bytes: &[u8]) -> Option<u64> {
    field(bytes, b"Max open files")
}

fn open_files_limit() -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure is what the call writes to.
    let done = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    (done == 0).then_some(limit.rlim_cur)
}

#[cfg(test)]
mod tests {
    use super::{field, files_limit};

    #[test]
    fn fields_of_status_io_and_limits() {
        let status = b"Name:\tx\nVmSwap:\t     12 kB\nvoluntary_ctxt_switches:\t7\nnonvoluntary_ctxt_switches:\t18446744073709551615\n";
        for (name, expected) in [
            ("VmSwap:", Some(12)),
            ("voluntary_ctxt_switches:", Some(7)),
            ("nonvoluntary_ctxt_switches:", Some(u64::MAX)),
            ("VmRSS:", None),
            ("Name:", None),
        ] {
            assert_eq!(field(status, name.as_bytes()), expected, "{name}");
        }
        assert_eq!(field(b"read_bytes: 18446744073709551616\n", b"read_bytes:"), None, "beyond 64 bits");
        assert_eq!(
            files_limit(b"Limit  Soft\nMax open files            1024                 4096                 files\n"),
            Some(1024)
        );
        assert_eq!(files_limit(b"Max open files            unlimited            unlimited            files\n"), None);
    }
}
