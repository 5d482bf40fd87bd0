//! Classic histograms → native ones with listed bounds.

use crate::model::{CUSTOM_BUCKETS_SCHEMA, Histogram, Span};

/// One histogram of cumulative buckets `(upper bound, count)`, which get sorted. Without a `count` it is that of the highest bucket; a bucket of +Inf
/// may be missing. Of bounds that repeat the first one counts, as in Prometheus.
///
/// # Errors
/// When there is neither a count nor a bucket, bounds are NaN, or counts fall.
pub fn of_classic(buckets: &mut Vec<(f64, f64)>, count: Option<f64>, sum: f64) -> Result<Histogram, String> {
    if buckets.iter().any(|(bound, _)| bound.is_nan()) {
        return Err("expected no bound of NaN".to_owned());
    }
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    buckets.dedup_by(|later, first| later.0 == first.0);
    let highest = buckets.last().map(|(_, count)| *count);
    let Some(count) = count.or(highest) else { return Err("expected a count or buckets".to_owned()) };
    if buckets.last().is_none_or(|(bound, _)| *bound != f64::INFINITY) {
        buckets.push((f64::INFINITY, count));
    }
    let mut below = 0.0;
    let mut positive = Vec::with_capacity(buckets.len());
    for (bound, cumulative) in buckets.iter() {
        if cumulative.is_nan() || *cumulative < below {
            return Err(format!("expected a count of {below} or more up to {bound}, found {cumulative}"));
        }
        positive.push(cumulative - below);
        below = *cumulative;
    }
    if below != count {
        return Err(format!("expected a count of {below}, as its buckets say, found {count}"));
    }
    let length = u32::try_from(positive.len()).map_err(|_| "expected fewer buckets".to_owned())?;
    buckets.pop();
    Ok(Histogram {
        schema: CUSTOM_BUCKETS_SCHEMA,
        count,
        sum,
        positive_spans: vec![Span { offset: 0, length }],
        positive,
        custom_values: buckets.iter().map(|(bound, _)| *bound).collect(),
        ..Histogram::default()
    })
}

#[cfg(test)]
mod tests {
    use super::of_classic;

    #[test]
    fn buckets_become_one_histogram() {
        type Case<'c> = (&'c [(f64, f64)], Option<f64>, Result<(&'c [f64], &'c [f64], f64), &'c str>);
        let inf = f64::INFINITY;
        let cases: &[Case<'_>] = &[
            (&[(1.0, 2.0), (2.0, 5.0), (inf, 6.0)], Some(6.0), Ok((&[1.0, 2.0], &[2.0, 3.0, 1.0], 6.0))),
            // In any order; the last bucket is the count.
            (&[(2.0, 5.0), (1.0, 2.0)], Some(6.0), Ok((&[1.0, 2.0], &[2.0, 3.0, 1.0], 6.0))),
            (&[(1.0, 2.0), (inf, 4.0)], None, Ok((&[1.0], &[2.0, 2.0], 4.0))),
            (&[(1.0, 2.0)], None, Ok((&[1.0], &[2.0, 0.0], 2.0))),
            (&[], Some(3.0), Ok((&[], &[3.0], 3.0))),
            (&[(inf, 0.0)], Some(0.0), Ok((&[], &[0.0], 0.0))),
            (&[(-1.0, 1.0), (0.0, 1.5)], Some(2.0), Ok((&[-1.0, 0.0], &[1.0, 0.5, 0.5], 2.0))),
            (&[(1.0, 2.0), (1.0, 2.0)], None, Ok((&[1.0], &[2.0, 0.0], 2.0))),
            (&[(1.0, 1.0), (inf, 2.0), (1.0, 7.0)], Some(2.0), Ok((&[1.0], &[1.0, 1.0], 2.0))),
            (&[], None, Err("a count or buckets")),
            (&[(f64::NAN, 2.0)], None, Err("no bound of NaN")),
            (&[(1.0, 3.0), (2.0, 2.0)], None, Err("3 or more")),
            (&[(1.0, f64::NAN)], None, Err("")),
            (&[(1.0, -1.0)], None, Err("0 or more")),
            (&[(inf, 3.0)], Some(4.0), Err("as its buckets say")),
            (&[(1.0, 3.0)], Some(2.0), Err("3 or more")),
        ];
        for (buckets, count, expected) in cases {
            let found = of_classic(&mut buckets.to_vec(), *count, 1.5);
            match (found, expected) {
                (Ok(found), Ok((bounds, counts, total))) => {
                    assert_eq!(
                        (&found.custom_values[..], &found.positive[..], found.count),
                        (*bounds, *counts, *total)
                    );
                    assert_eq!(found.positive_spans[0].length as usize, found.positive.len());
                }
                (Err(found), Err(part)) => assert!(found.contains(part), "{buckets:?}: {found}"),
                (found, _) => panic!("{buckets:?} {count:?}: {found:?}"),
            }
        }
    }
}
