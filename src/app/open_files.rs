//! The limit of open files: a soft one of 1,024 is too low for a machine of many devices, containers and connections.

/// What is asked for at most. Hard limits of a million are common, and nothing here needs them.
const WANTED: libc::rlim_t = 65_536;

/// Raises the soft limit to the hard one, [`WANTED`] at most. Where that is refused, the old limit stays.
pub(super) fn raise() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure is what the call writes to.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return;
    }
    let Some(wanted) = raised(&limit) else { return };
    let old = std::mem::replace(&mut limit.rlim_cur, wanted);
    // SAFETY: the structure is filled, and the call only reads it.
    match unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } {
        0 => tracing::debug!(from = old, to = wanted, "raised the limit of open files"),
        _ => tracing::debug!(limit = old, error = %std::io::Error::last_os_error(), "the limit of open files stays"),
    }
}

/// The soft limit to set, if it is not high enough already.
fn raised(limit: &libc::rlimit) -> Option<libc::rlim_t> {
    let wanted = limit.rlim_max.min(WANTED);
    (wanted > limit.rlim_cur).then_some(wanted)
}

#[cfg(test)]
mod tests {
    use super::{WANTED, raised};

    #[test]
    fn only_upwards_and_never_beyond_the_hard_limit() {
        for (soft, hard, expected) in [
            (1024, 4096, Some(4096)),
            (1024, 1 << 20, Some(WANTED)),
            (1024, libc::RLIM_INFINITY, Some(WANTED)),
            (4096, 4096, None),
            (1 << 20, 1 << 20, None),
            (libc::RLIM_INFINITY, libc::RLIM_INFINITY, None),
        ] {
            assert_eq!(raised(&libc::rlimit { rlim_cur: soft, rlim_max: hard }), expected, "{soft} {hard}");
        }
    }
}
