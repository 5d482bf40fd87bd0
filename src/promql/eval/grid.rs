//! The times at which a subexpression is evaluated.

use crate::model::Timestamp;
use crate::promql::plan::QueryTimes;

/// `len` times from `start` on, `step` milliseconds apart. May be empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grid {
    pub(crate) start: Timestamp,
    pub(crate) step: i64,
    pub(crate) len: usize,
}

impl Grid {
    /// One time.
    pub(crate) fn single(ts: Timestamp) -> Self {
        Self { start: ts, step: 1, len: 1 }
    }

    /// From `start` to `end` inclusive; empty when `end` lies before `start`.
    pub(crate) fn span(start: Timestamp, end: Timestamp, step: i64) -> Self {
        let step = step.max(1);
        let len = if end < start { 0 } else { end.saturating_sub(start) / step + 1 };
        Self { start, step, len: usize::try_from(len).unwrap_or(usize::MAX) }
    }

    pub(crate) fn of(times: QueryTimes) -> Self {
        if times.is_range() { Self::span(times.start, times.end, times.step) } else { Self::single(times.start) }
    }

    pub(crate) fn at(&self, step: usize) -> Timestamp {
        self.start + self.step * step as i64
    }

    pub(crate) fn end(&self) -> Timestamp {
        self.at(self.len.saturating_sub(1))
    }

    /// Some of the steps.
    pub(crate) fn part(&self, steps: std::ops::Range<usize>) -> Self {
        Self { start: self.at(steps.start), step: self.step, len: steps.len() }
    }

    pub(crate) fn times(self) -> impl Iterator<Item = Timestamp> {
        (0..self.len).map(move |step| self.at(step))
    }
}
