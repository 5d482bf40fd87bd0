//! The three forms of an export. Each writes series after series; a series comes in one or more calls.

mod csv;
mod jsonl;
mod openmetrics;

use std::collections::HashSet;
use std::io::{self, Write};

use crate::exposition::push_value;
use crate::model::{Labels, is_stale};

use super::manifest::LeftOut;
use super::scan::{Sample, Stamped};

pub(super) use csv::{Header, fields};
pub(super) use jsonl::{
    Parsed, labels_json, read_histogram, read_labels, read_line as read_json_line, write_histogram,
};
pub(super) use openmetrics::STALE_FAMILY;

/// The form of exported samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// OpenMetrics 1.0 with timestamps, as `promtool tsdb create-blocks-from openmetrics` takes it.
    OpenMetrics,
    /// Comma-separated values with a header, a sample a line.
    Csv,
    /// JSON objects, one a line, with up to a thousand samples of a series each.
    JsonLines,
}

impl ExportFormat {
    /// The format's name on the command line and in manifests.
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenMetrics => "openmetrics",
            Self::Csv => "csv",
            Self::JsonLines => "jsonl",
        }
    }

    /// What its files end with, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::OpenMetrics => "om",
            Self::Csv => "csv",
            Self::JsonLines => "jsonl",
        }
    }
}

/// Samples and exemplars of one series and a stretch of time, ascending. Either may be missing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part<'a> {
    pub(super) labels: &'a Labels,
    pub(super) samples: &'a [Sample],
    pub(super) exemplars: &'a [Stamped],
}

/// How much of a part was written; the rest is left out.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Written {
    pub(super) samples: u64,
    pub(super) exemplars: u64,
}

/// Writes samples in one form.
pub(super) trait SampleWriter {
    fn begin(&mut self, out: &mut dyn Write) -> io::Result<()>;

    /// Samples and exemplars of a series; those of one series follow each other.
    fn series(&mut self, out: &mut dyn Write, part: &Part<'_>) -> io::Result<Written>;

    fn end(&mut self, out: &mut dyn Write) -> io::Result<()>;

    fn left_out(&self) -> LeftOut;
}

/// The writer of a form; `names` are all metric names that will come, and `explained` those that may have exemplars.
pub(super) fn writer(
    format: ExportFormat,
    names: HashSet<String>,
    explained: HashSet<String>,
) -> Box<dyn SampleWriter> {
    match format {
        ExportFormat::OpenMetrics => Box::new(openmetrics::OpenMetrics::new(names, explained)),
        ExportFormat::Csv => Box::new(csv::Csv::default()),
        ExportFormat::JsonLines => Box::new(jsonl::JsonLines::default()),
    }
}

/// A value; `stale` is how the form writes the stale marker.
fn push_sample(out: &mut Vec<u8>, value: f64, stale: &str) {
    if is_stale(value) {
        out.extend_from_slice(stale.as_bytes());
    } else {
        push_value(out, value);
    }
}
