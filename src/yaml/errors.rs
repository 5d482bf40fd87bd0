//! Errors with a place, collected until the whole document is read.

use std::fmt;
use std::sync::Arc;

/// Errors of one load that are kept; a file in the wrong format would otherwise fill the screen.
const MAX_ERRORS: usize = 100;

/// A place in a file. Both count from 1; the column counts characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark {
    /// Line.
    pub line: u32,
    /// Column.
    pub col: u32,
}

impl Mark {
    /// The first character of a file.
    pub const START: Self = Self { line: 1, col: 1 };
}

/// One thing that is wrong, in the form `file:line:col: path: what; expected …; did you mean "…"?`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct YamlError {
    /// The file's name as the user gave it.
    pub file: Arc<str>,
    /// Where; `None` when the file could not be read at all.
    pub mark: Option<Mark>,
    /// Path of the value (`groups[0].rules[2].expr`), empty for the document itself.
    pub path: String,
    /// What is wrong.
    pub what: String,
    /// What would be right, if there is more to say than `what` does.
    pub expected: Option<String>,
    /// The known word that is nearest to what was written.
    pub suggestion: Option<String>,
}

impl YamlError {
    /// An error about a whole file.
    pub fn of_file(file: &str, what: impl Into<String>) -> Self {
        Self { file: file.into(), mark: None, path: String::new(), what: what.into(), expected: None, suggestion: None }
    }

    /// Adds what was expected.
    pub fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    /// Adds the nearest known word, if there is one.
    pub fn suggest(mut self, word: Option<&str>) -> Self {
        self.suggestion = word.map(str::to_owned);
        self
    }
}

impl fmt::Display for YamlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file)?;
        if let Some(mark) = self.mark {
            write!(f, "{}:{}:", mark.line, mark.col)?;
        }
        if !self.path.is_empty() {
            write!(f, " {}:", self.path)?;
        }
        write!(f, " {}", self.what)?;
        if let Some(expected) = &self.expected {
            write!(f, "; expected {expected}")?;
        }
        if let Some(word) = &self.suggestion {
            write!(f, "; did you mean {word:?}?")?;
        }
        Ok(())
    }
}

/// All errors of a load, in the order of their places. Collects at most 100 and counts the rest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct YamlErrors {
    list: Vec<YamlError>,
    dropped: usize,
}

impl YamlErrors {
    /// Adds one error.
    pub fn push(&mut self, error: YamlError) {
        if self.list.len() >= MAX_ERRORS {
            self.dropped += 1;
            return;
        }
        // A stable place among those of its file keeps the report in reading order.
        let at = self.list.iter().rposition(|other| other.file != error.file || other.mark <= error.mark);
        let at = at.map_or(0, |i| i + 1);
        // The same alias read twice would say the same thing twice.
        if self.list.get(at.wrapping_sub(1)) != Some(&error) {
            self.list.insert(at, error);
        }
    }

    /// Adds all errors of another load.
    pub fn extend(&mut self, other: Self) {
        self.dropped += other.dropped;
        for error in other.list {
            self.push(error);
        }
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many errors there are, those beyond the first 100 included.
    pub fn len(&self) -> usize {
        self.list.len() + self.dropped
    }

    /// The errors, in the order of their places.
    pub fn iter(&self) -> std::slice::Iter<'_, YamlError> {
        self.list.iter()
    }

    /// `value` when nothing is wrong.
    ///
    /// # Errors
    /// The collected errors, when there is one.
    pub fn into_result<T>(self, value: T) -> Result<T, Self> {
        if self.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl From<YamlError> for YamlErrors {
    fn from(error: YamlError) -> Self {
        Self { list: vec![error], dropped: 0 }
    }
}

impl std::error::Error for YamlErrors {}

impl fmt::Display for YamlErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.list.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        match self.dropped {
            0 => Ok(()),
            more => write!(f, "\n… and {more} more"),
        }
    }
}
