//! Aggregations that give one series a group: sum, avg, count, min, max, group, stddev, stdvar, quantile.

use std::sync::Arc;

use crate::model::{absent, is_absent};
use crate::promql::annotate;
use crate::promql::functions::{go_max, go_min, quantile_of};
use crate::promql::parser::AggregateOp;
use crate::promql::plan::Aggregate;
use crate::promql::result::QueryError;

use super::fold::fold;
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
        let groups = grouping.recall(self.memo, &block.labels);
        let mut cells = match aggregate.op {
            AggregateOp::Quantile => self.quantile(aggregate, &block, &groups, &param.unwrap_or_default()),
            op => fold(op, &block, &groups),
        };
        if matches!(aggregate.op, AggregateOp::Sum | AggregateOp::Avg) {
            self.refuse_to_add_histograms(aggregate, &block, &groups, &mut cells)?;
        }
        self.remark_on_histograms(aggregate, &block);
        Ok(Block::floats(Arc::clone(&groups.labels), groups.dropped(&block), grid.len, cells))
    }

    fn quantile(&mut self, aggregate: &Aggregate, block: &Block, groups: &Groups, q: &[f64]) -> Vec<f64> {
        if let Some(pos) = aggregate.param.as_ref().map(|param| param.pos) {
            if q.iter().any(|q| q.is_nan()) {
                self.notes.warn(pos, annotate::invalid_quantile(f64::NAN));
            }
            // Go's: among others NaN is neither too small nor too large, unless an infinity is there.
            let (least, most) = q.iter().fold((0.0, 1.0), |(least, most), q| (go_min(least, *q), go_max(most, *q)));
            if most > 1.0 {
                self.notes.warn(pos, annotate::invalid_quantile(most));
            }
            if least < 0.0 {
                self.notes.warn(pos, annotate::invalid_quantile(least));
            }
        }
        let steps = block.steps;
        let mut cells = vec![absent(); groups.len() * steps];
        let mut gathered = Gathered::default();
        for (rows, cells) in groups.members(&block.labels).iter().zip(cells.chunks_exact_mut(steps.max(1))) {
            for from in (0..steps).step_by(GATHERED_STEPS) {
                gathered.load(block, rows, from);
                for (step, values) in (from..steps).zip(gathered.columns.iter_mut()) {
                    if !values.is_empty() {
                        cells[step] = quantile_of(q.get(step).copied().unwrap_or(f64::NAN), values);
                    }
                }
            }
        }
        cells
    }

    /// Floats and histograms do not add up: where a group has both it gives nothing, and a warning. Histograms alone are
    /// for later.
    fn refuse_to_add_histograms(
        &mut self,
        aggregate: &Aggregate,
        block: &Block,
        groups: &Groups,
        cells: &mut [f64],
    ) -> Result<(), QueryError> {
        if block.histograms.is_none() {
            return Ok(());
        }
        let mut mixed = Vec::new();
        for (row, group) in groups.of_row.iter().enumerate() {
            let place = |step: usize| *group as usize * block.steps + step;
            for step in (0..block.steps).filter(|step| block.histogram(row, *step).is_some()) {
                if is_absent(cells[place(step)]) {
                    return Err(unsupported(aggregate.op.as_str()));
                }
                mixed.push(place(step));
            }
        }
        if !mixed.is_empty() {
            self.notes.warn(aggregate.expr.pos, annotate::mixed_in_aggregation());
        }
        mixed.into_iter().for_each(|place| cells[place] = absent());
        Ok(())
    }

    /// Operators that look past histograms say so.
    pub(super) fn remark_on_histograms(&mut self, aggregate: &Aggregate, block: &Block) {
        let ignores =
            !matches!(aggregate.op, AggregateOp::Count | AggregateOp::Group | AggregateOp::Sum | AggregateOp::Avg);
        if ignores && block.histograms.as_ref().is_some_and(|cells| cells.iter().any(Option::is_some)) {
            // Prometheus points to the whole of topk and bottomk, but to what the others aggregate.
            let whole = matches!(aggregate.op, AggregateOp::TopK | AggregateOp::BottomK);
            let pos = if whole { aggregate.pos } else { aggregate.expr.pos };
            self.notes.info(pos, annotate::ignored_in_aggregation(aggregate.op.as_str()));
        }
    }
}

/// Steps that are gathered at once: the cells of a cache line.
const GATHERED_STEPS: usize = 8;

/// The values of a group at a few steps, holes left out.
#[derive(Default)]
struct Gathered {
    columns: [Vec<f64>; GATHERED_STEPS],
}

impl Gathered {
    /// From step `from` on; columns beyond the last step are empty.
    fn load(&mut self, block: &Block, rows: &[u32], from: usize) {
        self.columns.iter_mut().for_each(Vec::clear);
        for row in rows {
            for (column, cell) in self.columns.iter_mut().zip(&block.row(*row as usize)[from..]) {
                if !is_absent(*cell) {
                    column.push(*cell);
                }
            }
        }
    }
}
