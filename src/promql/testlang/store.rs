//! Series in memory, as the scripts load them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::model::{Histogram, Labels, Matcher, ResetHint, Timestamp, Value};
use crate::storage::{Column, Querier, Run, SelectRequest, SelectedSeries, Selection, StorageError};

use super::histogram::is_reset;

/// One sample with its start time (0: not known).
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) value: Value,
    pub(super) start: Timestamp,
}

/// A store for tests: appends in any order, the later value of a timestamp wins.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    series: BTreeMap<Labels, BTreeMap<Timestamp, Stored>>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.series.clear();
    }

    /// Adds one sample; `start_ts` is when its counter began, 0 if that is not known.
    pub fn append(&mut self, labels: &Labels, ts: Timestamp, start_ts: Timestamp, value: Value) {
        let sample = Stored { value, start: start_ts };
        match self.series.get_mut(labels) {
            Some(samples) => {
                samples.insert(ts, sample);
            }
            None => {
                self.series.insert(labels.clone(), BTreeMap::from([(ts, sample)]));
            }
        }
    }

    /// Sets the counter reset hints that a real store derives from the order of samples; call it after appending.
    pub fn settle(&mut self, labels: &Labels) {
        if let Some(samples) = self.series.get_mut(labels) {
            settle_hints(samples);
        }
    }

    /// Whether a series that matches holds a native histogram.
    pub fn has_histograms(&self, matchers: &[Matcher]) -> bool {
        self.matching(matchers)
            .any(|(_, samples)| samples.values().any(|sample| matches!(sample.value, Value::Histogram(_))))
    }

    fn matching<'a>(
        &'a self,
        matchers: &'a [Matcher],
    ) -> impl Iterator<Item = (&'a Labels, &'a BTreeMap<Timestamp, Stored>)> {
        self.series
            .iter()
            .filter(|(labels, _)| matchers.iter().all(|matcher| matcher.matches(labels.get(&matcher.name))))
    }
}

/// As Prometheus' histogram chunks do: within a chunk samples are known not to be resets; a reset begins a chunk that
/// says so; another layout or a float in between begins a chunk that knows nothing.
fn settle_hints(samples: &mut BTreeMap<Timestamp, Stored>) {
    let mut previous: Option<Arc<Histogram>> = None;
    for sample in samples.values_mut() {
        let Value::Histogram(histogram) = &sample.value else {
            previous = None;
            continue;
        };
        let hint = match (&previous, histogram.reset_hint) {
            (_, ResetHint::Gauge) => ResetHint::Gauge,
            (_, ResetHint::Reset) => ResetHint::Reset,
            (None, _) => ResetHint::Unknown,
            (Some(before), _) if before.reset_hint == ResetHint::Gauge => ResetHint::Unknown,
            (Some(before), _) if histogram.count < before.count => ResetHint::Reset,
            (Some(before), _) if !same_layout(before, histogram) => ResetHint::Unknown,
            (Some(before), _) if is_reset(before, histogram) => ResetHint::Reset,
            _ => ResetHint::NotReset,
        };
        if hint != histogram.reset_hint {
            sample.value = Value::Histogram(Arc::new(Histogram { reset_hint: hint, ..(**histogram).clone() }));
        }
        if let Value::Histogram(histogram) = &sample.value {
            previous = Some(Arc::clone(histogram));
        }
    }
}

fn same_layout(a: &Histogram, b: &Histogram) -> bool {
    a.schema == b.schema && a.zero_threshold == b.zero_threshold
}

impl Querier for MemoryStore {
    fn select(&self, request: &SelectRequest) -> Result<Selection, StorageError> {
        let (mut found, mut total) = (Vec::new(), 0usize);
        if request.start > request.end {
            return Ok(Selection::default());
        }
        for (labels, samples) in self.matching(&request.matchers) {
            let samples: Vec<(Timestamp, &Stored)> =
                samples.range(request.start..=request.end).map(|(ts, sample)| (*ts, sample)).collect();
            total += samples.len();
            if total > request.max_samples {
                return Err(StorageError::TooManySamples);
            }
            if !samples.is_empty() {
                found.push(SelectedSeries { labels: labels.clone(), runs: runs(&samples) });
            }
        }
        Ok(Selection::from_series(found))
    }

    fn series(&self, matchers: &[Matcher], start: Timestamp, end: Timestamp) -> Result<Vec<Labels>, StorageError> {
        if start > end {
            return Ok(Vec::new());
        }
        let present = self.matching(matchers).filter(|(_, samples)| samples.range(start..=end).next().is_some());
        Ok(present.map(|(labels, _)| labels.clone()).collect())
    }
}

/// One run for each stretch of samples of the same kind.
fn runs(samples: &[(Timestamp, &Stored)]) -> Vec<Run> {
    let kind = |sample: &Stored| matches!(sample.value, Value::Histogram(_));
    samples.chunk_by(|(_, a), (_, b)| kind(a) == kind(b)).map(run).collect()
}

fn run(samples: &[(Timestamp, &Stored)]) -> Run {
    let floats: Vec<f64> = samples.iter().filter_map(|(_, sample)| sample.value.as_float()).collect();
    let values = if floats.len() == samples.len() {
        Column::Floats(floats.into())
    } else {
        let histogram = |sample: &Stored| match &sample.value {
            Value::Histogram(histogram) => Some(Arc::clone(histogram)),
            Value::Float(_) => None,
        };
        Column::Histograms(samples.iter().map(|(_, sample)| histogram(sample)).collect())
    };
    let known = samples.iter().any(|(_, sample)| sample.start != 0);
    Run {
        times: samples.iter().map(|(ts, _)| *ts).collect(),
        start_times: known.then(|| samples.iter().map(|(_, sample)| sample.start).collect()),
        values,
        from: 0,
        to: samples.len(),
    }
}

/// Series of a load by their labels, for the conversion of classic histograms.
pub(super) type ByLabels = HashMap<Labels, BTreeMap<Timestamp, f64>>;
