//! How a room turns a series into a number once, and speaks of the number ever after.

use super::{Family, Labels, METRIC_NAME};
use crate::limits::MAX_SERIES;

/// A series inside this process. Never reused; disk has ids of its own in each segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeriesRef(pub u32);

/// Who measured a series; decides whether `/metrics` shows it and which target labels it gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin<'a> {
    /// watchfire measured it. `/metrics` shows it as it is; in the ring it also carries `job` and `instance`.
    Own {
        /// The ring's `job` label: node, worker, gpu, llm or watchfire.
        job: &'a str,
    },
    /// Scraped, pushed or made by a rule: its labels are complete, and `/metrics` leaves it out.
    Foreign,
}

/// Everything that names a series at the moment it is interned.
#[derive(Debug, Clone, Copy)]
pub struct SeriesKey<'a> {
    /// The family that the series belongs to.
    pub family: &'a Family,
    /// The sample's name: the family's name, or that with `_total`, `_bucket`, `_sum`, `_count`, `_info`.
    pub name: &'a str,
    /// Label pairs without the name, in any order; pairs with an empty value are dropped.
    pub labels: &'a [(&'a str, &'a str)],
    /// Who measured it.
    pub origin: Origin<'a>,
}

impl SeriesKey<'_> {
    /// The labels as they were given, and the name.
    pub fn to_labels(&self) -> Labels {
        let mut pairs: Vec<(&str, &str)> = Vec::with_capacity(self.labels.len() + 1);
        pairs.extend_from_slice(self.labels);
        pairs.push((METRIC_NAME, self.name));
        Labels::from_pairs(&pairs)
    }
}

/// Which limit refused a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SeriesRefusal {
    /// Its metric name has as many series as one may have.
    #[error(
        "the metric has {0} series, as many as one may have (storage.limits.series_per_family): use fewer label values"
    )]
    Family(u32),
    /// There are as many series as there may be in all.
    #[error("there are {0} series, as many as there may be in all (storage.limits.series): use fewer label values")]
    Total(u32),
}

/// The door through which collectors, scrapes and rules get their [`SeriesRef`]s.
pub trait Intern: Send + Sync {
    /// The reference of this series; a new one the first time. `None` when a cardinality limit refuses it:
    /// the refusal is counted and the caller leaves the series out.
    ///
    /// Who gets a reference holds it, once more with each call, until it gives it back as often. So two sources may have
    /// one series, and it ends with the last of them.
    fn intern(&self, key: SeriesKey<'_>) -> Option<SeriesRef>;

    /// As [`Intern::intern`], and says which limit refused the series.
    ///
    /// # Errors
    /// The limit.
    fn try_intern(&self, key: SeriesKey<'_>) -> Result<SeriesRef, SeriesRefusal> {
        self.intern(key).ok_or(SeriesRefusal::Total(MAX_SERIES))
    }

    /// Gives references back, one for each time that they were got. What was given back must not be written any more;
    /// a number never comes to mean another series.
    fn release(&self, refs: &[SeriesRef]);

    /// The labels under which the ring knows the series (name, `job` and `instance` included).
    fn labels(&self, series: SeriesRef) -> Option<Labels>;

    /// As [`Intern::intern`] for a foreign series, of which the labels are all there is to know.
    fn intern_labels(&self, labels: &Labels) -> Option<SeriesRef> {
        let name = labels.metric_name();
        let family = Family { name: name.to_owned().into(), ..Family::default() };
        let pairs: Vec<(&str, &str)> = labels.iter().filter(|(label, _)| *label != METRIC_NAME).collect();
        self.intern(SeriesKey { family: &family, name, labels: &pairs, origin: Origin::Foreign })
    }
}

/// Knows no series: for a ring to which nobody appends.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSeries;

impl Intern for NoSeries {
    fn intern(&self, _: SeriesKey<'_>) -> Option<SeriesRef> {
        None
    }

    fn release(&self, _: &[SeriesRef]) {}

    fn labels(&self, _: SeriesRef) -> Option<Labels> {
        None
    }
}
