//! Samples with timestamps of their own: pushes, backfills, and ticks that came too late for their group.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{Histogram, IrregularSample, Timestamp, Value};
use crate::storage::querier::{Column, Run};

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

    /// One run for each stretch of floats or histograms within the bounds.
    pub(crate) fn runs(&self, start: Timestamp, end: Timestamp, out: &mut Vec<Run>) {
        let mut samples: Vec<&IrregularSample> = Vec::new();
        for list in self.windows.values() {
            let from = list.partition_point(|s| s.ts < start);
            let to = list.partition_point(|s| s.ts <= end);
            samples.extend(&list[from..to.max(from)]);
        }
        samples.sort_by_key(|s| s.ts);
        runs_of(samples.into_iter().map(|s| (s.ts, s.start_ts, &s.value)), out);
    }
}

/// Makes runs of samples in ascending time; a new run begins where floats and histograms change places.
pub(crate) fn runs_of<'a>(samples: impl Iterator<Item = (Timestamp, Timestamp, &'a Value)>, out: &mut Vec<Run>) {
    let mut builder = RunBuilder::default();
    for (ts, start, value) in samples {
        builder.push(ts, start, value.clone(), out);
    }
    builder.finish(out);
}

/// Collects samples into runs of one kind.
#[derive(Debug, Default)]
pub(crate) struct RunBuilder {
    times: Vec<Timestamp>,
    starts: Vec<Timestamp>,
    floats: Vec<f64>,
    histograms: Vec<Option<Arc<Histogram>>>,
}

impl RunBuilder {
    pub(crate) fn push(&mut self, ts: Timestamp, start: Timestamp, value: Value, out: &mut Vec<Run>) {
        let floats = matches!(value, Value::Float(_));
        if (floats && !self.histograms.is_empty()) || (!floats && !self.floats.is_empty()) {
            self.finish(out);
        }
        self.times.push(ts);
        self.starts.push(start);
        match value {
            Value::Float(value) => self.floats.push(value),
            Value::Histogram(value) => self.histograms.push(Some(value)),
        }
    }

    pub(crate) fn finish(&mut self, out: &mut Vec<Run>) {
        if self.times.is_empty() {
            return;
        }
        let to = self.times.len();
        let values = if self.floats.is_empty() {
            Column::Histograms(Arc::from(std::mem::take(&mut self.histograms)))
        } else {
            Column::Floats(Arc::from(std::mem::take(&mut self.floats)))
        };
        let starts = std::mem::take(&mut self.starts);
        let start_times = starts.iter().any(|s| *s != 0).then(|| Arc::from(starts));
        out.push(Run { times: Arc::from(std::mem::take(&mut self.times)), start_times, values, from: 0, to });
    }
}
