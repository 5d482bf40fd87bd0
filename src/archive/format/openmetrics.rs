//! OpenMetrics 1.0. Types are not in the ring, so families are `unknown`, but for counters whose start is known: they get `_created`
//! lines where it changes. A stale marker is `nan` in small letters (the standard reads any case, and so does
//! everybody else); an empty family says so at the top, and only then does the import read it as one.
//!
//! Exemplars stand where the standard has them: behind samples of counters and of buckets, one a line, each at the first line that is
//! not before it, or at an earlier one where lines run out.

use std::collections::HashSet;
use std::io::{self, Write};

use crate::archive::manifest::LeftOut;
use crate::archive::scan::Stamped;
use crate::exposition::{push_name, push_series, push_value};
use crate::model::{Labels, METRIC_NAME, Timestamp, Value};

use super::{Part, SampleWriter, Written, push_sample};

/// The family without samples that tells what `nan` means.
pub(in crate::archive) const STALE_FAMILY: &str = "watchfire_export_nan_is_stale";

pub(super) struct OpenMetrics {
    names: HashSet<String>,
    /// Names of metrics that may have exemplars.
    explained: HashSet<String>,
    /// The metric name at hand, and whether it is declared as a counter, so that starts and exemplars have a place in it.
    metric: Option<(String, bool)>,
    series: Option<Labels>,
    start: Timestamp,
    left_out: LeftOut,
    line: Vec<u8>,
}

impl OpenMetrics {
    pub(super) fn new(names: HashSet<String>, explained: HashSet<String>) -> Self {
        let (metric, series, start) = (None, None, 0);
        Self { names, explained, metric, series, start, left_out: LeftOut::default(), line: Vec::new() }
    }

    /// Whether a counter's family may be declared: nothing else may have the names that it takes.
    fn family<'a>(&self, name: &'a str) -> Option<&'a str> {
        let family = name.strip_suffix("_total").filter(|family| !family.is_empty())?;
        let taken = self.names.contains(family) || self.names.contains(&format!("{family}_created"));
        (!taken).then_some(family)
    }

    fn declare(&mut self, name: &str, is_counter: bool) {
        let family = self.family(name).filter(|_| is_counter);
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

    fn series(&mut self, out: &mut dyn Write, part: &Part<'_>) -> io::Result<Written> {
        let Part { labels, samples, exemplars } = *part;
        let name = labels.metric_name();
        let new = self.series.as_ref() != Some(labels);
        if name.is_empty() {
            self.left_out.nameless_series += u64::from(new);
            self.left_out.exemplars += exemplars.len() as u64;
            self.series = Some(labels.clone());
            return Ok(Written::default());
        }
        self.line.clear();
        if self.metric.as_ref().is_none_or(|(known, _)| known != name) {
            // A counter is one from its first series on: the others of the family have a start as well, as a rule.
            let is_counter = self.explained.contains(name) || samples.iter().any(|sample| sample.start_ts != 0);
            self.declare(name, is_counter);
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
        let takes = counter || name.ends_with("_bucket") && !labels.get("le").is_empty();
        let mut waiting = if takes { exemplars } else { &[] };
        let mut lines = samples.iter().filter(|sample| sample.value.as_float().is_some()).count();
        let mut written = Written::default();
        for sample in samples {
            let Value::Float(value) = &sample.value else {
                self.left_out.histograms += 1;
                continue;
            };
            written.samples += 1;
            self.line.extend_from_slice(&head);
            push_sample(&mut self.line, *value, "nan");
            push_time(&mut self.line, sample.ts);
            if let Some((exemplar, rest)) = waiting.split_first()
                && (exemplar.0 <= sample.ts || waiting.len() >= lines)
            {
                waiting = rest;
                written.exemplars += 1;
                push_exemplar(&mut self.line, exemplar);
            }
            lines -= 1;
            self.line.push(b'\n');
            if sample.start_ts != self.start {
                if created.is_empty() {
                    self.left_out.start_timestamps += 1;
                } else {
                    self.start = sample.start_ts;
                    self.line.extend_from_slice(&created);
                    push_seconds(&mut self.line, sample.start_ts);
                    push_time(&mut self.line, sample.ts);
                    self.line.push(b'\n');
                }
            }
            if self.line.len() > 1 << 16 {
                out.write_all(&self.line)?;
                self.line.clear();
            }
        }
        out.write_all(&self.line)?;
        self.left_out.exemplars += exemplars.len() as u64 - written.exemplars;
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
}

fn push_exemplar(line: &mut Vec<u8>, (ts, exemplar): &Stamped) {
    line.extend_from_slice(b" # ");
    if exemplar.labels.is_empty() {
        line.extend_from_slice(b"{} ");
    } else {
        let mut series = Vec::new();
        push_series(&mut series, "x", &exemplar.labels);
        line.extend_from_slice(&series[1..]);
    }
    push_value(line, exemplar.value);
    push_time(line, *ts);
}

/// Milliseconds as seconds, without a detour through floats.
fn push_seconds(line: &mut Vec<u8>, ts: Timestamp) {
    let (whole, part) = (ts.unsigned_abs() / 1000, ts.unsigned_abs() % 1000);
    let sign = if ts < 0 { "-" } else { "" };
    let text = if part == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{part:03}") };
    line.extend_from_slice(text.as_bytes());
}
