//! What queries read of the head.

use crate::model::{IrregularSample, Timestamp};

use super::{Head, IrregularSeries};

impl Head {
    /// Oldest and newest time in memory, and approximate bytes.
    pub(crate) fn extent(&self) -> (Option<Timestamp>, Option<Timestamp>, usize) {
        let groups = || self.groups.iter().flatten();
        let oldest = groups()
            .filter_map(|g| g.columns.oldest())
            .chain(self.irregular.values().filter_map(IrregularSeries::oldest));
        let newest = groups()
            .filter_map(|g| g.columns.newest())
            .chain(self.irregular.values().filter_map(IrregularSeries::newest));
        let bytes = groups().map(|g| g.columns.bytes()).sum::<usize>()
            + self.irregular.values().map(|s| s.len() * size_of::<IrregularSample>()).sum::<usize>()
            + self.exemplar_bytes();
        (oldest.min(), newest.max(), bytes)
    }
}
