//! Maintenance, third part: what is over becomes rollups, a slice of work at a time.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use rustc_hash::FxHashMap;

use crate::clock::Stopwatch;
use crate::model::Timestamp;
use crate::storage::StorageError;
use crate::storage::catalog::{Catalog, Keep, cost};
use crate::storage::codec::{PcoCodec, encode_ints};
use crate::storage::read::{Resolved, Sealed, SpanSamples, StoredBuckets, StoredRow};
use crate::storage::ring::Ring;
use crate::storage::seal::SLICE;
use crate::storage::segment::{ColumnEntry, ColumnKind, ExemplarIndex, Finished, SegmentIndex, SegmentMeta, Slice};
use crate::storage::store::SealChange;

use super::{Bucket, Buckets, Tier, column};

/// Rows whose buckets are put together at once, where they come from many segments.
const BATCH: usize = 4096;
/// Late slices of one segment of which we remember when they were; of more, only when all of them were.
const MAX_LATE: usize = 64;

/// What maintenance knows of the spans of time that may be rolled up.
#[derive(Default)]
pub(crate) struct Rolled {
    /// The number of the next segment and the end of what was sealed when nothing was left to do.
    settled: Option<(u64, Timestamp)>,
    /// Spans without anything in them, and the newest segment that was looked at.
    empty: FxHashMap<(Tier, Timestamp), u64>,
    /// First and last samples of the late slices of segments.
    late: FxHashMap<u64, Vec<(Timestamp, Timestamp)>>,
}

/// A span of time on its way into a segment.
pub(crate) struct Roll {
    tier: Tier,
    span: Timestamp,
    /// The newest segment that there was.
    content: u64,
    state: State,
}

enum State {
    Begun,
    Encoding(Box<Work>),
    /// Encoded; waits for the disk.
    Encoded(Box<Work>),
}

/// Rows that become columns.
struct Work {
    resolved: Arc<Resolved>,
    source: Source,
    /// What the span has already, if it was rolled up before.
    before: Option<StoredBuckets>,
    codec: PcoCodec,
    ends: Vec<Timestamp>,
    next_row: usize,
    columns: Vec<Encoded>,
}

/// What buckets are made of.
enum Source {
    Samples(SpanSamples),
    Buckets(Finer),
}

/// Segments of a finer tier, read for some thousand rows at a time.
struct Finer {
    segments: Vec<Sealed>,
    next: usize,
    /// The rows at hand, with what the segments before the next one have of them.
    batch: Vec<StoredRow>,
}

/// The column of one series.
struct Encoded {
    /// Its row in the selection: a series may have another number by the time it is written.
    row: usize,
    bytes: Vec<u8>,
    /// Buckets in it.
    count: u64,
    /// Places of the first and the last.
    ends: Option<(usize, usize)>,
}

/// Looks for a span that is over and not rolled up yet, or not with all that has come since.
///
/// # Errors
/// When an index could not be read.
pub(crate) fn begin(ring: &Ring, known: &mut Rolled, now: Timestamp) -> Result<Option<Roll>, StorageError> {
    let inner = ring.inner.read();
    let catalog = &inner.catalog;
    // A sample of a span's last moment lies in the window after it.
    let over = catalog.sealed_until();
    let settled = (catalog.next_segment(), over);
    if known.settled == Some(settled) {
        return Ok(None);
    }
    let keep = Keep::of(&ring.config, now);
    let mut unread: Option<Arc<SegmentMeta>> = None;
    let mut found = None;
    // A coarser span is made as soon as all that it is made of is there, before anything later.
    let mut pending = Timestamp::MAX;
    for tier in Tier::ALL {
        // What retention took for its size would only go again.
        let full = catalog.has_its_share(tier, ring.row_reserve(), &keep);
        let oldest = catalog.rolled.all(tier).next().filter(|_| full).map_or(Timestamp::MIN, |meta| meta.window);
        let wanted = |span: Timestamp| {
            let end = span.saturating_add(tier.span_ms());
            end < over && end > keep.oldest_of(tier) && span >= oldest && end <= pending
        };
        let span = match tier.finer() {
            None => raw_span(catalog, known, (tier, keep.oldest_of(tier)), &wanted, &mut unread),
            Some(finer) => finer_span(catalog, known, tier, finer, &wanted),
        };
        if let Some(span) = span {
            found = Some((tier, span));
            pending = pending.min(span);
        }
    }
    let content = catalog.next_segment().saturating_sub(1);
    if let Some(meta) = unread {
        known.late.retain(|id, _| catalog.segments().iter().any(|segment| segment.id == *id));
        drop(inner);
        // One a call: the rest is looked at when maintenance comes again.
        known.read_late(ring, &meta)?;
        return Ok(None);
    }
    drop(inner);
    if found.is_none() {
        known.settled = Some(settled);
    }
    Ok(found.map(|(tier, span)| Roll { tier, span, content, state: State::Begun }))
}

