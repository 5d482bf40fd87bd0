//! Is a page good? OpenMetrics by its specification, text by the advice that promtool gives.

mod family;
mod histogram;
mod line;
mod lint;
mod strict;

pub use lint::lint_text;
pub use strict::check_openmetrics;

/// Something that a page does wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Line number, from 1.
    pub line: usize,
    /// What is wrong, and what was expected.
    pub text: String,
}

/// Problems that one check reports at most: a page that is wrong everywhere needs no longer list.
const MAX_PROBLEMS: usize = 1000;
