//! `lhs op rhs` on two vectors: matching, `group_left`, `fill`.
//!
//! Rows are matched once. A pair of rows is worked through all steps in one loop; only match groups with several rows
//! on a side are looked at step by step, because there it depends on the step which of them is present.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::model::{Labels, LabelsBuilder, METRIC_NAME, absent, is_absent};
use crate::promql::annotate;
use crate::promql::functions::same_histogram;
use crate::promql::parser::{BinaryOp, Cardinality, Pos};
use crate::promql::plan::Binary;
use crate::promql::result::QueryError;

use super::arithmetic::{apply_bool, makes_new_metric};
use super::block::{Dropped, is_metadata};
use super::matching::{MatchGroups, Signature};
use super::{Block, Eval, unsupported};

/// No row.
const NONE: u32 = u32::MAX;

/// A join in progress. `many` and `one` are the written sides, or swapped for `group_right`.
struct Join<'a> {
    binary: &'a Binary,
    many: &'a Block,
    one: &'a Block,
    groups: MatchGroups,
    swapped: bool,
    fill_many: Option<f64>,
    fill_one: Option<f64>,
    /// Output rows by their labels.
    index: FxHashMap<Labels, usize>,
    labels: Vec<Labels>,
    dropped: Vec<bool>,
    cells: Vec<f64>,
    /// Output row of each pair (many row, one row).
    pairs: FxHashMap<(u32, u32), usize>,
}

impl Eval<'_> {
    pub(super) fn join(&mut self, binary: &Binary, lhs: &Block, rhs: &Block, pos: Pos) -> Result<Block, QueryError> {
        self.budget.work(lhs.cells.len() + rhs.cells.len())?;
        let matching = &binary.matching;
        let swapped = matching.cardinality == Cardinality::OneToMany;
        let (many, one) = if swapped { (rhs, lhs) } else { (lhs, rhs) };
        // As Prometheus does it, `fill_left` stands for the many side, also with `group_right`.
        let (fill_many, fill_one) = (matching.fill_left, matching.fill_right);
        let groups = Signature(matching).groups(&many.labels, &one.labels);
        let mut join = Join {
            binary,
            many,
            one,
            groups,
            swapped,
            fill_many,
            fill_one,
            index: FxHashMap::default(),
            labels: Vec::new(),
            dropped: Vec::new(),
            cells: Vec::new(),
            pairs: FxHashMap::default(),
        };
        if lhs.histograms.is_some() || rhs.histograms.is_some() {
            return self.join_with_histograms(join, pos);
        }
        if !join.one_by_one() {
            join.step_by_step(|_, _, _| Ok(None))?;
        }
        Ok(join.finish())
    }

    /// As above when histograms are about: equal types compare, the rest is an info or for later.
    fn join_with_histograms(&mut self, mut join: Join<'_>, pos: Pos) -> Result<Block, QueryError> {
        let (many, one, swapped, binary) = (join.many, join.one, join.swapped, join.binary);
        let mut kept = Vec::new();
        join.step_by_step(|step, many_row, one_row| {
            let many_histogram = many_row.and_then(|row| many.histogram(row, step));
            let one_histogram = one_row.and_then(|row| one.histogram(row, step));
            let (left, right) = if swapped { (one_histogram, many_histogram) } else { (many_histogram, one_histogram) };
            match (left, right) {
                (None, None) => Ok(None),
                (Some(left), Some(right)) if matches!(binary.op, BinaryOp::Eq | BinaryOp::Ne) => {
                    let holds = same_histogram(left, right) == (binary.op == BinaryOp::Eq);
                    if binary.return_bool {
                        return Ok(Some((f64::from(u8::from(holds)), true)));
                    }
                    if holds {
                        kept.push((step, many_row, one_row, Arc::clone(left)));
                    }
                    Ok(Some((absent(), holds)))
                }
                (left, right) => {
                    if left.is_some()
                        && matches!(binary.op, BinaryOp::Add | BinaryOp::Sub | BinaryOp::Div | BinaryOp::Mul)
                        || right.is_some() && binary.op == BinaryOp::Mul
                        || matches!(binary.op, BinaryOp::TrimLower | BinaryOp::TrimUpper)
                    {
                        return Err(unsupported("arithmetic"));
                    }
                    let word = |histogram: bool| if histogram { "histogram" } else { "float" };
                    let text =
                        annotate::incompatible_types(word(left.is_some()), binary.op.as_str(), word(right.is_some()));
                    self.notes.info(pos, text);
                    Ok(Some((absent(), false)))
                }
            }
        })?;
        let placed: Vec<_> = kept
            .into_iter()
            .map(|(step, many, one, histogram)| (join.output_row(many, one), step, histogram))
            .collect();
        let mut block = join.finish_all();
        placed.into_iter().for_each(|(row, step, histogram)| block.set_histogram(row, step, histogram));
        Ok(block.without_empty_rows())
    }
}

