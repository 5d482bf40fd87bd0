//! `min_over_time` and `max_over_time`.
//!
//! The best of a window is the better of two spans that cover it and have a power of two as their length. The best of all
//! spans of 2, 4, 8, … values are made from each other in loops without a branch.

use super::{Bounds, Room};

#[derive(Debug)]
pub(super) struct Extreme {
    greatest: bool,
    /// The windows by the length of their spans: its binary logarithm, step, start and start of the second span.
    by_length: Vec<(u32, u32, u32, u32)>,
}

impl Extreme {
    pub(super) fn new(bounds: &Bounds, greatest: bool) -> Self {
        let mut by_length = Vec::new();
        if bounds.overlap() {
            by_length.extend(bounds.windows().map(|(step, lo, hi)| {
                let level = (hi - lo).ilog2();
                (level, step as u32, lo as u32, (hi - (1 << level)) as u32)
            }));
            by_length.sort_by_key(|(level, ..)| *level);
        }
        Self { greatest, by_length }
    }

    pub(super) fn row(&self, bounds: &Bounds, values: &[f64], room: &mut Room<'_>, out: &mut [f64]) {
        let nan = values.iter().fold(false, |any, value| any | value.is_nan());
        match (self.greatest, nan) {
            // NaN gives way to anything.
            (true, true) => self.best(bounds, values, room, out, f64::max),
            (false, true) => self.best(bounds, values, room, out, f64::min),
            (true, false) => self.best(bounds, values, room, out, |a, b| if b > a { b } else { a }),
            (false, false) => self.best(bounds, values, room, out, |a, b| if b < a { b } else { a }),
        }
    }

    #[inline]
    fn best(
        &self,
        bounds: &Bounds,
        values: &[f64],
        room: &mut Room<'_>,
        out: &mut [f64],
        better: impl Fn(f64, f64) -> f64 + Copy,
    ) {
        if self.by_length.is_empty() {
            return bounds.each(values, out, room.is_over, |window| fold(window, better));
        }
        let [spans, longer] = &mut room.floats;
        spans.clear();
        spans.extend_from_slice(values);
        let mut reached = 0;
        for (level, step, first, second) in &self.by_length {
            while reached < *level {
                let half = 1 << reached;
                longer.clear();
                longer.extend(spans.iter().zip(&spans[half..]).map(|(a, b)| better(*a, *b)));
                std::mem::swap(spans, longer);
                reached += 1;
            }
            out[*step as usize] = better(spans[*first as usize], spans[*second as usize]);
        }
    }
}

/// The best of a window, in eight lanes.
#[inline]
fn fold(window: &[f64], better: impl Fn(f64, f64) -> f64 + Copy) -> f64 {
    let mut lanes = [window[0]; 8];
    let (chunks, rest) = window.as_chunks::<8>();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = better(*lane, *value);
        }
    }
    lanes.iter().chain(rest).fold(window[0], |best, value| better(best, *value))
}
