//! `deriv` and `predict_linear`: the least-squares line; the rules are those of [`super::super::regression`].

use crate::model::Timestamp;
use crate::promql::functions::KahanSum;

use super::events::counts;
use super::{Bounds, IsOver, Room, Shape};

#[derive(Debug)]
pub(super) struct Line {
    predicts: bool,
    /// Milliseconds of each sample after the first one.
    x: Vec<f64>,
    steps: Vec<Step>,
}

/// What the times of one window say.
#[derive(Debug, Clone, Copy, Default)]
struct Step {
    /// Where x is zero, in milliseconds after the first sample of all.
    zero: f64,
    sum_x: f64,
    /// Sum of x² less n times the squared mean.
    variance: f64,
    /// How far ahead the line is read, in seconds.
    ahead: f64,
}

impl Line {
    pub(super) fn new(
        shape: &Shape<'_>,
        bounds: &Bounds,
        times: &[Timestamp],
        predicts: bool,
        is_over: IsOver<'_>,
    ) -> Self {
        let origin = times.first().copied().unwrap_or(0);
        let x = times.iter().map(|ts| (ts - origin) as f64).collect();
        let mut steps = vec![Step::default(); bounds.lo.len()];
        for (step, lo, hi) in bounds.windows_until(is_over) {
            let zero = if predicts { shape.steps[step] } else { times[lo] };
            let (mut sum_x, mut sum_x2) = (KahanSum::default(), KahanSum::default());
            for ts in &times[lo..hi] {
                let x = (ts - zero) as f64 / 1e3;
                sum_x.add(x);
                sum_x2.add(x * x);
            }
            let (n, sum_x, sum_x2) = ((hi - lo) as f64, sum_x.total(), sum_x2.total());
            let ahead = shape.arg.and_then(|arg| arg.get(step)).copied().unwrap_or(f64::NAN);
            steps[step] = Step { zero: (zero - origin) as f64, sum_x, variance: sum_x2 - sum_x * sum_x / n, ahead };
        }
        Self { predicts, x, steps }
    }

    pub(super) fn row(&self, bounds: &Bounds, values: &[f64], room: &mut Room<'_>, out: &mut [f64]) {
        let differs = counts(values, &mut room.places, |a, b| a != b);
        for (at, lo, hi) in bounds.windows_until(room.is_over).filter(|(_, lo, hi)| hi - lo > 1) {
            let step = &self.steps[at];
            let (slope, intercept) = if differs[lo] == differs[hi - 1] {
                let first = values[lo];
                if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first) }
            } else {
                step.line(&self.x[lo..hi], &values[lo..hi])
            };
            out[at] = if self.predicts { slope * step.ahead + intercept } else { slope };
        }
    }
}

impl Step {
    fn line(&self, x: &[f64], values: &[f64]) -> (f64, f64) {
        let (mut sum_y, mut sum_xy) = (KahanSum::default(), KahanSum::default());
        for (x, y) in x.iter().zip(values) {
            sum_y.add(*y);
            sum_xy.add((x - self.zero) / 1e3 * y);
        }
        let (n, sum_y) = (values.len() as f64, sum_y.total());
        let slope = (sum_xy.total() - self.sum_x * sum_y / n) / self.variance;
        (slope, sum_y / n - slope * self.sum_x / n)
    }
}
