//! Rows of a block, in chunks that threads take one after the other when they are much work.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use parking_lot::Mutex;

use crate::model::absent;
use crate::promql::result::QueryError;

/// Samples and results from which on a second thread pays for itself: a thread costs some 50 µs, a sample a nanosecond.
const WORTH_A_THREAD: usize = 250_000;
/// The most threads of one query.
const MOST_THREADS: usize = 4;
/// Cells of a chunk: what stays in a core's cache from the loop that fills it to the one that takes it.
const CHUNK_CELLS: usize = 16_384;

/// A chunk's rows are computed into cells that are holes before. `W` is what a thread keeps from chunk to chunk.
pub(super) trait Fill<W>: Fn(&mut W, Range<usize>, &mut [f64]) -> Result<(), QueryError> + Sync {}

impl<W, F: Fn(&mut W, Range<usize>, &mut [f64]) -> Result<(), QueryError> + Sync> Fill<W> for F {}

/// Rows of `steps` cells, and how much work they are altogether.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rows {
    pub(super) rows: usize,
    pub(super) steps: usize,
    /// Samples and results.
    pub(super) work: usize,
}

impl Rows {
    fn chunk(self) -> usize {
        (CHUNK_CELLS / self.steps.max(1)).max(1)
    }

    fn of_chunk(self, number: usize) -> Range<usize> {
        let from = number.saturating_mul(self.chunk()).min(self.rows);
        from..(from + self.chunk()).min(self.rows)
    }

    fn threads(self) -> usize {
        if self.work < 2 * WORTH_A_THREAD {
            return 1;
        }
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        cores.min(MOST_THREADS).min(self.work / WORTH_A_THREAD).min(self.rows.div_ceil(self.chunk())).max(1)
    }

    /// The cells of all rows, and what each thread made and kept.
    ///
    /// # Errors
    /// One of those that a chunk has.
    pub(super) fn collect<W: Send>(
        self,
        make: impl Fn() -> W + Sync,
        fill: impl Fill<W>,
    ) -> Result<(Vec<f64>, Vec<W>), QueryError> {
        let mut cells = vec![0.0; self.rows * self.steps];
        let chunks = Mutex::new(cells.chunks_mut((self.chunk() * self.steps).max(1)).enumerate());
        let kept = self.on_threads(make, |worker: &mut W| {
            loop {
                let next = chunks.lock().next();
                let Some((number, cells)) = next else { return Ok(()) };
                cells.fill(absent());
                fill(worker, self.of_chunk(number), cells)?;
            }
        })?;
        Ok((cells, kept))
    }

    /// Gives the rows to `take` in their order, some at a time, and says what each thread kept. No more than a few
    /// chunks are in memory at once.
    ///
    /// # Errors
    /// As [`Rows::collect`].
    pub(super) fn stream<W: Send>(
        self,
        make: impl Fn() -> W + Sync,
        fill: impl Fill<W>,
        take: impl FnMut(Range<usize>, &[f64]) + Send,
    ) -> Result<Vec<W>, QueryError> {
        let next = AtomicUsize::new(0);
        let taker = Mutex::new(Taker { take, next: 0, waiting: BTreeMap::new(), spare: Vec::new() });
        self.on_threads(make, |worker: &mut W| {
            let mut cells = Vec::new();
            loop {
                let number = next.fetch_add(1, Relaxed);
                let rows = self.of_chunk(number);
                if rows.is_empty() {
                    return Ok(());
                }
                cells.clear();
                cells.resize(rows.len() * self.steps, absent());
                fill(worker, rows, &mut cells)?;
                taker.lock().done(self, number, &mut cells);
            }
        })
    }

    fn on_threads<W: Send>(
        self,
        make: impl Fn() -> W + Sync,
        work: impl Fn(&mut W) -> Result<(), QueryError> + Sync,
    ) -> Result<Vec<W>, QueryError> {
        let run = || {
            let mut worker = make();
            work(&mut worker).map(|()| worker)
        };
        let threads = self.threads();
        if threads < 2 {
            return run().map(|one| vec![one]);
        }
        std::thread::scope(|scope| {
            // Without the others this one does it all.
            let another = |number: usize| {
                std::thread::Builder::new().name(format!("query-{number}")).spawn_scoped(scope, run).ok()
            };
            let others: Vec<_> = (1..threads).filter_map(another).collect();
            let mut all = vec![run()];
            for other in others {
                all.push(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            }
            all.into_iter().collect()
        })
    }
}

/// Takes chunks in their order, whichever is ready first.
struct Taker<T> {
    take: T,
    next: usize,
    waiting: BTreeMap<usize, Vec<f64>>,
    spare: Vec<Vec<f64>>,
}

impl<T: FnMut(Range<usize>, &[f64])> Taker<T> {
    fn done(&mut self, all: Rows, number: usize, cells: &mut Vec<f64>) {
        if number != self.next {
            self.waiting.insert(number, std::mem::replace(cells, self.spare.pop().unwrap_or_default()));
            return;
        }
        (self.take)(all.of_chunk(number), cells);
        self.next += 1;
        while let Some(cells) = self.waiting.remove(&self.next) {
            (self.take)(all.of_chunk(self.next), &cells);
            self.next += 1;
            self.spare.push(cells);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::Rows;
    use crate::model::is_absent;

    #[test]
    fn all_rows_are_done_once_and_taken_in_order() {
        for (rows, steps, work) in
            [(0, 3, 0), (5, 2, 0), (9_000, 7, 10_000_000), (3, 20_000, 10_000_000), (0, 1, 10_000_000), (4, 0, 0)]
        {
            let all = Rows { rows, steps, work };
            let fill = |worker: &mut usize, rows: Range<usize>, cells: &mut [f64]| {
                assert_eq!(rows.len() * steps, cells.len());
                assert!(cells.iter().all(|cell| is_absent(*cell)));
                cells.iter_mut().zip(rows.start * steps..).for_each(|(cell, at)| *cell = at as f64);
                *worker += rows.len();
                Ok(())
            };
            let (cells, workers) = all.collect(usize::default, fill).expect("no chunk fails");
            assert!(steps == 0 || workers.iter().sum::<usize>() == rows);
            assert!(cells.iter().enumerate().all(|(at, cell)| *cell == at as f64));
            let mut taken = Vec::new();
            let workers =
                all.stream(usize::default, fill, |_, cells| taken.extend_from_slice(cells)).expect("no chunk fails");
            assert_eq!(workers.iter().sum::<usize>(), rows);
            assert_eq!(taken, cells);
        }
    }
}
