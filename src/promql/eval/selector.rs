//! Instant selectors: from runs of samples to one cell a step.

use std::ops::Range;
use std::sync::Arc;

use crate::model::{Histogram, Timestamp, absent, is_absent, is_stale};
use crate::promql::annotate;
use crate::promql::parser::{Pos, RangeMode};
use crate::promql::plan::Selector;
use crate::promql::result::QueryError;
use crate::storage::{SelectRequest, Selection, StorageError};

use super::bands::{Band, Reader, RowRoom, any_nan, bands};
use super::budget::too_many_samples;
use super::extend::interpolate;
use super::newest::{NONE, newest_before, put_newest};
use super::split::Rows;
use super::target::Target;
use super::window_rows::CHECK_EVERY;
use super::{Block, Dropped, Eval, Grid, seconds};

/// Blocks of fewer rows keep those without samples.
const LARGE: usize = 1024;

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
pub(super) enum Pick {
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
        match self.rolled_selector(selector, pos, grid)? {
            Some(block) => Ok(block),
            None => self.selector_of_samples(selector, pos, grid),
        }
    }

    /// The same by samples alone.
    pub(super) fn selector_of_samples(
        &mut self,
        selector: &Selector,
        pos: Pos,
        grid: Grid,
    ) -> Result<Block, QueryError> {
        let selection = self.instant_selection(selector, grid)?;
        self.remark_on_thinned(&selection, pos);
        self.instant_samples(selector, Pick::Value, selection, grid)
    }

    pub(super) fn remark_on_thinned(&mut self, selection: &Selection, pos: Pos) {
        if let Some(tier) = selection.thinned {
            self.notes.info(pos, annotate::raw_is_thin(tier));
        }
    }

    /// What an instant selector reads.
    pub(super) fn instant_selection(&mut self, selector: &Selector, grid: Grid) -> Result<Selection, QueryError> {
        self.select(selector, grid, self.settings.lookback, 0, grid.len == 1)
    }

    /// `timestamp(selector)`, `start_timestamp(selector)`.
    pub(super) fn sample_time(
        &mut self,
        selector: &Selector,
        start: bool,
        pos: Pos,
        grid: Grid,
    ) -> Result<Block, QueryError> {
        let pick = if start { Pick::StartTime } else { Pick::Time };
        let selection = self.instant_selection(selector, grid)?;
        self.remark_on_thinned(&selection, pos);
        let mut block = self.instant_samples(selector, pick, selection, grid)?;
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
    ) -> Result<Selection, QueryError> {
        if grid.len == 0 {
            return Ok(Selection::default());
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
            stop: self.budget.stop(),
        };
        let selection = self.querier.select(&request).map_err(|error| match error {
            StorageError::TooManySamples => too_many_samples(),
            StorageError::Stopped => self.budget.stopped(),
            other => QueryError::Storage(other.to_string()),
        })?;
        if !last_only {
            // They stay until the node is done. Storage has checked the samples; holes among them refuse nothing by
            // themselves.
            let places: usize = selection.pieces.iter().map(|piece| piece.times.len() * piece.rows.len()).sum();
            let room = self.settings.max_samples.saturating_sub(self.budget.held());
            self.budget.hold(places.min(room))?;
        }
        Ok(selection)
    }

    /// The samples of an instant selector at each step.
    pub(super) fn instant_samples(
        &mut self,
        selector: &Selector,
        pick: Pick,
        selection: Selection,
        grid: Grid,
    ) -> Result<Block, QueryError> {
        let lookback = self.settings.lookback;
        let rows = selection.labels.len();
        self.budget.room_for(rows, grid.len)?;
        self.budget.work(rows)?;
        let labels = Arc::clone(&selection.labels);
        if grid.len == 1 {
            let mut block = Block::holes(labels, Dropped::None, grid.len);
            put_newest(&selection, &mut block, pick);
            return self.finish_selector(block);
        }
        let references: Vec<Timestamp> = grid.times().map(|ts| selector.reference(ts)).collect();
        let quick = |band: &Band<'_>| band.plain && pick == Pick::Value;
        let (plain, other): (Vec<_>, Vec<_>) = bands(&selection).into_iter().partition(quick);
        let mut cells = Vec::new();
        let samples = self.gather(&plain, (&references, lookback), rows, Target::Cells(&mut cells))?;
        let mut block = Block::floats(labels, Dropped::None, grid.len, cells);
        if other.is_empty() && !self.budget.counts_steps() {
            self.budget.read_steps(samples, None);
            return Ok(if samples == block.cells.len() as u64 { block } else { compacted(block) });
        }
        for band in other {
            let (mut reader, mut room) = (band.reader(), RowRoom::default());
            for row in band.rows.iter() {
                reader.seek(*row);
                let samples: Vec<RawSample<'_>> = reader.raw(&mut room).collect();
                self.budget.work(samples.len() + grid.len)?;
                let mut next = 0;
                for (step, reference) in references.iter().enumerate() {
                    next += samples[next..].iter().take_while(|sample| sample.ts <= *reference).count();
                    let newest = next.checked_sub(1).map(|at| samples[at]);
                    if let Some(sample) = newest.filter(|sample| sample.ts > reference - lookback) {
                        put(&mut block, *row as usize, step, sample, pick);
                    }
                }
            }
        }
        self.finish_selector(block)
    }

    /// Plain floats, `rows` in all, as of these times and so far back; gives the number of samples.
    pub(super) fn gather(
        &mut self,
        bands: &[Band<'_>],
        (references, lookback): (&[Timestamp], i64),
        rows: usize,
        target: Target<'_, '_>,
    ) -> Result<u64, QueryError> {
        let steps = references.len();
        let work = bands.iter().map(|band| band.rows.len() * (band.times.len() + steps)).sum();
        // Where the newest sample of each step lies is worked out once for a band. Neighbours often have the same times.
        let mut newest: Vec<Arc<Newest>> = Vec::with_capacity(bands.len());
        for (at, band) in bands.iter().enumerate() {
            newest.push(match newest.last().filter(|_| bands[at - 1].times == band.times) {
                Some(same) => Arc::clone(same),
                None => Arc::new(Newest::of(&band.times, references, lookback)),
            });
        }
        let budget = &self.budget;
        let fill = |room: &mut Room, rows: Range<usize>, cells: &mut [f64]| {
            for (band, newest) in bands.iter().zip(&newest) {
                let band_rows = band.rows_in(&rows);
                if band_rows.is_empty() {
                    continue;
                }
                room.unchecked += band_rows.len() * (band.times.len() + steps);
                if room.unchecked > CHECK_EVERY {
                    room.unchecked = 0;
                    budget.check()?;
                }
                let mut reader = band.reader();
                for row in band_rows {
                    reader.seek(*row);
                    let out = &mut cells[(*row as usize - rows.start) * steps..][..steps];
                    gather_row(&reader, newest, references, lookback, room, out);
                }
            }
            // Rows that were not read to their end are no answer.
            budget.check()
        };
        Ok(target.take(Rows { rows, steps, work }, Room::default, fill)?.iter().map(|room| room.samples).sum())
    }

    fn finish_selector(&mut self, block: Block) -> Result<Block, QueryError> {
        let block = compacted(block);
        self.budget.read_block(&block);
        Ok(block)
    }

    /// `name smoothed`: linear between the samples around each step, within the lookback on both sides.
    fn smoothed_selector(&mut self, selector: &Selector, pos: Pos, grid: Grid) -> Result<Block, QueryError> {
        let lookback = self.settings.lookback;
        let selection = self.select(selector, grid, lookback, lookback, false)?;
        self.budget.room_for(selection.labels.len(), grid.len)?;
        let mut block = Block::holes(Arc::clone(&selection.labels), Dropped::None, grid.len);
        for band in bands(&selection) {
            let mut reader = band.reader();
            for row in band.rows.iter() {
                reader.seek(*row);
                self.smoothed_row(selector, pos, grid, &reader, *row as usize, &mut block)?;
            }
        }
        self.finish_selector(block)
    }

    fn smoothed_row(
        &mut self,
        selector: &Selector,
        pos: Pos,
        grid: Grid,
        reader: &Reader<'_, '_>,
        row: usize,
        block: &mut Block,
    ) -> Result<(), QueryError> {
        let lookback = self.settings.lookback;
        let samples: Vec<RawSample<'_>> =
            reader.raw(&mut RowRoom::default()).filter(|sample| !sample.value.is_stale()).collect();
        self.budget.work(samples.len() + grid.len)?;
        for step in 0..grid.len {
            let reference = selector.reference(grid.at(step));
            let from = samples.partition_point(|sample| sample.ts <= reference.saturating_sub(lookback));
            let to = samples.partition_point(|sample| sample.ts <= reference.saturating_add(lookback));
            let window = &samples[from..to];
            self.budget.work(window.len())?;
            if window.is_empty() {
                continue;
            }
            let Some(points) = only_floats(window) else {
                let mixed = window.iter().any(|sample| matches!(sample.value, RawValue::Float(_)));
                if !mixed {
                    return Err(super::unsupported("smoothed selectors"));
                }
                self.notes.warn(pos, annotate::mixed_floats_histograms(block.labels[row].metric_name()));
                continue;
            };
            if let Some(value) = smoothed_value(&points, reference) {
                block.cells[row * grid.len + step] = value;
            }
        }
        Ok(())
    }
}

