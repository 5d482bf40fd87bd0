use std::collections::HashMap;

use parking_lot::Mutex;

use crate::model::{Intern, Labels, METRIC_NAME, SeriesKey, SeriesRef};

/// A series table without limits.
#[derive(Default)]
pub(super) struct TestTable(Mutex<(u32, HashMap<SeriesRef, Labels>)>);

impl TestTable {
    /// How many series live.
    pub(super) fn len(&self) -> usize {
        self.0.lock().1.len()
    }
}

impl Intern for TestTable {
    fn intern(&self, key: SeriesKey<'_>) -> Option<SeriesRef> {
        let mut pairs = key.labels.to_vec();
        pairs.push((METRIC_NAME, key.name));
        let labels = Labels::from_pairs(&pairs);
        let mut table = self.0.lock();
        if let Some((series, _)) = table.1.iter().find(|(_, other)| **other == labels) {
            return Some(*series);
        }
        table.0 += 1;
        let series = SeriesRef(table.0);
        table.1.insert(series, labels);
        Some(series)
    }

    fn release(&self, refs: &[SeriesRef]) {
        self.0.lock().1.retain(|series, _| !refs.contains(series));
    }

    fn labels(&self, series: SeriesRef) -> Option<Labels> {
        self.0.lock().1.get(&series).cloned()
    }
}
