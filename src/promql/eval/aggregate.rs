//! Aggregations that give one series a group: sum, avg, count, min, max, group, stddev, stdvar, quantile.

use std::sync::Arc;

use crate::model::{absent, is_absent};
use crate::promql::annotate;
use crate::promql::functions::{KahanSum, Mean, quantile_of};
use crate::promql::parser::AggregateOp;
use crate::promql::plan::Aggregate;
use crate::promql::result::QueryError;

use super::grouping::{Grouping, Groups};
use super::{Block, Eval, Grid, unsupported};

impl Eval<'_> {
    pub(super) fn aggregate(&mut self, aggregate: &Aggregate, grid: Grid) -> Result<Block, QueryError> {
        match aggregate.op {
            AggregateOp::CountValues => return self.count_values(aggregate, grid),
            AggregateOp::TopK | AggregateOp::BottomK | AggregateOp::LimitK | AggregateOp::LimitRatio => {
                return self.aggregate_rows(aggregate, grid);
            }
            _ => {}
        }
        let param = aggregate.param.as_ref().map(|param| self.eval_scalar(param, grid)).transpose()?;
        let block = self.eval_vector(&aggregate.expr, grid)?;
        self.budget.work(block.cells.len())?;
        let grouping = Grouping { names: &aggregate.grouping, without: aggregate.without };
        let groups = grouping.groups(&block.labels);
        let cells = match aggregate.op {
            AggregateOp::Quantile => self.quantile(aggregate, &block, &groups, &param.unwrap_or_default()),
            op => fold(op, &block, &groups)?,
        };
        self.remark_on_histograms(aggregate, &block);
        let labels = groups.first.iter().map(|row| grouping.labels_of(&block.labels[*row])).collect();
        let out = Block::floats(Arc::new(labels), groups.dropped(&block), grid.len, cells);
        Ok(out.without_empty_rows())
    }

    fn quantile(&mut self, aggregate: &Aggregate, block: &Block, groups: &Groups, q: &[f64]) -> Vec<f64> {
        if let Some(pos) = aggregate.param.as_ref().map(|param| param.pos) {
            if q.iter().any(|q| q.is_nan()) {
                self.notes.warn(pos, annotate::invalid_quantile(f64::NAN));
            }
            let (least, most) = q.iter().fold((0.0_f64, 1.0_f64), |(least, most), q| (least.min(*q), most.max(*q)));
            if most > 1.0 {
                self.notes.warn(pos, annotate::invalid_quantile(most));
            }
            if least < 0.0 {
                self.notes.warn(pos, annotate::invalid_quantile(least));
            }
        }
        let mut cells = vec![absent(); groups.len() * block.steps];
        let mut members: Vec<Vec<f64>> = vec![Vec::new(); groups.len()];
        for step in 0..block.steps {
            members.iter_mut().for_each(Vec::clear);
            for (row, group) in groups.of_row.iter().enumerate() {
                let cell = block.row(row)[step];
                if !is_absent(cell) {
                    members[*group as usize].push(cell);
                }
            }
            for (group, members) in members.iter_mut().enumerate().filter(|(_, members)| !members.is_empty()) {
                cells[group * block.steps + step] = quantile_of(q.get(step).copied().unwrap_or(f64::NAN), members);
            }
        }
        cells
    }

    /// Operators that look past histograms say so.
    pub(super) fn remark_on_histograms(&mut self, aggregate: &Aggregate, block: &Block) {
        let ignores =
            !matches!(aggregate.op, AggregateOp::Count | AggregateOp::Group | AggregateOp::Sum | AggregateOp::Avg);
        if ignores && block.histograms.as_ref().is_some_and(|cells| cells.iter().any(Option::is_some)) {
            self.notes.info(aggregate.expr.pos, annotate::ignored_in_aggregation(aggregate.op.as_str()));
        }
    }
}

/// Folds every group at every step.
fn fold(op: AggregateOp, block: &Block, groups: &Groups) -> Result<Vec<f64>, QueryError> {
    if matches!(op, AggregateOp::Sum | AggregateOp::Avg) && block.histograms.is_some() {
        return Err(unsupported(op.as_str()));
    }
    Ok(match op {
        AggregateOp::Sum => {
            run(
                block,
                groups,
                KahanSum::new,
                KahanSum::add,
                |sum| {
                    if sum.sum.is_infinite() { sum.sum } else { sum.total() }
                },
            )
        }
        AggregateOp::Avg => run(block, groups, Mean::new, Mean::add, Mean::value),
        AggregateOp::Min => run(block, groups, |v| v, |min, v| keep_better(min, v, v < *min), |min| min),
        AggregateOp::Max => run(block, groups, |v| v, |max, v| keep_better(max, v, v > *max), |max| max),
        AggregateOp::Stdvar => run(block, groups, Variance::new, Variance::add, Variance::value),
        AggregateOp::Stddev => run(block, groups, Variance::new, Variance::add, |v| v.value().sqrt()),
        AggregateOp::Count => count(block, groups, |count| count + 1.0),
        _ => count(block, groups, |_| 1.0),
    })
}

/// Folds the floats of each group and step, row by row.
fn run<S: Copy>(
    block: &Block,
    groups: &Groups,
    first: impl Fn(f64) -> S,
    add: impl Fn(&mut S, f64),
    finish: impl Fn(S) -> f64,
) -> Vec<f64> {
    let steps = block.steps;
    let mut states: Vec<Option<S>> = vec![None; groups.len() * steps];
    for (row, group) in groups.of_row.iter().enumerate() {
        let states = &mut states[*group as usize * steps..][..steps];
        for (state, cell) in states.iter_mut().zip(block.row(row)) {
            if is_absent(*cell) {
                continue;
            }
            match state {
                Some(state) => add(state, *cell),
                None => *state = Some(first(*cell)),
            }
        }
    }
    states.into_iter().map(|state| state.map_or_else(absent, &finish)).collect()
}

/// Counts samples of either kind.
fn count(block: &Block, groups: &Groups, next: impl Fn(f64) -> f64) -> Vec<f64> {
    let steps = block.steps;
    let mut cells = vec![absent(); groups.len() * steps];
    for (row, group) in groups.of_row.iter().enumerate() {
        for step in (0..steps).filter(|step| block.has(row, *step)) {
            let cell = &mut cells[*group as usize * steps + step];
            *cell = if is_absent(*cell) { 1.0 } else { next(*cell) };
        }
    }
    cells
}

/// NaN gives way to anything.
fn keep_better(best: &mut f64, value: f64, better: bool) {
    if better || best.is_nan() {
        *best = value;
    }
}

/// Welford's running variance. A first sample that is not finite makes it NaN.
#[derive(Debug, Clone, Copy)]
struct Variance {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Variance {
    fn new(first: f64) -> Self {
        Self { count: 1.0, mean: first, squares: if first.is_finite() { 0.0 } else { f64::NAN } }
    }

    fn add(&mut self, value: f64) {
        self.count += 1.0;
        let delta = value - self.mean;
        self.mean += delta / self.count;
        self.squares += delta * (value - self.mean);
    }

    fn value(self) -> f64 {
        self.squares / self.count
    }
}
