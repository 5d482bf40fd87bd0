//! A progress bar on standard error, when that is a terminal.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use crate::clock::Stopwatch;

/// Between two drawings.
const PAUSE: Duration = Duration::from_millis(100);
/// Characters of the bar.
const WIDTH: u64 = 30;

/// A line that is drawn over and over.
pub(super) struct Bar {
    what: &'static str,
    terminal: bool,
    drawn: Option<Stopwatch>,
}

impl Bar {
    pub(super) fn new(what: &'static str) -> Self {
        Self { what, terminal: std::io::stderr().is_terminal(), drawn: None }
    }

    /// Draws how far it is, not too often.
    pub(super) fn show(&mut self, done: u64, all: u64, unit: &str) {
        if !self.terminal || self.drawn.as_ref().is_some_and(|watch| watch.elapsed() < PAUSE) {
            return;
        }
        self.drawn = Some(Stopwatch::start());
        let full = (done.min(all) * WIDTH).checked_div(all).unwrap_or(0);
        let bar: String = (0..WIDTH).map(|at| if at < full { '#' } else { '.' }).collect();
        let percent = (done.min(all) * 100).checked_div(all).unwrap_or(0);
        // A terminal that is gone is no reason to fail.
        let _ = write!(std::io::stderr(), "\r{} [{bar}] {percent:>3}% {done}/{all} {unit}\x1b[K", self.what);
    }

    /// Takes the line away.
    pub(super) fn clear(&mut self) {
        if self.drawn.take().is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
