//! Coarser buckets for native histograms that have too many.

use crate::model::{CUSTOM_BUCKETS_SCHEMA, Histogram, Span};

/// The coarsest and the finest exponential buckets.
const COARSEST: i32 = -4;
const FINEST: i32 = 8;

/// The finest schema whose buckets grow at least by this factor from one bound to the next; 8 for factors up to 1.
pub fn schema_of_factor(factor: f64) -> i32 {
    // NaN is no factor.
    if factor.is_nan() || factor <= 1.0 {
        return FINEST;
    }
    let schema = (-factor.log2().log2()).floor();
    schema.clamp(f64::from(COARSEST), f64::from(FINEST)) as i32
}

/// Makes the buckets of a histogram coarser until they have at most this schema and this number (0: any), empty ones not counted.
///
/// # Errors
/// When even the coarsest are too many, or they are listed ones, which cannot be merged.
pub fn limit_buckets(histogram: &Histogram, schema: i32, limit: usize) -> Result<Option<Histogram>, String> {
    // Clients fill gaps with empty buckets, and listed ones are mostly empty: as in Prometheus these do not count.
    let count = |histogram: &Histogram| {
        histogram.positive.iter().chain(&histogram.negative).filter(|count| **count != 0.0).count()
    };
    let too_many = |histogram: &Histogram| limit > 0 && count(histogram) > limit;
    let exceeded = || Err(format!("histogram bucket limit exceeded: expected at most {limit} buckets"));
    if histogram.schema == CUSTOM_BUCKETS_SCHEMA {
        return if too_many(histogram) { exceeded() } else { Ok(None) };
    }
    let mut coarser = (histogram.schema > schema).then(|| reduce(histogram, schema));
    while too_many(coarser.as_ref().unwrap_or(histogram)) {
        let now = coarser.as_ref().unwrap_or(histogram);
        if now.schema <= COARSEST {
            return exceeded();
        }
        coarser = Some(reduce(now, now.schema - 1));
    }
    Ok(coarser)
}

/// The same observations in the buckets of a coarser schema. Each is made of 2^(difference) neighbours.
fn reduce(histogram: &Histogram, schema: i32) -> Histogram {
    let shift = (histogram.schema - schema).clamp(0, 31);
    let (positive_spans, positive) = merge(&histogram.positive_spans, &histogram.positive, shift);
    let (negative_spans, negative) = merge(&histogram.negative_spans, &histogram.negative, shift);
    Histogram { schema, positive_spans, positive, negative_spans, negative, ..histogram.clone() }
}

fn merge(spans: &[Span], counts: &[f64], shift: i32) -> (Vec<Span>, Vec<f64>) {
    let mut merged: (Vec<Span>, Vec<f64>) = Default::default();
    // One past the last bucket of the old and of the new ones.
    let (mut next, mut end) = (0i64, 0i64);
    let mut counts = counts.iter();
    for span in spans {
        next += i64::from(span.offset);
        for count in counts.by_ref().take(span.length as usize) {
            // Bucket i ends at base^i, so that i and i - 1 share a bucket when i is even.
            let index = ((next - 1) >> shift) + 1;
            next += 1;
            match merged.1.last_mut() {
                Some(last) if index < end => *last += count,
                _ => {
                    push(&mut merged.0, index - end);
                    merged.1.push(*count);
                    end = index + 1;
                }
            }
        }
    }
    merged
}

/// One more bucket, so many after the last.
fn push(spans: &mut Vec<Span>, gap: i64) {
    match spans.last_mut() {
        Some(last) if gap == 0 => last.length += 1,
        // Buckets have numbers of 32 bits, and coarser ones smaller numbers.
        _ => spans.push(Span { offset: i32::try_from(gap).unwrap_or(i32::MAX), length: 1 }),
    }
}

#[cfg(test)]
mod tests {
    use super::{limit_buckets, schema_of_factor};
    use crate::model::{CUSTOM_BUCKETS_SCHEMA, Histogram, Span};

    fn histogram(schema: i32, spans: &[(i32, u32)], counts: &[f64]) -> Histogram {
        let positive_spans = spans.iter().map(|(offset, length)| Span { offset: *offset, length: *length }).collect();
        let count = counts.iter().sum();
        Histogram { schema, positive_spans, positive: counts.to_vec(), count, ..Histogram::default() }
    }

