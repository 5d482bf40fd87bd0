//! Time for differences: the wall's clock without the steps by which it was set. A clock that is set forward by an hour must not
//! become an hour of idleness.

use crate::clock::{Clock, Stopwatch};
use crate::model::Timestamp;

/// The clock was set when it moved by more than this against the monotonic one; what it is slewed by adds up to that slowly.
const SET_MS: i64 = 100;
/// Two readings further apart than this had an interruption between them, and say nothing.
const CLOSE_MS: i64 = 10;

/// How far the wall's clock was set since the start.
#[derive(Debug)]
pub(super) struct Steady {
    watch: Stopwatch,
    /// The wall's time at the start of the watch, as it was known first.
    first: Option<i64>,
    shift_ms: i64,
    #[cfg(test)]
    pinned: Option<i64>,
}

impl Steady {
    pub(super) fn new() -> Self {
        Self {
            watch: Stopwatch::start(),
            first: None,
            shift_ms: 0,
            #[cfg(test)]
            pinned: None,
        }
    }

    /// Milliseconds that the wall's clock is ahead of where it would be if nobody had set it.
    pub(super) fn shift_ms(&mut self) -> i64 {
        #[cfg(test)]
        if let Some(pinned) = self.pinned {
            return pinned;
        }
        if let Some(start) = self.start() {
            self.follow(start);
        }
        self.shift_ms
    }

    /// When the watch was started, as the wall's clock says now.
    fn start(&self) -> Option<Timestamp> {
        let elapsed = || i64::try_from(self.watch.elapsed().as_millis()).unwrap_or(i64::MAX);
        let (before, wall, after) = (elapsed(), Clock::System.now(), elapsed());
        (after - before < CLOSE_MS).then(|| wall.saturating_sub(before))
    }

    fn follow(&mut self, start: Timestamp) {
        let shift = start.saturating_sub(*self.first.get_or_insert(start));
        if shift.abs_diff(self.shift_ms) > SET_MS.unsigned_abs() {
            self.shift_ms = shift;
        }
    }

    /// Says how far the clock was set, whatever it shows.
    #[cfg(test)]
    pub(super) fn pin(&mut self, shift_ms: i64) {
        self.pinned = Some(shift_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::Steady;

    #[test]
    fn steps_count_and_slewing_does_not() {
        let mut steady = Steady::new();
        assert_eq!(steady.shift_ms(), 0);
        steady.first = Some(1_000);
        for (start, expected) in [
            (1_000, 0),
            (1_090, 0),
            (1_150, 150),
            (1_000 + 3_600_000, 3_600_000),
            (1_000 + 3_600_050, 3_600_000),
            (1_000, 0),
            (-500_000, -501_000),
        ] {
            steady.follow(start);
            assert_eq!(steady.shift_ms, expected, "{start}");
        }
    }
}