/// The block, without its rows that are empty at every step when they are the most of many. A few of them are cheaper
/// to carry along than new labels.
pub(super) fn compacted(block: Block) -> Block {
    if block.rows() < LARGE {
        return block;
    }
    let full = (0..block.rows()).filter(|row| block.has_any(*row)).count();
    if full * 2 < block.rows() { block.without_empty_rows() } else { block }
}

/// For each step where the newest time lies, and how many steps have one.
struct Newest {
    at: Vec<u32>,
    known: usize,
}

impl Newest {
    fn of(times: &[Timestamp], references: &[Timestamp], lookback: i64) -> Self {
        let at = newest_before(times, references, lookback);
        let known = at.iter().filter(|at| **at != NONE).count();
        Self { at, known }
    }
}

/// What a thread keeps from row to row.
#[derive(Default)]
struct Room {
    row: RowRoom,
    known: Vec<u32>,
    samples: u64,
    unchecked: usize,
}

/// One row, into cells that are holes.
fn gather_row(
    reader: &Reader<'_, '_>,
    newest: &Newest,
    references: &[Timestamp],
    lookback: i64,
    room: &mut Room,
    out: &mut [f64],
) {
    let cells = reader.cells(&mut room.row);
    if !any_nan(cells) {
        for (cell, at) in out.iter_mut().zip(&newest.at) {
            if let Some(newest) = cells.get(*at as usize) {
                *cell = *newest;
            }
        }
        room.samples += newest.known as u64;
        return;
    }
    let times = reader.times();
    last_known(cells, &mut room.known);
    for ((cell, at), reference) in out.iter_mut().zip(&newest.at).zip(references) {
        let at = room.known.get(*at as usize).map_or(NONE, |at| *at) as usize;
        if at < times.len() && times[at] > reference - lookback && !is_stale(cells[at]) {
            *cell = cells[at];
            room.samples += 1;
        }
    }
}

/// For each cell the last one up to it that is no hole.
fn last_known(cells: &[f64], known: &mut Vec<u32>) {
    let mut last = NONE;
    known.clear();
    known.extend(cells.iter().enumerate().map(|(at, cell)| {
        if !is_absent(*cell) {
            last = at as u32;
        }
        last
    }));
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

pub(super) fn put(block: &mut Block, row: usize, step: usize, sample: RawSample<'_>, pick: Pick) {
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
