//! Native histograms as they travel (spans, deltas or counts) → [`Histogram`].

use crate::model::{CUSTOM_BUCKETS_SCHEMA, Histogram, ResetHint, Span};

/// The widest and the finest resolution of exponential buckets.
const SCHEMAS: std::ops::RangeInclusive<i32> = -4..=8;

/// One side of a histogram: counts as differences (of integers) or as they are.
#[derive(Debug, Clone, Default)]
pub(super) struct Side {
    pub(super) spans: Vec<Span>,
    pub(super) deltas: Vec<i64>,
    pub(super) counts: Vec<f64>,
}

/// A histogram as it travels.
#[derive(Debug, Clone, Default)]
pub(super) struct Native {
    pub(super) schema: i32,
    pub(super) zero_threshold: f64,
    pub(super) zero_count: f64,
    pub(super) count: f64,
    pub(super) sum: f64,
    /// Whether the counts are floats.
    pub(super) floats: bool,
    pub(super) positive: Side,
    pub(super) negative: Side,
    /// Upper bounds for [`CUSTOM_BUCKETS_SCHEMA`].
    pub(super) bounds: Vec<f64>,
    pub(super) gauge: bool,
}

impl Native {
    /// Checks that it means something, and unfolds the differences.
    pub(super) fn build(self) -> Result<Histogram, String> {
        let custom = self.schema == CUSTOM_BUCKETS_SCHEMA;
        if !custom && !SCHEMAS.contains(&self.schema) {
            return Err(format!("expected a schema of -4 to 8, or -53, found {}", self.schema));
        }
        if custom {
            self.check_bounds()?;
        }
        for (what, value) in
            [("count", self.count), ("zero_count", self.zero_count), ("zero_threshold", self.zero_threshold)]
        {
            // NaN is what a stale histogram's sum has, not its counts.
            if value.is_nan() || value < 0.0 {
                return Err(format!("expected a {what} of 0 or more, found {value}"));
            }
        }
        let floats = self.floats;
        let positive = side("positive", &self.positive, floats)?;
        let negative = side("negative", &self.negative, floats)?;
        if custom {
            let last =
                self.positive.spans.iter().map(|span| i64::from(span.offset) + i64::from(span.length)).sum::<i64>();
            if last > self.bounds.len() as i64 + 1 || self.positive.spans.first().is_some_and(|span| span.offset < 0) {
                return Err(format!("expected buckets within {} bounds", self.bounds.len()));
            }
        }
        if !floats {
            self.check_total(positive.iter().chain(&negative).sum())?;
        }
        Ok(Histogram {
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            zero_count: self.zero_count,
            count: self.count,
            sum: self.sum,
            // A client marks an empty native histogram with an empty span.
            positive_spans: without_empty(self.positive.spans),
            negative_spans: without_empty(self.negative.spans),
            positive,
            negative,
            custom_values: if custom { self.bounds } else { Vec::new() },
            reset_hint: if self.gauge { ResetHint::Gauge } else { ResetHint::Unknown },
        })
    }

    /// Observations of NaN make the sum NaN and stand in no bucket. Float counts are rounded, so they may differ.
    fn check_total(&self, in_buckets: f64) -> Result<(), String> {
        let (total, count) = (in_buckets + self.zero_count, self.count);
        if total > count || (total < count && !self.sum.is_nan()) {
            return Err(format!("expected buckets that add up to the count of {count}, found {total}"));
        }
        Ok(())
    }

    fn check_bounds(&self) -> Result<(), String> {
        if self.zero_count != 0.0 || self.zero_threshold != 0.0 || !self.negative.spans.is_empty() {
            return Err("expected neither a zero bucket nor negative ones with listed bounds (schema -53)".to_owned());
        }
        let rising = self.bounds.windows(2).all(|pair| matches!(pair, [a, b] if a < b));
        if !rising || self.bounds.iter().any(|bound| bound.is_nan() || *bound == f64::INFINITY) {
            return Err("expected rising bounds without NaN and +Inf (schema -53)".to_owned());
        }
        Ok(())
    }
}

/// The spans that cover anything, each where it was.
fn without_empty(spans: Vec<Span>) -> Vec<Span> {
    let mut before = 0i32;
    let moved = spans.into_iter().filter_map(|span| {
        let offset = before.saturating_add(span.offset);
        before = if span.length == 0 { offset } else { 0 };
        (span.length > 0).then_some(Span { offset, ..span })
    });
    moved.collect()
}

/// The counts of one side, as many as its spans cover.
fn side(what: &str, side: &Side, floats: bool) -> Result<Vec<f64>, String> {
    let found = if floats { side.counts.len() } else { side.deltas.len() };
    let covered: u64 = side.spans.iter().map(|span| u64::from(span.length)).sum();
    if covered != found as u64 {
        return Err(format!("expected {covered} {what} buckets, as its spans say, found {found}"));
    }
    let mut index = 0i64;
    for (at, span) in side.spans.iter().enumerate() {
        if at > 0 && span.offset < 0 {
            return Err(format!("expected {what} spans in order, found an offset of {}", span.offset));
        }
        index += i64::from(span.offset) + i64::from(span.length);
        if i32::try_from(index).is_err() {
            return Err(format!("expected {what} buckets whose numbers fit 32 bits"));
        }
    }
    if floats {
        let bad = side.counts.iter().find(|count| count.is_nan() || **count < 0.0);
        return bad.map_or_else(
            || Ok(side.counts.clone()),
            |bad| Err(format!("expected {what} counts of 0 or more, found {bad}")),
        );
    }
    let mut count = 0i64;
    side.deltas
        .iter()
        .map(|delta| {
            count = count.checked_add(*delta).filter(|count| *count >= 0)?;
            Some(count as f64)
        })
        .collect::<Option<Vec<f64>>>()
        .ok_or_else(|| format!("expected {what} counts of 0 or more, as their differences add up"))
}

#[cfg(test)]
mod tests {
    use super::without_empty;
    use crate::model::Span;

    #[test]
    fn empty_spans_move_nobody() {
        type Spans = &'static [(i32, u32)];
        let spans = |list: &[(i32, u32)]| -> Vec<Span> {
            list.iter().map(|(offset, length)| Span { offset: *offset, length: *length }).collect()
        };
        let cases: &[(Spans, Spans)] = &[
            (&[(0, 0)], &[]),
            (&[(-3, 2), (1, 1)], &[(-3, 2), (1, 1)]),
            (&[(4, 0), (1, 2)], &[(5, 2)]),
            (&[(1, 1), (2, 0), (3, 0), (1, 1), (2, 1)], &[(1, 1), (6, 1), (2, 1)]),
            (&[(1, 1), (2, 0)], &[(1, 1)]),
        ];
        for (before, expected) in cases {
            assert_eq!(without_empty(spans(before)), spans(expected), "{before:?}");
        }
    }
}