/// A span of raw samples. `unread` gets a segment whose late samples have to be looked up first.
fn raw_span(
    catalog: &Catalog,
    known: &Rolled,
    (tier, oldest): (Tier, Timestamp),
    wanted: &dyn Fn(Timestamp) -> bool,
    unread: &mut Option<Arc<SegmentMeta>>,
) -> Option<Timestamp> {
    for segment in catalog.segments() {
        let (mut span, last) = (tier.span_of(segment.min_ts.max(oldest)), tier.span_of(segment.max_ts));
        // Of segments that were there when nothing was left to do only spans count that were not over then.
        if let Some((_, over)) = known.settled.filter(|(next, _)| segment.content < *next) {
            span = span.max(tier.span_of(over.saturating_sub(tier.span_ms())));
        }
        while span <= last {
            let end = span.saturating_add(tier.span_ms());
            let newest = known.newest(catalog, tier, span);
            let is_news = newest.is_none_or(|newest| segment.content > newest);
            if is_news && wanted(span) {
                let late = segment.min_ts < segment.window;
                if newest.is_none() || touches(segment, span, end) {
                    return Some(span);
                }
                if late {
                    match known.late.get(&segment.id) {
                        None => {
                            *unread = Some(Arc::clone(segment));
                            return None;
                        }
                        Some(slices) if slices.iter().any(|(first, last)| *first <= end && *last > span) => {
                            return Some(span);
                        }
                        Some(_) => {}
                    }
                }
            }
            span = end;
        }
    }
    None
}

/// Whether samples that came in time lie in the span, late ones apart.
fn touches(segment: &SegmentMeta, span: Timestamp, end: Timestamp) -> bool {
    let begins = segment.window.max(segment.min_ts);
    // The sample of the span's last moment is the first of the next window; of a merged segment it is no news.
    let inside = begins < end || (begins == end && segment.content == segment.id);
    inside && segment.window_end > span && segment.max_ts > span
}

/// A span of finer rollups.
fn finer_span(
    catalog: &Catalog,
    known: &Rolled,
    tier: Tier,
    finer: Tier,
    wanted: &dyn Fn(Timestamp) -> bool,
) -> Option<Timestamp> {
    catalog.rolled.all(finer).find_map(|segment| {
        let span = tier.span_of(segment.max_ts);
        let newest = known.newest(catalog, tier, span);
        (wanted(span) && newest.is_none_or(|newest| segment.id > newest)).then_some(span)
    })
}

impl Rolled {
    /// The newest segment that counted when a span was looked at last; `None`: it never was.
    fn newest(&self, catalog: &Catalog, tier: Tier, span: Timestamp) -> Option<u64> {
        let made = catalog.rolled.get(tier, span).map(|meta| meta.content);
        made.or_else(|| self.empty.get(&(tier, span)).copied())
    }

    fn read_late(&mut self, ring: &Ring, meta: &Arc<SegmentMeta>) -> Result<(), StorageError> {
        let mut slices = ring.slices_before(meta, meta.window)?;
        if slices.len() > MAX_LATE {
            let whole = (meta.min_ts, slices.iter().map(|(_, last)| *last).max().unwrap_or(meta.max_ts));
            slices = vec![whole];
        }
        self.late.insert(meta.id, slices);
        Ok(())
    }
}

