//! Windows that overlap their predecessors: the cost grows with new samples, not with the window's length.
//!
//! Each state follows the bounds `lo..hi` of a window over one series' values; both bounds only grow. Sums and
//! variances are kept as two stacks of partial results, so nothing is ever subtracted and no error builds up.

use std::collections::VecDeque;

use crate::promql::parser::FunctionId;

use super::kahan::KahanSum;
use super::math::{nan_first, quantile_of_sorted};

/// Values beyond this may overflow in a sum: the exact way handles them.
const SAFE: f64 = 1e280;

/// The running state of one series.
#[derive(Debug)]
pub(crate) enum Sliding {
    Sum(TwoStacks<KahanSum>),
    Avg(TwoStacks<KahanSum>),
    Stddev(TwoStacks<Moments>),
    Stdvar(TwoStacks<Moments>),
    Best(Deque),
    Quantile(Sorted),
    /// How many events lie before each sample.
    Events(Vec<u32>),
}

impl Sliding {
    /// The state for a function, when it has one and the values allow it.
    pub(crate) fn of(id: FunctionId, values: &[f64]) -> Option<Self> {
        let safe = || values.iter().fold(true, |safe, value| safe & (value.abs() < SAFE));
        Some(match id {
            FunctionId::SumOverTime if safe() => Self::Sum(TwoStacks::default()),
            FunctionId::AvgOverTime if safe() => Self::Avg(TwoStacks::default()),
            FunctionId::StddevOverTime if safe() => Self::Stddev(TwoStacks::default()),
            FunctionId::StdvarOverTime if safe() => Self::Stdvar(TwoStacks::default()),
            FunctionId::MinOverTime => Self::Best(Deque::new(false)),
            FunctionId::MaxOverTime => Self::Best(Deque::new(true)),
            FunctionId::QuantileOverTime => Self::Quantile(Sorted::default()),
            FunctionId::Resets => Self::Events(resets_before(values)),
            FunctionId::Changes => {
                let differ = |before: f64, now: f64| before != now && !(before.is_nan() && now.is_nan());
                Self::Events(events(values, differ))
            }
            _ => return None,
        })
    }

    /// The function's value for the window `lo..hi` of `values`, or `None` when it must be computed the long way.
    /// `arg` is the first scalar argument.
    pub(crate) fn window(&mut self, values: &[f64], lo: usize, hi: usize, arg: f64) -> Option<f64> {
        let count = (hi - lo) as f64;
        Some(match self {
            Self::Sum(stacks) => stacks.window(values, lo, hi).total(),
            Self::Avg(stacks) => {
                let sum = stacks.window(values, lo, hi);
                sum.sum / count + sum.lost / count
            }
            Self::Stddev(stacks) => (stacks.window(values, lo, hi).squares / count).sqrt(),
            Self::Stdvar(stacks) => stacks.window(values, lo, hi).squares / count,
            Self::Best(deque) => deque.window(values, lo, hi),
            Self::Quantile(sorted) => {
                let sorted = sorted.window(values, lo, hi);
                // Anything else deserves its warning.
                return (0.0..=1.0).contains(&arg).then(|| quantile_of_sorted(arg, sorted));
            }
            Self::Events(before) => f64::from(before[hi - 1] - before[lo]),
        })
    }
}

/// How many counter resets lie before each sample.
pub(crate) fn resets_before(values: &[f64]) -> Vec<u32> {
    events(values, |before, now| now < before)
}

fn events(values: &[f64], happens: impl Fn(f64, f64) -> bool) -> Vec<u32> {
    let mut count = 0;
    let mut before = Vec::with_capacity(values.len());
    before.extend(values.first().map(|_| 0));
    before.extend(values.windows(2).map(|pair| {
        count += u32::from(happens(pair[0], pair[1]));
        count
    }));
    before
}

/// Something that two neighbouring pieces of a window can be put together from.
pub(crate) trait Piece: Copy {
    fn of(value: f64) -> Self;
    fn then(self, next: Self) -> Self;
}

impl Piece for KahanSum {
    fn of(value: f64) -> Self {
        Self::new(value)
    }

    fn then(self, next: Self) -> Self {
        let mut both = self;
        both.add(next.sum);
        both.lost += next.lost;
        both
    }
}

/// Count, mean and sum of squared distances from it (Chan, Golub, LeVeque: pairwise variance).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Piece for Moments {
    fn of(value: f64) -> Self {
        Self { count: 1.0, mean: value, squares: 0.0 }
    }

    fn then(self, next: Self) -> Self {
        let count = self.count + next.count;
        let delta = next.mean - self.mean;
        Self {
            count,
            mean: self.mean + delta * (next.count / count),
            squares: self.squares + next.squares + delta * delta * (self.count * next.count / count),
        }
    }
}

/// A queue as two stacks: results of all suffixes of its older part, one result of its newer part.
#[derive(Debug)]
pub(crate) struct TwoStacks<P> {
    /// `suffixes[i]` covers `base + i..middle`.
    suffixes: Vec<P>,
    base: usize,
    middle: usize,
    newer: Option<P>,
    hi: usize,
}

