//! What is wrong with a template, and where.

/// A template that cannot be read or expanded; prints as `line:col: …`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {message}")]
pub struct TemplateError {
    /// Line in the template, from 1.
    pub line: u32,
    /// Column in bytes, from 1.
    pub column: u32,
    /// What is wrong and what was expected.
    pub message: String,
}

/// A place in the template's text, in bytes.
pub(super) type Offset = usize;

impl TemplateError {
    pub(super) fn at(text: &str, offset: Offset, message: impl Into<String>) -> Self {
        let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count() as u32;
        let column = 1 + before.iter().rev().take_while(|byte| **byte != b'\n').count() as u32;
        Self { line, column, message: message.into() }
    }
}
