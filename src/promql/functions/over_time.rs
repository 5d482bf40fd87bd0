//! The `*_over_time` family.

use std::sync::Arc;

use crate::promql::annotate::{self, Notes};
use crate::promql::eval::seconds;
use crate::promql::parser::FunctionId;
use crate::promql::result::QueryError;

use super::kahan::{KahanSum, Mean};
use super::{Produced, WindowFn, WindowInput, floats_only, one_kind, quantile_of};

type Answer = Result<Produced, QueryError>;

pub(super) fn over_time_fn(id: FunctionId) -> Option<WindowFn> {
    Some(match id {
        FunctionId::SumOverTime => sum,
        FunctionId::AvgOverTime => avg,
        FunctionId::CountOverTime => count,
        FunctionId::MinOverTime => min,
        FunctionId::MaxOverTime => max,
        FunctionId::StddevOverTime => stddev,
        FunctionId::StdvarOverTime => stdvar,
        FunctionId::QuantileOverTime => quantile,
        FunctionId::MadOverTime => mad,
        FunctionId::FirstOverTime => first,
        FunctionId::LastOverTime => last,
        FunctionId::PresentOverTime => present,
        FunctionId::TsOfFirstOverTime => ts_of_first,
        FunctionId::TsOfLastOverTime => ts_of_last,
        FunctionId::TsOfMaxOverTime => ts_of_max,
        FunctionId::TsOfMinOverTime => ts_of_min,
        _ => return None,
    })
}

fn sum(input: &WindowInput<'_>, notes: &mut Notes) -> Answer {
    let Some(values) = one_kind(input, notes, "sum_over_time")? else { return Ok(Produced::Nothing) };
    Ok(Produced::Float(sum_of(values)))
}

pub(super) fn sum_of(values: &[f64]) -> f64 {
    let mut sum = KahanSum::default();
    values.iter().for_each(|value| sum.add(*value));
    if sum.sum.is_infinite() { sum.sum } else { sum.total() }
}

fn avg(input: &WindowInput<'_>, notes: &mut Notes) -> Answer {
    let Some(values) = one_kind(input, notes, "avg_over_time")? else { return Ok(Produced::Nothing) };
    Ok(if values.is_empty() { Produced::Nothing } else { Produced::Float(mean_of(values)) })
}

/// NaN for no values.
pub(super) fn mean_of(values: &[f64]) -> f64 {
    let [head, tail @ ..] = values else { return f64::NAN };
    let mut mean = Mean::new(*head);
    tail.iter().for_each(|value| mean.add(*value));
    mean.value()
}

fn count(input: &WindowInput<'_>, _: &mut Notes) -> Answer {
    Ok(Produced::Float((input.samples.values.len() + input.samples.histograms.len()) as f64))
}

fn present(_: &WindowInput<'_>, _: &mut Notes) -> Answer {
    Ok(Produced::Float(1.0))
}

/// The best sample; NaN gives way to anything.
fn best(values: &[f64], better: impl Fn(f64, f64) -> bool) -> usize {
    let mut best = 0;
    for (i, value) in values.iter().enumerate() {
        if better(*value, values[best]) || values[best].is_nan() {
            best = i;
        }
    }
    best
}

fn min(input: &WindowInput<'_>, notes: &mut Notes) -> Answer {
    Ok(floats_only(input, notes)
        .map_or(Produced::Nothing, |values| Produced::Float(values[best(values, |a, b| a < b)])))
}

fn max(input: &WindowInput<'_>, notes: &mut Notes) -> Answer {
    Ok(floats_only(input, notes)
        .map_or(Produced::Nothing, |values| Produced::Float(values[best(values, |a, b| a > b)])))
}

fn ts_of_min(input: &WindowInput<'_>, notes: &mut Notes) -> Answer {
    Ok(floats_only(input, notes)
        .map_or(Produced::Nothing, |values| Produced::Float(seconds(input.samples.times[best(values, |a, b| a <= b)]))))
}