/// Does one slice of work. `None`: done, or given up. What failed for the disk's sake goes on later.
pub(crate) fn proceed(
    ring: &Ring,
    roll: Roll,
    known: &mut Rolled,
    now: Timestamp,
) -> (Option<Roll>, Result<(), StorageError>) {
    let Roll { tier, span, content, state } = roll;
    let begun = |state| (Some(Roll { tier, span, content, state }), Ok(()));
    match state {
        State::Begun => match Work::begin(ring, tier, span) {
            Ok(work) => begun(State::Encoding(Box::new(work))),
            Err(error) => (None, Err(error)),
        },
        State::Encoding(mut work) => {
            let watch = Stopwatch::start();
            loop {
                match work.step(ring, tier) {
                    Ok(true) if watch.elapsed() < SLICE => {}
                    Ok(true) => return begun(State::Encoding(work)),
                    Ok(false) if work.columns.iter().all(|column| column.count == 0) => {
                        known.empty.insert((tier, span), content);
                        return (None, Ok(()));
                    }
                    Ok(false) => return begun(State::Encoded(work)),
                    Err(error) => return (None, Err(error)),
                }
            }
        }
        State::Encoded(work) => match write(ring, (tier, span), content, &work, now) {
            Ok(()) => (None, Ok(())),
            Err(error) => (Some(Roll { tier, span, content, state: State::Encoded(work) }), Err(error)),
        },
    }
}

impl Work {
    fn begin(ring: &Ring, tier: Tier, span: Timestamp) -> Result<Self, StorageError> {
        let end = span.saturating_add(tier.span_ms());
        let (resolved, source) = match tier.finer() {
            None => {
                let samples = ring.span_samples(span, end)?;
                (Arc::clone(&samples.resolved), Source::Samples(samples))
            }
            Some(finer) => {
                let (resolved, segments) = ring.span_segments(finer, (span, end))?;
                (resolved, Source::Buckets(Finer { segments, next: 0, batch: Vec::new() }))
            }
        };
        let (_, before) = ring.span_segments(tier, (span, end))?;
        let before = match before.first() {
            Some(sealed) => ring.stored_buckets(sealed, &resolved, &|_| true)?,
            None => None,
        };
        let ends = (1..=tier.span_ms() / tier.bucket_ms()).map(|n| span.saturating_add(n * tier.bucket_ms())).collect();
        let codec = PcoCodec::default();
        Ok(Self { resolved, source, before, codec, ends, next_row: 0, columns: Vec::new() })
    }

    /// Makes the columns of the next row, or reads a segment for some thousand. Says whether there was anything to do.
    fn step(&mut self, ring: &Ring, tier: Tier) -> Result<bool, StorageError> {
        if self.next_row >= self.resolved.rows() {
            return Ok(false);
        }
        match &mut self.source {
            Source::Samples(samples) => {
                let mut buckets = Buckets::new(tier.bucket_ms());
                let has_more = samples.read(self.next_row, &mut |ts, value| buckets.push(ts, &Bucket::of(ts, value)));
                self.encode(tier, has_more, buckets.finish());
            }
            Source::Buckets(finer) => {
                let (from, rows) = (self.next_row, (self.resolved.rows() - self.next_row).min(BATCH));
                finer.batch.resize_with(rows, StoredRow::default);
                if let Some(sealed) = finer.segments.get(finer.next) {
                    finer.next += 1;
                    let wants = |row: u32| (from..from + rows).contains(&(row as usize));
                    let Some(mut stored) = ring.stored_buckets(sealed, &self.resolved, &wants)? else {
                        return Ok(true);
                    };
                    for (k, all) in finer.batch.iter_mut().enumerate() {
                        let row = stored.read((from + k) as u32);
                        all.has_more |= row.has_more;
                        // A span of the finer tier is one bucket of this one.
                        let mut coarse = Buckets::new(tier.bucket_ms());
                        row.buckets.iter().for_each(|(end, bucket)| coarse.push(*end, bucket));
                        all.buckets.extend(coarse.finish());
                    }
                    return Ok(true);
                }
                finer.next = 0;
                for row in std::mem::take(&mut finer.batch) {
                    self.encode(tier, row.has_more, row.buckets);
                }
            }
        }
        Ok(true)
    }

    /// Writes the next row's column. Where the span was rolled up before, the bucket of more samples counts: retention may
    /// have taken some meanwhile.
    fn encode(&mut self, tier: Tier, mut has_more: bool, fresh: Vec<(Timestamp, Bucket)>) {
        let row = self.next_row;
        self.next_row += 1;
        let before = self.before.as_mut().map(|before| before.read(row as u32)).unwrap_or_default();
        has_more |= before.has_more;
        let mut buckets: Vec<Option<Bucket>> = vec![None; self.ends.len()];
        let place = |end: Timestamp| self.ends.binary_search(&end).ok();
        for (end, bucket) in fresh.into_iter().chain(before.buckets) {
            if let Some(slot) = place(end).and_then(|at| buckets.get_mut(at))
                && slot.is_none_or(|there| there.count < bucket.count)
            {
                *slot = Some(bucket);
            }
        }
        let count = buckets.iter().flatten().count() as u64;
        if count == 0 && !has_more {
            return;
        }
        let mut bytes = Vec::new();
        column::encode(&self.codec, &buckets, &self.ends, tier.bucket_ms(), has_more, &mut bytes);
        let first = buckets.iter().position(Option::is_some);
        let last = buckets.iter().rposition(Option::is_some);
        self.columns.push(Encoded { row, bytes, count, ends: first.zip(last) });
    }

