//! Classic histograms: quantiles and fractions from cumulative buckets.
//!
//! Source of the rules: Prometheus 3.14, `promql/quantile.go`.

/// Relative differences below this are rounding, not a lost monotonicity.
const SMALL_DELTA: f64 = 1e-12;

/// A cumulative bucket.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bucket {
    pub(crate) upper: f64,
    pub(crate) count: f64,
}

/// Where buckets had to be lifted to be monotonic.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Repair {
    pub(crate) min_bucket: f64,
    pub(crate) max_bucket: f64,
    pub(crate) max_diff: f64,
}

/// The q-quantile and what had to be repaired. Sorts and merges `buckets`, which must not be empty.
pub(crate) fn bucket_quantile(q: f64, buckets: &mut Vec<Bucket>) -> (f64, Option<Repair>) {
    if q.is_nan() {
        return (f64::NAN, None);
    }
    if q < 0.0 {
        return (f64::NEG_INFINITY, None);
    }
    if q > 1.0 {
        return (f64::INFINITY, None);
    }
    if !sort_and_merge(buckets) {
        return (f64::NAN, None);
    }
    let repair = make_monotonic(buckets);
    let last = buckets.len() - 1;
    let observations = buckets[last].count;
    if last == 0 || observations == 0.0 {
        return (f64::NAN, None);
    }
    let rank = q * observations;
    let found = buckets[..last].partition_point(|bucket| !at_least(bucket.count, rank));
    (interpolate(buckets, found, rank), repair)
}

/// As Go compares: NaN is not at least anything.
fn at_least(count: f64, rank: f64) -> bool {
    count >= rank
}

fn interpolate(buckets: &[Bucket], found: usize, rank: f64) -> f64 {
    let last = buckets.len() - 1;
    if found == last {
        return buckets[last - 1].upper;
    }
    let Bucket { upper, count } = buckets[found];
    if found == 0 {
        // The first bucket starts at zero, unless it lies below.
        return if upper <= 0.0 { upper } else { upper * (rank / count) };
    }
    let before = buckets[found - 1];
    before.upper + (upper - before.upper) * ((rank - before.count) / (count - before.count))
}

/// The share of observations in `lower..upper`. Sorts and merges `buckets`, which must not be empty.
pub(crate) fn bucket_fraction(lower: f64, upper: f64, buckets: &mut Vec<Bucket>) -> f64 {
    if !sort_and_merge(buckets) {
        return f64::NAN;
    }
    let total = buckets[buckets.len() - 1].count;
    if total == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    (rank_of(upper, buckets, total) - rank_of(lower, buckets, total)) / total
}

/// How many observations lie below `bound`.
fn rank_of(bound: f64, buckets: &[Bucket], total: f64) -> f64 {
    let mut below = 0.0_f64;
    let mut from = if buckets[0].upper <= 0.0 { f64::NEG_INFINITY } else { 0.0 };
    for bucket in buckets {
        if from >= bound {
            return at_most(below, total);
        }
        if bucket.upper > bound {
            let rank = if from == f64::NEG_INFINITY {
                bucket.count
            } else {
                below + (bucket.count - below) * (bound - from) / (bucket.upper - from)
            };
            return at_most(rank, total);
        }
        below = bucket.count;
        from = bucket.upper;
    }
    total
}

/// As Go compares: NaN is not above anything and stays.
fn at_most(rank: f64, total: f64) -> f64 {
    if rank > total { total } else { rank }
}

/// Sorts by bound and adds up buckets with the same bound. Says whether the last one is `+Inf`.
fn sort_and_merge(buckets: &mut Vec<Bucket>) -> bool {
    buckets.sort_by(|a, b| a.upper.total_cmp(&b.upper));
    if buckets.last().is_none_or(|last| last.upper != f64::INFINITY) {
        return false;
    }
    buckets.dedup_by(|next, kept| {
        let same = next.upper == kept.upper;
        if same {
            kept.count += next.count;
        }
        same
    });
    true
}

/// Lifts every bucket to the count of the one before it.
fn make_monotonic(buckets: &mut [Bucket]) -> Option<Repair> {
    let mut repair: Option<Repair> = None;
    let mut before = buckets.first()?.count;
    for bucket in buckets.iter_mut().skip(1) {
        if bucket.count == before {
            continue;
        }
        if almost_equal(before, bucket.count) {
            bucket.count = before;
        } else if bucket.count < before {
            let diff = before - bucket.count;
            bucket.count = before;
            let all =
                repair.get_or_insert(Repair { min_bucket: bucket.upper, max_bucket: bucket.upper, max_diff: diff });
            all.min_bucket = all.min_bucket.min(bucket.upper);
            all.max_bucket = all.max_bucket.max(bucket.upper);
            all.max_diff = all.max_diff.max(diff);
        } else {
            before = bucket.count;
        }
    }
    repair
}

fn almost_equal(a: f64, b: f64) -> bool {
    if a == b || (a.is_nan() && b.is_nan()) {
        return true;
    }
    let (sum, diff) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return diff < SMALL_DELTA * f64::MIN_POSITIVE;
    }
    diff / sum.min(f64::MAX) < SMALL_DELTA
}

#[cfg(test)]
mod tests {
    use super::{Bucket, bucket_fraction, bucket_quantile};

    fn buckets(pairs: &[(f64, f64)]) -> Vec<Bucket> {
        pairs.iter().map(|(upper, count)| Bucket { upper: *upper, count: *count }).collect()
    }

    #[test]
    fn quantiles_of_buckets() {
        let inf = f64::INFINITY;
        let good: &[(f64, f64)] = &[(0.1, 50.0), (0.2, 70.0), (1.0, 110.0), (inf, 120.0)];
        type Case<'a> = (f64, &'a [(f64, f64)], f64);
        let cases: &[Case<'_>] = &[
            (0.2, good, 0.048),
            (0.5, good, 0.15),
            (1.0, good, 1.0),
            (0.0, &[(-0.2, 10.0), (-0.1, 20.0), (inf, 30.0)], -0.2),
            (0.99, &[(0.1, 20.0), (1.0, 10.0), (10.0, 50.0), (100.0, 40.0), (1000.0, 90.0), (inf, 80.0)], 979.75),
        ];
        for (q, pairs, expected) in cases {
            let (found, _) = bucket_quantile(*q, &mut buckets(pairs));
            assert!((found - expected).abs() < 1e-9, "{q} of {pairs:?}: {found}");
        }
        assert!(bucket_quantile(0.5, &mut buckets(&[(1.0, 1.0)])).0.is_nan());
        // Nothing was observed: what had to be lifted is not told.
        assert!(bucket_quantile(0.5, &mut buckets(&[(1.0, 0.0), (2.0, -1.0), (inf, 0.0)])).1.is_none());
    }

    #[test]
    fn fractions_of_buckets() {
        let pairs = [(-3.0, 10.0), (-2.0, 12.0), (-1.0, 15.0), (f64::INFINITY, 100.0)];
        for (lower, upper, expected) in [(-4.0, -2.0, 0.02), (f64::NEG_INFINITY, -1.5, 0.135), (0.0, 1.0, 0.0)] {
            let found = bucket_fraction(lower, upper, &mut buckets(&pairs));
            assert!((found - expected).abs() < 1e-12, "{lower}..{upper}: {found}");
        }
        let unknown = [(0.1, f64::NAN), (1.0, 3.0), (f64::INFINITY, 4.0)];
        assert!(bucket_fraction(0.0, 0.5, &mut buckets(&unknown)).is_nan());
    }
}
