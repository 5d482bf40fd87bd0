//! What matchers ask beside the process itself: names of users, pid files, and who listens on a port.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::listing::is_on;
use super::matcher::Matchers;
use super::reader::ProcReader;
use crate::collect::system::Roots;
use crate::collect::system::bytes::{label, lines, number, text, words};
use crate::collect::system::report::Trouble;
use crate::model::Timestamp;

/// Bytes of `/etc/passwd` that are read; users of a directory service are not in it and keep their number.
const MAX_PASSWD_BYTES: u64 = 4 << 20;
/// Bytes of a pid file.
const MAX_PIDFILE_BYTES: u64 = 64;
/// Bytes of the list of TCP sockets: some thirty thousand.
const MAX_SOCKETS_BYTES: u64 = 4 << 20;
/// Seconds that a process may be younger than its pid file: the machine's start is known to a second, and clocks are set.
const PIDFILE_SLACK: f64 = 10.0;
/// Time between two looks for listeners: it reads the links of every open file of every process.
const PORTS_MS: i64 = 10_000;
/// Links that one look follows at most.
const MAX_LINKS: usize = 200_000;
/// State of a socket that listens, in `/proc/net/tcp`.
const LISTENS: &[u8] = b"0A";

/// Names of users by number.
#[derive(Debug, Default)]
pub(super) struct Users {
    path: PathBuf,
    changed: Option<SystemTime>,
    names: HashMap<u32, String>,
}

impl Users {
    pub(super) fn new(roots: &Roots) -> Self {
        Self { path: roots.on_rootfs("etc/passwd"), ..Self::default() }
    }

    /// Reads the list again if it has changed.
    pub(super) fn refresh(&mut self) {
        let changed = std::fs::metadata(&self.path).and_then(|facts| facts.modified()).ok();
        if changed.is_none() || changed == self.changed {
            return;
        }
        self.changed = changed;
        let mut bytes = Vec::new();
        let read = open_regular(&self.path).and_then(|file| file.take(MAX_PASSWD_BYTES).read_to_end(&mut bytes));
        if read.is_err() {
            return;
        }
        self.names.clear();
        for line in lines(&bytes) {
            let mut parts = line.split(|byte| *byte == b':');
            let (name, uid) = (parts.next(), parts.nth(1).and_then(number).and_then(|uid| u32::try_from(uid).ok()));
            if let (Some(name), Some(uid)) = (name, uid) {
                // The first name of a number is the one that counts.
                self.names.entry(uid).or_insert_with(|| label(name).into_owned());
            }
        }
    }

    /// The name of a user, its number as text when it has none here.
    pub(super) fn name(&self, uid: u32) -> String {
        self.names.get(&uid).cloned().unwrap_or_else(|| uid.to_string())
    }
}

/// When a process began, and the machine, in seconds since the epoch as the clock counts them now.
pub(super) struct Began {
    pub(super) at: f64,
    pub(super) boot: f64,
}

/// When a file was written, in seconds since the epoch as the clock counted them then.
struct Written {
    at: f64,
    /// Whether it is on a file system that is empty when the machine starts.
    in_memory: bool,
}

impl Began {
    /// Whether the process began after the file was written. What is in memory cannot be older than the machine's start: then the clock
    /// was set since, by a time server after the start, say, and the time says nothing.
    fn is_after(&self, written: &Written) -> bool {
        let other_clock = written.in_memory && written.at < self.boot;
        !other_clock && self.at > written.at + PIDFILE_SLACK
    }
}

/// Which processes pid files and ports name, for matchers that ask.
#[derive(Debug, Default)]
pub(super) struct Pointers {
    /// Pairs of a matcher's place and a pid.
    pub(super) named: Vec<(usize, i32)>,
    ports_at: Option<Timestamp>,
    listeners: Vec<(usize, i32)>,
    /// Matchers with a port whose process, or with a pid file that, this user may not see, by their place.
    hidden_ports: Vec<usize>,
    hidden_files: Vec<usize>,
}

impl Pointers {
    /// Looks again; `pids` are all processes, and `began` tells when one did.
    pub(super) fn refresh(
        &mut self,
        matchers: &Matchers,
        roots: &Roots,
        proc: &ProcReader,
        pids: impl Iterator<Item = i32>,
        began: impl Fn(i32) -> Option<Began>,
        now: Timestamp,
    ) {
        self.named.clear();
        self.hidden_files.clear();
        for (place, matcher) in matchers.iter() {
            for path in &matcher.pidfile {
                match pid_of(&roots.on_rootfs(&path.to_string_lossy())) {
                    // Who began after the file was written only has the number of the one that wrote it.
                    Ok((pid, Some(written))) if began(pid).is_some_and(|began| began.is_after(&written)) => {}
                    Ok((pid, _)) => self.named.push((place, pid)),
                    Err(error) if error.kind() == io::ErrorKind::PermissionDenied => self.hidden_files.push(place),
                    Err(_) => {}
                }
            }
        }
        if matchers.iter().any(|(_, matcher)| !matcher.port.is_empty()) {
            let due = self.ports_at.is_none_or(|at| now - at >= PORTS_MS || now < at);
            if due {
                self.ports_at = Some(now);
                (self.listeners, self.hidden_ports) = listeners(matchers, proc.root(), pids);
            }
            self.named.extend_from_slice(&self.listeners);
        }
    }

