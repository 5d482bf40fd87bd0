//! When groups are evaluated.
//!
//! Prometheus spreads groups over their interval by a hash of their names. Here every group's slots are the multiples
//! of its interval: collectors tick on the same slots, so an alert sees a sample milliseconds after it was taken,
//! and rules that are due together share their work.

use crate::model::Timestamp;

/// The slots of one group: 0, interval, 2 × interval, … since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slots {
    interval_ms: i64,
    next: Timestamp,
}

/// A slot that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Due {
    /// The time to evaluate at.
    pub(super) slot: Timestamp,
    /// Earlier slots that passed without an evaluation.
    pub(super) missed: i64,
}

impl Slots {
    /// The first slot is the first one after `now`, or `now` itself if it is one.
    pub(super) fn starting(now: Timestamp, interval_ms: i64) -> Self {
        let interval_ms = interval_ms.max(1);
        Self { interval_ms, next: now.saturating_add(interval_ms - 1).div_euclid(interval_ms) * interval_ms }
    }

    /// The slot that comes next.
    pub(super) fn next(&self) -> Timestamp {
        self.next
    }

    /// The slot to evaluate at `now`, if one is due. Of several that are due only the last is evaluated. When the
    /// clock was set back by more than an interval, slots begin anew.
    pub(super) fn take(&mut self, now: Timestamp) -> Option<Due> {
        if self.next.saturating_sub(now) > self.interval_ms {
            *self = Self::starting(now, self.interval_ms);
        }
        if now < self.next {
            return None;
        }
        let missed = (now - self.next) / self.interval_ms;
        let slot = self.next + missed * self.interval_ms;
        self.next = slot + self.interval_ms;
        Some(Due { slot, missed })
    }
}

#[cfg(test)]
mod tests {
    use super::{Due, Slots};

    #[test]
    fn slots_are_multiples_and_misses_are_counted() {
        let mut slots = Slots::starting(1_001, 1_000);
        assert_eq!(slots.next(), 2_000);
        let steps: &[(i64, Option<Due>)] = &[
            (1_999, None),
            (2_000, Some(Due { slot: 2_000, missed: 0 })),
            (2_001, None),
            (3_400, Some(Due { slot: 3_000, missed: 0 })),
            (6_999, Some(Due { slot: 6_000, missed: 2 })),
            // Set back by hours: begins anew.
            (500, None),
            (1_000, Some(Due { slot: 1_000, missed: 0 })),
        ];
        for (now, expected) in steps {
            assert_eq!(slots.take(*now), *expected, "at {now}");
        }
        assert_eq!(Slots::starting(15_000, 15_000).next(), 15_000);
    }
}
