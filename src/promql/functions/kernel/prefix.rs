//! Sums of all prefixes: a window's sum is a difference of two.

use crate::promql::functions::KahanSum;

/// How far apart the magnitudes of values may be for [`is_exact`].
const SPREAD: f64 = (1_u64 << 20) as f64;
/// The most values for [`is_exact`].
const MOST: usize = 1 << 16;

/// Whether all sums of neighbours, kept as a value and what it lost, are exact: the values' bits all lie in a range that
/// both hold together. Then nothing is lost by subtracting, either.
///
/// With n values of at least u·2⁵² and below u·2⁷³ a sum is a multiple of u below n·u·2⁷³; what is lost is a multiple of
/// u below n²·u·2²⁰, so that n ≤ 2¹⁶ fits into 53 bits.
pub(super) fn is_exact(values: &[f64]) -> bool {
    let (mut least, mut most) = (f64::MAX, 0.0_f64);
    for value in values {
        let size = value.abs();
        let size_or_max = if size > 0.0 { size } else { f64::MAX };
        least = if size_or_max < least { size_or_max } else { least };
        most = if size > most { size } else { most };
    }
    values.len() <= MOST && (most == 0.0 || (least > 1e-200 && most < 1e200 && most / least < SPREAD))
}

/// The sums of the first 0, 1, 2, … values.
#[derive(Debug)]
pub(super) struct Prefix<'a> {
    sums: &'a [f64],
    lost: &'a [f64],
}

impl<'a> Prefix<'a> {
    pub(super) fn of(values: impl Iterator<Item = f64>, room: &'a mut [Vec<f64>; 2]) -> Self {
        let [sums, lost] = room;
        sums.clear();
        lost.clear();
        sums.push(0.0);
        lost.push(0.0);
        let (mut sum, mut gone) = (0.0_f64, 0.0);
        for value in values {
            // Knuth's sum of two: exact without asking which is larger.
            let next = sum + value;
            let part = next - sum;
            gone += (sum - (next - part)) + (value - part);
            sum = next;
            sums.push(sum);
            lost.push(gone);
        }
        Self { sums, lost }
    }

    /// The sum of the values `from..to`.
    #[inline]
    pub(super) fn between(&self, from: usize, to: usize) -> KahanSum {
        let (high, low) = (self.sums[to], -self.sums[from]);
        let sum = high + low;
        let part = sum - high;
        let lost = (high - (sum - part)) + (low - part);
        KahanSum { sum, lost: lost + (self.lost[to] - self.lost[from]) }
    }
}

#[cfg(test)]
mod tests {
    use super::{Prefix, is_exact};

    #[test]
    fn differences_are_what_sums_are() {
        let values: Vec<f64> = (0..500_u32).map(|i| f64::from((i * 7919) % 1013) * 0.1 - 33.0).collect();
        assert!(is_exact(&values));
        let mut room = Default::default();
        let prefix = Prefix::of(values.iter().copied(), &mut room);
        for (from, to) in [(0, 500), (3, 4), (100, 160), (499, 500), (7, 7)] {
            let mut direct = crate::promql::functions::KahanSum::default();
            values[from..to].iter().for_each(|value| direct.add(*value));
            let found = prefix.between(from, to).total();
            assert!((found - direct.total()).abs() <= 1e-15 * found.abs(), "{from}..{to}");
        }
        assert!(!is_exact(&[1.0, 1e10]) && !is_exact(&[f64::INFINITY]) && is_exact(&[0.0, 0.0]));
        assert!(
            !is_exact(&[1.0, f64::NAN]) || Prefix::of([f64::NAN].into_iter(), &mut room).between(0, 1).total().is_nan()
        );
    }
}