    /// Tells of ports and pid files that name somebody whom this user may not see.
    pub(super) fn note_hidden(&self, matchers: &Matchers, trouble: &mut Trouble) {
        let name = |place: usize| matchers.name_of(place).unwrap_or("(a template)");
        for place in &self.hidden_ports {
            trouble.note(|| {
                format!(
                    "group {:?}: its port belongs to a process whose open files this user may not see",
                    name(*place)
                )
            });
        }
        for place in &self.hidden_files {
            trouble.note(|| format!("group {:?}: this user may not read its pid file", name(*place)));
        }
    }

    /// Groups that ask for ports or pid files, with how many of their matchers name somebody whom this user may not see.
    pub(super) fn hidden<'m>(&self, matchers: &'m Matchers) -> impl Iterator<Item = (&'m str, [Option<u64>; 2])> {
        let asking =
            matchers.named().filter(|(_, _, matcher)| !(matcher.port.is_empty() && matcher.pidfile.is_empty()));
        asking.map(|(place, name, matcher)| {
            let count = |asked: bool, places: &[usize]| asked.then(|| u64::from(places.contains(&place)));
            let ports = count(!matcher.port.is_empty(), &self.hidden_ports);
            (name, [ports, count(!matcher.pidfile.is_empty(), &self.hidden_files)])
        })
    }
}

