//! `and`, `or`, `unless`.

use std::sync::Arc;

use crate::promql::parser::BinaryOp;
use crate::promql::plan::Binary;
use crate::promql::result::QueryError;

use super::block::Dropped;
use super::matching::Signature;
use super::{Block, merge_rows};

/// One bit a match group and step.
struct Presence {
    steps: usize,
    seen: Vec<bool>,
}

impl Presence {
    fn of(block: &Block, groups: &[u32], count: usize) -> Self {
        let steps = block.steps;
        let mut seen = vec![false; count * steps];
        for (row, group) in groups.iter().enumerate() {
            for step in 0..steps {
                seen[*group as usize * steps + step] |= block.has(row, step);
            }
        }
        Self { steps, seen }
    }

    fn get(&self, group: u32, step: usize) -> bool {
        self.seen[group as usize * self.steps + step]
    }
}

/// Sets are decided by match group at each step; values and labels stay.
pub(super) fn set_operation(binary: &Binary, lhs: &Block, rhs: &Block) -> Result<Block, QueryError> {
    let groups = Signature(&binary.matching).groups(&lhs.labels, &rhs.labels);
    match binary.op {
        BinaryOp::Or => {
            let left = Presence::of(lhs, &groups.left, groups.count);
            let kept = keep(rhs, &groups.right, |group, step| !left.get(group, step));
            stack(lhs.clone(), kept)
        }
        op => {
            let right = Presence::of(rhs, &groups.right, groups.count);
            let wanted = op == BinaryOp::And;
            Ok(keep(lhs, &groups.left, |group, step| right.get(group, step) == wanted))
        }
    }
}

/// The block with only the samples that `holds` lets through.
fn keep(block: &Block, groups: &[u32], holds: impl Fn(u32, usize) -> bool) -> Block {
    let mut kept = block.clone();
    for (row, group) in groups.iter().enumerate() {
        for step in (0..block.steps).filter(|step| !holds(*group, *step)) {
            kept.clear(row, step);
        }
    }
    kept.without_empty_rows()
}

/// Both sides below each other. A series that changes sides over time stays one series.
fn stack(lhs: Block, rhs: Block) -> Result<Block, QueryError> {
    if rhs.rows() == 0 {
        return Ok(lhs);
    }
    let dropped =
        (0..lhs.rows()).map(|row| lhs.dropped.get(row)).chain((0..rhs.rows()).map(|row| rhs.dropped.get(row)));
    let dropped = Dropped::from_rows(dropped.collect());
    let labels = lhs.labels.iter().chain(rhs.labels.iter()).cloned().collect();
    let histograms = (lhs.histograms.is_some() || rhs.histograms.is_some()).then(|| {
        let side = |block: &Block| block.histograms.clone().unwrap_or_else(|| vec![None; block.cells.len()]);
        [side(&lhs), side(&rhs)].concat()
    });
    let cells = [lhs.cells, rhs.cells].concat();
    merge_rows(Block { labels: Arc::new(labels), dropped, steps: lhs.steps, cells, histograms })
}
