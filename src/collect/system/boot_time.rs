//! When the machine started, as `btime` of `/proc/stat` says it. That file costs as much as ten processes, and its line moves
//! only when the clock is set: the difference of two clocks, which costs no system call, tells when to read it again.

use super::bytes::{lines, number, words};
use super::roots::Roots;
use super::source::Source;

/// The clock was set when the two clocks moved apart by more than this: reading them one after the other takes microseconds.
const SET_NS: i64 = 10_000_000;
/// Two readings of a clock that lie further apart than this had an interruption between them.
const CLOSE_NS: i64 = 100_000;
/// What `btime` may differ by from the difference of the clocks: it is cut to seconds, after a step to the next one at times.
const CUT_SECONDS: f64 = 1.5;
/// How often an interrupted reading is tried again.
const TRIES: usize = 4;

/// The machine's start, kept up to date.
#[derive(Debug)]
pub(crate) struct BootTime {
    stat: Source,
    /// Only the kernel's own file moves with our clocks.
    is_kernel: bool,
    /// What the file said, and how far the clocks were apart then.
    last: Option<(f64, Option<i64>)>,
}

impl BootTime {
    pub(crate) fn new(roots: &Roots) -> Self {
        Self { stat: Source::new(roots.proc.join("stat")), is_kernel: roots.is_kernel_proc(), last: None }
    }

    /// Seconds since the epoch; the last that was known when the file cannot be read, `None` if it never could.
    pub(crate) fn seconds(&mut self) -> Option<f64> {
        let apart = if self.is_kernel { clocks_apart() } else { None };
        if let Some((seconds, Some(before))) = self.last
            && apart.is_some_and(|apart| apart.abs_diff(before) < SET_NS.unsigned_abs())
        {
            return Some(seconds);
        }
        match self.stat.read().ok().and_then(btime) {
            // What is known stays while the file says the same: a start that moves by parts of a second looks like a new start.
            Some(seconds) => {
                let known = self.last.map(|(known, _)| known).filter(|known| (known - seconds).abs() < CUT_SECONDS);
                self.last = Some((known.unwrap_or_else(|| precise(seconds, apart)), apart));
            }
            // Asked again next time.
            None => self.last = self.last.map(|(seconds, _)| (seconds, None)),
        }
        self.last.map(|(seconds, _)| seconds)
    }
}

fn btime(stat: &[u8]) -> Option<f64> {
    let line = lines(stat).find_map(|line| line.strip_prefix(b"btime "))?;
    number(words(line).next()?).map(|seconds| seconds as f64)
}

/// The machine's start to less than a second, if the clocks speak of the same start: `btime` is cut to whole ones.
fn precise(seconds: f64, apart: Option<i64>) -> f64 {
    let apart = apart.map(|apart| apart as f64 / 1e9);
    apart.filter(|apart| (apart - seconds).abs() < CUT_SECONDS).unwrap_or(seconds)
}

/// Nanoseconds from the clock that counts since the machine's start to the wall's clock; the kernel makes `btime` of the same two.
fn clocks_apart() -> Option<i64> {
    (0..TRIES).find_map(|_| {
        let (before, wall, after) =
            (clock(libc::CLOCK_BOOTTIME)?, clock(libc::CLOCK_REALTIME)?, clock(libc::CLOCK_BOOTTIME)?);
        (after - before < CLOSE_NS).then_some(wall - before)
    })
}

fn clock(which: libc::clockid_t) -> Option<i64> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure is what the call writes to.
    let done = unsafe { libc::clock_gettime(which, &raw mut time) };
    (done == 0).then(|| time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec))
}

#[cfg(test)]
mod tests {
    use super::{BootTime, SET_NS, clocks_apart, precise};
    use crate::collect::system::Roots;
    use crate::collect::testing::put;

    #[test]
    fn a_fake_tree_is_read_each_time() {
        let root = tempfile::tempdir().unwrap();
        let mut boot = BootTime::new(&Roots::under(root.path()));
        assert_eq!(boot.seconds(), None);
        for (text, expected) in [
            ("cpu 1\nbtime 1000\n", Some(1000.0)),
            ("btime 4600\n", Some(4600.0)),
            ("", Some(4600.0)),
            ("btime soon\n", Some(4600.0)),
            ("btime 18446744073709551616\n", Some(4600.0)),
            ("btime 7\n", Some(7.0)),
        ] {
            put(root.path(), "proc/stat", text);
            assert_eq!(boot.seconds(), expected, "{text:?}");
        }
    }

    #[test]
    fn starts_are_known_to_less_than_a_second() {
        for (seconds, apart, expected) in [
            (1000.0, Some(1_000_750_000_000), 1000.75),
            (1000.0, Some(999_500_000_000), 999.5),
            (1000.0, Some(4_600_000_000_000), 1000.0),
            (1000.0, None, 1000.0),
        ] {
            assert_eq!(precise(seconds, apart), expected, "{apart:?}");
        }
    }

    #[test]
    fn the_kernels_file_is_read_again_when_the_clock_was_set() {
        let mut boot = BootTime::new(&Roots::default());
        let Some(first) = boot.seconds() else {
            eprintln!("SKIPPED: no /proc/stat");
            return;
        };
        let apart = clocks_apart().expect("a quiet moment in four");
        assert!((apart as f64 / 1e9 - first).abs() < 2.0, "{apart} and {first}");
        // What was read is believed for as long as the clocks stand as they did.
        boot.last = Some((first + 5.0, Some(apart)));
        assert_eq!(boot.seconds(), Some(first + 5.0));
        boot.last = Some((first + 5.0, Some(apart - 2 * SET_NS)));
        assert!(boot.seconds().is_some_and(|again| (again - first).abs() < 0.1));
        // A small step of the clock, or a moment in which it could not be read, moves no start.
        for before in [None, Some(apart - 2 * SET_NS)] {
            boot.last = Some((first + 0.3, before));
            assert_eq!(boot.seconds(), Some(first + 0.3), "{before:?}");
        }
    }
}
