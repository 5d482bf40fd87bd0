//! Queries: series by matchers, remembered; their samples from head and segments as dense pieces.

mod apart;
mod assemble;
mod exemplars;
mod lend;
mod newest;
mod part;
mod resolve;
mod rolled;
mod rolling;
mod slices;
mod strip;
#[cfg(test)]
mod tests;
mod tracks;

use std::sync::Arc;

use parking_lot::RwLockReadGuard;

use crate::model::{Labels, Matcher, Timestamp};

use super::StorageError;
use super::catalog::Ids;
use super::querier::{ExemplarSeries, Querier, Rolled, RollupRequest, Rollups, SelectRequest, Stop};
use super::ring::{Inner, Ring};
use super::segment::SegmentMeta;
use super::selection::{Cells, Piece, Selection};

use assemble::{Loose, assemble};
use lend::Sources;
use newest::Newest;
use rolled::{Changed, MAX_TRIES};
use slices::Reading;
use strip::Strip;

pub use lend::{Lender, LenderRoom};
pub(crate) use resolve::{Resolutions, Resolved};
pub(crate) use rolling::{SpanSamples, StoredBuckets, StoredRow};

/// Places that are copied while the head is locked; more than a few milliseconds would hold up its ticks. The rows of larger
/// selections are put together when they are wanted.
const LOCKED_CELLS: usize = 1 << 19;

/// A segment that a query may have to read, and what its numbers mean.
pub(crate) type Sealed = (Arc<SegmentMeta>, Ids);

/// The head, segments of raw samples that it does not cover, and segments of rollups.
type Locked<'a> = (RwLockReadGuard<'a, Inner>, Vec<Sealed>, Vec<Sealed>);

impl Querier for Ring {
    fn select(&self, request: &SelectRequest) -> Result<Selection, StorageError> {
        let mut tries = 0;
        loop {
            let Some(left) = self.without_gone(request) else { return self.select_raw(request) };
            let (resolved, mut pieces) = self.raw(&left)?;
            tries += 1;
            let thinned = match self.thinned(request, &resolved.labels, &mut pieces)? {
                Ok(thinned) => thinned,
                // Series come and go faster than they can be read: what is left of raw samples must do.
                Err(Changed) if tries == MAX_TRIES => None,
                Err(Changed) => continue,
            };
            return Ok(Selection { thinned, ..compacted(&resolved, pieces) });
        }
    }

    fn rollups(&self) -> Option<Rollups> {
        self.rollup_extent()
    }

    fn select_rollups(&self, request: &RollupRequest) -> Result<Option<Rolled>, StorageError> {
        self.rolled(request)
    }

    fn series(&self, matchers: &[Matcher], start: Timestamp, end: Timestamp) -> Result<Vec<Labels>, StorageError> {
        let (inner, segments, rolled) = self.lock_with(start, end)?;
        let resolved = self.resolutions.get(&inner.head, matchers);
        let mut newest = Newest::of_head(&inner.head, &resolved, start, end);
        drop(inner);
        let mut known = vec![false; resolved.sids.len()];
        let mut cut: Vec<Sealed> = Vec::new();
        for (meta, ids) in rolled.into_iter().chain(segments) {
            if meta.tier.is_none() && (start > meta.min_ts || meta.max_ts > end) {
                cut.push((meta, ids));
                continue;
            }
            // The whole segment counts: its index knows who is there.
            let index = self.skip_damage(self.store.with_segment(&meta, |reader| self.index(&meta, &reader)))?;
            let pairs = resolved.rows_of(meta.epoch, &ids);
            for column in index.flatten().iter().flat_map(|i| &i.slices).flat_map(|s| &s.columns) {
                if let Ok(at) = pairs.binary_search_by_key(&column.id, |(id, _)| *id) {
                    known[pairs[at].1 as usize] = true;
                }
            }
        }
        self.newest_of_segments(&cut, &resolved, (start, end), &mut newest, &Stop::never())?;
        for row in newest.into_pieces().iter().flat_map(|piece| piece.rows.iter()) {
            known[*row as usize] = true;
        }
        let labels = resolved.labels.iter().zip(known);
        Ok(labels.filter(|(_, known)| *known).map(|(labels, _)| labels.clone()).collect())
    }

    fn exemplars(
        &self,
        matchers: &[Matcher],
        start: Timestamp,
        end: Timestamp,
    ) -> Result<Vec<ExemplarSeries>, StorageError> {
        self.exemplars_of(matchers, start, end, exemplars::MAX_ANSWER)
    }
}

impl Ring {
    /// As [`Querier::select`], without what rollups have of samples that are gone.
    ///
    /// # Errors
    /// As [`Querier::select`].
    pub fn select_raw(&self, request: &SelectRequest) -> Result<Selection, StorageError> {
        let (resolved, pieces) = self.raw(request)?;
        Ok(compacted(&resolved, pieces))
    }

    fn raw(&self, request: &SelectRequest) -> Result<(Arc<Resolved>, Vec<Piece>), StorageError> {
        if request.last_only { self.newest(request) } else { self.range(request) }
    }

