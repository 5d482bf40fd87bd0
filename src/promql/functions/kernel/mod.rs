//! Window functions over rows that share their timestamps: bounds and all that depends on times is worked out once, then
//! one loop a row writes its result at every step.
//!
//! A row's values hold neither holes nor stale markers. Where windows overlap, the cost grows with the samples, not
//! with samples × window.

mod change;
mod events;
mod extreme;
mod line;
mod pair;
mod prefix;
mod sums;
#[cfg(test)]
mod tests;

use crate::model::Timestamp;
use crate::promql::eval::{seconds, seek};
use crate::promql::parser::FunctionId;

use super::math::quantile_of;
use super::sliding::Sorted;
use change::Change;
use extreme::Extreme;
use line::Line;
use pair::Pair;
use sums::{Sums, Variance};

/// Samples between two looks at who waits, where each window is looked at by itself: some milliseconds.
const LOOK_EVERY: usize = 1 << 20;
/// How much more a place in a sorted window costs than a sample that is looked at, one into the other: moving neighbours is
/// quick.
const SORTED_GAIN: usize = 64;

/// A window function and the windows of all steps.
#[derive(Debug)]
pub(crate) struct Shape<'a> {
    pub(crate) func: FunctionId,
    /// The ends of the windows, which never go back. A window is `(end - range, end]`.
    pub(crate) ends: Vec<Timestamp>,
    /// The evaluation times, which offset and `@` do not move.
    pub(crate) steps: Vec<Timestamp>,
    /// Milliseconds.
    pub(crate) range: i64,
    /// The first scalar argument at each step, if there is one.
    pub(crate) arg: Option<&'a [f64]>,
}

/// The windows as indices into one column of times: window `i` holds the samples `lo[i]..hi[i]`.
#[derive(Debug, Default)]
pub(crate) struct Bounds {
    lo: Vec<u32>,
    hi: Vec<u32>,
    /// Samples in all windows together.
    pub(crate) touched: usize,
    /// Samples in the largest.
    pub(crate) largest: usize,
    samples: usize,
}

/// A function with what it knows of one column of times.
#[derive(Debug)]
pub(crate) struct Kernel {
    pub(crate) bounds: Bounds,
    code: Code,
}

#[derive(Debug)]
enum Code {
    /// The values say nothing: count, presence, times.
    Same(Vec<f64>),
    First,
    Last,
    Change(Change),
    Pair(Pair),
    Sums(Sums),
    Variance(Variance),
    Extreme(Extreme),
    Changes,
    Resets,
    Quantile(Vec<f64>),
    Line(Line),
}

/// Whether nobody waits for the result any more; once it is so, it stays so.
pub(crate) type IsOver<'a> = &'a dyn Fn() -> bool;

/// Room that rows use one after the other.
pub(crate) struct Room<'a> {
    is_over: IsOver<'a>,
    floats: [Vec<f64>; 2],
    places: Vec<u32>,
}

impl<'a> Room<'a> {
    /// Rows end early, with results that mean nothing, when it `is_over`.
    pub(crate) fn new(is_over: IsOver<'a>) -> Self {
        Self { is_over, floats: Default::default(), places: Vec::new() }
    }
}

