//! Rows of plain floats through a window function's kernel, on both cores when there are many samples.

use std::ops::Range;
use std::sync::OnceLock;

use crate::model::{Timestamp, is_absent, is_stale};
use crate::promql::functions::{IsOver, Kernel, Room, Shape, is_growing};
use crate::promql::result::QueryError;

use super::bands::{Band, any_nan, compact};
use super::samples::Scratch;
use super::split::Rows;
use super::target::Target;
use super::{Budget, Eval};

/// Samples and results between two looks at the clock.
pub(super) const CHECK_EVERY: usize = 50_000;
/// Kernels are kept for all threads when so many rows share one; else each thread keeps its latest.
const ROWS_A_KERNEL: usize = 8;

/// What windows held.
#[derive(Debug, Default)]
struct Touched {
    samples: u64,
    largest: usize,
    /// Samples of each step, where somebody asks for them.
    steps: Option<Vec<u64>>,
}

/// What a thread keeps from chunk to chunk.
struct Worker<'a> {
    room: Room<'a>,
    scratch: Scratch,
    touched: Touched,
    unchecked: usize,
    /// The latest kernel that is not shared, and the number of its column of times.
    latest: Option<(usize, Kernel)>,
}

/// The bands, with a kernel for each of their columns of times.
struct Kernels<'a, 'b> {
    shape: &'a Shape<'a>,
    bands: &'a [Band<'b>],
    is_over: IsOver<'a>,
    /// By band: the number of its column of times. Neighbours often have the same.
    columns: Vec<usize>,
    /// By number; empty when there are too many.
    shared: Vec<OnceLock<Option<Kernel>>>,
}

impl Eval<'_> {
    /// Computes the rows of bands, all of them plain, `rows` in all.
    pub(super) fn window_rows(
        &mut self,
        shape: &Shape<'_>,
        bands: &[Band<'_>],
        rows: usize,
        target: Target<'_, '_>,
    ) -> Result<(), QueryError> {
        let steps = shape.ends.len();
        let work = bands.iter().map(|band| band.rows.len() * (band.times.len() + steps)).sum();
        let budget = &self.budget;
        let is_over = || budget.check().is_err();
        let kernels = Kernels::new(shape, bands, &is_over);
        let make = || Worker::new(&is_over, budget.counts_steps().then(|| vec![0; steps]));
        let fill = |worker: &mut Worker<'_>, rows: Range<usize>, cells: &mut [f64]| {
            worker.fill(&kernels, rows, cells, budget)?;
            // Nobody has to wait for all of a long row: it may have ended early.
            budget.check()
        };
        let workers = target.take(Rows { rows, steps, work }, make, fill)?;
        let touched: Vec<Touched> = workers.into_iter().map(|worker| worker.touched).collect();
        let mut largest = 0;
        for touched in touched {
            largest = largest.max(touched.largest);
            self.budget.read_steps(touched.samples, touched.steps.as_deref());
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

impl<'a, 'b> Kernels<'a, 'b> {
    fn new(shape: &'a Shape<'a>, bands: &'a [Band<'b>], is_over: IsOver<'a>) -> Self {
        let mut columns: Vec<usize> = Vec::with_capacity(bands.len());
        for (at, band) in bands.iter().enumerate() {
            let before = columns.last().map_or(0, |before| *before);
            let same = at > 0 && bands[at - 1].times == band.times;
            columns.push(if at == 0 || same { before } else { before + 1 });
        }
        let count = columns.last().map_or(0, |last| last + 1);
        let rows: usize = bands.iter().map(|band| band.rows.len()).sum();
        let mut shared = Vec::new();
        if count * ROWS_A_KERNEL <= rows {
            shared.resize_with(count, OnceLock::new);
        }
        Self { shape, bands, is_over, columns, shared }
    }

    /// The kernel of a band.
    fn get<'k>(&'k self, band: usize, latest: &'k mut Option<(usize, Kernel)>) -> Option<&'k Kernel> {
        let column = self.columns[band];
        let make = || self.shape.kernel(&self.bands[band].times, self.is_over);
        if let Some(shared) = self.shared.get(column) {
            return shared.get_or_init(make).as_ref();
        }
        if latest.as_ref().is_none_or(|(known, _)| *known != column) {
            *latest = make().map(|kernel| (column, kernel));
        }
        latest.as_ref().map(|(_, kernel)| kernel)
    }
}

impl<'a> Worker<'a> {
    fn new(is_over: IsOver<'a>, steps: Option<Vec<u64>>) -> Self {
        let touched = Touched { steps, ..Touched::default() };
        Self { room: Room::new(is_over), scratch: Scratch::default(), touched, unchecked: 0, latest: None }
    }

    /// The rows of all bands that lie in `rows`.
    fn fill(
        &mut self,
        kernels: &Kernels<'_, '_>,
        rows: Range<usize>,
        out: &mut [f64],
        budget: &Budget,
    ) -> Result<(), QueryError> {
        let steps = kernels.shape.ends.len();
        for (at, band) in kernels.bands.iter().enumerate() {
            let band_rows = band.rows_in(&rows);
            if band_rows.is_empty() {
                continue;
            }
            let mut latest = self.latest.take();
            let Some(kernel) = kernels.get(at, &mut latest) else { continue };
            let mut reader = band.reader();
            for row in band_rows {
                self.unchecked += kernel.row_cost() + steps;
                if self.unchecked > CHECK_EVERY {
                    self.unchecked = 0;
                    budget.check()?;
                }
                reader.seek(*row);
                let Scratch { row: room, times, values, .. } = &mut self.scratch;
                let cells = reader.cells(room);
                let out = &mut out[(*row as usize - rows.start) * steps..][..steps];
                let (room, touched) = (&mut self.room, &mut self.touched);
                if kernel.likes_growing() && is_growing(cells) {
                    kernel.growing(cells, room, out);
                    touched.windows_of(kernel);
                } else if is_whole(cells) {
                    kernel.row(cells, room, out);
                    touched.windows_of(kernel);
                } else if let Some(own) = own_kernel(kernels, &band.times, cells, times, values) {
                    own.row(values, room, out);
                    touched.windows_of(&own);
                }
            }
            self.latest = latest;
        }
        Ok(())
    }
}

/// Whether there are neither holes nor stale markers.
fn is_whole(cells: &[f64]) -> bool {
    !any_nan(cells) || !cells.iter().any(|cell| is_absent(*cell) || is_stale(*cell))
}

/// The kernel for a row with holes, whose samples are copied to `own_times` and `values`.
fn own_kernel(
    kernels: &Kernels<'_, '_>,
    times: &[Timestamp],
    cells: &[f64],
    own_times: &mut Vec<Timestamp>,
    values: &mut Vec<f64>,
) -> Option<Kernel> {
    own_times.clear();
    values.clear();
    compact(times, cells, own_times, values);
    kernels.shape.kernel(own_times, kernels.is_over)
}
