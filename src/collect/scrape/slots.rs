//! The slots of a task: `offset + k × interval`, never burst. One that has just passed is still taken, others are not caught up.

use std::time::Duration;

use tokio::sync::watch;

use crate::clock::Clock;
use crate::model::Timestamp;

/// A slot counts until this part of the interval has passed: work that takes the whole interval ends a little after the next slot, and should not
/// cost it.
const LATE_PART: i64 = 4;

/// Walks from slot to slot.
pub(crate) struct Slots {
    clock: Clock,
    interval: i64,
    offset: i64,
    next: Timestamp,
}

impl Slots {
    /// Slots after now.
    pub(crate) fn new(clock: Clock, interval: Duration, offset: Duration) -> Self {
        let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4);
        let mut slots = Self { clock, interval: millis(interval).max(1), offset: millis(offset), next: 0 };
        slots.next = slots.after(slots.clock.now());
        slots
    }

    /// Waits for the next slot; `None` when told to stop.
    pub(crate) async fn wait(&self, stop: &mut watch::Receiver<bool>) -> Option<Timestamp> {
        loop {
            let left = self.next - self.clock.now();
            if left <= 0 {
                return Some(self.next);
            }
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(left.unsigned_abs())) => {}
                _ = stop.wait_for(|stop| *stop) => return None,
            }
        }
    }

    /// Goes on to the first slot that has not passed by more than a quarter of the interval; returns how many were missed.
    pub(crate) fn advance(&mut self) -> u64 {
        let now = self.clock.now();
        let next = self.after(now - self.interval / LATE_PART);
        // A clock that was set back far starts anew; by a little, the slots wait for it.
        let jumped_back = self.next - now > 10 * self.interval;
        let missed = if next > self.next { (next - self.next) / self.interval - 1 } else { 0 };
        self.next = if jumped_back { next } else { next.max(self.next + self.interval) };
        missed.unsigned_abs()
    }

    fn after(&self, now: Timestamp) -> Timestamp {
        now - (now - self.offset).rem_euclid(self.interval) + self.interval
    }
}

#[cfg(test)]
mod tests {
    use super::Slots;
    use crate::clock::{Clock, ManualClock};
    use std::time::Duration;

    #[test]
    fn slots_are_exact_and_missed_ones_counted() {
        let clock = ManualClock::new(10_250);
        let mut slots = Slots::new(Clock::Manual(clock.clone()), Duration::from_secs(1), Duration::from_millis(300));
        let cases = [
            (10_300, 0, 11_300),
            (11_299, 0, 12_300),
            // A scrape that took its whole timeout does not cost the next slot.
            (12_301, 0, 13_300),
            (14_301, 0, 14_300),
            (15_549, 0, 15_300),
            (16_551, 1, 17_300),
            (21_400, 3, 21_300),
            (22_800, 1, 23_300),
            (1_000, 0, 1_300),
        ];
        assert_eq!(slots.next, 10_300);
        for (now, missed, next) in cases {
            clock.set(now);
            assert_eq!((slots.advance(), slots.next), (missed, next), "at {now}");
        }
    }
}