impl Shape<'_> {
    /// Whether there is a kernel; the other functions take their windows one by one.
    pub(crate) fn has_kernel(&self) -> bool {
        use FunctionId as F;
        match self.func {
            // Anything else deserves its warning.
            F::QuantileOverTime => self.arg.is_some_and(|q| q.iter().all(|q| (0.0..=1.0).contains(q))),
            F::Rate | F::Increase | F::Delta | F::Irate | F::Idelta | F::Changes | F::Resets => true,
            F::SumOverTime | F::AvgOverTime | F::StddevOverTime | F::StdvarOverTime => true,
            F::MinOverTime | F::MaxOverTime | F::CountOverTime | F::PresentOverTime => true,
            F::FirstOverTime | F::LastOverTime | F::TsOfFirstOverTime | F::TsOfLastOverTime => true,
            F::Deriv | F::PredictLinear => true,
            _ => false,
        }
    }

    /// The kernel for samples at `times`; `None` when the function has none. It is of no use when it `is_over`.
    pub(crate) fn kernel(&self, times: &[Timestamp], is_over: IsOver<'_>) -> Option<Kernel> {
        use FunctionId as F;
        let bounds = Bounds::of(self, times);
        let same = |value: &dyn Fn(usize, usize) -> f64| Code::Same(bounds.map(value));
        let code = match self.func {
            F::Rate => Code::Change(Change::new(self, &bounds, times, true, true)),
            F::Increase => Code::Change(Change::new(self, &bounds, times, true, false)),
            F::Delta => Code::Change(Change::new(self, &bounds, times, false, false)),
            F::Irate => Code::Pair(Pair::new(&bounds, times, true)),
            F::Idelta => Code::Pair(Pair::new(&bounds, times, false)),
            F::Changes => Code::Changes,
            F::Resets => Code::Resets,
            F::SumOverTime => Code::Sums(Sums { mean: false }),
            F::AvgOverTime => Code::Sums(Sums { mean: true }),
            F::StddevOverTime => Code::Variance(Variance { root: true }),
            F::StdvarOverTime => Code::Variance(Variance { root: false }),
            F::MinOverTime => Code::Extreme(Extreme::new(&bounds, false)),
            F::MaxOverTime => Code::Extreme(Extreme::new(&bounds, true)),
            F::CountOverTime => same(&|lo, hi| (hi - lo) as f64),
            F::PresentOverTime => same(&|_, _| 1.0),
            F::TsOfFirstOverTime => same(&|lo, _| seconds(times[lo])),
            F::TsOfLastOverTime => same(&|_, hi| seconds(times[hi - 1])),
            F::FirstOverTime => Code::First,
            F::LastOverTime => Code::Last,
            F::QuantileOverTime => Code::Quantile(self.arg?.to_vec()),
            F::Deriv => Code::Line(Line::new(self, &bounds, times, false, is_over)),
            F::PredictLinear => Code::Line(Line::new(self, &bounds, times, true, is_over)),
            _ => return None,
        };
        Some(Kernel { bounds, code })
    }
}

impl Bounds {
    fn of(shape: &Shape<'_>, times: &[Timestamp]) -> Self {
        let steps = shape.ends.len();
        let mut bounds = Self { samples: times.len(), ..Self::default() };
        bounds.lo.reserve_exact(steps);
        bounds.hi.reserve_exact(steps);
        let (mut lo, mut hi) = (0, 0);
        for end in &shape.ends {
            lo = seek(times, lo, end.saturating_sub(shape.range));
            hi = seek(times, hi, *end).max(lo);
            bounds.lo.push(lo as u32);
            bounds.hi.push(hi as u32);
            bounds.touched += hi - lo;
            bounds.largest = bounds.largest.max(hi - lo);
        }
        bounds
    }

    /// Whether windows overlap so much that looking at each by itself is a waste.
    fn overlap(&self) -> bool {
        self.lo.len() > 2 && self.touched > 3 * self.samples
    }

    /// Whether it is cheaper to keep a window in order than to search each by itself. A sample that comes or goes moves
    /// half of a window.
    fn deserve_order(&self) -> bool {
        let moved = self.samples.saturating_mul(self.largest);
        self.overlap() && moved / SORTED_GAIN <= self.touched
    }

    /// Place, start and end of each window; empty ones are left out.
    pub(crate) fn windows(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        let windows = self.lo.iter().zip(&self.hi).enumerate();
        windows.filter(|(_, (lo, hi))| lo < hi).map(|(step, (lo, hi))| (step, *lo as usize, *hi as usize))
    }

