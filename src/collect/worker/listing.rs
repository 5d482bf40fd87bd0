//! The numbers of processes below `/proc`: all of them, or those that were given out lately.
//!
//! The kernel gives numbers out in ascending order and tells the last one at the end of `/proc/loadavg`. A listing costs half a
//! microsecond a process, so most listings begin where the numbers of the last but one ended. A listing of all comes in between, and
//! where it meets a newcomer that the number did not announce (somebody makes the file up, or numbers are chosen by hand), all
//! listings are whole from then on.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::collect::system::bytes::{number, words};

/// Room for one call: some thousand entries.
const BUFFER_BYTES: usize = 32 << 10;
/// Bytes of an entry before its name: inode, position of the next one, length, type.
const HEAD_BYTES: usize = 19;
/// Bytes of `/proc/loadavg`.
const LOADAVG_BYTES: usize = 128;
/// Listings in a row that are not whole: the ends of strangers are noticed after so many at the latest.
const PARTIAL_LISTINGS: u32 = 4;

/// What a listing found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// Everybody.
    Whole,
    /// Everybody who may have begun since the listing before; of the others nothing is known.
    Newest,
}

/// The way to the numbers.
#[derive(Debug)]
pub(super) struct Listing {
    root: PathBuf,
    /// Kept open in the kernel's own tree only.
    folder: Option<File>,
    is_kernel: bool,
    buffer: Vec<u8>,
    /// What the last listing found.
    pub(super) numbers: Vec<i32>,
    /// Tells the last number that was given out; `None` where nobody can know it.
    loadavg: Option<File>,
    /// That number at the last listing but one, and at the last one. Two listings look for each number, because one that was given
    /// out a moment ago may not be in `/proc` yet.
    marks: [Option<i32>; 2],
    /// Whoever is new in the last listing has a higher number.
    announced_above: Option<i32>,
    /// Where in the folder the highest number stands that is not above the first mark.
    resume: u64,
    partial: u32,
}

impl Listing {
    /// `is_kernel`: the tree is the kernel's own. `has_our_pids`: its numbers are those of our own view.
    pub(super) fn new(root: &Path, is_kernel: bool, has_our_pids: bool) -> Self {
        let file = || File::open(root.join("loadavg")).ok().filter(is_of_proc);
        Self {
            root: root.to_owned(),
            folder: None,
            is_kernel,
            buffer: Vec::new(),
            numbers: Vec::new(),
            loadavg: if is_kernel && has_our_pids { file() } else { None },
            marks: [None; 2],
            announced_above: None,
            resume: 0,
            partial: 0,
        }
    }

    /// Lists everybody who may be new, or all if `whole`, or if that is due.
    ///
    /// # Errors
    /// When the folder cannot be opened. One that breaks off later gives what it found and why.
    pub(super) fn list(&mut self, whole: bool) -> io::Result<(Extent, Option<io::Error>)> {
        self.numbers.clear();
        // Before the listing: whoever begins meanwhile has a higher number.
        let latest = self.latest();
        let [older, newer] = self.marks;
        // After the highest number comes the lowest again.
        let goes_on = newer.zip(latest).is_some_and(|(before, latest)| latest >= before);
        self.announced_above = older.filter(|_| goes_on);
        let from = self.announced_above.filter(|_| !whole && self.partial < PARTIAL_LISTINGS);
        let mark = newer.filter(|_| goes_on);
        let broke_off = self.read(from, mark)?;
        self.marks = if broke_off.is_none() { [mark, latest] } else { [None; 2] };
        let extent = if from.is_some() { Extent::Newest } else { Extent::Whole };
        self.partial = if extent == Extent::Whole { 0 } else { self.partial + 1 };
        Ok((extent, broke_off))
    }

    /// Takes note of a newcomer. One that was not announced would be missed by all listings but whole ones: so all are whole then.
    pub(super) fn note_new(&mut self, pid: i32) {
        if self.announced_above.is_some_and(|above| pid <= above) {
            self.loadavg = None;
        }
    }

    fn latest(&self) -> Option<i32> {
        let mut bytes = [0; LOADAVG_BYTES];
        let length = self.loadavg.as_ref()?.read_at(&mut bytes, 0).ok()?;
        let last = words(bytes.get(..length)?).last().and_then(number)?;
        i32::try_from(last).ok().filter(|pid| *pid > 0)
    }

