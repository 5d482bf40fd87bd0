//! Instant selectors: from runs of samples to one cell a step.

use std::sync::Arc;

use crate::model::{Histogram, Labels, Timestamp, absent, is_absent, is_stale};
use crate::promql::annotate;
use crate::promql::parser::{Pos, RangeMode};
use crate::promql::plan::Selector;
use crate::promql::result::QueryError;
use crate::storage::{Column, Run, SelectRequest, SelectedSeries, StorageError};

use super::budget::too_many_samples;
use super::extend::interpolate;
use super::samples::seek;
use super::{Block, Dropped, Eval, Grid, seconds};

/// One sample as storage has it: time, start time (0 = unknown) and value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RawSample<'a> {
    pub(crate) ts: Timestamp,
    pub(crate) start: Timestamp,
    pub(crate) value: RawValue<'a>,
}

/// A float or a histogram of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RawValue<'a> {
    Float(f64),
    Histogram(&'a Arc<Histogram>),
}

impl RawValue<'_> {
    pub(crate) fn is_stale(&self) -> bool {
        match self {
            Self::Float(value) => is_stale(*value),
            Self::Histogram(histogram) => is_stale(histogram.sum),
        }
    }
}

/// What a cell tells of the sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pick {
    Value,
    Time,
    StartTime,
}

impl Eval<'_> {
    /// `name{…}` at every step: the newest sample within the lookback, unless it is a stale marker.
    pub(super) fn vector_selector(&mut self, selector: &Selector, pos: Pos, grid: Grid) -> Result<Block, QueryError> {
        if selector.mode == RangeMode::Smoothed {
            return self.smoothed_selector(selector, pos, grid);
        }
        self.instant_samples(selector, Pick::Value, grid)
    }

    /// `timestamp(selector)`, `start_timestamp(selector)`.
    pub(super) fn sample_time(&mut self, selector: &Selector, start: bool, grid: Grid) -> Result<Block, QueryError> {
        let pick = if start { Pick::StartTime } else { Pick::Time };
        let mut block = self.instant_samples(selector, pick, grid)?;
        block.dropped = Dropped::All;
        Ok(block)
    }

    /// Reads what a selector needs: `back` milliseconds (exclusive) before the first reference time, `ahead` after the
    /// last.
    pub(crate) fn select(
        &mut self,
        selector: &Selector,
        grid: Grid,
        back: i64,
        ahead: i64,
        last_only: bool,
    ) -> Result<Vec<SelectedSeries>, QueryError> {
        if grid.len == 0 {
            return Ok(Vec::new());
        }
        let request = SelectRequest {
            matchers: selector.matchers.clone(),
            start: selector.reference(grid.start).saturating_sub(back).saturating_add(1),
            end: selector.reference(grid.end()).saturating_add(ahead),
            last_only,
            // One sample a series is looked at, however many lie in the lookback.
            max_samples: match last_only {
                true => usize::MAX,
                false => self.settings.max_samples.saturating_sub(self.budget.held()),
            },
        };
        self.querier.select(&request).map_err(|error| match error {
            StorageError::TooManySamples => too_many_samples(),
            other => QueryError::Storage(other.to_string()),
        })
    }

    fn instant_samples(&mut self, selector: &Selector, pick: Pick, grid: Grid) -> Result<Block, QueryError> {
        let lookback = self.settings.lookback;
        let series = self.select(selector, grid, lookback, 0, grid.len == 1)?;
        self.budget.room_for(series.len(), grid.len)?;
        let mut block = Block::holes(labels_of(&series), Dropped::None, grid.len);
        for (row, series) in series.iter().enumerate() {
            self.budget.work(grid.len)?;
            if grid.len == 1 {
                let reference = selector.reference(grid.start);
                if let Some(sample) = newest(series, reference).filter(|s| s.ts > reference - lookback) {
                    put(&mut block, row, 0, sample, pick);
                }
            } else {
                fill_row(series, &mut block, row, |step| selector.reference(grid.at(step)), lookback, pick);
            }
        }
        self.finish_selector(block)
    }

    fn finish_selector(&mut self, block: Block) -> Result<Block, QueryError> {
        let block = block.without_empty_rows();
        self.budget.read(block.samples() as u64);
        Ok(block)
    }

    /// `name smoothed`: linear between the samples around each step, within the lookback on both sides.
    fn smoothed_selector(&mut self, selector: &Selector, pos: Pos, grid: Grid) -> Result<Block, QueryError> {
        let lookback = self.settings.lookback;
        let series = self.select(selector, grid, lookback, lookback, false)?;
        self.budget.room_for(series.len(), grid.len)?;
        let mut block = Block::holes(labels_of(&series), Dropped::None, grid.len);
        for (row, series) in series.iter().enumerate() {
            let samples: Vec<RawSample<'_>> =
                series.runs.iter().flat_map(raw_samples).filter(|sample| !sample.value.is_stale()).collect();
            self.budget.work(samples.len() + grid.len)?;
            for step in 0..grid.len {
                let reference = selector.reference(grid.at(step));
                let from = samples.partition_point(|sample| sample.ts <= reference - lookback);
                let to = samples.partition_point(|sample| sample.ts <= reference + lookback);
                let window = &samples[from..to];
                if window.is_empty() {
                    continue;
                }
                let Some(points) = only_floats(window) else {
                    let mixed = window.iter().any(|sample| matches!(sample.value, RawValue::Float(_)));
                    if !mixed {
                        return Err(super::unsupported("smoothed selectors"));
                    }
                    self.notes.warn(pos, annotate::mixed_floats_histograms(series.labels.metric_name()));
                    continue;
                };
                if let Some(value) = smoothed_value(&points, reference) {
                    block.cells[row * grid.len + step] = value;
                }
            }
        }
        self.finish_selector(block)
    }
}

