//! Mounted file systems: `statvfs` of each mount. Remote ones are asked on another thread, because a server that is
//! gone lets the call hang for ever; meanwhile `node_filesystem_device_error` says so and the tick goes on.

use std::ffi::CString;
use std::sync::Arc;

use regex::bytes::Regex;

use super::bytes::{label, lines, words};
use super::remote_mounts::RemoteMounts;
use super::report::{Trouble, unread};
use super::roots::Roots;
use super::source::Source;
use crate::collect::catalogue::gauge;
use crate::collect::emit::{Emit, Row, Table};
use crate::collect::{CollectError, Collector, Reading};
use crate::model::{Batch, FamilyDesc, Intern, Timestamp};

/// Mounts that are watched at most.
const MAX_MOUNTS: usize = 512;
const LABELS: &[&str] = &["device", "mountpoint", "fstype"];
const MAX: u32 = MAX_MOUNTS as u32;

pub(super) static FAMILIES: [FamilyDesc; 7] = [
    gauge(
        "node_filesystem_device_error",
        "",
        "Whether an error occurred while getting statistics for the given device.",
        LABELS,
        MAX,
    ),
    gauge("node_filesystem_readonly", "", "Filesystem read-only status.", LABELS, MAX),
    gauge("node_filesystem_size_bytes", "bytes", "Filesystem size in bytes.", LABELS, MAX),
    gauge("node_filesystem_free_bytes", "bytes", "Filesystem free space in bytes.", LABELS, MAX),
    gauge(
        "node_filesystem_avail_bytes",
        "bytes",
        "Filesystem space available to non-root users in bytes.",
        LABELS,
        MAX,
    ),
    gauge("node_filesystem_files", "", "Filesystem total file nodes.", LABELS, MAX),
    gauge("node_filesystem_files_free", "", "Filesystem total free file nodes.", LABELS, MAX),
];

/// File systems whose answer comes over a network or from a process that may hang.
const REMOTE: [&[u8]; 14] = [
    b"nfs",
    b"nfs4",
    b"cifs",
    b"smb3",
    b"smbfs",
    b"9p",
    b"ceph",
    b"glusterfs",
    b"lustre",
    b"afs",
    b"beegfs",
    b"gpfs",
    b"virtiofs",
    b"fuseblk",
];

/// What the kernel says about one mount.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Space {
    size: f64,
    free: f64,
    avail: f64,
    files: f64,
    files_free: f64,
    read_only: bool,
}

/// What is remembered of a mount line.
struct Mount {
    excluded: bool,
    remote: bool,
    read_only: bool,
    device: String,
    point: String,
    fstype: String,
    path: Arc<CString>,
}

/// The collector.
pub(super) struct Filesystem {
    source: Source,
    roots: Roots,
    mount_exclude: Regex,
    type_exclude: Regex,
    mounts: Table<Mount>,
    remote: RemoteMounts,
}

impl Filesystem {
    pub(super) fn new(roots: &Roots, mount_exclude: Regex, type_exclude: Regex) -> Self {
        // PID 1 sees the host's mounts even where we live in a mount namespace of our own.
        let first = roots.proc.join("1/mounts");
        let path = if std::fs::read(&first).is_ok() { first } else { roots.proc.join("mounts") };
        Self {
            source: Source::new(path),
            roots: roots.clone(),
            mount_exclude,
            type_exclude,
            mounts: Table::new(FAMILIES.len(), MAX_MOUNTS),
            remote: RemoteMounts::default(),
        }
    }
}

impl Collector for Filesystem {
    fn name(&self) -> &'static str {
        "filesystem"
    }

    fn collect(&mut self, now: Timestamp, intern: &dyn Intern, out: &mut Batch) -> Result<Reading, CollectError> {
        let mut emit = Emit::new("node", intern, out);
        let mut trouble = Trouble::default();
        if let Err(error) = self.source.read() {
            return unread("filesystem", self.source.path(), &error);
        }
        let (path, bytes) = self.source.last();
        let (roots, mount_exclude, type_exclude) = (&self.roots, &self.mount_exclude, &self.type_exclude);
        for line in lines(bytes) {
            let parse = || Mount::parse(line, roots, mount_exclude, type_exclude);
            let Some(row) = self.mounts.row(line, parse) else {
                trouble.note(|| format!("{}: more than {MAX_MOUNTS} mounts", path.display()));
                continue;
            };
            if row.state.excluded {
                continue;
            }
            let space = match row.state.remote {
                true => self.remote.ask(&row.state.path, now),
                false => statvfs(&row.state.path),
            };
            if let Err(error) = &space {
                trouble.note(|| format!("{}: {error}", row.state.point));
            }
            put(&mut emit, row, space.ok());
        }
        self.remote.end_tick(now);
        self.mounts.end_tick(&emit);
        Ok(trouble.reading())
    }
}

