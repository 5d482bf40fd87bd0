//! One number of many: the loops behind sum, avg, count, min, max, group, stddev and stdvar.
//!
//! A group's state at a step is empty as long as it says so itself; nothing is allocated but the states.

use crate::model::{absent, is_absent};
use crate::promql::functions::{KahanSum, Mean};
use crate::promql::parser::AggregateOp;

use super::Block;
use super::grouping::Groups;

/// Folds every group of floats at every step: one row a group.
pub(super) fn fold(op: AggregateOp, block: &Block, groups: &Groups) -> Vec<f64> {
    match op {
        AggregateOp::Sum => run::<Sum>(block, groups),
        AggregateOp::Avg => average(block, groups),
        AggregateOp::Min => run::<Min>(block, groups),
        AggregateOp::Max => run::<Max>(block, groups),
        AggregateOp::Stdvar => run::<Variance>(block, groups),
        AggregateOp::Stddev => {
            let mut cells = run::<Variance>(block, groups);
            cells.iter_mut().filter(|cell| !is_absent(**cell)).for_each(|cell| *cell = cell.sqrt());
            cells
        }
        AggregateOp::Count => count(block, groups),
        _ => {
            let mut cells = count(block, groups);
            cells.iter_mut().filter(|cell| !is_absent(**cell)).for_each(|cell| *cell = 1.0);
            cells
        }
    }
}

/// What is known of a group at a step.
trait State: Copy {
    const EMPTY: Self;

    /// Takes a float, which is no hole.
    fn add(&mut self, value: f64);

    /// The result; a hole for the empty state.
    fn value(self) -> f64;
}

fn run<S: State>(block: &Block, groups: &Groups) -> Vec<f64> {
    states::<S>(block, groups).into_iter().map(S::value).collect()
}

fn states<S: State>(block: &Block, groups: &Groups) -> Vec<S> {
    let steps = block.steps;
    let mut states = vec![S::EMPTY; groups.len() * steps];
    if steps == 1 {
        for (cell, group) in block.cells.iter().zip(&groups.of_row) {
            if !is_absent(*cell) {
                states[*group as usize].add(*cell);
            }
        }
        return states;
    }
    for (row, group) in block.cells.chunks_exact(steps.max(1)).zip(&groups.of_row) {
        let states = &mut states[*group as usize * steps..][..steps];
        for (state, cell) in states.iter_mut().zip(row) {
            if !is_absent(*cell) {
                state.add(*cell);
            }
        }
    }
    states
}

/// A compensated sum; a hole as long as nothing was added.
#[derive(Clone, Copy)]
struct Sum(KahanSum);

impl State for Sum {
    const EMPTY: Self = Self(KahanSum { sum: absent(), lost: 0.0 });

    #[inline]
    fn add(&mut self, value: f64) {
        if is_absent(self.0.sum) { self.0 = KahanSum::new(value) } else { self.0.add(value) }
    }

    #[inline]
    fn value(self) -> f64 {
        if is_absent(self.0.sum) || self.0.sum.is_infinite() { self.0.sum } else { self.0.total() }
    }
}

/// A sum and how many went into it: the mean, unless the sum is beyond what a float holds.
#[derive(Clone, Copy)]
struct SumAndCount {
    sum: KahanSum,
    count: f64,
}

impl State for SumAndCount {
    const EMPTY: Self = Self { sum: KahanSum { sum: absent(), lost: 0.0 }, count: 0.0 };

    #[inline]
    fn add(&mut self, value: f64) {
        self.count += 1.0;
        if is_absent(self.sum.sum) { self.sum = KahanSum::new(value) } else { self.sum.add(value) }
    }

    #[inline]
    fn value(self) -> f64 {
        if is_absent(self.sum.sum) { self.sum.sum } else { self.sum.sum / self.count + self.sum.lost / self.count }
    }
}

/// The slow way of a mean, from where sums overflow on.
#[derive(Clone, Copy)]
struct SlowMean(Option<Mean>);

impl State for SlowMean {
    const EMPTY: Self = Self(None);

    fn add(&mut self, value: f64) {
        match &mut self.0 {
            Some(mean) => mean.add(value),
            None => self.0 = Some(Mean::new(value)),
        }
    }

    fn value(self) -> f64 {
        self.0.map_or_else(absent, Mean::value)
    }
}

/// Means. Where a sum has left the finite numbers, which no way leads back from, the whole is done again with care.
fn average(block: &Block, groups: &Groups) -> Vec<f64> {
    let fast = states::<SumAndCount>(block, groups);
    let left = |state: &SumAndCount| !state.sum.sum.is_finite() && !is_absent(state.sum.sum);
    if fast.iter().any(left) {
        let slow = states::<SlowMean>(block, groups);
        return fast
            .iter()
            .zip(slow)
            .map(|(fast, slow)| if left(fast) { slow.value() } else { fast.value() })
            .collect();
    }
    fast.into_iter().map(SumAndCount::value).collect()
}

/// The least value; anything is better than NaN, which a hole is too.
#[derive(Clone, Copy)]
struct Min(f64);

