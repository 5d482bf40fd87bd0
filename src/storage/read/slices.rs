//! What a selection needs of segments: which slices and columns, their bytes, and their samples once decoded.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use crate::model::{Histogram, Timestamp, absent, is_absent};
use crate::storage::StorageError;
use crate::storage::bytes::Reader;
use crate::storage::cache::Decoded;
use crate::storage::catalog::Ids;
use crate::storage::codec::{
    FloatScratch, decode_floats_within, decode_histograms, decode_ints, decode_ints_within, may_have_holes,
};
use crate::storage::config::RingCounters;
use crate::storage::head::bounds;
use crate::storage::querier::Stop;
use crate::storage::ring::Ring;
use crate::storage::rollup::RollupColumn;
use crate::storage::segment::{ColumnEntry, ColumnKind, SegmentIndex, SegmentMeta, Slice};
use crate::storage::store::{SegmentReader, Stream, damaged};

use super::resolve::{IdRow, Resolved};

/// No column.
const NONE: u32 = u32::MAX;
/// Columns that a thread decodes between two questions whether it should go on.
const COLUMNS_PER_LOOK: u32 = 64;

/// Room that decoding needs again and again.
#[derive(Default)]
pub(super) struct Scratch {
    floats: Vec<f64>,
    decode: FloatScratch,
    /// Columns decoded since the last look at [`Reading::stop`].
    unasked: u32,
}

/// A segment that a query reads.
struct Segment {
    id: u64,
    index: Arc<SegmentIndex>,
    stream: OnceLock<Stream>,
    reading: Arc<Reading>,
}

/// What all readers of a selection share.
#[derive(Debug)]
pub(super) struct Reading {
    /// Segments that turned out to be damaged; each counts once a query.
    damaged: Mutex<Vec<u64>>,
    counters: Arc<RingCounters>,
    stop: Stop,
    /// The wish has come: columns are left as holes from now on, and nobody may take them for an answer.
    stopped: AtomicBool,
}

impl Reading {
    pub(super) fn new(stop: Stop, counters: Arc<RingCounters>) -> Arc<Self> {
        Arc::new(Self { damaged: Mutex::default(), counters, stop, stopped: AtomicBool::new(false) })
    }

    /// # Errors
    /// [`StorageError::Stopped`] from the moment on that somebody wishes to stop.
    pub(super) fn go_on(&self) -> Result<(), StorageError> {
        if self.is_stopped() || self.stop.is_wished() {
            self.stopped.store(true, Relaxed);
            return Err(StorageError::Stopped);
        }
        Ok(())
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Relaxed)
    }

    fn damaged(&self, segment: u64) {
        let mut segments = self.damaged.lock();
        if !segments.contains(&segment) {
            segments.push(segment);
            self.counters.damaged.fetch_add(1, Relaxed);
        }
    }
}

/// The columns of one slice that a selection reads.
pub(super) struct SlicePart {
    segment: Arc<Segment>,
    number: usize,
    times: Arc<[Timestamp]>,
    from: usize,
    to: usize,
    /// By row: the place of its floats among the slice's columns.
    floats: Vec<u32>,
    /// The same for histograms and start timestamps; empty when no row has any.
    histograms: Vec<u32>,
    starts: Vec<u32>,
}

/// Slices of one segment with the rows that they have, and the bytes that are still to be read.
pub(super) struct SegmentSlices {
    meta: Arc<SegmentMeta>,
    segment: Arc<Segment>,
    pub(super) slices: Vec<(Arc<[u32]>, SlicePart)>,
    wanted: Vec<Range<usize>>,
}

impl SlicePart {
    pub(super) fn times(&self) -> &[Timestamp] {
        &self.times[self.from..self.to]
    }

    /// Ticks that are decoded to get at those within the bounds.
    pub(super) fn decoded_ticks(&self) -> usize {
        self.to
    }

    pub(super) fn has_floats(&self, k: usize) -> bool {
        self.floats.get(k).is_some_and(|at| *at != NONE)
    }

    pub(super) fn has_histograms(&self) -> bool {
        !self.histograms.is_empty()
    }

    pub(super) fn has_histogram(&self, k: usize) -> bool {
        self.histograms.get(k).is_some_and(|at| *at != NONE)
    }