impl Mount {
    /// A line that cannot be understood is left out like an excluded one.
    fn parse(line: &[u8], roots: &Roots, mount_exclude: &Regex, type_exclude: &Regex) -> Self {
        let mut fields = words(line);
        let mut next = || unescape(fields.next().unwrap_or_default());
        let (device, point, fstype, options) = (next(), next(), next(), next());
        let excluded = options.is_empty() || mount_exclude.is_match(&point) || type_exclude.is_match(&fstype);
        let path = roots.on_rootfs(&label(&point));
        let path = CString::new(path.into_os_string().into_encoded_bytes()).unwrap_or_default();
        Self {
            excluded: excluded || path.is_empty(),
            remote: REMOTE.contains(&fstype.as_slice()) || fstype.starts_with(b"fuse."),
            read_only: options.split(|byte| *byte == b',').any(|option| option == b"ro"),
            device: label(&device).into_owned(),
            point: label(&point).into_owned(),
            fstype: label(&fstype).into_owned(),
            path: Arc::new(path),
        }
    }
}

fn put(emit: &mut Emit<'_>, row: &mut Row<Mount>, space: Option<Space>) {
    let mount = &row.state;
    let labels = [mount.device.as_str(), mount.point.as_str(), mount.fstype.as_str()];
    let flag = |set: bool| if set { 1.0 } else { 0.0 };
    let read_only = space.map_or(mount.read_only, |space| mount.read_only || space.read_only);
    let values = [
        Some(flag(space.is_none())),
        Some(flag(read_only)),
        space.map(|space| space.size),
        space.map(|space| space.free),
        space.map(|space| space.avail),
        space.map(|space| space.files),
        space.map(|space| space.files_free),
    ];
    for ((slot, desc), value) in row.slots.iter_mut().zip(&FAMILIES).zip(values) {
        emit.put_opt(slot, desc, &labels, value);
    }
}

/// Blanks in `/proc/mounts` are written as octal: `\040`.
fn unescape(word: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((byte, tail)) = rest.split_first() {
        let octal = tail.get(..3).filter(|digits| digits.iter().all(|digit| (b'0'..=b'7').contains(digit)));
        match (byte, octal) {
            (b'\\', Some(digits)) => {
                out.push(digits.iter().fold(0u8, |value, digit| value.wrapping_mul(8).wrapping_add(digit - b'0')));
                rest = tail.get(3..).unwrap_or_default();
            }
            _ => {
                out.push(*byte);
                rest = tail;
            }
        }
    }
    out
}

/// Asks the kernel for the space of one mount.
pub(super) fn statvfs(path: &CString) -> std::io::Result<Space> {
    let mut stat = std::mem::MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: `path` ends in NUL and `stat` is room for the answer.
    if unsafe { libc::statvfs(path.as_ptr(), stat.as_mut_ptr()) } != 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: the call said that it filled `stat`.
    let stat = unsafe { stat.assume_init() };
    let block = stat.f_frsize as f64;
    Ok(Space {
        size: stat.f_blocks as f64 * block,
        free: stat.f_bfree as f64 * block,
        avail: stat.f_bavail as f64 * block,
        files: stat.f_files as f64,
        files_free: stat.f_ffree as f64,
        read_only: stat.f_flag & libc::ST_RDONLY != 0,
    })
}

#[cfg(test)]
mod tests {
    use super::{Filesystem, unescape};
    use crate::collect::Reading;
    use crate::collect::system::{Roots, SystemOptions};
    use crate::collect::testing::{Interner, collect, put};

    #[test]
    fn mounts_excludes_and_errors() {
        let root = tempfile::tempdir().unwrap();
        let config = SystemOptions::default();
        put(root.path(), "rootfs/a b/file", "");
        let text = "/dev/vda / ext4 rw 0 0\nproc /proc proc rw 0 0\n/dev/vdb /a\\040b xfs ro,nodev 0 0\ntmpfs /dev/shm tmpfs rw 0 0\n/dev/x /gone ext4 rw 0 0\nbad\n";
        put(root.path(), "proc/mounts", text);
        let mut files = Filesystem::new(&Roots::under(root.path()), config.mount_exclude, config.fstype_exclude);
        let intern = Interner::default();
        let (page, result) = collect(&mut files, &intern, 0);
        assert!(matches!(result, Ok(Reading::Degraded(text)) if text.starts_with("/gone: ")));
        assert_eq!(page.len(), 7 + 7 + 2, "a mount that cannot be asked has no sizes");
        let labels = r#"{device="/dev/vdb", fstype="xfs", mountpoint="/a b"}"#;
        assert_eq!(page[&format!("node_filesystem_readonly{labels}")], 1.0);
        assert!(page[&format!("node_filesystem_size_bytes{labels}")] > 0.0);
        assert_eq!(page[r#"node_filesystem_device_error{device="/dev/x", fstype="ext4", mountpoint="/gone"}"#], 1.0);
        assert_eq!(collect(&mut files, &intern, 1).0.len(), 16);
        assert_eq!(intern.count(), 16);
    }

    #[test]
    fn octal_escapes() {
        for (word, expected) in [("a", "a"), ("a\\040b", "a b"), ("\\134", "\\"), ("x\\04", "x\\04"), ("\\", "\\")] {
            assert_eq!(unescape(word.as_bytes()), expected.as_bytes());
        }
    }
}
