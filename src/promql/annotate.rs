//! Remarks on a query, with Prometheus' texts (`util/annotations`) and positions.

use std::collections::BTreeMap;

use crate::model::{format_float, quote};

use super::parser::Pos;
use super::result::Annotations;
use crate::storage::Tier;

/// Whether a remark warns or informs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Level {
    Warning,
    Info,
}

/// One remark on one place of the query.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Note {
    pub(crate) level: Level,
    pub(crate) text: String,
    pub(crate) pos: Pos,
    /// Grows when the same remark comes again (forced monotonicity only).
    pub(crate) extent: Option<Extent>,
}

/// How far a repeated repair of histogram buckets reached.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Extent {
    pub(crate) from_ms: i64,
    pub(crate) to_ms: i64,
    pub(crate) min_bucket: f64,
    pub(crate) max_bucket: f64,
    pub(crate) max_diff: f64,
    pub(crate) samples: u64,
}

impl Extent {
    fn widen(&mut self, other: &Self) {
        self.from_ms = self.from_ms.min(other.from_ms);
        self.to_ms = self.to_ms.max(other.to_ms);
        self.min_bucket = self.min_bucket.min(other.min_bucket);
        self.max_bucket = self.max_bucket.max(other.max_bucket);
        self.max_diff = self.max_diff.max(other.max_diff);
        self.samples += other.samples;
    }

    fn text(&self) -> String {
        format!(
            ", from buckets {} to {}, with a max diff of {}, over {} samples from {} to {}",
            go_float(self.min_bucket),
            go_float(self.max_bucket),
            go_float_2(self.max_diff),
            self.samples,
            rfc3339(self.from_ms),
            rfc3339(self.to_ms),
        )
    }
}

/// The remarks of a query, each once.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    seen: BTreeMap<(Level, String, u32), Note>,
}

impl Notes {
    pub(crate) fn warn(&mut self, pos: Pos, text: String) {
        self.add(Note { level: Level::Warning, text, pos, extent: None });
    }

    pub(crate) fn info(&mut self, pos: Pos, text: String) {
        self.add(Note { level: Level::Info, text, pos, extent: None });
    }

    pub(crate) fn add(&mut self, note: Note) {
        let key = (note.level, note.text.clone(), note.pos.start);
        match self.seen.entry(key) {
            std::collections::btree_map::Entry::Vacant(entry) => {
                entry.insert(note);
            }
            std::collections::btree_map::Entry::Occupied(mut entry) => {
                if let (Some(extent), Some(more)) = (&mut entry.get_mut().extent, &note.extent) {
                    extent.widen(more);
                }
            }
        }
    }

    /// Takes all remarks out, for a cache.
    pub(crate) fn take(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.seen).into_values().collect()
    }

    /// The finished texts. `query` gives the line of a position.
    pub(crate) fn finish(self, query: Option<&str>) -> Annotations {
        let mut annotations = Annotations::default();
        for note in self.seen.into_values() {
            let (line, column) = line_and_column(query, note.pos.start);
            let extent = note.extent.map(|extent| extent.text()).unwrap_or_default();
            let (word, list) = match note.level {
                Level::Warning => ("warning", &mut annotations.warnings),
                Level::Info => ("info", &mut annotations.infos),
            };
            list.push(format!("PromQL {word}: {}{extent} ({line}:{column})", note.text));
        }
        annotations.warnings.sort();
        annotations.infos.sort();
        annotations
    }
}

/// Line and column (in bytes), both from 1.
fn line_and_column(query: Option<&str>, start: u32) -> (usize, usize) {
    let start = start as usize;
    let before = query.and_then(|text| text.as_bytes().get(..start)).unwrap_or_default();
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let column = match before.iter().rposition(|byte| *byte == b'\n') {
        Some(newline) => start - newline,
        None => start + 1,
    };
    (line, column)
}

/// `for metric name "x"`, or nothing for series without a name.
fn of_metric(name: &str) -> String {
    if name.is_empty() { String::new() } else { format!(" for metric name {}", quote(name)) }
}

pub(crate) fn invalid_quantile(q: f64) -> String {
    format!("quantile value should be between 0 and 1, got {}", go_float(q))
}

pub(crate) fn invalid_ratio(ratio: f64, capped: f64) -> String {
    format!("ratio value should be between -1 and 1, got {}, capping to {}", go_float(ratio), go_float(capped))
}

