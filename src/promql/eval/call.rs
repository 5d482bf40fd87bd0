//! Functions of instant vectors, scalars and strings.

use std::sync::Arc;

use crate::model::{Histogram, Labels, absent, is_absent};
use crate::promql::annotate;
use crate::promql::functions::{DateParts, clamp, date_fn, go_max, go_min, math_fn, natural_order, round};
use crate::promql::parser::{FunctionId, Pos};
use crate::promql::plan::{Call, Kind, Node};
use crate::promql::result::QueryError;

use super::block::Dropped;
use super::{Block, Eval, Grid, Out, seconds, unexpected, unshare, unsupported};

impl Eval<'_> {
    pub(super) fn call(&mut self, call: &Call, pos: Pos, grid: Grid) -> Result<Out, QueryError> {
        use FunctionId as F;
        let id = call.func.id;
        if let Some(apply) = math_fn(id) {
            let block = self.vector_arg(call, 0, grid)?;
            return Ok(Out::block(map_math(id, unshare(block), apply)));
        }
        if date_fn(id).is_some() {
            return self.date(call, grid).map(Out::block);
        }
        match id {
            F::Pi => Ok(Out::Scalar(vec![std::f64::consts::PI; grid.len])),
            F::Time => Ok(Out::Scalar(grid.times().map(seconds).collect())),
            F::MinOf | F::MaxOf => self.extremum(call, grid),
            F::ScalarOf => self.scalar_of(call, grid),
            F::VectorOf => {
                let values = self.scalar_arg(call, 0, grid)?;
                Ok(Out::block(Block::floats(Arc::new(vec![Labels::empty()]), Dropped::None, grid.len, values)))
            }
            F::Round => {
                let nearest = match call.args.len() {
                    0 | 1 => vec![1.0; grid.len],
                    _ => self.scalar_arg(call, 1, grid)?,
                };
                self.map_steps(call, grid, |value, step| round(value, nearest[step]))
            }
            F::Clamp | F::ClampMin | F::ClampMax => self.clamp(call, grid),
            F::Timestamp => self.step_times(call, grid),
            F::StartTimestamp => {
                self.vector_arg(call, 0, grid)?;
                Ok(Out::block(Block::empty(grid.len)))
            }
            F::Sort | F::SortDesc | F::SortByLabel | F::SortByLabelDesc => self.sort(call, pos, grid),
            F::LabelReplace => self.label_replace(call, grid),
            F::LabelJoin => self.label_join(call, grid),
            F::HistogramQuantile | F::HistogramQuantiles | F::HistogramFraction => {
                self.bucket_function(call, grid).map(Out::block)
            }
            F::HistogramAvg | F::HistogramCount | F::HistogramSum | F::HistogramStddev | F::HistogramStdvar => {
                self.native_function(call, grid)
            }
            _ => Err(QueryError::Unsupported(format!("function {}", call.func.name))),
        }
    }

    pub(super) fn vector_arg(&mut self, call: &Call, index: usize, grid: Grid) -> Result<Arc<Block>, QueryError> {
        self.eval_vector(arg(call, index)?, grid)
    }

    pub(super) fn scalar_arg(&mut self, call: &Call, index: usize, grid: Grid) -> Result<Vec<f64>, QueryError> {
        self.eval_scalar(arg(call, index)?, grid)
    }

    /// Maps each float with the help of something that differs from step to step.
    fn map_steps(&mut self, call: &Call, grid: Grid, apply: impl Fn(f64, usize) -> f64) -> Result<Out, QueryError> {
        let mut block = unshare(self.vector_arg(call, 0, grid)?).without_histograms();
        for row in block.cells.chunks_mut(grid.len.max(1)) {
            for (step, cell) in row.iter_mut().enumerate() {
                if !is_absent(*cell) {
                    *cell = apply(*cell, step);
                }
            }
        }
        block.dropped = Dropped::All;
        Ok(Out::block(block))
    }

    fn clamp(&mut self, call: &Call, grid: Grid) -> Result<Out, QueryError> {
        let bound = |value: f64| vec![value; grid.len];
        let (min, max) = match call.func.id {
            FunctionId::ClampMin => (self.scalar_arg(call, 1, grid)?, bound(f64::INFINITY)),
            FunctionId::ClampMax => (bound(f64::NEG_INFINITY), self.scalar_arg(call, 1, grid)?),
            _ => (self.scalar_arg(call, 1, grid)?, self.scalar_arg(call, 2, grid)?),
        };
        self.map_steps(call, grid, |value, step| {
            // Bounds the wrong way round leave nothing.
            if max[step] < min[step] { absent() } else { clamp(value, min[step], max[step]) }
        })
    }

    fn extremum(&mut self, call: &Call, grid: Grid) -> Result<Out, QueryError> {
        let (a, b) = (self.scalar_arg(call, 0, grid)?, self.scalar_arg(call, 1, grid)?);
        let least = call.func.id == FunctionId::MinOf;
        let pick = |(a, b)| if least { go_min(a, b) } else { go_max(a, b) };
        Ok(Out::Scalar(a.into_iter().zip(b).map(pick).collect()))
    }

    /// The value of the only float, NaN when there are none or more.
    fn scalar_of(&mut self, call: &Call, grid: Grid) -> Result<Out, QueryError> {
        let block = self.vector_arg(call, 0, grid)?;
        let mut values = vec![f64::NAN; grid.len];
        let mut counts = vec![0_u32; grid.len];
        for row in 0..block.rows() {
            for (step, cell) in block.row(row).iter().enumerate().filter(|(_, cell)| !is_absent(**cell)) {
                counts[step] += 1;
                values[step] = if counts[step] == 1 { *cell } else { f64::NAN };
            }
        }
        Ok(Out::Scalar(values))
    }

    /// `timestamp(expression)`: the evaluation time, as every computed sample has it.
    fn step_times(&mut self, call: &Call, grid: Grid) -> Result<Out, QueryError> {
        let block = self.vector_arg(call, 0, grid)?;
        let mut times = Block::holes(Arc::clone(&block.labels), Dropped::All, grid.len);
        for row in 0..block.rows() {
            for step in (0..grid.len).filter(|step| block.has(row, *step)) {
                times.cells[row * grid.len + step] = seconds(grid.at(step));
            }
        }
        Ok(Out::block(times))
    }

    fn date(&mut self, call: &Call, grid: Grid) -> Result<Block, QueryError> {
        let part = date_fn(call.func.id).ok_or_else(|| unexpected(call.func.name))?;
        if call.args.is_empty() {
            let values = grid.times().map(|ts| part(&DateParts::of((ts / 1000) as f64))).collect();
            return Ok(Block::floats(Arc::new(vec![Labels::empty()]), Dropped::None, grid.len, values));
        }
        let block = self.vector_arg(call, 0, grid)?;
        Ok(unshare(block).map_floats(|value| part(&DateParts::of(value))))
    }

    fn sort(&mut self, call: &Call, pos: Pos, grid: Grid) -> Result<Out, QueryError> {
        if self.is_range {
            self.notes.warn(pos, annotate::sort_in_range());
        }
        let block = self.vector_arg(call, 0, grid)?;
        let by_label = matches!(call.func.id, FunctionId::SortByLabel | FunctionId::SortByLabelDesc);
        let block = if by_label { block } else { Arc::new(unshare(block).without_histograms().without_empty_rows()) };
        if grid.len != 1 {
            return Ok(Out::Vector(block));
        }
        let mut rows: Vec<usize> = (0..block.rows()).collect();
        match call.func.id {
            FunctionId::Sort => rows.sort_by(|a, b| nan_last(block.cells[*a], block.cells[*b], false)),
            FunctionId::SortDesc => rows.sort_by(|a, b| nan_last(block.cells[*a], block.cells[*b], true)),
            _ => {
                let names: Vec<Arc<str>> = call.args[1..].iter().map(text).collect::<Result<_, _>>()?;
                let order = |a: &usize, b: &usize| {
                    let (a, b) = (&block.labels[*a], &block.labels[*b]);
                    let differing = names.iter().map(|name| natural_order(a.get(name), b.get(name)));
                    differing.reduce(std::cmp::Ordering::then).unwrap_or(std::cmp::Ordering::Equal).then(a.cmp(b))
                };
                rows.sort_by(order);
                if call.func.id == FunctionId::SortByLabelDesc {
                    rows.reverse();
                }
            }
        }
        Ok(Out::block(block.pick(&rows)))
    }

    /// Functions of native histograms: nothing to say about floats, the rest is for later.
    fn native_function(&mut self, call: &Call, grid: Grid) -> Result<Out, QueryError> {
        let block = self.vector_arg(call, 0, grid)?;
        let pick: fn(&Histogram) -> f64 = match call.func.id {
            FunctionId::HistogramCount => |histogram| histogram.count,
            FunctionId::HistogramSum => |histogram| histogram.sum,
            FunctionId::HistogramAvg => |histogram| histogram.sum / histogram.count,
            _ if block.histograms.is_some() => return Err(unsupported(call.func.name)),
            _ => return Ok(Out::block(Block::empty(grid.len))),
        };
        let mut out = Block::holes(Arc::clone(&block.labels), Dropped::All, grid.len);
        if let Some(cells) = &block.histograms {
            for (cell, histogram) in out.cells.iter_mut().zip(cells) {
                if let Some(histogram) = histogram {
                    *cell = pick(histogram);
                }
            }
        }
        Ok(Out::block(out.without_empty_rows()))
    }
}

/// Those that the processor does for several numbers at once are written out, so that it can.
fn map_math(id: FunctionId, block: Block, apply: fn(f64) -> f64) -> Block {
    match id {
        FunctionId::Abs => block.map_floats(f64::abs),
        FunctionId::Sqrt => block.map_floats(f64::sqrt),
        _ => block.map_floats(apply),
    }
}

pub(super) fn arg(call: &Call, index: usize) -> Result<&Node, QueryError> {
    call.args.get(index).ok_or_else(|| {
        QueryError::BadData(format!("missing argument {} in call to function {:?}", index + 1, call.func.name))
    })
}

/// A string argument.
pub(super) fn text(node: &Node) -> Result<Arc<str>, QueryError> {
    match &node.kind {
        Kind::Text(text) => Ok(Arc::clone(text)),
        _ => Err(unexpected("string expression that is no literal")),
    }
}

/// NaN at the end, whichever the direction.
fn nan_last(a: f64, b: f64, descending: bool) -> std::cmp::Ordering {
    let order = a.partial_cmp(&b).unwrap_or(std::cmp::Ordering::Equal);
    let order = if descending { order.reverse() } else { order };
    a.is_nan().cmp(&b.is_nan()).then(order)
}
