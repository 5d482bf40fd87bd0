//! JSON lines: `{"metric":{…},"timestamps":[…],"values":[…],"starts":[…]}`. What JSON has no number for is a string: `"NaN"`,
//! `"+Inf"`, `"-Inf"`, and `"stale"` for the stale marker. `starts` stands there when any is known.

use std::io::{self, Write};

use serde::Deserialize;

use crate::archive::manifest::LeftOut;
use crate::archive::scan::Sample;
use crate::model::{Labels, Timestamp, Value, parse_float, stale_marker};

use super::{SampleWriter, push_sample};

/// Samples of one line.
const LINE_SAMPLES: usize = 1000;

#[derive(Default)]
pub(super) struct JsonLines {
    left_out: LeftOut,
}

impl SampleWriter for JsonLines {
    fn begin(&mut self, _: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }

    fn series(&mut self, out: &mut dyn Write, labels: &Labels, samples: &[Sample]) -> io::Result<u64> {
        let metric = labels_json(labels);
        let floats: Vec<(&Sample, f64)> = samples.iter().filter_map(|s| Some((s, s.value.as_float()?))).collect();
        self.left_out.histograms += (samples.len() - floats.len()) as u64;
        let mut line = Vec::new();
        for part in floats.chunks(LINE_SAMPLES) {
            line.clear();
            write!(line, "{{\"metric\":{metric},\"timestamps\":[")?;
            list(&mut line, part, |line, (sample, _)| {
                line.extend_from_slice(itoa::Buffer::new().format(sample.ts).as_bytes());
            });
            line.extend_from_slice(b"],\"values\":[");
            list(&mut line, part, |line, (_, value)| {
                let quote: &[u8] = if value.is_finite() { b"" } else { b"\"" };
                line.extend_from_slice(quote);
                push_sample(line, *value, "stale");
                line.extend_from_slice(quote);
            });
            if part.iter().any(|(sample, _)| sample.start_ts != 0) {
                line.extend_from_slice(b"],\"starts\":[");
                list(&mut line, part, |line, (sample, _)| {
                    line.extend_from_slice(itoa::Buffer::new().format(sample.start_ts).as_bytes());
                });
            }
            line.extend_from_slice(b"]}\n");
            out.write_all(&line)?;
        }
        Ok(floats.len() as u64)
    }

    fn end(&mut self, _: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }

    fn left_out(&self) -> LeftOut {
        self.left_out
    }
}

fn list<T>(line: &mut Vec<u8>, items: &[T], mut push: impl FnMut(&mut Vec<u8>, &T)) {
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            line.push(b',');
        }
        push(line, item);
    }
}

/// Labels as a JSON object.
pub(super) fn labels_json(labels: &Labels) -> String {
    let text = |text: &str| serde_json::Value::from(text).to_string();
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{}:{}", text(name), text(value))).collect();
    format!("{{{}}}", pairs.join(","))
}

#[derive(Deserialize)]
struct Line {
    metric: std::collections::BTreeMap<String, String>,
    timestamps: Vec<Timestamp>,
    values: Vec<serde_json::Value>,
    starts: Option<Vec<Timestamp>>,
}

/// Reads a line.
///
/// # Errors
/// Says what was expected.
pub(in crate::archive) fn read_line(line: &str) -> Result<(Labels, Vec<Sample>), String> {
    let line: Line = serde_json::from_str(line).map_err(|error| {
        format!("expected {{\"metric\":{{…}},\"timestamps\":[milliseconds],\"values\":[…]}}: {error}")
    })?;
    let starts = line.starts.unwrap_or_default();
    if line.values.len() != line.timestamps.len() || !(starts.is_empty() || starts.len() == line.timestamps.len()) {
        return Err(format!(
            "expected as many values (and starts) as timestamps, found {} and {}",
            line.values.len(),
            line.timestamps.len()
        ));
    }
    let mut samples = Vec::with_capacity(line.values.len());
    for (at, (ts, value)) in line.timestamps.iter().zip(&line.values).enumerate() {
        let value = match value {
            serde_json::Value::Number(number) => number.as_f64(),
            // As VictoriaMetrics writes it.
            serde_json::Value::Null => Some(stale_marker()),
            serde_json::Value::String(text) if text == "stale" => Some(stale_marker()),
            serde_json::Value::String(text) => parse_float(text),
            _ => None,
        };
        let value = value.ok_or("expected numbers, \"NaN\", \"+Inf\", \"-Inf\" or \"stale\" among the values")?;
        let start_ts = starts.get(at).copied().unwrap_or(0);
        samples.push(Sample { ts: *ts, start_ts, value: Value::Float(value) });
    }
    let pairs: Vec<(&str, &str)> = line.metric.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    Ok((Labels::from_pairs(&pairs), samples))
}
