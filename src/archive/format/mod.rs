//! The three forms of an export. Each writes series after series; a series comes in one or more calls.

mod csv;
mod jsonl;
mod openmetrics;

use std::collections::HashSet;
use std::io::{self, Write};

use crate::exposition::push_value;
use crate::model::{Labels, is_stale};

use super::manifest::LeftOut;
use super::scan::Sample;

pub(super) use csv::{Header, fields};
pub(super) use jsonl::read_line as read_json_line;
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

/// Writes samples in one form.
pub(super) trait SampleWriter {
    fn begin(&mut self, out: &mut dyn Write) -> io::Result<()>;

    /// Samples of a series; those of one series follow each other. Returns how many were written.
    fn series(&mut self, out: &mut dyn Write, labels: &Labels, samples: &[Sample]) -> io::Result<u64>;

    fn end(&mut self, out: &mut dyn Write) -> io::Result<()>;

    fn left_out(&self) -> LeftOut;
}

/// The writer of a form; `names` are all metric names that will come.
pub(super) fn writer(format: ExportFormat, names: HashSet<String>) -> Box<dyn SampleWriter> {
    match format {
        ExportFormat::OpenMetrics => Box::new(openmetrics::OpenMetrics::new(names)),
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
