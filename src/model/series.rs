//! How a room turns a series into a number once, and speaks of the number ever after.

use super::{Family, Labels, METRIC_NAME};

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

/// The door through which collectors, scrapes and rules get their [`SeriesRef`]s.
pub trait Intern: Send + Sync {
    /// The reference of this series; a new one the first time. `None` when a cardinality limit refuses it:
    /// the refusal is counted and the caller leaves the series out.
    fn intern(&self, key: SeriesKey<'_>) -> Option<SeriesRef>;

    /// Gives back series that have ended. Their references stay invalid for ever.
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
