//! A sample line by the letter of OpenMetrics 1.0: single blanks, no comma at the end.

use crate::exposition::escape::unescape;
use crate::exposition::number::parse_value;
use crate::exposition::parse::MAX_LABELS;
use crate::model::{is_classic_label_name, is_classic_metric_name};

/// Label pairs in the order of the line.
pub(super) type Pairs = Vec<(String, String)>;

/// A sample, owned: a check is no hot path.
pub(super) struct Sample {
    pub(super) name: String,
    pub(super) labels: Pairs,
    pub(super) value: f64,
    pub(super) ts: Option<f64>,
    pub(super) exemplar: Option<Pairs>,
}

impl Sample {
    pub(super) fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The labels without `drop`, sorted.
    pub(super) fn group(&self, drop: &str) -> Pairs {
        let mut group: Pairs = self.labels.iter().filter(|(name, _)| name != drop).cloned().collect();
        group.sort();
        group
    }
}

/// Reads a sample line.
pub(super) fn sample(line: &str) -> Result<Sample, String> {
    let end = line.find(['{', ' ']).ok_or("expected a value after the name")?;
    let (bare, mut rest) = line.split_at(end);
    let (mut name, mut labels) = (bare.to_owned(), Vec::new());
    if rest.starts_with('{') {
        let (quoted, pairs, after) = braces(rest, bare.is_empty())?;
        labels = pairs;
        rest = after;
        if let Some(quoted) = quoted {
            name = quoted;
        }
    }
    if name.is_empty() || (!bare.is_empty() && !is_classic_metric_name(&name)) {
        return Err(format!("expected a metric name, found {bare:?}"));
    }
    let rest = rest.strip_prefix(' ').ok_or("expected one blank before the value")?;
    let (value, rest) = word(rest);
    let value = parse_value(value).ok_or_else(|| format!("expected a value, found {value:?}"))?;
    let (ts, rest) = if rest.starts_with(" # ") { (None, rest) } else { optional_timestamp(rest)? };
    let mut sample = Sample { name, labels, value, ts, exemplar: None };
    if !rest.is_empty() {
        sample.exemplar = Some(exemplar(rest)?);
    }
    Ok(sample)
}

fn exemplar(text: &str) -> Result<Pairs, String> {
    let rest = text.strip_prefix(" # ").ok_or("expected the end of the line, or \" # \" and an exemplar")?;
    let (_, labels, rest) = braces(rest, false)?;
    let rest = rest.strip_prefix(' ').ok_or("expected one blank before the exemplar's value")?;
    let (value, rest) = word(rest);
    parse_value(value).ok_or_else(|| format!("expected the exemplar's value, found {value:?}"))?;
    let (_, rest) = optional_timestamp(rest)?;
    if rest.is_empty() { Ok(labels) } else { Err("expected the end of the line after the exemplar".to_owned()) }
}

fn word(text: &str) -> (&str, &str) {
    text.split_at(text.find(' ').unwrap_or(text.len()))
}

fn optional_timestamp(text: &str) -> Result<(Option<f64>, &str), String> {
    let Some(rest) = text.strip_prefix(' ') else { return Ok((None, text)) };
    let (stamp, rest) = word(rest);
    let seconds = parse_value(stamp).filter(|seconds| seconds.is_finite());
    Ok((Some(seconds.ok_or_else(|| format!("expected a timestamp in seconds, found {stamp:?}"))?), rest))
}

type Braces<'a> = (Option<String>, Pairs, &'a str);

/// `{a="b",c="d"}`; when `named` the first item may be a quoted metric name.
fn braces(text: &str, named: bool) -> Result<Braces<'_>, String> {
    let mut rest = text.strip_prefix('{').ok_or("expected {")?;
    let (mut name, mut pairs): (_, Pairs) = (None, Vec::new());
    if let Some(after) = rest.strip_prefix('}') {
        return Ok((name, pairs, after));
    }
    loop {
        let (label, after, quoted) = label_name(rest)?;
        if let Some(value) = after.strip_prefix("=\"") {
            let (value, after) = string(value)?;
            if pairs.iter().any(|(known, _)| *known == label) {
                return Err(format!("expected each label once, found {label:?} twice"));
            }
            if pairs.len() >= MAX_LABELS {
                return Err(format!("expected at most {MAX_LABELS} labels"));
            }
            pairs.push((label, value));
            rest = after;
        } else if quoted && named && name.is_none() && pairs.is_empty() {
            name = Some(label);
            rest = after;
        } else {
            return Err(format!("expected =\" after the label name {label:?}"));
        }
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None => break,
        }
    }
    Ok((name, pairs, rest.strip_prefix('}').ok_or("expected , or } after a label value")?))
}

fn label_name(text: &str) -> Result<(String, &str, bool), String> {
    if let Some(quoted) = text.strip_prefix('"') {
        let (name, rest) = string(quoted)?;
        return Ok((name, rest, true));
    }
    let (name, rest) = text.split_at(text.find(['=', '"', '}', ',', ' ']).unwrap_or(text.len()));
    if !is_classic_label_name(name) {
        return Err(format!("expected a label name of letters, digits and _, found {name:?}"));
    }
    Ok((name.to_owned(), rest, false))
}

fn string(text: &str) -> Result<(String, &str), String> {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Ok((unescape(&text[..at]).into_owned(), &text[at + 1..])),
            _ => {}
        }
    }
    Err("expected a closing quote".to_owned())
}