    pub(super) fn has_starts(&self) -> bool {
        !self.starts.is_empty()
    }

    /// Decodes the floats of a row; a damaged column leaves holes.
    pub(super) fn fill(&self, k: usize, out: &mut [f64], scratch: &mut Scratch) {
        if let Some(bytes) = self.wanted(k, scratch) {
            self.decode(&bytes, self.from..self.to, out, &mut scratch.decode);
        }
    }

    /// The newest float of a row within the bounds, and its place among them.
    pub(super) fn newest_float(&self, k: usize, scratch: &mut Scratch) -> Option<(usize, f64)> {
        let bytes = self.wanted(k, scratch)?;
        let Scratch { floats, decode, .. } = scratch;
        // Without holes the last tick has it.
        let from = if may_have_holes(&bytes) { self.from } else { self.from.max(self.to.saturating_sub(1)) };
        floats.clear();
        floats.resize(self.to - from, absent());
        self.decode(&bytes, from..self.to, floats, decode);
        let at = floats.iter().rposition(|v| !is_absent(*v))?;
        Some((from - self.from + at, floats[at]))
    }

    /// The bytes of a row's floats, unless nobody wants them any more.
    fn wanted(&self, k: usize, scratch: &mut Scratch) -> Option<Cow<'_, [u8]>> {
        if self.segment.is_given_up(scratch) {
            return None;
        }
        let entry = self.segment.entry(self.number, &self.floats, k)?;
        self.segment.stream.get()?.part_and_more(&entry.at)
    }

    fn decode(&self, bytes: &[u8], ticks: Range<usize>, out: &mut [f64], scratch: &mut FloatScratch) {
        let segment = &*self.segment;
        if decode_floats_within(&segment.index.codec, bytes, self.times.len(), ticks, out, scratch).is_err() {
            out.fill(absent());
            segment.reading.damaged(segment.id);
        }
    }

    /// The buckets of a row, where this is a slice of rollups, at the slice's [`SlicePart::times`]. A damaged column has none.
    pub(super) fn rolled(&self, k: usize, length: i64, scratch: &mut Scratch) -> RollupColumn {
        let segment = &*self.segment;
        if segment.is_given_up(scratch) {
            return RollupColumn::default();
        }
        let Some(bytes) = segment.column(self.number, &self.floats, k) else { return RollupColumn::default() };
        match RollupColumn::decode(&segment.index.codec, &bytes, &self.times, length, &mut scratch.decode) {
            Ok(mut column) => {
                column.buckets.truncate(self.to);
                column.buckets.drain(..self.from);
                column
            }
            Err(_) => {
                segment.reading.damaged(segment.id);
                RollupColumn::default()
            }
        }
    }

    pub(super) fn fill_starts(&self, k: usize, out: &mut [Timestamp]) {
        let segment = &*self.segment;
        let Some(bytes) = segment.column(self.number, &self.starts, k) else { return };
        let codec = &segment.index.codec;
        match decode_ints_within(codec, &mut Reader::new(&bytes), self.times.len(), &(self.from..self.to)) {
            Ok(starts) => out.copy_from_slice(&starts),
            Err(_) => segment.reading.damaged(segment.id),
        }
    }

    pub(super) fn histograms(&self, k: usize) -> Vec<Option<Arc<Histogram>>> {
        let segment = &*self.segment;
        let Some(bytes) = segment.column(self.number, &self.histograms, k) else { return Vec::new() };
        match decode_histograms(&bytes, self.times.len()) {
            Ok(column) => column[self.from..self.to].to_vec(),
            Err(_) => {
                segment.reading.damaged(segment.id);
                Vec::new()
            }
        }
    }
}

impl Segment {
    /// Whether nobody wants the next column any more.
    fn is_given_up(&self, scratch: &mut Scratch) -> bool {
        scratch.unasked += 1;
        if scratch.unasked < COLUMNS_PER_LOOK {
            return self.reading.is_stopped();
        }
        scratch.unasked = 0;
        self.reading.go_on().is_err()
    }

