//! Script text → commands.

use crate::model::{Labels, Timestamp, go_regex, parse_duration};
use crate::promql::parser::{SeriesStart, parse_literal_number, parse_series, parse_start_times, unquote};

use super::script::{
    Command, Eval, EvalTime, Expectations, ExpectedResult, ExpectedSeries, Load, LoadSeries, MessageCheck,
};

/// Bytes of a script; the largest upstream one has 60 KB.
const MAX_SCRIPT_BYTES: usize = 16 << 20;

/// A script that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct ScriptError {
    /// Line of the script, from 1.
    pub line: u32,
    /// What is wrong and what was expected.
    pub message: String,
}

/// Reads a script. Lines are trimmed, `#` begins a comment line, a blank line ends a command.
///
/// # Errors
/// The first line that is no valid part of a script.
pub fn parse_script(text: &str) -> Result<Vec<Command>, ScriptError> {
    if text.len() > MAX_SCRIPT_BYTES {
        return Err(ScriptError { line: 1, message: format!("script is larger than {MAX_SCRIPT_BYTES} bytes") });
    }
    let mut lines = Lines::new(text);
    let mut commands = Vec::new();
    while let Some((number, line)) = lines.next() {
        if line.is_empty() {
            continue;
        }
        let word = line.split_whitespace().next().unwrap_or("").to_ascii_lowercase();
        let command = if word == "clear" {
            Ok(Command::Clear)
        } else if word.starts_with("load") {
            load(number, line, &mut lines).map(Command::Load)
        } else if word.starts_with("eval") {
            eval(number, line, &mut lines).map(|eval| Command::Eval(Box::new(eval)))
        } else {
            Err(error(number, format!("invalid command {line:?}: expected clear, load or eval")))
        };
        commands.push(command?);
    }
    Ok(commands)
}

fn error(line: u32, message: impl Into<String>) -> ScriptError {
    ScriptError { line, message: message.into() }
}

/// Trimmed lines with their numbers.
struct Lines<'a> {
    lines: Vec<&'a str>,
    at: usize,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        let lines = text.lines().map(str::trim).map(|line| if line.starts_with('#') { "" } else { line }).collect();
        Self { lines, at: 0 }
    }

    fn next(&mut self) -> Option<(u32, &'a str)> {
        let line = self.lines.get(self.at)?;
        self.at += 1;
        Some((self.at as u32, line))
    }

    /// The next line of the block, or `None` at its end.
    fn next_in_block(&mut self) -> Option<(u32, &'a str)> {
        self.next().filter(|(_, line)| !line.is_empty())
    }
}

/// Cuts the first word off.
fn word(text: &str) -> (&str, &str) {
    text.trim_start()
        .split_once(char::is_whitespace)
        .map_or((text.trim(), ""), |(word, rest)| (word, rest.trim_start()))
}

fn duration(line: u32, what: &str, text: &str) -> Result<i64, ScriptError> {
    match parse_duration(text) {
        Ok(duration) => Ok(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)),
        Err(reason) => Err(error(line, format!("invalid {what} definition {text:?}: {reason}"))),
    }
}

fn load(number: u32, line: &str, lines: &mut Lines<'_>) -> Result<Load, ScriptError> {
    let (command, step) = word(line);
    let with_nhcb = match command {
        "load" => false,
        "load_with_nhcb" => true,
        _ => return Err(error(number, "invalid load command: expected load[_with_nhcb] <step:duration>")),
    };
    let step_ms = duration(number, "step", step)?;
    let mut load = Load { line: number, step_ms, with_nhcb, series: Vec::new() };
    let mut pending: Option<(u32, Labels, Vec<SeriesStart>)> = None;
    let mut default: Vec<SeriesStart> = Vec::new();
    while let Some((number, line)) = lines.next_in_block() {
        if line.split_whitespace().next().is_some_and(|first| first.ends_with("@st")) {
            let (labels, starts) = parse_start_times(line).map_err(|reason| error(number, reason.to_string()))?;
            if let Some((number, ..)) = &pending {
                return Err(error(*number, "@st line has no following sample line"));
            }
            match labels.is_empty() {
                true => default = starts,
                false => pending = Some((number, labels, starts)),
            }
            continue;
        }
        let (labels, values) = parse_series(line).map_err(|reason| error(number, reason.to_string()))?;
        let starts = match pending.take() {
            // Without a line of its own a series takes the default, from its first value on again and again.
            None if default.is_empty() => Vec::new(),
            None => default.iter().cycle().take(values.len()).copied().collect(),
            Some((number, other, _)) if other != labels => {
                return Err(error(number, "@st metric does not match the following sample line metric"));
            }
            Some((number, _, starts)) if starts.len() != values.len() => {
                let message = format!("@st line has {} values but sample line has {}", starts.len(), values.len());
                return Err(error(number, message));
            }
            Some((_, _, starts)) => starts,
        };
        load.series.push(LoadSeries { labels, values, starts });
    }
    match pending {
        Some((number, ..)) => Err(error(number, "@st line has no following sample line")),
        None => Ok(load),
    }
}