    /// Reads the folder from its start, or the numbers above `from`; finds the place of the highest number up to `mark`.
    fn read(&mut self, from: Option<i32>, mark: Option<i32>) -> io::Result<Option<io::Error>> {
        let mut folder = match self.folder.take() {
            Some(folder) => folder,
            None => File::open(&self.root)?,
        };
        let mut position = if from.is_some() { self.resume } else { 0 };
        if let Err(error) = folder.seek(SeekFrom::Start(position)) {
            return Ok(Some(error));
        }
        self.buffer.resize(BUFFER_BYTES, 0);
        let mut highest = 0;
        loop {
            let length = match entries_of(&folder, &mut self.buffer) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) => return Ok(Some(error)),
            };
            for (next, name) in Entries(self.buffer.get(..length).unwrap_or_default()) {
                if let Some(pid) = number(name).and_then(|pid| i32::try_from(pid).ok()) {
                    if mark.is_some_and(|mark| pid <= mark) && pid > highest {
                        (highest, self.resume) = (pid, position);
                    }
                    if from.is_none_or(|from| pid > from) {
                        self.numbers.push(pid);
                    }
                }
                position = next;
            }
        }
        self.folder = Some(folder).filter(|_| self.is_kernel);
        Ok(None)
    }
}

/// Entries of one call: where the next one stands, and the name.
struct Entries<'b>(&'b [u8]);

impl<'b> Iterator for Entries<'b> {
    type Item = (u64, &'b [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let next = u64::from_ne_bytes(self.0.get(8..16)?.try_into().ok()?);
        let length = usize::from(u16::from_ne_bytes(self.0.get(16..18)?.try_into().ok()?));
        let name = self.0.get(HEAD_BYTES..length)?;
        self.0 = self.0.get(length..)?;
        let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
        Some((next, name.get(..end)?))
    }
}

/// The next entries of a folder, in bytes; 0 at its end.
fn entries_of(folder: &File, buffer: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the buffer is ours and as long as the call is told.
    let length = unsafe { libc::syscall(libc::SYS_getdents64, folder.as_raw_fd(), buffer.as_mut_ptr(), buffer.len()) };
    usize::try_from(length).map_err(|_| io::Error::last_os_error())
}

/// Whether a file is the kernel's: containers may have one of their own over it.
fn is_of_proc(file: &File) -> bool {
    is_on(file, libc::PROC_SUPER_MAGIC)
}

/// Whether a file is on a file system of that kind.
pub(super) fn is_on(file: &File, magic: libc::c_long) -> bool {
    let mut facts = std::mem::MaybeUninit::<libc::statfs>::zeroed();
    // SAFETY: the structure is large enough for what the call writes.
    let done = unsafe { libc::fstatfs(file.as_raw_fd(), facts.as_mut_ptr()) };
    // SAFETY: zeroed above, and every bit pattern of these integers is valid.
    done == 0 && unsafe { facts.assume_init() }.f_type == magic
}

#[cfg(test)]
mod tests {
    use super::{Extent, Listing, PARTIAL_LISTINGS};
    use crate::collect::testing::put;

    #[test]
    fn a_fake_tree_is_listed_whole_each_time() {
        let root = tempfile::tempdir().unwrap();
        let mut listing = Listing::new(root.path(), false, false);
        for count in [1, 2000, 3] {
            let _ = std::fs::remove_dir_all(root.path());
            (1..=count).for_each(|pid| put(root.path(), &format!("{pid}/stat"), ""));
            for other in ["self/stat", "loadavg", "-1/x", "99999999999/x", "12x/x"] {
                put(root.path(), other, "0.1 0.1 0.1 1/3 7\n");
            }
            let (extent, broke_off) = listing.list(false).unwrap();
            assert!(extent == Extent::Whole && broke_off.is_none());
            let mut numbers = listing.numbers.clone();
            numbers.sort_unstable();
            assert_eq!(numbers, (1..=count).collect::<Vec<_>>());
        }
        std::fs::remove_dir_all(root.path()).unwrap();
        assert!(listing.list(false).is_err());
    }

    #[test]
    fn the_kernels_listing_goes_on_where_it_was() {
        let mut listing = Listing::new("/proc".as_ref(), true, true);
        if listing.latest().is_none() {
            eprintln!("SKIPPED: no /proc/loadavg");
            return;
        }
        let ours = i32::try_from(std::process::id()).unwrap();
        let mut extents = Vec::new();
        for turn in 0..2 + 2 * (PARTIAL_LISTINGS + 1) {
            let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
            let pid = i32::try_from(child.id()).unwrap();
            let (extent, broke_off) = listing.list(false).unwrap();
            let (known, above) = (listing.numbers.contains(&ours), listing.announced_above);
            child.kill().unwrap();
            child.wait().unwrap();
            assert!(broke_off.is_none() && listing.numbers.contains(&pid), "turn {turn}: {pid} in {listing:?}");
            match extent {
                Extent::Whole => assert!(known),
                Extent::Newest => assert!(listing.numbers.iter().all(|pid| Some(*pid) > above)),
            }
            extents.push(extent);
        }
        let whole = extents.iter().filter(|extent| **extent == Extent::Whole).count();
        // The first two, every fifth, and one more or two should numbers begin anew meanwhile.
        assert!((4..=6).contains(&whole), "{extents:?}");
        assert_eq!(listing.list(true).unwrap().0, Extent::Whole);
        listing.note_new(1);
        assert!((0..9).all(|_| listing.list(false).unwrap().0 == Extent::Whole), "one that was not announced");
    }
}
