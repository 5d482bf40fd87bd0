//! The door through which queries read: selectors in, columns out.

use std::fmt;
use std::sync::Arc;

use crate::model::{Exemplar, Histogram, Labels, Matcher, Timestamp, is_absent};

use super::StorageError;
use super::rollup::Tier;
use super::selection::Selection;

/// Which samples a query needs. Bounds are inclusive; the caller applies left-open windows itself.
#[derive(Debug, Clone)]
pub struct SelectRequest {
    /// All must match. A selector without any matcher selects everything.
    pub matchers: Vec<Matcher>,
    /// First timestamp that matters.
    pub start: Timestamp,
    /// Last timestamp that matters.
    pub end: Timestamp,
    /// When true only the newest sample at or before `end` is needed (an instant selector at one time): storage may
    /// return just that one.
    pub last_only: bool,
    /// The most samples that may come back in all; more is [`StorageError::TooManySamples`].
    pub max_samples: usize,
    /// When the selection is to be given up ([`StorageError::Stopped`]).
    pub stop: Stop,
}

/// The wish to stop reading: storage asks for it before each segment and now and then between columns. Clones share it.
#[derive(Clone, Default)]
pub struct Stop(Option<Arc<dyn Fn() -> bool + Send + Sync>>);

impl Stop {
    /// Nobody will wish to stop.
    pub fn never() -> Self {
        Self::default()
    }

    /// Stops as soon as `wished` says so; several threads ask it, some thousand times a second.
    pub fn when(wished: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(wished)))
    }

    /// Whether somebody wishes to stop now.
    pub fn is_wished(&self) -> bool {
        self.0.as_ref().is_some_and(|wished| wished())
    }
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Stop(when asked)" } else { "Stop(never)" })
    }
}

/// One series with its runs in ascending time, never overlapping: for stores that keep each series apart, and for tests.
#[derive(Debug, Clone)]
pub struct SelectedSeries {
    /// Its labels.
    pub labels: Labels,
    /// Its samples.
    pub runs: Vec<Run>,
}

/// A piece of one series: parallel columns, times strictly increasing, shared with storage (no copy).
#[derive(Debug, Clone)]
pub struct Run {
    /// Timestamps; one column is shared by all series of a group.
    pub times: Arc<[Timestamp]>,
    /// Start timestamps of the samples (0 = unknown), or `None` when none is known.
    pub start_times: Option<Arc<[Timestamp]>>,
    /// Values, parallel to `times`; holes of dense columns are [`crate::model::absent`].
    pub values: Column,
    /// First index that is part of the selection.
    pub from: usize,
    /// One past the last index that is part of the selection.
    pub to: usize,
}

/// A value column.
#[derive(Debug, Clone)]
pub enum Column {
    /// Floats; a hole is [`crate::model::absent`], a stale marker stands as it is.
    Floats(Arc<[f64]>),
    /// Native histograms; `None` is a hole.
    Histograms(Arc<[Option<Arc<Histogram>>]>),
}

impl Run {
    /// Appends the float samples, holes left out, to two parallel columns. Stale markers are included.
    pub fn floats_into(&self, times: &mut Vec<Timestamp>, values: &mut Vec<f64>) {
        let Column::Floats(column) = &self.values else { return };
        for (ts, value) in self.times[self.from..self.to].iter().zip(&column[self.from..self.to]) {
            if !is_absent(*value) {
                times.push(*ts);
                values.push(*value);
            }
        }
    }
}

/// Exemplars of one series.
#[derive(Debug, Clone, PartialEq)]
pub struct ExemplarSeries {
    /// Labels of the series.
    pub labels: Labels,
    /// Its exemplars, ascending in time.
    pub exemplars: Vec<(Timestamp, Exemplar)>,
}

/// What a function wants to know of each bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aspect {
    /// The first value.
    First,
    /// The last value.
    Last,
    /// The last value, or a stale marker when one came after it.
    Newest,
    /// The least value; NaN only when all are.
    Min,
    /// The largest value; NaN only when all are.
    Max,
    /// The sum.
    Sum,
    /// How many samples there are.
    Count,
    /// When the first sample was, in milliseconds.
    FirstTime,
    /// When the last sample was, in milliseconds.
    LastTime,
    /// What a counter lost by resets since the last sample of the bucket before: the sum of the values that it fell from.
    Lost,
    /// The part of that between the two buckets.
    Entry,
}

/// Buckets that a query needs.
#[derive(Debug, Clone)]
pub struct RollupRequest {
    /// All must match.
    pub matchers: Vec<Matcher>,
    /// Buckets that end after this, in milliseconds; a multiple of the tier's bucket.
    pub after: Timestamp,
    /// The last end of a bucket; a multiple of the tier's bucket.
    pub until: Timestamp,
    /// The coarsest buckets that will do. Where there are none, finer ones and raw samples come instead.
    pub tier: Tier,
    /// What is wanted of each bucket.
    pub aspects: Vec<Aspect>,
    /// The most places that may come back in all; more is [`StorageError::TooManySamples`].
    pub max_samples: usize,
    /// When to give up ([`StorageError::Stopped`]).
    pub stop: Stop,
}

/// Buckets as samples at their ends, one selection an aspect, all of the same shape.
#[derive(Debug, Clone)]
pub struct Rolled {
    /// In the order of the request's aspects.
    pub selections: Vec<Selection>,
    /// Whether some of the series have native histograms or start timestamps, of which buckets know nothing.
    pub has_more: bool,
}

/// Which rollups there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollups {
    /// Raw samples before this may be gone.
    pub raw_from: Timestamp,
    /// The tiers that there are, from the finest on, with the end of the first bucket and where the last one may end.
    pub tiers: Vec<(Tier, Timestamp, Timestamp)>,
}

/// What queries need of a store. Implemented by the ring and by the test language's memory store.
pub trait Querier: Send + Sync {
    /// Series that match, with their samples.
    ///
    /// # Errors
    /// When the store failed, a limit is exceeded or somebody wished to stop.
    fn select(&self, request: &SelectRequest) -> Result<Selection, StorageError>;

    /// Labels of the series that match and have a sample in the bounds (inclusive), sorted.
    ///
    /// # Errors
    /// When the store failed.
    fn series(&self, matchers: &[Matcher], start: Timestamp, end: Timestamp) -> Result<Vec<Labels>, StorageError>;

    /// Exemplars of the series that match, within inclusive bounds: series sorted by labels, none without any, each
    /// exemplar once. A store that keeps none has none.
    ///
    /// # Errors
    /// When the store failed, or there are more of them than one answer may have ([`StorageError::TooManySamples`]).
    fn exemplars(
        &self,
        matchers: &[Matcher],
        start: Timestamp,
        end: Timestamp,
    ) -> Result<Vec<ExemplarSeries>, StorageError> {
        let _ = (matchers, start, end);
        Ok(Vec::new())
    }

    /// Which rollups there are; `None`: this store has none.
    fn rollups(&self) -> Option<Rollups> {
        None
    }

    /// Buckets of series that match; `None` when the store cannot give them now.
    ///
    /// # Errors
    /// When the store failed, a limit is exceeded or somebody wished to stop.
    fn select_rollups(&self, _request: &RollupRequest) -> Result<Option<Rolled>, StorageError> {
        Ok(None)
    }
}