    /// Puts the columns, in the order of their `ids`, into one stream. The bounds are the ends of its first and last bucket.
    fn stream(&self, ids: &[u32]) -> Option<Finished> {
        let mut columns: Vec<(u32, &Encoded)> = ids.iter().copied().zip(&self.columns).collect();
        columns.sort_unstable_by_key(|(id, _)| *id);
        let first = columns.iter().filter_map(|(_, column)| column.ends).map(|(first, _)| first).min()?;
        let last = columns.iter().filter_map(|(_, column)| column.ends).map(|(_, last)| last).max()?;
        let mut stream = Vec::new();
        encode_ints(&self.codec, &self.ends, &mut stream);
        let times = 0..stream.len();
        let mut slice = Slice {
            ticks: self.ends.len(),
            first: *self.ends.first()?,
            last: *self.ends.last()?,
            times,
            columns: Vec::with_capacity(columns.len()),
        };
        for (id, column) in &columns {
            let at = stream.len();
            stream.extend_from_slice(&column.bytes);
            slice.columns.push(ColumnEntry { id: *id, kind: ColumnKind::Floats, at: at..stream.len() });
        }
        let index_offset = stream.len();
        let exemplars = ExemplarIndex::default();
        SegmentIndex { codec: PcoCodec::default(), slices: vec![slice], exemplars }.encode(&mut stream);
        let samples = columns.iter().map(|(_, column)| column.count).sum();
        let (min_ts, max_ts) = (self.ends[first], self.ends[last]);
        Some(Finished { stream, index_offset, samples, min_ts, max_ts, exemplars: None })
    }
}

/// Writes the segment, in the place of the one that the span had.
fn write(
    ring: &Ring,
    (tier, span): (Tier, Timestamp),
    content: u64,
    work: &Work,
    now: Timestamp,
) -> Result<(), StorageError> {
    let writer = ring.store.writer();
    let epoch = ring.load_current_epoch()?;
    let mut guard = ring.inner.write();
    let inner = &mut *guard;
    let mut ids = Vec::with_capacity(work.columns.len());
    for labels in work.columns.iter().filter_map(|column| work.resolved.labels.get(column.row)) {
        let sid = inner.head.series.intern(labels);
        ids.push(inner.catalog.id_for(epoch, sid, &mut inner.head.series));
    }
    drop(guard);
    let Some(finished) = work.stream(&ids) else { return Ok(()) };
    let inner = ring.inner.read();
    let window = (span, span.saturating_add(tier.span_ms()));
    let mut meta = finished.meta(inner.catalog.next_segment(), window, epoch, ids.len() as u32);
    (meta.tier, meta.content) = (Some(tier), content);
    let (first_id, labels) = inner.catalog.unwritten(epoch, &inner.head.series);
    let reserve = ring.row_reserve();
    let mut retire = inner.catalog.due(cost(&meta), reserve, &Keep::of(&ring.config, now));
    let before = inner.catalog.rolled.get(tier, span).cloned();
    if let Some(before) = before.as_ref().filter(|before| !retire.segments.contains(&before.id)) {
        retire.segments.push(before.id);
    }
    retire.epochs.retain(|retired| *retired != epoch);
    drop(inner);
    if let Some(before) = &before {
        // Queries that found it go on to read it; it may be damaged, too.
        ring.skip_damage(ring.store.keep_replaced(before))?;
    }
    let (stream, rows_before) = (finished.stream.as_slice(), Timestamp::MIN);
    ring.store.seal(&SealChange { meta: &meta, stream, series: (first_id, &labels), rows_before, retire: &retire })?;
    let mut inner = ring.inner.write();
    let inner = &mut *inner;
    inner.catalog.remove(&retire, &mut inner.head.series);
    inner.catalog.push(meta, labels.len() as u32);
    ring.counters().rolled.fetch_add(1, Relaxed);
    let raw = retire.segments.len() - usize::from(before.is_some());
    ring.counters().retired.fetch_add(raw as u64, Relaxed);
    drop(writer);
    Ok(())
}
