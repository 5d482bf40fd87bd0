//! Expected against got.

use std::collections::HashMap;
use std::fmt::Write as _;

use crate::model::{Labels, Timestamp, Value, format_float, is_stale};
use crate::promql::parser::SequenceValue;
use crate::promql::{Annotations, QueryValue, Sample, Series};

use super::histogram::{describe_histogram, equal};
use super::script::{EvalTime, Expectations, ExpectedResult, ExpectedSeries, MessageCheck};

const EPSILON: f64 = 1e-6;

/// A difference: what was expected, what came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mismatch {
    pub(super) expected: String,
    pub(super) got: String,
}

impl Mismatch {
    pub(super) fn new(expected: impl Into<String>, got: impl Into<String>) -> Self {
        Self { expected: expected.into(), got: got.into() }
    }
}

type Outcome = Result<(), Mismatch>;

/// Equal up to a relative error of 1e-6. NaN equals NaN, the stale marker only itself.
pub(super) fn almost_equal(a: f64, b: f64) -> bool {
    if is_stale(a) || is_stale(b) {
        return is_stale(a) && is_stale(b);
    }
    if (a.is_nan() && b.is_nan()) || a == b {
        return true;
    }
    let (sum, difference) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < EPSILON * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < EPSILON
}

/// Compares a value with what the script says.
pub(super) fn value(expected: &ExpectedResult, expect: &Expectations, time: EvalTime, got: &QueryValue) -> Outcome {
    match (expected, got) {
        (_, QueryValue::Matrix(_)) if expect.ordered => {
            Err(Mismatch::new("an ordered vector", "a matrix, which is always sorted by labels"))
        }
        (ExpectedResult::Scalar(wanted), QueryValue::Scalar(_, found)) if almost_equal(*wanted, *found) => Ok(()),
        (ExpectedResult::String(wanted), QueryValue::String(_, found)) if wanted == found => Ok(()),
        (ExpectedResult::Series(series), QueryValue::Vector(samples)) => vector(series, expect.ordered, samples),
        (ExpectedResult::Series(series), QueryValue::Matrix(found)) => {
            let EvalTime::Range { start, end, step_ms } = time else {
                return Err(Mismatch::new("an instant vector", describe(got)));
            };
            matrix(series, start, end, step_ms, found)
        }
        (ExpectedResult::RangeVector { start, end, step_ms, series }, QueryValue::Matrix(found)) => {
            matrix(series, *start, *end, *step_ms, found)
        }
        (expected, got) => Err(Mismatch::new(describe_expected(expected), describe(got))),
    }
}

fn vector(expected: &[ExpectedSeries], ordered: bool, got: &[Sample]) -> Outcome {
    let differs = || Mismatch::new(describe_series(expected), describe_samples(got));
    let wanted: HashMap<&Labels, (usize, &ExpectedSeries)> =
        expected.iter().enumerate().map(|(i, series)| (&series.labels, (i, series))).collect();
    if wanted.len() != got.len() {
        return Err(differs());
    }
    let mut seen = std::collections::HashSet::new();
    for (i, sample) in got.iter().enumerate() {
        let Some((at, series)) = wanted.get(&sample.labels) else { return Err(differs()) };
        let fits = series.values.first().is_some_and(|value| same_value(value, &sample.value));
        if !fits || (ordered && *at != i) || !seen.insert(&sample.labels) {
            return Err(differs());
        }
    }
    Ok(())
}

fn same_value(expected: &SequenceValue, got: &Value) -> bool {
    match (expected, got) {
        (SequenceValue::Float(expected), Value::Float(got)) => almost_equal(*expected, *got),
        (SequenceValue::Histogram { histogram, hint_written }, Value::Histogram(got)) => {
            equal(histogram, got, *hint_written)
        }
        _ => false,
    }
}

fn matrix(expected: &[ExpectedSeries], start: Timestamp, end: Timestamp, step_ms: i64, got: &[Series]) -> Outcome {
    sorted(got)?;
    let differs = |what: &str| Mismatch::new(describe_series(expected), format!("{what}{}", describe_matrix(got)));
    let wanted: HashMap<&Labels, &ExpectedSeries> = expected.iter().map(|series| (&series.labels, series)).collect();
    if wanted.len() != got.len() {
        return Err(differs(""));
    }
    for series in got {
        let Some(expected) = wanted.get(&series.labels) else { return Err(differs("")) };
        let (mut floats, mut histograms) = (series.floats.iter(), series.histograms.iter());
        for (i, value) in expected.values.iter().enumerate() {
            let ts = start.saturating_add(step_ms.saturating_mul(i as i64));
            if ts > end {
                return Err(differs("fewer steps than expected points: "));
            }
            let fits = match value {
                SequenceValue::Omitted => true,
                SequenceValue::Float(value) => {
                    floats.next().is_some_and(|(at, got)| *at == ts && almost_equal(*value, *got))
                }
                SequenceValue::Histogram { histogram, hint_written } => {
                    histograms.next().is_some_and(|(at, got)| *at == ts && equal(histogram, got, *hint_written))
                }
            };
            if !fits {
                return Err(differs(&format!("at {ts} ms of {}: ", series.labels)));
            }
        }
        if floats.next().is_some() || histograms.next().is_some() {
            return Err(differs(&format!("more points of {} than expected: ", series.labels)));
        }
    }
    Ok(())
}

