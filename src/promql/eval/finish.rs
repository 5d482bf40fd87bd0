//! From the root's value to the answer: delayed names are dropped, rows become samples or series.

use std::sync::{Arc, OnceLock};

use rustc_hash::FxHashSet;

use crate::model::{Labels, Timestamp, Value, is_absent};
use crate::promql::parser::{RangeMode, ValueType};
use crate::promql::plan::{Kind, Plan, QueryTimes, Source};
use crate::promql::result::{QueryError, QueryValue, Sample, Series};

use super::block::{is_metadata, nameless};
use super::extend::Ends;
use super::memo::{LABELS_BYTES, Learned, Recipe, SharedLabels, Task};
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
                let block = Block::floats(nameless(), Dropped::None, grid.len, values);
                Ok(QueryValue::Matrix(self.matrix(Arc::new(block), grid)?))
            }
            Out::Vector(block) if times.is_range() => Ok(QueryValue::Matrix(self.matrix(block, grid)?)),
            Out::Vector(block) => Ok(QueryValue::Vector(vector(&block, &self.answer(&block), ts)?)),
        }
    }

    /// The labels of the answer, as they are remembered.
    fn answer(&self, block: &Block) -> Arc<Answer> {
        match &block.dropped {
            Dropped::Some(rows) => Arc::new(Answer::of(&block.labels, |row| rows[row])),
            uniform => {
                let drops = *uniform == Dropped::All;
                let recipe = Recipe::new(Task::Answer).flag(drops);
                self.memo.recall(recipe, &[&block.labels], || Answer::of(&block.labels, |_| drops))
            }
        }
    }

    fn matrix(&mut self, block: Arc<Block>, grid: Grid) -> Result<Vec<Series>, QueryError> {
        let answer = self.answer(&block);
        self.budget.work(block.cells.len())?;
        if answer.unique {
            let labels = answer.labels(&block);
            let rows = answer.order(labels).iter().map(|row| *row as usize);
            return Ok(rows.filter_map(|row| series(&block, &labels[row], row, grid)).collect());
        }
        let mut block = unshare(block);
        block.dropped = Dropped::None;
        if let Some(labels) = &answer.changed {
            block.labels = Arc::clone(labels);
        }
        let block = merge_rows(block)?;
        let rows = block.labels.iter().enumerate();
        let mut series: Vec<Series> = rows.filter_map(|(row, labels)| series(&block, labels, row, grid)).collect();
        series.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(series)
    }

    /// `x[5m]` as a result: the samples as they are.
    fn raw_matrix(&mut self, source: &Source, grid: Grid) -> Result<Vec<Series>, QueryError> {
        let outer = self.budget.count_apart();
        let ranges = self.range_series(source, grid)?;
        let read = self.budget.count_on(outer);
        self.budget.read(0, read);
        let (back, ahead) = reach(source.mode(), self.settings.lookback);
        let end = source.reference(grid.start);
        let start = end.saturating_sub(source.range());
        let (from, to) = (start.saturating_sub(back), end.saturating_add(ahead));
        let mut scratch = Scratch::default();
        let mut all = Vec::new();
        for band in ranges.data.bands() {
            let mut reader = band.reader();
            for row in band.rows.iter() {
                reader.seek(*row);
                let row = *row as usize;
                let samples = reader.samples(&mut scratch);
                let floats = within(samples.times, from, to);
                let histograms = within(samples.histogram_times, from, to);
                self.budget.hold(floats.len() + histograms.len())?;
                if let Source::Selector { .. } = source {
                    self.budget.read(0, (floats.len() + histograms.len()) as u64);
                }
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

/// What a result's rows are called.
struct Answer {
    /// The labels without the names, types and units that were lost on the way, where that makes a difference.
    changed: Option<SharedLabels>,
    /// Whether they all differ.
    unique: bool,
    /// Rows in the order of these labels, when somebody has asked.
    order: OnceLock<Vec<u32>>,
}

impl Answer {
    fn of(rows: &[Labels], drops: impl Fn(usize) -> bool) -> Self {
        let drops_any =
            |(row, labels): (usize, &Labels)| drops(row) && labels.iter().any(|(name, _)| is_metadata(name));
        let changed = rows.iter().enumerate().any(drops_any).then(|| {
            let clean =
                |(row, labels): (usize, &Labels)| if drops(row) { without_metadata(labels) } else { labels.clone() };
            Arc::new(rows.iter().enumerate().map(clean).collect::<Vec<_>>())
        });
        let labels = changed.as_ref().map_or(rows, |changed| changed.as_slice());
        let mut seen: FxHashSet<&Labels> = FxHashSet::default();
        seen.reserve(labels.len());
        let unique = labels.iter().all(|labels| seen.insert(labels));
        Self { changed, unique, order: OnceLock::new() }
    }

    fn labels<'b>(&'b self, block: &'b Block) -> &'b [Labels] {
        self.changed.as_ref().unwrap_or(&block.labels)
    }

    fn order(&self, labels: &[Labels]) -> &[u32] {
        self.order.get_or_init(|| {
            let mut order: Vec<u32> = (0..labels.len() as u32).collect();
            order.sort_by(|a, b| labels[*a as usize].cmp(&labels[*b as usize]));
            order
        })
    }
}

impl Learned for Answer {
    fn bytes(&self) -> usize {
        // The order has a place of its own for each row; it may come later.
        self.changed.as_ref().map_or(0, |labels| labels.len() * LABELS_BYTES)
    }
}

fn vector(block: &Block, answer: &Answer, ts: Timestamp) -> Result<Vec<Sample>, QueryError> {
    let mut samples = Vec::with_capacity(block.samples());
    for (row, labels) in answer.labels(block).iter().enumerate() {
        let cell = block.cells[row];
        let value = match block.histogram(row, 0) {
            Some(histogram) => Value::Histogram(Arc::clone(histogram)),
            None if is_absent(cell) => continue,
            None => Value::Float(cell),
        };
        samples.push(Sample { labels: labels.clone(), ts, value });
    }
    if !answer.unique {
        let mut seen: FxHashSet<&Labels> = FxHashSet::default();
        if !samples.iter().all(|sample| seen.insert(&sample.labels)) {
            return Err(same_labelset());
        }
    }
    Ok(samples)
}

/// The row's samples under these labels, if it has any.
fn series(block: &Block, labels: &Labels, row: usize, grid: Grid) -> Option<Series> {
    let cells = block.row(row);
    let mut floats = Vec::with_capacity(cells.iter().filter(|cell| !is_absent(**cell)).count());
    floats.extend(
        cells.iter().enumerate().filter(|(_, cell)| !is_absent(**cell)).map(|(step, cell)| (grid.at(step), *cell)),
    );
    let histograms: Vec<_> = match &block.histograms {
        None => Vec::new(),
        Some(_) => (0..block.steps)
            .filter_map(|step| block.histogram(row, step).map(|histogram| (grid.at(step), Arc::clone(histogram))))
            .collect(),
    };
    (!floats.is_empty() || !histograms.is_empty()).then(|| Series { labels: labels.clone(), floats, histograms })
}