    /// The bytes of a row's column, if it has one and it could be read.
    fn column(&self, slice: usize, columns: &[u32], k: usize) -> Option<Cow<'_, [u8]>> {
        self.stream.get()?.part(&self.entry(slice, columns, k)?.at)
    }

    fn entry(&self, slice: usize, columns: &[u32], k: usize) -> Option<&ColumnEntry> {
        self.index.slices.get(slice)?.columns.get(*columns.get(k)? as usize)
    }
}

impl Ring {
    /// Finds the slices of a segment that have rows of the selection within the bounds. `wants` is asked with the row
    /// and the last time of the slice. Nothing but the index and timestamps is decoded yet.
    pub(super) fn slices_of(
        &self,
        (meta, ids): &(Arc<SegmentMeta>, Ids),
        resolved: &Resolved,
        (start, end): (Timestamp, Timestamp),
        reading: &Arc<Reading>,
        wants: &dyn Fn(u32, Timestamp) -> bool,
    ) -> Result<Option<SegmentSlices>, StorageError> {
        reading.go_on()?;
        let pairs = resolved.rows_of(meta.epoch, ids);
        if pairs.is_empty() {
            return Ok(None);
        }
        let found = self.store.with_segment(meta, |reader| {
            let Some(index) = self.index(meta, &reader)? else { return Ok(None) };
            let stream = OnceLock::new();
            let segment = Arc::new(Segment { id: meta.id, index, stream, reading: Arc::clone(reading) });
            let mut found = SegmentSlices { meta: Arc::clone(meta), segment, slices: Vec::new(), wanted: Vec::new() };
            let index = Arc::clone(&found.segment.index);
            for (number, slice) in index.slices.iter().enumerate() {
                if slice.first > end || slice.last < start {
                    continue;
                }
                let mut columns = columns_of(slice, &pairs, &|row| wants(row, slice.last));
                if columns.is_empty() {
                    continue;
                }
                let Some(times) = self.times(meta, &index, number, slice, &reader)? else { return Ok(None) };
                let (from, to) = bounds(&times, start, end);
                if from < to {
                    sort_by_row(&mut columns, resolved.sids.len());
                    found.add(number, slice, times, (from, to), &columns);
                }
            }
            Ok(Some(found))
        });
        self.skip_damage(found).map(Option::flatten)
    }

    /// Reads the bytes of what was found.
    pub(super) fn load(&self, found: &SegmentSlices) -> Result<(), StorageError> {
        found.segment.reading.go_on()?;
        let read = self.store.with_segment(&found.meta, |reader| reader.load(&found.wanted));
        if let Some(stream) = self.skip_damage(read)? {
            if stream.damage.is_some() {
                found.segment.reading.damaged(found.meta.id);
            }
            let _ = found.segment.stream.set(stream);
        }
        Ok(())
    }

    pub(super) fn index(
        &self,
        meta: &SegmentMeta,
        reader: &SegmentReader<'_>,
    ) -> Result<Option<Arc<SegmentIndex>>, StorageError> {
        let key = (meta.id, u32::MAX);
        if let Some(Decoded::Index(index)) = self.cache.get(key) {
            return Ok(Some(index));
        }
        let columns = meta.index_offset as usize;
        let Some(bytes) = reader.part(columns..meta.stream_len as usize)? else { return Ok(None) };
        let index = SegmentIndex::decode(&bytes, columns).map_err(|e| damaged(meta.id, e.0))?;
        let index = Arc::new(index);
        let size = index.slices.iter().map(|s| s.columns.len() + 2).sum::<usize>() * 32;
        self.cache.put(key, Decoded::Index(index.clone()), size);
        Ok(Some(index))
    }

    fn times(
        &self,
        meta: &SegmentMeta,
        index: &SegmentIndex,
        number: usize,
        slice: &Slice,
        reader: &SegmentReader<'_>,
    ) -> Result<Option<Arc<[Timestamp]>>, StorageError> {
        let key = (meta.id, number as u32);
        if let Some(Decoded::Times(times)) = self.cache.get(key) {
            return Ok(Some(times));
        }
        let Some(bytes) = reader.part(slice.times.clone())? else { return Ok(None) };
        let times =
            decode_ints(&index.codec, &mut Reader::new(&bytes), slice.ticks).map_err(|e| damaged(meta.id, e.0))?;
        if !times.is_sorted_by(|a, b| a < b) {
            return Err(damaged(meta.id, "its timestamps do not ascend"));
        }
        let times: Arc<[Timestamp]> = Arc::from(times);
        self.cache.put(key, Decoded::Times(times.clone()), times.len() * 8);
        Ok(Some(times))
    }

