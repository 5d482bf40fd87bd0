//! Queries that rollups answer: for each aspect of the buckets a selection of its own, with raw samples where no bucket is
//! made yet.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{Labels, Timestamp, absent, is_absent, is_stale};
use crate::storage::StorageError;
use crate::storage::querier::{Aspect, Rolled, RollupRequest, Rollups, SelectRequest};
use crate::storage::ring::{Inner, Ring};
use crate::storage::rollup::{Bucket, Piecemeal, Tier, lost_between};
use crate::storage::segment::SegmentMeta;
use crate::storage::selection::{Cells, Piece, Selection};

use super::lend::LenderRoom;
use super::resolve::Resolved;
use super::slices::{Reading, Scratch, SegmentSlices};
use super::{Sealed, within};

/// How often a selection begins anew because series came or went while it was read.
pub(super) const MAX_TRIES: usize = 4;

/// Series came or went while a selection was read.
#[derive(Debug)]
pub(super) struct Changed;

/// Part of a rollup segment: after the first bound, up to the second.
type Part = (Sealed, Timestamp, Timestamp);

impl Ring {
    /// Which rollups there are; `None` when there are none.
    pub(super) fn rollup_extent(&self) -> Option<Rollups> {
        let inner = self.inner.read();
        let rolled = &inner.catalog.rolled;
        if rolled.is_empty() {
            return None;
        }
        let raw_from = inner.catalog.raw_from;
        let extent = |tier| Some((tier, rolled.first(tier)?, rolled.until(tier)?));
        Some(Rollups { raw_from, tiers: Tier::ALL.into_iter().filter_map(extent).collect() })
    }

