//! Rows that no dense piece takes: histograms, samples with times of their own, and series that two sources have at once.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::model::{Histogram, Timestamp, Value, absent};
use crate::storage::selection::{Cells, Piece};

use super::assemble::Loose;
use super::part::Sample;
use super::slices::Scratch;
use super::strip::Strip;

/// Times and kind (whether histograms) of what becomes a piece.
type Shape = (Vec<Timestamp>, bool);

/// The rows and samples of a piece, row after row.
#[derive(Default)]
struct Gathered {
    rows: Vec<u32>,
    floats: Vec<f64>,
    histograms: Vec<Option<Arc<Histogram>>>,
    starts: Vec<Timestamp>,
}

/// Adds pieces for these rows (ascending). Where sources overlap in time the earlier one wins: the head, then what it has
/// of times of their own, then segments, the newest first.
pub(super) fn pieces(rows: &[u32], strips: &[Arc<Strip<'_>>], loose: &Loose, out: &mut Vec<Piece>) {
    let mut gathered: FxHashMap<Shape, Gathered> = FxHashMap::default();
    let mut scratch = Scratch::default();
    let mut samples = Vec::new();
    for row in rows {
        samples.clear();
        let (mut head, mut sealed): (Vec<Sample>, Vec<Sample>) = (Vec::new(), Vec::new());
        for strip in strips {
            let Ok(k) = strip.rows.binary_search(row) else { continue };
            for part in &strip.parts {
                let list = if part.is_sealed() { &mut sealed } else { &mut head };
                part.samples(k, strip.col(k), &mut scratch, list);
            }
        }
        samples.append(&mut head);
        if let Ok(i) = loose.binary_search_by_key(row, |(row, _)| *row) {
            samples.extend_from_slice(&loose[i].1);
        }
        samples.append(&mut sealed);
        samples.sort_by_key(|(ts, _, _)| *ts);
        samples.dedup_by_key(|(ts, _, _)| *ts);
        gather(*row, &samples, &mut gathered);
    }
    out.extend(gathered.into_iter().map(|(shape, gathered)| gathered.finish(shape)));
}

/// Single samples as pieces: those of the same time and kind together.
pub(super) fn singles(mut samples: Vec<(u32, Sample)>, out: &mut Vec<Piece>) {
    samples.sort_unstable_by_key(|(row, _)| *row);
    let mut gathered: FxHashMap<Shape, Gathered> = FxHashMap::default();
    for (row, sample) in samples {
        gather(row, std::slice::from_ref(&sample), &mut gathered);
    }
    out.extend(gathered.into_iter().map(|(shape, gathered)| gathered.finish(shape)));
}

/// Adds a row's samples, stretch by stretch of one kind.
fn gather(row: u32, samples: &[Sample], gathered: &mut FxHashMap<Shape, Gathered>) {
    let is_histogram = |sample: &Sample| matches!(sample.2, Value::Histogram(_));
    for run in samples.chunk_by(|a, b| is_histogram(a) == is_histogram(b)) {
        let times = run.iter().map(|(ts, _, _)| *ts).collect();
        let list = gathered.entry((times, is_histogram(&run[0]))).or_default();
        list.rows.push(row);
        for (_, start, value) in run {
            list.starts.push(*start);
            match value {
                Value::Float(value) => list.floats.push(*value),
                Value::Histogram(value) => list.histograms.push(Some(Arc::clone(value))),
            }
        }
    }
}

impl Gathered {
    fn finish(self, (times, histograms): Shape) -> Piece {
        let cells = if histograms { Cells::Histograms(self.histograms) } else { Cells::Floats(self.floats) };
        let starts = self.starts.iter().any(|start| *start != 0).then_some(self.starts);
        debug_assert!(!matches!(&cells, Cells::Floats(v) if v.iter().any(|v| v.to_bits() == absent().to_bits())));
        Piece { times: Arc::from(times), rows: Arc::from(self.rows), cells, starts }
    }
}
