//! Functions of ranges: for each series a window that slides over the steps.

use std::sync::Arc;

use crate::model::{Labels, METRIC_NAME, Timestamp};
use crate::promql::annotate;
use crate::promql::functions::{Produced, Sliding, WindowFn, WindowInput, resets_before, window_fn};
use crate::promql::parser::{FunctionId, RangeMode};
use crate::promql::plan::{Source, Window};
use crate::promql::result::QueryError;

use super::block::Dropped;
use super::samples::{RangeData, RangeSeries, Samples, Scratch, seek};
use super::selector::compacted;
use super::{Block, Eval, Grid};

impl Eval<'_> {
    /// `func(range, …)` at every step.
    pub(super) fn window(&mut self, window: &Window, grid: Grid) -> Result<Block, QueryError> {
        let args: Vec<Vec<f64>> =
            window.args.iter().map(|arg| self.eval_scalar(arg, grid)).collect::<Result<_, _>>()?;
        let series = self.range_series(&window.source, grid)?;
        if window.func.id == FunctionId::AbsentOverTime {
            return self.absent_over_time(window, &series, grid);
        }
        let apply = window_fn(window.func.id)
            .ok_or_else(|| QueryError::BadData(format!("{} takes no range", window.func.name)))?;
        let keeps_name = matches!(window.func.id, FunctionId::LastOverTime | FunctionId::FirstOverTime);
        let dropped = if keeps_name { series.dropped.clone() } else { Dropped::All };
        self.budget.room_for(series.labels.len(), grid.len)?;
        let mut block = Block::holes(Arc::clone(&series.labels), dropped, grid.len);
        let mut run = WindowRun { window, apply, args: &args, grid, row: 0, named: None };
        let mut scratch = Scratch::default();
        for band in series.data.bands() {
            let mut reader = band.reader();
            for row in band.rows.iter() {
                reader.seek(*row);
                run.row = *row as usize;
                let samples = reader.samples(&mut scratch);
                self.slide(&mut run, &samples, &series.labels[*row as usize], &mut block)?;
            }
        }
        Ok(compacted(block))
    }

    /// Slides one series' window over all steps.
    fn slide(
        &mut self,
        run: &mut WindowRun<'_>,
        samples: &Samples<'_>,
        labels: &Labels,
        block: &mut Block,
    ) -> Result<(), QueryError> {
        let source = &run.window.source;
        let (back, ahead) = reach(source.mode(), self.settings.lookback);
        let range = source.range();
        let mut floats = Slider::default();
        let mut histograms = Slider::default();
        let mut produced_float = false;
        let mut sliding = run.sliding(samples);
        let falls = run.falls(samples);
        let mut input = WindowInput {
            samples: *samples,
            start: 0,
            end: 0,
            ts: 0,
            range,
            mode: source.mode(),
            args: [f64::NAN; 2],
            labels,
            falls: &[],
            pos: source.pos(),
            first_arg: run.window.first_arg,
        };
        for step in 0..run.grid.len {
            input.ts = run.grid.at(step);
            input.end = source.reference(input.ts);
            input.start = input.end.saturating_sub(range);
            let (lo, hi) = floats.advance(samples.times, input.start - back, input.end + ahead);
            let (h_lo, h_hi) = histograms.advance(samples.histogram_times, input.start - back, input.end + ahead);
            let size = (hi - lo) + (h_hi - h_lo);
            if size == 0 {
                continue;
            }
            self.budget.work(size)?;
            self.budget.touch(size)?;
            input.args = [arg(run.args, 0, step), arg(run.args, 1, step)];
            let slid = sliding.as_mut().and_then(|state| state.window(samples.values, lo, hi, input.args[0]));
            if let Some(value) = slid {
                block.cells[run.row * run.grid.len + step] = value;
                continue;
            }
            input.falls = falls.get(lo..hi).unwrap_or(&[]);
            input.samples.times = &samples.times[lo..hi];
            input.samples.values = &samples.values[lo..hi];
            input.samples.starts = samples.starts.get(lo..hi).unwrap_or(&[]);
            input.samples.histogram_times = &samples.histogram_times[h_lo..h_hi];
            input.samples.histograms = &samples.histograms[h_lo..h_hi];
            match (run.apply)(&input, &mut self.notes)? {
                Produced::Nothing => {}
                Produced::Float(value) => {
                    block.cells[run.row * run.grid.len + step] = value;
                    produced_float = true;
                }
                Produced::Histogram(histogram) => block.set_histogram(run.row, step, histogram),
            }
        }
        if produced_float {
            self.remark_on_name(run, labels);
        }
        Ok(())
    }

    /// `rate` and `increase` of something that is not called like a counter.
    fn remark_on_name(&mut self, run: &mut WindowRun<'_>, labels: &Labels) {
        if !matches!(run.window.func.id, FunctionId::Rate | FunctionId::Increase) {
            return;
        }
        let name = labels.get(METRIC_NAME);
        if name.is_empty() || run.named.as_deref() == Some(name) {
            return;
        }
        run.named = Some(name.to_owned());
        if !["_total", "_sum", "_count", "_bucket"].iter().any(|suffix| name.ends_with(suffix)) {
            self.notes.info(run.window.source.pos(), annotate::maybe_no_counter(name));
        }
    }
}