    /// # Errors
    /// When the store failed, a limit is exceeded or somebody wished to stop.
    pub(super) fn rolled(&self, request: &RollupRequest) -> Result<Option<Rolled>, StorageError> {
        for _ in 0..MAX_TRIES {
            if let Some(found) = self.try_rolled(request)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// `None` when the matching series changed meanwhile.
    fn try_rolled(&self, request: &RollupRequest) -> Result<Option<Rolled>, StorageError> {
        let plan = |inner: &Inner| {
            let mut plan = Piecemeal::default();
            inner.catalog.rolled.cover(Some(request.tier), request.after, request.until, &mut plan);
            plan
        };
        let (inner, _) =
            self.lock_loaded(&|inner| plan(inner).segments.into_iter().map(|(meta, ..)| meta).collect())?;
        let plan = plan(&inner);
        let resolved = self.resolutions.get(&inner.head, &request.matchers);
        let parts = parts(&inner, plan.segments);
        drop(inner);
        let mut out = Columns::new(request, resolved.labels.len());
        let mut items: BTreeMap<Timestamp, Item> = BTreeMap::new();
        items.extend(parts.into_iter().map(|part| (part.1, Item::Rolled(part))));
        items.extend(plan.raw.into_iter().map(|(from, to)| (from, Item::Raw(from, to))));
        let reading = Reading::new(request.stop.clone(), self.counters());
        for item in items.into_values() {
            match item {
                Item::Rolled((sealed, from, to)) => {
                    if let Some(found) = self.buckets_of(&sealed, &resolved, (from, to), &reading, &|_, _| true)? {
                        out.buckets(&found, sealed.0.tier.unwrap_or(request.tier).bucket_ms())?;
                    }
                }
                Item::Raw(from, to) => {
                    let (same, pieces) = self.range(&SelectRequest {
                        matchers: request.matchers.clone(),
                        start: from.saturating_add(1),
                        end: to,
                        last_only: false,
                        max_samples: request.max_samples,
                        stop: request.stop.clone(),
                    })?;
                    if !Arc::ptr_eq(&same.labels, &resolved.labels) {
                        return Ok(None);
                    }
                    out.samples(&pieces)?;
                }
            }
        }
        reading.go_on()?;
        Ok(Some(out.finish(&resolved)))
    }

    /// The request without the time before which raw samples are gone, where rollups stand for them (`None`: nothing is gone): a
    /// late sample that is left of that time would look like all there was.
    pub(super) fn without_gone(&self, request: &SelectRequest) -> Option<SelectRequest> {
        let inner = self.inner.read();
        let gone = !self.rolled_before_raw(&inner, request.start, request.end).is_empty();
        gone.then(|| SelectRequest { start: request.start.max(inner.catalog.raw_from), ..request.clone() })
    }

    /// Segments of rollups within the bounds, where raw samples may be gone.
    pub(super) fn rolled_before_raw(&self, inner: &Inner, start: Timestamp, end: Timestamp) -> Vec<Arc<SegmentMeta>> {
        let rolled = &inner.catalog.rolled;
        let until = end.min(inner.catalog.raw_from.saturating_sub(1));
        if rolled.is_empty() || start > until {
            return Vec::new();
        }
        rolled.cover_finest(start.saturating_sub(1), until).into_iter().map(|(meta, ..)| meta).collect()
    }

    /// The columns of one rollup segment, loaded.
    pub(super) fn buckets_of(
        &self,
        sealed: &Sealed,
        resolved: &Resolved,
        (from, to): (Timestamp, Timestamp),
        reading: &Arc<Reading>,
        wants: &dyn Fn(u32, Timestamp) -> bool,
    ) -> Result<Option<SegmentSlices>, StorageError> {
        let bounds = (from.saturating_add(1), to);
        let Some(found) = self.slices_of(sealed, resolved, bounds, reading, wants)? else { return Ok(None) };
        self.load(&found)?;
        Ok(Some(found))
    }

    /// Samples from before the raw ones, thinned out: the first and the last of each of the finest buckets that there are. `pieces`
    /// must have none from before ([`Ring::without_gone`]). Says which tier it was, `Err(Changed)` when the matching series are others by now.
    pub(super) fn thinned(
        &self,
        request: &SelectRequest,
        labels: &Arc<Vec<Labels>>,
        pieces: &mut Vec<Piece>,
    ) -> Result<Result<Option<Tier>, Changed>, StorageError> {
        let wanted = |inner: &Inner| self.rolled_before_raw(inner, request.start, request.end);
        let (inner, rolled) = self.lock_loaded(&wanted)?;
        if rolled.is_empty() {
            return Ok(Ok(None));
        }
        let raw_from = inner.catalog.raw_from;
        let resolved = self.resolutions.get(&inner.head, &request.matchers);
        if !Arc::ptr_eq(&resolved.labels, labels) {
            return Ok(Err(Changed));
        }
        let until = request.end.min(raw_from.saturating_sub(1));
        let found = inner.catalog.rolled.cover_finest(request.start.saturating_sub(1), until);
        let found = parts(&inner, found);
        drop(inner);
        let reading = Reading::new(request.stop.clone(), self.counters());
        let rows = vec![Vec::new(); resolved.labels.len()];
        let mut thin = Thin { rows, cells: 0, most: request.max_samples, bounds: (request.start, until) };
        let mut coarsest = None;
        for (sealed, from, to) in found {
            let Some(buckets) = self.buckets_of(&sealed, &resolved, (from, to), &reading, &|_, _| true)? else {
                continue;
            };
            let tier = sealed.0.tier.unwrap_or(Tier::Minute);
            if thin.take(&buckets, tier.bucket_ms())? {
                coarsest = coarsest.max(Some(tier));
            }
        }
        reading.go_on()?;
        let mut all = thin.into_pieces();
        all.append(pieces);
        *pieces = all;
        Ok(Ok(coarsest))
    }
}

/// The parts, with what the numbers of their series mean.
fn parts(inner: &Inner, found: Vec<(Arc<SegmentMeta>, Timestamp, Timestamp)>) -> Vec<Part> {
    let ids = |(meta, from, to): (Arc<SegmentMeta>, Timestamp, Timestamp)| {
        let ids = inner.catalog.ids(meta.epoch)?;
        Some(((meta, ids), from, to))
    };
    found.into_iter().filter_map(ids).collect()
}

enum Item {
    Rolled(Part),
    Raw(Timestamp, Timestamp),
}

/// The aspects that are asked for, piece by piece.
struct Columns<'a> {
    request: &'a RollupRequest,
    /// By aspect.
    pieces: Vec<Vec<Piece>>,
    /// By row: the last value so far, NaN before the first.
    last: Vec<f64>,
    cells: usize,
    has_more: bool,
}

impl<'a> Columns<'a> {
    fn new(request: &'a RollupRequest, rows: usize) -> Self {
        let pieces = vec![Vec::new(); request.aspects.len()];
        Self { request, pieces, last: vec![f64::NAN; rows], cells: 0, has_more: false }
    }

