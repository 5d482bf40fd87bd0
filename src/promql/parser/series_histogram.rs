//! Histogram literals `{{schema:1 count:4 buckets:[1 2 1]}}` and their sums.

use std::collections::BTreeMap;

use crate::model::{CUSTOM_BUCKETS_SCHEMA, Histogram, ResetHint, Span, exponential_bound};

use super::error::ParseErrors;
use super::series::Cursor;

/// Reads a literal; the flag says whether it carried `counter_reset_hint`.
pub(super) fn histogram_literal(cursor: &mut Cursor<'_>) -> Result<(Histogram, bool), ParseErrors> {
    if !cursor.accept("{{") {
        return cursor.fail("expected a histogram {{…}}");
    }
    let mut histogram = Histogram::default();
    let (mut offset, mut negative_offset, mut hint_written) = (0, 0, false);
    loop {
        cursor.skip_blank();
        if cursor.accept("}}") {
            break;
        }
        let key = cursor.take_while(|c| c == '_' || c.is_ascii_alphabetic());
        if !cursor.accept(":") {
            return cursor.fail("expected key:value or \"}}\" in histogram description");
        }
        match key {
            "schema" => histogram.schema = schema(cursor)?,
            "sum" => histogram.sum = number(cursor)?,
            "count" => histogram.count = number(cursor)?,
            "z_bucket" => histogram.zero_count = number(cursor)?,
            "z_bucket_w" => histogram.zero_threshold = number(cursor)?,
            "custom_values" => histogram.custom_values = numbers(cursor)?,
            "buckets" => histogram.positive = numbers(cursor)?,
            "n_buckets" => histogram.negative = numbers(cursor)?,
            "offset" => offset = integer(cursor)?,
            "n_offset" => negative_offset = integer(cursor)?,
            "counter_reset_hint" => {
                histogram.reset_hint = hint(cursor)?;
                hint_written = true;
            }
            other => return cursor.fail(format!("bad histogram descriptor found: {other:?}")),
        }
    }
    histogram.positive_spans = span(offset, histogram.positive.len());
    histogram.negative_spans = span(negative_offset, histogram.negative.len());
    Ok((histogram, hint_written))
}

fn span(offset: i32, length: usize) -> Vec<Span> {
    if length == 0 { Vec::new() } else { vec![Span { offset, length: length as u32 }] }
}

fn number(cursor: &mut Cursor<'_>) -> Result<f64, ParseErrors> {
    cursor.number("histogram description", "number")
}

fn integer(cursor: &mut Cursor<'_>) -> Result<i32, ParseErrors> {
    let value = number(cursor)?;
    if value.fract() != 0.0 || value.abs() > 1e9 {
        return cursor.fail(format!("expected a whole number, got {value}"));
    }
    Ok(value as i32)
}

fn schema(cursor: &mut Cursor<'_>) -> Result<i32, ParseErrors> {
    let schema = integer(cursor)?;
    if !(-4..=8).contains(&schema) && schema != CUSTOM_BUCKETS_SCHEMA {
        return cursor.fail(format!("expected schema -4 to 8, or {CUSTOM_BUCKETS_SCHEMA}, got {schema}"));
    }
    Ok(schema)
}

fn numbers(cursor: &mut Cursor<'_>) -> Result<Vec<f64>, ParseErrors> {
    if !cursor.accept("[") {
        return cursor.fail("expected \"[\" and bucket values");
    }
    let mut values = Vec::new();
    loop {
        cursor.skip_blank();
        if cursor.accept("]") {
            return Ok(values);
        }
        values.push(number(cursor)?);
    }
}

fn hint(cursor: &mut Cursor<'_>) -> Result<ResetHint, ParseErrors> {
    Ok(match cursor.take_while(|c| c == '_' || c.is_ascii_alphabetic()) {
        "unknown" => ResetHint::Unknown,
        "reset" => ResetHint::Reset,
        "not_reset" => ResetHint::NotReset,
        "gauge" => ResetHint::Gauge,
        _ => return cursor.fail("expected unknown, reset, not_reset or gauge"),
    })
}

