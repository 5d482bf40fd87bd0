//! Lines of a classic histogram → one native histogram with listed bounds (`convert_classic_histograms_to_nhcb`).
//!
//! The lines of one histogram stand together. Each says by its labels which histogram it belongs to; the next one that belongs to another
//! ends it. Labels are read at every scrape here, which the usual way of a page is not.

use std::sync::Arc;

use super::sink::PageSample;
use crate::exposition::{ExemplarText, SampleLine, parse_series, parse_value, push_series_of};
use crate::model::{Histogram, MetricKind, Timestamp, Value};
use crate::wire::of_classic;

/// Exemplars that one histogram takes of its buckets.
const MAX_EXEMPLARS: usize = 64;

/// A histogram that is being put together.
#[derive(Default)]
pub(super) struct Assembly {
    /// The family that the page stated last; empty unless it is a histogram.
    family: String,
    open: Option<Open>,
    /// Reused from line to line.
    base: Vec<u8>,
}

#[derive(Default)]
struct Open {
    /// The line that the histogram's series has: the family's name with the labels, sorted, without `le`.
    base: Vec<u8>,
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: f64,
    ts: Option<Timestamp>,
    start_ts: Option<Timestamp>,
    exemplars: Vec<(String, f64, Option<Timestamp>)>,
}

/// What became of a line.
pub(super) struct Offered {
    /// Whether it is part of a histogram.
    pub(super) part: bool,
    /// The histogram that ends before it.
    pub(super) before: Option<Whole>,
}

/// A histogram whose lines are all there.
pub(super) struct Whole {
    series: String,
    value: Histogram,
    ts: Option<Timestamp>,
    start_ts: Option<Timestamp>,
    /// Labels, value and time of each.
    exemplars: Vec<(String, f64, Option<Timestamp>)>,
}

enum Part {
    Bucket(f64),
    Sum,
    Count,
}

impl Assembly {
    /// The page says a type.
    pub(super) fn family(&mut self, name: &str, kind: MetricKind) {
        self.family.clear();
        if kind == MetricKind::Histogram {
            self.family.push_str(name);
        }
    }

    /// A `_created` line: when the histogram before it began to count.
    pub(super) fn created(&mut self, series: &str, start: Timestamp) {
        let (Some(open), false) = (&mut self.open, self.family.is_empty()) else { return };
        let Ok(line) = parse_series(series) else { return };
        let labels = line.labels.iter().map(|(name, value)| (name.as_ref(), value.as_ref()));
        if base_of(&self.family, labels, &mut self.base) && self.base == open.base {
            open.start_ts = Some(start);
        }
    }

    /// Looks at a line.
    pub(super) fn offer(&mut self, line: &SampleLine<'_>) -> Offered {
        let Some(part) = self.part(line.series) else { return Offered { part: false, before: self.finish() } };
        let before = if self.open.as_ref().is_some_and(|open| open.base == self.base) { None } else { self.finish() };
        let open = self.open.get_or_insert_with(|| Open { base: self.base.clone(), ..Open::default() });
        open.ts = line.ts;
        match part {
            Part::Bucket(bound) => {
                open.buckets.push((bound, line.value));
                if let Some(ExemplarText { labels, value, ts }) = line.exemplar
                    && open.exemplars.len() < MAX_EXEMPLARS
                {
                    open.exemplars.push((labels.to_owned(), value, ts));
                }
            }
            Part::Sum => open.sum = line.value,
            Part::Count => open.count = Some(line.value),
        }
        Offered { part: true, before }
    }

    /// Ends the histogram; one that contradicts itself is left out, as in Prometheus.
    pub(super) fn finish(&mut self) -> Option<Whole> {
        let mut open = self.open.take()?;
        let value = of_classic(&mut open.buckets, open.count, open.sum).ok()?;
        let series = String::from_utf8(open.base).ok()?;
        Some(Whole { series, value, ts: open.ts, start_ts: open.start_ts, exemplars: open.exemplars })
    }

    /// Which part of a histogram a line is; `base` is then the histogram's own line.
    fn part(&mut self, series: &str) -> Option<Part> {
        // Most lines need no more than a look at their name.
        let quoted = series.starts_with('{');
        if self.family.is_empty() || !(quoted || series.starts_with(self.family.as_str())) {
            return None;
        }
        let line = parse_series(series).ok()?;
        let bound = line.labels.iter().find(|(name, _)| name == "le").map(|(_, bound)| bound.as_ref());
        let part = match (line.name.strip_prefix(self.family.as_str())?, bound) {
            ("_bucket", Some(bound)) => Part::Bucket(parse_value(bound)?),
            ("_sum", None) => Part::Sum,
            ("_count", None) => Part::Count,
            _ => return None,
        };
        let labels = line.labels.iter().map(|(name, value)| (name.as_ref(), value.as_ref()));
        base_of(&self.family, labels, &mut self.base).then_some(part)
    }
}

/// Writes the line of a histogram's own series.
fn base_of<'l>(family: &str, labels: impl Iterator<Item = (&'l str, &'l str)>, out: &mut Vec<u8>) -> bool {
    let mut labels: Vec<(&str, &str)> = labels.filter(|(name, _)| *name != "le").collect();
    labels.sort_unstable();
    out.clear();
    push_series_of(out, family, labels.into_iter());
    !out.is_empty()
}

impl Whole {
    /// Hands it on as one sample.
    pub(super) fn give(self, take: impl FnOnce(PageSample<'_>) -> Result<(), String>) -> Result<(), String> {
        let exemplars: Vec<ExemplarText<'_>> =
            self.exemplars.iter().map(|(labels, value, ts)| ExemplarText { labels, value: *value, ts: *ts }).collect();
        let value = Value::Histogram(Arc::new(self.value));
        take(PageSample { series: &self.series, value, ts: self.ts, start_ts: self.start_ts, exemplars: &exemplars })
    }
}
