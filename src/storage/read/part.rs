//! A stretch of ticks that several series share, wherever it lies.

use std::sync::Arc;

use crate::model::{Histogram, Timestamp, Value, is_absent};
use crate::storage::head::{Block, OpenTicks};

use super::slices::{Scratch, SlicePart};

/// One sample: time, start timestamp (0: not known), value.
pub(super) type Sample = (Timestamp, Timestamp, Value);

/// Ticks of a group that lie together.
pub(super) enum Part<'a> {
    /// In a block of the head, from the first index to one past the last.
    Block(Arc<Block>, usize, usize),
    /// In the block that ticks are written to.
    Open(OpenTicks<'a>),
    /// In a segment.
    Slice(SlicePart),
}

impl Part<'_> {
    pub(super) fn times(&self) -> &[Timestamp] {
        match self {
            Self::Block(block, from, to) => &block.times[*from..*to],
            Self::Open(open) => open.times(),
            Self::Slice(slice) => slice.times(),
        }
    }

    pub(super) fn is_sealed(&self) -> bool {
        matches!(self, Self::Slice(_))
    }

    /// Floats that lie in memory as they are.
    pub(super) fn floats(&self, k: usize, col: u32) -> Option<&[f64]> {
        match self {
            Self::Block(block, from, to) => Some(&block.floats.column(col)?[*from..*to]),
            Self::Open(open) => open.floats(k, col),
            Self::Slice(_) => None,
        }
    }

    /// Whether a column has floats in here.
    pub(super) fn has_floats(&self, k: usize, col: u32) -> bool {
        match self {
            Self::Block(block, ..) => block.floats.has(col),
            Self::Open(open) => open.floats(k, col).is_some_and(|column| column.iter().any(|v| !is_absent(*v))),
            Self::Slice(slice) => slice.has_floats(k),
        }
    }

    /// Writes the floats of a column, holes included; leaves `out` alone when there are none.
    pub(super) fn fill(&self, k: usize, col: u32, out: &mut [f64], scratch: &mut Scratch) {
        match self {
            Self::Slice(slice) => slice.fill(k, out, scratch),
            _ => {
                if let Some(column) = self.floats(k, col) {
                    out.copy_from_slice(column);
                }
            }
        }
    }

    /// The newest float of a column, and its place.
    pub(super) fn newest_float(&self, k: usize, col: u32, scratch: &mut Scratch) -> Option<(usize, f64)> {
        match self {
            Self::Slice(slice) => slice.newest_float(k, scratch),
            _ => {
                let column = self.floats(k, col)?;
                let at = column.iter().rposition(|v| !is_absent(*v))?;
                Some((at, column[at]))
            }
        }
    }

    pub(super) fn has_histograms(&self) -> bool {
        match self {
            Self::Block(block, ..) => !block.histograms.is_empty(),
            Self::Open(open) => open.has_histograms(),
            Self::Slice(slice) => slice.has_histograms(),
        }
    }

    pub(super) fn has_histogram(&self, k: usize, col: u32) -> bool {
        match self {
            Self::Block(block, ..) => block.histograms.contains_key(&col),
            Self::Open(open) => open.histograms(col).is_some(),
            Self::Slice(slice) => slice.has_histogram(k),
        }
    }

    pub(super) fn has_starts(&self) -> bool {
        match self {
            Self::Block(block, ..) => !block.starts.is_empty(),
            Self::Open(open) => open.has_starts(),
            Self::Slice(slice) => slice.has_starts(),
        }
    }

    /// Writes the start timestamps of a column; leaves `out` alone when there are none.
    pub(super) fn fill_starts(&self, k: usize, col: u32, out: &mut [Timestamp]) {
        let starts = match self {
            Self::Block(block, from, to) => block.starts.get(&col).map(|starts| &starts[*from..*to]),
            Self::Open(open) => open.starts(col),
            Self::Slice(slice) => return slice.fill_starts(k, out),
        };
        if let Some(starts) = starts {
            out.copy_from_slice(starts);
        }
    }

    /// Appends the samples of one column.
    pub(super) fn samples(&self, k: usize, col: u32, scratch: &mut Scratch, out: &mut Vec<Sample>) {
        let times = self.times();
        let mut floats = vec![crate::model::absent(); times.len()];
        let mut starts = vec![0; times.len()];
        self.fill(k, col, &mut floats, scratch);
        self.fill_starts(k, col, &mut starts);
        let decoded;
        let histograms: &[Option<Arc<Histogram>>] = match self {
            Self::Block(block, from, to) => block.histograms.get(&col).map_or(&[], |h| &h[*from..*to]),
            Self::Open(open) => open.histograms(col).unwrap_or_default(),
            Self::Slice(slice) => {
                decoded = slice.histograms(k);
                &decoded
            }
        };
        for (i, (ts, start)) in times.iter().zip(&starts).enumerate() {
            if let Some(Some(histogram)) = histograms.get(i) {
                out.push((*ts, *start, Value::Histogram(Arc::clone(histogram))));
            } else if !is_absent(floats[i]) {
                out.push((*ts, *start, Value::Float(floats[i])));
            }
        }
    }
}
