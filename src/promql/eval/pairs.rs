//! Which rows of two sides meet, and under which labels: worked out of the labels alone, for all steps.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::model::{Labels, LabelsBuilder, METRIC_NAME};
use crate::promql::parser::{Cardinality, VectorMatching};

use super::block::{Block, is_metadata};
use super::matching::{MatchGroups, Signature};
use super::memo::{LABELS_BYTES, Learned, Memo, SharedLabels, Task};

/// No row.
pub(super) const NONE: u32 = u32::MAX;

/// What a join does with labels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule<'a> {
    pub(super) matching: &'a VectorMatching,
    /// Whether the result is another metric: name, type and unit are not its own.
    pub(super) new_metric: bool,
}

/// A row of the many side, one of the one side, and the row of the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) many: u32,
    pub(super) one: u32,
    pub(super) out: u32,
}

/// All pairs that may meet.
#[derive(Debug)]
pub(super) struct Pairs {
    pub(super) groups: MatchGroups,
    /// In the order of the many side. `None` when there are far more of them than rows.
    pub(super) all: Option<Vec<Pair>>,
    /// Labels of the result's rows.
    pub(super) labels: SharedLabels,
    /// Whether it depends on the samples which pairs are allowed: a match group with several rows on a side that may
    /// have only one, or two pairs with one result.
    pub(super) contested: bool,
}

impl Learned for Pairs {
    fn bytes(&self) -> usize {
        let pairs = self.all.as_ref().map_or(0, Vec::len) * size_of::<Pair>();
        self.groups.bytes() + pairs + self.labels.len() * LABELS_BYTES
    }
}

impl Rule<'_> {
    /// The pairs of both sides, as they are remembered.
    pub(super) fn recall(self, memo: &Memo, many: &SharedLabels, one: &SharedLabels) -> Arc<Pairs> {
        let recipe = Signature(self.matching)
            .recipe(Task::Pair)
            .flag(self.is_one_to_one())
            .flag(self.new_metric)
            .texts(&self.matching.include);
        memo.recall(recipe, &[many, one], || self.pairs(many, one))
    }

    fn is_one_to_one(self) -> bool {
        self.matching.cardinality == Cardinality::OneToOne
    }

    fn pairs(self, many: &[Labels], one: &[Labels]) -> Pairs {
        let groups = Signature(self.matching).groups(many, one);
        // The rows of a group on the one side, as a chain from the first to the last.
        let (mut first, mut next) = (vec![NONE; groups.count], vec![NONE; one.len()]);
        let mut contested = false;
        for (row, group) in groups.right.iter().enumerate().rev() {
            next[row] = std::mem::replace(&mut first[*group as usize], row as u32);
            contested |= next[row] != NONE;
        }
        if self.is_one_to_one() {
            let mut seen = vec![false; groups.count];
            contested |= groups
                .left
                .iter()
                .any(|group| first[*group as usize] != NONE && std::mem::replace(&mut seen[*group as usize], true));
        }
        let unique = !contested && self.is_one_to_one() && self.results_differ(many);
        let mut index: FxHashMap<Labels, u32> = FxHashMap::default();
        let (mut all, mut labels) = (Vec::with_capacity(many.len().min(one.len())), Vec::new());
        for (row, group) in groups.left.iter().enumerate() {
            let mut at = first[*group as usize];
            while at != NONE {
                if all.len() > 4 * (many.len() + one.len()) {
                    return Pairs { groups, all: None, labels: Arc::default(), contested: true };
                }
                let result = self.labels_of(&many[row], &one[at as usize]);
                let fresh = labels.len() as u32;
                let out = if unique { fresh } else { *index.entry(result.clone()).or_insert(fresh) };
                if out == fresh {
                    labels.push(result);
                } else {
                    contested = true;
                }
                all.push(Pair { many: row as u32, one: at, out });
                at = next[at as usize];
            }
        }
        Pairs { groups, all: Some(all), labels: Arc::new(labels), contested }
    }

    /// Whether one-to-one results must have different labels: match groups differ, and nothing that tells them apart
    /// is taken away (name apart, which no match looks at).
    fn results_differ(self, many: &[Labels]) -> bool {
        let typed = |labels: &Labels| labels.iter().take(3).any(|(name, _)| name != METRIC_NAME && is_metadata(name));
        self.matching.include.is_empty() && !(self.new_metric && many.iter().any(typed))
    }

    /// The result's labels when both sides are there.
    fn labels_of(self, many: &Labels, one: &Labels) -> Labels {
        self.result(many, |name| one.get(name))
    }

    /// The result's labels; a side that is filled in has the labels of the match group.
    pub(super) fn filled_labels(self, many: Option<&Labels>, one: Option<&Labels>) -> Labels {
        let of_group = |labels: Option<&Labels>| {
            labels.map_or_else(Labels::empty, |labels| Signature(self.matching).labels_of(labels))
        };
        let base = many.cloned().unwrap_or_else(|| of_group(one));
        let source = one.cloned().unwrap_or_else(|| of_group(many));
        self.result(&base, |name| source.get(name))
    }

    fn result<'b>(self, base: &Labels, included: impl Fn(&str) -> &'b str) -> Labels {
        let one_to_one = self.is_one_to_one();
        let kept = base.filtered(|name| {
            let named = || self.matching.labels.iter().any(|label| label == name);
            !(self.new_metric && is_metadata(name)) && (!one_to_one || named() == self.matching.on)
        });
        if self.matching.include.is_empty() {
            return kept;
        }
        let mut labels = LabelsBuilder::from(&kept);
        self.matching.include.iter().for_each(|name| labels.put(name, included(name)));
        labels.build()
    }
}

impl Pairs {
    /// Of contested pairs those with samples on both sides, if these are not contested: rows without any sample stand
    /// for nothing. `None` when it depends on the step.
    pub(super) fn undisputed(&self, rule: Rule<'_>, many: &Block, one: &Block) -> Option<Vec<Pair>> {
        let mut row_of = vec![NONE; self.groups.count];
        for row in (0..one.rows()).filter(|row| one.has_any(*row)) {
            if std::mem::replace(&mut row_of[self.groups.right[row] as usize], row as u32) != NONE {
                return None;
            }
        }
        let present: Vec<bool> = (0..many.rows()).map(|row| many.has_any(row)).collect();
        let mut seen = vec![false; self.groups.count];
        let mut used = vec![false; self.labels.len()];
        let mut active = Vec::new();
        for pair in self.all.as_ref()? {
            let group = self.groups.left[pair.many as usize] as usize;
            if !present[pair.many as usize] || row_of[group] != pair.one {
                continue;
            }
            let again = rule.is_one_to_one() && std::mem::replace(&mut seen[group], true);
            if again || std::mem::replace(&mut used[pair.out as usize], true) {
                return None;
            }
            active.push(*pair);
        }
        Some(active)
    }
}
