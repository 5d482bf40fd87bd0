//! Strips become dense pieces.

use std::num::NonZero;
use std::slice::ChunksMut;
use std::sync::Arc;
use std::thread;

use parking_lot::Mutex;

use crate::model::Timestamp;
use crate::storage::selection::{Cells, Piece};

use super::apart;
use super::lend::Sources;
use super::part::Sample;
use super::slices::Scratch;
use super::strip::Strip;
use super::tracks::{Track, Tracks, union};

/// Samples to decode from which on several threads share the work: below, starting one costs more than it saves.
const SHARED_DECODE: usize = 200_000;
/// The most threads of one query: others want to run too.
const MAX_THREADS: usize = 4;

/// Rows with samples of their own time: their row, and the samples, ascending.
pub(super) type Loose = Vec<(u32, Vec<Sample>)>;

/// All pieces, in ascending time. `rows` is the number of rows of the selection, `slack` how many places may be holes
/// that no strip has.
///
/// `cells` says where the cells of a piece are.
pub(super) fn assemble<'a>(
    strips: &[Arc<Strip<'a>>],
    loose: &Loose,
    rows: usize,
    mut slack: usize,
    cells: fn(Sources<'a>) -> Cells,
) -> Vec<Piece> {
    let Tracks { tracks, contested: mut apart } = Tracks::of(strips, rows);
    apart.extend(loose.iter().map(|(row, _)| *row));
    strips.iter().for_each(|strip| strip.histogram_rows(&mut apart));
    apart.sort_unstable();
    apart.dedup();
    let mut pieces = Vec::with_capacity(tracks.len());
    for track in &tracks {
        emit(track, strips, &apart, &mut slack, cells, &mut pieces);
    }
    if !apart.is_empty() {
        apart::pieces(&apart, strips, loose, &mut pieces);
    }
    pieces.sort_by_key(|piece| piece.times.first().copied());
    pieces
}

/// One piece, or one a strip where a common one would be mostly holes.
fn emit<'a>(
    track: &Track,
    strips: &[Arc<Strip<'a>>],
    apart: &[u32],
    slack: &mut usize,
    place: fn(Sources<'a>) -> Cells,
    pieces: &mut Vec<Piece>,
) {
    let strips: Vec<Arc<Strip<'a>>> = track.strips.iter().map(|i| Arc::clone(&strips[*i])).collect();
    let rows = union(&strips);
    let cells: usize = strips.iter().map(|strip| strip.cells()).sum();
    let holes = rows.len() * strips.iter().map(|strip| strip.ticks).sum::<usize>() - cells;
    if holes <= cells && holes <= *slack {
        *slack -= holes;
        pieces.extend(piece(&strips, rows, apart, place));
    } else {
        for strip in strips {
            let rows = Arc::clone(&strip.rows);
            pieces.extend(piece(&[strip], rows, apart, place));
        }
    }
}

/// A piece of these rows without those that stand apart.
fn piece<'a>(
    strips: &[Arc<Strip<'a>>],
    rows: Arc<[u32]>,
    apart: &[u32],
    place: fn(Sources<'a>) -> Cells,
) -> Option<Piece> {
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
    let sources = Sources::new(strips, &rows);
    let starts = sources.starts();
    Some(Piece { times: Arc::from(times), rows, cells: place(sources), starts })
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