    /// As [`Bounds::windows`] for those who look at each window's samples: they are many, so it ends early when it
    /// `is_over`.
    #[inline]
    fn windows_until<'b>(&'b self, is_over: IsOver<'b>) -> impl Iterator<Item = (usize, usize, usize)> + 'b {
        let mut unlooked = 0;
        self.windows().take_while(move |(_, lo, hi)| {
            unlooked += hi - lo;
            unlooked < LOOK_EVERY || {
                unlooked = 0;
                !is_over()
            }
        })
    }

    fn map(&self, value: &dyn Fn(usize, usize) -> f64) -> Vec<f64> {
        let mut values = vec![crate::model::absent(); self.lo.len()];
        self.windows().for_each(|(step, lo, hi)| values[step] = value(lo, hi));
        values
    }

    /// Writes what `value` says of each window's samples.
    #[inline]
    fn each(&self, values: &[f64], out: &mut [f64], is_over: IsOver<'_>, mut value: impl FnMut(&[f64]) -> f64) {
        self.windows_until(is_over).for_each(|(step, lo, hi)| out[step] = value(&values[lo..hi]));
    }
}

impl Kernel {
    /// Whether rows that never fall take a shorter way ([`Kernel::growing`]).
    pub(crate) fn likes_growing(&self) -> bool {
        matches!(&self.code, Code::Change(change) if change.is_counter)
    }

    /// As [`Kernel::row`], for values of which none is NaN or less than the one before it.
    pub(crate) fn growing(&self, values: &[f64], room: &mut Room<'_>, out: &mut [f64]) {
        match &self.code {
            Code::Change(change) if change.is_counter => change.growing(values, out),
            _ => self.row(values, room, out),
        }
    }

    /// Samples that a row looks at, at the most: all of them in each window.
    pub(crate) fn row_cost(&self) -> usize {
        match &self.code {
            Code::Line(_) | Code::Quantile(_) | Code::Sums(_) | Code::Variance(_) => self.bounds.touched,
            _ => self.bounds.samples,
        }
    }

    /// The function of one row's windows at all steps, written to `out`. Empty windows leave `out` as it is.
    pub(crate) fn row(&self, values: &[f64], room: &mut Room<'_>, out: &mut [f64]) {
        let bounds = &self.bounds;
        match &self.code {
            Code::Same(all) => out.copy_from_slice(all),
            Code::First => bounds.windows().for_each(|(step, lo, _)| out[step] = values[lo]),
            Code::Last => bounds.windows().for_each(|(step, _, hi)| out[step] = values[hi - 1]),
            Code::Change(change) => change.row(bounds, values, room, out),
            Code::Pair(pair) => pair.row(values, out),
            Code::Sums(sums) => sums.row(bounds, values, room, out),
            Code::Variance(variance) => variance.row(bounds, values, room.is_over, out),
            Code::Extreme(extreme) => extreme.row(bounds, values, room, out),
            Code::Changes => events::row(bounds, values, room, out, |a, b| (a != b) & !(a.is_nan() & b.is_nan())),
            Code::Resets => events::row(bounds, values, room, out, |a, b| b < a),
            Code::Line(line) => line.row(bounds, values, room, out),
            Code::Quantile(q) if bounds.deserve_order() => {
                let mut sorted = Sorted::default();
                let windows = bounds.windows_until(room.is_over);
                windows.for_each(|(step, lo, hi)| out[step] = sorted.quantile(q[step], values, lo, hi));
            }
            Code::Quantile(q) => {
                let [copy, _] = &mut room.floats;
                for (step, lo, hi) in bounds.windows_until(room.is_over) {
                    copy.clear();
                    copy.extend_from_slice(&values[lo..hi]);
                    out[step] = quantile_of(q[step], copy);
                }
            }
        }
    }
}

/// Whether no value is NaN or less than the one before it.
pub(crate) fn is_growing(values: &[f64]) -> bool {
    let Some((first, rest)) = values.split_first() else { return true };
    // Written so that the compiler compares several at once.
    values.iter().zip(rest).fold(!first.is_nan(), |all, (before, now)| all & (now >= before))
}
