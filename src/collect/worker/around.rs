//! What matchers ask beside the process itself: names of users, pid files, and who listens on a port.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::matcher::Matchers;
use super::reader::ProcReader;
use crate::collect::system::Roots;
use crate::collect::system::bytes::{label, lines, number, text, words};
use crate::model::Timestamp;

/// Bytes of `/etc/passwd` that are read; users of a directory service are not in it and keep their number.
const MAX_PASSWD_BYTES: u64 = 4 << 20;
/// Bytes of a pid file.
const MAX_PIDFILE_BYTES: u64 = 64;
/// Bytes of the list of TCP sockets: some thirty thousand.
const MAX_SOCKETS_BYTES: u64 = 4 << 20;
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
        let read = File::open(&self.path).and_then(|file| file.take(MAX_PASSWD_BYTES).read_to_end(&mut bytes));
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

/// Which processes pid files and ports name, for matchers that ask.
#[derive(Debug, Default)]
pub(super) struct Pointers {
    /// Pairs of a matcher's place and a pid.
    pub(super) named: Vec<(usize, i32)>,
    ports_at: Option<Timestamp>,
    listeners: Vec<(usize, i32)>,
}

impl Pointers {
    /// Looks again; `pids` are all processes.
    pub(super) fn refresh(
        &mut self,
        matchers: &Matchers,
        roots: &Roots,
        proc: &ProcReader,
        pids: impl Iterator<Item = i32>,
        now: Timestamp,
    ) {
        self.named.clear();
        for (place, matcher) in matchers.iter() {
            let pids = matcher.pidfile.iter().filter_map(|path| pid_of(&roots.on_rootfs(&path.to_string_lossy())));
            self.named.extend(pids.map(|pid| (place, pid)));
        }
        if matchers.iter().any(|(_, matcher)| !matcher.port.is_empty()) {
            let due = self.ports_at.is_none_or(|at| now - at >= PORTS_MS || now < at);
            if due {
                self.ports_at = Some(now);
                self.listeners = listeners(matchers, proc.root(), pids);
            }
            self.named.extend_from_slice(&self.listeners);
        }
    }
}

fn pid_of(path: &Path) -> Option<i32> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(MAX_PIDFILE_BYTES).read_to_end(&mut bytes).ok()?;
    number(words(&bytes).next()?).and_then(|pid| i32::try_from(pid).ok()).filter(|pid| *pid > 0)
}

/// Processes that hold a listening socket of a matcher's port.
fn listeners(matchers: &Matchers, root: &Path, pids: impl Iterator<Item = i32>) -> Vec<(usize, i32)> {
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
        return found;
    }
    let mut links = 0;
    for pid in pids {
        let Ok(files) = std::fs::read_dir(root.join(pid.to_string()).join("fd")) else { continue };
        for file in files.flatten() {
            links += 1;
            if links > MAX_LINKS {
                return found;
            }
            let Some(inode) = std::fs::read_link(file.path()).ok().and_then(|link| socket_inode(&link)) else {
                continue;
            };
            found.extend(wanted.iter().filter(|(_, wanted)| *wanted == inode).map(|(place, _)| (*place, pid)));
        }
    }
    found
}

/// Ports and inodes of listening sockets. The first process's view is the machine's, where we may read it.
fn listening(root: &Path, name: &str) -> Vec<(u16, u64)> {
    let mut bytes = Vec::new();
    let files = [root.join("1/net").join(name), root.join("net").join(name)];
    let read = files.iter().find_map(|path| {
        bytes.clear();
        File::open(path).ok()?.take(MAX_SOCKETS_BYTES).read_to_end(&mut bytes).ok()
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
    use super::{Users, listening_socket, pid_of, socket_inode};
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
            assert_eq!(pid_of(&root.path().join("p")), expected, "{text:?}");
        }
    }
}
