//! Which machine and which system this is: uname and os-release, as series whose value is 1.

use std::path::{Path, PathBuf};

use super::bytes::label;
use super::report::unread;
use super::roots::Roots;
use super::source::read_once;
use crate::collect::catalogue::gauge;
use crate::collect::emit::{Emit, Slot};
use crate::collect::{CollectError, Collector, Reading};
use crate::model::{Batch, FamilyDesc, Intern, Timestamp};
use crate::telemetry::BUILD;

pub(super) static UNAME: [FamilyDesc; 2] = [
    gauge(
        "node_uname_info",
        "",
        "Labeled system information as provided by the uname system call.",
        &["sysname", "release", "version", "machine", "nodename", "domainname"],
        1,
    ),
    // Dashboards list the machines by this name.
    gauge(
        "node_exporter_build_info",
        "",
        "What answers in node_exporter's place: the build of this watchfire.",
        &["version", "revision", "goos", "goarch"],
        1,
    ),
];

const OS_LABELS: &[&str] = &[
    "build_id",
    "id",
    "id_like",
    "image_id",
    "image_version",
    "name",
    "pretty_name",
    "variant",
    "variant_id",
    "version",
    "version_codename",
    "version_id",
];

pub(super) static OS: [FamilyDesc; 2] = [
    gauge(
        "node_os_info",
        "",
        "A metric with a constant '1' value labeled by build_id, id, id_like, image_id, image_version, name, pretty_name, variant, variant_id, version, version_codename, version_id.",
        OS_LABELS,
        1,
    ),
    gauge(
        "node_os_version",
        "",
        "Metric containing the major.minor part of the OS version.",
        &["id", "id_like", "name"],
        1,
    ),
];

/// Kernel, architecture and names of the machine, from `/proc/sys/kernel`.
pub(super) struct Uname {
    folder: PathBuf,
    known: [String; 6],
    slot: Slot,
    build: Slot,
    buffer: Vec<u8>,
}

impl Uname {
    pub(super) fn new(roots: &Roots) -> Self {
        let folder = roots.proc.join("sys/kernel");
        Self { folder, known: Default::default(), slot: Slot::New, build: Slot::New, buffer: Vec::new() }
    }

    fn read(&mut self, file: &str) -> std::io::Result<String> {
        let bytes = read_once(&self.folder.join(file), &mut self.buffer)?;
        Ok(label(bytes.trim_ascii()).into_owned())
    }
}

impl Collector for Uname {
    fn name(&self) -> &'static str {
        "uname"
    }

    fn collect(&mut self, _now: Timestamp, intern: &dyn Intern, out: &mut Batch) -> Result<Reading, CollectError> {
        let mut emit = Emit::new("node", intern, out);
        let [desc, build] = &UNAME;
        let goarch = match BUILD.arch {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        emit.put(&mut self.build, build, &[BUILD.version, BUILD.revision, BUILD.os, goarch], 1.0);
        let sysname = match self.read("ostype") {
            Ok(sysname) => sysname,
            Err(error) => return unread("uname", &self.folder.join("ostype"), &error),
        };
        // `arch` came with Linux 6.1; before it, our own architecture is the machine's.
        let machine = self.read("arch").unwrap_or_else(|_| std::env::consts::ARCH.to_owned());
        let rest = ["osrelease", "version", "hostname", "domainname"].map(|file| self.read(file).unwrap_or_default());
        let [release, version, nodename, domainname] = rest;
        let fresh = [sysname, release, version, machine, nodename, domainname];
        if fresh != self.known {
            emit.release(&[std::mem::take(&mut self.slot)]);
            self.known = fresh;
        }
        emit.put(&mut self.slot, desc, &self.known.each_ref().map(String::as_str), 1.0);
        Ok(Reading::Complete)
    }
}

/// The distribution, from `/etc/os-release`.
pub(super) struct Os {
    roots: Roots,
    text: String,
    labels: [String; OS_LABELS.len()],
    slots: [Slot; 2],
    buffer: Vec<u8>,
}

impl Os {
    pub(super) fn new(roots: &Roots) -> Self {
        let (text, labels) = (String::new(), Default::default());
        Self { roots: roots.clone(), text, labels, slots: [Slot::New; 2], buffer: Vec::new() }
    }
}