impl Join<'_> {
    /// The fast way: every match group has at most one row on each side, and nothing is filled in.
    fn one_by_one(&mut self) -> bool {
        let one_to_one = self.binary.matching.cardinality == Cardinality::OneToOne;
        if self.fill_many.is_some() || self.fill_one.is_some() {
            return false;
        }
        let mut one_of = vec![NONE; self.groups.count];
        for (row, group) in self.groups.right.iter().enumerate() {
            if std::mem::replace(&mut one_of[*group as usize], row as u32) != NONE {
                return false;
            }
        }
        let mut seen = vec![false; self.groups.count];
        for group in &self.groups.left {
            if one_to_one && std::mem::replace(&mut seen[*group as usize], true) {
                return false;
            }
        }
        let (op, return_bool, swapped) = (self.binary.op, self.binary.return_bool, self.swapped);
        let (many, one) = (self.many, self.one);
        let unique = one_to_one && self.results_differ();
        for many_row in 0..many.rows() {
            let one_row = one_of[self.groups.left[many_row] as usize];
            if one_row == NONE {
                continue;
            }
            let before = self.labels.len();
            let out = match unique {
                true => self.new_row(many_row, one_row as usize),
                false => self.output_row(Some(many_row), Some(one_row as usize)),
            };
            if out < before {
                // Two rows with one result: who is present decides, step by step.
                self.reset();
                return false;
            }
            let target = &mut self.cells[out * many.steps..(out + 1) * many.steps];
            for ((cell, a), b) in target.iter_mut().zip(many.row(many_row)).zip(one.row(one_row as usize)) {
                if is_absent(*a) || is_absent(*b) {
                    continue;
                }
                let (lhs, rhs) = if swapped { (*b, *a) } else { (*a, *b) };
                let (value, holds) = apply_bool(op, return_bool, lhs, rhs);
                if holds {
                    *cell = value;
                }
            }
        }
        true
    }

    /// Whether one-to-one results must have different labels: match groups differ, and nothing that tells them apart
    /// is taken away (name apart, which no match looks at).
    fn results_differ(&self) -> bool {
        let typed = |labels: &Labels| labels.iter().take(3).any(|(name, _)| name != METRIC_NAME && is_metadata(name));
        self.binary.matching.include.is_empty()
            && !(makes_new_metric(self.binary.op) && self.many.labels.iter().any(typed))
    }

    /// A row that is known to be new.
    fn new_row(&mut self, many: usize, one: usize) -> usize {
        self.labels.push(self.result_labels(Some(many), Some(one)));
        self.dropped.push(self.binary.return_bool || self.many.dropped.get(many));
        self.cells.extend(std::iter::repeat_n(absent(), self.many.steps));
        self.labels.len() - 1
    }

    fn reset(&mut self) {
        self.index.clear();
        self.labels.clear();
        self.dropped.clear();
        self.cells.clear();
        self.pairs.clear();
    }

    /// The full rules, at each step. `special` answers for pairs that are not both floats.
    fn step_by_step(
        &mut self,
        mut special: impl FnMut(usize, Option<usize>, Option<usize>) -> Result<Option<(f64, bool)>, QueryError>,
    ) -> Result<(), QueryError> {
        let one_to_one = self.binary.matching.cardinality == Cardinality::OneToOne;
        let mut one_of = vec![NONE; self.groups.count];
        // One to one: whether the group has matched. Else the output rows that the group has given.
        let mut matched = vec![false; self.groups.count];
        let mut given: Vec<Vec<usize>> = vec![Vec::new(); self.groups.count];
        for step in 0..self.many.steps {
            let many_rows: Vec<usize> = (0..self.many.rows()).filter(|row| self.many.has(*row, step)).collect();
            let one_rows: Vec<usize> = (0..self.one.rows()).filter(|row| self.one.has(*row, step)).collect();
            let filled = self.fill_many.is_some() || self.fill_one.is_some();
            if (many_rows.is_empty() && one_rows.is_empty())
                || (!filled && (many_rows.is_empty() || one_rows.is_empty()))
            {
                continue;
            }
            one_of.fill(NONE);
            matched.fill(false);
            given.iter_mut().for_each(Vec::clear);
            for row in &one_rows {
                let slot = &mut one_of[self.groups.right[*row] as usize];
                if *slot != NONE {
                    return Err(self.duplicate(*row, *slot as usize));
                }
                *slot = *row as u32;
            }
            let unfilled: Vec<(u32, Option<usize>, Option<usize>)> = many_rows
                .iter()
                .map(|row| {
                    let group = self.groups.left[*row];
                    let one = one_of[group as usize];
                    (group, Some(*row), (one != NONE).then_some(one as usize))
                })
                .collect();
            for (group, many, one) in unfilled {
                if one.is_none() && self.fill_one.is_none() {
                    continue;
                }
                self.pair(step, group, many, one, one_to_one, &mut matched, &mut given, &mut special)?;
            }
            if self.fill_many.is_some() {
                for row in &one_rows {
                    let group = self.groups.right[*row];
                    if !matched[group as usize] {
                        self.pair(step, group, None, Some(*row), one_to_one, &mut matched, &mut given, &mut special)?;
                    }
                }
            }
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "the state of one step, kept out of the struct to borrow it apart")]
    fn pair(
        &mut self,
        step: usize,
        group: u32,
        many: Option<usize>,
        one: Option<usize>,
        one_to_one: bool,
        matched: &mut [bool],
        given: &mut [Vec<usize>],
        special: &mut impl FnMut(usize, Option<usize>, Option<usize>) -> Result<Option<(f64, bool)>, QueryError>,
    ) -> Result<(), QueryError> {
        let (value, holds) = match special(step, many, one)? {
            Some(answer) => answer,
            None => {
                let a = many.map_or(self.fill_many, |row| Some(self.many.row(row)[step])).unwrap_or(f64::NAN);
                let b = one.map_or(self.fill_one, |row| Some(self.one.row(row)[step])).unwrap_or(f64::NAN);
                let (lhs, rhs) = if self.swapped { (b, a) } else { (a, b) };
                apply_bool(self.binary.op, self.binary.return_bool, lhs, rhs)
            }
        };
        let fail = |text: &str| Err(QueryError::Execution(text.to_owned()));
        let was_matched = std::mem::replace(&mut matched[group as usize], true);
        if one_to_one && was_matched {
            return fail("multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)");
        }
        let out = self.output_row(many, one);
        if !one_to_one {
            if given[group as usize].contains(&out) {
                return fail("multiple matches for labels: grouping labels must ensure unique matches");
            }
            given[group as usize].push(out);
        }
        if holds && !is_absent(value) {
            let cell = &mut self.cells[out * self.many.steps + step];
            if !is_absent(*cell) {
                return Err(super::same_labelset());
            }
            *cell = value;
        }
        Ok(())
    }

    /// The output row of a pair; `None` stands for a filled-in side.
    fn output_row(&mut self, many: Option<usize>, one: Option<usize>) -> usize {
        let key = (many.map_or(NONE, |row| row as u32), one.map_or(NONE, |row| row as u32));
        if let Some(row) = self.pairs.get(&key) {
            return *row;
        }
        let labels = self.result_labels(many, one);
        let dropped = self.binary.return_bool || many.is_some_and(|row| self.many.dropped.get(row));
        let steps = self.many.steps;
        let row = match self.index.entry(labels) {
            Entry::Occupied(entry) => *entry.get(),
            Entry::Vacant(entry) => {
                self.labels.push(entry.key().clone());
                self.dropped.push(false);
                self.cells.extend(std::iter::repeat_n(absent(), steps));
                *entry.insert(self.labels.len() - 1)
            }
        };
        self.dropped[row] |= dropped;
        self.pairs.insert(key, row);
        row
    }

    fn result_labels(&self, many: Option<usize>, one: Option<usize>) -> Labels {
        let matching = &self.binary.matching;
        let signature = Signature(matching);
        // A side that is filled in has the labels of the match group.
        let group_labels = |block: &Block, row: Option<usize>| {
            row.map_or_else(Labels::empty, |row| signature.labels_of(&block.labels[row]))
        };
        let base = many.map_or_else(|| group_labels(self.one, one), |row| self.many.labels[row].clone());
        let new_metric = makes_new_metric(self.binary.op);
        let one_to_one = matching.cardinality == Cardinality::OneToOne;
        let kept = base.filtered(|name| {
            let named = || matching.labels.iter().any(|label| label == name);
            !(new_metric && is_metadata(name)) && (!one_to_one || named() == matching.on)
        });
        if matching.include.is_empty() {
            return kept;
        }
        let source = one.map_or_else(|| group_labels(self.many, many), |row| self.one.labels[row].clone());
        let mut labels = LabelsBuilder::from(&kept);
        matching.include.iter().for_each(|name| labels.put(name, source.get(name)));
        labels.build()
    }

    fn duplicate(&self, row: usize, earlier: usize) -> QueryError {
        let side = if self.swapped { "left" } else { "right" };
        let group = braced(&Signature(&self.binary.matching).labels_of(&self.one.labels[row]));
        let mut both = [braced(&self.one.labels[row]), braced(&self.one.labels[earlier])];
        both.sort();
        QueryError::Execution(format!(
            "found duplicate series for the match group {group} on the {side} hand-side of the operation: [{}, {}];many-to-many matching not allowed: matching labels must be unique on one side",
            both[0], both[1]
        ))
    }

    fn finish(self) -> Block {
        self.finish_all().without_empty_rows()
    }

    fn finish_all(self) -> Block {
        let dropped = Dropped::from_rows(self.dropped);
        Block::floats(Arc::new(self.labels), dropped, self.many.steps, self.cells)
    }
}

/// All labels between braces, the name among them, as Go prints label sets.
fn braced(labels: &Labels) -> String {
    let pairs: Vec<String> =
        labels.iter().map(|(name, value)| format!("{name}={}", crate::model::quote(value))).collect();
    format!("{{{}}}", pairs.join(", "))
}
