//! `count_values("label", x)`: one series a value.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::model::{Labels, is_absent};
use crate::promql::functions::is_valid_label_name;
use crate::promql::plan::Aggregate;
use crate::promql::result::QueryError;

use super::block::Dropped;
use super::grouping::Grouping;
use super::{Block, Eval, Grid, refuse_histograms};

impl Eval<'_> {
    pub(super) fn count_values(&mut self, aggregate: &Aggregate, grid: Grid) -> Result<Block, QueryError> {
        let label = match &aggregate.param {
            Some(param) => super::call::text(param)?,
            None => return Err(QueryError::BadData("count_values needs a label name".to_owned())),
        };
        if !is_valid_label_name(&label) {
            return Err(QueryError::Execution(format!("invalid label name {label:?}")));
        }
        let block = self.eval_vector(&aggregate.expr, grid)?;
        refuse_histograms(&block, "count_values")?;
        self.budget.work(block.cells.len())?;
        let grouping = Grouping { names: &aggregate.grouping, without: aggregate.without };
        // The value takes the place of a label of that name, unless the name itself is taken away.
        let shown = !aggregate.without || grouping.keeps(&label);
        let mut names = aggregate.grouping.clone();
        names.retain(|name| *name != *label);
        if aggregate.without {
            names.push(label.to_string());
        }
        let groups = Grouping { names: &names, without: aggregate.without }.recall(self.memo, &block.labels);
        let mut index: FxHashMap<(u32, u64), usize> = FxHashMap::default();
        let mut out: Vec<(Labels, Vec<f64>)> = Vec::new();
        for (row, group) in groups.of_row.iter().enumerate() {
            for (step, cell) in block.row(row).iter().enumerate().filter(|(_, cell)| !is_absent(**cell)) {
                // All NaNs look the same.
                let bits = if !shown || cell.is_nan() { f64::NAN.to_bits() } else { cell.to_bits() };
                let target = *index.entry((*group, bits)).or_insert_with(|| {
                    let of_group = &groups.labels[*group as usize];
                    let labels = if shown { of_group.with(&label, &plain_float(*cell)) } else { of_group.clone() };
                    out.push((labels, vec![0.0; grid.len]));
                    out.len() - 1
                });
                // Every value of every sample may become a row of all steps.
                self.budget.room_for(out.len(), grid.len)?;
                out[target].1[step] += 1.0;
            }
        }
        let mut result = Block::holes(
            Arc::new(out.iter().map(|(labels, ..)| labels.clone()).collect()),
            // Prometheus forgets that names were to be dropped.
            Dropped::None,
            grid.len,
        );
        let counted = out.iter().flat_map(|(_, counts)| counts);
        result.cells.iter_mut().zip(counted).filter(|(_, n)| **n > 0.0).for_each(|(cell, n)| *cell = *n);
        Ok(result)
    }
}

/// Go's `'f'` form with the shortest digits: never an exponent.
fn plain_float(value: f64) -> String {
    if value.is_finite() { format!("{value}") } else { crate::model::format_float(value) }
}
