//! Syntax and type errors with their place in the text.

use std::fmt;

use crate::promql::QueryError;

use super::ast::Pos;

/// Mistakes that are kept of one query: each costs a look at the text before it, and only the first is shown.
pub(super) const MAX_ERRORS: usize = 32;

/// One mistake in a query; prints as Prometheus does: `1:5: parse error: …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// Bytes of the query that it is about.
    pub pos: Pos,
    /// Line of the first of them, from 1; 0 when the text is empty.
    pub line: u32,
    /// Its column in bytes, from 1.
    pub column: u32,
    /// What is wrong and what was expected.
    pub message: String,
}

impl ParseError {
    /// An error at `pos` of `text`.
    pub(super) fn new(text: &str, pos: Pos, message: String) -> Self {
        let before = text.as_bytes().get(..pos.start as usize).unwrap_or(text.as_bytes());
        let line = if text.is_empty() { 0 } else { 1 + before.iter().filter(|byte| **byte == b'\n').count() };
        let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
        Self { pos, line: line as u32, column: column as u32, message }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "unknown position: parse error: {}", self.message),
            line => write!(f, "{line}:{}: parse error: {}", self.column, self.message),
        }
    }
}

impl std::error::Error for ParseError {}

/// Every mistake that one pass found, at least one; prints the first, as Prometheus does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseErrors(Vec<ParseError>);

impl ParseErrors {
    /// `None` when there is no error.
    pub(super) fn of(errors: Vec<ParseError>) -> Option<Self> {
        (!errors.is_empty()).then_some(Self(errors))
    }

    /// All of them, in the order in which they were found.
    pub fn errors(&self) -> &[ParseError] {
        &self.0
    }
}

impl From<ParseError> for ParseErrors {
    fn from(error: ParseError) -> Self {
        Self(vec![error])
    }
}

impl fmt::Display for ParseErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.first().map_or(Ok(()), |first| first.fmt(f))
    }
}

impl std::error::Error for ParseErrors {}

impl From<ParseErrors> for QueryError {
    fn from(errors: ParseErrors) -> Self {
        Self::BadData(errors.to_string())
    }
}