fn ts_of_max(input: &WindowInput<'_>, notes: &mut Notes) -> Answer {
    Ok(floats_only(input, notes)
        .map_or(Produced::Nothing, |values| Produced::Float(seconds(input.samples.times[best(values, |a, b| a >= b)]))))
}

/// Welford's variance with compensated sums.
pub(super) fn variance(values: &[f64]) -> f64 {
    let (mut count, mut mean, mut squares) = (0.0, KahanSum::default(), KahanSum::default());
    for value in values {
        count += 1.0;
        let delta = value - mean.total();
        mean.add(delta / count);
        squares.add(delta * (value - mean.total()));
    }
    squares.total() / count
}

fn stddev(input: &WindowInput<'_>, notes: &mut Notes) -> Answer {
    Ok(floats_only(input, notes).map_or(Produced::Nothing, |values| Produced::Float(variance(values).sqrt())))
}

fn stdvar(input: &WindowInput<'_>, notes: &mut Notes) -> Answer {
    Ok(floats_only(input, notes).map_or(Produced::Nothing, |values| Produced::Float(variance(values))))
}

fn quantile(input: &WindowInput<'_>, notes: &mut Notes) -> Answer {
    let q = input.args[0];
    if !input.samples.values.is_empty() && !(0.0..=1.0).contains(&q) {
        notes.warn(input.first_arg, annotate::invalid_quantile(q));
    }
    // The remark on histograms stands at the first argument, as Prometheus has it.
    if !input.samples.values.is_empty() && !input.samples.histograms.is_empty() {
        notes.info(input.first_arg, annotate::ignored_in_mixed_range(input.name()));
    }
    let values = input.samples.values;
    Ok(if values.is_empty() { Produced::Nothing } else { Produced::Float(quantile_of(q, &mut values.to_vec())) })
}

/// Median of the distances from the median; NaN when any sample is.
fn mad(input: &WindowInput<'_>, notes: &mut Notes) -> Answer {
    let Some(values) = floats_only(input, notes) else { return Ok(Produced::Nothing) };
    if values.iter().any(|value| value.is_nan()) {
        return Ok(Produced::Float(f64::NAN));
    }
    let mut values = values.to_vec();
    let median = quantile_of(0.5, &mut values);
    values.iter_mut().for_each(|value| *value = (*value - median).abs());
    Ok(Produced::Float(quantile_of(0.5, &mut values)))
}

fn first(input: &WindowInput<'_>, _: &mut Notes) -> Answer {
    let samples = &input.samples;
    let float = samples.times.first().zip(samples.values.first());
    let histogram = samples.histogram_times.first().zip(samples.histograms.first());
    Ok(match (float, histogram) {
        (Some((ts, value)), Some((h_ts, _))) if ts < h_ts => Produced::Float(*value),
        (_, Some((_, histogram))) => Produced::Histogram(Arc::clone(histogram)),
        (Some((_, value)), None) => Produced::Float(*value),
        (None, None) => Produced::Nothing,
    })
}

fn last(input: &WindowInput<'_>, _: &mut Notes) -> Answer {
    let samples = &input.samples;
    let float = samples.times.last().zip(samples.values.last());
    let histogram = samples.histogram_times.last().zip(samples.histograms.last());
    Ok(match (float, histogram) {
        (Some((ts, value)), Some((h_ts, _))) if ts > h_ts => Produced::Float(*value),
        (_, Some((_, histogram))) => Produced::Histogram(Arc::clone(histogram)),
        (Some((_, value)), None) => Produced::Float(*value),
        (None, None) => Produced::Nothing,
    })
}

fn ts_of_first(input: &WindowInput<'_>, _: &mut Notes) -> Answer {
    let samples = &input.samples;
    let first = samples.times.first().into_iter().chain(samples.histogram_times.first()).min();
    Ok(first.map_or(Produced::Nothing, |ts| Produced::Float(seconds(*ts))))
}

fn ts_of_last(input: &WindowInput<'_>, _: &mut Notes) -> Answer {
    let samples = &input.samples;
    let last = samples.times.last().into_iter().chain(samples.histogram_times.last()).max();
    Ok(last.map_or(Produced::Nothing, |ts| Produced::Float(seconds(*ts))))
}
