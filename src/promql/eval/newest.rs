//! The newest sample at one time or at each of many.

use std::sync::Arc;

use crate::model::{Timestamp, absent, is_absent, is_stale};
use crate::storage::{Cells, LenderRoom, Piece, Selection};

use super::samples::seek;
use super::selector::{Pick, RawValue};
use super::{Block, seconds};

/// No sample.
pub(super) const NONE: u32 = u32::MAX;

/// For each reference time, where the newest of `times` within the lookback lies. Both ascend.
pub(super) fn newest_before(times: &[Timestamp], references: &[Timestamp], lookback: i64) -> Vec<u32> {
    let mut next = 0;
    let newest = references.iter().map(|reference| {
        next = seek(times, next, *reference);
        match next.checked_sub(1) {
            Some(at) if times[at] > reference - lookback => at as u32,
            _ => NONE,
        }
    });
    newest.collect()
}

/// Fills a block of one step with the newest sample of each row. All samples of the selection are within the bounds.
pub(super) fn put_newest(selection: &Selection, block: &mut Block, pick: Pick) {
    for piece in &selection.pieces {
        match &piece.cells {
            Cells::Floats(cells) if pick == Pick::Value && block.histograms.is_none() => {
                put_floats(piece, cells, block)
            }
            _ => put_any(piece, block, pick),
        }
    }
    if pick == Pick::Value {
        block.cells.iter_mut().filter(|cell| is_stale(**cell)).for_each(|cell| *cell = absent());
    }
}

/// Later pieces hold later samples: they take the place of earlier ones.
fn put_floats(piece: &Piece, cells: &[f64], block: &mut Block) {
    let width = piece.times.len();
    if width == 1 {
        for (row, cell) in piece.rows.iter().zip(cells).filter(|(_, cell)| !is_absent(**cell)) {
            block.cells[*row as usize] = *cell;
        }
        return;
    }
    for (row, cells) in piece.rows.iter().zip(cells.chunks_exact(width.max(1))) {
        if let Some(cell) = cells.iter().rev().find(|cell| !is_absent(**cell)) {
            block.cells[*row as usize] = *cell;
        }
    }
}

fn put_any(piece: &Piece, block: &mut Block, pick: Pick) {
    let width = piece.times.len();
    let (mut lent, mut room) = (Vec::new(), LenderRoom::default());
    for (place, row) in piece.rows.iter().enumerate() {
        if let Cells::Lent(lender) = &piece.cells {
            lent.clear();
            lender.append(place, &mut lent, &mut room);
        }
        let value = |at: usize| match &piece.cells {
            Cells::Floats(cells) => cells.get(at).filter(|cell| !is_absent(**cell)).map(|cell| RawValue::Float(*cell)),
            Cells::Lent(_) => {
                lent.get(at % width.max(1)).filter(|cell| !is_absent(**cell)).map(|cell| RawValue::Float(*cell))
            }
            Cells::Histograms(cells) => cells.get(at).and_then(Option::as_ref).map(RawValue::Histogram),
        };
        let newest = (0..width).rev().find_map(|at| value(place * width + at).map(|value| (at, value)));
        let Some((at, value)) = newest else { continue };
        block.clear(*row as usize, 0);
        let cell = &mut block.cells[*row as usize];
        match (pick, value) {
            _ if pick != Pick::Value && value.is_stale() => {}
            (Pick::Time, _) => *cell = seconds(piece.times[at]),
            (Pick::StartTime, _) => {
                let start = piece.starts.as_ref().and_then(|starts| starts.get(place * width + at));
                *cell = seconds(start.copied().unwrap_or(0));
            }
            (Pick::Value, RawValue::Float(value)) => *cell = value,
            (Pick::Value, RawValue::Histogram(histogram)) if !value.is_stale() => {
                block.set_histogram(*row as usize, 0, Arc::clone(histogram));
            }
            (Pick::Value, RawValue::Histogram(_)) => {}
        }
    }
}
