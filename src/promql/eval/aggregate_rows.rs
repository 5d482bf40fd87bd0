//! Aggregations that choose among their series: topk, bottomk, limitk, limit_ratio.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::model::is_absent;
use crate::promql::annotate;
use crate::promql::parser::{AggregateOp, Pos};
use crate::promql::plan::Aggregate;
use crate::promql::result::QueryError;

use super::grouping::{Grouping, Groups};
use super::memo::{Learned, Recipe, Task};
use super::series_hash::series_hash;
use super::{Block, Eval, Grid};

/// Up to so many chosen series are kept in order one by one; for more of them it is cheaper to sort all.
const MAX_KEPT_SORTED: usize = 64;

/// The chosen rows of each step, group by group, best first.
type Chosen = Vec<Vec<u32>>;

/// Where each series stands between 0 and 1.
struct Places(Vec<f64>);

impl Learned for Places {
    fn bytes(&self) -> usize {
        self.0.len() * size_of::<f64>()
    }
}

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
        let chosen = match aggregate.op {
            AggregateOp::LimitRatio => self.sample(&block, &param, param_node.pos),
            op => {
                let grouping = Grouping { names: &aggregate.grouping, without: aggregate.without };
                choose(op, &block, &grouping.recall(self.memo, &block.labels), &param)
            }
        };
        if matches!(aggregate.op, AggregateOp::TopK | AggregateOp::BottomK) && param.iter().any(|k| *k >= 1.0) {
            self.remark_on_histograms(aggregate, &block);
        }
        if let [rows] = chosen.as_slice() {
            // At one step the order of the choice is the order of the result.
            return Ok(block.pick(&rows.iter().map(|row| *row as usize).collect::<Vec<_>>()));
        }
        let mut out = Block::holes(Arc::clone(&block.labels), block.dropped.clone(), block.steps);
        for (step, rows) in chosen.iter().enumerate() {
            for row in rows.iter().map(|row| *row as usize) {
                let index = row * block.steps + step;
                out.cells[index] = block.cells[index];
                if let Some(histogram) = block.histogram(row, step) {
                    out.set_histogram(row, step, Arc::clone(histogram));
                }
            }
        }
        Ok(out)
    }

    /// `limit_ratio`: series whose hash falls below the ratio, or for a negative one above its complement.
    fn sample(&mut self, block: &Block, ratios: &[f64], pos: Pos) -> Chosen {
        let place = |labels| series_hash(labels) as f64 / u64::MAX as f64;
        let places = self
            .memo
            .recall(Recipe::new(Task::Sample), &[&block.labels], || Places(block.labels.iter().map(place).collect()));
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
            let inside = |place: f64| (capped >= 0.0 && place < capped) || (capped < 0.0 && place >= 1.0 + capped);
            // The largest hash is exactly one: a ratio of one still takes it.
            let takes =
                |row: &u32| block.has(*row as usize, step) && (capped == 1.0 || inside(places.0[*row as usize]));
            chosen.push((0..block.rows() as u32).filter(takes).collect());
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
    if param.iter().any(|k| k.is_nan()) {
        return fail("Parameter value is NaN".to_owned());
    }
    let (least, most) = param.iter().fold((f64::MAX, f64::MIN), |(least, most), k| (least.min(*k), most.max(*k)));
    if least <= i64::MIN as f64 {
        return fail(format!("Scalar value {} underflows int64", annotate::go_float(least)));
    }
    if most >= i64::MAX as f64 {
        return fail(format!("Scalar value {} overflows int64", annotate::go_float(most)));
    }
    Ok(())
}

/// As [`Chosen`]. Of equals those that come first by their labels.
fn choose(op: AggregateOp, block: &Block, groups: &Groups, param: &[f64]) -> Chosen {
    let wanted: Vec<usize> = param.iter().map(|k| if *k < 1.0 { 0 } else { (*k as usize).min(block.rows()) }).collect();
    let most = wanted.iter().copied().max().unwrap_or(0);
    let mut chosen: Chosen = vec![Vec::new(); wanted.len()];
    for rows in groups.members(&block.labels).iter() {
        match op {
            AggregateOp::LimitK => first_rows(block, rows, &wanted, &mut chosen),
            AggregateOp::TopK if most <= MAX_KEPT_SORTED => best_rows(block, rows, &wanted, &mut chosen, |v| v),
            AggregateOp::TopK => sorted_rows(block, rows, &wanted, &mut chosen, |v| v),
            _ if most <= MAX_KEPT_SORTED => best_rows(block, rows, &wanted, &mut chosen, |v: f64| -v),
            _ => sorted_rows(block, rows, &wanted, &mut chosen, |v: f64| -v),
        }
    }
    chosen
}