pub(crate) fn bad_bucket_label(name: &str, le: &str) -> String {
    format!("bucket label \"le\" is missing or has a malformed value of {}{}", quote(le), of_metric(name))
}

pub(crate) fn mixed_floats_histograms(name: &str) -> String {
    format!("encountered a mix of histograms and floats for metric name {}", quote(name))
}

pub(crate) fn mixed_in_aggregation() -> String {
    "encountered a mix of histograms and floats for aggregation".to_owned()
}

pub(crate) fn sort_in_range() -> String {
    "sort is ineffective for range queries since results are always ordered by labels".to_owned()
}

pub(crate) fn start_time_overlap(name: &str) -> String {
    format!("sample has start time that overlaps with previous sample timestamp for metric {}", quote(name))
}

pub(crate) fn maybe_no_counter(name: &str) -> String {
    format!("metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {}", quote(name))
}

pub(crate) fn raw_is_gone(before: i64, tier: Tier) -> String {
    format!("raw samples before {} are gone, answered by the nearest rollups of {tier}", rfc3339(before))
}

pub(crate) fn raw_is_thin(tier: Tier) -> String {
    format!("raw samples are gone, answered by the first and last samples of each {tier}")
}

pub(crate) fn incompatible_types(left: &str, op: &str, right: &str) -> String {
    format!("incompatible sample types encountered for binary operator {}: {left} {op} {right}", quote(op))
}

pub(crate) fn ignored_in_aggregation(op: &str) -> String {
    format!("ignored histogram in {op} aggregation")
}

pub(crate) fn ignored_in_mixed_range(name: &str) -> String {
    format!("ignored histograms in a range containing both floats and histograms for metric name {}", quote(name))
}

pub(crate) fn forced_monotonicity(name: &str) -> String {
    format!(
        "input to histogram_quantile needed to be fixed for monotonicity (see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile){}",
        of_metric(name)
    )
}

/// Go's `%g`: the shortest digits that read back, with an exponent below 1e-4 and from 1e6 on (where `strconv` uses
/// precision 6 for the decision).
pub(crate) fn go_float(value: f64) -> String {
    if !value.is_finite() || value == 0.0 || (1e-4..1e6).contains(&value.abs()) {
        return format_float(value);
    }
    let text = format!("{value:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

/// Go's `%.2g`.
fn go_float_2(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return format_float(value);
    }
    let text = format!("{value:.1e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let mantissa = mantissa.strip_suffix(".0").unwrap_or(mantissa);
    if (-4..2).contains(&exponent) {
        let digits = usize::try_from(1 - exponent).unwrap_or(0);
        let plain = format!("{value:.digits$}");
        return if plain.contains('.') { plain.trim_end_matches('0').trim_end_matches('.').to_owned() } else { plain };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

/// Seconds in UTC as Go's `time.RFC3339` writes them.
fn rfc3339(ms: i64) -> String {
    let seconds = ms / 1000;
    jiff::Timestamp::from_second(seconds)
        .map_or_else(|_| seconds.to_string(), |ts| ts.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

#[cfg(test)]
mod tests {
    use super::{Notes, go_float_2, line_and_column};
    use crate::promql::parser::Pos;

    #[test]
    fn columns_count_bytes_after_the_newline() {
        assert_eq!(line_and_column(Some("a\n+ b"), 4), (2, 3));
        assert_eq!(line_and_column(Some("abc"), 0), (1, 1));
        assert_eq!(line_and_column(None, 9), (1, 10));
    }

    #[test]
    fn a_remark_comes_once() {
        let mut notes = Notes::default();
        for _ in 0..2 {
            notes.warn(Pos { start: 9, end: 10 }, super::invalid_quantile(2.0));
        }
        let annotations = notes.finish(None);
        assert_eq!(annotations.warnings, ["PromQL warning: quantile value should be between 0 and 1, got 2 (1:10)"]);
    }

    #[test]
    fn two_digits_as_go_writes_them() {
        for (value, expected) in [(10.0, "10"), (0.5, "0.5"), (123.0, "1.2e+02"), (0.000012, "1.2e-05"), (0.0, "0")] {
            assert_eq!(go_float_2(value), expected);
        }
    }
}
