//! `changes` and `resets`: how often something happens between neighbours.

use super::{Bounds, Room};

pub(super) fn row(
    bounds: &Bounds,
    values: &[f64],
    room: &mut Room<'_>,
    out: &mut [f64],
    happens: impl Fn(f64, f64) -> bool,
) {
    let count = |values: &[f64]| {
        values.iter().zip(&values[1..]).fold(0_u32, |count, (a, b)| count + u32::from(happens(*a, *b)))
    };
    if !bounds.overlap() {
        return bounds.each(values, out, room.is_over, |window| f64::from(count(window)));
    }
    if values.is_empty() || count(values) == 0 {
        return bounds.each(values, out, room.is_over, |_| 0.0);
    }
    let before = counts(values, &mut room.places, happens);
    bounds.windows().for_each(|(step, lo, hi)| out[step] = f64::from(before[hi - 1] - before[lo]));
}

/// How many events lie before each sample.
pub(super) fn counts<'a>(values: &[f64], room: &'a mut Vec<u32>, happens: impl Fn(f64, f64) -> bool) -> &'a [u32] {
    room.clear();
    room.extend(values.first().map(|_| 0));
    let mut count = 0;
    room.extend(values.iter().zip(values.get(1..).unwrap_or(&[])).map(|(a, b)| {
        count += u32::from(happens(*a, *b));
        count
    }));
    room
}
