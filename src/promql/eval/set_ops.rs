//! `and`, `or`, `unless`.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::model::{Labels, absent, is_absent};
use crate::promql::parser::BinaryOp;
use crate::promql::plan::Binary;
use crate::promql::result::QueryError;

use super::block::Dropped;
use super::matching::Signature;
use super::memo::{Learned, Recipe, SharedLabels, Task};
use super::{Block, Eval, merge_rows, same_labelset, unshare};

/// Whether a match group has a sample, at each step.
struct Presence {
    steps: usize,
    seen: Vec<bool>,
}

/// The rows of `or`: those of the left side, then those of the right side whose labels are new.
struct Union {
    labels: SharedLabels,
    /// Where the right side's rows go.
    of_right: Vec<u32>,
}

impl Learned for Union {
    fn bytes(&self) -> usize {
        // The label sets themselves are those of the inputs.
        self.of_right.len() * size_of::<u32>() + self.labels.len() * size_of::<Labels>()
    }
}

impl Eval<'_> {
    /// Sets are decided by match group at each step; values and labels stay.
    pub(super) fn set_operation(
        &mut self,
        binary: &Binary,
        lhs: Arc<Block>,
        rhs: Arc<Block>,
    ) -> Result<Block, QueryError> {
        self.budget.work(lhs.cells.len() + rhs.cells.len())?;
        let groups = Signature(&binary.matching).recall(self.memo, &lhs.labels, &rhs.labels);
        match binary.op {
            BinaryOp::Or => {
                let left = Presence::of(&lhs, &groups.left, groups.count);
                let kept = keep(rhs, &groups.right, &left, false);
                self.stack(lhs, kept)
            }
            op => {
                let right = Presence::of(&rhs, &groups.right, groups.count);
                Ok(keep(lhs, &groups.left, &right, op == BinaryOp::And))
            }
        }
    }

    /// Both sides below each other. A series that changes sides over time stays one series, if it keeps or loses its
    /// name on both.
    fn stack(&self, lhs: Arc<Block>, rhs: Block) -> Result<Block, QueryError> {
        if rhs.rows() == 0 {
            return Ok(unshare(lhs));
        }
        let merge = match (&lhs.dropped, &rhs.dropped) {
            (Dropped::Some(_), _) | (_, Dropped::Some(_)) => return merge_rows(below(&lhs, &rhs)),
            (left, right) => left == right,
        };
        let recipe = Recipe::new(Task::Union).flag(merge);
        let union = self.memo.recall(recipe, &[&lhs.labels, &rhs.labels], || unite(&lhs.labels, &rhs.labels, merge));
        let dropped = match merge {
            true => lhs.dropped.clone(),
            false => Dropped::from_rows(
                (0..union.labels.len())
                    .map(|row| row < lhs.rows())
                    .map(|left| left == (lhs.dropped == Dropped::All))
                    .collect(),
            ),
        };
        let mut block = Block { labels: Arc::clone(&union.labels), dropped, ..unshare(lhs) };
        let size = block.labels.len() * block.steps;
        block.cells.resize(size, absent());
        if let Some(histograms) = &mut block.histograms {
            histograms.resize(size, None);
        }
        for (row, out) in union.of_right.iter().enumerate() {
            put_row(&mut block, *out as usize, &rhs, row)?;
        }
        Ok(block)
    }
}

impl Presence {
    fn of(block: &Block, groups: &[u32], count: usize) -> Self {
        let steps = block.steps;
        let mut seen = vec![false; count * steps];
        for (row, group) in groups.iter().enumerate() {
            let seen = &mut seen[*group as usize * steps..][..steps];
            seen.iter_mut().zip(block.row(row)).for_each(|(seen, cell)| *seen |= !is_absent(*cell));
            if block.histograms.is_some() {
                seen.iter_mut().enumerate().for_each(|(step, seen)| *seen |= block.histogram(row, step).is_some());
            }
        }
        Self { steps, seen }
    }

    fn row(&self, group: u32) -> &[bool] {
        &self.seen[group as usize * self.steps..][..self.steps]
    }
}

/// The block with only those samples whose match group is on the other side, or is not.
fn keep(block: Arc<Block>, groups: &[u32], other: &Presence, wanted: bool) -> Block {
    let mut kept = unshare(block);
    let steps = kept.steps.max(1);
    for (cells, group) in kept.cells.chunks_exact_mut(steps).zip(groups) {
        for (cell, seen) in cells.iter_mut().zip(other.row(*group)) {
            *cell = if *seen == wanted { *cell } else { absent() };
        }
    }
    if let Some(histograms) = &mut kept.histograms {
        for (cells, group) in histograms.chunks_exact_mut(steps).zip(groups) {
            let gone = cells.iter_mut().zip(other.row(*group)).filter(|(_, seen)| **seen != wanted);
            gone.for_each(|(cell, _)| *cell = None);
        }
    }
    kept
}

fn unite(left: &[Labels], right: &[Labels], merge: bool) -> Union {
    let mut labels = left.to_vec();
    let mut index: FxHashMap<&Labels, u32> = FxHashMap::default();
    if merge {
        index.extend(left.iter().enumerate().map(|(row, labels)| (labels, row as u32)));
    }
    let mut of_right = Vec::with_capacity(right.len());
    for series in right {
        let fresh = labels.len() as u32;
        let out = *index.entry(series).or_insert(fresh);
        if out == fresh {
            labels.push(series.clone());
        }
        of_right.push(out);
    }
    Union { labels: Arc::new(labels), of_right }
}

/// Puts a row's samples to those that are there.
fn put_row(block: &mut Block, out: usize, from: &Block, row: usize) -> Result<(), QueryError> {
    for step in 0..from.steps {
        let cell = from.row(row)[step];
        let histogram = from.histogram(row, step);
        if is_absent(cell) && histogram.is_none() {
            continue;
        }
        if block.has(out, step) {
            return Err(same_labelset());
        }
        match histogram {
            Some(histogram) => block.set_histogram(out, step, Arc::clone(histogram)),
            None => block.cells[out * from.steps + step] = cell,
        }
    }
    Ok(())
}

/// Both sides below each other, nothing merged.
fn below(lhs: &Block, rhs: &Block) -> Block {
    let dropped =
        (0..lhs.rows()).map(|row| lhs.dropped.get(row)).chain((0..rhs.rows()).map(|row| rhs.dropped.get(row)));
    let dropped = Dropped::from_rows(dropped.collect());
    let labels = lhs.labels.iter().chain(rhs.labels.iter()).cloned().collect();
    let histograms = (lhs.histograms.is_some() || rhs.histograms.is_some()).then(|| {
        let side = |block: &Block| block.histograms.clone().unwrap_or_else(|| vec![None; block.cells.len()]);
        [side(lhs), side(rhs)].concat()
    });
    let cells = [&*lhs.cells, &*rhs.cells].concat();
    Block { labels: Arc::new(labels), dropped, steps: lhs.steps, cells, histograms }
}
