//! Numbers for label sets that count as equal, in order of appearance.

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use crate::model::Labels;

const NONE: u32 = u32::MAX;

/// Groups label sets by a hash and a comparison that the caller gives. Groups with one hash form a chain.
#[derive(Debug, Default)]
pub(super) struct LabelIndex<'a> {
    heads: FxHashMap<u64, u32>,
    groups: Vec<(&'a Labels, u32)>,
}

impl<'a> LabelIndex<'a> {
    pub(super) fn with_capacity(groups: usize) -> Self {
        let mut index = Self::default();
        index.heads.reserve(groups);
        index.groups.reserve(groups);
        index
    }

    /// The group of `labels`; a new one when no group with this hash is the same.
    pub(super) fn group_of(&mut self, hash: u64, labels: &'a Labels, same: impl Fn(&Labels, &Labels) -> bool) -> u32 {
        let head = self.heads.entry(hash).or_insert(NONE);
        let mut at = *head;
        while let Some((example, next)) = self.groups.get(at as usize) {
            if same(example, labels) {
                return at;
            }
            at = *next;
        }
        let group = self.groups.len() as u32;
        self.groups.push((labels, *head));
        *head = group;
        group
    }

    pub(super) fn len(&self) -> usize {
        self.groups.len()
    }
}

/// Groups label sets by the values of a few labels: one pass over a set, no comparison of whole sets.
#[derive(Debug)]
pub(super) struct ValueIndex<'a> {
    names: &'a [String],
    groups: FxHashMap<SmallVec<[&'a str; 4]>, u32>,
}

impl<'a> ValueIndex<'a> {
    pub(super) fn new(names: &'a [String]) -> Self {
        Self { names, groups: FxHashMap::default() }
    }

    /// The group of `labels`. A label that is missing counts as empty.
    pub(super) fn group_of(&mut self, labels: &'a Labels) -> u32 {
        let mut key: SmallVec<[&'a str; 4]> = SmallVec::from_elem("", self.names.len());
        let mut missing = self.names.len();
        for (name, value) in labels.iter() {
            if missing == 0 {
                break;
            }
            for (slot, wanted) in key.iter_mut().zip(self.names) {
                if wanted == name {
                    *slot = value;
                    missing -= 1;
                }
            }
        }
        let next = self.groups.len() as u32;
        *self.groups.entry(key).or_insert(next)
    }

    pub(super) fn len(&self) -> usize {
        self.groups.len()
    }
}
