//! What is wrong with a binary page, and where.

/// Why a page was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("byte {offset}: {problem}")]
pub struct WireError {
    /// Offset in the page, decompressed, from 0.
    pub offset: usize,
    /// What is wrong and what was expected.
    pub problem: String,
}

impl WireError {
    pub(super) fn new(offset: usize, problem: impl Into<String>) -> Self {
        Self { offset, problem: problem.into() }
    }
}
