//! `lhs op rhs` on two vectors: matching, `group_left`, `fill`.
//!
//! Rows are matched once. A pair of rows is worked through all steps in one loop; only match groups with several rows
//! on a side are looked at step by step, because there it depends on the step which of them is present.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::model::{Labels, absent, is_absent};
use crate::promql::annotate::{self, Notes};
use crate::promql::functions::same_histogram;
use crate::promql::parser::{BinaryOp, Cardinality, Pos};
use crate::promql::plan::Binary;
use crate::promql::result::QueryError;

use super::arithmetic::{apply_bool, makes_new_metric};
use super::block::Dropped;
use super::matching::Signature;
use super::pairs::{NONE, Pair, Pairs, Rule};
use super::{Block, Budget, Eval, unsupported};

/// A join in progress. `many` and `one` are the written sides, or swapped for `group_right`.
struct Join<'a> {
    budget: &'a mut Budget,
    binary: &'a Binary,
    many: &'a Block,
    one: &'a Block,
    rule: Rule<'a>,
    plan: &'a Pairs,
    swapped: bool,
    fill_many: Option<f64>,
    fill_one: Option<f64>,
    /// Output rows by their labels.
    index: FxHashMap<Labels, usize>,
    labels: Vec<Labels>,
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
        let rule = Rule { matching, new_metric: makes_new_metric(binary.op) };
        let plan = rule.recall(self.memo, &many.labels, &one.labels);
        // As Prometheus does it, `fill_left` stands for the many side, also with `group_right`.
        let (fill_many, fill_one) = (matching.fill_left, matching.fill_right);
        let mut join = Join {
            budget: &mut self.budget,
            binary,
            many,
            one,
            rule,
            plan: &plan,
            swapped,
            fill_many,
            fill_one,
            index: FxHashMap::default(),
            labels: Vec::new(),
            cells: Vec::new(),
            pairs: FxHashMap::default(),
        };
        if lhs.histograms.is_some() || rhs.histograms.is_some() {
            return join.with_histograms(&mut self.notes, pos);
        }
        if let Some(block) = join.pair_by_pair()? {
            return Ok(block);
        }
        join.step_by_step(|_, _, _| Ok(None))?;
        Ok(join.finish())
    }
}

