//! Names of block devices by their numbers.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::collect::system::Roots;
use crate::collect::system::bytes::{lines, text};
use crate::collect::system::source::read_once;

/// Names that are remembered; numbers are given out again.
const MAX_NAMES: usize = 1024;

/// The names, from `/sys/dev/block`.
pub(super) struct DeviceNames {
    folder: PathBuf,
    known: BTreeMap<(u32, u32), String>,
    buffer: Vec<u8>,
}

impl DeviceNames {
    pub(super) fn new(roots: &Roots) -> Self {
        Self { folder: roots.sys.join("dev/block"), known: BTreeMap::new(), buffer: Vec::new() }
    }

    /// `/dev/sda` as cAdvisor has it; `8:0` where the name is not to be found.
    pub(super) fn name(&mut self, (major, minor): (u32, u32)) -> String {
        if let Some(name) = self.known.get(&(major, minor)) {
            return name.clone();
        }
        let path = self.folder.join(format!("{major}:{minor}")).join("uevent");
        let found = read_once(&path, &mut self.buffer).ok().and_then(|bytes| {
            let name = lines(bytes).find_map(|line| line.strip_prefix(b"DEVNAME="))?;
            text(name).map(|name| format!("/dev/{name}"))
        });
        let name = found.unwrap_or_else(|| format!("{major}:{minor}"));
        if self.known.len() >= MAX_NAMES {
            self.known.clear();
        }
        self.known.insert((major, minor), name.clone());
        name
    }
}
