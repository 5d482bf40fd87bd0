//! The store of a unit test: rules write to it as to the ring.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::model::{Batch, GroupId, Intern, Labels, Matcher, SeriesKey, SeriesRef, Timestamp, Value};
use crate::promql::testlang::MemoryStore;
use crate::storage::{Querier, SelectRequest, Selection, StorageError};

use super::super::doors::RuleSink;

/// Series in memory and the references that stand for them.
#[derive(Default)]
pub(super) struct UnitStore {
    memory: Mutex<MemoryStore>,
    labels: Mutex<Vec<Labels>>,
}

impl UnitStore {
    pub(super) fn append(&self, labels: &Labels, ts: Timestamp, value: Value) {
        let mut memory = self.memory.lock();
        let settles = matches!(value, Value::Histogram(_));
        memory.append(labels, ts, 0, value);
        if settles {
            memory.settle(labels);
        }
    }
}

impl Querier for UnitStore {
    fn select(&self, request: &SelectRequest) -> Result<Selection, StorageError> {
        self.memory.lock().select(request)
    }

    fn series(&self, matchers: &[Matcher], start: Timestamp, end: Timestamp) -> Result<Vec<Labels>, StorageError> {
        self.memory.lock().series(matchers, start, end)
    }
}

/// Every call gives a new reference: rules ask once for each series.
impl Intern for UnitStore {
    fn intern(&self, key: SeriesKey<'_>) -> Option<SeriesRef> {
        let mut labels = self.labels.lock();
        labels.push(key.to_labels());
        u32::try_from(labels.len() - 1).ok().map(SeriesRef)
    }

    fn release(&self, _refs: &[SeriesRef]) {}

    fn labels(&self, series: SeriesRef) -> Option<Labels> {
        self.labels.lock().get(series.0 as usize).cloned()
    }
}

impl RuleSink for UnitStore {
    fn register_group(&self, _file: &str, _name: &str, _interval: Duration) -> GroupId {
        GroupId(0)
    }

    fn retire_group(&self, _group: GroupId) {}

    fn write(&self, batch: Batch) -> Result<(), StorageError> {
        let floats = batch.floats.iter().map(|(series, value)| (*series, Value::Float(*value)));
        let histograms = batch.histograms.iter().map(|(series, value)| (*series, Value::Histogram(Arc::clone(value))));
        for (series, value) in floats.chain(histograms) {
            if let Some(labels) = self.labels(series) {
                self.append(&labels, batch.ts, value);
            }
        }
        Ok(())
    }
}