/// Opens a file that somebody named. Whatever else may stand there, a pipe nobody writes to, say, must not hold the tick up.
fn open_regular(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

/// The number in a pid file, and when it was written.
fn pid_of(path: &Path) -> io::Result<(i32, Option<Written>)> {
    let mut bytes = Vec::new();
    let file = open_regular(path)?;
    let written = file.metadata()?.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let in_memory = is_on(&file, libc::TMPFS_MAGIC);
    file.take(MAX_PIDFILE_BYTES).read_to_end(&mut bytes)?;
    let pid = words(&bytes).next().and_then(number).and_then(|pid| i32::try_from(pid).ok()).filter(|pid| *pid > 0);
    Ok((pid.ok_or(io::ErrorKind::InvalidData)?, written.map(|time| Written { at: time.as_secs_f64(), in_memory })))
}

/// Processes that hold a listening socket of a matcher's port, and matchers whose sockets belong to nobody whose files may be read.
fn listeners(matchers: &Matchers, root: &Path, pids: impl Iterator<Item = i32>) -> (Vec<(usize, i32)>, Vec<usize>) {
    let sockets: Vec<(u16, u64)> = ["tcp", "tcp6"].iter().flat_map(|name| listening(root, name)).collect();
    let wanted: Vec<(usize, u64)> = matchers
        .iter()
        .flat_map(|(place, matcher)| {
            let ours = sockets.iter().filter(|(port, _)| matcher.port.contains(port));
            ours.map(move |(_, inode)| (place, *inode))
        })
        .collect();
    let mut found = Vec::new();
    if wanted.is_empty() {
        return (found, Vec::new());
    }
    let (mut links, mut is_denied) = (0, false);
    let mut held = Vec::new();
    for pid in pids {
        let files = match std::fs::read_dir(root.join(pid.to_string()).join("fd")) {
            Ok(files) => files,
            Err(error) => {
                is_denied |= error.kind() == io::ErrorKind::PermissionDenied;
                continue;
            }
        };
        for file in files.flatten() {
            links += 1;
            if links > MAX_LINKS {
                return (found, Vec::new());
            }
            let Some(inode) = std::fs::read_link(file.path()).ok().and_then(|link| socket_inode(&link)) else {
                continue;
            };
            let holding = wanted.iter().filter(|(_, wanted)| *wanted == inode);
            let before = found.len();
            found.extend(holding.map(|(place, _)| (*place, pid)));
            if found.len() > before {
                held.push(inode);
            }
        }
    }
    let hidden = wanted.iter().filter(|(_, inode)| is_denied && !held.contains(inode));
    let hidden = hidden.map(|(place, _)| *place).collect();
    (found, hidden)
}

/// Ports and inodes of listening sockets. The first process's view is the machine's, where we may read it.
fn listening(root: &Path, name: &str) -> Vec<(u16, u64)> {
    let mut bytes = Vec::new();
    let files = [root.join("1/net").join(name), root.join("net").join(name)];
    let read = files.iter().find_map(|path| {
        bytes.clear();
        open_regular(path).ok()?.take(MAX_SOCKETS_BYTES).read_to_end(&mut bytes).ok()
    });
    if read.is_none() {
        return Vec::new();
    }
    lines(&bytes).filter_map(listening_socket).collect()
}

/// A line of `/proc/net/tcp`: number, local address and port in hexadecimal, remote, state, …, inode as the tenth word.
fn listening_socket(line: &[u8]) -> Option<(u16, u64)> {
    let mut parts = words(line).skip(1);
    let local = text(parts.next()?)?;
    let state = parts.nth(1)?;
    let port = u16::from_str_radix(local.rsplit(':').next()?, 16).ok()?;
    let inode = parts.nth(5).and_then(number)?;
    (state == LISTENS && inode != 0).then_some((port, inode))
}

fn socket_inode(link: &Path) -> Option<u64> {
    number(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::{Began, Users, Written, listening_socket, pid_of, socket_inode};
    use crate::collect::system::Roots;
    use crate::collect::testing::put;

    #[test]
    fn sockets_that_listen() {
        let line = |state: &str, inode: &str| {
            format!(
                "   0: 0100007F:1F90 00000000:0000 {state} 00000000:00000000 00:00000000 00000000     0        0 {inode} 1 0000000000000000 100 0 0 10 0"
            )
        };
        for (line, expected) in [
            (line("0A", "4711"), Some((8080, 4711))),
            (line("01", "4711"), None),
            (line("0A", "0"), None),
            (line("0A", "x"), None),
            ("  sl  local_address rem_address   st tx_queue".to_owned(), None),
            ("0: 0100007F:1F90".to_owned(), None),
        ] {
            assert_eq!(listening_socket(line.as_bytes()), expected, "{line}");
        }
        assert_eq!((socket_inode("socket:[12]".as_ref()), socket_inode("pipe:[12]".as_ref())), (Some(12), None));
    }

    #[test]
    fn pid_files_of_another_clock_say_nothing() {
        // The machine's and the process's start, when the file was written, whether in memory, and whether that was before the process.
        for (boot, at, written, in_memory, expected) in [
            (1_000.0, 1_500.0, 1_400.0, true, true),
            (1_000.0, 1_500.0, 1_495.0, true, false),
            (1_000.0, 1_500.0, 9_000.0, true, false),
            (1_000.0, 1_500.0, 900.0, true, false),
            (1_000.0, 1_500.0, 900.0, false, true),
        ] {
            let written = Written { at: written, in_memory };
            assert_eq!(Began { at, boot }.is_after(&written), expected, "{at} {} {in_memory}", written.at);
        }
        let file = std::fs::File::open("/proc/self/stat").unwrap();
        assert!(super::is_on(&file, libc::PROC_SUPER_MAGIC) && !super::is_on(&file, libc::TMPFS_MAGIC));
    }

    #[test]
    fn users_and_pid_files() {
        let root = tempfile::tempdir().unwrap();
        put(
            root.path(),
            "rootfs/etc/passwd",
            "root:x:0:0::/:/bin/sh\nbob:x:1000:1::/:\nbad\nalso:x:y:\nbob2:x:1000:1\n",
        );
        let mut users = Users::new(&Roots::under(root.path()));
        users.refresh();
        assert_eq!((users.name(0), users.name(1000), users.name(7)), ("root".into(), "bob".into(), "7".into()));
        for (text, expected) in
            [("12\n", Some(12)), (" 7 x", Some(7)), ("0", None), ("", None), ("-5", None), ("99999999999", None)]
        {
            put(root.path(), "p", text);
            let found = pid_of(&root.path().join("p")).ok();
            assert_eq!(found.as_ref().map(|(pid, _)| *pid), expected, "{text:?}");
            assert!(found.is_none_or(|(_, written)| written.is_some_and(|written| written.at > 1e9)));
        }
        assert!(pid_of(root.path()).is_err(), "a folder");
        let pipe = root.path().join("pipe");
        let path = std::ffi::CString::new(pipe.to_str().unwrap()).unwrap();
        // SAFETY: the path ends with NUL.
        assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
        // With a number in it and its writer open: only what kind of file it is speaks against it.
        let mut both = std::fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
        std::io::Write::write_all(&mut both, b"12\n").unwrap();
        let open = super::open_regular(&pipe).map_err(|error| error.kind());
        assert_eq!(open.err(), Some(std::io::ErrorKind::InvalidInput));
        drop(both);
        assert!(pid_of(&pipe).is_err(), "a pipe that nobody writes to is not waited for");
    }
}
