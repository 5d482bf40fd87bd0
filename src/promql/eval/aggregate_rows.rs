//! Aggregations that choose among their series: topk, bottomk, limitk, limit_ratio.

use std::sync::Arc;

use crate::model::{Labels, is_absent};
use crate::promql::annotate;
use crate::promql::parser::{AggregateOp, Pos};
use crate::promql::plan::Aggregate;
use crate::promql::result::QueryError;

use super::grouping::{Grouping, Groups};
use super::series_hash::series_hash;
use super::{Block, Eval, Grid};

impl Eval<'_> {
    pub(super) fn aggregate_rows(&mut self, aggregate: &Aggregate, grid: Grid) -> Result<Block, QueryError> {
        let Some(param_node) = &aggregate.param else {
            return Err(QueryError::BadData(format!("{} needs a parameter", aggregate.op.as_str())));
        };
        let param = self.eval_scalar(param_node, grid)?;
        let block = self.eval_vector(&aggregate.expr, grid)?;
        if asks_for_nothing(aggregate.op, &param) {
            return Ok(Block::empty(grid.len));
        }
        check_param(aggregate.op, &param)?;
        self.budget.work(block.cells.len())?;
        let groups = Grouping { names: &aggregate.grouping, without: aggregate.without }.groups(&block.labels);
        let chosen = match aggregate.op {
            AggregateOp::LimitRatio => self.sample(&block, &param, param_node.pos),
            op => choose(op, &block, &groups, &param),
        };
        if matches!(aggregate.op, AggregateOp::TopK | AggregateOp::BottomK) && param.iter().any(|k| *k >= 1.0) {
            self.remark_on_histograms(aggregate, &block);
        }
        let mut out = Block::holes(Arc::clone(&block.labels), block.dropped.clone(), block.steps);
        for (step, rows) in chosen.iter().enumerate() {
            for row in rows {
                let index = row * block.steps + step;
                out.cells[index] = block.cells[index];
                if let Some(histogram) = block.histogram(*row, step) {
                    out.set_histogram(*row, step, Arc::clone(histogram));
                }
            }
        }
        match chosen.as_slice() {
            // At one step the order of the choice is the order of the result.
            [rows] => Ok(out.pick(rows)),
            _ => Ok(out.without_empty_rows()),
        }
    }

    /// `limit_ratio`: series whose hash falls below the ratio, or for a negative one above its complement.
    fn sample(&mut self, block: &Block, ratios: &[f64], pos: Pos) -> Vec<Vec<usize>> {
        let offsets: Vec<f64> =
            block.labels.iter().map(|labels| series_hash(labels) as f64 / u64::MAX as f64).collect();
        let (least, most) = ratios.iter().fold((0.0_f64, 0.0_f64), |(least, most), r| (least.min(*r), most.max(*r)));
        if most > 1.0 {
            self.notes.warn(pos, annotate::invalid_ratio(most, 1.0));
        }
        if least < -1.0 {
            self.notes.warn(pos, annotate::invalid_ratio(least, -1.0));
        }
        let mut chosen = Vec::with_capacity(ratios.len());
        for (step, ratio) in ratios.iter().enumerate() {
            let capped = ratio.clamp(-1.0, 1.0);
            let inside = |offset: f64| (capped >= 0.0 && offset < capped) || (capped < 0.0 && offset >= 1.0 + capped);
            // The largest hash is exactly one: a ratio of one still takes it.
            let takes = |row: &usize| block.has(*row, step) && (capped == 1.0 || inside(offsets[*row]));
            chosen.push((0..block.rows()).filter(takes).collect());
        }
        chosen
    }
}

/// Whether no step asks for any series: then nothing else about the parameter matters.
fn asks_for_nothing(op: AggregateOp, param: &[f64]) -> bool {
    match op {
        AggregateOp::LimitRatio => param.iter().all(|ratio| *ratio == 0.0),
        _ => param.iter().all(|k| *k < 1.0),
    }
}

fn check_param(op: AggregateOp, param: &[f64]) -> Result<(), QueryError> {
    let fail = |text: String| Err(QueryError::Execution(text));
    if op == AggregateOp::LimitRatio {
        return if param.iter().any(|ratio| ratio.is_nan()) { fail("Ratio value is NaN".to_owned()) } else { Ok(()) };
    }
    for k in param {
        if k.is_nan() {
            return fail("Parameter value is NaN".to_owned());
        }
        if *k <= i64::MIN as f64 {
            return fail(format!("Scalar value {} underflows int64", annotate::go_float(*k)));
        }
        if *k >= i64::MAX as f64 {
            return fail(format!("Scalar value {} overflows int64", annotate::go_float(*k)));
        }
    }
    Ok(())
}

/// The chosen rows of each step, group by group, best first.
fn choose(op: AggregateOp, block: &Block, groups: &Groups, param: &[f64]) -> Vec<Vec<usize>> {
    let mut members: Vec<Vec<usize>> = vec![Vec::new(); groups.len()];
    let mut chosen = Vec::with_capacity(param.len());
    let order = by_labels(&block.labels);
    for (step, k) in param.iter().enumerate() {
        let k = if *k < 1.0 { 0 } else { (*k as usize).min(block.rows()) };
        members.iter_mut().for_each(Vec::clear);
        for row in order.iter().copied() {
            let present = match op {
                AggregateOp::LimitK => block.has(row, step),
                _ => !is_absent(block.row(row)[step]),
            };
            if present {
                members[groups.of_row[row] as usize].push(row);
            }
        }
        let value = |row: &usize| block.row(*row)[step];
        for rows in &mut members {
            match op {
                AggregateOp::TopK => best(rows, k, |a, b| descending(value(a), value(b))),
                AggregateOp::BottomK => best(rows, k, |a, b| descending(-value(a), -value(b))),
                _ => rows.truncate(k),
            }
        }
        chosen.push(members.iter().flatten().copied().collect());
    }
    chosen
}

/// Rows in the order of their labels, so that a choice among equals does not depend on who else is there.
fn by_labels(labels: &[Labels]) -> Vec<usize> {
    let mut rows: Vec<usize> = (0..labels.len()).collect();
    if !labels.is_sorted() {
        rows.sort_by(|a, b| labels[*a].cmp(&labels[*b]));
    }
    rows
}

/// Keeps the best `k`, in order; of equals those that come first.
fn best(rows: &mut Vec<usize>, k: usize, order: impl Fn(&usize, &usize) -> std::cmp::Ordering) {
    // A stable sort of everything is dear for large groups: a first pass finds the value that is just good enough.
    if k > 0 && k * 4 < rows.len() {
        let mut values = rows.clone();
        let (_, last, _) = values.select_nth_unstable_by(k - 1, &order);
        let last = *last;
        rows.retain(|row| order(row, &last).is_le());
    }
    rows.sort_by(&order);
    rows.truncate(k);
}

/// Larger first, NaN last.
fn descending(a: f64, b: f64) -> std::cmp::Ordering {
    a.is_nan().cmp(&b.is_nan()).then(b.partial_cmp(&a).unwrap_or(std::cmp::Ordering::Equal))
}
