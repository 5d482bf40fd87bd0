//! One line: JSON, checked.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;

use super::config::EventsConfig;
use crate::limits::MAX_LABEL_BYTES;
use crate::model::{MetricKind, Timestamp, is_classic_label_name, is_classic_metric_name};

/// Bytes of a metric name.
const MAX_NAME_BYTES: usize = 200;
/// Bytes of a help text.
const MAX_HELP_BYTES: usize = 1024;
/// How far a stated time may lie before and after now.
const PAST_MS: i64 = 7 * 86_400_000;
const FUTURE_MS: i64 = 3_600_000;
/// Names that watchfire itself measures: an event must not pass for one of those.
const RESERVED: [&str; 11] =
    ["node_", "process_", "worker_", "gpu_", "llm_", "tool_", "ui_", "watchfire_", "scrape_", "ALERTS", "up"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct Raw<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    value: f64,
    #[serde(borrow, default)]
    labels: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
    #[serde(default)]
    ts: Option<serde_json::Value>,
    #[serde(borrow, default)]
    help: Cow<'a, str>,
}

/// An event that may be taken.
pub(super) struct Event<'a> {
    /// The family's name: counters without `_total`.
    pub(super) family: String,
    pub(super) kind: MetricKind,
    pub(super) value: f64,
    /// Sorted by name; none is empty.
    pub(super) labels: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    pub(super) ts: Timestamp,
    pub(super) help: Cow<'a, str>,
}

/// Reads a line.
pub(super) fn read<'a>(line: &'a [u8], now: Timestamp, config: &EventsConfig) -> Result<Event<'a>, String> {
    let raw: Raw<'a> = serde_json::from_slice(line).map_err(|error| json_error(&error))?;
    let kind = kind(&raw.kind)?;
    let family = name(&raw.name, kind)?.to_owned();
    check_value(kind, raw.value)?;
    let labels = labels(raw.labels, kind, config)?;
    if raw.help.len() > MAX_HELP_BYTES {
        return Err(format!("expected a help text of at most {MAX_HELP_BYTES} bytes"));
    }
    let ts = raw.ts.map_or(Ok(now), |ts| time(&ts, now))?;
    Ok(Event { family, kind, value: raw.value, labels, ts, help: raw.help })
}

fn json_error(error: &serde_json::Error) -> String {
    let text = error.to_string();
    // Each event is a line of its own: only the column says something.
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
    let what =
        "expected {\"name\":…,\"type\":\"counter|gauge|histogram\",\"value\":number} with optional labels, ts and help";
    format!("{what}: {text} (column {})", error.column())
}

fn kind(word: &str) -> Result<MetricKind, String> {
    match word {
        "counter" => Ok(MetricKind::Counter),
        "gauge" => Ok(MetricKind::Gauge),
        "histogram" => Ok(MetricKind::Histogram),
        other => Err(format!("expected the type counter, gauge or histogram, found {other:?}")),
    }
}

fn name(name: &str, kind: MetricKind) -> Result<&str, String> {
    if !is_classic_metric_name(name) || name.contains(':') || name.len() > MAX_NAME_BYTES {
        return Err(format!("expected a name of at most {MAX_NAME_BYTES} letters, digits and _, found {name:?}"));
    }
    if let Some(prefix) = RESERVED.iter().find(|prefix| {
        name.starts_with(**prefix)
            && (prefix.ends_with('_') || name.len() == prefix.len() || name.starts_with("ALERTS_"))
    }) {
        return Err(format!("expected a name that does not start with {prefix}: watchfire measures that itself"));
    }
    let base = if kind == MetricKind::Counter { name.strip_suffix("_total").unwrap_or(name) } else { name };
    let taken = ["_total", "_bucket", "_sum", "_count", "_created", "_info"];
    match taken.iter().find(|suffix| base.ends_with(**suffix)) {
        Some(suffix) => Err(format!("expected a name of a {} without {suffix}, found {name:?}", kind.as_str())),
        None if base.is_empty() => Err("expected a name before _total".to_owned()),
        None => Ok(base),
    }
}

fn check_value(kind: MetricKind, value: f64) -> Result<(), String> {
    if kind == MetricKind::Counter && value < 0.0 {
        return Err(format!("expected a counter to grow, found {value}"));
    }
    if value.is_finite() { Ok(()) } else { Err("expected a finite value".to_owned()) }
}

type Pairs<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

fn labels<'a>(
    labels: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
    kind: MetricKind,
    config: &EventsConfig,
) -> Result<Pairs<'a>, String> {
    if labels.len() > config.max_labels {
        return Err(format!("expected at most {} labels, found {}", config.max_labels, labels.len()));
    }
    for (name, value) in &labels {
        if !is_classic_label_name(name) || name.starts_with("__") || name.len() > MAX_NAME_BYTES {
            return Err(format!(
                "expected a label name of letters, digits and _, not starting with __, found {name:?}"
            ));
        }
        if kind == MetricKind::Histogram && name == "le" {
            return Err("expected no label le: a histogram has its own".to_owned());
        }
        if value.len() > MAX_LABEL_BYTES {
            return Err(format!("expected a value of label {name:?} of at most {MAX_LABEL_BYTES} bytes"));
        }
    }
    Ok(labels.into_iter().filter(|(_, value)| !value.is_empty()).collect())
}

fn time(ts: &serde_json::Value, now: Timestamp) -> Result<Timestamp, String> {
    let ms = match ts {
        serde_json::Value::Number(number) => number.as_i64().or_else(|| number.as_f64().map(|ms| ms as i64)),
        serde_json::Value::String(text) => text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond),
        _ => None,
    };
    let ms = ms.ok_or_else(|| format!("expected ts as milliseconds since 1970 or as RFC 3339, found {ts}"))?;
    if ms < now - PAST_MS || ms > now + FUTURE_MS {
        return Err(format!(
            "expected ts (milliseconds since 1970, or RFC 3339) at most 7 days ago and 1 hour ahead, found {ts}"
        ));
    }
    Ok(ms)
}