/// Whether lines may follow in the block of an evaluation.
#[derive(PartialEq, Eq)]
enum Block {
    Open,
    Closed,
}

fn eval(number: u32, line: &str, lines: &mut Lines<'_>) -> Result<Eval, ScriptError> {
    let (command, rest) = word(line);
    let mut expect = Expectations::default();
    match command {
        "eval" => {}
        "eval_fail" => expect.fail.push(MessageCheck::Any),
        "eval_warn" => expect.some_warn = true,
        "eval_info" => expect.some_info = true,
        "eval_ordered" => expect.ordered = true,
        _ => return Err(invalid_eval(number)),
    }
    let (kind, rest) = word(rest);
    let (time, expr) = match kind {
        "instant" => match word(rest) {
            ("at", rest) => {
                let (at, expr) = word(rest);
                (EvalTime::Instant(duration(number, "timestamp", at)?), expr)
            }
            _ => (EvalTime::Instant(0), rest),
        },
        "range" if command != "eval_ordered" => {
            let (start, end, step_ms, expr) = from_to_step(number, rest)?;
            if step_ms <= 0 {
                return Err(error(number, "step must be greater than 0"));
            }
            (EvalTime::Range { start, end, step_ms }, expr)
        }
        _ => return Err(invalid_eval(number)),
    };
    if expr.is_empty() {
        return Err(invalid_eval(number));
    }
    let mut eval =
        Eval { line: number, expr: expr.to_owned(), time, expect, result: ExpectedResult::Series(Vec::new()) };
    let may_fail = command == "eval_fail";
    let mut fail_lines = 0;
    while let Some((number, line)) = lines.next_in_block() {
        if expectation(number, line, may_fail, &mut fail_lines, &mut eval)? == Block::Closed {
            break;
        }
    }
    Ok(eval)
}

fn invalid_eval(number: u32) -> ScriptError {
    error(
        number,
        "invalid evaluation command: expected eval[_fail|_warn|_info|_ordered] instant [at <time>] <query> or \
         eval[_fail|_warn|_info] range from <from> to <to> step <step> <query>",
    )
}

/// `from A to B step S rest`.
fn from_to_step(number: u32, text: &str) -> Result<(Timestamp, Timestamp, i64, &str), ScriptError> {
    let mut rest = text;
    let mut times = [0; 3];
    for (keyword, time) in ["from", "to", "step"].into_iter().zip(&mut times) {
        let (found, after) = word(rest);
        if found != keyword {
            return Err(error(number, format!("expected {keyword:?}, got {found:?}")));
        }
        let (value, after) = word(after);
        *time = duration(number, keyword, value)?;
        rest = after;
    }
    let [start, end, step] = times;
    if end < start {
        return Err(error(number, "invalid test definition, end timestamp is before start timestamp"));
    }
    Ok((start, end, step, rest))
}