/// `base + sign × step`, in the schema of `base`.
///
/// # Errors
/// When `step` is coarser than `base`, or one has custom buckets and the other has not, or others.
pub(super) fn combine(base: &Histogram, step: &Histogram, sign: f64) -> Result<Histogram, String> {
    let custom = base.schema == CUSTOM_BUCKETS_SCHEMA;
    if custom != (step.schema == CUSTOM_BUCKETS_SCHEMA) {
        return Err("custom and exponential buckets do not mix".to_owned());
    }
    if custom && base.custom_values != step.custom_values {
        return Err("the custom bounds differ".to_owned());
    }
    if base.schema > step.schema {
        return Err(format!("cannot merge from schema {} to {}", step.schema, base.schema));
    }
    let (mut left, mut right) = (Sparse::of(base, base.schema), Sparse::of(step, base.schema));
    Sparse::level(&mut left, &mut right, base.schema);
    let mut sum = Histogram {
        schema: base.schema,
        zero_threshold: left.threshold,
        zero_count: left.zero + sign * right.zero,
        count: base.count + sign * step.count,
        sum: base.sum + sign * step.sum,
        custom_values: base.custom_values.clone(),
        reset_hint: combined_hint(base.reset_hint, step.reset_hint),
        ..Histogram::default()
    };
    (sum.positive_spans, sum.positive) = merged(left.positive, &right.positive, sign);
    (sum.negative_spans, sum.negative) = merged(left.negative, &right.negative, sign);
    Ok(sum)
}

fn combined_hint(a: ResetHint, b: ResetHint) -> ResetHint {
    match (a, b) {
        (a, b) if a == b => a,
        (ResetHint::Gauge, _) | (_, ResetHint::Gauge) => ResetHint::Gauge,
        _ => ResetHint::Unknown,
    }
}

/// Buckets by index.
struct Sparse {
    threshold: f64,
    zero: f64,
    positive: BTreeMap<i32, f64>,
    negative: BTreeMap<i32, f64>,
}

impl Sparse {
    fn of(histogram: &Histogram, schema: i32) -> Self {
        let down = if schema == CUSTOM_BUCKETS_SCHEMA { 0 } else { histogram.schema - schema };
        Self {
            threshold: histogram.zero_threshold,
            zero: histogram.zero_count,
            positive: by_index(&histogram.positive_spans, &histogram.positive, down),
            negative: by_index(&histogram.negative_spans, &histogram.negative, down),
        }
    }

    /// Gives both the same zero bucket, wide enough that no filled bucket straddles its edge.
    fn level(a: &mut Self, b: &mut Self, schema: i32) {
        if schema == CUSTOM_BUCKETS_SCHEMA {
            return;
        }
        while a.threshold != b.threshold {
            let target = a.threshold.max(b.threshold);
            a.widen(target, schema);
            b.widen(target, schema);
        }
    }

    fn widen(&mut self, target: f64, schema: i32) {
        if self.threshold >= target {
            return;
        }
        self.threshold = target;
        for side in [&mut self.positive, &mut self.negative] {
            let covered: Vec<i32> =
                side.keys().copied().filter(|index| bound(index - 1, schema) < self.threshold).collect();
            for index in covered {
                let count = side.remove(&index).unwrap_or(0.0);
                self.zero += count;
                if count != 0.0 {
                    self.threshold = self.threshold.max(bound(index, schema));
                }
            }
        }
    }
}

/// Upper bound of an exponential bucket: 2^(index × 2^-schema).
fn bound(index: i32, schema: i32) -> f64 {
    exponential_bound(i64::from(index), schema)
}

/// Buckets by index, `down` resolutions coarser.
fn by_index(spans: &[Span], counts: &[f64], down: i32) -> BTreeMap<i32, f64> {
    let (mut out, mut index, mut counts) = (BTreeMap::new(), 0i32, counts.iter());
    for span in spans {
        index = index.saturating_add(span.offset);
        for count in counts.by_ref().take(span.length as usize) {
            // Bucket i of a fine schema lies in bucket ceil(i / 2^down) of the coarse one.
            let coarse = ((index - 1) >> down) + 1;
            *out.entry(coarse).or_insert(0.0) += count;
            index = index.saturating_add(1);
        }
    }
    out
}

fn merged(mut left: BTreeMap<i32, f64>, right: &BTreeMap<i32, f64>, sign: f64) -> (Vec<Span>, Vec<f64>) {
    for (index, count) in right {
        *left.entry(*index).or_insert(0.0) += sign * count;
    }
    let (mut spans, mut counts, mut next) = (Vec::<Span>::new(), Vec::new(), 0i32);
    for (index, count) in left {
        match spans.last_mut() {
            Some(span) if index == next => span.length += 1,
            _ => spans.push(Span { offset: index - next, length: 1 }),
        }
        next = index + 1;
        counts.push(count);
    }
    (spans, counts)
}
