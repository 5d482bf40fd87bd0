//! What the engine counts of the queries that people ask. Rules are counted by the rules' room.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::result::QueryError;

/// Upper bounds of the duration buckets in seconds: a dashboard's panel is in the first few, a timeout in the last.
pub const DURATION_BOUNDS: [f64; 10] = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0];

/// Why a query got no answer: which bound it met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Longer than [`crate::limits::MAX_QUERY_BYTES`].
    Length,
    /// More points than [`crate::limits::MAX_RANGE_POINTS`].
    Points,
    /// No place became free in time (`--query.max-concurrency`).
    Queue,
    /// Ran out of time (`--query.timeout`, `timeout=`).
    Time,
    /// Needed too many samples (`--query.max-samples`).
    Samples,
    /// Its client had gone.
    Canceled,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Length, Self::Points, Self::Queue, Self::Time, Self::Samples, Self::Canceled];

    /// The word in the `reason` label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Length => "length",
            Self::Points => "points",
            Self::Queue => "queue",
            Self::Time => "time",
            Self::Samples => "samples",
            Self::Canceled => "canceled",
        }
    }

    fn of(error: &QueryError) -> Option<Self> {
        match error {
            QueryError::Timeout(_) => Some(Self::Time),
            QueryError::Canceled(_) => Some(Self::Canceled),
            QueryError::TooManySamples { .. } => Some(Self::Samples),
            _ => None,
        }
    }
}

/// Queries under way and done.
#[derive(Debug, Default)]
pub struct QueryCounters {
    /// Queries that are being evaluated.
    pub running: AtomicU64,
    /// Queries that wait for a place.
    pub waiting: AtomicU64,
    /// Samples that queries read, as Prometheus counts them.
    pub samples: AtomicU64,
    refused: [AtomicU64; Refusal::ALL.len()],
    /// One count a bucket, not cumulative; the last is for everything slower.
    durations: [AtomicU64; DURATION_BOUNDS.len() + 1],
    duration_ns: AtomicU64,
}

/// Adds one to a gauge for as long as it lives.
#[derive(Debug)]
pub struct Counted<'a>(&'a AtomicU64);

impl<'a> Counted<'a> {
    /// Counts from now on.
    pub fn new(gauge: &'a AtomicU64) -> Self {
        gauge.fetch_add(1, Ordering::Relaxed);
        Self(gauge)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl QueryCounters {
    /// Counts a query that was not answered.
    pub fn refuse(&self, why: Refusal) {
        self.refused[why as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How many queries met this bound.
    pub fn refused(&self, why: Refusal) -> u64 {
        self.refused[why as usize].load(Ordering::Relaxed)
    }

    /// Time of all evaluations, and how many fell between each two of [`DURATION_BOUNDS`]; the last count is for those
    /// beyond all of them.
    pub fn durations(&self) -> (Duration, [u64; DURATION_BOUNDS.len() + 1]) {
        let counts = self.durations.each_ref().map(|bucket| bucket.load(Ordering::Relaxed));
        (Duration::from_nanos(self.duration_ns.load(Ordering::Relaxed)), counts)
    }

    pub(super) fn finished(&self, took: Duration, outcome: Result<u64, &QueryError>) {
        let bucket = DURATION_BOUNDS.partition_point(|bound| *bound < took.as_secs_f64());
        self.durations[bucket].fetch_add(1, Ordering::Relaxed);
        self.duration_ns.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        match outcome {
            Ok(samples) => {
                self.samples.fetch_add(samples, Ordering::Relaxed);
            }
            Err(error) => {
                if let Some(why) = Refusal::of(error) {
                    self.refuse(why);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{QueryCounters, Refusal};
    use crate::promql::QueryError;
    use std::time::Duration;

    #[test]
    fn counts_by_reason_and_duration() {
        let counters = QueryCounters::default();
        counters.finished(Duration::from_millis(1), Ok(7));
        counters.finished(Duration::from_millis(20), Err(&QueryError::TooManySamples { wanted: None, limit: 1 }));
        counters.finished(Duration::from_secs(60), Err(&QueryError::BadData(String::new())));
        let (sum, buckets) = counters.durations();
        assert_eq!(sum, Duration::from_millis(60_021));
        assert_eq!(buckets, [1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1]);
        let refused: Vec<u64> = Refusal::ALL.iter().map(|why| counters.refused(*why)).collect();
        assert_eq!(refused, [0, 0, 0, 0, 1, 0]);
    }

    #[test]
    fn every_reason_has_its_place() {
        for (place, why) in Refusal::ALL.iter().enumerate() {
            assert_eq!(*why as usize, place, "{}", why.as_str());
        }
    }
}