impl Join<'_> {
    /// The full rules when histograms are about: equal types compare, the rest is an info or for later.
    fn with_histograms(mut self, notes: &mut Notes, pos: Pos) -> Result<Block, QueryError> {
        let (many, one, swapped, binary) = (self.many, self.one, self.swapped, self.binary);
        let mut kept = Vec::new();
        self.step_by_step(|step, many_row, one_row| {
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
                    notes.info(pos, text);
                    Ok(Some((absent(), false)))
                }
            }
        })?;
        let mut placed = Vec::with_capacity(kept.len());
        for (step, many, one, histogram) in kept {
            placed.push((self.output_row(many, one)?, step, histogram));
        }
        let mut block = self.finish_all();
        placed.into_iter().for_each(|(row, step, histogram)| block.set_histogram(row, step, histogram));
        Ok(block.without_empty_rows())
    }

    /// The fast way: each pair of rows through all steps, when at most one row of a side is there for a match group and
    /// nothing is filled in.
    fn pair_by_pair(&self) -> Result<Option<Block>, QueryError> {
        if self.fill_many.is_some() || self.fill_one.is_some() {
            return Ok(None);
        }
        let disputed;
        let pairs = match self.plan.contested {
            false => self.plan.all.as_ref(),
            true => {
                disputed = self.plan.undisputed(self.rule, self.many, self.one);
                disputed.as_ref()
            }
        };
        let Some(pairs) = pairs else { return Ok(None) };
        self.budget.room_for(self.plan.labels.len(), self.many.steps)?;
        let mut block = Block::holes(Arc::clone(&self.plan.labels), self.dropped(), self.many.steps);
        combine(self.binary, self.swapped, [self.many, self.one], pairs, &mut block.cells);
        Ok(Some(block))
    }

    /// Prometheus forgets that the name of an operand was to be dropped: a comparison that filters brings it back, and
    /// arithmetic has taken it away by itself.
    fn dropped(&self) -> Dropped {
        if self.binary.return_bool { Dropped::All } else { Dropped::None }
    }

    /// The full rules, at each step. `special` answers for pairs that are not both floats.
    fn step_by_step(
        &mut self,
        mut special: impl FnMut(usize, Option<usize>, Option<usize>) -> Result<Option<(f64, bool)>, QueryError>,
    ) -> Result<(), QueryError> {
        let one_to_one = self.binary.matching.cardinality == Cardinality::OneToOne;
        let mut one_of = vec![NONE; self.plan.groups.count];
        // One to one: whether the group has matched. Else the output rows that the group has given.
        let mut matched = vec![false; self.plan.groups.count];
        let mut given: Vec<Vec<usize>> = vec![Vec::new(); self.plan.groups.count];
        for step in 0..self.many.steps {
            let many_rows: Vec<usize> = (0..self.many.rows()).filter(|row| self.many.has(*row, step)).collect();
            let one_rows: Vec<usize> = (0..self.one.rows()).filter(|row| self.one.has(*row, step)).collect();
            let filled = self.fill_many.is_some() || self.fill_one.is_some();
            if (many_rows.is_empty() && one_rows.is_empty())
                || (!filled && (many_rows.is_empty() || one_rows.is_empty()))
            {
                continue;
            }
            self.budget.work(many_rows.len() + one_rows.len())?;
            one_of.fill(NONE);
            matched.fill(false);
            given.iter_mut().for_each(Vec::clear);
            for row in &one_rows {
                let slot = &mut one_of[self.plan.groups.right[*row] as usize];
                if *slot != NONE {
                    return Err(self.duplicate(*row, *slot as usize));
                }
                *slot = *row as u32;
            }
            let unfilled: Vec<(u32, Option<usize>, Option<usize>)> = many_rows
                .iter()
                .map(|row| {
                    let group = self.plan.groups.left[*row];
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
                    let group = self.plan.groups.right[*row];
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
        let out = self.output_row(many, one)?;
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
    fn output_row(&mut self, many: Option<usize>, one: Option<usize>) -> Result<usize, QueryError> {
        let key = (many.map_or(NONE, |row| row as u32), one.map_or(NONE, |row| row as u32));
        if let Some(row) = self.pairs.get(&key) {
            return Ok(*row);
        }
        let labels =
            self.rule.filled_labels(many.map(|row| &self.many.labels[row]), one.map(|row| &self.one.labels[row]));
        let steps = self.many.steps;
        let row = match self.index.entry(labels) {
            Entry::Occupied(entry) => *entry.get(),
            Entry::Vacant(entry) => {
                // Who meets whom may change from step to step: there can be far more of them than rows.
                self.budget.room_for(self.labels.len() + 1, steps)?;
                self.labels.push(entry.key().clone());
                self.cells.extend(std::iter::repeat_n(absent(), steps));
                *entry.insert(self.labels.len() - 1)
            }
        };
        self.pairs.insert(key, row);
        Ok(row)
    }

    fn duplicate(&self, row: usize, earlier: usize) -> QueryError {
        let side = if self.swapped { "left" } else { "right" };
        let group = Signature(&self.binary.matching).labels_of(&self.one.labels[row]).braced();
        let mut both = [self.one.labels[row].braced(), self.one.labels[earlier].braced()];
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
        let dropped = self.dropped();
        Block::floats(Arc::new(self.labels), dropped, self.many.steps, self.cells)
    }
}

/// Works every pair through all steps.
fn combine(binary: &Binary, swapped: bool, sides: [&Block; 2], pairs: &[Pair], cells: &mut [f64]) {
    use BinaryOp as Op;
    let yes = |holds: bool| f64::from(u8::from(holds));
    macro_rules! each {
        ($apply:expr) => {
            if swapped { run(sides, pairs, cells, |a, b| $apply(b, a)) } else { run(sides, pairs, cells, $apply) }
        };
    }
    macro_rules! compare {
        ($holds:expr) => {
            if binary.return_bool {
                each!(|a: f64, b: f64| yes($holds(&a, &b)))
            } else {
                each!(|a: f64, b: f64| if $holds(&a, &b) { a } else { absent() })
            }
        };
    }
    match binary.op {
        Op::Add => each!(|a: f64, b: f64| a + b),
        Op::Sub => each!(|a: f64, b: f64| a - b),
        Op::Mul => each!(|a: f64, b: f64| a * b),
        Op::Div => each!(|a: f64, b: f64| a / b),
        Op::Eq => compare!(f64::eq),
        Op::Ne => compare!(f64::ne),
        Op::Lt => compare!(f64::lt),
        Op::Le => compare!(f64::le),
        Op::Gt => compare!(f64::gt),
        Op::Ge => compare!(f64::ge),
        op => each!(|a: f64, b: f64| {
            let (value, holds) = apply_bool(op, binary.return_bool, a, b);
            if holds { value } else { absent() }
        }),
    }
}

/// A hole on either side leaves a hole.
fn run([many, one]: [&Block; 2], pairs: &[Pair], cells: &mut [f64], apply: impl Fn(f64, f64) -> f64) {
    let steps = many.steps;
    let meet = |a: f64, b: f64| if is_absent(a) | is_absent(b) { absent() } else { apply(a, b) };
    if steps == 1 {
        for pair in pairs {
            cells[pair.out as usize] = meet(many.cells[pair.many as usize], one.cells[pair.one as usize]);
        }
        return;
    }
    for pair in pairs {
        let target = &mut cells[pair.out as usize * steps..][..steps];
        for ((cell, a), b) in target.iter_mut().zip(many.row(pair.many as usize)).zip(one.row(pair.one as usize)) {
            *cell = meet(*a, *b);
        }
    }
}
