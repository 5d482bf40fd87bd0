//! Which series an aggregation puts together, decided once for all steps.

use std::hash::{Hash, Hasher};

use rustc_hash::FxHasher;

use crate::model::{Labels, METRIC_NAME};

use super::block::{Block, Dropped};
use super::label_index::{LabelIndex, ValueIndex};

/// Groups of rows, in order of their first row.
#[derive(Debug)]
pub(super) struct Groups {
    /// The group of each row.
    pub(super) of_row: Vec<u32>,
    /// A row of each group.
    pub(super) first: Vec<usize>,
}

/// `by (…)` or `without (…)`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grouping<'a> {
    pub(super) names: &'a [String],
    pub(super) without: bool,
}

impl Grouping<'_> {
    /// Whether a label is part of the group's labels.
    fn keeps(self, name: &str) -> bool {
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
        let mut left = a.iter().filter(|(name, _)| self.keeps(name));
        let mut right = b.iter().filter(|(name, _)| self.keeps(name));
        loop {
            match (left.next(), right.next()) {
                (None, None) => return true,
                (Some(l), Some(r)) if l == r => {}
                _ => return false,
            }
        }
    }

    /// The labels of the group to which a series belongs.
    pub(super) fn labels_of(self, labels: &Labels) -> Labels {
        labels.filtered(|name| self.keeps(name))
    }

    pub(super) fn groups<'b>(&'b self, labels: &'b [Labels]) -> Groups {
        if self.names.is_empty() && !self.without {
            let first = if labels.is_empty() { Vec::new() } else { vec![0] };
            return Groups { of_row: vec![0; labels.len()], first };
        }
        let mut by_values = ValueIndex::new(self.names);
        let mut by_rest = LabelIndex::with_capacity(0);
        let mut first: Vec<usize> = Vec::new();
        let mut of_row = Vec::with_capacity(labels.len());
        for (row, series) in labels.iter().enumerate() {
            let group = match self.without {
                false => by_values.group_of(series),
                true => by_rest.group_of(self.hash(series), series, |a, b| self.same(a, b)),
            };
            if group as usize == first.len() {
                first.push(row);
            }
            of_row.push(group);
        }
        Groups { of_row, first }
    }
}

impl Groups {
    pub(super) fn len(&self) -> usize {
        self.first.len()
    }

    /// Whether a group's name will be dropped: when that of any of its series will.
    pub(super) fn dropped(&self, block: &Block) -> Dropped {
        match &block.dropped {
            Dropped::Some(rows) => {
                let mut dropped = vec![false; self.len()];
                self.of_row.iter().zip(rows).for_each(|(group, row)| dropped[*group as usize] |= row);
                Dropped::from_rows(dropped)
            }
            uniform => uniform.clone(),
        }
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
        ];
        let names = ["a".to_owned()];
        let by = Grouping { names: &names, without: false };
        assert_eq!(by.groups(&series).of_row, [0, 1, 0]);
        assert_eq!(by.labels_of(&series[0]).to_string(), r#"{a="1"}"#);
        let without = Grouping { names: &names, without: true };
        assert_eq!(without.groups(&series).of_row, [0, 0, 1]);
        assert_eq!(without.labels_of(&series[2]).to_string(), r#"{b="2"}"#);
    }
}
