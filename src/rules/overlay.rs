//! What earlier rules of a group wrote in this tick, laid over the store for the rules that read it.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::model::{Histogram, Labels, Matcher, Timestamp, Value};
use crate::storage::{Cells, Column, Piece, Querier, Run, SelectRequest, SelectedSeries, Selection, StorageError};

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
    fn select(&self, request: &SelectRequest) -> Result<Selection, StorageError> {
        let selection = self.base.select(request)?;
        let mut written: Vec<&Written> = self.matching(&request.matchers, request.start, request.end).collect();
        if written.is_empty() {
            return Ok(selection);
        }
        written.sort_by(|a, b| a.labels.cmp(&b.labels));
        // Of two rules that write the same the first one counts.
        written.dedup_by(|b, a| a.labels == b.labels);
        Ok(if fits_behind(&selection, &written) {
            extended(selection, &written)
        } else {
            Selection::from_series(merged(selection.into_series(), &written))
        })
    }

    fn series(&self, matchers: &[Matcher], start: Timestamp, end: Timestamp) -> Result<Vec<Labels>, StorageError> {
        let mut series = self.base.series(matchers, start, end)?;
        series.extend(self.matching(matchers, start, end).map(|sample| sample.labels.clone()));
        series.sort();
        series.dedup();
        Ok(series)
    }
}

/// Whether all samples are of one time, and after everything that the store has of their series.
fn fits_behind(selection: &Selection, written: &[&Written]) -> bool {
    let Some(ts) = written.first().map(|sample| sample.ts) else { return true };
    let late: Vec<&Piece> =
        selection.pieces.iter().filter(|p| p.times.last().is_some_and(|last| *last >= ts)).collect();
    written.iter().all(|sample| {
        sample.ts == ts
            && (late.is_empty()
                || selection
                    .labels
                    .binary_search(&sample.labels)
                    .map_or(true, |row| late.iter().all(|piece| piece.rows.binary_search(&(row as u32)).is_err())))
    })
}

/// The selection with one more piece; `written` is sorted by labels.
fn extended(mut selection: Selection, written: &[&Written]) -> Selection {
    let known = |sample: &&&Written| selection.labels.binary_search(&sample.labels).is_ok();
    let new: Vec<&Labels> = written.iter().filter(|sample| !known(sample)).map(|sample| &sample.labels).collect();
    if !new.is_empty() {
        insert_rows(&mut selection, &new);
    }
    let mut floats: Vec<(u32, f64)> = Vec::new();
    let mut histograms: Vec<(u32, Arc<Histogram>)> = Vec::new();
    for sample in written {
        let Ok(row) = selection.labels.binary_search(&sample.labels) else { continue };
        match &sample.value {
            Value::Float(value) => floats.push((row as u32, *value)),
            Value::Histogram(value) => histograms.push((row as u32, Arc::clone(value))),
        }
    }
    let times: Arc<[Timestamp]> = written.iter().take(1).map(|sample| sample.ts).collect();
    let mut add = |rows: Arc<[u32]>, cells| {
        if !rows.is_empty() {
            selection.pieces.push(Piece { times: Arc::clone(&times), rows, cells, starts: None });
        }
    };
    let cells = Cells::Floats(floats.iter().map(|(_, value)| *value).collect());
    add(floats.iter().map(|(row, _)| *row).collect(), cells);
    let cells = Cells::Histograms(histograms.iter().map(|(_, value)| Some(Arc::clone(value))).collect());
    add(histograms.iter().map(|(row, _)| *row).collect(), cells);
    selection
}

/// Adds label sets (sorted, none of them known) and moves the rows behind them.
fn insert_rows(selection: &mut Selection, new: &[&Labels]) {
    let mut labels = Vec::with_capacity(selection.labels.len() + new.len());
    let mut moved = Vec::with_capacity(selection.labels.len());
    let mut next = new.iter().peekable();
    for known in selection.labels.iter() {
        while let Some(label) = next.next_if(|label| **label < known) {
            labels.push((*label).clone());
        }
        moved.push(labels.len() as u32);
        labels.push(known.clone());
    }
    labels.extend(next.map(|label| (*label).clone()));
    selection.labels = Arc::new(labels);
    for piece in &mut selection.pieces {
        piece.rows = piece.rows.iter().filter_map(|row| moved.get(*row as usize).copied()).collect();
    }
}

/// Series by series: where the store has a sample of this very time (after a restart within one slot), that one stands.
fn merged(mut selected: Vec<SelectedSeries>, written: &[&Written]) -> Vec<SelectedSeries> {
    let places: FxHashMap<Labels, usize> =
        selected.iter().enumerate().map(|(place, series)| (series.labels.clone(), place)).collect();
    for sample in written {
        match places.get(&sample.labels) {
            Some(place) => {
                let runs = &mut selected[*place].runs;
                let last = runs.last().and_then(|run| run.times[run.from..run.to].last().copied());
                if last.is_none_or(|last| last < sample.ts) {
                    runs.push(single(sample));
                }
            }
            None => selected.push(SelectedSeries { labels: sample.labels.clone(), runs: vec![single(sample)] }),
        }
    }
    selected.sort_by(|a, b| a.labels.cmp(&b.labels));
    selected
}

fn single(sample: &Written) -> Run {
    let values = match &sample.value {
        Value::Float(value) => Column::Floats(Arc::new([*value])),
        Value::Histogram(histogram) => Column::Histograms(Arc::new([Some(Arc::clone(histogram))])),
    };
    Run { times: Arc::new([sample.ts]), start_times: None, values, from: 0, to: 1 }
}
