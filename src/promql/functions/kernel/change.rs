//! `rate`, `increase`, `delta` with extrapolation to the window's ends; the rules are those of [`super::super::rate`].

use crate::model::Timestamp;

use super::prefix::{Prefix, is_exact};
use super::{Bounds, Room, Shape};

/// Falls in one window up to which their values are added one by one.
const FEW: usize = 16;

#[derive(Debug)]
pub(super) struct Change {
    pub(super) is_counter: bool,
    /// By what a difference is divided.
    scale: f64,
    steps: Vec<Step>,
}

/// What the times of one window say.
#[derive(Debug, Clone, Copy)]
struct Step {
    first: u32,
    last: u32,
    /// What a difference is multiplied with, when nothing limits the extrapolation.
    factor: f64,
    /// Seconds between the first sample and the last, from the window's start to the first and from the last to its
    /// end, as far as is extrapolated.
    sampled: f64,
    to_start: f64,
    to_end: f64,
}

impl Change {
    pub(super) fn new(
        shape: &Shape<'_>,
        bounds: &Bounds,
        times: &[Timestamp],
        is_counter: bool,
        per_second: bool,
    ) -> Self {
        let scale = if per_second { shape.range as f64 / 1000.0 } else { 1.0 };
        let step = |((lo, hi), end): ((&u32, &u32), &Timestamp)| {
            // A single sample makes no difference: both ends are the same, and the result is left out.
            let (first, last) = (*lo, hi.saturating_sub(1).max(*lo));
            let mut step = Step { first, last, factor: 0.0, sampled: 0.0, to_start: 0.0, to_end: 0.0 };
            if first < last {
                step.extrapolate(times, end.saturating_sub(shape.range), *end);
                step.factor = step.stretch(step.to_start) / scale;
            }
            step
        };
        let steps = bounds.lo.iter().zip(&bounds.hi).zip(&shape.ends).map(step).collect();
        Self { is_counter, scale, steps }
    }

    /// No value falls.
    pub(super) fn growing(&self, values: &[f64], out: &mut [f64]) {
        for (step, cell) in self.steps.iter().zip(out) {
            if step.first < step.last {
                let first = values[step.first as usize];
                *cell = self.value::<true>(step, first, values[step.last as usize] - first);
            }
        }
    }

    pub(super) fn row(&self, bounds: &Bounds, values: &[f64], room: &mut Room<'_>, out: &mut [f64]) {
        if self.is_counter {
            return self.counter(bounds, values, room, out);
        }
        for (step, cell) in self.steps.iter().zip(out) {
            if step.first < step.last {
                let difference = values[step.last as usize] - values[step.first as usize];
                *cell = self.value::<false>(step, 0.0, difference);
            }
        }
    }

    fn counter(&self, bounds: &Bounds, values: &[f64], room: &mut Room<'_>, out: &mut [f64]) {
        let falls = &mut room.places;
        falls.clear();
        falls.extend((1..values.len()).filter(|at| values[*at] < values[*at - 1]).map(|at| at as u32));
        let lost = |fall: &u32| values[*fall as usize - 1];
        let many = bounds.overlap() && falls.len() > FEW && is_exact(values);
        let sums = many.then(|| Prefix::of(falls.iter().map(lost), &mut room.floats));
        let (mut from, mut to) = (0, 0);
        for (step, cell) in self.steps.iter().zip(out) {
            if step.first >= step.last {
                continue;
            }
            from += falls[from..].iter().take_while(|fall| **fall <= step.first).count();
            to = to.max(from);
            to += falls[to..].iter().take_while(|fall| **fall <= step.last).count();
            let lost: f64 = match &sums {
                Some(sums) if to - from > FEW => sums.between(from, to).total(),
                _ => falls[from..to].iter().map(lost).sum(),
            };
            let first = values[step.first as usize];
            *cell = self.value::<true>(step, first, values[step.last as usize] - first + lost);
        }
    }

    /// A counter is never negative: nothing is extrapolated beyond the time at which it would have been zero.
    #[inline]
    fn value<const COUNTER: bool>(&self, step: &Step, first: f64, value: f64) -> f64 {
        if COUNTER && value > 0.0 && first >= 0.0 && first * step.sampled < step.to_start * value {
            let to_start = step.to_start.min(step.sampled * (first / value));
            return value * (step.stretch(to_start) / self.scale);
        }
        value * step.factor
    }
}

impl Step {
    fn extrapolate(&mut self, times: &[Timestamp], start: Timestamp, end: Timestamp) {
        let (first, last) = (times[self.first as usize], times[self.last as usize]);
        self.sampled = (last - first) as f64 / 1000.0;
        let average = self.sampled / f64::from(self.last - self.first);
        let reach = |seconds: f64| if seconds >= average * 1.1 { average / 2.0 } else { seconds };
        self.to_start = reach((first - start) as f64 / 1000.0);
        self.to_end = reach((end - last) as f64 / 1000.0);
    }

    #[inline]
    fn stretch(&self, to_start: f64) -> f64 {
        if self.sampled == 0.0 { 1.0 } else { (self.sampled + to_start + self.to_end) / self.sampled }
    }
}
