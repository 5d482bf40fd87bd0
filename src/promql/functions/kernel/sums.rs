//! `sum_over_time`, `avg_over_time`, `stddev_over_time`, `stdvar_over_time`.

use crate::promql::functions::KahanSum;
use crate::promql::functions::over_time::{mean_of, sum_of, variance};
use crate::promql::functions::sliding::{Moments, TwoStacks};

use super::prefix::{Prefix, is_exact};
use super::{Bounds, IsOver, Room};

/// Values beyond this may overflow in a sum: each window is looked at by itself.
const SAFE: f64 = 1e280;

#[derive(Debug)]
pub(super) struct Sums {
    pub(super) mean: bool,
}

impl Sums {
    pub(super) fn row(&self, bounds: &Bounds, values: &[f64], room: &mut Room<'_>, out: &mut [f64]) {
        let finish = |sum: KahanSum, count: usize| {
            if self.mean { sum.sum / count as f64 + sum.lost / count as f64 } else { sum.total() }
        };
        if !bounds.overlap() || !is_safe(values) {
            return bounds.each(values, out, room.is_over, if self.mean { mean_of } else { sum_of });
        }
        if is_exact(values) {
            let sums = Prefix::of(values.iter().copied(), &mut room.floats);
            bounds.windows().for_each(|(step, lo, hi)| out[step] = finish(sums.between(lo, hi), hi - lo));
            return;
        }
        let mut stacks: TwoStacks<KahanSum> = TwoStacks::default();
        bounds.windows().for_each(|(step, lo, hi)| out[step] = finish(stacks.window(values, lo, hi), hi - lo));
    }
}

#[derive(Debug)]
pub(super) struct Variance {
    pub(super) root: bool,
}

impl Variance {
    pub(super) fn row(&self, bounds: &Bounds, values: &[f64], is_over: IsOver<'_>, out: &mut [f64]) {
        if bounds.overlap() && is_safe(values) {
            let mut stacks: TwoStacks<Moments> = TwoStacks::default();
            let windows = bounds.windows();
            windows.for_each(|(step, lo, hi)| out[step] = stacks.window(values, lo, hi).variance());
        } else {
            bounds.each(values, out, is_over, variance);
        }
        if self.root {
            bounds.windows().for_each(|(step, ..)| out[step] = out[step].sqrt());
        }
    }
}

fn is_safe(values: &[f64]) -> bool {
    values.iter().fold(true, |safe, value| safe & (value.abs() < SAFE))
}
