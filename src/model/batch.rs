//! What flows from collectors to the pipeline: numbers with series references, nothing else.

use std::sync::Arc;

use super::{Histogram, Labels, SeriesRef, Timestamp, Value};

/// A set of series that are read together and share their timestamps: a collector, a scrape target, a rule group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupId(pub u32);

/// An observation that explains a sample, with a trace id for example.
#[derive(Debug, Clone, PartialEq)]
pub struct Exemplar {
    /// Labels of the exemplar.
    pub labels: Labels,
    /// The observed value.
    pub value: f64,
    /// When it was observed, if the source says so.
    pub ts: Option<Timestamp>,
}

impl Exemplar {
    /// Characters that names and values of one exemplar may have together: OpenMetrics' bound, which Prometheus keeps to.
    pub const MAX_CHARS: usize = 128;

    /// Whether its labels are longer than [`Exemplar::MAX_CHARS`].
    pub fn is_too_long(&self) -> bool {
        let chars = |text: &str| text.chars().count();
        self.labels.iter().map(|(name, value)| chars(name) + chars(value)).sum::<usize>() > Self::MAX_CHARS
    }
}

/// One tick of one group.
///
/// A series of the group that is missing here had no reading: the pipeline ends it with a stale marker.
/// Each series appears at most once.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Which group was read.
    pub group: GroupId,
    /// When, in milliseconds.
    pub ts: Timestamp,
    /// Float samples; cheap to compare when the order is the same every tick.
    pub floats: Vec<(SeriesRef, f64)>,
    /// Native histogram samples.
    pub histograms: Vec<(SeriesRef, Arc<Histogram>)>,
    /// Start timestamps of counters whose source states them.
    pub start_ts: Vec<(SeriesRef, Timestamp)>,
    /// Exemplars of this tick.
    pub exemplars: Vec<(SeriesRef, Exemplar)>,
}

impl Batch {
    /// An empty tick of `group` at `ts`.
    pub fn new(group: GroupId, ts: Timestamp) -> Self {
        Self { group, ts, floats: Vec::new(), histograms: Vec::new(), start_ts: Vec::new(), exemplars: Vec::new() }
    }

    /// How many samples the tick carries.
    pub fn len(&self) -> usize {
        self.floats.len() + self.histograms.len()
    }

    /// Whether the tick carries no sample at all.
    pub fn is_empty(&self) -> bool {
        self.floats.is_empty() && self.histograms.is_empty()
    }
}

/// One sample of a series that comes with timestamps of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct IrregularSample {
    /// When it was taken.
    pub ts: Timestamp,
    /// When its counter started, or 0 if unknown.
    pub start_ts: Timestamp,
    /// The value.
    pub value: Value,
}

/// Samples that did not come in a group's tick: pushes, backfills, scraped samples with their own timestamps.
#[derive(Debug, Clone, PartialEq)]
pub struct Irregular {
    /// The series.
    pub series: SeriesRef,
    /// Its samples; out of order is allowed, storage sorts.
    pub samples: Vec<IrregularSample>,
}
