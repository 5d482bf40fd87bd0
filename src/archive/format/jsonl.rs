//! JSON lines: `{"metric":{…},"timestamps":[…],"values":[…],"starts":[…]}`. What JSON has no number for is a string: `"NaN"`,
//! `"+Inf"`, `"-Inf"`, and `"stale"` for the stale marker. `starts` stands there when any is known. Native histograms stand in lines
//! with `histograms` in the place of `values`, exemplars in lines of their own:
//! `{"metric":{…},"exemplars":[{"labels":{…},"value":…,"timestamp":…}]}`.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;

use serde::Deserialize;

use crate::archive::manifest::LeftOut;
use crate::archive::scan::{Sample, Stamped};
use crate::model::{Exemplar, Histogram, Labels, ResetHint, Span, Timestamp, Value, parse_float, stale_marker};

use super::{Part, SampleWriter, Written, push_sample};

/// Samples or exemplars of one line.
const LINE_SAMPLES: usize = 1000;
/// Histograms of one line.
const LINE_HISTOGRAMS: usize = 50;

#[derive(Default)]
pub(super) struct JsonLines {
    line: Vec<u8>,
}

impl SampleWriter for JsonLines {
    fn begin(&mut self, _: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }

    fn series(&mut self, out: &mut dyn Write, part: &Part<'_>) -> io::Result<Written> {
        let Part { labels, samples, exemplars } = *part;
        let metric = labels_json(labels);
        let floats: Vec<(&Sample, f64)> = samples.iter().filter_map(|s| Some((s, s.value.as_float()?))).collect();
        for part in floats.chunks(LINE_SAMPLES) {
            self.samples(&metric, "values", part, |line, value| number(line, *value))?;
            out.write_all(&self.line)?;
        }
        let histogram = |sample: &'_ Sample| match &sample.value {
            Value::Histogram(histogram) => Some(Arc::clone(histogram)),
            Value::Float(_) => None,
        };
        let histograms: Vec<(&Sample, Arc<Histogram>)> =
            samples.iter().filter_map(|sample| Some((sample, histogram(sample)?))).collect();
        for part in histograms.chunks(LINE_HISTOGRAMS) {
            self.samples(&metric, "histograms", part, |line, value| write_histogram(line, value))?;
            out.write_all(&self.line)?;
        }
        for part in exemplars.chunks(LINE_SAMPLES) {
            self.line.clear();
            write!(self.line, "{{\"metric\":{metric},\"exemplars\":[")?;
            list(&mut self.line, part, |line, (ts, exemplar)| {
                line.extend_from_slice(format!("{{\"labels\":{},\"value\":", labels_json(&exemplar.labels)).as_bytes());
                number(line, exemplar.value);
                line.extend_from_slice(format!(",\"timestamp\":{ts}}}").as_bytes());
            });
            self.line.extend_from_slice(b"]}\n");
            out.write_all(&self.line)?;
        }
        Ok(Written { samples: samples.len() as u64, exemplars: exemplars.len() as u64 })
    }

    fn end(&mut self, _: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }

    fn left_out(&self) -> LeftOut {
        LeftOut::default()
    }
}

impl JsonLines {
    /// A line of samples, whose values have this key.
    fn samples<T>(
        &mut self,
        metric: &str,
        key: &str,
        part: &[(&Sample, T)],
        value: impl Fn(&mut Vec<u8>, &T),
    ) -> io::Result<()> {
        let line = &mut self.line;
        line.clear();
        write!(line, "{{\"metric\":{metric},\"timestamps\":[")?;
        list(line, part, |line, (sample, _)| whole(line, sample.ts));
        write!(line, "],\"{key}\":[")?;
        list(line, part, |line, (_, sample)| value(line, sample));
        if part.iter().any(|(sample, _)| sample.start_ts != 0) {
            line.extend_from_slice(b"],\"starts\":[");
            list(line, part, |line, (sample, _)| whole(line, sample.start_ts));
        }
        line.extend_from_slice(b"]}\n");
        Ok(())
    }
}

