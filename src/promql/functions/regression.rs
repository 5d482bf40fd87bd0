//! `deriv`, `predict_linear` (least squares) and `double_exponential_smoothing`.

use crate::model::Timestamp;
use crate::promql::annotate::{self, Notes};
use crate::promql::result::QueryError;

use super::kahan::KahanSum;
use super::{Produced, WindowInput};

type Answer = Result<Produced, QueryError>;

pub(super) fn deriv(input: &WindowInput<'_>, notes: &mut Notes) -> Answer {
    let Some((times, values)) = two_floats(input, notes) else { return Ok(Produced::Nothing) };
    Ok(Produced::Float(line(times, values, times[0]).0))
}

pub(super) fn predict_linear(input: &WindowInput<'_>, notes: &mut Notes) -> Answer {
    let Some((times, values)) = two_floats(input, notes) else { return Ok(Produced::Nothing) };
    let (slope, intercept) = line(times, values, input.ts);
    Ok(Produced::Float(slope * input.args[0] + intercept))
}

/// The window's floats when there are two at least; says so when histograms lie among them.
fn two_floats<'a>(input: &WindowInput<'a>, notes: &mut Notes) -> Option<(&'a [Timestamp], &'a [f64])> {
    let samples = &input.samples;
    if !samples.values.is_empty() && !samples.histograms.is_empty() {
        notes.info(input.first_arg, annotate::ignored_in_mixed_range(input.name()));
    }
    (samples.values.len() > 1).then_some((samples.times, samples.values))
}

/// Slope per second and value at `zero` of the least-squares line.
fn line(times: &[Timestamp], values: &[f64], zero: Timestamp) -> (f64, f64) {
    let first = values[0];
    if values.iter().all(|value| *value == first) {
        return if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first) };
    }
    let mut sums = [KahanSum::default(); 4];
    for (ts, y) in times.iter().zip(values) {
        let x = (ts - zero) as f64 / 1e3;
        for (sum, term) in sums.iter_mut().zip([x, *y, x * y, x * x]) {
            sum.add(term);
        }
    }
    let n = values.len() as f64;
    let [sum_x, sum_y, sum_xy, sum_x2] = sums.map(KahanSum::total);
    let covariance = sum_xy - sum_x * sum_y / n;
    let variance = sum_x2 - sum_x * sum_x / n;
    let slope = covariance / variance;
    (slope, sum_y / n - slope * sum_x / n)
}

pub(super) fn double_exponential_smoothing(input: &WindowInput<'_>, notes: &mut Notes) -> Answer {
    let [smoothing, trend] = input.args;
    // NaN passes, as it does in Prometheus, and makes the result NaN.
    if smoothing <= 0.0 || smoothing >= 1.0 {
        return Err(bad_factor("smoothing", "sf", smoothing));
    }
    if trend <= 0.0 || trend >= 1.0 {
        return Err(bad_factor("trend", "tf", trend));
    }
    let Some((_, values)) = two_floats(input, notes) else { return Ok(Produced::Nothing) };
    let (mut before, mut level, mut slope) = (0.0, values[0], values[1] - values[0]);
    for (i, value) in values.iter().enumerate().skip(1) {
        if i > 1 {
            slope = trend * (level - before) + (1.0 - trend) * slope;
        }
        let next = smoothing * value + (1.0 - smoothing) * (level + slope);
        before = level;
        level = next;
    }
    Ok(Produced::Float(level))
}

fn bad_factor(word: &str, short: &str, value: f64) -> QueryError {
    let value = if value.is_finite() { format!("{value:.6}") } else { annotate::go_float(value) };
    QueryError::Execution(format!("invalid {word} factor. Expected: 0 < {short} < 1, got: {value}"))
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn a_straight_line_is_found() {
        let (slope, at_zero) = line(&[0, 1000, 2000], &[1.0, 3.0, 5.0], 2000);
        assert_eq!((slope, at_zero), (2.0, 5.0));
        assert!(line(&[0, 1000], &[f64::INFINITY, f64::INFINITY], 0).0.is_nan());
    }
}
