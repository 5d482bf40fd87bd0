//! Where the kernel's files are: a parameter, so that a test builds a machine file by file.

use std::ffi::CString;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The roots of the file trees that system collectors read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roots {
    /// The proc file system, `/proc` on a host, `/host/proc` in a container that watches its host.
    pub proc: PathBuf,
    /// The sysfs, `/sys`.
    pub sys: PathBuf,
    /// The root of what mount points and `/etc` are relative to, `/`.
    pub rootfs: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Self { proc: "/proc".into(), sys: "/sys".into(), rootfs: "/".into() }
    }
}

impl Roots {
    /// The trees `proc`, `sys` and `rootfs` under one folder.
    pub fn under(root: &Path) -> Self {
        Self { proc: root.join("proc"), sys: root.join("sys"), rootfs: root.join("rootfs") }
    }

    /// Whether [`Roots::proc`] is the kernel's own tree, and not a test's.
    pub(crate) fn is_kernel_proc(&self) -> bool {
        let Ok(path) = CString::new(self.proc.as_os_str().as_bytes()) else { return false };
        let mut facts = MaybeUninit::<libc::statfs>::zeroed();
        // SAFETY: the path ends with NUL and the structure is large enough for what the call writes.
        let done = unsafe { libc::statfs(path.as_ptr(), facts.as_mut_ptr()) };
        // SAFETY: zeroed above, and every bit pattern of these integers is valid.
        done == 0 && unsafe { facts.assume_init() }.f_type == libc::PROC_SUPER_MAGIC
    }

    /// A path of this machine as seen through the root file system.
    pub(crate) fn on_rootfs(&self, path: &str) -> PathBuf {
        self.rootfs.join(path.trim_start_matches('/'))
    }
}
