//! What earlier rules of a group wrote in this tick, laid over the store for the rules that read it.

use std::sync::Arc;

use crate::model::{Labels, Matcher, Timestamp, Value};
use crate::storage::{Column, Querier, Run, SelectRequest, SelectedSeries, StorageError};

use super::doors::Written;

/// A store with a few newer samples.
pub struct Overlay<'a> {
    base: &'a dyn Querier,
    written: &'a [Written],
}

impl<'a> Overlay<'a> {
    /// Lays `written` over `base`.
    pub fn new(base: &'a dyn Querier, written: &'a [Written]) -> Self {
        Self { base, written }
    }

    fn matching<'b>(
        &'b self,
        matchers: &'b [Matcher],
        start: Timestamp,
        end: Timestamp,
    ) -> impl Iterator<Item = &'b Written> {
        let within = self.written.iter().filter(move |sample| (start..=end).contains(&sample.ts));
        within.filter(move |sample| matchers.iter().all(|matcher| matcher.matches(sample.labels.get(&matcher.name))))
    }
}

impl Querier for Overlay<'_> {
    fn select(&self, request: &SelectRequest) -> Result<Vec<SelectedSeries>, StorageError> {
        let mut selected = self.base.select(request)?;
        let mut added = false;
        for sample in self.matching(&request.matchers, request.start, request.end) {
            let known = selected.iter_mut().find(|series| series.labels == sample.labels);
            match known {
                Some(series) => {
                    // A sample of this very time is there after a restart within one slot: the stored one stands.
                    let last = series.runs.last().and_then(|run| run.times[run.from..run.to].last().copied());
                    if last.is_none_or(|last| last < sample.ts) {
                        series.runs.push(single(sample));
                    }
                }
                None => {
                    selected.push(SelectedSeries { labels: sample.labels.clone(), runs: vec![single(sample)] });
                    added = true;
                }
            }
        }
        if added {
            selected.sort_by(|a, b| a.labels.cmp(&b.labels));
        }
        Ok(selected)
    }

    fn series(&self, matchers: &[Matcher], start: Timestamp, end: Timestamp) -> Result<Vec<Labels>, StorageError> {
        let mut series = self.base.series(matchers, start, end)?;
        series.extend(self.matching(matchers, start, end).map(|sample| sample.labels.clone()));
        series.sort();
        series.dedup();
        Ok(series)
    }
}

fn single(sample: &Written) -> Run {
    let values = match &sample.value {
        Value::Float(value) => Column::Floats(Arc::new([*value])),
        Value::Histogram(histogram) => Column::Histograms(Arc::new([Some(Arc::clone(histogram))])),
    };
    Run { times: Arc::new([sample.ts]), start_times: None, values, from: 0, to: 1 }
}
