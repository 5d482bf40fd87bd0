//! `name{label="value",…}`: where it ends, and what is in it.

use std::borrow::Cow;

use crate::exposition::escape::unescape;
use crate::model::{is_classic_label_name, is_classic_metric_name};

/// Labels of one series: a page with more is broken or hostile, and checking them for duplicates takes their square.
pub(crate) const MAX_LABELS: usize = 512;

/// A series as it stands on a line, taken apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SeriesText<'a> {
    /// The metric name.
    pub name: Cow<'a, str>,
    /// Labels in the order of the line, escapes undone; names are unique.
    pub labels: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

/// The index of the quote that ends a string whose content starts at `at`. A raw line end may stand in it.
pub(super) fn string_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += bytes.get(at..)?.iter().position(|byte| is(*byte, VALUE_END))?;
        match bytes.get(at) {
            Some(b'"') => return Some(at),
            Some(b'\\') => at += 2,
            _ => return None,
        }
    }
}

/// Past the blanks that start at `at`.
#[inline]
pub(super) fn skip_blanks(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\t')) {
        at += 1;
    }
    at
}

fn trim_end(text: &str) -> &str {
    match text.as_bytes().last() {
        Some(b' ' | b'\t') => text.trim_end_matches([' ', '\t']),
        _ => text,
    }
}

fn trim_start(text: &str) -> &str {
    text.get(skip_blanks(text.as_bytes(), 0)..).unwrap_or("")
}

/// One past the last byte of the series that starts at `at`: the end of its name, or its closing brace.
#[inline]
pub(super) fn end(bytes: &[u8], at: usize) -> Result<usize, String> {
    let rest = bytes.get(at..).unwrap_or_default();
    let name_end = at + rest.iter().position(|byte| is(*byte, SERIES_END)).unwrap_or(rest.len());
    let open = skip_blanks(bytes, name_end);
    if bytes.get(open) != Some(&b'{') {
        return Ok(name_end);
    }
    let mut at = open + 1;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some(found) = rest.iter().position(|byte| matches!(byte, b'"' | b'}' | b'\n')) else { break };
        at += found + 1;
        match rest.get(found) {
            Some(b'}') => return Ok(at),
            Some(b'"') => at = string_end(bytes, at).ok_or("expected a closing quote before the end of the line")? + 1,
            _ => break,
        }
    }
    Err("expected } before the end of the line".to_owned())
}

/// What a byte is to the short way through labels.
const NAME: u8 = 1;
const NAME_START: u8 = 2;
/// Ends the plain part of a value: a quote, or what needs the long way.
const VALUE_END: u8 = 4;
/// Ends a series' name.
const SERIES_END: u8 = 8;

static CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        if b.is_ascii_alphabetic() || b == b'_' {
            classes[byte] |= NAME | NAME_START;
        }
        if b.is_ascii_digit() {
            classes[byte] |= NAME;
        }
        if matches!(b, b'"' | b'\\') {
            classes[byte] |= VALUE_END;
        }
        if matches!(b, b'{' | b' ' | b'\t' | b'\n' | b'\r') {
            classes[byte] |= SERIES_END;
        }
        byte += 1;
    }
    classes
};

#[inline]
fn is(byte: u8, class: u8) -> bool {
    CLASSES[usize::from(byte)] & class != 0
}

