//! The values of one signal over the last five minutes, sorted for each of three windows.

use std::collections::VecDeque;

use crate::model::Timestamp;

/// The windows: their names, and their lengths in milliseconds, ascending. Each reaches from its length ago (left out) to now.
pub const SPANS: [(&str, i64); 3] = [("1s", 1_000), ("10s", 10_000), ("5m", 300_000)];
/// The longest.
pub(super) const LONGEST_MS: i64 = SPANS[2].1;

/// Values of one signal at most: five minutes at 10 Hz are 3,000. Where there are more, the longest window is shorter.
pub(super) const MAX_VALUES: usize = 4096;

/// What a window says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stats {
    /// The mean, weighted with time.
    pub mean: f64,
    /// The largest value.
    pub max: f64,
    /// The median: the smallest value that was not exceeded for half of the time.
    pub p50: f64,
    /// The 95th percentile: the smallest value that was not exceeded for 95 % of the time.
    pub p95: f64,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    ts: Timestamp,
    value: f64,
    weight: u32,
}

#[derive(Debug, Default)]
struct Window {
    /// By value, then weight.
    sorted: Vec<(f64, u32)>,
    /// How many entries since the beginning have left it.
    left: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Rolling {
    entries: VecDeque<Entry>,
    /// How many entries since the beginning have left the longest window.
    left: u64,
    windows: [Window; SPANS.len()],
}

/// A value after a long gap stands for no more of a window than there is of it. Counts are below the shortest.
fn within(weight: u32, span: i64) -> u32 {
    weight.min(u32::try_from(span).unwrap_or(u32::MAX))
}

fn place(sorted: &[(f64, u32)], value: f64, weight: u32) -> usize {
    sorted.partition_point(|(v, w)| v.total_cmp(&value).then(w.cmp(&weight)).is_lt())
}

impl Rolling {
    /// Adds a finite value that stands for `weight` (milliseconds, or a count), at a time not before the last.
    pub(super) fn push(&mut self, ts: Timestamp, value: f64, weight: u32) {
        if self.entries.len() >= MAX_VALUES
            && let Some(oldest) = self.entries.front().map(|entry| entry.ts)
        {
            // One leaves early; `advance` takes it out of every window that still has it.
            self.leave(oldest, 1);
        }
        self.entries.push_back(Entry { ts, value, weight });
        for (window, (_, span)) in self.windows.iter_mut().zip(SPANS) {
            let weight = within(weight, span);
            window.sorted.insert(place(&window.sorted, value, weight), (value, weight));
        }
    }

    /// Takes out what is too old at `now`.
    pub(super) fn advance(&mut self, now: Timestamp) {
        for (window, (_, span)) in self.windows.iter_mut().zip(SPANS) {
            let gone = usize::try_from(window.left - self.left).unwrap_or(usize::MAX);
            for entry in self.entries.iter().skip(gone).take_while(|entry| entry.ts <= now - span) {
                window.remove(entry, span);
            }
        }
        while self.entries.front().is_some_and(|entry| entry.ts <= now - LONGEST_MS) {
            self.entries.pop_front();
            self.left += 1;
        }
    }

    /// Takes the `count` oldest entries, none younger than `until`, out of everything.
    fn leave(&mut self, until: Timestamp, count: usize) {
        for _ in 0..count {
            let Some(entry) = self.entries.front().copied().filter(|entry| entry.ts <= until) else { return };
            for (window, (_, span)) in self.windows.iter_mut().zip(SPANS).filter(|(window, _)| window.left == self.left)
            {
                window.remove(&entry, span);
            }
            self.entries.pop_front();
            self.left += 1;
        }
    }

    /// Forgets everything: the clock was set back.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// What the windows say, in the order of [`SPANS`]; `None` for one without values.
    pub(super) fn stats(&self) -> [Option<Stats>; SPANS.len()] {
        std::array::from_fn(|i| self.windows.get(i).and_then(|window| stats(&window.sorted)))
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

impl Window {
    fn remove(&mut self, entry: &Entry, span: i64) {
        let at = place(&self.sorted, entry.value, within(entry.weight, span));
        if at < self.sorted.len() {
            self.sorted.remove(at);
        }
        self.left += 1;
    }
}

/// One walk gives everything, so that no sum drifts.
fn stats(sorted: &[(f64, u32)]) -> Option<Stats> {
    let (max, _) = *sorted.last()?;
    let total: u64 = sorted.iter().map(|(_, weight)| u64::from(*weight)).sum();
    // Values without weight count alike.
    let weight_of = |weight: u32| if total == 0 { 1 } else { u64::from(weight) };
    let total = if total == 0 { sorted.len() as u64 } else { total };
    let (mut sum, mut seen, mut p50, mut p95) = (0.0, 0u64, None, None);
    for (value, weight) in sorted {
        let weight = weight_of(*weight);
        sum += value * weight as f64;
        seen += weight;
        if p50.is_none() && seen * 2 >= total {
            p50 = Some(*value);
        }
        if p95.is_none() && seen * 20 >= total * 19 {
            p95 = Some(*value);
        }
    }
    Some(Stats { mean: sum / total as f64, max, p50: p50.unwrap_or(max), p95: p95.unwrap_or(max) })
}
