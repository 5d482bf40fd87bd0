//! From batches to values of signals, and from those to windows.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use super::rolling::{LONGEST_MS, Rolling, SPANS, Stats};
use super::signals::{FOLDS, FRAMES, Fold, Part, SIGNALS, role};
use crate::model::{Batch, GroupId, Intern, SeriesRef, Timestamp, is_absent, is_stale};

/// Frames that one report may carry: more than two seconds at 240 Hz.
pub const MAX_FRAMES: usize = 600;
/// The longest frame that is believed, in seconds; a browser sleeps in the background.
const LONGEST_FRAME: f64 = 60.0;
/// Steps of a second that frame times are rounded to, so that those of a report become few values: an error of at most 0.05 ms.
const FRAME_STEPS: f64 = 10_000.0;
/// A frame is late when it took more than one and a half sixtieths of a second: one was left out.
const LATE_FRAME: f64 = 0.025;
/// What a value stands for that has none before it, in milliseconds.
const FIRST_WEIGHT: u32 = 1000;
/// A CPU time in seconds that falls by less than this is not a new counter.
const SLIGHTLY_BACK: f64 = 10.0;
/// A step back of the clock by more than this empties the windows; a smaller one waits.
const STEP_BACK_MS: i64 = 10_000;

/// A report of frames that was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected 1 to {MAX_FRAMES} frame times between 0 and {LONGEST_FRAME} seconds: {0}")]
pub struct BadFrames(pub String);

/// Rolling windows over the own series. Shared between whoever measures and whoever asks.
pub struct Windows {
    intern: Arc<dyn Intern>,
    state: Mutex<State>,
    frames: AtomicU64,
    late_frames: AtomicU64,
}

struct State {
    groups: FxHashMap<GroupId, Vec<SeriesRef>>,
    /// Every series of the groups; `None` for one that is part of no signal.
    known: FxHashMap<SeriesRef, Option<Member>>,
    signals: [Signal; SIGNALS.len()],
    /// Counts batches, to know which gauges came together.
    round: u64,
}

struct Member {
    signal: usize,
    part: Part,
    /// The last value of a counter, and when it was read.
    last: Option<(f64, Timestamp)>,
}

#[derive(Default)]
struct Signal {
    /// Whether something came since the last value was taken.
    updated: bool,
    /// Whether a counter came that had no value before.
    begun: bool,
    round: u64,
    /// Gains of counters since the last value; sums of gauges of the last batch.
    plus: f64,
    minus: f64,
    plus_count: u32,
    minus_count: u32,
    sampled_at: Option<Timestamp>,
    rolling: Rolling,
}

impl Windows {
    /// Empty windows. `intern` tells the labels of the series that batches carry.
    pub fn new(intern: Arc<dyn Intern>) -> Self {
        let state = State {
            groups: FxHashMap::default(),
            known: FxHashMap::default(),
            signals: std::array::from_fn(|_| Signal::default()),
            round: 0,
        };
        Self { intern, state: Mutex::new(state), frames: AtomicU64::new(0), late_frames: AtomicU64::new(0) }
    }

    /// Takes a whole tick of a group in. The steady case compares references and looks a few of them up.
    pub fn observe(&self, batch: &Batch) {
        let state = &mut *self.state.lock();
        let group = state.groups.entry(batch.group).or_default();
        if !(group.len() == batch.floats.len() && group.iter().eq(batch.floats.iter().map(|(series, _)| series))) {
            let before = std::mem::replace(group, batch.floats.iter().map(|(series, _)| *series).collect());
            for (series, _) in &batch.floats {
                state.known.entry(*series).or_insert_with(|| {
                    let labels = self.intern.labels(*series)?;
                    role(&labels).map(|(signal, part)| Member { signal, part, last: None })
                });
            }
            let living: rustc_hash::FxHashSet<SeriesRef> = group.iter().copied().collect();
            for series in before.iter().filter(|series| !living.contains(series)) {
                state.known.remove(series);
            }
        }
        state.take(batch);
    }

    /// Takes samples between two ticks in, and what they say into the windows.
    pub fn observe_fast(&self, batch: &Batch) {
        let state = &mut *self.state.lock();
        state.take(batch);
        state.sample(batch.ts);
    }

    /// Calls `each` with what every window that has values says at `now`, in the order of [`SIGNALS`] and [`SPANS`].
    pub fn read(&self, now: Timestamp, mut each: impl FnMut(usize, usize, Stats)) {
        let state = &mut *self.state.lock();
        state.sample(now);
        for (index, signal) in state.signals.iter_mut().enumerate() {
            signal.rolling.advance(now);
            for (span, stats) in signal.rolling.stats().into_iter().enumerate() {
                if let Some(stats) = stats {
                    each(index, span, stats);
                }
            }
        }
    }

    /// What one window says at `now`; `None` without values, or for names that there are not.
    pub fn stats(&self, signal: &str, window: &str, now: Timestamp) -> Option<Stats> {
        let wanted =
            SIGNALS.iter().position(|name| *name == signal).zip(SPANS.iter().position(|(name, _)| *name == window));
        let mut found = None;
        self.read(now, |signal, span, stats| {
            if wanted == Some((signal, span)) {
                found = Some(stats);
            }
        });
        found
    }

