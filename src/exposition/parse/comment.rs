//! `# HELP`, `# TYPE` and `# UNIT` lines.

use crate::model::MetricKind;

/// What a metadata line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meta<'a> {
    /// The help text, escapes included.
    Help(&'a str),
    /// The type.
    Kind(MetricKind),
    /// The unit.
    Unit(&'a str),
}

/// Reads a line that starts with `#`; `None` for any other comment.
pub(super) fn read(line: &str) -> Result<Option<(&str, Meta<'_>)>, String> {
    let rest = line[1..].trim_start_matches([' ', '\t']);
    let end = rest.bytes().position(|byte| matches!(byte, b' ' | b'\t')).unwrap_or(rest.len());
    let (word, rest) = (&rest[..end], rest.get(end + 1..).unwrap_or(""));
    if !matches!(word, "HELP" | "TYPE" | "UNIT") {
        return Ok(None);
    }
    let rest = rest.trim_start_matches([' ', '\t']);
    if rest.is_empty() {
        // As in Prometheus, what names no family is a comment like any other.
        return Ok(None);
    }
    let (name, rest) = name(rest).ok_or_else(|| format!("expected a metric name after # {word}"))?;
    let value = rest.strip_prefix([' ', '\t']).unwrap_or(rest);
    let meta = match word {
        "HELP" => Meta::Help(value),
        "UNIT" => Meta::Unit(value.trim()),
        _ => Meta::Kind(MetricKind::parse(value.trim()).ok_or_else(|| {
            "expected counter, gauge, histogram, gaugehistogram, summary, info, stateset, unknown or untyped".to_owned()
        })?),
    };
    Ok(Some((name, meta)))
}

/// The name, bare or in quotes (without them), and what follows.
fn name(text: &str) -> Option<(&str, &str)> {
    if let Some(quoted) = text.strip_prefix('"') {
        let end = super::series::string_end(quoted.as_bytes(), 0)?;
        return Some((&quoted[..end], &quoted[end + 1..]));
    }
    let end = text.bytes().position(|byte| matches!(byte, b' ' | b'\t')).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}