    fn reserve(&mut self, rows: usize, ticks: usize) -> Result<Vec<Vec<f64>>, StorageError> {
        self.cells += rows * ticks * self.request.aspects.len();
        within(self.cells, self.request.max_samples)?;
        Ok(vec![Vec::with_capacity(rows * ticks); self.request.aspects.len()])
    }

    fn put(&mut self, times: &Arc<[Timestamp]>, rows: &Arc<[u32]>, cells: Vec<Vec<f64>>) {
        for (pieces, cells) in self.pieces.iter_mut().zip(cells) {
            let (times, rows) = (Arc::clone(times), Arc::clone(rows));
            pieces.push(Piece { times, rows, cells: Cells::Floats(cells), starts: None });
        }
    }

    fn buckets(&mut self, found: &SegmentSlices, length: i64) -> Result<(), StorageError> {
        for (rows, part) in &found.slices {
            let times: Arc<[Timestamp]> = Arc::from(part.times());
            let mut cells = self.reserve(rows.len(), times.len())?;
            let mut scratch = Scratch::default();
            for (k, row) in rows.iter().enumerate() {
                let column = part.rolled(k, length, &mut scratch);
                let last = &mut self.last[*row as usize];
                self.has_more |= column.has_more;
                for at in 0..times.len() {
                    let bucket = column.buckets.get(at).copied().flatten();
                    let entry = bucket.filter(|b| b.count > 0).map_or(0.0, |b| lost_between(*last, b.first));
                    for (aspect, cells) in self.request.aspects.iter().zip(&mut cells) {
                        cells.push(bucket.map_or(absent(), |bucket| of_bucket(*aspect, &bucket, entry)));
                    }
                    if let Some(bucket) = bucket.filter(|bucket| bucket.count > 0) {
                        *last = bucket.last;
                    }
                }
            }
            self.put(&times, rows, cells);
        }
        Ok(())
    }

    fn samples(&mut self, pieces: &[Piece]) -> Result<(), StorageError> {
        let (mut room, mut row_cells) = (LenderRoom::default(), Vec::new());
        for piece in pieces {
            let ticks = piece.times.len();
            self.has_more |= piece.starts.is_some() || matches!(piece.cells, Cells::Histograms(_));
            let mut cells = self.reserve(piece.rows.len(), ticks)?;
            for (k, row) in piece.rows.iter().enumerate() {
                let Some(values) = piece.floats(k, &mut row_cells, &mut room) else {
                    cells.iter_mut().for_each(|cells| cells.resize(cells.len() + ticks, absent()));
                    continue;
                };
                let last = &mut self.last[*row as usize];
                for (ts, value) in piece.times.iter().zip(values) {
                    let (value, gone) = (*value, is_absent(*value) || is_stale(*value));
                    let entry = if gone { 0.0 } else { lost_between(*last, value) };
                    for (aspect, cells) in self.request.aspects.iter().zip(&mut cells) {
                        cells.push(of_sample(*aspect, *ts, value, entry));
                    }
                    if !gone {
                        *last = value;
                    }
                }
            }
            self.put(&piece.times, &piece.rows, cells);
        }
        Ok(())
    }

