//! What a page consists of, as a visitor sees it.

use crate::model::{Histogram, MetricKind, Timestamp};

/// What is said about a family, before its samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FamilyHead<'a> {
    /// The name, which is that of its samples too, `_total` included.
    pub name: &'a str,
    /// The help text as it is meant, without escapes.
    pub help: &'a str,
    /// The unit, mostly empty.
    pub unit: &'a str,
    /// The type.
    pub kind: MetricKind,
}

/// Which series a sample belongs to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point<'a> {
    /// The family's name.
    pub family: &'a str,
    /// `""`, `_sum`, `_count` or `_bucket`.
    pub suffix: &'static str,
    /// Labels in the order of the page; not checked.
    pub labels: &'a [(&'a str, &'a str)],
    /// `le` or `quantile` with its number.
    pub bound: Option<(&'static str, f64)>,
}

/// What comes with a value.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Sampled<'a> {
    /// The timestamp that the page states, in milliseconds.
    pub ts: Option<Timestamp>,
    /// When the counter started, in milliseconds.
    pub start_ts: Option<Timestamp>,
    /// Exemplars, in the order of the page.
    pub exemplars: &'a [ExemplarParts<'a>],
}

/// An exemplar.
#[derive(Debug, Clone, PartialEq)]
pub struct ExemplarParts<'a> {
    /// Its labels.
    pub labels: Vec<(&'a str, &'a str)>,
    /// The observed value.
    pub value: f64,
    /// Milliseconds, if stated.
    pub ts: Option<Timestamp>,
}

/// What takes a page. An error stops the reader and becomes a [`super::super::WireError`] at the metric.
pub trait FamilySink {
    /// A family begins.
    fn family(&mut self, head: &FamilyHead<'_>);

    /// A sample of a counter, gauge or untyped metric, or a part of a summary or classic histogram.
    ///
    /// # Errors
    /// When it cannot be taken; the text says what was expected.
    fn float(&mut self, point: &Point<'_>, value: f64, sampled: &Sampled<'_>) -> Result<(), String>;

    /// A native histogram.
    ///
    /// # Errors
    /// As [`FamilySink::float`].
    fn histogram(&mut self, point: &Point<'_>, value: Histogram, sampled: &Sampled<'_>) -> Result<(), String>;
}
