//! One bucket of one series: what functions of ranges need of its samples.

use crate::model::{Timestamp, is_stale};

/// The samples of one series in `(end − length, end]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bucket {
    /// Samples; stale markers are none. 0 where only a stale marker is in the bucket: the rest means nothing then.
    pub(crate) count: u64,
    pub(crate) first_ts: Timestamp,
    pub(crate) last_ts: Timestamp,
    pub(crate) first: f64,
    pub(crate) last: f64,
    /// Least value; NaN only when all are.
    pub(crate) min: f64,
    /// Largest value; NaN only when all are.
    pub(crate) max: f64,
    pub(crate) sum: f64,
    /// What a counter had counted before each reset, summed: the increase is `last − first + lost`.
    pub(crate) lost: f64,
    /// Whether a stale marker follows the last sample.
    pub(crate) stale: bool,
}

impl Bucket {
    /// A bucket of one sample, or of a stale marker.
    pub(crate) fn of(ts: Timestamp, value: f64) -> Self {
        let stale = is_stale(value);
        let value = if stale { 0.0 } else { value };
        let count = u64::from(!stale);
        let (first, last, min, max, sum) = (value, value, value, value, value);
        Self { count, first_ts: ts, last_ts: ts, first, last, min, max, sum, lost: 0.0, stale }
    }

    /// Takes what comes later.
    pub(crate) fn extend(&mut self, later: &Self) {
        self.stale = later.stale;
        if later.count == 0 {
            return;
        }
        if self.count == 0 {
            *self = *later;
            return;
        }
        self.lost += later.lost + lost_between(self.last, later.first);
        self.count += later.count;
        self.sum += later.sum;
        if later.min < self.min || self.min.is_nan() {
            self.min = later.min;
        }
        if later.max > self.max || self.max.is_nan() {
            self.max = later.max;
        }
        (self.last, self.last_ts) = (later.last, later.last_ts);
    }
}

/// What a counter lost by a reset between two samples.
pub(crate) fn lost_between(before: f64, now: f64) -> f64 {
    if now < before { before } else { 0.0 }
}

/// Buckets of one length that are filled in the order of time.
#[derive(Debug, Default)]
pub(crate) struct Buckets {
    length: i64,
    /// End and content, ascending.
    pub(crate) all: Vec<(Timestamp, Bucket)>,
    /// What rounding has cost the newest bucket's sum so far (Neumaier).
    error: f64,
}

impl Buckets {
    pub(crate) fn new(length: i64) -> Self {
        Self { length, ..Self::default() }
    }

    /// Takes a bucket of a finer tier, or of one sample, whose samples end at `ts`.
    pub(crate) fn push(&mut self, ts: Timestamp, part: &Bucket) {
        let end = end_of(ts, self.length);
        match self.all.last_mut().filter(|(last, _)| *last == end) {
            Some((_, bucket)) => {
                let (before, empty) = (bucket.sum, bucket.count == 0);
                bucket.extend(part);
                if part.count > 0 && !empty {
                    let (large, small) =
                        if before.abs() >= part.sum.abs() { (before, part.sum) } else { (part.sum, before) };
                    self.error += (large - bucket.sum) + small;
                }
            }
            None => {
                self.settle();
                self.all.push((end, *part));
            }
        }
    }

    /// Puts what rounding has cost back into the sum.
    fn settle(&mut self) {
        if let Some((_, bucket)) = self.all.last_mut()
            && self.error.is_finite()
        {
            bucket.sum += self.error;
        }
        self.error = 0.0;
    }

    pub(crate) fn finish(mut self) -> Vec<(Timestamp, Bucket)> {
        self.settle();
        self.all
    }
}

/// The end of the bucket that a time is in.
pub(crate) fn end_of(ts: Timestamp, length: i64) -> Timestamp {
    (ts.saturating_sub(1).div_euclid(length) + 1).saturating_mul(length)
}
