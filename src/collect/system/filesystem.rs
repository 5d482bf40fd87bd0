//! Mounted file systems: `statvfs` of each mount. Only what is known to be a local disk is asked on the collectors'
//! thread: a server or a process that is gone lets the call hang for ever. All others are asked beside it; meanwhile
//! `node_filesystem_device_error` says so and the tick goes on.

use std::ffi::{CString, OsStr};
use std::hash::BuildHasher;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use regex::bytes::Regex;
use rustc_hash::{FxBuildHasher, FxHashSet};

use super::bytes::{label, lines, words};
use super::report::{Trouble, unread};
use super::roots::Roots;
use super::side_mounts::SideMounts;
use super::source::{Source, is_missing};
use crate::collect::catalogue::gauge;
use crate::collect::emit::{Emit, Slot, Table};
use crate::collect::{CollectError, Collector, Reading};
use crate::model::{Batch, FamilyDesc, Intern, Timestamp};

/// Mounts that are shown at most.
const MAX_MOUNTS: usize = 512;
/// Lines that are looked at, those of left out mounts included: a host of containers has thousands.
const MAX_LINES: usize = 8192;
/// Mounts that are no local disks and are remembered: what is mounted below them is asked beside the tick too.
const MAX_POINTS: usize = 1024;
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

/// File systems that answer from this machine's disks and memory, without a server or a process behind them.
const LOCAL: [&[u8]; 48] = [
    b"apfs",
    b"bcachefs",
    b"binfmt_misc",
    b"bpf",
    b"btrfs",
    b"cgroup",
    b"cgroup2",
    b"configfs",
    b"cramfs",
    b"debugfs",
    b"devpts",
    b"devtmpfs",
    b"efivarfs",
    b"erofs",
    b"exfat",
    b"ext2",
    b"ext3",
    b"ext4",
    b"f2fs",
    b"fusectl",
    b"hfs",
    b"hfsplus",
    b"hugetlbfs",
    b"iso9660",
    b"jffs2",
    b"jfs",
    b"mqueue",
    b"msdos",
    b"nilfs2",
    b"nsfs",
    b"ntfs",
    b"ntfs3",
    b"overlay",
    b"proc",
    b"pstore",
    b"ramfs",
    b"reiserfs",
    b"rootfs",
    b"securityfs",
    b"selinuxfs",
    b"squashfs",
    b"sysfs",
    b"tmpfs",
    b"tracefs",
    b"ubifs",
    b"udf",
    b"vfat",
    b"xfs",
];

/// What the kernel says about one mount.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Space {
    size: f64,
    free: f64,
    avail: f64,
    files: f64,
    files_free: f64,
}

/// What is remembered of a mount line; of one that is left out, nothing.
struct Mount {
    /// The tick in which it was last listed.
    listed: u64,
    /// Asked beside the tick.
    aside: bool,
    read_only: bool,
    device: String,
    point: String,
    fstype: String,
    path: Arc<CString>,
}

/// The collector.
pub(super) struct Filesystem {
    /// PID 1 sees the host's mounts even where we live in a mount namespace of our own; then ours.
    sources: [Source; 2],
    names: Names,
    mounts: Table<Option<Mount>>,
    aside: SideMounts,
    tick: u64,
    /// Of the list's bytes, by which a change is seen.
    hash: u64,
}

/// How lines of mounts are understood.
struct Names {
    roots: Roots,
    mount_exclude: Regex,
    type_exclude: Regex,
    /// Mount points that are no local disks.
    foreign: FxHashSet<Vec<u8>>,
    /// There are more of them than are remembered.
    has_more: bool,
}

impl Filesystem {
    pub(super) fn new(roots: &Roots, mount_exclude: Regex, type_exclude: Regex) -> Self {
        Self {
            sources: ["1/mounts", "mounts"].map(|file| Source::new(roots.proc.join(file))),
            names: Names {
                roots: roots.clone(),
                mount_exclude,
                type_exclude,
                foreign: FxHashSet::default(),
                has_more: false,
            },
            mounts: Table::new(FAMILIES.len(), MAX_LINES),
            aside: SideMounts::default(),
            tick: 0,
            hash: 0,
        }
    }