/// One call of a window function over all series.
struct WindowRun<'a> {
    window: &'a Window,
    apply: WindowFn,
    args: &'a [Vec<f64>],
    grid: Grid,
    row: usize,
    /// The name that was last looked at.
    named: Option<String>,
}

impl WindowRun<'_> {
    /// A running state, when windows overlap enough to pay for it.
    fn sliding(&self, samples: &Samples<'_>) -> Option<Sliding> {
        if self.overlaps(samples) { Sliding::of(self.window.func.id, samples.values) } else { None }
    }

    /// For `rate` and `increase`: how many resets lie before each sample.
    fn falls(&self, samples: &Samples<'_>) -> Vec<u32> {
        let counter = matches!(self.window.func.id, FunctionId::Rate | FunctionId::Increase);
        if counter && self.overlaps(samples) { resets_before(samples.values) } else { Vec::new() }
    }

    fn overlaps(&self, samples: &Samples<'_>) -> bool {
        let source = &self.window.source;
        let plain = source.mode() == RangeMode::Plain && samples.histograms.is_empty() && samples.starts.is_empty();
        plain && self.grid.len > 2 && source.range() >= 2 * self.grid.step
    }
}

fn arg(args: &[Vec<f64>], index: usize, step: usize) -> f64 {
    args.get(index).and_then(|values| values.get(step)).copied().unwrap_or(f64::NAN)
}

/// How far a window's samples reach beyond its start and end.
pub(super) fn reach(mode: RangeMode, lookback: i64) -> (i64, i64) {
    match mode {
        RangeMode::Plain => (0, 0),
        RangeMode::Anchored => (lookback, 0),
        RangeMode::Smoothed => (lookback, lookback),
    }
}

/// Bounds of a window `(start, end]` that never moves backward.
#[derive(Debug, Default)]
struct Slider {
    lo: usize,
    hi: usize,
}

impl Slider {
    fn advance(&mut self, times: &[Timestamp], start: Timestamp, end: Timestamp) -> (usize, usize) {
        self.hi = seek(times, self.hi, end);
        self.lo = seek(times, self.lo, start);
        (self.lo, self.hi.max(self.lo))
    }
}

impl Eval<'_> {
    /// The series of a range, with all samples that any step needs.
    pub(super) fn range_series(&mut self, source: &Source, grid: Grid) -> Result<RangeSeries, QueryError> {
        match source {
            Source::Selector { selector, range, .. } => {
                let (back, ahead) = reach(selector.mode, self.settings.lookback);
                let selection = self.select(selector, grid, range.saturating_add(back), ahead, false)?;
                let labels = Arc::clone(&selection.labels);
                Ok(RangeSeries { labels, dropped: Dropped::None, data: RangeData::Stored(selection) })
            }
            Source::Subquery { expr, range, step, .. } => {
                let inner = super::range_source::subquery_grid(source, *range, *step, grid);
                let block = self.eval_subquery(expr, inner)?;
                Ok(RangeSeries {
                    labels: Arc::clone(&block.labels),
                    dropped: block.dropped.clone(),
                    data: RangeData::Computed(block, inner.times().collect()),
                })
            }
        }
    }
}
