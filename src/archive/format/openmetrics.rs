//! OpenMetrics 1.0. Types are not in the ring, so families are `unknown`, but for counters whose start is known: they get `_created`
//! lines where it changes. A stale marker is `nan` in small letters (the standard reads any case, and so does
//! everybody else); an empty family says so at the top, and only then does the import read it as one.

use std::collections::HashSet;
use std::io::{self, Write};

use crate::archive::manifest::LeftOut;
use crate::archive::scan::Sample;
use crate::exposition::{push_name, push_series};
use crate::model::{Labels, METRIC_NAME, Timestamp, Value};

use super::{SampleWriter, push_sample};

/// The family without samples that tells what `nan` means.
pub(in crate::archive) const STALE_FAMILY: &str = "watchfire_export_nan_is_stale";

pub(super) struct OpenMetrics {
    names: HashSet<String>,
    /// The metric name at hand, and whether starts have a place in it.
    metric: Option<(String, bool)>,
    series: Option<Labels>,
    start: Timestamp,
    left_out: LeftOut,
    line: Vec<u8>,
}

impl OpenMetrics {
    pub(super) fn new(names: HashSet<String>) -> Self {
        let (metric, series, start) = (None, None, 0);
        Self { names, metric, series, start, left_out: LeftOut::default(), line: Vec::new() }
    }

    /// Whether a counter's family may be declared: nothing else may have the names that it takes.
    fn family<'a>(&self, name: &'a str) -> Option<&'a str> {
        let family = name.strip_suffix("_total").filter(|family| !family.is_empty())?;
        let taken = self.names.contains(family) || self.names.contains(&format!("{family}_created"));
        (!taken).then_some(family)
    }

    fn declare(&mut self, name: &str, has_starts: bool) {
        let family = self.family(name).filter(|_| has_starts);
        self.line.extend_from_slice(b"# TYPE ");
        push_name(&mut self.line, family.unwrap_or(name));
        self.line.extend_from_slice(if family.is_some() { b" counter\n" } else { b" unknown\n" });
        self.metric = Some((name.to_owned(), family.is_some()));
    }
}

impl SampleWriter for OpenMetrics {
    fn begin(&mut self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "# TYPE {STALE_FAMILY} unknown")?;
        writeln!(out, "# HELP {STALE_FAMILY} A series ends where its value is nan in small letters.")
    }

    fn series(&mut self, out: &mut dyn Write, labels: &Labels, samples: &[Sample]) -> io::Result<u64> {
        let name = labels.metric_name();
        let new = self.series.as_ref() != Some(labels);
        if name.is_empty() {
            self.left_out.nameless_series += u64::from(new);
            self.series = Some(labels.clone());
            return Ok(0);
        }
        self.line.clear();
        if self.metric.as_ref().is_none_or(|(known, _)| known != name) {
            // A counter is one from its first series on: the others of the family have a start as well, as a rule.
            self.declare(name, samples.iter().any(|sample| sample.start_ts != 0));
        }
        let counter = self.metric.as_ref().is_some_and(|(_, counter)| *counter);
        if new {
            self.series = Some(labels.clone());
            self.start = 0;
        }
        let rest = labels.without(&[METRIC_NAME]);
        let mut head = Vec::new();
        push_series(&mut head, name, &rest);
        let mut created = Vec::new();
        if let Some(family) = name.strip_suffix("_total").filter(|_| counter) {
            push_series(&mut created, &format!("{family}_created"), &rest);
        }
        let mut written = 0;
        for sample in samples {
            let Value::Float(value) = &sample.value else {
                self.left_out.histograms += 1;
                continue;
            };
            written += 1;
            self.line.extend_from_slice(&head);
            push_sample(&mut self.line, *value, "nan");
            push_time(&mut self.line, sample.ts);
            if sample.start_ts != self.start {
                if created.is_empty() {
                    self.left_out.start_timestamps += 1;
                } else {
                    self.start = sample.start_ts;
                    self.line.extend_from_slice(&created);
                    push_seconds(&mut self.line, sample.start_ts);
                    push_time(&mut self.line, sample.ts);
                }
            }
            if self.line.len() > 1 << 16 {
                out.write_all(&self.line)?;
                self.line.clear();
            }
        }
        out.write_all(&self.line)?;
        Ok(written)
    }

    fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(b"# EOF\n")
    }

    fn left_out(&self) -> LeftOut {
        self.left_out
    }
}

fn push_time(line: &mut Vec<u8>, ts: Timestamp) {
    line.push(b' ');
    push_seconds(line, ts);
    line.push(b'\n');
}

/// Milliseconds as seconds, without a detour through floats.
fn push_seconds(line: &mut Vec<u8>, ts: Timestamp) {
    let (whole, part) = (ts.unsigned_abs() / 1000, ts.unsigned_abs() % 1000);
    let sign = if ts < 0 { "-" } else { "" };
    let text = if part == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{part:03}") };
    line.extend_from_slice(text.as_bytes());
}
