//! What a script says, typed.

use regex::Regex;

use crate::model::{Labels, Timestamp};
use crate::promql::parser::{SequenceValue, SeriesStart};

/// One command. Times are milliseconds since the epoch, which is where scripts begin.
#[derive(Debug, Clone)]
pub enum Command {
    /// Forgets all series.
    Clear,
    /// Adds samples.
    Load(Load),
    /// Evaluates and compares.
    Eval(Box<Eval>),
}

/// `load STEP` and its series.
#[derive(Debug, Clone)]
pub struct Load {
    /// Line of the command, from 1.
    pub line: u32,
    /// Distance of two samples in milliseconds.
    pub step_ms: i64,
    /// Whether classic histograms are loaded as native ones with custom buckets too.
    pub with_nhcb: bool,
    /// What is loaded.
    pub series: Vec<LoadSeries>,
}

/// One series of a load.
#[derive(Debug, Clone)]
pub struct LoadSeries {
    /// Its labels, name included.
    pub labels: Labels,
    /// Its samples from time 0 on.
    pub values: Vec<SequenceValue>,
    /// Start times relative to the samples; empty, or as long as `values`.
    pub starts: Vec<SeriesStart>,
}

/// When a query is evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EvalTime {
    /// At one time.
    Instant(Timestamp),
    /// At every step.
    Range {
        /// First step.
        start: Timestamp,
        /// No step after this.
        end: Timestamp,
        /// Distance of two steps in milliseconds.
        step_ms: i64,
    },
}

/// `eval …` with what is expected of it.
#[derive(Debug, Clone)]
pub struct Eval {
    /// Line of the command, from 1.
    pub line: u32,
    /// The query.
    pub expr: String,
    /// When it is evaluated.
    pub time: EvalTime,
    /// What must come out beside the value.
    pub expect: Expectations,
    /// The value that must come out.
    pub result: ExpectedResult,
}

/// Failure, annotations and order.
#[derive(Debug, Clone, Default)]
pub struct Expectations {
    /// The query must fail, with an error that satisfies each of these; empty when it must not fail.
    pub fail: Vec<MessageCheck>,
    /// Each must match a warning, and each warning one of these, when there are any.
    pub warn: Vec<MessageCheck>,
    /// The same for infos.
    pub info: Vec<MessageCheck>,
    /// Any warning will do, and others may come (`eval_warn`).
    pub some_warn: bool,
    /// Any info will do, and others may come (`eval_info`).
    pub some_info: bool,
    /// No warning may come.
    pub no_warn: bool,
    /// No info may come.
    pub no_info: bool,
    /// The order of a vector counts.
    pub ordered: bool,
}

/// A condition on a text.
#[derive(Debug, Clone)]
pub enum MessageCheck {
    /// Anything.
    Any,
    /// Exactly this text.
    Exactly(String),
    /// A match somewhere.
    Matches(Regex),
}

impl MessageCheck {
    /// Whether `text` satisfies it.
    pub fn accepts(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exactly(expected) => expected == text,
            Self::Matches(regex) => regex.is_match(text),
        }
    }
}

impl std::fmt::Display for MessageCheck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Any => f.write_str("any text"),
            Self::Exactly(text) => write!(f, "{text:?}"),
            Self::Matches(regex) => write!(f, "a match of {:?}", regex.as_str()),
        }
    }
}

/// The value that an evaluation must give.
#[derive(Debug, Clone)]
pub enum ExpectedResult {
    /// A scalar.
    Scalar(f64),
    /// A string.
    String(String),
    /// Series: a vector for instant queries, a matrix for range queries.
    Series(Vec<ExpectedSeries>),
    /// A matrix from an instant query; point i stands at start + i × step.
    RangeVector {
        /// Time of the first point.
        start: Timestamp,
        /// No point after this.
        end: Timestamp,
        /// Distance of two points in milliseconds.
        step_ms: i64,
        /// The series.
        series: Vec<ExpectedSeries>,
    },
}

/// A series of an expected result.
#[derive(Debug, Clone)]
pub struct ExpectedSeries {
    /// Its labels.
    pub labels: Labels,
    /// Its points.
    pub values: Vec<SequenceValue>,
}