impl<P> Default for TwoStacks<P> {
    fn default() -> Self {
        Self { suffixes: Vec::new(), base: 0, middle: 0, newer: None, hi: 0 }
    }
}

impl<P: Piece> TwoStacks<P> {
    fn window(&mut self, values: &[f64], lo: usize, hi: usize) -> P {
        if lo >= self.middle {
            self.rebuild(&values[lo..hi], lo, hi);
        } else {
            for value in &values[self.hi..hi] {
                let piece = P::of(*value);
                self.newer = Some(self.newer.map_or(piece, |newer| newer.then(piece)));
            }
            self.hi = hi;
        }
        let older = self.suffixes[lo - self.base];
        self.newer.map_or(older, |newer| older.then(newer))
    }

    /// The older part has left the window: what is in it becomes the older part.
    fn rebuild(&mut self, window: &[f64], lo: usize, hi: usize) {
        self.suffixes.clear();
        let mut suffix: Option<P> = None;
        for value in window.iter().rev() {
            let piece = P::of(*value);
            let longer = suffix.map_or(piece, |suffix| piece.then(suffix));
            self.suffixes.push(longer);
            suffix = Some(longer);
        }
        self.suffixes.reverse();
        (self.base, self.middle, self.newer, self.hi) = (lo, hi, None, hi);
    }
}

/// Candidates for the least or greatest value, best first.
#[derive(Debug)]
pub(crate) struct Deque {
    greatest: bool,
    candidates: VecDeque<usize>,
    hi: usize,
}

impl Deque {
    fn new(greatest: bool) -> Self {
        Self { greatest, candidates: VecDeque::new(), hi: 0 }
    }

    fn window(&mut self, values: &[f64], lo: usize, hi: usize) -> f64 {
        for i in self.hi.max(lo)..hi {
            let value = values[i];
            if value.is_nan() {
                continue;
            }
            let beaten = |last: f64| if self.greatest { last < value } else { last > value };
            while self.candidates.back().is_some_and(|last| beaten(values[*last])) {
                self.candidates.pop_back();
            }
            self.candidates.push_back(i);
        }
        self.hi = hi;
        while self.candidates.front().is_some_and(|first| *first < lo) {
            self.candidates.pop_front();
        }
        self.candidates.front().map_or(f64::NAN, |best| values[*best])
    }
}

/// The window's values in order.
#[derive(Debug, Default)]
pub(crate) struct Sorted {
    values: Vec<f64>,
    lo: usize,
    hi: usize,
}

impl Sorted {
    fn window(&mut self, values: &[f64], lo: usize, hi: usize) -> &[f64] {
        if lo >= self.hi {
            self.values.clear();
            self.values.extend_from_slice(&values[lo..hi]);
            self.values.sort_by(nan_first);
        } else {
            for gone in &values[self.lo..lo] {
                if let Ok(at) = self.values.binary_search_by(|value| nan_first(value, gone)) {
                    self.values.remove(at);
                }
            }
            for new in &values[self.hi..hi] {
                let at = self.values.partition_point(|value| nan_first(value, new).is_lt());
                self.values.insert(at, *new);
            }
        }
        (self.lo, self.hi) = (lo, hi);
        &self.values
    }
}

#[cfg(test)]
mod tests {
    use super::Sliding;
    use crate::promql::parser::FunctionId as F;

    /// The windows of a sliding state against the plain definition.
    fn check(id: F, plain: impl Fn(&[f64]) -> f64) {
        let values: Vec<f64> = (0..60_u32).map(|i| f64::from((i * 37) % 23) * 0.1 - 1.0).collect();
        let mut state = Sliding::of(id, &values).expect("has a state");
        for step in 0..27 {
            let (lo, hi) = (step * 2, (step * 2 + 7 - step % 3).min(values.len()));
            let found = state.window(&values, lo, hi, 0.25).expect("in bounds");
            let expected = plain(&values[lo..hi]);
            assert!((found - expected).abs() < 1e-12, "{id:?} {lo}..{hi}: {found} {expected}");
        }
    }

    #[test]
    fn windows_slide_to_what_they_are() {
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let variance = |values: &[f64]| mean(&values.iter().map(|v| (v - mean(values)).powi(2)).collect::<Vec<_>>());
        check(F::SumOverTime, |values| values.iter().sum());
        check(F::AvgOverTime, mean);
        check(F::StdvarOverTime, variance);
        check(F::StddevOverTime, |values| variance(values).sqrt());
        check(F::MinOverTime, |values| values.iter().copied().fold(f64::INFINITY, f64::min));
        check(F::MaxOverTime, |values| values.iter().copied().fold(f64::NEG_INFINITY, f64::max));
        check(F::QuantileOverTime, |values| super::super::quantile_of(0.25, &mut values.to_vec()));
        check(F::Resets, |values| values.windows(2).filter(|pair| pair[1] < pair[0]).count() as f64);
        check(F::Changes, |values| values.windows(2).filter(|pair| pair[1] != pair[0]).count() as f64);
    }
}
