//! Stores that show the samples of a [`MemoryStore`] in other shapes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::model::{Labels, Matcher, Timestamp, absent};
use crate::promql::testlang::MemoryStore;
use crate::storage::{Cells, Piece, Querier, SelectRequest, Selection, StorageError};

/// The store as a ring shows itself: windows of all series on one column of times, full of holes, and a series that has
/// no sample at all.
pub(super) struct Grouped<'a>(pub(super) &'a MemoryStore);

/// Milliseconds of one window.
const WINDOW: i64 = 170_000;

impl Querier for Grouped<'_> {
    fn select(&self, request: &SelectRequest) -> Result<Selection, StorageError> {
        let apart = self.0.select(request)?;
        let mut windows: BTreeMap<i64, BTreeMap<u32, Vec<(Timestamp, f64)>>> = BTreeMap::new();
        for piece in &apart.pieces {
            let Cells::Floats(cells) = &piece.cells else { panic!("no histograms here") };
            for (ts, cell) in piece.times.iter().zip(cells) {
                windows.entry(ts / WINDOW).or_default().entry(piece.rows[0]).or_default().push((*ts, *cell));
            }
        }
        let pieces = windows.into_values().map(|rows| {
            let times: BTreeSet<Timestamp> = rows.values().flatten().map(|(ts, _)| *ts).collect();
            let times: Vec<Timestamp> = times.into_iter().collect();
            let mut cells = vec![absent(); times.len() * rows.len()];
            for (place, samples) in rows.values().enumerate() {
                for (ts, cell) in samples {
                    cells[place * times.len() + times.partition_point(|time| time < ts)] = *cell;
                }
            }
            let rows: Vec<u32> = rows.into_keys().collect();
            Piece { times: times.into(), rows: rows.into(), cells: Cells::Floats(cells), starts: None }
        });
        let mut labels = (*apart.labels).clone();
        labels.extend(apart.labels.last().map(|last| last.with("zz", "nothing")));
        Ok(Selection { labels: Arc::new(labels), pieces: pieces.collect(), thinned: None })
    }

    fn series(&self, matchers: &[Matcher], start: Timestamp, end: Timestamp) -> Result<Vec<Labels>, StorageError> {
        self.0.series(matchers, start, end)
    }
}

/// As [`Grouped`], and the same label sets come as the same `Arc`, as a ring hands them out.
pub(super) struct Steady<'a>(pub(super) Grouped<'a>, pub(super) Mutex<HashMap<Vec<Labels>, Arc<Vec<Labels>>>>);

impl Querier for Steady<'_> {
    fn select(&self, request: &SelectRequest) -> Result<Selection, StorageError> {
        let mut selection = self.0.select(request)?;
        let mut known = self.1.lock();
        let labels = known.entry((*selection.labels).clone()).or_insert(selection.labels);
        selection.labels = Arc::clone(labels);
        Ok(selection)
    }

    fn series(&self, matchers: &[Matcher], start: Timestamp, end: Timestamp) -> Result<Vec<Labels>, StorageError> {
        self.0.series(matchers, start, end)
    }
}
