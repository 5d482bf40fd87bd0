//! The words of the language.

use crate::model::quote;

use super::ast::{AggregateOp, BinaryOp, Pos};

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Eof,
    /// The lexer could not go on; its message stands beside the tokens.
    Error,
    Identifier,
    /// An identifier with a colon.
    MetricIdentifier,
    String,
    Number,
    Duration,
    LeftParen,
    RightParen,
    LeftBrace,
    RightBrace,
    LeftBracket,
    RightBracket,
    Comma,
    Colon,
    At,
    /// A single `=`.
    Equal,
    RegexMatch,
    RegexNoMatch,
    Op(BinaryOp),
    Aggregate(AggregateOp),
    By,
    Without,
    On,
    Ignoring,
    GroupLeft,
    GroupRight,
    Bool,
    Offset,
    Anchored,
    Smoothed,
    Fill,
    FillLeft,
    FillRight,
    Start,
    End,
    Step,
    Range,
    MinOf,
    MaxOf,
}

/// A token and where it stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) pos: Pos,
}

/// The keyword that `word` is, in any case.
pub(super) fn keyword(word: &str) -> Option<Kind> {
    let lower = word.to_ascii_lowercase();
    if let Some(op) = AggregateOp::ALL.into_iter().find(|op| op.as_str() == lower) {
        return Some(Kind::Aggregate(op));
    }
    Some(match lower.as_str() {
        "and" => Kind::Op(BinaryOp::And),
        "or" => Kind::Op(BinaryOp::Or),
        "unless" => Kind::Op(BinaryOp::Unless),
        "atan2" => Kind::Op(BinaryOp::Atan2),
        "by" => Kind::By,
        "without" => Kind::Without,
        "on" => Kind::On,
        "ignoring" => Kind::Ignoring,
        "group_left" => Kind::GroupLeft,
        "group_right" => Kind::GroupRight,
        "bool" => Kind::Bool,
        "offset" => Kind::Offset,
        "anchored" => Kind::Anchored,
        "smoothed" => Kind::Smoothed,
        "fill" => Kind::Fill,
        "fill_left" => Kind::FillLeft,
        "fill_right" => Kind::FillRight,
        "start" => Kind::Start,
        "end" => Kind::End,
        "step" => Kind::Step,
        "range" => Kind::Range,
        "min_of" => Kind::MinOf,
        "max_of" => Kind::MaxOf,
        "inf" | "nan" => Kind::Number,
        _ => return None,
    })
}

impl Kind {
    /// Whether the token may be a metric's name where an operand is expected.
    pub(super) const fn is_metric_name(self) -> bool {
        matches!(
            self,
            Self::Identifier
                | Self::MetricIdentifier
                | Self::Aggregate(_)
                | Self::By
                | Self::Without
                | Self::Offset
                | Self::Anchored
                | Self::Smoothed
                | Self::Fill
                | Self::FillLeft
                | Self::FillRight
                | Self::Start
                | Self::End
                | Self::Step
                | Self::Range
                | Self::MinOf
                | Self::MaxOf
                | Self::Op(BinaryOp::And | BinaryOp::Or | BinaryOp::Unless)
        )
    }

    /// Whether the token may name a label in `by (…)` and its like: `without` alone must be quoted there.
    pub(super) const fn is_label_name(self) -> bool {
        (self.is_metric_name() && !matches!(self, Self::Without))
            || matches!(
                self,
                Self::On | Self::Ignoring | Self::GroupLeft | Self::GroupRight | Self::Bool | Self::Op(BinaryOp::Atan2)
            )
    }

    /// Whether a call may begin with the token.
    pub(super) const fn is_function_name(self) -> bool {
        matches!(
            self,
            Self::Identifier | Self::Start | Self::End | Self::Step | Self::Range | Self::MinOf | Self::MaxOf
        )
    }

    /// The token in an error message; `text` is how it was written.
    pub(super) fn describe(self, text: &str) -> String {
        match self {
            Self::Eof => "end of input".to_owned(),
            Self::Identifier => format!("identifier {}", quote(text)),
            Self::MetricIdentifier => format!("metric identifier {}", quote(text)),
            Self::String => format!("string {}", shortened(text)),
            Self::Number => format!("number {}", shortened(text)),
            Self::Duration => format!("duration {}", shortened(text)),
            Self::Op(_) | Self::RegexMatch | Self::RegexNoMatch => format!("<op:{text}>"),
            Self::Aggregate(_) => format!("<aggr:{text}>"),
            Self::LeftParen
            | Self::RightParen
            | Self::LeftBrace
            | Self::RightBrace
            | Self::LeftBracket
            | Self::RightBracket
            | Self::Comma
            | Self::Colon
            | Self::At
            | Self::Equal
            | Self::Start
            | Self::End
            | Self::Step
            | Self::Range
            | Self::MinOf
            | Self::MaxOf
            | Self::Error => quote(text),
            _ => format!("<{text}>"),
        }
    }
}

/// The first ten characters of a long literal, as Prometheus' messages show it.
fn shortened(text: &str) -> String {
    if text.len() <= 10 {
        return quote(text);
    }
    let head: String = text.chars().take(10).collect();
    format!("{}...", quote(&head))
}