impl State for Min {
    const EMPTY: Self = Self(absent());

    #[inline]
    fn add(&mut self, value: f64) {
        if value < self.0 || self.0.is_nan() {
            self.0 = value;
        }
    }

    #[inline]
    fn value(self) -> f64 {
        self.0
    }
}

/// The largest value; anything is better than NaN, which a hole is too.
#[derive(Clone, Copy)]
struct Max(f64);

impl State for Max {
    const EMPTY: Self = Self(absent());

    #[inline]
    fn add(&mut self, value: f64) {
        if value > self.0 || self.0.is_nan() {
            self.0 = value;
        }
    }

    #[inline]
    fn value(self) -> f64 {
        self.0
    }
}

/// Welford's running variance. A first sample that is not finite makes it NaN.
#[derive(Clone, Copy)]
struct Variance {
    count: f64,
    mean: f64,
    squares: f64,
}

impl State for Variance {
    const EMPTY: Self = Self { count: 0.0, mean: 0.0, squares: 0.0 };

    #[inline]
    fn add(&mut self, value: f64) {
        self.count += 1.0;
        if self.count == 1.0 {
            self.mean = value;
            self.squares = if value.is_finite() { 0.0 } else { f64::NAN };
            return;
        }
        let delta = value - self.mean;
        self.mean += delta / self.count;
        self.squares += delta * (value - self.mean);
    }

    #[inline]
    fn value(self) -> f64 {
        if self.count == 0.0 { absent() } else { self.squares / self.count }
    }
}

/// Counts samples of either kind.
fn count(block: &Block, groups: &Groups) -> Vec<f64> {
    let steps = block.steps;
    let mut counts = vec![0_u32; groups.len() * steps];
    for (row, group) in groups.of_row.iter().enumerate() {
        let counts = &mut counts[*group as usize * steps..][..steps];
        match &block.histograms {
            None => {
                for (count, cell) in counts.iter_mut().zip(block.row(row)) {
                    *count += u32::from(!is_absent(*cell));
                }
            }
            Some(_) => (0..steps).for_each(|step| counts[step] += u32::from(block.has(row, step))),
        }
    }
    counts.into_iter().map(|count| if count == 0 { absent() } else { f64::from(count) }).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::Block;
    use super::super::block::Dropped;
    use super::super::grouping::Grouping;
    use super::super::memo::Memo;
    use super::fold;
    use crate::model::{Labels, absent};
    use crate::promql::parser::AggregateOp;

    fn check(op: AggregateOp, steps: usize, cells: &[f64], expected: &[f64]) {
        let rows = cells.len() / steps;
        let series = (0..rows).map(|i| Labels::from_pairs(&[("i", &i.to_string()), ("odd", &(i % 2).to_string())]));
        let labels = Arc::new(series.collect());
        let block = Block::floats(labels, Dropped::None, steps, cells.to_vec());
        let names = ["odd".to_owned()];
        let groups = Grouping { names: &names, without: false }.recall(&Memo::new(0), &block.labels);
        let bits = |cells: &[f64]| cells.iter().map(|cell| cell.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&fold(op, &block, &groups)), bits(expected), "{op:?} of {cells:?}");
    }

    #[test]
    fn folds_groups_with_holes() {
        use AggregateOp::{Avg, Count, Group, Max, Min, Stddev, Stdvar, Sum};
        let hole = absent();
        // Rows 0 and 2 are one group, 1 and 3 the other.
        let one_step = [1.0, hole, 3.0, hole];
        let cells = [1.0, hole, 4.0, hole, 3.0, f64::NAN, 8.0, hole];
        for (op, first, both) in [
            (Sum, [4.0, hole], [4.0, f64::NAN, 12.0, hole]),
            (Avg, [2.0, hole], [2.0, f64::NAN, 6.0, hole]),
            (Min, [1.0, hole], [1.0, f64::NAN, 4.0, hole]),
            (Max, [3.0, hole], [3.0, f64::NAN, 8.0, hole]),
            (Count, [2.0, hole], [2.0, 1.0, 2.0, hole]),
            (Group, [1.0, hole], [1.0, 1.0, 1.0, hole]),
            (Stdvar, [1.0, hole], [1.0, f64::NAN, 4.0, hole]),
            (Stddev, [1.0, hole], [1.0, f64::NAN, 2.0, hole]),
        ] {
            check(op, 1, &one_step, &first);
            check(op, 2, &cells, &both);
        }
        check(Sum, 1, &[-0.0], &[0.0]);
        check(Sum, 1, &[1.0, 0.0, 1e100, 0.0, 1.0, 0.0, -1e100], &[2.0, 0.0]);
        check(Sum, 1, &[f64::INFINITY, 0.0, 1.0], &[f64::INFINITY, 0.0]);
        check(Avg, 1, &[f64::MAX, 1.0, f64::MAX, 3.0], &[f64::MAX, 2.0]);
        check(Avg, 1, &[f64::INFINITY, 1.0, 1.0, 3.0], &[f64::INFINITY, 2.0]);
    }
}