    #[test]
    fn factors() {
        let cases = [
            (0.0, 8),
            (1.0, 8),
            (1.0027, 8),
            (1.003, 7),
            (1.1, 2),
            (1.5, 0),
            (2.0, 0),
            (3.0, -1),
            (4.0, -1),
            (1e9, -4),
            (f64::INFINITY, -4),
            (f64::NAN, 8),
        ];
        for (factor, expected) in cases {
            assert_eq!(schema_of_factor(factor), expected, "{factor}");
        }
    }

    #[test]
    fn buckets_merge_until_they_fit() {
        type Shape<'s> = (i32, &'s [(i32, u32)], &'s [f64]);
        // Before, schema, limit, after: `None` is unchanged, an error is over the limit.
        type Case<'c> = (Shape<'c>, i32, usize, Result<Option<Shape<'c>>, ()>);
        let cases: &[Case<'_>] = &[
            ((1, &[(1, 4)], &[1.0, 2.0, 3.0, 4.0]), 8, 0, Ok(None)),
            ((1, &[(1, 4)], &[1.0, 2.0, 3.0, 4.0]), 8, 4, Ok(None)),
            ((1, &[(1, 4)], &[1.0, 2.0, 3.0, 4.0]), 0, 0, Ok(Some((0, &[(1, 2)], &[3.0, 7.0])))),
            ((1, &[(1, 4)], &[1.0, 2.0, 3.0, 4.0]), 8, 3, Ok(Some((0, &[(1, 2)], &[3.0, 7.0])))),
            ((1, &[(1, 4)], &[1.0, 2.0, 3.0, 4.0]), 8, 1, Ok(Some((-1, &[(1, 1)], &[10.0])))),
            // Buckets 0 and -1 merge, 1 and 2 do.
            ((0, &[(-1, 4)], &[1.0, 2.0, 3.0, 4.0]), -1, 0, Ok(Some((-1, &[(0, 2)], &[3.0, 7.0])))),
            (
                (0, &[(-2, 1), (1, 2), (5, 1)], &[1.0, 2.0, 3.0, 4.0]),
                -1,
                0,
                Ok(Some((-1, &[(-1, 3), (2, 1)], &[1.0, 2.0, 3.0, 4.0]))),
            ),
            ((-3, &[(0, 2)], &[1.0, 2.0]), 8, 1, Err(())),
            ((CUSTOM_BUCKETS_SCHEMA, &[(0, 3)], &[1.0, 2.0, 3.0]), 0, 3, Ok(None)),
            ((CUSTOM_BUCKETS_SCHEMA, &[(0, 3)], &[1.0, 2.0, 3.0]), 0, 2, Err(())),
            // Empty buckets do not count.
            ((CUSTOM_BUCKETS_SCHEMA, &[(0, 5)], &[0.0, 0.0, 2.0, 0.0, 0.0]), 0, 1, Ok(None)),
            ((CUSTOM_BUCKETS_SCHEMA, &[(0, 5)], &[1.0, 0.0, 2.0, 0.0, 0.0]), 0, 1, Err(())),
            ((1, &[(1, 4)], &[1.0, 0.0, 0.0, 4.0]), 8, 2, Ok(None)),
            ((1, &[(1, 4)], &[1.0, 0.0, 3.0, 4.0]), 8, 2, Ok(Some((0, &[(1, 2)], &[1.0, 7.0])))),
        ];
        for ((schema, spans, counts), coarsest, limit, expected) in cases {
            let before = histogram(*schema, spans, counts);
            let found = limit_buckets(&before, *coarsest, *limit);
            let expected = expected.map(|shape| shape.map(|(schema, spans, counts)| histogram(schema, spans, counts)));
            assert_eq!(found.map_err(|_| ()), expected, "{before:?} {coarsest} {limit}");
        }
        let both = Histogram {
            negative_spans: vec![Span { offset: 2, length: 1 }],
            negative: vec![9.0],
            zero_count: 3.0,
            ..histogram(1, &[(1, 2)], &[1.0, 2.0])
        };
        let found = limit_buckets(&both, 8, 2).expect("fits").expect("changed");
        assert_eq!((found.negative, found.positive, found.zero_count), (vec![9.0], vec![3.0], 3.0));
        assert_eq!(found.negative_spans, [Span { offset: 1, length: 1 }]);
    }
}
