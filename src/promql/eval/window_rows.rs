//! Rows of plain floats through a window function's kernel, on both cores when there are many samples.

use std::ops::Range;

use crate::model::{is_absent, is_stale};
use crate::promql::functions::{Kernel, Room, Shape, is_growing};
use crate::promql::result::QueryError;

use super::bands::{Band, any_nan, compact};
use super::samples::Scratch;
use super::split::split;
use super::{Block, Budget, Eval};

/// Samples and results between two looks at the clock.
pub(super) const CHECK_EVERY: usize = 50_000;

/// What windows held.
#[derive(Debug, Default)]
struct Touched {
    samples: u64,
    largest: usize,
    /// Samples of each step, where somebody asks for them.
    steps: Option<Vec<u64>>,
}

impl Eval<'_> {
    /// Computes the rows of bands, all of them plain, into their places in the block.
    pub(super) fn window_rows(
        &mut self,
        shape: &Shape<'_>,
        bands: &[Band<'_>],
        block: &mut Block,
    ) -> Result<(), QueryError> {
        let steps = block.steps;
        let rows = block.rows();
        let work: usize = bands.iter().map(|band| band.rows.len() * (band.times.len() + steps)).sum();
        let budget = &self.budget;
        let parts = split(rows, steps, work, &mut block.cells, |rows, cells| part(shape, bands, rows, cells, budget))?;
        let mut largest = 0;
        for part in parts {
            largest = largest.max(part.largest);
            self.budget.read_steps(part.samples, part.steps.as_deref());
        }
        self.budget.peak(largest)
    }
}

impl Touched {
    fn windows_of(&mut self, kernel: &Kernel) {
        self.samples += kernel.bounds.touched as u64;
        self.largest = self.largest.max(kernel.bounds.largest);
        if let Some(steps) = &mut self.steps {
            kernel.bounds.windows().for_each(|(step, lo, hi)| steps[step] += (hi - lo) as u64);
        }
    }
}

/// The rows of all bands that lie in `rows`; `out` is their part of the block.
fn part(
    shape: &Shape<'_>,
    bands: &[Band<'_>],
    rows: Range<usize>,
    out: &mut [f64],
    budget: &Budget,
) -> Result<Touched, QueryError> {
    let steps = shape.ends.len();
    let is_over = || budget.check().is_err();
    let (mut room, mut scratch) = (Room::new(&is_over), Scratch::default());
    let mut touched = Touched { steps: budget.counts_steps().then(|| vec![0; steps]), ..Touched::default() };
    let mut unchecked = 0;
    // Series with columns of their own often have the same times: then the kernel stays.
    let mut latest: Option<(&[i64], Kernel)> = None;
    for band in bands {
        let band_rows = band.rows_in(&rows);
        if band_rows.is_empty() {
            continue;
        }
        if latest.as_ref().is_none_or(|(times, _)| **times != *band.times) {
            latest = shape.kernel(&band.times, &is_over).map(|kernel| (&*band.times, kernel));
        }
        let Some((times, kernel)) = &latest else { continue };
        let mut reader = band.reader();
        for row in band_rows {
            unchecked += kernel.row_cost() + steps;
            if unchecked > CHECK_EVERY {
                unchecked = 0;
                budget.check()?;
            }
            reader.seek(*row);
            let cells = reader.cells(&mut scratch.cells);
            let out = &mut out[(*row as usize - rows.start) * steps..][..steps];
            if kernel.likes_growing() && is_growing(cells) {
                kernel.growing(cells, &mut room, out);
            } else if any_nan(cells) && cells.iter().any(|cell| is_absent(*cell) || is_stale(*cell)) {
                scratch.times.clear();
                scratch.values.clear();
                compact(times, cells, &mut scratch.times, &mut scratch.values);
                let Some(own) = shape.kernel(&scratch.times, &is_over) else { continue };
                own.row(&scratch.values, &mut room, out);
                touched.windows_of(&own);
                continue;
            } else {
                kernel.row(cells, &mut room, out);
            }
            touched.windows_of(kernel);
        }
    }
    // Nobody has to wait for all of a long row: it may have ended early.
    budget.check().map(|()| touched)
}