fn expectation(
    number: u32,
    line: &str,
    may_fail: bool,
    fail_lines: &mut u32,
    eval: &mut Eval,
) -> Result<Block, ScriptError> {
    if let Some(rest) = line.strip_prefix("expect range vector") {
        let (start, end, step_ms, after) = from_to_step(number, rest)?;
        if !after.is_empty() {
            return Err(error(number, format!("unexpected {after:?} after the range vector's step")));
        }
        eval.result = ExpectedResult::RangeVector { start, end, step_ms, series: Vec::new() };
        return Ok(Block::Open);
    }
    if let Some(rest) = line.strip_prefix("expect string") {
        eval.result = ExpectedResult::String(string_literal(number, rest.trim())?);
        return Ok(Block::Open);
    }
    match word(line) {
        ("expect", rest) => return expected_message(number, rest, fail_lines, &mut eval.expect).map(|()| Block::Open),
        ("expected_fail_message", text) if may_fail => {
            eval.expect.fail.push(MessageCheck::Exactly(text.to_owned()));
            return Ok(Block::Closed);
        }
        ("expected_fail_regexp", pattern) if may_fail => {
            eval.expect.fail.push(regex(number, pattern)?);
            return Ok(Block::Closed);
        }
        _ => {}
    }
    if let Some(value) = parse_literal_number(line) {
        eval.result = ExpectedResult::Scalar(value);
        return Ok(Block::Closed);
    }
    let (labels, values) = parse_series(line).map_err(|reason| error(number, reason.to_string()))?;
    match &mut eval.result {
        ExpectedResult::Series(series) => {
            let instant = matches!(eval.time, EvalTime::Instant(_));
            if values.is_empty() || (values.len() > 1 && instant) {
                let message = format!("expected one value for an instant evaluation, got {}", values.len());
                return if instant { Err(error(number, message)) } else { Err(error(number, "expected values")) };
            }
            series.push(ExpectedSeries { labels, values });
        }
        ExpectedResult::RangeVector { series, .. } => series.push(ExpectedSeries { labels, values }),
        _ => return Err(error(number, "series are not expected after a scalar or string")),
    }
    Ok(Block::Open)
}

/// As Go unquotes: single quotes hold one character.
fn string_literal(number: u32, literal: &str) -> Result<String, ScriptError> {
    let text = unquote(literal).map_err(|reason| error(number, reason))?;
    if !literal.starts_with(['"', '`', '\'']) || (literal.starts_with('\'') && text.chars().count() != 1) {
        return Err(error(number, "expected string literal not valid - check that the string is correctly quoted"));
    }
    Ok(text)
}

/// `fail|warn|info|no_warn|no_info|ordered [msg:TEXT|regex:PATTERN]`.
fn expected_message(
    number: u32,
    text: &str,
    fail_lines: &mut u32,
    expect: &mut Expectations,
) -> Result<(), ScriptError> {
    let (kind, rest) = word(text);
    let check = if rest.is_empty() {
        MessageCheck::Any
    } else if let Some(text) = rest.strip_prefix("msg:").filter(|text| !text.is_empty()) {
        MessageCheck::Exactly(text.trim().to_owned())
    } else if let Some(pattern) = rest.strip_prefix("regex:").filter(|pattern| !pattern.is_empty()) {
        regex(number, pattern.trim())?
    } else {
        return Err(error(number, format!("invalid expect statement: expected msg: or regex:, got {rest:?}")));
    };
    match kind {
        "fail" if *fail_lines > 0 => {
            return Err(error(number, "invalid expect lines, multiple expect fail lines are not allowed"));
        }
        "fail" => {
            *fail_lines += 1;
            expect.fail.push(check);
        }
        "warn" => expect.warn.push(check),
        "info" => expect.info.push(check),
        "no_warn" => expect.no_warn = true,
        "no_info" => expect.no_info = true,
        "ordered" => expect.ordered = true,
        other => return Err(error(number, format!("invalid expected error/annotation type {other:?}"))),
    }
    if (expect.no_warn && !expect.warn.is_empty()) || (expect.no_info && !expect.info.is_empty()) {
        return Err(error(number, "an annotation cannot be both expected and not expected"));
    }
    Ok(())
}

fn regex(number: u32, pattern: &str) -> Result<MessageCheck, ScriptError> {
    go_regex(pattern)
        .map(MessageCheck::Matches)
        .map_err(|reason| error(number, format!("invalid regex {pattern:?}: {reason}")))
}
