//! `_created` lines of OpenMetrics: which lines before them they speak of.
//!
//! The lines of one metric stand together, so bytes are compared: the name up to its suffix, and the labels without `le` and `quantile`.

use crate::model::Timestamp;

/// Suffixes of lines that one `_created` line speaks of.
const PARTS: [&str; 5] = ["_total", "_bucket", "_sum", "_count", ""];

/// The name without `_created`, and the labels in their braces or nothing.
pub(super) fn split(created: &str) -> Option<(&str, &str)> {
    let (name, labels) = cut(created);
    Some((name.strip_suffix("_created")?, labels))
}

/// Seconds of a `_created` line in milliseconds; 0 and what is out of range say nothing.
pub(super) fn milliseconds(seconds: f64) -> Option<Timestamp> {
    let ms = (seconds * 1000.0).round();
    (ms > 0.0 && ms < 9e15).then_some(ms as Timestamp)
}

/// Whether a line is of the metric `name` with `labels`.
pub(super) fn is_part(line: &str, name: &str, labels: &str) -> bool {
    let (own, own_labels) = cut(line);
    let named = own.strip_prefix(name).is_some_and(|suffix| PARTS.contains(&suffix));
    named && (own_labels == labels || ["le", "quantile"].iter().any(|inner| is_without(own_labels, inner, labels)))
}

fn cut(series: &str) -> (&str, &str) {
    series.split_at(series.find('{').unwrap_or(series.len()))
}

/// Whether `long` without its label `inner` is `short`.
fn is_without(long: &str, inner: &str, short: &str) -> bool {
    let starts = |(at, _): &(usize, &str)| {
        matches!(long.as_bytes().get(at.wrapping_sub(1)), Some(b'{' | b','))
            && long[at + inner.len()..].starts_with("=\"")
    };
    let Some((start, _)) = long.match_indices(inner).find(starts) else { return false };
    let value = start + inner.len() + 2;
    // Bounds and quantiles are numbers: no quote stands in them.
    let Some(end) = long[value..].find('"').map(|at| value + at + 1) else { return false };
    let (before, after) = (&long[..start], &long[end..]);
    let (before, after) = match after.strip_prefix(',') {
        Some(after) => (before, after),
        None => (before.strip_suffix(',').unwrap_or(before), after),
    };
    let short = if short.is_empty() { "{}" } else { short };
    short.len() == before.len() + after.len() && short.starts_with(before) && short.ends_with(after)
}

#[cfg(test)]
mod tests {
    use super::{is_part, milliseconds, split};

    #[test]
    fn lines_of_a_metric() {
        let cases = [
            ("a_created", "a_total", true),
            ("a_created", "a_total{b=\"c\"}", false),
            ("a_created{b=\"c\"}", "a_total{b=\"c\"}", true),
            ("a_created{b=\"c\"}", "a_total{b=\"d\"}", false),
            ("a_created{b=\"c\"}", "ab_total{b=\"c\"}", false),
            ("a_created", "a_bucket{le=\"+Inf\"}", true),
            ("a_created{}", "a_bucket{le=\"1.0\"}", true),
            ("a_created{b=\"c\"}", "a_bucket{b=\"c\",le=\"1.0\"}", true),
            ("a_created{b=\"c\"}", "a_bucket{le=\"1.0\",b=\"c\"}", true),
            ("a_created{b=\"c\",d=\"e\"}", "a_bucket{b=\"c\",le=\"1.0\",d=\"e\"}", true),
            ("a_created{b=\"c\"}", "a_bucket{sale=\"x\",b=\"c\"}", false),
            ("a_created{b=\"c\"}", "a{b=\"c\",quantile=\"0.5\"}", true),
            ("a_created", "a_bucket{le=\"1", false),
        ];
        for (created, line, expected) in cases {
            let (name, labels) = split(created).expect(created);
            assert_eq!(is_part(line, name, labels), expected, "{created} {line}");
        }
        assert_eq!(split("a_total"), None);
        for (seconds, expected) in [(1.5, Some(1500)), (0.0, None), (-1.0, None), (f64::NAN, None), (1e300, None)] {
            assert_eq!(milliseconds(seconds), expected);
        }
    }
}
