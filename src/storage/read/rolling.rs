//! What rollups are made of: the raw samples of a span row by row, or the buckets of finer tiers.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::model::{Timestamp, is_absent};
use crate::storage::StorageError;
use crate::storage::querier::{SelectRequest, Stop};
use crate::storage::ring::{Inner, Ring};
use crate::storage::rollup::{Bucket, Tier};
use crate::storage::segment::SegmentMeta;
use crate::storage::selection::{Cells, Piece};

use super::Sealed;
use super::lend::LenderRoom;
use super::resolve::Resolved;
use super::slices::{Reading, Scratch, SegmentSlices};

/// The raw samples of a span, all series.
pub(crate) struct SpanSamples {
    pub(crate) resolved: Arc<Resolved>,
    pieces: Vec<Piece>,
    /// By row: pieces, and the row's places in them.
    places: Vec<Vec<(u32, u32)>>,
    room: LenderRoom,
    cells: Vec<f64>,
}

/// Buckets of one series in a segment.
#[derive(Debug, Default)]
pub(crate) struct StoredRow {
    /// Whether the series has start timestamps, or native histograms.
    pub(crate) has_more: bool,
    /// End and content, ascending.
    pub(crate) buckets: Vec<(Timestamp, Bucket)>,
}

/// A segment of rollups, its bytes in memory.
pub(crate) struct StoredBuckets {
    found: SegmentSlices,
    length: i64,
    /// By row: the slice and the row's place in it.
    places: FxHashMap<u32, (usize, usize)>,
    scratch: Scratch,
}

impl SpanSamples {
    /// Gives the float samples of a row to `take`, in order. Says whether the row has start timestamps or histograms.
    pub(crate) fn read(&mut self, row: usize, take: &mut dyn FnMut(Timestamp, f64)) -> bool {
        let mut has_more = false;
        for (piece, k) in self.places.get(row).into_iter().flatten() {
            let (piece, k) = (&self.pieces[*piece as usize], *k as usize);
            let span = piece.span(k);
            has_more |=
                piece.starts.as_ref().is_some_and(|starts| starts[span.clone()].iter().any(|start| *start != 0));
            if let Cells::Histograms(all) = &piece.cells {
                has_more |= all[span].iter().any(Option::is_some);
            }
            let values = piece.floats(k, &mut self.cells, &mut self.room).unwrap_or_default();
            let there = piece.times.iter().zip(values).filter(|(_, value)| !is_absent(**value));
            there.for_each(|(ts, value)| take(*ts, *value));
        }
        has_more
    }
}

impl StoredBuckets {
    /// The buckets of a row; nothing where it has none.
    pub(crate) fn read(&mut self, row: u32) -> StoredRow {
        let Some((slice, k)) = self.places.get(&row) else { return StoredRow::default() };
        let part = &self.found.slices[*slice].1;
        let column = part.rolled(*k, self.length, &mut self.scratch);
        let there = part.times().iter().zip(&column.buckets).filter_map(|(end, bucket)| Some((*end, (*bucket)?)));
        StoredRow { has_more: column.has_more, buckets: there.collect() }
    }
}

impl Resolved {
    pub(crate) fn rows(&self) -> usize {
        self.sids.len()
    }
}

impl Ring {
    /// All samples after `after`, up to `until`.
    pub(crate) fn span_samples(&self, after: Timestamp, until: Timestamp) -> Result<SpanSamples, StorageError> {
        let (resolved, pieces) = self.range(&SelectRequest {
            matchers: Vec::new(),
            start: after.saturating_add(1),
            end: until,
            last_only: false,
            max_samples: usize::MAX,
            stop: Stop::never(),
        })?;
        let mut places: Vec<Vec<(u32, u32)>> = vec![Vec::new(); resolved.rows()];
        for (number, piece) in pieces.iter().enumerate() {
            for (k, row) in piece.rows.iter().enumerate() {
                places[*row as usize].push((number as u32, k as u32));
            }
        }
        Ok(SpanSamples { resolved, pieces, places, room: LenderRoom::default(), cells: Vec::new() })
    }

    /// The segments of a tier that lie in a span, the oldest first, and all series.
    pub(crate) fn span_segments(
        &self,
        tier: Tier,
        (after, until): (Timestamp, Timestamp),
    ) -> Result<(Arc<Resolved>, Vec<Sealed>), StorageError> {
        let inside = |meta: &&Arc<SegmentMeta>| meta.window >= after && meta.window_end <= until;
        let find = |inner: &Inner| inner.catalog.rolled.all(tier).filter(inside).cloned().collect();
        let (inner, sealed) = self.lock_loaded(&find)?;
        let resolved = self.resolutions.get(&inner.head, &[]);
        drop(inner);
        Ok((resolved, sealed))
    }

    /// The rows of one segment of rollups that `wants`; `None` when there are none.
    pub(crate) fn stored_buckets(
        &self,
        sealed: &Sealed,
        resolved: &Resolved,
        wants: &dyn Fn(u32) -> bool,
    ) -> Result<Option<StoredBuckets>, StorageError> {
        let reading = Reading::new(Stop::never(), self.counters());
        let bounds = (sealed.0.window, sealed.0.window_end);
        let found = self.buckets_of(sealed, resolved, bounds, &reading, &|row, _| wants(row))?;
        Ok(found.map(|found| {
            let mut places = FxHashMap::default();
            for (slice, (rows, _)) in found.slices.iter().enumerate() {
                places.extend(rows.iter().enumerate().map(|(k, row)| (*row, (slice, k))));
            }
            let length = sealed.0.tier.unwrap_or(Tier::Minute).bucket_ms();
            StoredBuckets { found, length, places, scratch: Scratch::default() }
        }))
    }

    /// First and last samples of a segment's slices that begin before `window`.
    pub(crate) fn slices_before(
        &self,
        meta: &SegmentMeta,
        window: Timestamp,
    ) -> Result<Vec<(Timestamp, Timestamp)>, StorageError> {
        let index = self.skip_damage(self.store.with_segment(meta, |reader| self.index(meta, &reader)))?;
        let slices = index.iter().flatten().flat_map(|index| &index.slices);
        Ok(slices.filter(|slice| slice.first < window).map(|slice| (slice.first, slice.last)).collect())
    }
}
