//! Rows that ended up with the same labels become one, unless both have a sample at one time.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::model::{Labels, is_absent};
use crate::promql::result::QueryError;

use super::block::Block;

/// The error of Prometheus for two samples of one series at one time.
pub(crate) fn same_labelset() -> QueryError {
    QueryError::Execution("vector cannot contain metrics with the same labelset".to_owned())
}

/// Merges rows with equal labels. Rows that keep their name and rows that lose it at the end stay apart: at each step
/// the sample that is there decides.
///
/// # Errors
/// When two of them have a sample at the same step.
pub(crate) fn merge_rows(block: Block) -> Result<Block, QueryError> {
    let Some((targets, firsts)) = duplicates(&block) else { return Ok(block) };
    let mut merged = block.pick(&firsts);
    for (row, target) in targets.iter().enumerate() {
        if firsts[*target] == row {
            continue;
        }
        for step in 0..block.steps {
            if !block.has(row, step) {
                continue;
            }
            if merged.has(*target, step) {
                return Err(same_labelset());
            }
            let cell = block.row(row)[step];
            if !is_absent(cell) {
                merged.cells[target * block.steps + step] = cell;
            }
            if let Some(histogram) = block.histogram(row, step) {
                merged.set_histogram(*target, step, Arc::clone(histogram));
            }
        }
    }
    Ok(merged)
}

/// For each row the merged row it belongs to, and the first row of each; `None` when all rows differ.
fn duplicates(block: &Block) -> Option<(Vec<usize>, Vec<usize>)> {
    let rows = block.rows();
    let mut first_of: FxHashMap<(&Labels, bool), usize> = FxHashMap::default();
    first_of.reserve(rows);
    let mut firsts = Vec::with_capacity(rows);
    let mut targets = Vec::with_capacity(rows);
    for (row, labels) in block.labels.iter().enumerate() {
        let target = match first_of.entry((labels, block.dropped.get(row))) {
            Entry::Occupied(entry) => *entry.get(),
            Entry::Vacant(entry) => {
                firsts.push(row);
                *entry.insert(firsts.len() - 1)
            }
        };
        targets.push(target);
    }
    (firsts.len() < rows).then_some((targets, firsts))
}
