//! Which series of both sides belong together: one number a match group, given once for all steps.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use rustc_hash::FxHasher;

use crate::model::{Labels, METRIC_NAME};
use crate::promql::parser::VectorMatching;

use super::label_index::{LabelIndex, ValueIndex};
use super::memo::{Learned, Memo, Recipe, SharedLabels, Task};

/// The match group of each row of both sides.
#[derive(Debug)]
pub(super) struct MatchGroups {
    pub(super) left: Vec<u32>,
    pub(super) right: Vec<u32>,
    pub(super) count: usize,
}

impl Learned for MatchGroups {
    fn bytes(&self) -> usize {
        (self.left.len() + self.right.len()) * size_of::<u32>()
    }
}

/// The labels that a match looks at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Signature<'a>(pub(super) &'a VectorMatching);

impl Signature<'_> {
    pub(super) fn keeps(self, name: &str) -> bool {
        let named = self.0.labels.iter().any(|label| label == name);
        if self.0.on { named } else { !named && name != METRIC_NAME }
    }

    fn hash(self, labels: &Labels) -> u64 {
        let mut hasher = FxHasher::default();
        labels.iter().filter(|(name, _)| self.keeps(name)).for_each(|pair| pair.hash(&mut hasher));
        hasher.finish()
    }

    fn same(self, a: &Labels, b: &Labels) -> bool {
        let kept = |(name, _): &(&str, &str)| self.keeps(name);
        a.iter().filter(kept).eq(b.iter().filter(kept))
    }

    /// The labels of the match group.
    pub(super) fn labels_of(self, labels: &Labels) -> Labels {
        labels.filtered(|name| self.keeps(name))
    }

    /// The match groups of both sides, as they are remembered.
    pub(super) fn recall(self, memo: &Memo, left: &SharedLabels, right: &SharedLabels) -> Arc<MatchGroups> {
        memo.recall(self.recipe(Task::Match), &[left, right], || self.groups(left, right))
    }

    /// What the match looks at.
    pub(super) fn recipe(self, task: Task) -> Recipe {
        Recipe::new(task).flag(self.0.on).texts(&self.0.labels)
    }

    pub(super) fn groups<'b>(&'b self, left: &'b [Labels], right: &'b [Labels]) -> MatchGroups {
        if self.0.on {
            let mut index = ValueIndex::new(&self.0.labels);
            let left = left.iter().map(|labels| index.group_of(labels)).collect();
            let right = right.iter().map(|labels| index.group_of(labels)).collect();
            return MatchGroups { left, right, count: index.len() };
        }
        let mut index = LabelIndex::with_capacity(left.len().max(right.len()));
        let mut of = Vec::with_capacity(left.len() + right.len());
        for labels in left.iter().chain(right) {
            of.push(index.group_of(self.hash(labels), labels, |a, b| self.same(a, b)));
        }
        let right = of.split_off(left.len());
        MatchGroups { left: of, right, count: index.len() }
    }
}
