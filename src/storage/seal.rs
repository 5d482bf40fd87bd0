//! Maintenance: windows become segments, old segments go, a failed file is tried again.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::clock::Stopwatch;
use crate::model::Timestamp;

use super::catalog::{coming_cost, millis};
use super::ring::Ring;
use super::segment::{Finished, SegmentMeta, SegmentWriter, SliceInput};
use super::store::SealChange;
use super::{Progress, StorageError};

/// How long one slice of sealing may take.
const SLICE: Duration = Duration::from_millis(18);
/// How long the ring waits before it tries a failed file again.
const RETRY_MS: i64 = 10_000;

/// The window that is being sealed, if there is one.
#[derive(Default)]
pub(crate) struct Sealer {
    job: Option<Job>,
}

struct Job {
    window: Timestamp,
    window_end: Timestamp,
    epoch: u32,
    series: u32,
    state: State,
}

enum State {
    Encoding(Box<SegmentWriter>),
    /// Encoded; waits for the disk.
    Encoded(Finished),
}

/// One slice of whatever is due.
pub(crate) fn maintain(ring: &Ring, now: Timestamp) -> Result<Progress, StorageError> {
    if ring.degraded.load(Relaxed) && !recover(ring, now)? {
        return Ok(Progress::Idle);
    }
    let mut sealer = ring.sealer.lock();
    if sealer.job.is_none() {
        sealer.job = begin(ring, now)?;
    }
    let Some(mut job) = sealer.job.take() else {
        evict(ring, now);
        return retire_by_time(ring, now);
    };
    let watch = Stopwatch::start();
    if let State::Encoding(writer) = &mut job.state {
        while writer.step() {
            if watch.elapsed() >= SLICE {
                sealer.job = Some(job);
                return Ok(Progress::More);
            }
        }
    }
    finish(ring, job, &mut sealer, now)?;
    evict(ring, now);
    Ok(Progress::More)
}

/// Closes the oldest window that is over.
fn begin(ring: &Ring, now: Timestamp) -> Result<Option<Job>, StorageError> {
    let window_ms = millis(ring.config.window).max(1000);
    let due = |window: Timestamp| window.saturating_add(window_ms + millis(ring.config.seal_delay)) <= now;
    let Some(window) = ring.inner.read().head.first_open_window().filter(|w| due(*w)) else { return Ok(None) };
    let epoch = ring.inner.read().catalog.current_epoch();
    ring.load_epoch(epoch)?;
    let mut inner = ring.inner.write();
    let inner = &mut *inner;
    let data = inner.head.close_window(window);
    let mut ids = FxHashMap::default();
    let dense = data.groups.iter().flat_map(|(sids, _)| sids.iter().flatten());
    for sid in dense.chain(data.irregular.iter().map(|(sid, _)| sid)) {
        ids.entry(*sid).or_insert_with(|| inner.catalog.id_for(epoch, *sid, &mut inner.head.series));
    }
    let series = ids.len() as u32;
    let slices = SliceInput::of_window(data, |sid| ids.get(&sid).copied());
    Ok(Some(Job {
        window,
        window_end: window + window_ms,
        epoch,
        series,
        state: State::Encoding(Box::new(SegmentWriter::new(slices))),
    }))
}

