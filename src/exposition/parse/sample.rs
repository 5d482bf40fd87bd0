//! A sample line: series, value, timestamp, exemplar.

use super::SampleLine;
use super::series;
use crate::exposition::negotiate::Format;
use crate::exposition::number::{PLAIN, parse_plain, parse_value};
use crate::model::Timestamp;

/// An exemplar as it stands on its line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExemplarText<'a> {
    /// `{labels}` byte for byte; [`super::parse_series`] reads them when a name is put before.
    pub labels: &'a str,
    /// The observed value.
    pub value: f64,
    /// Milliseconds, if stated.
    pub ts: Option<Timestamp>,
}

/// The end of the line's series, if it is the expected one.
#[inline]
pub(super) fn known(bytes: &[u8], at: usize, series: &str) -> Option<usize> {
    let end = at + series.len();
    // Labels may stand apart from the name: then this is only the beginning of another series.
    let apart = matches!(bytes.get(end + 1), Some(b'{' | b' ' | b'\t'));
    (!apart && bytes.get(end) == Some(&b' ') && bytes.get(at..end)? == series.as_bytes()).then_some(end)
}

/// Reads the line that starts at `at` and whose series ends at `end`; returns the sample and the start of the next line.
#[inline]
pub(super) fn read(text: &str, at: usize, end: usize, format: Format) -> Result<(SampleLine<'_>, usize), String> {
    let bytes = text.as_bytes();
    let series = &text[at..end];
    if bytes.get(end) == Some(&b' ')
        && let Some((value, next)) = plain_rest(bytes, end + 1)
    {
        return Ok((SampleLine { series, value, ts: None, exemplar: None }, next));
    }
    let (value, at) = word(text, end);
    let value = number(value, "a value after the series")?;
    let mut sample = SampleLine { series, value, ts: None, exemplar: None };
    let (stamp, mut at) = word(text, at);
    if !stamp.is_empty() && stamp != "#" {
        sample.ts = Some(timestamp(stamp, format)?);
    }
    let hash = if stamp == "#" {
        true
    } else if !stamp.is_empty() {
        let (hash, next) = word(text, at);
        at = next;
        match hash {
            "" => false,
            "#" => true,
            _ => return Err(format!("expected the end of the line after the timestamp, found {hash:?}")),
        }
    } else {
        false
    };
    if hash {
        if format == Format::Text {
            return Err("expected no exemplar in text 0.0.4".to_owned());
        }
        let (exemplar, next) = exemplar(text, at)?;
        sample.exemplar = Some(exemplar);
        at = next;
    }
    Ok((sample, next_line(bytes, at)?))
}

fn exemplar(text: &str, mut at: usize) -> Result<(ExemplarText<'_>, usize), String> {
    let bytes = text.as_bytes();
    while matches!(bytes.get(at), Some(b' ' | b'\t')) {
        at += 1;
    }
    if bytes.get(at) != Some(&b'{') {
        return Err("expected {labels} of an exemplar after #".to_owned());
    }
    let end = series::end(bytes, at)?;
    let labels = &text[at..end];
    if labels.contains('\n') {
        return Err("expected a closing quote before the end of the line".to_owned());
    }
    let (value, at) = word(text, end);
    let value = number(value, "a value of the exemplar")?;
    let (stamp, at) = word(text, at);
    let ts = if stamp.is_empty() { None } else { Some(timestamp(stamp, Format::OpenMetrics)?) };
    Ok((ExemplarText { labels, value, ts }, at))
}

/// The rest of most lines: a value of few digits that ends the line. Anything else takes the long way.
fn plain_rest(bytes: &[u8], at: usize) -> Option<(f64, usize)> {
    let rest = bytes.get(at..)?;
    let rest = rest.get(..rest.len().min(PLAIN + 1))?;
    let length = rest.iter().position(|byte| *byte == b'\n')?;
    Some((parse_plain(rest.get(..length)?)?, at + length + 1))
}

/// The next word of the line and where it ends; empty at the end of the line.
fn word(text: &str, mut at: usize) -> (&str, usize) {
    let bytes = text.as_bytes();
    while matches!(bytes.get(at), Some(b' ' | b'\t')) {
        at += 1;
    }
    let start = at;
    while !matches!(bytes.get(at), None | Some(b' ' | b'\t' | b'\n' | b'\r')) {
        at += 1;
    }
    (&text[start..at], at)
}

fn next_line(bytes: &[u8], mut at: usize) -> Result<usize, String> {
    while matches!(bytes.get(at), Some(b' ' | b'\t' | b'\r')) {
        at += 1;
    }
    match bytes.get(at) {
        None => Ok(at),
        Some(b'\n') => Ok(at + 1),
        Some(_) => Err("expected the end of the line".to_owned()),
    }
}

fn number(word: &str, what: &str) -> Result<f64, String> {
    parse_value(word).ok_or_else(|| {
        if word.is_empty() { format!("expected {what}") } else { format!("expected {what}, found {word:?}") }
    })
}

/// Text 0.0.4 counts whole milliseconds, OpenMetrics seconds.
fn timestamp(word: &str, format: Format) -> Result<Timestamp, String> {
    match format {
        Format::Text => word.parse().map_err(|_| format!("expected a timestamp in whole milliseconds, found {word:?}")),
        Format::OpenMetrics => parse_value(word)
            .map(|seconds| (seconds * 1000.0).round())
            .filter(|ms| ms.is_finite() && ms.abs() < 9.2e18)
            .map(|ms| ms as Timestamp)
            .ok_or_else(|| format!("expected a timestamp in seconds, found {word:?}")),
    }
}
