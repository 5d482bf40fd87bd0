//! What will be evaluated: the tree with every time and duration resolved, and step-invariant parts marked.
//!
//! Parentheses and unary plus are gone, `step()`, `range()`, `start()` and `end()` are numbers, `@ start()` is a time.

mod build;
mod durations;
mod explain;
mod keys;
mod sharing;

use std::sync::Arc;
use std::time::Duration;

use crate::model::{Labels, Matcher, Timestamp};

use super::parser::{AggregateOp, BinaryOp, Expr, Function, Pos, RangeMode, ValueType, VectorMatching};
use super::result::QueryError;

pub(crate) use keys::{Meaning, Meanings, uses};

/// When a query is evaluated, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QueryTimes {
    pub(crate) start: Timestamp,
    pub(crate) end: Timestamp,
    /// 0 for an instant query.
    pub(crate) step: i64,
}

impl QueryTimes {
    pub(crate) fn instant(ts: Timestamp) -> Self {
        Self { start: ts, end: ts, step: 0 }
    }

    /// # Errors
    /// [`QueryError::BadData`] for an end before the start and a step that is not positive.
    pub(crate) fn range(start: Timestamp, end: Timestamp, step: Duration) -> Result<Self, QueryError> {
        let step = i64::try_from(step.as_millis()).unwrap_or(i64::MAX / 4);
        if step <= 0 {
            return Err(QueryError::BadData(
                "zero or negative query resolution step widths are not accepted. Try a positive integer".to_owned(),
            ));
        }
        if end < start {
            return Err(QueryError::BadData("end timestamp must not be before start time".to_owned()));
        }
        Ok(Self { start, end, step })
    }

    pub(crate) fn is_range(self) -> bool {
        self.step > 0
    }
}

/// A query, ready to run.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) root: Node,
    /// What the expression gives; a range query turns scalars into matrices.
    pub(crate) gives: ValueType,
    /// Whether the plan holds for its times only, because it says `start()`, `@ end()`, `step()` or the like.
    pub(crate) bound_to_times: bool,
    /// Whether the plan stays for later ticks: how often its parts occur in plans then tells whether to share them.
    pub(crate) stays: bool,
}

/// A step of the plan.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    /// Where annotations point to.
    pub(crate) pos: Pos,
    /// Whether the value is the same at every step: it is then computed once.
    pub(crate) invariant: bool,
    /// What the subexpression computes, when its result is worth sharing and no selector in it may see alerts or any
    /// name at all.
    pub(crate) key: Option<Arc<Meaning>>,
}

/// What a node computes.
#[derive(Debug)]
pub(crate) enum Kind {
    Number(f64),
    Text(Arc<str>),
    Negate(Box<Node>),
    Binary(Box<Binary>),
    Aggregate(Box<Aggregate>),
    /// A function of instant vectors, scalars and strings.
    Call(Call),
    /// `absent(x)` with the labels that `x` fixes.
    Absent {
        arg: Box<Node>,
        labels: Labels,
    },
    /// `timestamp(selector)` and `start_timestamp(selector)`: a time of the sample, not of the step.
    SampleTime {
        selector: Selector,
        start: bool,
    },
    /// A function of a range.
    Window(Box<Window>),
    Vector(Selector),
    /// A range as the result of an instant query.
    Matrix(Box<Source>),
    /// `info(base, {data})`.
    Info(Box<Info>),
}

/// `lhs op rhs`.
#[derive(Debug)]
pub(crate) struct Binary {
    pub(crate) op: BinaryOp,
    pub(crate) lhs: Node,
    pub(crate) rhs: Node,
    pub(crate) matching: VectorMatching,
    pub(crate) return_bool: bool,
}

/// `op by (…) (param, expr)`.
#[derive(Debug)]
pub(crate) struct Aggregate {
    pub(crate) op: AggregateOp,
    pub(crate) expr: Node,
    pub(crate) param: Option<Node>,
    pub(crate) grouping: Vec<String>,
    pub(crate) without: bool,
    /// Where the operator stands.
    pub(crate) pos: Pos,
}

/// A call of a function that needs no range.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) func: &'static Function,
    pub(crate) args: Vec<Node>,
}

/// A call of a function over a range. `args` are its scalar arguments, in order.
#[derive(Debug)]
pub(crate) struct Window {
    pub(crate) func: &'static Function,
    pub(crate) source: Source,
    pub(crate) args: Vec<Node>,
    /// Where the scalar argument or the range stands that annotations point to (the call's first argument).
    pub(crate) first_arg: Pos,
    /// For `absent_over_time`: the labels that the selector fixes.
    pub(crate) absent: Labels,
}

/// Where a range's samples come from.
#[derive(Debug)]
pub(crate) enum Source {
    Selector { selector: Selector, range: i64, pos: Pos },
    Subquery { expr: Node, range: i64, step: i64, offset: i64, at: Option<Timestamp>, pos: Pos },
}

/// Which series, as of when.
#[derive(Debug, Clone)]
pub(crate) struct Selector {
    pub(crate) matchers: Vec<Matcher>,
    pub(crate) offset: i64,
    pub(crate) at: Option<Timestamp>,
    pub(crate) mode: RangeMode,
}

/// `info(base, {data})`.
#[derive(Debug)]
pub(crate) struct Info {
    pub(crate) base: Node,
    pub(crate) matchers: Vec<Matcher>,
    /// Reference time of the base: the offset and `@` under which its first selector is evaluated.
    pub(crate) offset: i64,
    pub(crate) at: Option<Timestamp>,
}

impl Plan {
    /// # Errors
    /// [`QueryError`] for durations without a valid value, and for expressions that a range query cannot take.
    pub(crate) fn build(expr: &Expr, times: QueryTimes, subquery_step: Duration) -> Result<Self, QueryError> {
        build::plan(expr, times, subquery_step)
    }

    /// Writes down which subexpressions can be shared, before the plan runs with a cache.
    pub(crate) fn prepare_sharing(&mut self, meanings: &Meanings) {
        self.root.set_keys(meanings);
    }
}

impl Selector {
    /// As of when the selector looks at evaluation time `ts`.
    pub(crate) fn reference(&self, ts: Timestamp) -> Timestamp {
        self.at.unwrap_or(ts).saturating_sub(self.offset)
    }
}

impl Source {
    pub(crate) fn range(&self) -> i64 {
        match self {
            Self::Selector { range, .. } | Self::Subquery { range, .. } => *range,
        }
    }

    pub(crate) fn pos(&self) -> Pos {
        match self {
            Self::Selector { pos, .. } | Self::Subquery { pos, .. } => *pos,
        }
    }

    pub(crate) fn mode(&self) -> RangeMode {
        match self {
            Self::Selector { selector, .. } => selector.mode,
            Self::Subquery { .. } => RangeMode::Plain,
        }
    }

    /// As of when the range ends at evaluation time `ts`.
    pub(crate) fn reference(&self, ts: Timestamp) -> Timestamp {
        match self {
            Self::Selector { selector, .. } => selector.reference(ts),
            Self::Subquery { offset, at, .. } => at.unwrap_or(ts).saturating_sub(*offset),
        }
    }

    /// Whether every step sees the same range.
    pub(crate) fn is_fixed(&self) -> bool {
        match self {
            Self::Selector { selector, .. } => selector.at.is_some(),
            Self::Subquery { at, .. } => at.is_some(),
        }
    }
}
