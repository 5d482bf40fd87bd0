//! Slots of one interval: at multiples of it, each at most once, whatever the clock does.

use parking_lot::Mutex;

use crate::model::Timestamp;

/// A step back of the clock by this many intervals starts the slots anew; a smaller one waits until time is there again.
const STEP_BACK_INTERVALS: i64 = 10;
/// Intervals that are counted apart: every collector may have its own, few do.
const MAX_RATES: usize = 32;

/// The slots of one interval.
#[derive(Debug, Clone)]
pub(super) struct Slots {
    interval_ms: i64,
    last: Option<Timestamp>,
}

/// A slot that is to run now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Due {
    /// Its time, a multiple of the interval.
    pub(super) slot: Timestamp,
    /// Slots that passed before it without a tick.
    pub(super) missed: u64,
    /// How long ago it was due.
    pub(super) late_ms: u64,
    /// Whether it is the first: that one belongs to the time before the start, so it is neither late nor are any missed.
    pub(super) first: bool,
}

impl Slots {
    /// Slots every `interval_ms`, at least a millisecond.
    pub(super) fn new(interval_ms: i64) -> Self {
        Self { interval_ms: interval_ms.max(1), last: None }
    }

    /// Slots every `interval_ms`, at least a millisecond, of which the first is the next one after `last`.
    pub(super) fn after(interval_ms: i64, last: Timestamp) -> Self {
        let interval_ms = interval_ms.max(1);
        Self { interval_ms, last: Some(last.div_euclid(interval_ms) * interval_ms) }
    }

    pub(super) fn interval_ms(&self) -> i64 {
        self.interval_ms
    }

    /// When the next slot is: now, before the first.
    pub(super) fn next(&self, now: Timestamp) -> Timestamp {
        self.last.map_or(now, |last| last.saturating_add(self.interval_ms))
    }

    /// The slot that is due at `now`, if there is one; it counts as run.
    pub(super) fn due(&mut self, now: Timestamp) -> Option<Due> {
        let slot = now.div_euclid(self.interval_ms) * self.interval_ms;
        let late_ms = u64::try_from(now - slot).unwrap_or(0);
        let due = match self.last {
            None => Due { slot, missed: 0, late_ms: 0, first: true },
            Some(last) if slot > last => {
                let missed = u64::try_from((slot - last) / self.interval_ms - 1).unwrap_or(0);
                Due { slot, missed, late_ms, first: false }
            }
            Some(last) if slot < last - STEP_BACK_INTERVALS * self.interval_ms => {
                Due { slot, missed: 0, late_ms, first: false }
            }
            Some(_) => return None,
        };
        self.last = Some(slot);
        Some(due)
    }
}

/// What was counted of all collectors with one interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RateCount {
    /// Milliseconds between two slots.
    pub interval_ms: i64,
    /// Slots that ran.
    pub ticks: u64,
    /// Slots that passed because the thread was busy, asleep, or the clock jumped.
    pub missed: u64,
    /// Milliseconds that slots began late, in sum.
    pub late_ms: u64,
    /// The latest that a slot began, in milliseconds.
    pub latest_ms: u64,
}

/// Counts slots by interval. Collectors of the ring and fast ones write into the same.
#[derive(Debug, Default)]
pub struct SamplingCounters(Mutex<Vec<(RateCount, Timestamp)>>);

impl SamplingCounters {
    /// What was counted, by interval.
    pub fn rates(&self) -> Vec<RateCount> {
        self.0.lock().iter().map(|(rate, _)| *rate).collect()
    }

    /// A slot began. Groups that share an interval share their slots: each counts once.
    pub(super) fn note(&self, interval_ms: i64, due: Due) {
        let mut rates = self.0.lock();
        let place = rates.iter().position(|(rate, _)| rate.interval_ms == interval_ms).or_else(|| {
            let room = rates.len() < MAX_RATES;
            room.then(|| {
                rates.push((RateCount { interval_ms, ..RateCount::default() }, Timestamp::MIN));
                rates.len() - 1
            })
        });
        if let Some((rate, last)) = place.and_then(|place| rates.get_mut(place))
            && *last != due.slot
        {
            *last = due.slot;
            rate.ticks += 1;
            rate.missed += due.missed;
            rate.late_ms += due.late_ms;
            rate.latest_ms = rate.latest_ms.max(due.late_ms);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Due, SamplingCounters, Slots};

    #[test]
    fn every_slot_once_and_none_twice() {
        let mut slots = Slots::new(100);
        assert_eq!(slots.next(1_234), 1_234);
        for (now, expected) in [
            (1_234, Some((1_200, 0, 0))),
            (1_299, None),
            (1_303, Some((1_300, 0, 3))),
            (1_799, Some((1_700, 3, 99))),
            // A small step back waits, a large one starts anew.
            (1_000, None),
            (500, Some((500, 0, 0))),
            (600, Some((600, 0, 0))),
        ] {
            let due = slots.due(now).map(|due| (due.slot, due.missed, due.late_ms));
            assert_eq!(due, expected, "at {now}");
        }
        assert_eq!(slots.next(0), 700);
    }

    #[test]
    fn rates_are_counted_apart_and_bounded() {
        let counters = SamplingCounters::default();
        for i in 0..100 {
            counters.note(i % 50, Due { slot: i, missed: 1, late_ms: i as u64, first: false });
        }
        let rates = counters.rates();
        assert_eq!(rates.len(), super::MAX_RATES);
        assert_eq!((rates[3].ticks, rates[3].missed, rates[3].late_ms, rates[3].latest_ms), (2, 2, 56, 53));
    }
}