pub(crate) fn labels_of(series: &[SelectedSeries]) -> Arc<Vec<Labels>> {
    Arc::new(series.iter().map(|series| series.labels.clone()).collect())
}

fn only_floats(window: &[RawSample<'_>]) -> Option<Vec<(Timestamp, f64)>> {
    window
        .iter()
        .map(|sample| match sample.value {
            RawValue::Float(value) => Some((sample.ts, value)),
            RawValue::Histogram(_) => None,
        })
        .collect()
}

/// Interpolated at `at`; held after the last sample, nothing before the first.
fn smoothed_value(points: &[(Timestamp, f64)], at: Timestamp) -> Option<f64> {
    let next = points.partition_point(|(ts, _)| *ts < at);
    match (next.checked_sub(1).and_then(|i| points.get(i)), points.get(next)) {
        (_, Some((ts, value))) if *ts == at => Some(*value),
        (Some(before), Some(after)) => Some(interpolate(*before, *after, at, false)),
        (Some((_, value)), None) => Some(*value),
        (None, _) => None,
    }
}

/// All samples of a run in time order, holes left out, stale markers included.
pub(crate) fn raw_samples(run: &Run) -> impl Iterator<Item = RawSample<'_>> {
    (run.from..run.to).filter_map(move |index| raw_sample(run, index))
}

fn raw_sample(run: &Run, index: usize) -> Option<RawSample<'_>> {
    let value = match &run.values {
        Column::Floats(column) => column.get(index).filter(|v| !is_absent(**v)).map(|v| RawValue::Float(*v)),
        Column::Histograms(column) => column.get(index).and_then(Option::as_ref).map(RawValue::Histogram),
    }?;
    let start = run.start_times.as_ref().and_then(|starts| starts.get(index)).copied().unwrap_or(0);
    Some(RawSample { ts: *run.times.get(index)?, start, value })
}

/// The newest sample at or before `at`.
fn newest(series: &SelectedSeries, at: Timestamp) -> Option<RawSample<'_>> {
    series.runs.iter().rev().find_map(|run| {
        let times = run.times.get(run.from..run.to)?;
        let end = match times.last() {
            Some(last) if *last <= at => run.to,
            _ => run.from + times.partition_point(|ts| *ts <= at),
        };
        (run.from..end).rev().find_map(|index| raw_sample(run, index))
    })
}

/// Fills one row from samples and reference times that both only grow.
fn fill_row(
    series: &SelectedSeries,
    block: &mut Block,
    row: usize,
    reference: impl Fn(usize) -> Timestamp,
    lookback: i64,
    pick: Pick,
) {
    let mut cursor = Cursor { runs: &series.runs, run: 0, next: series.runs.first().map_or(0, |run| run.from) };
    for step in 0..block.steps {
        let reference = reference(step);
        if let Some(sample) = cursor.newest(reference, reference - lookback) {
            put(block, row, step, sample, pick);
        }
    }
}

/// A place in the runs of a series that only moves forward.
struct Cursor<'a> {
    runs: &'a [Run],
    run: usize,
    /// The first sample of the run that is not yet past.
    next: usize,
}

impl<'a> Cursor<'a> {
    /// The newest sample in `(after, until]`.
    fn newest(&mut self, until: Timestamp, after: Timestamp) -> Option<RawSample<'a>> {
        loop {
            let run = self.runs.get(self.run)?;
            self.next += seek(run.times.get(self.next..run.to)?, 0, until);
            let follows = |next: &Run| next.times.get(next.from).is_some_and(|first| *first <= until);
            match self.runs.get(self.run + 1) {
                Some(next) if self.next == run.to && follows(next) => {
                    self.run += 1;
                    self.next = next.from;
                }
                _ => break,
            }
        }
        // Holes: back to the sample before them, into earlier runs if need be.
        let mut end = self.next;
        for run in self.runs[..=self.run].iter().rev() {
            for index in (run.from..end.min(run.to)).rev() {
                if run.times.get(index).is_none_or(|ts| *ts <= after) {
                    return None;
                }
                if let Some(sample) = raw_sample(run, index) {
                    return Some(sample);
                }
            }
            end = usize::MAX;
        }
        None
    }
}

fn put(block: &mut Block, row: usize, step: usize, sample: RawSample<'_>, pick: Pick) {
    if sample.value.is_stale() {
        return;
    }
    let index = row * block.steps + step;
    match (pick, sample.value) {
        (Pick::Value, RawValue::Float(value)) => block.cells[index] = value,
        (Pick::Value, RawValue::Histogram(histogram)) => {
            block.cells[index] = absent();
            block.set_histogram(row, step, Arc::clone(histogram));
        }
        (Pick::Time, _) => block.cells[index] = seconds(sample.ts),
        (Pick::StartTime, _) => block.cells[index] = seconds(sample.start),
    }
}