    /// Marks the mounts that are listed and shown, and asks those that may hang.
    fn list(&mut self, source: usize, now: Timestamp, trouble: &mut Trouble) {
        let Some((path, bytes)) = self.sources.get(source).map(Source::last) else { return };
        let hash = FxBuildHasher.hash_one(bytes);
        let is_new = std::mem::replace(&mut self.hash, hash) != hash;
        if is_new {
            self.names.note_foreign(bytes);
        }
        let mut shown = 0;
        for line in lines(bytes) {
            let Some((key, options)) = split(line) else {
                trouble.bad_line(path, line, "device, mount point, type and options");
                continue;
            };
            let Some(row) = self.mounts.row(key, || self.names.mount(key)) else {
                trouble.note(|| format!("{}: more than {MAX_LINES} lines", path.display()));
                continue;
            };
            // Of mounts on top of each other, the first names them all.
            let Some(mount) = row.state.as_mut().filter(|mount| mount.listed != self.tick) else { continue };
            if is_new {
                // What is mounted above it may be another one now.
                mount.aside = self.names.is_aside(key);
            }
            shown += 1;
            if shown > MAX_MOUNTS {
                trouble.note(|| format!("{}: more than {MAX_MOUNTS} mounts", path.display()));
                continue;
            }
            mount.listed = self.tick;
            mount.read_only = options.split(|byte| *byte == b',').any(|option| option == b"ro");
            if mount.aside {
                self.aside.ask(&mount.path, now);
            }
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
        self.tick += 1;
        let [first, second] = &mut self.sources;
        let read = match first.read() {
            Ok(_) => Ok(0),
            Err(error) => second.read().map(|_| 1).map_err(|other| if is_missing(&error) { other } else { error }),
        };
        match read {
            Ok(source) => self.list(source, now, &mut trouble),
            Err(error) => {
                self.mounts.end_tick(&emit);
                return unread("filesystem", second.path(), &error);
            }
        }
        self.aside.wait();
        for row in self.mounts.rows_mut() {
            let Some(mount) = row.state.as_ref().filter(|mount| mount.listed == self.tick) else { continue };
            let space = match mount.aside {
                true => self.aside.answer(&mount.path, now),
                false => statvfs(&mount.path),
            };
            if let Err(error) = &space {
                trouble.note(|| format!("{}: {error}", mount.point));
            }
            put(&mut emit, &mut row.slots, mount, space.ok());
        }
        self.aside.end_tick();
        self.mounts.end_tick(&emit);
        Ok(trouble.reading())
    }
}

/// Device, mount point and type, by which a mount is known, and its options.
fn split(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let options = words(line).nth(3)?;
    let before = (options.as_ptr() as usize).checked_sub(line.as_ptr() as usize)?;
    Some((line.get(..before)?.trim_ascii(), options))
}

impl Names {
    /// What is remembered of `device point type`; nothing when it is not to be shown.
    fn mount(&self, key: &[u8]) -> Option<Mount> {
        let mut fields = words(key);
        let (device, point, fstype) = (fields.next()?, unescape(fields.next()?), fields.next()?);
        let inside = self.inside(&point);
        if self.mount_exclude.is_match(inside) || self.type_exclude.is_match(fstype) {
            return None;
        }
        let path = self.roots.rootfs.join(OsStr::from_bytes(inside.strip_prefix(b"/").unwrap_or(inside)));
        Some(Mount {
            listed: 0,
            aside: self.is_aside(key),
            read_only: false,
            // As node_exporter, which shows the device as it is written there, with `\040` for a blank.
            device: label(device).into_owned(),
            point: label(inside).into_owned(),
            fstype: label(fstype).into_owned(),
            path: Arc::new(CString::new(path.into_os_string().into_encoded_bytes()).ok()?),
        })
    }

    /// Which mount points are no local disks, anew.
    fn note_foreign(&mut self, mounts: &[u8]) {
        self.foreign.clear();
        self.has_more = false;
        for line in lines(mounts) {
            let mut fields = words(line).skip(1);
            let (Some(point), Some(fstype)) = (fields.next(), fields.next()) else { continue };
            if LOCAL.contains(&fstype) {
                continue;
            }
            self.has_more |= self.foreign.len() >= MAX_POINTS;
            if !self.has_more {
                self.foreign.insert(unescape(point));
            }
        }
    }