    /// Takes the times of a page's frames, in seconds, which ended by `now`.
    ///
    /// # Errors
    /// When there are none, too many, or one is no time of a frame; nothing is taken then.
    pub fn frames(&self, seconds: &[f64], now: Timestamp) -> Result<(), BadFrames> {
        if seconds.is_empty() || seconds.len() > MAX_FRAMES {
            return Err(BadFrames(format!("found {} frames", seconds.len())));
        }
        if let Some(bad) = seconds.iter().find(|time| !(**time > 0.0 && **time <= LONGEST_FRAME)) {
            return Err(BadFrames(format!("found {bad}")));
        }
        let mut steps: Vec<u32> = seconds.iter().map(|time| (time * FRAME_STEPS).round() as u32).collect();
        steps.sort_unstable();
        let mut state = self.state.lock();
        let signal = &mut state.signals[FRAMES];
        signal.settle_clock(now);
        signal.sampled_at = Some(now);
        for same in steps.chunk_by(|a, b| a == b) {
            let value = f64::from(same.first().copied().unwrap_or(0)) / FRAME_STEPS;
            signal.rolling.push(now, value, u32::try_from(same.len()).unwrap_or(u32::MAX));
        }
        let late = seconds.iter().filter(|time| **time > LATE_FRAME).count();
        self.frames.fetch_add(seconds.len() as u64, Ordering::Relaxed);
        self.late_frames.fetch_add(late as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Frames that pages reported, and how many of them were late; `None` before the first.
    pub fn frame_counts(&self) -> Option<(u64, u64)> {
        let frames = self.frames.load(Ordering::Relaxed);
        (frames > 0).then(|| (frames, self.late_frames.load(Ordering::Relaxed)))
    }

    #[cfg(test)]
    pub(super) fn values(&self, signal: usize) -> usize {
        self.state.lock().signals[signal].rolling.len()
    }
}

impl State {
    fn take(&mut self, batch: &Batch) {
        self.round += 1;
        for (series, value) in &batch.floats {
            if let Some(Some(member)) = self.known.get_mut(series)
                && !is_stale(*value)
                && !is_absent(*value)
                && value.is_finite()
                && let Some(signal) = self.signals.get_mut(member.signal)
            {
                match FOLDS.get(member.signal) {
                    Some(fold @ (Fold::Busy | Fold::Rate)) => signal.gain(member, *fold, *value, batch.ts),
                    _ => signal.add(member.part, *value, self.round),
                }
            }
        }
    }

    /// Makes a value of each signal that moved since its last one.
    fn sample(&mut self, now: Timestamp) {
        for (signal, fold) in self.signals.iter_mut().zip(FOLDS) {
            let begun = std::mem::take(&mut signal.begun);
            if std::mem::take(&mut signal.updated) {
                signal.sample(fold, now);
            } else if begun {
                signal.sampled_at = Some(now.max(signal.sampled_at.unwrap_or(now)));
            }
        }
    }
}

impl Signal {
    fn gain(&mut self, member: &mut Member, fold: Fold, value: f64, ts: Timestamp) {
        let Some((last, at)) = member.last else {
            member.last = Some((value, ts));
            // Nothing is known of the time before its first value.
            self.begun = true;
            return;
        };
        // A tick that took long comes after the fast sample that follows it.
        if ts < at && at - ts < STEP_BACK_MS {
            return;
        }
        self.updated = true;
        let gain = match fold {
            _ if value >= last => value - last,
            // The kernel's idle times run back a little now and then, and two readers see that at different moments.
            Fold::Busy if last - value < SLIGHTLY_BACK => {
                member.last = Some((last, ts));
                return;
            }
            Fold::Busy => 0.0,
            // A counter that fell was reset: what it shows now came since then.
            _ => value,
        };
        member.last = Some((value, ts));
        match member.part {
            Part::Plus => self.plus += gain,
            Part::Minus => self.minus += gain,
        }
    }

    fn add(&mut self, part: Part, value: f64, round: u64) {
        self.updated = true;
        if self.round != round {
            (self.round, self.plus, self.minus, self.plus_count, self.minus_count) = (round, 0.0, 0.0, 0, 0);
        }
        match part {
            Part::Plus => (self.plus, self.plus_count) = (self.plus + value, self.plus_count + 1),
            Part::Minus => (self.minus, self.minus_count) = (self.minus + value, self.minus_count + 1),
        }
    }

    /// A clock that was set back far would leave values that never grow old.
    fn settle_clock(&mut self, now: Timestamp) {
        if self.sampled_at.is_some_and(|at| now < at - STEP_BACK_MS) {
            self.rolling.clear();
            self.sampled_at = None;
        }
        if self.sampled_at.is_none_or(|at| now > at) {
            self.rolling.advance(now);
        }
    }

    fn sample(&mut self, fold: Fold, now: Timestamp) {
        self.settle_clock(now);
        let since = self.sampled_at.map(|at| now - at);
        if since.is_some_and(|since| since <= 0) {
            self.updated = true;
            return;
        }
        let value = match fold {
            Fold::Busy | Fold::Rate => {
                let (plus, minus) = (std::mem::take(&mut self.plus), std::mem::take(&mut self.minus));
                match (fold, since) {
                    (_, None) => None,
                    // Less than the clock's grain passed: there is nothing to divide.
                    (Fold::Busy, _) if plus + minus <= 0.0 => None,
                    (Fold::Busy, _) => Some(plus / (plus + minus)),
                    (_, Some(since)) => Some(plus * 1000.0 / since as f64),
                }
            }
            Fold::Difference => (self.plus_count > 0 && self.minus_count > 0).then_some(self.plus - self.minus),
            Fold::Sum => Some(self.plus),
            Fold::Mean => Some(self.plus / f64::from(self.plus_count.max(1))),
            Fold::Frames => None,
        };
        self.sampled_at = Some(now);
        if let Some(value) = value.filter(|value| value.is_finite()) {
            let weight =
                since.map_or(FIRST_WEIGHT, |since| u32::try_from(since.min(LONGEST_MS)).unwrap_or(FIRST_WEIGHT));
            self.rolling.push(now, value, weight);
        }
    }
}
