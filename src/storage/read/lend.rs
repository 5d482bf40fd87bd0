//! Rows of a piece, put together where and when they are asked for: whoever works on a row copies or decodes it.

use std::fmt;
use std::sync::Arc;

use crate::model::{Timestamp, absent};

use super::slices::Scratch;
use super::strip::Strip;

/// Where a row of a piece is in a strip.
const NONE: u32 = u32::MAX;

/// Rows of floats that stay where they lie, in blocks of the head and bytes of segments, until somebody wants one.
#[derive(Clone)]
pub struct Lender(Arc<Sources<'static>>);

/// Room that rows use one after the other.
#[derive(Default)]
pub struct LenderRoom(Scratch);

/// Strips that become one piece.
pub(super) struct Sources<'a> {
    all: Vec<Source<'a>>,
    ticks: usize,
    rows: usize,
}

/// A strip, and where the rows of a piece are in it.
struct Source<'a> {
    strip: Arc<Strip<'a>>,
    /// By row of the piece; `None`: the rows are the same.
    places: Option<Vec<u32>>,
}

impl Lender {
    pub(super) fn new(sources: Sources<'static>) -> Self {
        Self(Arc::new(sources))
    }

    /// The `k`-th row where it lies, if it lies together.
    pub fn in_place(&self, k: usize) -> Option<&[f64]> {
        let [source] = self.0.all.as_slice() else { return None };
        let [part] = source.strip.parts.as_slice() else { return None };
        let place = source.place(k)?;
        part.floats(place, source.strip.col(place))
    }

    /// Appends the cells of the `k`-th row; a hole is [`crate::model::absent`].
    pub fn append(&self, k: usize, cells: &mut Vec<f64>, room: &mut LenderRoom) {
        self.0.append(k, cells, &mut room.0);
    }

    /// Rows that there are.
    pub fn rows(&self) -> usize {
        self.0.rows
    }

    /// Places of a row.
    pub fn ticks(&self) -> usize {
        self.0.ticks
    }
}

impl<'a> Sources<'a> {
    /// `rows` of strips, which follow each other in time.
    pub(super) fn new(strips: &[Arc<Strip<'a>>], rows: &Arc<[u32]>) -> Self {
        let all: Vec<Source<'a>> = strips.iter().map(|strip| Source::of(Arc::clone(strip), rows)).collect();
        let ticks = strips.iter().map(|strip| strip.ticks).sum();
        Self { all, ticks, rows: rows.len() }
    }

    fn append(&self, k: usize, cells: &mut Vec<f64>, scratch: &mut Scratch) {
        cells.reserve(self.ticks);
        for source in &self.all {
            source.append(k, cells, scratch);
        }
    }

    /// All cells, row after row.
    pub(super) fn cells(&self) -> Vec<f64> {
        let mut cells = Vec::with_capacity(self.rows * self.ticks);
        let mut scratch = Scratch::default();
        (0..self.rows).for_each(|row| self.append(row, &mut cells, &mut scratch));
        cells
    }

    /// The start timestamps of all rows, 0 where none is known; `None` when no row has any.
    pub(super) fn starts(&self) -> Option<Vec<Timestamp>> {
        let sources = &self.all;
        if !sources.iter().flat_map(|source| &source.strip.parts).any(|part| part.has_starts()) {
            return None;
        }
        let mut starts = vec![0; self.rows * self.ticks];
        for (row, mut rest) in starts.chunks_mut(self.ticks.max(1)).enumerate() {
            for source in sources {
                let place = source.place(row);
                for part in &source.strip.parts {
                    let (here, after) = rest.split_at_mut(part.times().len());
                    if let Some(k) = place {
                        part.fill_starts(k, source.strip.col(k), here);
                    }
                    rest = after;
                }
            }
        }
        Some(starts)
    }
}

impl fmt::Debug for Lender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows of {} ticks", self.0.rows, self.0.ticks)
    }
}

impl<'a> Source<'a> {
    fn of(strip: Arc<Strip<'a>>, rows: &Arc<[u32]>) -> Self {
        if Arc::ptr_eq(&strip.rows, rows) || strip.rows == *rows {
            return Self { strip, places: None };
        }
        let mut k = 0;
        let place = |row: &u32| {
            while strip.rows.get(k).is_some_and(|found| found < row) {
                k += 1;
            }
            if strip.rows.get(k) == Some(row) { k as u32 } else { NONE }
        };
        let places = Some(rows.iter().map(place).collect());
        Self { strip, places }
    }

    fn place(&self, row: usize) -> Option<usize> {
        match &self.places {
            None => Some(row),
            Some(places) => places.get(row).filter(|k| **k != NONE).map(|k| *k as usize),
        }
    }

    fn append(&self, row: usize, cells: &mut Vec<f64>, scratch: &mut Scratch) {
        let Some(k) = self.place(row) else {
            cells.resize(cells.len() + self.strip.ticks, absent());
            return;
        };
        let col = self.strip.col(k);
        for part in &self.strip.parts {
            match part.floats(k, col) {
                Some(column) => cells.extend_from_slice(column),
                None => {
                    let from = cells.len();
                    cells.resize(from + part.times().len(), absent());
                    part.fill(k, col, &mut cells[from..], scratch);
                }
            }
        }
    }
}
