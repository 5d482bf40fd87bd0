//! What `/proc/PID/stat` says about one process, for the workers and for ourselves.

use super::system::bytes::{number, signed, words};

/// One line of `/proc/PID/stat`. Times are in the kernel's ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PidStat<'a> {
    /// Name of the executable, at most 15 bytes; some kernel threads have longer ones.
    pub(crate) comm: &'a [u8],
    /// One letter: R, S, D, Z, T, t, X, I.
    pub(crate) state: u8,
    pub(crate) parent: i32,
    pub(crate) minor_faults: u64,
    pub(crate) major_faults: u64,
    pub(crate) user_ticks: u64,
    pub(crate) system_ticks: u64,
    pub(crate) threads: u64,
    /// Ticks after the machine's start; with the pid the identity of the process.
    pub(crate) start_ticks: u64,
    pub(crate) virtual_bytes: u64,
    pub(crate) resident_pages: u64,
    /// How a zombie ended, as `wait` would tell it; 0 while it runs, and where this user may not know.
    pub(crate) wait_status: u64,
}

impl<'a> PidStat<'a> {
    /// Reads the line; the name stands in parentheses and may hold blanks and parentheses itself.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let open = bytes.iter().position(|byte| *byte == b'(')?;
        let close = bytes.iter().rposition(|byte| *byte == b')')?;
        let comm = bytes.get(open + 1..close)?;
        let mut fields = words(bytes.get(close + 1..)?);
        let state = *fields.next()?.first()?;
        let parent = i32::try_from(signed(fields.next()?)?).ok()?;
        // proc(5) counts from 1 and the state is field 3: minflt is 10, majflt 12, utime 14, num_threads 20, starttime
        // 22, rss 24, exit_code 52. rss and the times can be short of what they were; they are never negative here.
        let mut next = |skip: usize| fields.nth(skip);
        let minor_faults = number(next(5)?)?;
        let major_faults = number(next(1)?)?;
        let user_ticks = number(next(1)?)?;
        let system_ticks = number(next(0)?)?;
        let threads = number(next(4)?)?;
        let start_ticks = number(next(1)?)?;
        let virtual_bytes = number(next(0)?)?;
        let resident_pages = number(next(0)?)?;
        // Only zombies have one, and an older kernel has no such field.
        let wait_status = if state == b'Z' { next(27).and_then(number).unwrap_or(0) } else { 0 };
        Some(Self {
            comm,
            state,
            parent,
            minor_faults,
            major_faults,
            user_ticks,
            system_ticks,
            threads,
            start_ticks,
            virtual_bytes,
            resident_pages,
            wait_status,
        })
    }
}

/// Bytes of one page of memory.
pub(crate) fn page_bytes() -> f64 {
    // SAFETY: sysconf takes a number and has no memory to get wrong.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    if bytes > 0 { bytes as f64 } else { 4096.0 }
}

#[cfg(test)]
mod tests {
    use super::PidStat;

    #[test]
    fn names_with_blanks_and_garbage() {
        let line = "7 (a ) b) S 1 7 7 0 -1 4194560 10 20 30 40 50 60 70 80 20 0 3 0 900 8192 25 18446744073709551615 1";
        let stat = PidStat::parse(line.as_bytes()).unwrap();
        assert_eq!((stat.comm, stat.state, stat.parent), (&b"a ) b"[..], b'S', 1));
        assert_eq!((stat.user_ticks, stat.system_ticks, stat.threads), (50, 60, 3));
        assert_eq!((stat.start_ticks, stat.virtual_bytes, stat.resident_pages), (900, 8192, 25));
        assert_eq!((stat.minor_faults, stat.major_faults, stat.wait_status), (10, 30, 0));
        let zombie = "7 (a) Z 1 7 7 0 -1 0 1 0 2 0 5 6 0 0 20 0 1 0 9 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 9";
        assert_eq!(PidStat::parse(zombie.as_bytes()).unwrap().wait_status, 9);
        for bad in ["", "7", "7 (x", "7 (x)", ") (", "7 (x) S 1 2 3", &line.replace(" 900 ", " -1 ")] {
            assert_eq!(PidStat::parse(bad.as_bytes()), None, "{bad}");
        }
    }
}
