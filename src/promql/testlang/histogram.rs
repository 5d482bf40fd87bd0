//! Histograms in results: compared bucket by bucket, and written as the scripts write them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::model::{CUSTOM_BUCKETS_SCHEMA, Histogram, ResetHint, Span};

use super::compare::almost_equal;

/// Filled buckets by index; empty ones do not count.
fn filled(spans: &[Span], counts: &[f64]) -> BTreeMap<i32, f64> {
    let (mut out, mut index, mut counts) = (BTreeMap::new(), 0i32, counts.iter());
    for span in spans {
        index = index.saturating_add(span.offset);
        for count in counts.by_ref().take(span.length as usize) {
            if *count != 0.0 {
                out.insert(index, *count);
            }
            index = index.saturating_add(1);
        }
    }
    out
}

/// Whether a bucket of `before` has fallen in `after`, which has the same schema and zero bucket.
pub(super) fn is_reset(before: &Histogram, after: &Histogram) -> bool {
    let falls = |before: BTreeMap<i32, f64>, after: &BTreeMap<i32, f64>| {
        before.iter().any(|(index, count)| after.get(index).is_none_or(|now| now < count))
    };
    after.zero_count < before.zero_count
        || before.custom_values != after.custom_values
        || falls(filled(&before.positive_spans, &before.positive), &filled(&after.positive_spans, &after.positive))
        || falls(filled(&before.negative_spans, &before.negative), &filled(&after.negative_spans, &after.negative))
}

/// Whether a result is the expected histogram; the hint counts only if the script wrote one.
pub(super) fn equal(expected: &Histogram, got: &Histogram, hint_counts: bool) -> bool {
    expected.schema == got.schema
        && almost_equal(expected.count, got.count)
        && almost_equal(expected.sum, got.sum)
        && (expected.schema != CUSTOM_BUCKETS_SCHEMA || expected.custom_values == got.custom_values)
        && expected.zero_threshold == got.zero_threshold
        && almost_equal(expected.zero_count, got.zero_count)
        && same_buckets((&expected.positive_spans, &expected.positive), (&got.positive_spans, &got.positive))
        && same_buckets((&expected.negative_spans, &expected.negative), (&got.negative_spans, &got.negative))
        && (!hint_counts || expected.reset_hint == got.reset_hint)
}

fn same_buckets(expected: (&[Span], &[f64]), got: (&[Span], &[f64])) -> bool {
    let (expected, got) = (filled(expected.0, expected.1), filled(got.0, got.1));
    expected.len() == got.len() && expected.iter().zip(&got).all(|((i, a), (j, b))| i == j && almost_equal(*a, *b))
}

/// The histogram as a literal of the test language.
pub fn describe_histogram(histogram: &Histogram) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut number = |key: &str, value: f64| {
        if value != 0.0 {
            parts.push(format!("{key}:{}", crate::model::format_float(value)));
        }
    };
    number("schema", f64::from(histogram.schema));
    number("count", histogram.count);
    number("sum", histogram.sum);
    number("z_bucket", histogram.zero_count);
    number("z_bucket_w", histogram.zero_threshold);
    if !histogram.custom_values.is_empty() {
        parts.push(format!("custom_values:{}", list(histogram.custom_values.iter().copied())));
    }
    match histogram.reset_hint {
        ResetHint::Unknown => {}
        ResetHint::Reset => parts.push("counter_reset_hint:reset".to_owned()),
        ResetHint::NotReset => parts.push("counter_reset_hint:not_reset".to_owned()),
        ResetHint::Gauge => parts.push("counter_reset_hint:gauge".to_owned()),
    }
    for (prefix, spans, counts) in
        [("", &histogram.positive_spans, &histogram.positive), ("n_", &histogram.negative_spans, &histogram.negative)]
    {
        let buckets = filled(spans, counts);
        let (Some((first, _)), Some((last, _))) = (buckets.first_key_value(), buckets.last_key_value()) else {
            continue;
        };
        if *first != 0 {
            parts.push(format!("{prefix}offset:{first}"));
        }
        let counts = (*first..=*last).map(|index| buckets.get(&index).copied().unwrap_or(0.0));
        parts.push(format!("{prefix}buckets:{}", list(counts)));
    }
    format!("{{{{{}}}}}", parts.join(" "))
}

/// `[1 2 3]`, cut after 200 values.
fn list(values: impl Iterator<Item = f64>) -> String {
    let mut out = String::from("[");
    for (i, value) in values.take(200).enumerate() {
        let blank = if i == 0 { "" } else { " " };
        let _ = write!(out, "{blank}{}", crate::model::format_float(value));
    }
    out.push(']');
    out
}
