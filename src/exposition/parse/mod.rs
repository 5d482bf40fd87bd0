//! The tolerant parser: what a scrape accepts.
//!
//! It takes both text formats line by line without a copy. The sink gets each series as the bytes that stand on the line, so that a scraper
//! that knows them needs no label at all; [`parse_series`] reads the labels of one it does not know.
//!
//! A bad line fails the page, as in Prometheus, and so does OpenMetrics without `# EOF`: it was cut off. A raw line end in a value of text is taken. More is accepted than by
//! Prometheus: `\r\n`, blanks where OpenMetrics allows none, unknown comments in OpenMetrics, `gaugehistogram` and the other
//! OpenMetrics types in text 0.0.4. `_created` lines of OpenMetrics go to [`Sink::created`].

mod comment;
mod sample;
mod series;

pub use comment::Meta;
pub use sample::ExemplarText;
pub(super) use series::MAX_LABELS;
pub use series::{SeriesText, parse_series};

use super::negotiate::Format;
use crate::model::{MetricKind, Timestamp};

/// One sample as it stands on its line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SampleLine<'a> {
    /// `name{labels}` byte for byte; the labels are not checked yet.
    pub series: &'a str,
    /// The value.
    pub value: f64,
    /// The timestamp in milliseconds, if the line has one.
    pub ts: Option<Timestamp>,
    /// The exemplar, if the line has one (OpenMetrics only).
    pub exemplar: Option<ExemplarText<'a>>,
}

/// What takes the lines of a page. An error stops the parser and becomes a [`ParseError`] of that line.
pub trait Sink<'a> {
    /// A sample.
    ///
    /// # Errors
    /// When the sample cannot be taken: bad labels, a limit. The text says what was expected.
    fn sample(&mut self, sample: SampleLine<'a>) -> Result<(), String>;

    /// The series that the next line will probably have, byte for byte: it is compared instead of searched for its end. Only for speed.
    fn expected(&self) -> Option<&str> {
        None
    }

    /// A HELP, TYPE or UNIT line of the family `name`.
    fn meta(&mut self, name: &'a str, meta: Meta<'a>);

    /// The `_created` sample of an OpenMetrics counter, histogram or summary; dropped unless the sink wants it.
    ///
    /// # Errors
    /// As [`Sink::sample`].
    fn created(&mut self, sample: SampleLine<'a>) -> Result<(), String> {
        let _ = sample;
        Ok(())
    }
}

/// Why a page was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}: {text:?}")]
pub struct ParseError {
    /// Line number, from 1.
    pub line: usize,
    /// What was expected.
    pub problem: String,
    /// The line, shortened.
    pub text: String,
}

/// Characters of a bad line that its error repeats.
const QUOTED: usize = 120;

/// Reads a page and returns how many samples it had.
///
/// # Errors
/// At the first line that is not of the format, or that the sink refuses; in OpenMetrics also when the last is not `# EOF`.
pub fn parse<'a, S: Sink<'a>>(text: &'a str, format: Format, sink: &mut S) -> Result<usize, ParseError> {
    let bytes = text.as_bytes();
    let (mut at, mut line, mut samples) = (0, 0, 0);
    let mut family: (&str, MetricKind) = ("", MetricKind::Unknown);
    let mut ended = false;
    while at < bytes.len() {
        line += 1;
        let start = at;
        let fail = move |problem: String| error(text, start, line, problem);
        if ended {
            return Err(fail("expected nothing after # EOF".to_owned()));
        }
        while matches!(bytes.get(at), Some(b' ' | b'\t')) {
            at += 1;
        }
        match bytes.get(at) {
            None => break,
            Some(b'\n') => at += 1,
            Some(b'\r') if bytes.get(at + 1) == Some(&b'\n') => at += 2,
            Some(b'#') => {
                let end = line_end(bytes, at);
                let comment = text[at..end].trim_end_matches('\r');
                at = end + 1;
                if comment == "# EOF" && format == Format::OpenMetrics {
                    ended = true;
                } else if let Some((name, meta)) = comment::read(comment).map_err(fail)? {
                    if let Meta::Kind(kind) = meta {
                        family = (name, kind);
                    }
                    sink.meta(name, meta);
                }
            }
            Some(_) => {
                let known = sink.expected().and_then(|series| sample::known(bytes, at, series));
                let end = known.map_or_else(|| series::end(bytes, at), Ok).map_err(fail)?;
                let lines = lines_in(bytes, at, end, format, known.is_some()).map_err(fail)?;
                let (sample, next) = sample::read(text, at, end, format).map_err(fail)?;
                line += lines;
                at = next;
                if format == Format::OpenMetrics && is_created(sample.series, family) {
                    sink.created(sample).map_err(fail)?;
                } else {
                    sink.sample(sample).map_err(fail)?;
                    samples += 1;
                }
            }
        }
    }
    if format == Format::OpenMetrics && !ended {
        return Err(error(text, text.len(), line + 1, "expected # EOF as the last line of OpenMetrics".to_owned()));
    }
    Ok(samples)
}

/// One line of a page.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TextLine<'a> {
    /// A sample.
    Sample(SampleLine<'a>),
    /// HELP, TYPE or UNIT of the family.
    Meta(&'a str, Meta<'a>),
    /// `# EOF`.
    End,
    /// Nothing, or a comment.
    Other,
}

/// Reads one line, for files that are too large to lie in memory as a page.
///
/// # Errors
/// Says what was expected.
pub fn parse_line(line: &str, format: Format) -> Result<TextLine<'_>, String> {
    let line = line.trim_start_matches([' ', '\t']).trim_end_matches(['\r', '\n']);
    if line.is_empty() {
        return Ok(TextLine::Other);
    }
    if line.starts_with('#') {
        if line == "# EOF" && format == Format::OpenMetrics {
            return Ok(TextLine::End);
        }
        return Ok(comment::read(line)?.map_or(TextLine::Other, |(name, meta)| TextLine::Meta(name, meta)));
    }
    let end = series::end(line.as_bytes(), 0)?;
    sample::read(line, 0, end, format).map(|(sample, _)| TextLine::Sample(sample))
}

/// Line ends within a series: text may have them raw in its values, as in Prometheus, OpenMetrics may not.
#[inline]
fn lines_in(bytes: &[u8], at: usize, end: usize, format: Format, known: bool) -> Result<usize, String> {
    if known && format == Format::OpenMetrics {
        return Ok(0);
    }
    let lines = memchr::memchr_iter(b'\n', bytes.get(at..end).unwrap_or_default()).count();
    if lines > 0 && format == Format::OpenMetrics {
        return Err("expected a closing quote before the end of the line".to_owned());
    }
    Ok(lines)
}

fn line_end(bytes: &[u8], from: usize) -> usize {
    memchr::memchr(b'\n', bytes.get(from..).unwrap_or_default()).map_or(bytes.len(), |at| from + at)
}

fn is_created(series: &str, (family, kind): (&str, MetricKind)) -> bool {
    let typed = matches!(kind, MetricKind::Counter | MetricKind::Histogram | MetricKind::Summary);
    typed
        && series
            .strip_prefix(family)
            .and_then(|rest| rest.strip_prefix("_created"))
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['{', ' ']))
}

fn error(text: &str, start: usize, line: usize, problem: String) -> ParseError {
    let text: String = text[start..].lines().next().unwrap_or("").chars().take(QUOTED).collect();
    ParseError { line, problem, text }
}

#[cfg(test)]
mod tests;
