//! The functions, one family a file: pure code on numbers and windows, no evaluator in sight.

mod changes;
mod date;
mod histogram;
mod kahan;
mod kernel;
mod labels;
mod math;
mod over_time;
mod rate;
mod regression;
mod sliding;
mod sort;

use std::sync::Arc;

use crate::model::{Histogram, Labels, ResetHint, Timestamp};

use super::annotate::{self, Notes};
use super::eval::Samples;
use super::parser::{FunctionId, Pos, RangeMode};
use super::result::QueryError;

pub(crate) use date::{DateParts, date_fn};
pub(crate) use histogram::{Bucket, Repair, bucket_fraction, bucket_quantile};
pub(crate) use kahan::{KahanSum, Mean};
pub(crate) use kernel::{IsOver, Kernel, Room, Shape, is_growing};
pub(crate) use labels::{Expansion, is_valid_label_name, join};
pub(crate) use math::{clamp, go_max, go_min, math_fn, quantile_of, round};
pub(crate) use sort::natural_order;

/// One window of one series, with all that a function may ask for.
#[derive(Debug)]
pub(crate) struct WindowInput<'a> {
    pub(crate) samples: Samples<'a>,
    /// The window is `(start, end]`; anchored and smoothed ones hold samples beyond it.
    pub(crate) start: Timestamp,
    pub(crate) end: Timestamp,
    /// The evaluation time, which offset and `@` do not move.
    pub(crate) ts: Timestamp,
    /// Milliseconds from start to end.
    pub(crate) range: i64,
    pub(crate) mode: RangeMode,
    /// The scalar arguments; NaN where there are none.
    pub(crate) args: [f64; 2],
    pub(crate) labels: &'a Labels,
    /// Where the range stands.
    pub(crate) pos: Pos,
    /// Where the first argument stands.
    pub(crate) first_arg: Pos,
}

impl WindowInput<'_> {
    pub(crate) fn name(&self) -> &str {
        self.labels.metric_name()
    }
}

/// What a window function makes of one window.
#[derive(Debug)]
pub(crate) enum Produced {
    Nothing,
    Float(f64),
    Histogram(Arc<Histogram>),
}

/// A function of one window, which is never empty.
pub(crate) type WindowFn = fn(&WindowInput<'_>, &mut Notes) -> Result<Produced, QueryError>;

/// The code of a window function.
pub(crate) fn window_fn(id: FunctionId) -> Option<WindowFn> {
    Some(match id {
        FunctionId::Rate => rate::rate,
        FunctionId::Increase => rate::increase,
        FunctionId::Delta => rate::delta,
        FunctionId::Irate => rate::irate,
        FunctionId::Idelta => rate::idelta,
        FunctionId::Changes => changes::changes,
        FunctionId::Resets => changes::resets,
        FunctionId::Deriv => regression::deriv,
        FunctionId::PredictLinear => regression::predict_linear,
        FunctionId::DoubleExponentialSmoothing => regression::double_exponential_smoothing,
        other => return over_time::over_time_fn(other),
    })
}

/// Whether two histograms hold the same observations; what is known about resets does not count.
pub(crate) fn same_histogram(a: &Histogram, b: &Histogram) -> bool {
    let content = |h: &Histogram| Histogram { reset_hint: ResetHint::Unknown, ..h.clone() };
    a == b || content(a) == content(b)
}

/// Functions that look at floats only: says so when the window holds histograms too. `None`: nothing to compute.
fn floats_only<'a>(input: &WindowInput<'a>, notes: &mut Notes) -> Option<&'a [f64]> {
    let samples = &input.samples;
    if samples.values.is_empty() {
        return None;
    }
    if !samples.histograms.is_empty() {
        notes.info(input.pos, annotate::ignored_in_mixed_range(input.name()));
    }
    Some(samples.values)
}

/// Functions of one kind of sample: a mix is a warning without result, histograms alone are for later.
fn one_kind<'a>(input: &WindowInput<'a>, notes: &mut Notes, what: &str) -> Result<Option<&'a [f64]>, QueryError> {
    let samples = &input.samples;
    if samples.histograms.is_empty() {
        return Ok(Some(samples.values));
    }
    if samples.values.is_empty() {
        return Err(QueryError::Unsupported(format!("native histograms in {what}")));
    }
    notes.warn(input.pos, annotate::mixed_floats_histograms(input.name()));
    Ok(None)
}
