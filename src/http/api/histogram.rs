//! A native histogram as Prometheus' API writes it: count, sum and the buckets that are not empty.

use crate::http::json::Json;
use crate::model::{CUSTOM_BUCKETS_SCHEMA, Histogram, Span, exponential_bound};

/// Which bounds belong to a bucket: the numbers of the API's boundary rule.
const OPEN_LEFT: u8 = 0;
const OPEN_RIGHT: u8 = 1;
const CLOSED: u8 = 3;

/// `{"count":"…","sum":"…","buckets":[[rule,"lower","upper","count"],…]}`
pub(super) fn write_histogram(json: &mut Json, histogram: &Histogram) {
    json.raw("{\"count\":").value(histogram.count).raw(",\"sum\":").value(histogram.sum);
    for (i, (rule, lower, upper, count)) in buckets(histogram).into_iter().enumerate() {
        json.raw(if i == 0 { ",\"buckets\":[" } else { "," });
        json.raw("[").number(rule).raw(",").value(lower).raw(",").value(upper).raw(",").value(count).raw("]");
    }
    let any =
        histogram.zero_count != 0.0 || histogram.positive.iter().chain(&histogram.negative).any(|count| *count != 0.0);
    json.raw(if any { "]}" } else { "}" });
}

/// Negative buckets from the outermost on, the zero bucket, positive buckets; empty ones left out.
fn buckets(histogram: &Histogram) -> Vec<(u8, f64, f64, f64)> {
    let mut all: Vec<(u8, f64, f64, f64)> = indexed(&histogram.negative_spans, &histogram.negative)
        .map(|(index, count)| (OPEN_RIGHT, -upper(histogram, index), -upper(histogram, index - 1), count))
        .collect();
    all.reverse();
    all.push((CLOSED, -histogram.zero_threshold, histogram.zero_threshold, histogram.zero_count));
    all.extend(
        indexed(&histogram.positive_spans, &histogram.positive)
            .map(|(index, count)| (OPEN_LEFT, upper(histogram, index - 1), upper(histogram, index), count)),
    );
    all.retain(|(_, _, _, count)| *count != 0.0);
    all
}

/// Index of each bucket with its count.
fn indexed<'a>(spans: &'a [Span], counts: &'a [f64]) -> impl Iterator<Item = (i64, f64)> + 'a {
    let mut next = 0i64;
    let indexes = spans.iter().flat_map(move |span| {
        let start = next + i64::from(span.offset);
        next = start + i64::from(span.length);
        start..next
    });
    indexes.zip(counts.iter().copied())
}

/// Upper bound of the positive bucket `index`: 2^(index · 2^−schema), or the listed bound (`getBound` in Prometheus'
/// `model/histogram/generic.go`).
fn upper(histogram: &Histogram, index: i64) -> f64 {
    if histogram.schema == CUSTOM_BUCKETS_SCHEMA {
        return match usize::try_from(index) {
            Ok(index) => histogram.custom_values.get(index).copied().unwrap_or(f64::INFINITY),
            Err(_) => f64::NEG_INFINITY,
        };
    }
    exponential_bound(index, histogram.schema)
}

#[cfg(test)]
mod tests {
    use super::write_histogram;
    use crate::http::json::Json;
    use crate::model::{Histogram, Span};

    #[test]
    fn buckets_have_bounds() {
        let histogram = Histogram {
            zero_threshold: 0.001,
            zero_count: 1.0,
            count: 7.0,
            sum: 9.5,
            positive_spans: vec![Span { offset: 0, length: 1 }, Span { offset: 1, length: 1 }],
            positive: vec![2.0, 3.0],
            negative_spans: vec![Span { offset: 1, length: 1 }],
            negative: vec![1.0],
            ..Histogram::default()
        };
        let mut json = Json::default();
        write_histogram(&mut json, &histogram);
        let expected = r#"{"count":"7","sum":"9.5","buckets":[[1,"-2","-1","1"],[3,"-0.001","0.001","1"],[0,"0.5","1","2"],[0,"2","4","3"]]}"#;
        assert_eq!(String::from_utf8(json.finish()).expect("utf-8"), expected);
    }
}
