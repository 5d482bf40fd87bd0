//! Series descriptions as promqltest scripts and rule unit tests write them: `metric{a="b"} 1 2+3x4 _ stale {{…}}`.

use std::sync::Arc;

use crate::limits::MAX_QUERY_BYTES;
use crate::model::{Histogram, Labels, METRIC_NAME, Matcher, parse_duration, parse_float, stale_marker};

use super::ast::{Expr, Pos};
use super::error::{ParseError, ParseErrors};
use super::grammar::Parser;
use super::series_histogram::{combine, histogram_literal};
use super::text::unquote;
use super::token::Kind;

/// Values that one description may give: a day at 1 Hz fits ten times.
const MAX_VALUES: usize = 1_000_000;

/// One place in a series' sequence.
#[derive(Debug, Clone, PartialEq)]
pub enum SequenceValue {
    /// `_`: no sample.
    Omitted,
    /// A number; `stale` is the stale marker.
    Float(f64),
    /// `{{…}}`.
    Histogram {
        /// Its value.
        histogram: Arc<Histogram>,
        /// Whether `counter_reset_hint` was written: only then is it compared.
        hint_written: bool,
    },
}

/// One place of a `metric@st` line: milliseconds relative to the sample, or `None` for "not known".
pub type SeriesStart = Option<i64>;

/// Reads `metric{labels} values`. `vxN` stands for N+1 values, `v+dxN` adds `d` each time, `_xN` stands for N gaps.
///
/// # Errors
/// The place of the first mistake and what was expected there.
pub fn parse_series(text: &str) -> Result<(Labels, Vec<SequenceValue>), ParseErrors> {
    let mut cursor = Cursor::new(text)?;
    let labels = cursor.metric()?;
    let mut values = Vec::new();
    cursor.skip_blank();
    while !cursor.rest().is_empty() {
        cursor.item(&mut values)?;
        cursor.separator()?;
    }
    Ok((labels, values))
}

/// Reads `metric{labels}@st offsets`: the start times of the samples that the next line describes. Without a metric
/// the labels are empty: a default for the series that follow. `*` repeats the last known offset.
///
/// # Errors
/// The place of the first mistake and what was expected there.
pub fn parse_start_times(text: &str) -> Result<(Labels, Vec<SeriesStart>), ParseErrors> {
    let mut cursor = Cursor::new(text)?;
    let labels = if text.starts_with("@st") { Labels::empty() } else { cursor.metric()? };
    if !cursor.accept("@st") {
        return cursor.fail("expected \"@st\" after the metric");
    }
    let mut values = Vec::new();
    cursor.skip_blank();
    while !cursor.rest().is_empty() {
        cursor.start_item(&mut values)?;
        cursor.separator()?;
    }
    Ok((labels, values))
}

/// Reads `metric{labels}` and nothing else.
///
/// # Errors
/// The place of the first mistake and what was expected there.
pub fn parse_metric(text: &str) -> Result<Labels, ParseErrors> {
    let mut cursor = Cursor::new(text)?;
    cursor.skip_blank();
    let labels = cursor.metric()?;
    cursor.skip_blank();
    if cursor.rest().is_empty() { Ok(labels) } else { cursor.fail("unexpected text after the metric") }
}

/// Reads a selector without modifiers, as `match[]` carries it. Selectors that match every series are not refused here.
///
/// # Errors
/// The place of the first mistake and what was expected there.
pub fn parse_selector(text: &str) -> Result<Vec<Matcher>, ParseErrors> {
    Cursor::new(text)?;
    let mut parser = Parser::new(text);
    let parsed = match parser.peek() {
        kind if kind.is_metric_name() || kind == Kind::LeftBrace => parser.vector_selector(),
        _ => parser.unexpected("", "metric selector"),
    };
    let end = if parsed.is_ok() { parser.expect(Kind::Eof, "", "").map(|_| ()) } else { Ok(()) };
    match (ParseErrors::of(std::mem::take(&mut parser.errors)), parsed, end) {
        (Some(errors), ..) => Err(errors),
        (None, Ok(Expr::Vector(ref mut selector)), Ok(())) => Ok(std::mem::take(&mut selector.matchers)),
        _ => Err(ParseError::new(text, Pos::default(), "expected a metric selector".to_owned()).into()),
    }
}