/// Writes the segment with everything that goes with it; on failure the job waits for the next try.
fn finish(ring: &Ring, job: Job, sealer: &mut Sealer, now: Timestamp) -> Result<(), StorageError> {
    let Job { window, window_end, epoch, series, state } = job;
    let finished = match state {
        State::Encoding(writer) => writer.finish(),
        State::Encoded(finished) => Some(finished),
    };
    let writer = ring.store.writer();
    let Some(finished) = finished else {
        // Nothing but holes.
        ring.inner.write().head.log.forget_before(window_end);
        return ring.store.drop_rows(window_end);
    };
    let inner = ring.inner.read();
    let meta = SegmentMeta {
        id: inner.catalog.next_segment(),
        window,
        window_end,
        min_ts: finished.min_ts,
        max_ts: finished.max_ts,
        epoch,
        series,
        samples: finished.samples,
        stream_len: finished.stream.len() as u64,
        index_offset: finished.index_offset as u64,
    };
    let (first_id, labels) = inner.catalog.unwritten(epoch, &inner.head.series);
    let rows = ring.row_bytes.swap(0, Relaxed);
    // Two windows of rows are in the file at times.
    let reserve = 2 * ring.row_bytes_peak.fetch_max(rows, Relaxed).max(rows);
    let oldest = now.saturating_sub(millis(ring.config.retention_time));
    let retire = inner.catalog.due(coming_cost(&meta), reserve, ring.config.retention_size_bytes, oldest);
    drop(inner);
    let change = SealChange {
        meta: &meta,
        stream: &finished.stream,
        series: (first_id, &labels),
        rows_before: window_end,
        retire: &retire,
    };
    if let Err(error) = ring.store.seal(&change) {
        ring.degrade(now);
        sealer.job = Some(Job { window, window_end, epoch, series, state: State::Encoded(finished) });
        return Err(error);
    }
    let mut inner = ring.inner.write();
    let inner = &mut *inner;
    inner.head.log.forget_before(window_end);
    inner.catalog.push(meta, labels.len() as u32);
    inner.catalog.remove(&retire, &mut inner.head.series);
    ring.counters().sealed.fetch_add(1, Relaxed);
    ring.counters().retired.fetch_add(retire.segments.len() as u64, Relaxed);
    drop(writer);
    Ok(())
}

/// Drops sealed windows that are older than the head's span from memory.
fn evict(ring: &Ring, now: Timestamp) {
    let horizon = now.saturating_sub(millis(ring.config.head_span));
    let window_ms = millis(ring.config.window).max(1000);
    let inner = ring.inner.read();
    let floor = inner.catalog.sealed_until().min(inner.head.window_of(horizon).max(Timestamp::MIN + window_ms));
    let due = floor > inner.head.floor;
    drop(inner);
    if due {
        ring.inner.write().head.evict(floor);
    }
}

/// Segments past their time go even when nothing new is sealed.
fn retire_by_time(ring: &Ring, now: Timestamp) -> Result<Progress, StorageError> {
    let oldest = now.saturating_sub(millis(ring.config.retention_time));
    let retire = ring.inner.read().catalog.due(0, 0, u64::MAX, oldest);
    if retire.segments.is_empty() {
        return Ok(Progress::Idle);
    }
    let writer = ring.store.writer();
    if let Err(error) = ring.store.retire(&retire) {
        ring.degrade(now);
        return Err(error);
    }
    let mut inner = ring.inner.write();
    let inner = &mut *inner;
    inner.catalog.remove(&retire, &mut inner.head.series);
    ring.counters().retired.fetch_add(retire.segments.len() as u64, Relaxed);
    drop(writer);
    Ok(Progress::Idle)
}

/// Tries the file again. Says whether it works.
fn recover(ring: &Ring, now: Timestamp) -> Result<bool, StorageError> {
    if (0..RETRY_MS).contains(&(now - ring.last_retry.load(Relaxed))) {
        return Ok(false);
    }
    ring.last_retry.store(now, Relaxed);
    ring.store.reopen()?;
    ring.write_pending(now)?;
    ring.degraded.store(false, Relaxed);
    Ok(true)
}

impl Ring {
    /// Reads a series table that is not in memory yet.
    pub(crate) fn load_epoch(&self, epoch: u32) -> Result<(), StorageError> {
        if self.inner.read().catalog.is_loaded(epoch) {
            return Ok(());
        }
        let (labels, damaged) = self.store.series(epoch)?;
        self.count_damage(damaged);
        let mut inner = self.inner.write();
        let inner = &mut *inner;
        inner.catalog.load(epoch, labels, &mut inner.head.series);
        Ok(())
    }

    /// Reads the series tables of all these segments, those that are missing.
    pub(crate) fn load_epochs(&self, segments: &[Arc<SegmentMeta>]) -> Result<(), StorageError> {
        let mut last = None;
        for segment in segments {
            if last != Some(segment.epoch) {
                self.load_epoch(segment.epoch)?;
                last = Some(segment.epoch);
            }
        }
        Ok(())
    }
}
