//! Samples with timestamps of their own: pushes, backfills, and ticks that came too late for their group.

use std::collections::BTreeMap;

use crate::model::{IrregularSample, Timestamp};

/// The irregular samples of one series, by the window that seals them (late samples: the oldest open window).
#[derive(Debug, Default)]
pub(crate) struct IrregularSeries {
    windows: BTreeMap<Timestamp, Vec<IrregularSample>>,
}

impl IrregularSeries {
    pub(crate) fn is_empty(&self) -> bool {
        self.windows.is_empty()
    }

    /// The sample at exactly this time.
    pub(crate) fn at(&self, ts: Timestamp) -> Option<&IrregularSample> {
        self.windows.values().find_map(|list| list.binary_search_by_key(&ts, |s| s.ts).ok().map(|i| &list[i]))
    }

    /// Keeps a sample; there must be none at its time.
    pub(crate) fn insert(&mut self, window: Timestamp, sample: IrregularSample) {
        let list = self.windows.entry(window).or_default();
        let at = list.partition_point(|s| s.ts < sample.ts);
        list.insert(at, sample);
    }

    pub(crate) fn of_window(&self, window: Timestamp) -> Option<&[IrregularSample]> {
        self.windows.get(&window).map(Vec::as_slice)
    }

    pub(crate) fn first_window(&self, not_before: Timestamp) -> Option<Timestamp> {
        self.windows.range(not_before..).next().map(|(window, _)| *window)
    }

    pub(crate) fn evict(&mut self, floor: Timestamp) {
        self.windows = self.windows.split_off(&floor);
    }

    pub(crate) fn len(&self) -> usize {
        self.windows.values().map(Vec::len).sum()
    }

    pub(crate) fn newest(&self) -> Option<Timestamp> {
        self.windows.values().filter_map(|list| list.last().map(|s| s.ts)).max()
    }

    pub(crate) fn oldest(&self) -> Option<Timestamp> {
        self.windows.values().filter_map(|list| list.first().map(|s| s.ts)).min()
    }

    /// The samples within the bounds, ascending.
    pub(crate) fn within(&self, start: Timestamp, end: Timestamp) -> Vec<IrregularSample> {
        let mut samples: Vec<IrregularSample> = Vec::new();
        for list in self.windows.values() {
            let from = list.partition_point(|s| s.ts < start);
            let to = list.partition_point(|s| s.ts <= end);
            samples.extend_from_slice(&list[from..to.max(from)]);
        }
        samples.sort_by_key(|s| s.ts);
        samples
    }

    /// The newest sample within the bounds.
    pub(crate) fn newest_within(&self, start: Timestamp, end: Timestamp) -> Option<IrregularSample> {
        let before = |list: &Vec<IrregularSample>| list.partition_point(|s| s.ts <= end).checked_sub(1);
        let lists = self.windows.values();
        let newest = lists.filter_map(|list| list.get(before(list)?)).filter(|s| s.ts >= start);
        newest.max_by_key(|s| s.ts).cloned()
    }
}