/// A place in a description.
pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn new(text: &'a str) -> Result<Self, ParseErrors> {
        let cursor = Self { text, at: 0 };
        if text.len() > MAX_QUERY_BYTES {
            return cursor.fail(format!("text is {} bytes long, the limit is {MAX_QUERY_BYTES}", text.len()));
        }
        Ok(cursor)
    }

    pub(super) fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    pub(super) fn fail<T>(&self, message: impl Into<String>) -> Result<T, ParseErrors> {
        let at = self.at as u32;
        Err(ParseError::new(self.text, Pos { start: at, end: at + 1 }, message.into()).into())
    }

    pub(super) fn skip_blank(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    pub(super) fn accept(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    /// Takes the characters for which `keep` says yes.
    pub(super) fn take_while(&mut self, keep: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c: char| !keep(c)).unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or("")
    }

    /// Blanks must stand between two values.
    fn separator(&mut self) -> Result<(), ParseErrors> {
        let before = self.at;
        self.skip_blank();
        if self.at == before && !self.rest().is_empty() {
            return self.fail(format!("unexpected {:?} in series values, expected a blank", self.first()));
        }
        Ok(())
    }

    fn first(&self) -> String {
        self.rest().chars().take(1).collect()
    }

    fn metric(&mut self) -> Result<Labels, ParseErrors> {
        let name = self.take_while(|c| c == '_' || c == ':' || c.is_ascii_alphanumeric());
        if name.is_empty() && !self.rest().starts_with('{') {
            return self.fail(format!("unexpected {:?}, expected a metric name or \"{{\"", self.first()));
        }
        let mut pairs: Vec<(String, String)> = Vec::new();
        if !name.is_empty() {
            pairs.push((METRIC_NAME.to_owned(), name.to_owned()));
        }
        if self.accept("{") {
            self.label_set(&mut pairs)?;
        }
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        Ok(Labels::from_pairs(&pairs))
    }

    fn label_set(&mut self, pairs: &mut Vec<(String, String)>) -> Result<(), ParseErrors> {
        loop {
            self.skip_blank();
            if self.accept("}") {
                return Ok(());
            }
            self.label(pairs)?;
            self.skip_blank();
            if !self.accept(",") && !self.rest().starts_with('}') {
                return self.fail(format!("unexpected {:?} in label set, expected \",\" or \"}}\"", self.first()));
            }
        }
    }

    /// `name="value"`, `"quoted name"="value"`, or a quoted metric name.
    fn label(&mut self, pairs: &mut Vec<(String, String)>) -> Result<(), ParseErrors> {
        let quoted = self.rest().starts_with(['"', '\'', '`']);
        let name =
            if quoted { self.string()? } else { self.take_while(|c| c == '_' || c.is_ascii_alphanumeric()).to_owned() };
        if name.is_empty() {
            return self.fail(format!("unexpected {:?} in label set, expected identifier or \"}}\"", self.first()));
        }
        self.skip_blank();
        if !self.accept("=") {
            if quoted {
                pairs.push((METRIC_NAME.to_owned(), name));
                return Ok(());
            }
            return self.fail(format!("unexpected {:?} in label set, expected \"=\"", self.first()));
        }
        self.skip_blank();
        let value = self.string()?;
        if pairs.iter().any(|(other, _)| *other == name) {
            return self.fail(format!("label {name:?} is given twice"));
        }
        pairs.push((name, value));
        Ok(())
    }

    fn string(&mut self) -> Result<String, ParseErrors> {
        let rest = self.rest();
        let mut chars = rest.char_indices();
        let quote = match chars.next() {
            Some((_, c @ ('"' | '\'' | '`'))) => c,
            _ => return self.fail(format!("unexpected {:?} in label set, expected string", self.first())),
        };
        let mut escaped = false;
        for (i, c) in chars {
            if c == quote && !escaped {
                let literal = rest.get(..=i).unwrap_or("");
                return match unquote(literal) {
                    Ok(value) => {
                        self.at += literal.len();
                        Ok(value)
                    }
                    Err(reason) => self.fail(reason),
                };
            }
            escaped = c == '\\' && !escaped && quote != '`';
        }
        self.fail("unterminated quoted string")
    }

    /// One item of the sequence, pushed as often as it says.
    fn item(&mut self, values: &mut Vec<SequenceValue>) -> Result<(), ParseErrors> {
        if self.accept("_") {
            let count = self.repeat()?.unwrap_or(1);
            return self.push(values, count, |_| SequenceValue::Omitted);
        }
        if self.rest().starts_with("{{") {
            return self.histogram_item(values);
        }
        let first = self.value()?;
        let step = if self.rest().starts_with(['+', '-']) { Some(self.value()?) } else { None };
        let repeat = self.repeat()?;
        if step.is_some() && repeat.is_none() {
            return self.fail(format!("unexpected {:?} in series values, expected \"x\" and a count", self.first()));
        }
        let mut current = first;
        self.push(values, repeat.map_or(1, |count| count + 1), |i| {
            // Added again and again, as Prometheus does: the rounding must be the same.
            current = if i == 0 { first } else { step.map_or(current, |step| current + step) };
            SequenceValue::Float(current)
        })
    }

    fn histogram_item(&mut self, values: &mut Vec<SequenceValue>) -> Result<(), ParseErrors> {
        let (first, mut hint_written) = histogram_literal(self)?;
        let sign = match self.rest().chars().next() {
            Some('+') => 1.0,
            Some('-') => -1.0,
            _ => 0.0,
        };
        let mut step = None;
        if sign != 0.0 {
            self.at += 1;
            let (histogram, written) = histogram_literal(self)?;
            hint_written |= written;
            step = Some(histogram);
        }
        let count = match self.repeat()? {
            None if step.is_some() => return self.fail("expected \"x\" and a count after histogram arithmetic"),
            repeat => repeat.map_or(1, |count| count + 1),
        };
        let mut current = Arc::new(first);
        self.check_room(values, count)?;
        for i in 0..count {
            if let Some(step) = step.as_ref().filter(|_| i > 0) {
                current = match combine(&current, step, sign) {
                    Ok(sum) => Arc::new(sum),
                    Err(reason) => return self.fail(format!("error combining histograms: {reason}")),
                };
            }
            values.push(SequenceValue::Histogram { histogram: Arc::clone(&current), hint_written });
        }
        Ok(())
    }

    fn check_room(&self, values: &[SequenceValue], count: usize) -> Result<(), ParseErrors> {
        if values.len().saturating_add(count) > MAX_VALUES {
            return self.fail(format!("series has more than {MAX_VALUES} values"));
        }
        Ok(())
    }

    fn push(
        &self,
        values: &mut Vec<SequenceValue>,
        count: usize,
        value: impl FnMut(usize) -> SequenceValue,
    ) -> Result<(), ParseErrors> {
        self.check_room(values, count)?;
        values.extend((0..count).map(value));
        Ok(())
    }

    /// `xN`, if it is there.
    fn repeat(&mut self) -> Result<Option<usize>, ParseErrors> {
        if !self.accept("x") {
            return Ok(None);
        }
        let digits = self.take_while(|c| c.is_ascii_digit());
        match digits.parse::<usize>() {
            Ok(count) if count <= MAX_VALUES => Ok(Some(count)),
            _ => self.fail(format!("invalid repetition in series values: {digits:?}")),
        }
    }

    /// A number with an optional sign, or `stale`.
    fn value(&mut self) -> Result<f64, ParseErrors> {
        if self.accept("stale") {
            return Ok(stale_marker());
        }
        self.number("series values", "number or \"stale\"")
    }

    /// A number with an optional sign, `Inf` and `NaN` included. No hexadecimal: `0x3` is a repetition.
    pub(super) fn number(&mut self, context: &str, expected: &str) -> Result<f64, ParseErrors> {
        let start = self.at;
        let _ = self.accept("+") || self.accept("-");
        let word = self.rest().get(..3).unwrap_or("");
        if word.eq_ignore_ascii_case("inf") || word.eq_ignore_ascii_case("nan") {
            self.at += 3;
        } else {
            self.take_while(|c| c.is_ascii_digit() || c == '.');
            let before = self.at;
            if self.accept("e") || self.accept("E") {
                let _ = self.accept("+") || self.accept("-");
                if self.take_while(|c| c.is_ascii_digit()).is_empty() {
                    self.at = before;
                }
            }
        }
        match parse_float(self.text.get(start..self.at).unwrap_or("")) {
            Some(value) => Ok(value),
            None => {
                self.at = start;
                self.fail(format!("unexpected {:?} in {context}, expected {expected}", self.first()))
            }
        }
    }

    fn start_item(&mut self, values: &mut Vec<SeriesStart>) -> Result<(), ParseErrors> {
        let (first, step) = if self.accept("_") {
            let count = self.repeat()?.unwrap_or(1);
            if count == 0 {
                return self.fail("invalid repeat count");
            }
            values.extend(std::iter::repeat_n(None, count));
            return Ok(());
        } else if self.accept("*") {
            (values.iter().rev().find_map(|start| *start).unwrap_or(0), None)
        } else {
            let first = self.signed_duration()?;
            (first, if self.rest().starts_with(['+', '-']) { Some(self.signed_duration()?) } else { None })
        };
        let repeat = self.repeat()?;
        if step.is_some() && repeat.is_none() {
            return self.fail("expected \"x\" and a count after the step");
        }
        let count = repeat.map_or(1, |count| count + 1) as i64;
        let step = step.unwrap_or(0);
        values.extend((0..count).map(|i| Some(first.saturating_add(step.saturating_mul(i)))));
        Ok(())
    }

    fn signed_duration(&mut self) -> Result<i64, ParseErrors> {
        let negative = self.accept("-");
        if !negative {
            self.accept("+");
        }
        let text = self.take_while(|c| c.is_ascii_digit() || "mshdwy".contains(c));
        match parse_duration(text) {
            Ok(duration) => {
                let ms = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
                Ok(if negative { -ms } else { ms })
            }
            Err(error) => self.fail(format!("{error}; or _ for a start that is not known")),
        }
    }
}