    /// Whether `device point type` may hang who asks: what is no local disk, and what is mounted below such.
    fn is_aside(&self, key: &[u8]) -> bool {
        let mut fields = words(key).skip(1);
        let (Some(point), Some(fstype)) = (fields.next(), fields.next()) else { return true };
        let point = unescape(point);
        // All paths lead through `/`, which hangs us in any case.
        let above = |end: usize| end > 0 && point.get(..end).is_some_and(|above| self.foreign.contains(above));
        let is_below = || point.iter().enumerate().any(|(end, byte)| *byte == b'/' && above(end));
        !LOCAL.contains(&fstype) || is_below() || (self.has_more && point != b"/")
    }

    /// A mount point without the folder under which we see the host's root.
    fn inside<'p>(&self, point: &'p [u8]) -> &'p [u8] {
        let root = self.roots.rootfs.as_os_str().as_bytes();
        match point.strip_prefix(root.strip_suffix(b"/").unwrap_or(root)) {
            Some(b"") => b"/",
            Some(rest) if rest.starts_with(b"/") => rest,
            _ => point,
        }
    }
}

fn put(emit: &mut Emit<'_>, slots: &mut [Slot], mount: &Mount, space: Option<Space>) {
    let labels = [mount.device.as_str(), mount.point.as_str(), mount.fstype.as_str()];
    let flag = |set: bool| if set { 1.0 } else { 0.0 };
    let values = [
        Some(flag(space.is_none())),
        Some(flag(mount.read_only)),
        space.map(|space| space.size),
        space.map(|space| space.free),
        space.map(|space| space.avail),
        space.map(|space| space.files),
        space.map(|space| space.files_free),
    ];
    for ((slot, desc), value) in slots.iter_mut().zip(&FAMILIES).zip(values) {
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
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Filesystem, unescape};
    use crate::collect::Reading;
    use crate::collect::system::{Roots, SystemOptions};
    use crate::collect::testing::{Interner, collect, put};

    fn filesystem(root: &Path) -> Filesystem {
        let config = SystemOptions::default();
        Filesystem::new(&Roots::under(root), config.mount_exclude, config.fstype_exclude)
    }

    #[test]
    fn mounts_excludes_and_errors() {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), "rootfs/a b/file", "");
        let text = "/dev/vda / ext4 rw 0 0\nproc /proc proc rw 0 0\n/dev/v\\040db /a\\040b xfs ro,nodev 0 0\n/dev/v\\040db /a\\040b xfs rw 0 0\ntmpfs /dev/shm tmpfs rw 0 0\n/dev/x /gone ext4 rw 0 0\nbad\n";
        put(root.path(), "proc/mounts", text);
        let mut files = filesystem(root.path());
        let intern = Interner::default();
        let (page, result) = collect(&mut files, &intern, 0);
        assert!(matches!(&result, Ok(Reading::Degraded(text)) if text.ends_with("(and 1 more)")), "{result:?}");
        assert_eq!(page.len(), 7 + 7 + 2, "a mount that cannot be asked has no sizes");
        let labels = r#"{device="/dev/v\\040db", fstype="xfs", mountpoint="/a b"}"#;
        assert_eq!(page[&format!("node_filesystem_readonly{labels}")], 1.0, "the first of two");
        assert!(page[&format!("node_filesystem_size_bytes{labels}")] > 0.0);
        assert_eq!(page[r#"node_filesystem_device_error{device="/dev/x", fstype="ext4", mountpoint="/gone"}"#], 1.0);
        assert_eq!(collect(&mut files, &intern, 1).0.len(), 16);
        put(root.path(), "proc/mounts", &text.replace("ext4 rw", "ext4 ro"));
        let page = collect(&mut files, &intern, 2).0;
        assert_eq!(page[r#"node_filesystem_readonly{device="/dev/vda", fstype="ext4", mountpoint="/"}"#], 1.0);
        assert_eq!(intern.count(), 16, "other options are the same mount");
    }

    #[test]
    fn mounts_of_containers_leave_room_for_the_others() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("rootfs/data")).unwrap();
        let mut text: String = (0..3_000).map(|i| format!("overlay /x/{i} overlay rw 0 0\n")).collect();
        text.push_str("/dev/vdb /data ext4 rw 0 0\n");
        put(root.path(), "proc/mounts", &text);
        let (page, result) = collect(&mut filesystem(root.path()), &Interner::default(), 0);
        assert_eq!((page.len(), result.unwrap()), (7, Reading::Complete));
        let text: String = (0..600).map(|i| format!("/dev/{i} /data ext4 rw 0 0\n")).collect();
        put(root.path(), "proc/mounts", &text);
        let (page, result) = collect(&mut filesystem(root.path()), &Interner::default(), 0);
        assert_eq!(page.len(), 7 * 512);
        assert!(matches!(result, Ok(Reading::Degraded(text)) if text.contains("more than 512 mounts")));
    }

    #[test]
    fn only_local_disks_are_asked_by_the_tick() {
        let mut files = filesystem(Path::new("/nowhere"));
        files.names.note_foreign(b"/dev/sdb /bucket/disk xfs\ns3 /bucket fuse\n");
        for (key, expected) in [
            ("/dev/sda / ext4", Some(("/", false))),
            ("s3 /bucket fuse", Some(("/bucket", true))),
            ("s3 /buckets ext4", Some(("/buckets", false))),
            ("/dev/sdb /bucket/disk xfs", Some(("/bucket/disk", true))),
            ("home /home fuse.sshfs", Some(("/home", true))),
            ("disk /cluster ocfs2", Some(("/cluster", true))),
            ("/dev/sdc /nowhere/rootfs xfs", Some(("/", false))),
            ("/dev/sdc /nowhere/rootfs/var xfs", Some(("/var", false))),
            ("none /sys/kernel tmpfs", None),
            ("none /x proc", None),
        ] {
            let mount = files.names.mount(key.as_bytes());
            let found = mount.as_ref().map(|mount| (mount.point.as_str(), mount.aside));
            assert_eq!(found, expected, "{key}");
        }
        assert!(super::LOCAL.is_sorted());
        files.names.note_foreign(b"");
        assert!(!files.names.is_aside(b"/dev/sdb /bucket/disk xfs"), "the bucket has gone");
        let many: String = (0..2000).map(|i| format!("s3 /b/{i} fuse\n")).collect();
        files.names.note_foreign(many.as_bytes());
        assert!(files.names.is_aside(b"/dev/sdb /b/1999/disk xfs") && !files.names.is_aside(b"/dev/sda / ext4"));
    }

    #[test]
    fn what_is_mounted_above_later_counts_too() {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), "proc/mounts", "/dev/sdb /data/disk xfs rw 0 0\n");
        let mut files = filesystem(root.path());
        let intern = Interner::default();
        for (line, expected) in [("", false), ("server:/ /data nfs rw 0 0\n", true), ("", false)] {
            put(root.path(), "proc/mounts", &format!("/dev/sdb /data/disk xfs rw 0 0\n{line}"));
            let _ = collect(&mut files, &intern, 0);
            let disk = files.mounts.rows_mut().find_map(|row| row.state.as_ref().filter(|mount| mount.fstype == "xfs"));
            assert_eq!(disk.map(|mount| mount.aside), Some(expected), "{line:?}");
        }
    }

    #[test]
    fn other_types_answer_in_the_first_tick_too() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("rootfs/m")).unwrap();
        put(root.path(), "proc/mounts", "bucket /m fuse rw 0 0\nbucket /gone fuse rw 0 0\n");
        let (page, _) = collect(&mut filesystem(root.path()), &Interner::default(), 0);
        let error = |point| {
            page[&format!(r#"node_filesystem_device_error{{device="bucket", fstype="fuse", mountpoint="{point}"}}"#)]
        };
        assert_eq!((error("/m"), error("/gone"), page.len()), (0.0, 1.0, 9));
    }

    #[test]
    fn octal_escapes() {
        for (word, expected) in [("a", "a"), ("a\\040b", "a b"), ("\\134", "\\"), ("x\\04", "x\\04"), ("\\", "\\")] {
            assert_eq!(unescape(word.as_bytes()), expected.as_bytes());
        }
    }
}
