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

/// The index of the quote that ends a string whose content starts at `at`.
pub(super) fn string_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            b'\n' => return None,
            _ => at += 1,
        }
    }
}

/// One past the last byte of the series that starts at `at`: the end of its name, or its closing brace.
pub(super) fn end(bytes: &[u8], mut at: usize) -> Result<usize, String> {
    while !matches!(bytes.get(at), None | Some(b'{' | b' ' | b'\t' | b'\n' | b'\r')) {
        at += 1;
    }
    let name_end = at;
    while matches!(bytes.get(at), Some(b' ' | b'\t')) {
        at += 1;
    }
    if bytes.get(at) != Some(&b'{') {
        return Ok(name_end);
    }
    at += 1;
    loop {
        match bytes.get(at) {
            Some(b'}') => return Ok(at + 1),
            Some(b'"') => {
                at = string_end(bytes, at + 1).ok_or("expected a closing quote before the end of the line")? + 1;
            }
            None | Some(b'\n') => return Err("expected } before the end of the line".to_owned()),
            Some(_) => at += 1,
        }
    }
}

/// Takes a series apart and checks its names.
///
/// # Errors
/// Says what was expected: a name, `=`, a quoted value, a comma, a label name that is not there yet.
pub fn parse_series(raw: &str) -> Result<SeriesText<'_>, String> {
    let (name, body) = match raw.find('{') {
        Some(open) => (raw[..open].trim_end_matches([' ', '\t']), raw[open + 1..].strip_suffix('}')),
        None => (raw, Some("")),
    };
    let mut rest = body.ok_or("expected } at the end of the labels")?;
    let mut series = SeriesText { name: Cow::Borrowed(name), labels: Vec::new() };
    if !name.is_empty() && !is_classic_metric_name(name) {
        return Err(format!("expected a metric name of letters, digits, _ and : (others in quotes), found {name:?}"));
    }
    loop {
        rest = rest.trim_start_matches([' ', '\t']);
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
        rest = after.trim_start_matches([' ', '\t']);
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None if rest.is_empty() => {}
            None => return Err(format!("expected , or }} after a label value, found {:?}", head(rest))),
        }
    }
    if series.name.is_empty() {
        return Err("expected a metric name".to_owned());
    }
    Ok(series)
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
        let end = text.find(['=', ' ', '\t', ',', '"']).unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        if !is_classic_label_name(name) {
            return Err(format!("expected a label name of letters, digits and _, found {:?}", head(text)));
        }
        (Cow::Borrowed(name), rest)
    };
    let rest = rest.trim_start_matches([' ', '\t']);
    let Some(rest) = rest.strip_prefix('=') else {
        return if text.starts_with('"') {
            Ok(((name, None), rest))
        } else {
            Err(format!("expected = after the label name {name:?}"))
        };
    };
    let value = rest.trim_start_matches([' ', '\t']).strip_prefix('"');
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
