//! Which series an aggregation puts together, decided once for all steps.

use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

use rustc_hash::FxHasher;

use crate::model::{Labels, METRIC_NAME};

use super::block::{Block, Dropped, nameless};
use super::label_index::{LabelIndex, ValueIndex};
use super::memo::{LABELS_BYTES, Learned, Memo, Recipe, SharedLabels, Task};

/// Groups of rows, in order of their first row.
#[derive(Debug)]
pub(super) struct Groups {
    /// The group of each row.
    pub(super) of_row: Vec<u32>,
    /// Labels of each group.
    pub(super) labels: SharedLabels,
    members: OnceLock<Members>,
}

/// The rows of each group, in the order of their labels.
#[derive(Debug)]
pub(super) struct Members {
    /// Where each group's rows start; one more at the end.
    starts: Vec<u32>,
    rows: Vec<u32>,
}

/// `by (…)` or `without (…)`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grouping<'a> {
    pub(super) names: &'a [String],
    pub(super) without: bool,
}

impl Grouping<'_> {
    /// Whether a label is part of the group's labels.
    pub(super) fn keeps(self, name: &str) -> bool {
        let named = self.names.iter().any(|grouped| grouped == name);
        if self.without { !named && name != METRIC_NAME } else { named }
    }

    fn hash(self, labels: &Labels) -> u64 {
        let mut hasher = FxHasher::default();
        for pair in labels.iter().filter(|(name, _)| self.keeps(name)) {
            pair.hash(&mut hasher);
        }
        hasher.finish()
    }

    fn same(self, a: &Labels, b: &Labels) -> bool {
        let kept = |(name, _): &(&str, &str)| self.keeps(name);
        a.iter().filter(kept).eq(b.iter().filter(kept))
    }

    /// The groups of `labels`, as they are remembered.
    pub(super) fn recall(self, memo: &Memo, labels: &SharedLabels) -> Arc<Groups> {
        let recipe = Recipe::new(Task::Group).flag(self.without).texts(self.names);
        memo.recall(recipe, &[labels], || self.groups(labels))
    }

    fn groups(self, labels: &[Labels]) -> Groups {
        if self.names.is_empty() && !self.without {
            let of_all = if labels.is_empty() { Arc::default() } else { nameless() };
            return Groups::new(vec![0; labels.len()], of_all);
        }
        let mut by_values = ValueIndex::new(self.names);
        let mut by_rest = LabelIndex::with_capacity(0);
        let mut of_group = Vec::new();
        let mut of_row = Vec::with_capacity(labels.len());
        for series in labels {
            let group = match self.without {
                false => by_values.group_of(series),
                true => by_rest.group_of(self.hash(series), series, |a, b| self.same(a, b)),
            };
            if group as usize == of_group.len() {
                of_group.push(series.filtered(|name| self.keeps(name)));
            }
            of_row.push(group);
        }
        Groups::new(of_row, Arc::new(of_group))
    }
}

impl Groups {
    fn new(of_row: Vec<u32>, labels: SharedLabels) -> Self {
        Self { of_row, labels, members: OnceLock::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether a group's name will be dropped: when that of any of its series with a sample will.
    pub(super) fn dropped(&self, block: &Block) -> Dropped {
        match &block.dropped {
            Dropped::Some(rows) => {
                let mut dropped = vec![false; self.len()];
                for (row, group) in self.of_row.iter().enumerate().filter(|(row, _)| rows.get(*row) == Some(&true)) {
                    dropped[*group as usize] |= block.has_any(row);
                }
                Dropped::from_rows(dropped)
            }
            uniform => uniform.clone(),
        }
    }

    /// The rows of each group. `rows_labels` are those that were grouped: an order by labels does not depend on which
    /// other series are there.
    pub(super) fn members(&self, rows_labels: &[Labels]) -> &Members {
        self.members.get_or_init(|| {
            let mut order: Vec<u32> = (0..rows_labels.len() as u32).collect();
            if !rows_labels.is_sorted() {
                order.sort_by(|a, b| rows_labels[*a as usize].cmp(&rows_labels[*b as usize]));
            }
            let mut starts = vec![0_u32; self.len() + 1];
            self.of_row.iter().for_each(|group| starts[*group as usize + 1] += 1);
            for group in 1..starts.len() {
                starts[group] += starts[group - 1];
            }
            let mut next = starts.clone();
            let mut rows = vec![0; order.len()];
            for row in order {
                let place = &mut next[self.of_row[row as usize] as usize];
                rows[*place as usize] = row;
                *place += 1;
            }
            Members { starts, rows }
        })
    }
}

impl Members {
    /// Group by group.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u32]> {
        self.starts.windows(2).map(|bounds| &self.rows[bounds[0] as usize..bounds[1] as usize])
    }
}

impl Learned for Groups {
    fn bytes(&self) -> usize {
        // The members come later, perhaps: the room for them is counted at once.
        self.of_row.len() * 8 + self.labels.len() * LABELS_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::Grouping;
    use crate::model::Labels;

    #[test]
    fn groups_in_order_of_appearance() {
        let series = [
            Labels::from_pairs(&[("__name__", "x"), ("a", "1"), ("b", "1")]),
            Labels::from_pairs(&[("__name__", "x"), ("a", "2"), ("b", "1")]),
            Labels::from_pairs(&[("__name__", "y"), ("a", "1"), ("b", "2")]),
            Labels::from_pairs(&[("__name__", "x"), ("a", "1"), ("b", "0")]),
        ];
        let names = ["a".to_owned()];
        let by = Grouping { names: &names, without: false }.groups(&series);
        assert_eq!(by.of_row, [0, 1, 0, 0]);
        assert_eq!(by.labels[0].to_string(), r#"{a="1"}"#);
        let rows: Vec<&[u32]> = by.members(&series).iter().collect();
        assert_eq!(rows, [&[3, 0, 2][..], &[1]], "by labels within a group");
        let without = Grouping { names: &names, without: true }.groups(&series);
        assert_eq!(without.of_row, [0, 0, 1, 2]);
        assert_eq!(without.labels[1].to_string(), r#"{b="2"}"#);
    }
}