    fn finish(self, resolved: &Resolved) -> Rolled {
        let selection = |pieces| Selection { labels: Arc::clone(&resolved.labels), pieces, thinned: None };
        Rolled { selections: self.pieces.into_iter().map(selection).collect(), has_more: self.has_more }
    }
}

/// What an aspect says of a bucket; `entry` is what the counter lost between the bucket before and this one.
fn of_bucket(aspect: Aspect, bucket: &Bucket, entry: f64) -> f64 {
    if aspect == Aspect::Newest && bucket.stale {
        return crate::model::stale_marker();
    }
    if bucket.count == 0 {
        return absent();
    }
    match aspect {
        Aspect::First => bucket.first,
        Aspect::Last | Aspect::Newest => bucket.last,
        Aspect::Min => bucket.min,
        Aspect::Max => bucket.max,
        Aspect::Sum => bucket.sum,
        Aspect::Count => bucket.count as f64,
        Aspect::FirstTime => bucket.first_ts as f64,
        Aspect::LastTime => bucket.last_ts as f64,
        Aspect::Lost => bucket.lost + entry,
        Aspect::Entry => entry,
    }
}

/// The same of a raw sample.
fn of_sample(aspect: Aspect, ts: Timestamp, value: f64, entry: f64) -> f64 {
    if is_absent(value) {
        return absent();
    }
    if is_stale(value) {
        return if aspect == Aspect::Newest { value } else { absent() };
    }
    match aspect {
        Aspect::Count => 1.0,
        Aspect::FirstTime | Aspect::LastTime => ts as f64,
        Aspect::Lost | Aspect::Entry => entry,
        _ => value,
    }
}

/// First and last samples of buckets, row by row.
struct Thin {
    rows: Vec<Vec<(Timestamp, f64)>>,
    cells: usize,
    most: usize,
    /// Inclusive.
    bounds: (Timestamp, Timestamp),
}

impl Thin {
    /// Takes what lies within the bounds. Says whether there was anything.
    fn take(&mut self, found: &SegmentSlices, length: i64) -> Result<bool, StorageError> {
        let (start, end) = self.bounds;
        let mut added = 0;
        found.each_rolled(length, &mut |row, _, column| {
            let Some(out) = self.rows.get_mut(row as usize) else { return };
            for bucket in column.buckets.iter().flatten() {
                let both = [(bucket.first_ts, bucket.first), (bucket.last_ts, bucket.last)];
                let there = usize::from(bucket.count > 0) + usize::from(bucket.count > 1);
                let stale = bucket.stale.then(|| (bucket.last_ts.saturating_add(1), crate::model::stale_marker()));
                for (ts, value) in both.into_iter().take(there).chain(stale) {
                    if (start..=end).contains(&ts) && out.last().is_none_or(|(last, _)| *last < ts) {
                        out.push((ts, value));
                        added += 1;
                    }
                }
            }
        });
        self.cells += added;
        within(self.cells, self.most)?;
        Ok(added > 0)
    }

    /// Neighbours with the same times become one piece.
    fn into_pieces(self) -> Vec<Piece> {
        let mut pieces: Vec<(Vec<Timestamp>, Vec<u32>, Vec<f64>)> = Vec::new();
        for (row, samples) in self.rows.into_iter().enumerate().filter(|(_, samples)| !samples.is_empty()) {
            let times: Vec<Timestamp> = samples.iter().map(|(ts, _)| *ts).collect();
            let values = samples.iter().map(|(_, value)| *value);
            match pieces.last_mut().filter(|(same, ..)| *same == times) {
                Some((_, rows, cells)) => {
                    rows.push(row as u32);
                    cells.extend(values);
                }
                None => pieces.push((times, vec![row as u32], values.collect())),
            }
        }
        let piece = |(times, rows, cells)| Piece {
            times: Arc::from(times),
            rows: Arc::from(rows),
            cells: Cells::Floats(cells),
            starts: None,
        };
        pieces.into_iter().map(piece).collect()
    }
}