fn whole(line: &mut Vec<u8>, number: i64) {
    line.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// A float; what JSON has no number for is a string.
fn number(line: &mut Vec<u8>, value: f64) {
    let quote: &[u8] = if value.is_finite() { b"" } else { b"\"" };
    line.extend_from_slice(quote);
    push_sample(line, value, "stale");
    line.extend_from_slice(quote);
}

/// A native histogram with its spans and absolute counts, as [`Histogram`] has them; what is zero or empty is left out.
pub(in crate::archive) fn write_histogram(line: &mut Vec<u8>, value: &Histogram) {
    line.extend_from_slice(format!("{{\"schema\":{}", value.schema).as_bytes());
    let counts = [
        ("zero_threshold", value.zero_threshold),
        ("zero_count", value.zero_count),
        ("count", value.count),
        ("sum", value.sum),
    ];
    for (key, count) in counts.into_iter().filter(|(_, count)| count.to_bits() != 0) {
        line.extend_from_slice(format!(",\"{key}\":").as_bytes());
        number(line, count);
    }
    let spans = [("positive_spans", &value.positive_spans), ("negative_spans", &value.negative_spans)];
    for (key, spans) in spans.into_iter().filter(|(_, spans)| !spans.is_empty()) {
        line.extend_from_slice(format!(",\"{key}\":[").as_bytes());
        list(line, spans, |line, span| {
            line.extend_from_slice(format!("[{},{}]", span.offset, span.length).as_bytes());
        });
        line.push(b']');
    }
    let lists = [("positive", &value.positive), ("negative", &value.negative), ("custom_values", &value.custom_values)];
    for (key, numbers) in lists.into_iter().filter(|(_, numbers)| !numbers.is_empty()) {
        line.extend_from_slice(format!(",\"{key}\":[").as_bytes());
        list(line, numbers, |line, value| number(line, *value));
        line.push(b']');
    }
    let hint = match value.reset_hint {
        ResetHint::Unknown => "",
        ResetHint::Reset => ",\"reset\":\"yes\"",
        ResetHint::NotReset => ",\"reset\":\"no\"",
        ResetHint::Gauge => ",\"reset\":\"gauge\"",
    };
    line.extend_from_slice(hint.as_bytes());
    line.push(b'}');
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
pub(in crate::archive) fn labels_json(labels: &Labels) -> String {
    let text = |text: &str| serde_json::Value::from(text).to_string();
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{}:{}", text(name), text(value))).collect();
    format!("{{{}}}", pairs.join(","))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    metric: BTreeMap<String, String>,
    timestamps: Option<Vec<Timestamp>>,
    values: Option<Vec<serde_json::Value>>,
    histograms: Option<Vec<HistogramText>>,
    starts: Option<Vec<Timestamp>>,
    exemplars: Option<Vec<ExemplarText>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExemplarText {
    labels: BTreeMap<String, String>,
    value: serde_json::Value,
    timestamp: Timestamp,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct HistogramText {
    schema: i32,
    zero_threshold: serde_json::Value,
    zero_count: serde_json::Value,
    count: serde_json::Value,
    sum: serde_json::Value,
    positive_spans: Vec<(i32, u32)>,
    negative_spans: Vec<(i32, u32)>,
    positive: Vec<serde_json::Value>,
    negative: Vec<serde_json::Value>,
    custom_values: Vec<serde_json::Value>,
    reset: String,
}

impl Default for HistogramText {
    fn default() -> Self {
        let zero = || serde_json::Value::from(0);
        Self {
            schema: 0,
            zero_threshold: zero(),
            zero_count: zero(),
            count: zero(),
            sum: zero(),
            positive_spans: Vec::new(),
            negative_spans: Vec::new(),
            positive: Vec::new(),
            negative: Vec::new(),
            custom_values: Vec::new(),
            reset: String::new(),
        }
    }
}

/// What a line holds.
pub(in crate::archive) struct Parsed {
    pub(in crate::archive) labels: Labels,
    pub(in crate::archive) samples: Vec<Sample>,
    pub(in crate::archive) exemplars: Vec<Stamped>,
}

/// Reads a line.
///
/// # Errors
/// Says what was expected.
pub(in crate::archive) fn read_line(line: &str) -> Result<Parsed, String> {
    let expected = |problem: &dyn std::fmt::Display| {
        format!(
            "expected {{\"metric\":{{…}},\"timestamps\":[milliseconds],\"values\":[…]}}, with histograms in the place of values, \
             or with exemplars instead: {problem}"
        )
    };
    let line: Line = serde_json::from_str(line).map_err(|error| expected(&error))?;
    if line.timestamps.is_none() && line.exemplars.is_none() {
        return Err(expected(&"there are neither timestamps nor exemplars"));
    }
    let (times, starts) = (line.timestamps.unwrap_or_default(), line.starts.unwrap_or_default());
    let values = match (line.values, line.histograms) {
        (Some(_), Some(_)) => return Err("expected values or histograms in a line, found both".to_owned()),
        (None, Some(list)) => list
            .into_iter()
            .map(|text| Ok(Value::Histogram(Arc::new(text.read()?))))
            .collect::<Result<Vec<_>, String>>()?,
        (values, None) => {
            let values = values.unwrap_or_default();
            values.iter().map(|value| float(value).map(Value::Float)).collect::<Result<_, _>>()?
        }
    };
    if values.len() != times.len() || !(starts.is_empty() || starts.len() == times.len()) {
        return Err(format!(
            "expected as many values (and starts) as timestamps, found {} and {}",
            values.len(),
            times.len()
        ));
    }
    let start = |at: usize| starts.get(at).copied().unwrap_or(0);
    let samples = times.into_iter().zip(values).enumerate();
    let samples = samples.map(|(at, (ts, value))| Sample { ts, start_ts: start(at), value }).collect();
    let exemplar = |text: ExemplarText| {
        let value = float(&text.value)?;
        Ok((text.timestamp, Exemplar { labels: labels_of(&text.labels), value, ts: Some(text.timestamp) }))
    };
    let exemplars = line.exemplars.unwrap_or_default().into_iter().map(exemplar).collect::<Result<_, String>>()?;
    Ok(Parsed { labels: labels_of(&line.metric), samples, exemplars })
}

/// Reads what [`write_histogram`] wrote.
///
/// # Errors
/// Says what was expected.
pub(in crate::archive) fn read_histogram(text: &[u8]) -> Result<Histogram, String> {
    serde_json::from_slice::<HistogramText>(text).map_err(|error| error.to_string())?.read()
}

impl HistogramText {
    fn read(self) -> Result<Histogram, String> {
        let spans = |list: Vec<(i32, u32)>| list.into_iter().map(|(offset, length)| Span { offset, length }).collect();
        let floats = |list: &[serde_json::Value]| list.iter().map(float).collect::<Result<Vec<f64>, String>>();
        let buckets = |list: &[(i32, u32)]| list.iter().map(|(_, length)| u64::from(*length)).sum::<u64>();
        let expected = [buckets(&self.positive_spans), buckets(&self.negative_spans)];
        if expected != [self.positive.len() as u64, self.negative.len() as u64] {
            return Err("expected as many buckets of a histogram as its spans have".to_owned());
        }
        Ok(Histogram {
            schema: self.schema,
            zero_threshold: float(&self.zero_threshold)?,
            zero_count: float(&self.zero_count)?,
            count: float(&self.count)?,
            sum: float(&self.sum)?,
            positive: floats(&self.positive)?,
            negative: floats(&self.negative)?,
            custom_values: floats(&self.custom_values)?,
            positive_spans: spans(self.positive_spans),
            negative_spans: spans(self.negative_spans),
            reset_hint: match self.reset.as_str() {
                "" => ResetHint::Unknown,
                "yes" => ResetHint::Reset,
                "no" => ResetHint::NotReset,
                "gauge" => ResetHint::Gauge,
                other => return Err(format!("expected \"yes\", \"no\" or \"gauge\" as reset, found {other:?}")),
            },
        })
    }
}

/// Reads what [`labels_json`] wrote.
///
/// # Errors
/// Says what was expected.
pub(in crate::archive) fn read_labels(text: &[u8]) -> Result<Labels, String> {
    serde_json::from_slice(text).map(|pairs| labels_of(&pairs)).map_err(|error| error.to_string())
}

fn labels_of(pairs: &BTreeMap<String, String>) -> Labels {
    let pairs: Vec<(&str, &str)> = pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    Labels::from_pairs(&pairs)
}

fn float(value: &serde_json::Value) -> Result<f64, String> {
    let value = match value {
        serde_json::Value::Number(number) => number.as_f64(),
        // As VictoriaMetrics writes it.
        serde_json::Value::Null => Some(stale_marker()),
        serde_json::Value::String(text) if text == "stale" => Some(stale_marker()),
        serde_json::Value::String(text) => parse_float(text),
        _ => None,
    };
    value.ok_or_else(|| "expected numbers, \"NaN\", \"+Inf\", \"-Inf\" or \"stale\" among the values".to_owned())
}
