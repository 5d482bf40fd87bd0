//! Handles of processes that tell, from Linux 6.15 on, how a process ended, though it is nobody's child here.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// `PIDFD_GET_INFO` of linux/pidfd.h: `_IOWR(0xFF, 11, 64 bytes)`.
const PIDFD_GET_INFO: u64 = 0xC040_FF0B;
/// "Tell how it ended", `PIDFD_INFO_EXIT`.
const INFO_EXIT: u64 = 1 << 3;

/// The first version of `struct pidfd_info`.
#[repr(C)]
#[derive(Default)]
struct Info {
    mask: u64,
    cgroup: u64,
    ids: [u32; 11],
    wait_status: i32,
}

/// A handle of a process; `None` where the kernel gives none.
pub(super) fn open(pid: i32) -> Option<OwnedFd> {
    // SAFETY: the call takes two numbers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let fd = i32::try_from(fd).ok().filter(|fd| *fd >= 0)?;
    // SAFETY: the kernel has just given it to us, and nobody else knows it.
    Some(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// How a process ended, as `wait` tells it; `None` while it is there, and on kernels before 6.15.
pub(super) fn wait_status(handle: &OwnedFd) -> Option<i32> {
    let mut info = Info { mask: INFO_EXIT, ..Info::default() };
    // SAFETY: the request's size is that of the structure, which is ours.
    let done = unsafe { libc::ioctl(handle.as_raw_fd(), PIDFD_GET_INFO as _, &raw mut info) };
    (done == 0 && info.mask & INFO_EXIT != 0).then_some(info.wait_status)
}

#[cfg(test)]
mod tests {
    use super::{Info, open, wait_status};

    #[test]
    fn how_a_process_ended() {
        assert_eq!(size_of::<Info>(), 64);
        let mut child = std::process::Command::new("sh")
            .args(["-c", "read x; exit 7"])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let Some(handle) = open(child.id() as i32) else {
            eprintln!("SKIPPED: no pidfd_open");
            drop(child.stdin.take());
            child.wait().unwrap();
            return;
        };
        assert_eq!(wait_status(&handle), None, "it runs");
        drop(child.stdin.take());
        child.wait().unwrap();
        // An older kernel does not tell; a newer one tells the right thing.
        assert!(matches!(wait_status(&handle), None | Some(0x700)));
    }
}