    /// Locks the head, and finds the segments that it does not cover, oldest first; then those of rollups that stand for raw
    /// samples that are gone.
    fn lock_with(&self, start: Timestamp, end: Timestamp) -> Result<Locked<'_>, StorageError> {
        let (inner, all) = self.lock_loaded(&|inner| {
            let mut all = inner.catalog.overlapping(inner.head.floor, start, end);
            all.extend(self.rolled_before_raw(inner, start, end));
            all
        })?;
        let (raw, rolled) = all.into_iter().partition(|(meta, _)| meta.tier.is_none());
        Ok((inner, raw, rolled))
    }

    /// Locks the head while the series tables of the segments that `find` wants are in memory. Segments whose tables cannot be
    /// read are left out.
    fn lock_loaded(
        &self,
        find: &dyn Fn(&Inner) -> Vec<Arc<SegmentMeta>>,
    ) -> Result<(RwLockReadGuard<'_, Inner>, Vec<Sealed>), StorageError> {
        let mut readable = true;
        loop {
            let inner = self.inner.read();
            let segments = find(&inner);
            if readable && segments.iter().any(|s| !inner.catalog.is_loaded(s.epoch)) {
                drop(inner);
                readable = self.skip_damage(self.load_epochs(&segments))?.is_some();
                continue;
            }
            let ids = |s: Arc<SegmentMeta>| inner.catalog.ids(s.epoch).map(|ids| (s, ids));
            let segments = segments.into_iter().filter_map(ids).collect();
            return Ok((inner, segments));
        }
    }

    /// The newest sample of each row.
    fn newest(&self, request: &SelectRequest) -> Result<(Arc<Resolved>, Vec<Piece>), StorageError> {
        let bounds = (request.start, request.end);
        let (inner, segments, _) = self.lock_with(request.start, request.end)?;
        let resolved = self.resolutions.get(&inner.head, &request.matchers);
        let mut newest = Newest::of_head(&inner.head, &resolved, request.start, request.end);
        drop(inner);
        within(newest.len(), request.max_samples)?;
        if !segments.is_empty() {
            self.newest_of_segments(&segments, &resolved, bounds, &mut newest, &request.stop)?;
            within(newest.len(), request.max_samples)?;
        }
        Ok((resolved, newest.into_pieces()))
    }

    /// All samples within the bounds.
    fn range(&self, request: &SelectRequest) -> Result<(Arc<Resolved>, Vec<Piece>), StorageError> {
        let bounds = (request.start, request.end);
        let (inner, segments, _) = self.lock_with(request.start, request.end)?;
        let resolved = self.resolutions.get(&inner.head, &request.matchers);
        let rows = resolved.sids.len();
        let mut loose = Loose::new();
        for row in &resolved.loose {
            let samples = inner.head.irregular_within(resolved.sids[*row as usize], request.start, request.end);
            if !samples.is_empty() {
                loose.push((*row, samples.into_iter().map(|s| (s.ts, s.start_ts, s.value)).collect()));
            }
        }
        let strips = Strip::of_head(&inner.head, &resolved, request.start, request.end);
        let mut cells = strips.iter().map(Strip::cells).sum::<usize>();
        cells += loose.iter().map(|(_, samples)| samples.len()).sum::<usize>();
        within(cells, request.max_samples)?;
        if segments.is_empty() && cells <= LOCKED_CELLS {
            let strips: Vec<_> = strips.into_iter().map(Arc::new).collect();
            let copied = |sources: Sources<'_>| Cells::Floats(sources.cells());
            let pieces = assemble(&strips, &loose, rows, request.max_samples - cells, copied);
            return Ok((Arc::clone(&resolved), pieces));
        }
        let mut strips: Vec<Strip<'static>> = strips.into_iter().map(Strip::into_owned).collect();
        drop(inner);
        let reading = Reading::new(request.stop.clone(), self.counters());
        let mut all_found = Vec::with_capacity(segments.len());
        for segment in segments.iter().rev() {
            let Some(mut found) = self.slices_of(segment, &resolved, bounds, &reading, &|_, _| true)? else { continue };
            let at = strips.len();
            Strip::of_segment(&mut found, &mut strips);
            cells += strips[at..].iter().map(Strip::cells).sum::<usize>();
            within(cells, request.max_samples)?;
            all_found.push(found);
        }
        for found in &all_found {
            self.load(found)?;
        }
        reading.go_on()?;
        let strips: Vec<_> = strips.into_iter().map(Arc::new).collect();
        let lent = |sources| Cells::Lent(Lender::new(sources));
        Ok((resolved, assemble(&strips, &loose, rows, request.max_samples - cells, lent)))
    }
}

fn within(samples: usize, most: usize) -> Result<(), StorageError> {
    if samples > most { Err(StorageError::TooManySamples) } else { Ok(()) }
}

/// The selection, without most of the rows that have no sample where those are in the majority.
fn compacted(resolved: &Resolved, mut pieces: Vec<Piece>) -> Selection {
    let rows = resolved.labels.len();
    let whole = || Arc::clone(&resolved.labels);
    if pieces.iter().any(|piece| piece.rows.len() * 2 >= rows) {
        return Selection { labels: whole(), pieces, thinned: None };
    }
    let mut alive = vec![false; rows];
    pieces.iter().flat_map(|piece| piece.rows.iter()).for_each(|row| alive[*row as usize] = true);
    let alive: Vec<u32> = (0..).zip(&alive).filter(|(_, alive)| **alive).map(|(row, _)| row).collect();
    let Some(compact) = resolved.compact(&alive) else { return Selection { labels: whole(), pieces, thinned: None } };
    for piece in &mut pieces {
        piece.rows = piece.rows.iter().map(|row| compact.place[*row as usize]).collect();
    }
    Selection { labels: Arc::clone(&compact.labels), pieces, thinned: None }
}
