//! How a system collector tells what it could not read.

use std::fmt::Display;
use std::io;
use std::path::Path;

use super::source::is_missing;
use crate::collect::{CollectError, Reading};

/// The first trouble of a tick; more of the same would only repeat it.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    first: Option<String>,
    more: usize,
}

impl Trouble {
    /// Notes one thing that could not be read. The text is made for the first only.
    pub(crate) fn note(&mut self, text: impl FnOnce() -> String) {
        match self.first {
            None => self.first = Some(text()),
            Some(_) => self.more += 1,
        }
    }

    /// Notes a line that is not what the kernel writes.
    pub(crate) fn bad_line(&mut self, path: &Path, line: &[u8], expected: &str) {
        self.note(|| {
            let shown = line.get(..line.len().min(80)).unwrap_or_default();
            format!("{}: expected {expected}, found {:?}", path.display(), String::from_utf8_lossy(shown))
        });
    }

    /// Whether nothing was noted.
    pub(crate) fn is_clear(&self) -> bool {
        self.first.is_none()
    }

    /// How the tick went.
    pub(crate) fn reading(self) -> Reading {
        match (self.first, self.more) {
            (None, _) => Reading::Complete,
            (Some(text), 0) => Reading::Degraded(text),
            (Some(text), more) => Reading::Degraded(format!("{text} (and {more} more)")),
        }
    }
}

/// What a file that could not be read means: not on this machine, or an error.
pub(crate) fn unread(collector: &'static str, path: &Path, error: &io::Error) -> Result<Reading, CollectError> {
    let reason = format!("{}: {error}", path.display());
    if is_missing(error) { Ok(Reading::Unavailable(reason)) } else { Err(CollectError { collector, reason }) }
}

/// A file that was read and holds nothing that can be understood.
pub(crate) fn garbage(collector: &'static str, path: &Path, expected: impl Display) -> CollectError {
    CollectError { collector, reason: format!("{}: expected {expected}", path.display()) }
}
