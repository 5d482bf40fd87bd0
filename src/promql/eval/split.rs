//! Rows of a block, divided among threads when they are much work.

use std::num::NonZero;
use std::ops::Range;

use crate::promql::result::QueryError;

/// Samples and results from which on a second thread pays for itself: a thread costs some 50 µs, a sample a nanosecond.
const WORTH_A_THREAD: usize = 250_000;
/// The most threads of one query.
const MOST_THREADS: usize = 4;

/// Calls `part` for ranges of rows with their cells, `steps` a row, and gives what it gave in the rows' order.
///
/// # Errors
/// The first that a part has, in the rows' order.
pub(super) fn split<T: Send>(
    rows: usize,
    steps: usize,
    work: usize,
    cells: &mut [f64],
    part: impl Fn(Range<usize>, &mut [f64]) -> Result<T, QueryError> + Sync,
) -> Result<Vec<T>, QueryError> {
    let threads = threads_for(work).min(rows.max(1));
    if threads < 2 {
        return part(0..rows, cells).map(|one| vec![one]);
    }
    let each = rows.div_ceil(threads);
    let part = &part;
    std::thread::scope(|scope| {
        let mut parts = cells.chunks_mut((each * steps).max(1)).enumerate().map(|(at, cells)| {
            let rows = at * each..rows.min((at + 1) * each);
            (rows, cells)
        });
        // The first part is for this thread.
        let first = parts.next();
        let running: Vec<_> = parts.map(|(rows, cells)| scope.spawn(move || part(rows, cells))).collect();
        let mut all = Vec::with_capacity(threads);
        all.extend(first.map(|(rows, cells)| part(rows, cells)));
        for part in running {
            all.push(part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        all.into_iter().collect()
    })
}

fn threads_for(work: usize) -> usize {
    if work < 2 * WORTH_A_THREAD {
        return 1;
    }
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    cores.min(MOST_THREADS).min(work / WORTH_A_THREAD)
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn all_rows_are_done_once() {
        for (rows, steps, work) in [(0, 3, 0), (5, 2, 0), (5, 2, 10_000_000), (1, 4, 10_000_000), (0, 1, 10_000_000)] {
            let mut cells = vec![0.0; rows * steps];
            let parts = split(rows, steps, work, &mut cells, |rows, cells| {
                assert_eq!(rows.len() * steps, cells.len());
                cells.iter_mut().zip(rows.start * steps..).for_each(|(cell, at)| *cell += at as f64);
                Ok(rows.len())
            });
            assert_eq!(parts.expect("no part fails").iter().sum::<usize>(), rows);
            assert!(cells.iter().enumerate().all(|(at, cell)| *cell == at as f64));
        }
    }
}
