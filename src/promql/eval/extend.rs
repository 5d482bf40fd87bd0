//! `anchored` and `smoothed` windows: values at the window's ends.

use crate::model::Timestamp;

/// The value at `at` on the line through two samples. A counter that fell in between started again at zero.
pub(crate) fn interpolate(before: (Timestamp, f64), after: (Timestamp, f64), at: Timestamp, is_counter: bool) -> f64 {
    let from = if is_counter && after.1 < before.1 { 0.0 } else { before.1 };
    from + (after.1 - from) * (at - before.0) as f64 / (after.0 - before.0) as f64
}

/// The samples that a window `(start, end]` rests on: the one at or before its start, if there is one, and for a
/// smoothed window the one at or after its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ends {
    pub(crate) first: usize,
    pub(crate) last: usize,
}

impl Ends {
    /// `None` when no sample lies after the start, or (smoothed) none before the end.
    pub(crate) fn of(times: &[Timestamp], start: Timestamp, end: Timestamp, smoothed: bool) -> Option<Self> {
        let newest = times.len().checked_sub(1)?;
        let before_last = &times[..newest];
        let first = before_last.partition_point(|ts| *ts <= start).saturating_sub(1);
        let last = if smoothed { before_last.partition_point(|ts| *ts < end) } else { newest };
        let empty = times[last] <= start || (smoothed && times[first] > end);
        (!empty).then_some(Self { first, last })
    }

    /// The value at the window's start.
    pub(crate) fn left(
        self,
        times: &[Timestamp],
        values: &[f64],
        start: Timestamp,
        smoothed: bool,
        is_counter: bool,
    ) -> f64 {
        let at = |i: usize| (times[i], values[i]);
        if smoothed && times[self.first] < start && self.first + 1 < times.len() {
            return interpolate(at(self.first), at(self.first + 1), start, is_counter);
        }
        values[self.first]
    }

    /// The value at the window's end.
    pub(crate) fn right(
        self,
        times: &[Timestamp],
        values: &[f64],
        end: Timestamp,
        smoothed: bool,
        is_counter: bool,
    ) -> f64 {
        let at = |i: usize| (times[i], values[i]);
        if smoothed && self.last > 0 && times[self.last] > end {
            return interpolate(at(self.last - 1), at(self.last), end, is_counter);
        }
        values[self.last]
    }

    /// Samples strictly inside the window, as indices.
    pub(crate) fn inner(self, times: &[Timestamp], start: Timestamp, end: Timestamp) -> std::ops::Range<usize> {
        let from = if times[self.first] <= start { self.first + 1 } else { self.first };
        let to = if times[self.last] >= end { self.last } else { self.last + 1 };
        from..to.max(from)
    }
}

#[cfg(test)]
mod tests {
    use super::{Ends, interpolate};

    #[test]
    fn a_reset_starts_at_zero() {
        assert_eq!(interpolate((0, 10.0), (10, 4.0), 5, true), 2.0);
        assert_eq!(interpolate((0, 10.0), (10, 4.0), 5, false), 7.0);
    }

    #[test]
    fn ends_reach_over_the_window() {
        let times = [0, 10, 20, 30];
        assert_eq!(Ends::of(&times, 5, 25, true), Some(Ends { first: 0, last: 3 }));
        assert_eq!(Ends::of(&times[..3], 5, 25, false), Some(Ends { first: 0, last: 2 }));
        assert_eq!(Ends::of(&times, 30, 40, false), None);
        assert_eq!(Ends { first: 0, last: 3 }.inner(&times, 5, 25), 1..3);
    }
}
