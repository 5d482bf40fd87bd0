//! Whether a network interface has changed: the kernel tells who listens, which costs one call instead of some twenty files an
//! interface. It needs no privilege.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

use super::roots::Roots;

/// Bytes of one message that are taken; what it says does not matter, so the rest may be cut off.
const MESSAGE_BYTES: usize = 64;
/// Messages that are taken at once; of more, the rest is found the next time, which only reads the files once more.
const MAX_MESSAGES: usize = 1024;

/// Listens to changes of interfaces of our own network namespace.
#[derive(Debug)]
pub(super) struct LinkWatch {
    /// `None` where nobody can tell.
    socket: Option<OwnedFd>,
}

impl LinkWatch {
    /// Listens from now on, if the files below `roots` are those of this machine.
    pub(super) fn new(roots: &Roots) -> Self {
        let is_ours = roots.sys == Path::new("/sys");
        Self { socket: if is_ours { listen().ok() } else { None } }
    }

    /// Whether something may have changed since the last call; true when that cannot be known.
    pub(super) fn has_changed(&mut self) -> bool {
        let Some(socket) = &self.socket else { return true };
        let mut changed = false;
        for _ in 0..MAX_MESSAGES {
            let mut message = [0u8; MESSAGE_BYTES];
            // SAFETY: the buffer is ours and as long as the call is told.
            let length = unsafe {
                libc::recv(socket.as_raw_fd(), message.as_mut_ptr().cast(), message.len(), libc::MSG_DONTWAIT)
            };
            if length > 0 {
                changed = true;
                continue;
            }
            match io::Error::last_os_error() {
                _ if length == 0 => {}
                error if error.kind() == io::ErrorKind::WouldBlock => return changed,
                // Messages were lost, which says that there were some.
                error if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    changed = true;
                    continue;
                }
                error if error.kind() == io::ErrorKind::Interrupted => continue,
                _ => {}
            }
            // It tells nothing any more.
            self.socket = None;
            return true;
        }
        changed
    }
}

fn listen() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: the call takes three numbers.
    let fd = unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given it to us, and nobody else knows it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: every bit pattern of these integers is valid.
    let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
    address.nl_family = libc::AF_NETLINK as libc::sa_family_t;
    address.nl_groups = libc::RTMGRP_LINK as u32;
    let length = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
    // SAFETY: the address is ours and as long as the call is told.
    let done = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) };
    if done == 0 { Ok(socket) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::LinkWatch;
    use crate::collect::system::Roots;

    #[test]
    fn a_fake_tree_may_always_have_changed_and_a_real_one_rarely() {
        let mut fake = LinkWatch::new(&Roots::under("/nowhere".as_ref()));
        assert!((0..3).all(|_| fake.has_changed()));
        let mut real = LinkWatch::new(&Roots::default());
        if real.socket.is_none() {
            eprintln!("SKIPPED: no netlink");
            return;
        }
        // Others may change interfaces, but not all the time.
        assert!((0..1000).any(|_| !real.has_changed()));
    }
}
