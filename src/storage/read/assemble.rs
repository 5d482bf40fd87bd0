//! Strips become dense pieces.

use std::num::NonZero;
use std::slice::ChunksMut;
use std::sync::Arc;
use std::thread;

use parking_lot::Mutex;

use crate::model::{Timestamp, absent};
use crate::storage::selection::{Cells, Piece};

use super::apart;
use super::part::Sample;
use super::slices::Scratch;
use super::strip::Strip;
use super::tracks::{Track, Tracks, union};

/// Samples to decode from which on several threads share the work: below, starting one costs more than it saves.
const SHARED_DECODE: usize = 200_000;
/// The most threads of one query: others want to run too.
const MAX_THREADS: usize = 4;
/// Parts that each thread takes of a piece, so that none waits long for the others.
const SHARES: usize = 8;

/// Where a row of a piece is in a strip.
const NONE: u32 = u32::MAX;

/// Rows with samples of their own time: their row, and the samples, ascending.
pub(super) type Loose = Vec<(u32, Vec<Sample>)>;

/// All pieces, in ascending time. `rows` is the number of rows of the selection, `slack` how many places may be holes
/// that no strip has.
pub(super) fn assemble(strips: &[Strip<'_>], loose: &Loose, rows: usize, mut slack: usize) -> Vec<Piece> {
    let Tracks { tracks, contested: mut apart } = Tracks::of(strips, rows);
    apart.extend(loose.iter().map(|(row, _)| *row));
    strips.iter().for_each(|strip| strip.histogram_rows(&mut apart));
    apart.sort_unstable();
    apart.dedup();
    let mut pieces = Vec::with_capacity(tracks.len());
    for track in &tracks {
        emit(track, strips, &apart, &mut slack, &mut pieces);
    }
    if !apart.is_empty() {
        apart::pieces(&apart, strips, loose, &mut pieces);
    }
    pieces.sort_by_key(|piece| piece.times.first().copied());
    pieces
}

/// One piece, or one a strip where a common one would be mostly holes.
fn emit(track: &Track, strips: &[Strip<'_>], apart: &[u32], slack: &mut usize, pieces: &mut Vec<Piece>) {
    let strips: Vec<&Strip<'_>> = track.strips.iter().map(|i| &strips[*i]).collect();
    let rows = union(&strips);
    let cells: usize = strips.iter().map(|strip| strip.cells()).sum();
    let holes = rows.len() * strips.iter().map(|strip| strip.ticks).sum::<usize>() - cells;
    if holes <= cells && holes <= *slack {
        *slack -= holes;
        pieces.extend(piece(&strips, rows, apart));
    } else {
        for strip in strips {
            pieces.extend(piece(&[strip], Arc::clone(&strip.rows), apart));
        }
    }
}

/// A piece of these rows without those that stand apart.
fn piece(strips: &[&Strip<'_>], rows: Arc<[u32]>, apart: &[u32]) -> Option<Piece> {
    let rows = if apart.is_empty() {
        rows
    } else {
        rows.iter().copied().filter(|row| apart.binary_search(row).is_err()).collect()
    };
    if rows.is_empty() {
        return None;
    }
    let mut times: Vec<Timestamp> = Vec::with_capacity(strips.iter().map(|strip| strip.ticks).sum());
    for part in strips.iter().flat_map(|strip| &strip.parts) {
        times.extend_from_slice(part.times());
    }
    let sources: Vec<Source<'_, '_>> = strips.iter().map(|strip| Source::of(strip, &rows)).collect();
    let cells = if strips.iter().any(|strip| strip.is_sealed()) {
        decoded(&sources, rows.len(), times.len())
    } else {
        copied(&sources, rows.len(), times.len())
    };
    let has_starts = strips.iter().flat_map(|strip| &strip.parts).any(|part| part.has_starts());
    let starts = has_starts.then(|| starts(&sources, rows.len(), times.len()));
    Some(Piece { times: Arc::from(times), rows, cells: Cells::Floats(cells), starts })
}

/// A strip, and where the rows of a piece are in it.
struct Source<'s, 'a> {
    strip: &'s Strip<'a>,
    /// By row of the piece; `None`: the rows are the same.
    places: Option<Vec<u32>>,
}

impl<'s, 'a> Source<'s, 'a> {
    fn of(strip: &'s Strip<'a>, rows: &Arc<[u32]>) -> Self {
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
        Self { strip, places: Some(rows.iter().map(place).collect()) }
    }

    fn place(&self, row: usize) -> Option<usize> {
        match &self.places {
            None => Some(row),
            Some(places) => places.get(row).filter(|k| **k != NONE).map(|k| *k as usize),
        }
    }

    /// Writes one row's floats; `out` has holes everywhere.
    fn fill(&self, row: usize, out: &mut [f64], scratch: &mut Scratch) {
        let Some(k) = self.place(row) else { return };
        let mut rest = out;
        for part in &self.strip.parts {
            let (here, after) = rest.split_at_mut(part.times().len());
            part.fill(k, self.strip.col(k), here, scratch);
            rest = after;
        }
    }
}

/// Floats that all lie in memory: row after row is appended, nothing is written twice.
fn copied(sources: &[Source<'_, '_>], rows: usize, ticks: usize) -> Vec<f64> {
    let mut cells: Vec<f64> = Vec::with_capacity(rows * ticks);
    for row in 0..rows {
        for source in sources {
            let Some(k) = source.place(row) else {
                cells.resize(cells.len() + source.strip.ticks, absent());
                continue;
            };
            let col = source.strip.col(k);
            for part in &source.strip.parts {
                match part.floats(k, col) {
                    Some(column) => cells.extend_from_slice(column),
                    None => cells.resize(cells.len() + part.times().len(), absent()),
                }
            }
        }
    }
    cells
}

/// Floats of which some must be decoded.
fn decoded(sources: &[Source<'_, '_>], rows: usize, ticks: usize) -> Vec<f64> {
    let mut cells = vec![absent(); rows * ticks];
    let work = |first: usize, cells: &mut [f64], scratch: &mut Scratch| {
        for (i, row) in cells.chunks_mut(ticks.max(1)).enumerate() {
            let mut rest = row;
            for source in sources {
                let (here, after) = rest.split_at_mut(source.strip.ticks);
                source.fill(first + i, here, scratch);
                rest = after;
            }
        }
    };
    let threads = threads_for(rows * sources.iter().map(|source| source.strip.decoded_ticks()).sum::<usize>());
    if threads == 1 {
        work(0, &mut cells, &mut Scratch::default());
        return cells;
    }
    let share = rows.div_ceil(threads * SHARES);
    share_out(cells.chunks_mut(share * ticks.max(1)), threads, |number, cells, scratch| {
        work(number * share, cells, scratch);
    });
    cells
}

/// How many threads should decode so many samples.
pub(super) fn threads_for(samples: usize) -> usize {
    if samples < SHARED_DECODE {
        return 1;
    }
    thread::available_parallelism().map_or(1, NonZero::get).min(MAX_THREADS)
}

/// Gives numbered chunks to threads, this one included, as each gets done.
pub(super) fn share_out<T: Send>(
    chunks: ChunksMut<'_, T>,
    threads: usize,
    work: impl Fn(usize, &mut [T], &mut Scratch) + Sync,
) {
    let queue = Mutex::new(chunks.enumerate());
    let run = || {
        let mut scratch = Scratch::default();
        loop {
            let next = queue.lock().next();
            let Some((number, chunk)) = next else { return };
            work(number, chunk, &mut scratch);
        }
    };
    thread::scope(|scope| {
        for number in 1..threads {
            let name = format!("decode-{number}");
            // Without another thread this one does it all.
            let _ = thread::Builder::new().name(name).spawn_scoped(scope, run);
        }
        run();
    });
}

fn starts(sources: &[Source<'_, '_>], rows: usize, ticks: usize) -> Vec<Timestamp> {
    let mut starts = vec![0; rows * ticks];
    for (row, mut rest) in starts.chunks_mut(ticks.max(1)).enumerate() {
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
    starts
}
