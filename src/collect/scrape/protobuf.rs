//! From protobuf to the sink of the text formats.
//!
//! Each series is written as its line in OpenMetrics would begin, into a buffer that stays, because that is what the cache of a target knows its
//! series by. So a series has one name in both formats, and a known one costs no label.

use std::sync::Arc;

use super::sink::{PageSample, PageSink};
use crate::exposition::{ExemplarText, Meta, Sink, push_bound, push_escaped, push_series_of};
use crate::model::{Histogram, Value};
use crate::wire::{ExemplarParts, FamilyHead, FamilySink, Point, Sampled};

/// Hands families on to a page's sink.
pub(super) struct Families<'f, 's> {
    sink: &'f mut PageSink<'s>,
    name: String,
    bound: Vec<u8>,
    line: Vec<u8>,
}

impl<'f, 's> Families<'f, 's> {
    pub(super) fn new(sink: &'f mut PageSink<'s>) -> Self {
        Self { sink, name: String::new(), bound: Vec::new(), line: Vec::new() }
    }

    fn take(&mut self, point: &Point<'_>, value: Value, sampled: &Sampled<'_>) -> Result<(), String> {
        self.name.clear();
        self.name.push_str(point.family);
        self.name.push_str(point.suffix);
        self.bound.clear();
        if let Some((_, bound)) = point.bound {
            push_bound(&mut self.bound, bound);
        }
        let bound = point.bound.map(|(label, _)| (label, text(&self.bound)));
        self.line.clear();
        push_series_of(&mut self.line, &self.name, point.labels.iter().copied().chain(bound));
        let lines: Vec<String> = sampled.exemplars.iter().map(exemplar_line).collect();
        let exemplars: Vec<ExemplarText<'_>> = lines
            .iter()
            .zip(sampled.exemplars)
            .map(|(labels, parts)| ExemplarText { labels, value: parts.value, ts: parts.ts })
            .collect();
        let (ts, start_ts) = (sampled.ts, sampled.start_ts);
        self.sink.take(PageSample { series: text(&self.line), value, ts, start_ts, exemplars: &exemplars })
    }
}

impl FamilySink for Families<'_, '_> {
    fn family(&mut self, head: &FamilyHead<'_>) {
        self.sink.meta(head.name, Meta::Kind(head.kind));
        // The store undoes escapes, which stand in text only.
        self.line.clear();
        push_escaped(&mut self.line, head.help, false);
        self.sink.meta(head.name, Meta::Help(text(&self.line)));
        if !head.unit.is_empty() {
            self.sink.meta(head.name, Meta::Unit(head.unit));
        }
    }

    fn float(&mut self, point: &Point<'_>, value: f64, sampled: &Sampled<'_>) -> Result<(), String> {
        self.take(point, Value::Float(value), sampled)
    }

    fn histogram(&mut self, point: &Point<'_>, value: Histogram, sampled: &Sampled<'_>) -> Result<(), String> {
        self.take(point, Value::Histogram(Arc::new(value)), sampled)
    }
}

fn exemplar_line(exemplar: &ExemplarParts<'_>) -> String {
    let mut line = Vec::new();
    push_series_of(&mut line, "e", exemplar.labels.iter().copied());
    let labels = text(&line).strip_prefix('e').unwrap_or_default();
    if labels.is_empty() { "{}".to_owned() } else { labels.to_owned() }
}

/// The buffers are put together of texts, so they are text.
fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}