/// The labels of a body as most servers write it: bare names, no blanks, no escapes. `None` says nothing about others.
fn plain_labels(body: &str) -> Option<Vec<(Cow<'_, str>, Cow<'_, str>)>> {
    let bytes = body.as_bytes();
    let mut labels = Vec::with_capacity(4);
    let mut at = 0;
    while at < bytes.len() {
        let name = bytes.get(at..)?;
        let length = name.iter().position(|byte| !is(*byte, NAME))?;
        if !is(*name.first()?, NAME_START) || name.get(length..length + 2)? != b"=\"" {
            return None;
        }
        let start = at + length + 2;
        let value = bytes.get(start..)?;
        let end = start + value.iter().position(|byte| is(*byte, VALUE_END))?;
        let name = body.get(at..at + length)?;
        if bytes.get(end) != Some(&b'"')
            || labels.len() >= MAX_LABELS
            || labels.iter().any(|(known, _): &(Cow<'_, str>, _)| *known == name)
        {
            return None;
        }
        labels.push((Cow::Borrowed(name), Cow::Borrowed(body.get(start..end)?)));
        at = match bytes.get(end + 1) {
            Some(b',') => end + 2,
            None => end + 1,
            Some(_) => return None,
        };
    }
    Some(labels)
}

/// Takes a series apart and checks its names.
///
/// # Errors
/// Says what was expected: a name, `=`, a quoted value, a comma, a label name that is not there yet.
pub fn parse_series(raw: &str) -> Result<SeriesText<'_>, String> {
    let (name, body) = match raw.find('{') {
        Some(open) => (trim_end(&raw[..open]), raw[open + 1..].strip_suffix('}')),
        None => (raw, Some("")),
    };
    let mut rest = body.ok_or("expected } at the end of the labels")?;
    let mut series = SeriesText { name: Cow::Borrowed(name), labels: Vec::new() };
    if !name.is_empty() && !is_classic_metric_name(name) {
        return Err(format!("expected a metric name of letters, digits, _ and : (others in quotes), found {name:?}"));
    }
    if !name.is_empty()
        && let Some(labels) = plain_labels(rest)
    {
        series.labels = labels;
        return Ok(series);
    }
    loop {
        rest = trim_start(rest);
        if rest.is_empty() {
            break;
        }
        let (item, after) = label(rest)?;
        match item {
            (name, Some(value)) => {
                if series.labels.iter().any(|(known, _)| *known == name) {
                    return Err(format!("expected each label once, found {name:?} twice"));
                }
                if series.labels.len() >= MAX_LABELS {
                    return Err(format!("expected at most {MAX_LABELS} labels"));
                }
                series.labels.push((name, value));
            }
            (name, None) if series.name.is_empty() && series.labels.is_empty() => series.name = name,
            (name, None) => return Err(format!("expected = after the label name {name:?}")),
        }
        rest = trim_start(after);
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            // Prometheus' text parser does without commas too.
            None if rest.is_empty() || is_label_start(rest) => {}
            None => return Err(format!("expected , or }} after a label value, found {:?}", head(rest))),
        }
    }
    if series.name.is_empty() {
        return Err("expected a metric name".to_owned());
    }
    Ok(series)
}

fn is_label_start(text: &str) -> bool {
    text.bytes().next().is_some_and(|byte| is(byte, NAME_START) || byte == b'"')
}

/// A name in quotes without a value is the metric's.
type Item<'a> = (Cow<'a, str>, Option<Cow<'a, str>>);

fn label(text: &str) -> Result<(Item<'_>, &str), String> {
    let (name, rest) = if let Some(quoted) = text.strip_prefix('"') {
        let (name, rest) = string(quoted)?;
        if name.is_empty() {
            return Err("expected a name in the quotes".to_owned());
        }
        (name, rest)
    } else {
        let ends = |byte: u8| matches!(byte, b'=' | b' ' | b'\t' | b',' | b'"');
        let end = text.bytes().position(ends).unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        if !is_classic_label_name(name) {
            return Err(format!("expected a label name of letters, digits and _, found {:?}", head(text)));
        }
        (Cow::Borrowed(name), rest)
    };
    let rest = trim_start(rest);
    let Some(rest) = rest.strip_prefix('=') else {
        return if text.starts_with('"') {
            Ok(((name, None), rest))
        } else {
            Err(format!("expected = after the label name {name:?}"))
        };
    };
    let value = trim_start(rest).strip_prefix('"');
    let (value, rest) = string(value.ok_or_else(|| format!("expected a quoted value of the label {name:?}"))?)?;
    Ok(((name, Some(value)), rest))
}

fn string(text: &str) -> Result<(Cow<'_, str>, &str), String> {
    let end = string_end(text.as_bytes(), 0).ok_or("expected a closing quote")?;
    Ok((unescape(&text[..end]), &text[end + 1..]))
}

fn head(text: &str) -> String {
    text.chars().take(20).collect()
}
