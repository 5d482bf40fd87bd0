//! Windows that overlap their predecessors: the cost grows with new samples, not with the window's length.
//!
//! Each state follows the bounds `lo..hi` of a window over one series' values; both bounds only grow. Sums and
//! variances are kept as two stacks of partial results, so nothing is ever subtracted and no error builds up.

use super::kahan::KahanSum;
use super::math::{nan_first, quantile_of_sorted};

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

impl Moments {
    pub(crate) fn variance(self) -> f64 {
        self.squares / self.count
    }
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
    /// What the window `lo..hi` of `values` adds up to. It is not empty.
    pub(crate) fn window(&mut self, values: &[f64], lo: usize, hi: usize) -> P {
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

/// The window's values in order.
#[derive(Debug, Default)]
pub(crate) struct Sorted {
    values: Vec<f64>,
    lo: usize,
    hi: usize,
}

impl Sorted {
    /// The `q`-quantile (0 to 1) of the window `lo..hi` of `values`, which is not empty.
    pub(crate) fn quantile(&mut self, q: f64, values: &[f64], lo: usize, hi: usize) -> f64 {
        quantile_of_sorted(q, self.window(values, lo, hi))
    }

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
