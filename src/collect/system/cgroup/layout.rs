//! Where the hierarchies are: v1, v2, or both (hybrid), as `/proc/self/mountinfo` and `/proc/self/cgroup` say.

use std::path::{Component, Path, PathBuf};

use crate::collect::system::Roots;
use crate::collect::system::bytes::{lines, text, words};
use crate::collect::system::source::read_once;

/// What a file of a cgroup belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Controller {
    Cpu,
    CpuAcct,
    CpuSet,
    Memory,
    Pids,
    Io,
    /// Pressure: always of v2, even where every controller is mounted as v1.
    Pressure,
}

/// The controllers and their names in v1.
const CONTROLLERS: [(Controller, &str); 6] = [
    (Controller::Cpu, "cpu"),
    (Controller::CpuAcct, "cpuacct"),
    (Controller::CpuSet, "cpuset"),
    (Controller::Memory, "memory"),
    (Controller::Pids, "pids"),
    (Controller::Io, "blkio"),
];

/// systemd's own hierarchy in v1: every slice, service and scope is there.
const SYSTEMD: &str = "name=systemd";

/// Mounts that are kept at most.
const MAX_MOUNTS: usize = 64;

/// Which interface a controller has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    V1,
    V2,
}

/// One mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    /// Where it is, as this process sees it.
    pub(super) point: PathBuf,
    /// Which part of the hierarchy is mounted there: `/` except inside some containers.
    root: String,
    /// Our own cgroup in it.
    own: Option<String>,
}

/// The hierarchies of this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Layout {
    unified: Option<Mount>,
    v1: Vec<(Controller, Mount)>,
    systemd: Option<Mount>,
}

impl Layout {
    /// Reads where the hierarchies are; `None` when there is none.
    pub(super) fn detect(roots: &Roots) -> Option<Self> {
        let mut buffer = Vec::new();
        let own = read_once(&roots.proc.join("self/cgroup"), &mut buffer).unwrap_or_default().to_vec();
        let mounts = read_once(&roots.proc.join("self/mountinfo"), &mut buffer).ok()?;
        let mut layout = Self::default();
        for line in lines(mounts) {
            layout.add(line, &own, roots);
        }
        (layout.unified.is_some() || !layout.v1.is_empty()).then_some(layout)
    }

    fn add(&mut self, line: &[u8], own: &[u8], roots: &Roots) {
        let Some((root, point, kind, options)) = parse_mount(line) else { return };
        let mount =
            |own_path: Option<String>| Mount { point: on_roots(roots, &point), root: root.clone(), own: own_path };
        match kind {
            "cgroup2" if self.unified.is_none() => self.unified = Some(mount(own_path(own, "", true))),
            "cgroup" => {
                let options: Vec<&str> = options.split(',').collect();
                for (controller, name) in CONTROLLERS {
                    let known = self.v1.iter().any(|(known, _)| *known == controller);
                    if options.contains(&name) && !known && self.v1.len() < MAX_MOUNTS {
                        self.v1.push((controller, mount(own_path(own, name, false))));
                    }
                }
                if options.contains(&SYSTEMD) && self.systemd.is_none() {
                    self.systemd = Some(mount(own_path(own, SYSTEMD, false)));
                }
            }
            _ => {}
        }
    }

    /// `v1`, `v2` or `hybrid`.
    pub(super) fn name(&self) -> &'static str {
        match (self.v1.is_empty(), self.unified.is_some()) {
            (true, _) => "v2",
            (false, true) => "hybrid",
            (false, false) => "v1",
        }
    }

    /// The hierarchy of a controller, and its interface.
    pub(super) fn of(&self, controller: Controller) -> Option<(&Mount, Version)> {
        let v1 = self.v1.iter().find(|(known, _)| *known == controller).map(|(_, mount)| (mount, Version::V1));
        v1.or_else(|| self.unified.as_ref().map(|mount| (mount, Version::V2)))
    }

    /// The hierarchies in which cgroups are looked for; those in which every service is come first.
    pub(super) fn walked(&self) -> Vec<&Path> {
        let wanted = [Controller::Memory, Controller::CpuAcct, Controller::Cpu, Controller::Pids, Controller::Io];
        let v1 = wanted.iter().filter_map(|wanted| self.v1.iter().find(|(known, _)| known == wanted));
        let all = self.unified.iter().chain(&self.systemd).chain(v1.map(|(_, mount)| mount));
        let mut points: Vec<&Path> = Vec::new();
        for mount in all {
            if !points.contains(&mount.point.as_path()) {
                points.push(&mount.point);
            }
        }
        points
    }
}

