//! Functions of ranges: for each series a window that slides over the steps.

use std::sync::Arc;

use crate::model::{Labels, METRIC_NAME, MatchOp, Matcher, Timestamp, is_absent};
use crate::promql::annotate;
use crate::promql::functions::{Produced, Shape, WindowFn, WindowInput, window_fn};
use crate::promql::parser::{FunctionId, RangeMode};
use crate::promql::plan::{Source, Window};
use crate::promql::result::QueryError;

use super::bands::Band;
use super::block::Dropped;
use super::samples::{RangeData, RangeSeries, Samples, Scratch, seek};
use super::selector::compacted;
use super::target::Target;
use super::{Block, Eval, Grid};

impl Eval<'_> {
    /// `func(range, …)` at every step.
    pub(super) fn window(&mut self, window: &Window, grid: Grid) -> Result<Block, QueryError> {
        match self.rolled_window(window, grid)? {
            Some(block) => Ok(block),
            None => self.window_of_samples(window, grid),
        }
    }

    /// The same by samples alone.
    pub(super) fn window_of_samples(&mut self, window: &Window, grid: Grid) -> Result<Block, QueryError> {
        let input = self.window_input(window, grid)?;
        self.window_block(window, &input, grid)
    }

    /// What a window function works on.
    pub(super) fn window_input(&mut self, window: &Window, grid: Grid) -> Result<Input, QueryError> {
        let args = window.args.iter().map(|arg| self.eval_scalar(arg, grid)).collect::<Result<_, _>>()?;
        // Prometheus counts what windows take out of a subquery, not what the subquery read.
        let outer = self.budget.count_apart();
        let series = self.range_series(&window.source, grid);
        self.budget.count_on(outer);
        Ok(Input { args, series: series? })
    }

    pub(super) fn window_block(
        &mut self,
        window: &Window,
        Input { args, series }: &Input,
        grid: Grid,
    ) -> Result<Block, QueryError> {
        if window.func.id == FunctionId::AbsentOverTime {
            return self.absent_over_time(window, series, grid);
        }
        let apply = window_fn(window.func.id)
            .ok_or_else(|| QueryError::BadData(format!("{} takes no range", window.func.name)))?;
        self.budget.room_for(series.labels.len(), grid.len)?;
        let shape = shape_of(window, args, grid);
        let mut run = WindowRun { window, apply, args, grid, row: 0 };
        let mut scratch = Scratch::default();
        let (plain, other): (Vec<_>, Vec<_>) =
            series.data.bands().into_iter().partition(|band| is_quick(window, &shape, band));
        let mut cells = Vec::new();
        self.window_rows(&shape, &plain, series.labels.len(), Target::Cells(&mut cells))?;
        let mut block = Block::floats(Arc::clone(&series.labels), dropped_by(window, series), grid.len, cells);
        for band in other {
            let mut reader = band.reader();
            for row in band.rows.iter() {
                reader.seek(*row);
                run.row = *row as usize;
                let samples = reader.samples(&mut scratch);
                self.slide(&mut run, &samples, &series.labels[*row as usize], &mut block)?;
            }
        }
        self.remark_on_names(window, &block);
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
        let mut input = WindowInput {
            samples: *samples,
            start: 0,
            end: 0,
            ts: 0,
            range,
            mode: source.mode(),
            args: [f64::NAN; 2],
            labels,
            pos: source.pos(),
            first_arg: run.window.first_arg,
        };
        for step in 0..run.grid.len {
            input.ts = run.grid.at(step);
            input.end = source.reference(input.ts);
            input.start = input.end.saturating_sub(range);
            let (from, to) = (input.start.saturating_sub(back), input.end.saturating_add(ahead));
            let (lo, hi) = floats.advance(samples.times, from, to);
            let (h_lo, h_hi) = histograms.advance(samples.histogram_times, from, to);
            let size = (hi - lo) + (h_hi - h_lo);
            if size == 0 {
                continue;
            }
            self.budget.work(size)?;
            self.budget.touch(step, size)?;
            input.args = [arg(run.args, 0, step), arg(run.args, 1, step)];
            input.samples.times = &samples.times[lo..hi];
            input.samples.values = &samples.values[lo..hi];
            input.samples.starts = samples.starts.get(lo..hi).unwrap_or(&[]);
            input.samples.histogram_times = &samples.histogram_times[h_lo..h_hi];
            input.samples.histograms = &samples.histograms[h_lo..h_hi];
            match (run.apply)(&input, &mut self.notes)? {
                Produced::Nothing => {}
                Produced::Float(value) => block.cells[run.row * run.grid.len + step] = value,
                Produced::Histogram(histogram) => block.set_histogram(run.row, step, histogram),
            }
        }
        Ok(())
    }

    /// `rate` and `increase` of something that is not called like a counter.
    pub(super) fn remark_on_names(&mut self, window: &Window, block: &Block) {
        if !matches!(window.func.id, FunctionId::Rate | FunctionId::Increase) {
            return;
        }
        // One name is looked at once.
        if let Some(name) = only_name(&window.source) {
            if !is_counter_name(name) && block.cells.iter().any(|cell| !is_absent(*cell)) {
                self.notes.info(window.source.pos(), annotate::maybe_no_counter(name));
            }
            return;
        }
        let mut last = "";
        for (row, labels) in block.labels.iter().enumerate() {
            let name = labels.get(METRIC_NAME);
            if name == last || name.is_empty() || !block.row(row).iter().any(|cell| !is_absent(*cell)) {
                continue;
            }
            last = name;
            if !is_counter_name(name) {
                self.notes.info(window.source.pos(), annotate::maybe_no_counter(name));
            }
        }
    }
}

/// The only name that series of the range can have, when its selector says so.
pub(super) fn only_name(source: &Source) -> Option<&str> {
    let Source::Selector { selector, .. } = source else { return None };
    let named = |matcher: &&Matcher| matcher.name == METRIC_NAME && matcher.op == MatchOp::Equal;
    selector.matchers.iter().find(named).map(|matcher| matcher.value.as_str()).filter(|name| !name.is_empty())
}

pub(super) fn is_counter_name(name: &str) -> bool {
    ["_total", "_sum", "_count", "_bucket"].iter().any(|suffix| name.ends_with(suffix))
}

/// Arguments and samples of a window function.
pub(super) struct Input {
    pub(super) args: Vec<Vec<f64>>,
    pub(super) series: RangeSeries,
}

/// Whether the band's rows go through a kernel.
pub(super) fn is_quick(window: &Window, shape: &Shape<'_>, band: &Band<'_>) -> bool {
    let has_kernel = window.source.mode() == RangeMode::Plain && shape.has_kernel();
    has_kernel && band.plain
}

/// Whose names the function drops.
pub(super) fn dropped_by(window: &Window, series: &RangeSeries) -> Dropped {
    let keeps_name = matches!(window.func.id, FunctionId::LastOverTime | FunctionId::FirstOverTime);
    if keeps_name { series.dropped.clone() } else { Dropped::All }
}

pub(super) fn shape_of<'a>(window: &Window, args: &'a [Vec<f64>], grid: Grid) -> Shape<'a> {
    Shape {
        func: window.func.id,
        ends: grid.times().map(|ts| window.source.reference(ts)).collect(),
        steps: grid.times().collect(),
        range: window.source.range(),
        arg: args.first().map(Vec::as_slice),
    }
}

/// One call of a window function over all series.
struct WindowRun<'a> {
    window: &'a Window,
    apply: WindowFn,
    args: &'a [Vec<f64>],
    grid: Grid,
    row: usize,
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
                self.remark_on_thinned(&selection, source.pos());
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