/// Matrices are always sorted by labels.
pub(super) fn sorted(got: &[Series]) -> Outcome {
    if got.is_sorted_by(|a, b| a.labels <= b.labels) {
        return Ok(());
    }
    Err(Mismatch::new("a matrix sorted by labels", describe_matrix(got)))
}

/// Compares warnings and infos with what the script says about them.
pub(super) fn annotations(expect: &Expectations, got: &Annotations) -> Outcome {
    for (word, checks, some, none, found) in [
        ("warnings", &expect.warn, expect.some_warn, expect.no_warn, &got.warnings),
        ("infos", &expect.info, expect.some_info, expect.no_info, &got.infos),
    ] {
        if some && found.is_empty() {
            return Err(Mismatch::new(word, format!("no {word}")));
        }
        let unmatched = checks.iter().find(|check| !found.iter().any(|text| check.accepts(text)));
        if let Some(check) = unmatched {
            return Err(Mismatch::new(format!("{word}: {check}"), format!("{found:?}")));
        }
        let surprise = found.iter().find(|text| !checks.iter().any(|check| check.accepts(text)));
        if let Some(text) = surprise.filter(|_| !checks.is_empty()) {
            return Err(Mismatch::new(format!("{word}: only {}", list(checks)), text.as_str()));
        }
        if none && !found.is_empty() {
            return Err(Mismatch::new(format!("no {word}"), format!("{found:?}")));
        }
    }
    Ok(())
}

fn list(checks: &[MessageCheck]) -> String {
    checks.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Characters after which a description is cut.
const MAX_DESCRIPTION: usize = 4000;

fn cut(mut text: String) -> String {
    if let Some((at, _)) = text.char_indices().nth(MAX_DESCRIPTION) {
        text.truncate(at);
        text.push('…');
    }
    text
}

/// A result as the scripts would write it.
pub(super) fn describe(value: &QueryValue) -> String {
    match value {
        QueryValue::Scalar(_, value) => format!("scalar {}", format_float(*value)),
        QueryValue::String(_, text) => format!("string {text:?}"),
        QueryValue::Vector(samples) => describe_samples(samples),
        QueryValue::Matrix(series) => describe_matrix(series),
    }
}

fn describe_samples(samples: &[Sample]) -> String {
    if samples.is_empty() {
        return "an empty vector".to_owned();
    }
    let mut out = String::new();
    for sample in samples {
        let value = match &sample.value {
            Value::Float(value) => describe_float(*value),
            Value::Histogram(histogram) => describe_histogram(histogram),
        };
        let _ = writeln!(out, "{} {value}", sample.labels);
    }
    cut(out.trim_end().to_owned())
}

fn describe_matrix(matrix: &[Series]) -> String {
    if matrix.is_empty() {
        return "an empty matrix".to_owned();
    }
    let mut out = String::new();
    for series in matrix {
        let _ = write!(out, "{}", series.labels);
        for (ts, value) in &series.floats {
            let _ = write!(out, " {}@{ts}", describe_float(*value));
        }
        for (ts, histogram) in &series.histograms {
            let _ = write!(out, " {}@{ts}", describe_histogram(histogram));
        }
        out.push('\n');
    }
    cut(out.trim_end().to_owned())
}

fn describe_float(value: f64) -> String {
    if is_stale(value) { "stale".to_owned() } else { format_float(value) }
}

/// What a script expects, as it writes it.
pub(super) fn describe_expected(expected: &ExpectedResult) -> String {
    match expected {
        ExpectedResult::Scalar(value) => format!("scalar {}", format_float(*value)),
        ExpectedResult::String(text) => format!("string {text:?}"),
        ExpectedResult::Series(series) | ExpectedResult::RangeVector { series, .. } => describe_series(series),
    }
}

fn describe_series(expected: &[ExpectedSeries]) -> String {
    if expected.is_empty() {
        return "no series".to_owned();
    }
    let mut out = String::new();
    for series in expected {
        let _ = write!(out, "{}", series.labels);
        for value in &series.values {
            let _ = match value {
                SequenceValue::Omitted => write!(out, " _"),
                SequenceValue::Float(value) => write!(out, " {}", describe_float(*value)),
                SequenceValue::Histogram { histogram, .. } => write!(out, " {}", describe_histogram(histogram)),
            };
        }
        out.push('\n');
    }
    cut(out.trim_end().to_owned())
}