/// The first rows with a sample of any kind.
fn first_rows(block: &Block, rows: &[u32], wanted: &[usize], chosen: &mut Chosen) {
    for (step, (wanted, chosen)) in wanted.iter().zip(chosen).enumerate() {
        chosen.extend(rows.iter().filter(|row| block.has(**row as usize, step)).take(*wanted));
    }
}

/// The rows with the largest keys, by keeping the best so far of each step in order.
fn best_rows(block: &Block, rows: &[u32], wanted: &[usize], chosen: &mut Chosen, key: impl Fn(f64) -> f64) {
    let mut kept: Vec<Vec<(f64, u32)>> = wanted.iter().map(|wanted| Vec::with_capacity(*wanted)).collect();
    for row in rows {
        for ((cell, kept), wanted) in block.row(*row as usize).iter().zip(&mut kept).zip(wanted) {
            if is_absent(*cell) {
                continue;
            }
            let key = key(*cell);
            let full = kept.len() == *wanted;
            // Most rows end here. Equals come too late.
            if full && kept.last().is_none_or(|(worst, _)| descending(key, *worst).is_ge()) {
                continue;
            }
            if full {
                kept.pop();
            }
            let at = kept.partition_point(|(other, _)| descending(*other, key).is_le());
            kept.insert(at, (key, *row));
        }
    }
    for (kept, chosen) in kept.into_iter().zip(chosen) {
        chosen.extend(kept.into_iter().map(|(_, row)| row));
    }
}

/// As [`best_rows`] for many of them.
fn sorted_rows(block: &Block, rows: &[u32], wanted: &[usize], chosen: &mut Chosen, key: impl Fn(f64) -> f64) {
    let mut present: Vec<(f64, u32)> = Vec::with_capacity(rows.len());
    for (step, (wanted, chosen)) in wanted.iter().zip(chosen).enumerate() {
        present.clear();
        let cells = rows.iter().map(|row| (block.row(*row as usize)[step], *row));
        present.extend(cells.filter(|(cell, _)| !is_absent(*cell)).map(|(cell, row)| (key(cell), row)));
        present.sort_by(|a, b| descending(a.0, b.0));
        chosen.extend(present.iter().take(*wanted).map(|(_, row)| *row));
    }
}

/// Larger first, NaN last.
fn descending(a: f64, b: f64) -> Ordering {
    a.is_nan().cmp(&b.is_nan()).then(b.partial_cmp(&a).unwrap_or(Ordering::Equal))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::Block;
    use super::super::block::Dropped;
    use super::super::grouping::Grouping;
    use super::super::memo::Memo;
    use super::choose;
    use crate::model::{Labels, absent};
    use crate::promql::parser::AggregateOp;

    #[test]
    fn chooses_at_each_step() {
        let rows = [[3.0, 1.0], [absent(), 5.0], [f64::NAN, 5.0], [7.0, absent()], [absent(), absent()]];
        let labels = (0..rows.len()).map(|i| Labels::from_pairs(&[("i", &i.to_string())])).collect();
        let block = Block::floats(Arc::new(labels), Dropped::None, 2, rows.concat());
        let groups = Grouping { names: &[], without: false }.recall(&Memo::new(0), &block.labels);
        type Case<'a> = (AggregateOp, [f64; 2], [&'a [u32]; 2]);
        let cases: [Case<'_>; 7] = [
            (AggregateOp::TopK, [2.0, 2.0], [&[3, 0], &[1, 2]]),
            (AggregateOp::TopK, [9.0, 1.0], [&[3, 0, 2], &[1]]),
            (AggregateOp::TopK, [0.0, 0.9], [&[], &[]]),
            (AggregateOp::BottomK, [1.0, 2.0], [&[0], &[0, 1]]),
            (AggregateOp::BottomK, [9.0, 9.0], [&[0, 3, 2], &[0, 1, 2]]),
            (AggregateOp::LimitK, [2.0, 1.0], [&[0, 2], &[0]]),
            (AggregateOp::LimitK, [-1.0, 9.0], [&[], &[0, 1, 2]]),
        ];
        for (op, param, expected) in cases {
            assert_eq!(choose(op, &block, &groups, &param), expected, "{op:?} {param:?}");
        }
        let many: Vec<f64> = (0..200).map(|i| f64::from(i * 37 % 50)).collect();
        let labels = (0..many.len()).map(|i| Labels::from_pairs(&[("i", &format!("{i:03}"))])).collect();
        let block = Block::floats(Arc::new(labels), Dropped::None, 1, many);
        let groups = Grouping { names: &[], without: false }.recall(&Memo::new(0), &block.labels);
        let all = choose(AggregateOp::TopK, &block, &groups, &[200.0]);
        let some = choose(AggregateOp::TopK, &block, &groups, &[64.0]);
        assert_eq!(some[0], all[0][..64], "both ways choose the same");
    }
}