    /// Turns damage into a count.
    pub(crate) fn skip_damage<T>(&self, read: Result<T, StorageError>) -> Result<Option<T>, StorageError> {
        match read {
            Ok(read) => Ok(Some(read)),
            Err(StorageError::Damaged { .. }) => {
                self.count_damage(1);
                Ok(None)
            }
            // Without the file, memory answers alone.
            Err(StorageError::Failed { .. } | StorageError::Full { .. }) if self.is_degraded() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl SegmentSlices {
    /// Shows the buckets of each row of a segment of rollups, and the ends at which they stand.
    pub(super) fn each_rolled(&self, length: i64, look: &mut dyn FnMut(u32, &[Timestamp], &RollupColumn)) {
        let mut scratch = Scratch::default();
        for (rows, part) in &self.slices {
            for (k, row) in rows.iter().enumerate() {
                look(*row, part.times(), &part.rolled(k, length, &mut scratch));
            }
        }
    }

    /// Adds a slice with the columns of rows, sorted by row.
    fn add(
        &mut self,
        number: usize,
        slice: &Slice,
        times: Arc<[Timestamp]>,
        (from, to): (usize, usize),
        columns: &[(u32, u32)],
    ) {
        let mut rows: Vec<u32> = Vec::with_capacity(columns.len());
        let mut floats: Vec<u32> = Vec::with_capacity(columns.len());
        let (mut histograms, mut starts) = (Vec::new(), Vec::new());
        for (row, at) in columns {
            let Some(entry) = slice.columns.get(*at as usize) else { continue };
            self.wanted.push(entry.at.clone());
            if rows.last() != Some(row) {
                rows.push(*row);
                floats.push(NONE);
            }
            let k = rows.len() - 1;
            let list = match entry.kind {
                ColumnKind::Floats => {
                    floats[k] = *at;
                    continue;
                }
                ColumnKind::Histograms => &mut histograms,
                ColumnKind::Starts => &mut starts,
            };
            list.resize(k, NONE);
            list.push(*at);
        }
        let rows = match self.slices.last() {
            Some((before, _)) if **before == *rows => Arc::clone(before),
            _ => Arc::from(rows),
        };
        let segment = Arc::clone(&self.segment);
        self.slices.push((rows, SlicePart { segment, number, times, from, to, floats, histograms, starts }));
    }
}

/// Rows of the selection with the places of their columns, in the order of the columns. Both lists ascend by number.
fn columns_of(slice: &Slice, pairs: &[IdRow], wants: &dyn Fn(u32) -> bool) -> Vec<(u32, u32)> {
    let columns = &slice.columns;
    let mut found = Vec::with_capacity(pairs.len().min(columns.len()));
    let few = pairs.len() * 16 < columns.len();
    let mut at = 0;
    for (id, row) in pairs {
        if few {
            at += columns[at..].partition_point(|c| c.id < *id);
        } else {
            while columns.get(at).is_some_and(|c| c.id < *id) {
                at += 1;
            }
        }
        if columns.get(at).is_none_or(|c| c.id != *id) || !wants(*row) {
            continue;
        }
        let mut same = at;
        while columns.get(same).is_some_and(|c| c.id == *id) {
            found.push((*row, same as u32));
            same += 1;
        }
    }
    found
}

/// Sorts by row; the columns of one row stay in order.
fn sort_by_row(columns: &mut Vec<(u32, u32)>, rows: usize) {
    if columns.is_sorted() {
        return;
    }
    if columns.len() * 8 < rows {
        columns.sort_unstable();
        return;
    }
    // Counting is linear where most rows are there.
    let mut first = vec![NONE; rows];
    let mut next = vec![NONE; columns.len()];
    for (i, (row, _)) in columns.iter().enumerate().rev() {
        next[i] = std::mem::replace(&mut first[*row as usize], i as u32);
    }
    let mut sorted = Vec::with_capacity(columns.len());
    for mut i in first {
        while let Some(column) = columns.get(i as usize) {
            sorted.push(*column);
            i = next[i as usize];
        }
    }
    *columns = sorted;
}