impl Mount {
    /// Our own cgroup and its ancestors, nearest first, as folders; at least the mount itself.
    pub(super) fn own_and_ancestors(&self) -> Vec<PathBuf> {
        let below = self.own.as_deref().and_then(|own| below_root(own, &self.root)).unwrap_or_default();
        let full = self.point.join(below);
        // Where the namespace hides what is above, or the mount shows another part, the mount itself is the best guess; of a
        // cgroup that was removed under us, what is left above it.
        let ancestors = full.ancestors().take_while(|folder| folder.starts_with(&self.point));
        let mut there: Vec<PathBuf> = ancestors.filter(|folder| folder.is_dir()).map(Path::to_owned).collect();
        if there.is_empty() {
            there.push(self.point.clone());
        }
        there
    }
}

/// The path below the mounted part: `/docker/x` mounted, `/docker/x/y` is ours: `y`. `None` when it is elsewhere.
fn below_root(own: &str, root: &str) -> Option<String> {
    let rest = own.strip_prefix(root.trim_end_matches('/')).filter(|rest| rest.is_empty() || rest.starts_with('/'))?;
    let rest = Path::new(rest.trim_start_matches('/'));
    // `/../x` is what a namespace shows of cgroups outside of it.
    let is_plain = rest.components().all(|part| matches!(part, Component::Normal(_)));
    is_plain.then(|| rest.to_str().map(str::to_owned)).flatten()
}

/// Our own path in a hierarchy: `4:memory:/a`, `0::/a` in v2.
fn own_path(own: &[u8], controller: &str, is_unified: bool) -> Option<String> {
    for line in lines(own).filter_map(text) {
        let mut parts = line.splitn(3, ':');
        let (number, names, path) = (parts.next()?, parts.next()?, parts.next()?);
        let is_it = match is_unified {
            true => number == "0" && names.is_empty(),
            false => names.split(',').any(|name| name == controller),
        };
        if is_it {
            return Some(path.to_owned());
        }
    }
    None
}

/// Root, mount point, file system type and its options of a line of mountinfo (proc(5)).
fn parse_mount(line: &[u8]) -> Option<(String, String, &str, &str)> {
    let mut fields = words(line);
    let root = unescape(fields.nth(3)?)?;
    let point = unescape(fields.next()?)?;
    let mut rest = fields.skip_while(|field| *field != b"-").skip(1);
    let kind = text(rest.next()?)?;
    let options = text(rest.nth(1).unwrap_or_default())?;
    Some((root, point, kind, options))
}

/// Blanks and backslashes of mountinfo are octal: `\040`.
fn unescape(field: &[u8]) -> Option<String> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let octal = after.get(..3).filter(|_| *first == b'\\').and_then(text);
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

/// A mount point as the configured roots show it.
fn on_roots(roots: &Roots, point: &str) -> PathBuf {
    match point.strip_prefix("/sys/") {
        Some(below) => roots.sys.join(below),
        None => roots.on_rootfs(point),
    }
}

#[cfg(test)]
mod tests {
    use super::{below_root, own_path, parse_mount};

    #[test]
    fn mounts() {
        type Mount = (&'static str, &'static str, &'static str, &'static str);
        let cases: &[(&str, Option<Mount>)] = &[
            (
                "34 31 0:30 / /sys/fs/cgroup/cpu\\040x rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct",
                Some(("/", "/sys/fs/cgroup/cpu x", "cgroup", "rw,cpu,cpuacct")),
            ),
            (
                "41 31 0:38 /docker/a /sys/fs/cgroup rw - cgroup2 cgroup2 rw",
                Some(("/docker/a", "/sys/fs/cgroup", "cgroup2", "rw")),
            ),
            ("41 31 0:38 / /x rw", None),
            ("41 31", None),
            ("", None),
            ("1 2 3 / \\9zz rw - cgroup2 c", Some(("/", "\\9zz", "cgroup2", ""))),
        ];
        for (line, expected) in cases {
            let expected = expected.map(|(root, point, kind, options)| (root.into(), point.into(), kind, options));
            assert_eq!(parse_mount(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn own_paths() {
        let own = b"4:memory:/a:b\n3:cpu,cpuacct:/c\n1:name=systemd:/s\n0::/u\nbad\n";
        for (name, unified, expected) in [
            ("memory", false, Some("/a:b")),
            ("cpuacct", false, Some("/c")),
            ("name=systemd", false, Some("/s")),
            ("pids", false, None),
            ("", true, Some("/u")),
        ] {
            assert_eq!(own_path(own, name, unified).as_deref(), expected, "{name}");
        }
        for (own, root, expected) in [
            ("/docker/x/y", "/docker/x", Some("y")),
            ("/a", "/", Some("a")),
            ("/", "/", Some("")),
            ("/../x", "/", None),
            ("/a", "/docker/x", None),
            ("/docker/xy", "/docker/x", None),
        ] {
            assert_eq!(below_root(own, root).as_deref(), expected, "{own} under {root}");
        }
    }
}
