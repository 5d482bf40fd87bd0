//! One number of many: the loops behind sum, avg, count, min, max, group, stddev and stdvar.
//!
//! A group's state at a step is empty as long as it says so itself; nothing is allocated but the states.

use crate::model::{absent, is_absent};
use crate::promql::functions::{KahanSum, Mean};
use crate::promql::parser::AggregateOp;

use super::Block;
use super::grouping::Groups;

/// Groups of floats being folded at every step, one row a group. Rows come in their order, as many at a time as there are.
pub(super) struct Fold<'g> {
    of_row: &'g [u32],
    steps: usize,
    states: Box<dyn States>,
}

impl<'g> Fold<'g> {
    pub(super) fn new(op: AggregateOp, groups: &'g Groups, steps: usize) -> Self {
        let places = groups.len() * steps;
        let states: Box<dyn States> = match op {
            AggregateOp::Sum => Box::new(vec![Sum::EMPTY; places]),
            AggregateOp::Avg => Box::new(vec![SumAndCount::EMPTY; places]),
            AggregateOp::Min => Box::new(vec![Min::EMPTY; places]),
            AggregateOp::Max => Box::new(vec![Max::EMPTY; places]),
            AggregateOp::Stdvar => Box::new(vec![Variance::EMPTY; places]),
            AggregateOp::Stddev => Box::new(vec![Deviation::EMPTY; places]),
            AggregateOp::Count => Box::new(vec![Count::EMPTY; places]),
            _ => Box::new(vec![Presence::EMPTY; places]),
        };
        Self { of_row: &groups.of_row, steps, states }
    }

    /// Whether an operator's rows can be taken one after the other.
    pub(super) fn does(op: AggregateOp) -> bool {
        use AggregateOp as Op;
        matches!(op, Op::Sum | Op::Avg | Op::Min | Op::Max | Op::Stdvar | Op::Stddev | Op::Count | Op::Group)
    }

    /// Takes the cells of whole rows, of which the first is `row`.
    pub(super) fn take(&mut self, row: usize, cells: &[f64]) {
        self.states.take(self.of_row.get(row..).unwrap_or(&[]), self.steps, cells);
    }

    /// One row a group; `None` when the sums of means became too large: then each step needs [`fold`]'s care.
    pub(super) fn finish(self) -> Option<Vec<f64>> {
        self.states.values()
    }
}

/// Folds every group of a block's floats at every step: one row a group.
pub(super) fn fold(op: AggregateOp, block: &Block, groups: &Groups) -> Vec<f64> {
    match (op, &block.histograms) {
        (AggregateOp::Count, Some(_)) => count_all(block, groups, |count| count),
        (AggregateOp::Group, Some(_)) => count_all(block, groups, |_| 1.0),
        _ => fold_floats(op, block, groups),
    }
}

fn fold_floats(op: AggregateOp, block: &Block, groups: &Groups) -> Vec<f64> {
    let mut fold = Fold::new(op, groups, block.steps);
    fold.take(0, &block.cells);
    fold.finish().unwrap_or_else(|| careful_average(block, groups))
}

/// The states of all groups, group by group.
trait States: Send {
    fn take(&mut self, groups: &[u32], steps: usize, cells: &[f64]);
    fn values(self: Box<Self>) -> Option<Vec<f64>>;
}

impl<S: State> States for Vec<S> {
    fn take(&mut self, groups: &[u32], steps: usize, cells: &[f64]) {
        if steps == 1 {
            for (cell, group) in cells.iter().zip(groups) {
                if !is_absent(*cell) {
                    self[*group as usize].add(*cell);
                }
            }
            return;
        }
        for (row, group) in cells.chunks_exact(steps.max(1)).zip(groups) {
            let states = &mut self[*group as usize * steps..][..steps];
            for (state, cell) in states.iter_mut().zip(row) {
                if !is_absent(*cell) {
                    state.add(*cell);
                }
            }
        }
    }

    fn values(self: Box<Self>) -> Option<Vec<f64>> {
        if self.iter().any(S::has_left) {
            return None;
        }
        Some(self.into_iter().map(S::value).collect())
    }
}

/// What is known of a group at a step.
trait State: Copy + Send {
    const EMPTY: Self;

    /// Takes a float, which is no hole.
    fn add(&mut self, value: f64);

    /// The result; a hole for the empty state.
    fn value(self) -> f64;

    /// Whether this way of counting has come to its end.
    fn has_left(&self) -> bool {
        false
    }
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

    /// No way leads back to the finite numbers.
    #[inline]
    fn has_left(&self) -> bool {
        !self.sum.sum.is_finite() && !is_absent(self.sum.sum)
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

/// Means. Where a sum has left the finite numbers, the whole is done again with care.
fn careful_average(block: &Block, groups: &Groups) -> Vec<f64> {
    let places = groups.len() * block.steps;
    let (mut fast, mut slow) = (vec![SumAndCount::EMPTY; places], vec![SlowMean::EMPTY; places]);
    fast.take(&groups.of_row, block.steps, &block.cells);
    slow.take(&groups.of_row, block.steps, &block.cells);
    let value = |(fast, slow): (SumAndCount, SlowMean)| if fast.has_left() { slow.value() } else { fast.value() };
    fast.into_iter().zip(slow).map(value).collect()
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

/// The root of the variance.
#[derive(Clone, Copy)]
struct Deviation(Variance);

impl State for Deviation {
    const EMPTY: Self = Self(Variance::EMPTY);

    #[inline]
    fn add(&mut self, value: f64) {
        self.0.add(value);
    }

    #[inline]
    fn value(self) -> f64 {
        if self.0.count == 0.0 { absent() } else { self.0.value().sqrt() }
    }
}

/// How many there are.
#[derive(Clone, Copy)]
struct Count(u32);

impl State for Count {
    const EMPTY: Self = Self(0);

    #[inline]
    fn add(&mut self, _: f64) {
        self.0 += 1;
    }

    #[inline]
    fn value(self) -> f64 {
        if self.0 == 0 { absent() } else { f64::from(self.0) }
    }
}

/// One as soon as there is any.
#[derive(Clone, Copy)]
struct Presence(bool);

impl State for Presence {
    const EMPTY: Self = Self(false);

    #[inline]
    fn add(&mut self, _: f64) {
        self.0 = true;
    }

    #[inline]
    fn value(self) -> f64 {
        if self.0 { 1.0 } else { absent() }
    }
}

/// Counts samples of either kind.
fn count_all(block: &Block, groups: &Groups, value: impl Fn(f64) -> f64) -> Vec<f64> {
    let steps = block.steps;
    let mut counts = vec![0_u32; groups.len() * steps];
    for (row, group) in groups.of_row.iter().enumerate() {
        let counts = &mut counts[*group as usize * steps..][..steps];
        (0..steps).for_each(|step| counts[step] += u32::from(block.has(row, step)));
    }
    counts.into_iter().map(|count| if count == 0 { absent() } else { value(f64::from(count)) }).collect()
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