impl Collector for Os {
    fn name(&self) -> &'static str {
        "os"
    }

    fn collect(&mut self, _now: Timestamp, intern: &dyn Intern, out: &mut Batch) -> Result<Reading, CollectError> {
        let mut emit = Emit::new("node", intern, out);
        let etc = self.roots.on_rootfs("/etc/os-release");
        let mut read = |path: &Path| read_once(path, &mut self.buffer).map(|bytes| label(bytes).into_owned());
        let text = match read(&etc) {
            Ok(text) => text,
            Err(error) => match read(&self.roots.on_rootfs("/usr/lib/os-release")) {
                Ok(text) => text,
                Err(_) => return unread("os", &etc, &error),
            },
        };
        if text != self.text {
            emit.release(&std::mem::take(&mut self.slots));
            let mut labels = OS_LABELS.iter().map(|name| value(&text, name));
            self.labels = std::array::from_fn(|_| labels.next().unwrap_or_default());
            self.text = text;
        }
        let labels = self.labels.each_ref().map(String::as_str);
        let ([info, version], [info_slot, version_slot]) = (&OS, &mut self.slots);
        emit.put(info_slot, info, &labels, 1.0);
        let [_, id, id_like, _, _, name, .., version_id] = labels;
        emit.put_opt(version_slot, version, &[id, id_like, name], major_minor(version_id));
        Ok(Reading::Complete)
    }
}

/// `NAME="value"`: the file is a list of shell assignments.
fn value(text: &str, name: &str) -> String {
    let find = |line: &str| {
        let (key, value) = line.trim().split_once('=')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim_matches(['"', '\'']).replace('\\', ""))
    };
    text.lines().find_map(find).unwrap_or_default()
}

fn major_minor(version: &str) -> Option<f64> {
    let mut parts = version.splitn(3, '.');
    let text = match (parts.next(), parts.next()) {
        (Some(major), Some(minor)) => format!("{major}.{minor}"),
        (Some(major), None) => major.to_owned(),
        _ => return None,
    };
    text.parse().ok().filter(|version: &f64| version.is_finite())
}

#[cfg(test)]
mod tests {
    use super::{Os, Uname, major_minor};
    use crate::collect::system::Roots;
    use crate::collect::testing::{Interner, collect, put};

    #[test]
    fn facts_and_their_change() {
        let root = tempfile::tempdir().unwrap();
        let roots = Roots::under(root.path());
        let intern = Interner::default();
        put(root.path(), "rootfs/etc/os-release", "ID=debian\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12.4.1\"\n");
        put(root.path(), "proc/sys/kernel/ostype", "Linux\n");
        put(root.path(), "proc/sys/kernel/hostname", "one\n");
        put(root.path(), "proc/sys/kernel/arch", "x86_64\n");
        let (mut os, mut uname) = (Os::new(&roots), Uname::new(&roots));
        let (page, _) = collect(&mut os, &intern, 0);
        assert_eq!(page[r#"node_os_version{id="debian", name="Debian GNU/Linux"}"#], 12.4);
        let info = r#"node_os_info{id="debian", name="Debian GNU/Linux", version_id="12.4.1"}"#;
        assert_eq!(page[info], 1.0);
        let (page, _) = collect(&mut uname, &intern, 0);
        assert_eq!(page[r#"node_uname_info{machine="x86_64", nodename="one", sysname="Linux"}"#], 1.0);
        put(root.path(), "proc/sys/kernel/hostname", "two\n");
        let (page, _) = collect(&mut uname, &intern, 0);
        assert_eq!(
            (page.len(), page[r#"node_uname_info{machine="x86_64", nodename="two", sysname="Linux"}"#]),
            (2, 1.0)
        );
        assert_eq!(intern.released(), 1, "what answers is the same as before");
        assert!(page.keys().any(|series| series.starts_with("node_exporter_build_info{")), "{page:?}");
    }

    #[test]
    fn versions() {
        for (text, expected) in [("12", Some(12.0)), ("22.04", Some(22.04)), ("", None), ("rolling", None)] {
            assert_eq!(major_minor(text), expected);
        }
    }
}
