//! What a selection hands to queries: label sets once, samples as dense pieces.

use std::sync::Arc;

use crate::model::{Histogram, Labels, Timestamp, is_absent};

use super::querier::{Column, Run, SelectedSeries};
use super::read::{Lender, LenderRoom};
use super::rollup::Tier;

/// The series of a selection and their samples.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Labels of the matching series, sorted, each once. While the set of matching series does not change, the ring hands
    /// out the same `Arc`: operators remember by its address what they worked out of it. A series may stand here
    /// without any sample in the bounds.
    pub labels: Arc<Vec<Labels>>,
    /// Samples. The pieces of one row follow each other in ascending time and never overlap.
    pub pieces: Vec<Piece>,
    /// Raw samples are gone from part of the time, and first and last samples of this tier's buckets stand for them.
    pub thinned: Option<Tier>,
}

/// Samples of rows that share their timestamps: a group's window, or one series.
#[derive(Debug, Clone)]
pub struct Piece {
    /// Strictly ascending, within the bounds of the request.
    pub times: Arc<[Timestamp]>,
    /// Places in [`Selection::labels`], ascending.
    pub rows: Arc<[u32]>,
    /// The samples of row after row, `times.len()` places each.
    pub cells: Cells,
    /// Start timestamps (0 = unknown) in the shape of `cells`, or `None` when none is known.
    pub starts: Option<Vec<Timestamp>>,
}

/// The values of a [`Piece`].
#[derive(Debug, Clone)]
pub enum Cells {
    /// A hole is [`crate::model::absent`], a stale marker stands as it is.
    Floats(Vec<f64>),
    /// The same, put together row by row when they are wanted.
    Lent(Lender),
    /// `None` is a hole.
    Histograms(Vec<Option<Arc<Histogram>>>),
}

impl Piece {
    /// The floats of the `k`-th row, copied to `copy` when they do not lie together; `None` where the piece has histograms.
    pub(crate) fn floats<'a>(&'a self, k: usize, copy: &'a mut Vec<f64>, room: &mut LenderRoom) -> Option<&'a [f64]> {
        match &self.cells {
            Cells::Floats(cells) => Some(&cells[self.span(k)]),
            Cells::Lent(lender) => {
                copy.clear();
                lender.append(k, copy, room);
                Some(copy)
            }
            Cells::Histograms(_) => None,
        }
    }

    /// Where the `k`-th row lies in the cells.
    pub(crate) fn span(&self, k: usize) -> std::ops::Range<usize> {
        let ticks = self.times.len();
        k * ticks..(k + 1) * ticks
    }
}

impl Selection {
    /// For stores that keep each series apart: one piece a run.
    pub fn from_series(series: Vec<SelectedSeries>) -> Self {
        let mut labels = Vec::with_capacity(series.len());
        let mut pieces = Vec::new();
        for (row, series) in series.into_iter().enumerate() {
            labels.push(series.labels);
            let rows: Arc<[u32]> = Arc::from([row as u32]);
            for run in series.runs {
                let span = run.from..run.to;
                let cells = match &run.values {
                    Column::Floats(column) => Cells::Floats(column[span.clone()].to_vec()),
                    Column::Histograms(column) => Cells::Histograms(column[span.clone()].to_vec()),
                };
                let starts = run.start_times.as_ref().map(|starts| starts[span.clone()].to_vec());
                pieces.push(Piece { times: Arc::from(&run.times[span]), rows: Arc::clone(&rows), cells, starts });
            }
        }
        Self { labels: Arc::new(labels), pieces, thinned: None }
    }

    /// The same, series by series; those without any sample are left out.
    pub fn into_series(self) -> Vec<SelectedSeries> {
        let mut runs: Vec<Vec<Run>> = self.labels.iter().map(|_| Vec::new()).collect();
        let (mut room, mut copy) = (LenderRoom::default(), Vec::new());
        let floats = |column: &[f64]| (ends(column, |v| !is_absent(*v)), Column::Floats(Arc::from(column)));
        for piece in &self.pieces {
            for (k, row) in piece.rows.iter().enumerate() {
                let span = piece.span(k);
                let (there, values) = match &piece.cells {
                    Cells::Histograms(cells) => {
                        let column = &cells[span.clone()];
                        (ends(column, Option::is_some), Column::Histograms(Arc::from(column)))
                    }
                    _ => floats(piece.floats(k, &mut copy, &mut room).unwrap_or_default()),
                };
                let Some((first, last)) = there else { continue };
                let start_times = piece.starts.as_ref().map(|starts| Arc::from(&starts[span]));
                let times = Arc::clone(&piece.times);
                runs[*row as usize].push(Run { times, start_times, values, from: first, to: last + 1 });
            }
        }
        let series = self.labels.iter().zip(runs).filter(|(_, runs)| !runs.is_empty());
        series.map(|(labels, runs)| SelectedSeries { labels: labels.clone(), runs }).collect()
    }
}

fn ends<T>(values: &[T], there: impl Fn(&T) -> bool) -> Option<(usize, usize)> {
    Some((values.iter().position(&there)?, values.iter().rposition(&there)?))
}
