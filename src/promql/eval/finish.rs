//! From the root's value to the answer: delayed names are dropped, rows become samples or series.

use std::sync::Arc;

use rustc_hash::FxHashSet;

use crate::model::{Labels, Timestamp, Value, is_absent};
use crate::promql::parser::{RangeMode, ValueType};
use crate::promql::plan::{Kind, Plan, QueryTimes, Source};
use crate::promql::result::{QueryError, QueryValue, Sample, Series};

use super::extend::Ends;
use super::samples::{Samples, Scratch};
use super::window::reach;
use super::{Block, Dropped, Eval, Grid, Out, merge_rows, same_labelset, unshare, unsupported, without_metadata};

impl Eval<'_> {
    /// Evaluates the plan's root and shapes the answer.
    pub(super) fn finish(&mut self, plan: &Plan, times: QueryTimes) -> Result<QueryValue, QueryError> {
        let grid = Grid::of(times);
        if let Kind::Matrix(source) = &plan.root.kind {
            return self.raw_matrix(source, grid).map(QueryValue::Matrix);
        }
        let ts = times.start;
        match self.eval(&plan.root, grid)? {
            Out::Text(text) => Ok(QueryValue::String(ts, text.to_string())),
            Out::Scalar(values) if plan.gives == ValueType::Scalar && !times.is_range() => {
                Ok(QueryValue::Scalar(ts, values.first().copied().unwrap_or(f64::NAN)))
            }
            Out::Scalar(values) => {
                let block = Block::floats(Arc::new(vec![Labels::empty()]), Dropped::None, grid.len, values);
                Ok(QueryValue::Matrix(self.matrix(block, grid)?))
            }
            Out::Vector(block) if times.is_range() => Ok(QueryValue::Matrix(self.matrix(unshare(block), grid)?)),
            Out::Vector(block) => Ok(QueryValue::Vector(vector(&drop_names(unshare(block)), ts)?)),
        }
    }

    fn matrix(&mut self, block: Block, grid: Grid) -> Result<Vec<Series>, QueryError> {
        let block = merge_rows(drop_names(block))?;
        self.budget.work(block.cells.len())?;
        let mut series: Vec<Series> = (0..block.rows()).map(|row| series(&block, row, grid)).collect();
        series.retain(|series| !series.floats.is_empty() || !series.histograms.is_empty());
        series.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(series)
    }

    /// `x[5m]` as a result: the samples as they are.
    fn raw_matrix(&mut self, source: &Source, grid: Grid) -> Result<Vec<Series>, QueryError> {
        let ranges = self.range_series(source, grid)?;
        let (back, ahead) = reach(source.mode(), self.settings.lookback);
        let end = source.reference(grid.start);
        let start = end.saturating_sub(source.range());
        let mut scratch = Scratch::default();
        let mut all = Vec::new();
        for band in ranges.data.bands() {
            let mut reader = band.reader();
            for row in band.rows.iter() {
                reader.seek(*row);
                let row = *row as usize;
                let samples = reader.samples(&mut scratch);
                let floats = within(samples.times, start - back, end + ahead);
                let histograms = within(samples.histogram_times, start - back, end + ahead);
                self.budget.hold(floats.len() + histograms.len())?;
                self.budget.read((floats.len() + histograms.len()) as u64);
                let floats = match source.mode() {
                    RangeMode::Plain => pairs(&samples, floats),
                    _ if !samples.histograms.is_empty() => return Err(unsupported("extended range selectors")),
                    mode => extended(&samples, floats, start, end, mode == RangeMode::Smoothed),
                };
                let histograms = histograms
                    .map(|i| (samples.histogram_times[i], Arc::clone(&samples.histograms[i])))
                    .collect::<Vec<_>>();
                if !floats.is_empty() || !histograms.is_empty() {
                    let labels = &ranges.labels[row];
                    let labels = if ranges.dropped.get(row) { without_metadata(labels) } else { labels.clone() };
                    all.push(Series { labels, floats, histograms });
                }
            }
        }
        all.sort_by(|a, b| a.labels.cmp(&b.labels));
        if all.windows(2).any(|pair| pair[0].labels == pair[1].labels) {
            return Err(same_labelset());
        }
        Ok(all)
    }
}

fn within(times: &[Timestamp], after: Timestamp, until: Timestamp) -> std::ops::Range<usize> {
    let from = times.partition_point(|ts| *ts <= after);
    from..times.partition_point(|ts| *ts <= until).max(from)
}

fn pairs(samples: &Samples<'_>, range: std::ops::Range<usize>) -> Vec<(Timestamp, f64)> {
    range.map(|i| (samples.times[i], samples.values[i])).collect()
}

/// An anchored or smoothed range: a sample at each end, the real ones between.
fn extended(
    samples: &Samples<'_>,
    range: std::ops::Range<usize>,
    start: Timestamp,
    end: Timestamp,
    smoothed: bool,
) -> Vec<(Timestamp, f64)> {
    let (times, values) = (&samples.times[range.clone()], &samples.values[range]);
    let Some(ends) = Ends::of(times, start, end, smoothed) else { return Vec::new() };
    let mut out = vec![(start, ends.left(times, values, start, smoothed, false))];
    out.extend(ends.inner(times, start, end).map(|i| (times[i], values[i])));
    out.push((end, ends.right(times, values, end, smoothed, false)));
    out
}

/// Takes name, type and unit from the series that lost them on the way.
fn drop_names(mut block: Block) -> Block {
    if block.dropped != Dropped::None {
        let dropped = std::mem::replace(&mut block.dropped, Dropped::None);
        let cleaned = block
            .labels
            .iter()
            .enumerate()
            .map(|(row, labels)| if dropped.get(row) { without_metadata(labels) } else { labels.clone() });
        block.labels = Arc::new(cleaned.collect());
    }
    block
}

fn vector(block: &Block, ts: Timestamp) -> Result<Vec<Sample>, QueryError> {
    let mut seen: FxHashSet<&Labels> = FxHashSet::default();
    seen.reserve(block.rows());
    let mut samples = Vec::with_capacity(block.rows());
    for (row, labels) in block.labels.iter().enumerate() {
        let cell = block.cells[row];
        let value = match block.histogram(row, 0) {
            Some(histogram) => Value::Histogram(Arc::clone(histogram)),
            None if is_absent(cell) => continue,
            None => Value::Float(cell),
        };
        if !seen.insert(labels) {
            return Err(same_labelset());
        }
        samples.push(Sample { labels: labels.clone(), ts, value });
    }
    Ok(samples)
}

fn series(block: &Block, row: usize, grid: Grid) -> Series {
    let floats = block
        .row(row)
        .iter()
        .enumerate()
        .filter(|(_, cell)| !is_absent(**cell))
        .map(|(step, cell)| (grid.at(step), *cell))
        .collect();
    let histograms = (0..block.steps)
        .filter_map(|step| block.histogram(row, step).map(|histogram| (grid.at(step), Arc::clone(histogram))))
        .collect();
    Series { labels: block.labels[row].clone(), floats, histograms }
}
