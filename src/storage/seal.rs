//! Maintenance: windows become segments, old segments go, a failed file is tried again.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::clock::Stopwatch;
use crate::model::Timestamp;

use super::catalog::{Keep, cost, millis};
use super::compact::{Compactor, compact};
use super::merge::{self, Merge};
use super::packing::Packing;
use super::replay::{Scope, replay};
use super::ring::{Contents, Ring};
use super::rollup::{self, Roll, Rolled};
use super::segment::{ExemplarInput, Finished, SegmentMeta, SegmentWriter, SliceInput};
use super::store::SealChange;
use super::{Progress, StorageError};

/// How long one slice of sealing may take.
pub(crate) const SLICE: Duration = Duration::from_millis(18);
/// How long the ring waits before it tries a failed file again.
const RETRY_MS: i64 = 10_000;

/// What no query asked for during one to two of these is forgotten.
const AGE_MS: i64 = 300_000;

/// What is under way: one thing at a time.
#[derive(Default)]
pub(crate) struct Sealer {
    job: Option<Job>,
    packing: Packing,
    /// Segments that cannot be merged, for they are damaged.
    unmergeable: Vec<u64>,
    /// What is known of the spans of time that may be rolled up.
    rolled: Rolled,
    compactor: Compactor,
}

enum Job {
    Seal(Plan, State),
    Merge(Merge),
    Roll(Roll),
}

/// Which window becomes which segment.
#[derive(Debug, Clone, Copy)]
struct Plan {
    window: Timestamp,
    window_end: Timestamp,
    epoch: u32,
    series: u32,
}

enum State {
    Encoding(Box<SegmentWriter>),
    /// Encoded; waits for the disk.
    Encoded(Finished),
}

/// One slice of whatever is due.
pub(crate) fn maintain(ring: &Ring, now: Timestamp) -> Result<Progress, StorageError> {
    age(ring, now);
    if ring.sealer.lock().packing.proceed(ring) {
        return Ok(Progress::More);
    }
    look_for_file(ring, now);
    if ring.degraded.load(Relaxed) && !recover(ring, now)? {
        forget_unsealed(ring, now);
        return Ok(Progress::Idle);
    }
    let mut sealer = ring.sealer.lock();
    let Some(job) = sealer.job.take() else {
        evict(ring, now);
        ring.store.forget_replaced();
        // Before retention takes what they are made of, and before merges move it.
        sealer.job = match begin(ring, now)? {
            None => match rollup::begin(ring, &mut sealer.rolled, now)? {
                None => merge::begin(ring, &sealer.unmergeable).map(Job::Merge),
                roll => roll.map(Job::Roll),
            },
            job => job,
        };
        if sealer.job.is_some() {
            return Ok(Progress::More);
        }
        retire_by_time(ring, now)?;
        return compact(ring, &mut sealer.compactor, now);
    };
    let (job, result) = match job {
        // An empty window makes no segment; its rows go with the next one that does.
        Job::Seal(plan, State::Encoding(writer)) => (encode(*writer).map(|state| Job::Seal(plan, state)), Ok(())),
        Job::Seal(plan, State::Encoded(finished)) => match write(ring, plan, &finished, now) {
            Ok(()) => (None, Ok(())),
            Err(error) => (Some(Job::Seal(plan, State::Encoded(finished))), Err(error)),
        },
        Job::Merge(job) => {
            let (job, result) = merge::proceed(ring, job, &mut sealer.unmergeable, now);
            (job.map(Job::Merge), result)
        }
        Job::Roll(job) => {
            let (job, result) = rollup::proceed(ring, job, &mut sealer.rolled, now);
            (job.map(Job::Roll), result)
        }
    };
    sealer.job = job;
    result.inspect_err(|error| ring.degrade(now, error))?;
    Ok(Progress::More)
}

/// Forgets selections, indexes and series tables that nobody asked for lately.
fn age(ring: &Ring, now: Timestamp) {
    if (0..AGE_MS).contains(&(now - ring.last_aged.load(Relaxed))) {
        return;
    }
    ring.last_aged.store(now, Relaxed);
    ring.resolutions.age();
    ring.cache.age();
    let sealer = ring.sealer.lock();
    // What is under way counts on its series.
    if sealer.job.is_none() {
        let mut inner = ring.inner.write();
        let inner = &mut *inner;
        inner.catalog.unload(&mut inner.head.series);
    }
}

/// Encodes columns for the length of a slice; `None` when the window turned out to be empty.
fn encode(mut writer: SegmentWriter) -> Option<State> {
    let watch = Stopwatch::start();
    // A window in memory has no damage: only columns of other segments do.
    while writer.step().unwrap_or(false) {
        if watch.elapsed() >= SLICE {
            return Some(State::Encoding(Box::new(writer)));
        }
    }
    writer.finish().map(State::Encoded)
}

/// Closes the oldest window that is over.
fn begin(ring: &Ring, now: Timestamp) -> Result<Option<Job>, StorageError> {
    let inner = ring.inner.read();
    let Some(window) = inner.head.first_open_window() else { return Ok(None) };
    let window_end = inner.head.window_end(window);
    if window_end.saturating_add(millis(ring.config.seal_delay)) > now {
        return Ok(None);
    }
    drop(inner);
    let epoch = ring.load_current_epoch()?;
    let mut guard = ring.inner.write();
    let inner = &mut *guard;
    let mut data = inner.head.close_window(window);
    let exemplars = std::mem::take(&mut data.exemplars);
    let mut ids = FxHashMap::default();
    let dense = data.groups.iter().flat_map(|(sids, _)| sids.iter().flatten());
    for sid in dense.chain(data.irregular.iter().map(|(sid, _)| sid)).chain(exemplars.iter().map(|(sid, _)| sid)) {
        ids.entry(*sid).or_insert_with(|| inner.catalog.id_for(epoch, *sid, &mut inner.head.series));
    }
    // Ticks go on while the columns are put in order.
    drop(guard);
    let series = ids.len() as u32;
    let slices = SliceInput::of_window(data, |sid| ids.get(&sid).copied());
    let exemplars = ring.without_sealed(exemplars, window);
    let exemplars = ExemplarInput::of_window(exemplars, |sid| ids.get(&sid).copied());
    let plan = Plan { window, window_end, epoch, series };
    Ok(Some(Job::Seal(plan, State::Encoding(Box::new(SegmentWriter::new(slices, exemplars))))))
}

/// Writes the segment with everything that goes with it.
fn write(ring: &Ring, plan: Plan, finished: &Finished, now: Timestamp) -> Result<(), StorageError> {
    let Plan { window, window_end, epoch, series } = plan;
    let writer = ring.store.writer();
    let inner = ring.inner.read();
    let meta = finished.meta(inner.catalog.next_segment(), (window, window_end), epoch, series);
    let (first_id, labels) = inner.catalog.unwritten(epoch, &inner.head.series);
    let rows = ring.row_bytes.swap(0, Relaxed);
    // Two windows of rows are in the file at times.
    let reserve = 2 * ring.row_bytes_peak.fetch_max(rows, Relaxed).max(rows);
    let retire = inner.catalog.due(cost(&meta), reserve, &Keep::of(&ring.config, now));
    drop(inner);
    let change = SealChange {
        meta: &meta,
        stream: &finished.stream,
        series: (first_id, &labels),
        rows_before: writer.rows_before(window_end),
        retire: &retire,
    };
    ring.store.seal(&change)?;
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
        let gone = ring.inner.write().head.evict(floor);
        // Outside of the lock: tens of thousands of columns take their time to free.
        drop(gone);
    }
}

/// While the disk fails memory must not grow without end: windows that nobody could seal go after twice the head's span.
fn forget_unsealed(ring: &Ring, now: Timestamp) {
    let horizon = now.saturating_sub(millis(ring.config.head_span).saturating_mul(2));
    let mut inner = ring.inner.write();
    let floor = inner.head.window_of(horizon);
    if floor > inner.head.floor {
        inner.head.sealing = inner.head.sealing.max(floor);
        let gone = inner.head.evict(floor);
        drop(inner);
        drop(gone);
    }
}

/// Segments past their time go even when nothing new is sealed.
fn retire_by_time(ring: &Ring, now: Timestamp) -> Result<(), StorageError> {
    let retire = ring.inner.read().catalog.due(0, 0, &Keep::of(&ring.config, now).by_time());
    if retire.segments.is_empty() {
        return Ok(());
    }
    let writer = ring.store.writer();
    if let Err(error) = ring.store.retire(&retire) {
        ring.degrade(now, &error);
        return Err(error);
    }
    let mut inner = ring.inner.write();
    let inner = &mut *inner;
    inner.catalog.remove(&retire, &mut inner.head.series);
    ring.counters().retired.fetch_add(retire.segments.len() as u64, Relaxed);
    drop(writer);
    Ok(())
}

/// Tries the file again. Says whether it works.
fn recover(ring: &Ring, now: Timestamp) -> Result<bool, StorageError> {
    if (0..RETRY_MS).contains(&(now - ring.last_retry.load(Relaxed))) {
        return Ok(false);
    }
    take_up(ring, now).inspect_err(|error| ring.degrade(now, error))?;
    ring.degraded.store(false, Relaxed);
    Ok(true)
}

/// Opens the file again, brings it what memory has, and memory what only the file has.
fn take_up(ring: &Ring, now: Timestamp) -> Result<(), StorageError> {
    let mut sealer = ring.sealer.lock();
    ring.last_retry.store(now, Relaxed);
    ring.store.reopen()?;
    let detached = ring.detached.load(Relaxed);
    let contents = detached.then(|| Contents::read(&ring.store, &ring.config)).transpose()?;
    ring.write_pending(now)?;
    let writer = ring.store.writer();
    let mut inner = ring.inner.write();
    let inner = &mut *inner;
    if let Some(Contents { catalog, damaged }) = contents {
        ring.count_damage(damaged);
        inner.catalog.replace(catalog, &mut inner.head.series);
        ring.cache.clear();
        // It was to go into another file.
        *sealer = Sealer::default();
        ring.detached.store(false, Relaxed);
    }
    let job_end = match &sealer.job {
        Some(Job::Seal(plan, _)) => plan.window_end,
        _ => Timestamp::MIN,
    };
    let sealed = inner.catalog.sealed_until().max(job_end);
    if !detached && inner.head.sealing <= sealed {
        return Ok(());
    }
    // Windows that memory gave up meanwhile may have rows in the file, and it is the rows that a seal takes away.
    let before = (inner.head.sealing, inner.head.floor);
    let forgotten = before.1;
    (inner.head.sealing, inner.head.floor) = (sealed, sealed);
    let scope = if detached { Scope::Others(forgotten) } else { Scope::Before(forgotten) };
    if let Err(error) = replay(&ring.store, &writer, &mut inner.head, scope, &ring.counters()) {
        (inner.head.sealing, inner.head.floor) = before;
        ring.detached.store(detached, Relaxed);
        return Err(error);
    }
    Ok(())
}

/// Goes on in memory when the file was taken away or replaced: what is written to it now nobody would ever find.
fn look_for_file(ring: &Ring, now: Timestamp) {
    if !ring.degraded.load(Relaxed) && ring.store.is_gone() {
        let path = ring.config.path.clone();
        let source = std::io::Error::new(std::io::ErrorKind::NotFound, "the file was taken away while in use");
        ring.detached.store(true, Relaxed);
        ring.degrade(now, &StorageError::Unwritable { path, source });
        // Rows of a new file must not build upon rows of the old one.
        ring.inner.write().head.reset_rows();
    }
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
        if damaged > 0 {
            inner.catalog.leave_epoch(epoch);
        }
        Ok(())
    }

    /// Reads the series table that new segments go with, and says which one it is.
    pub(crate) fn load_current_epoch(&self) -> Result<u32, StorageError> {
        let epoch = self.inner.read().catalog.current_epoch();
        self.load_epoch(epoch)?;
        // Not the same if it turned out to be damaged.
        Ok(self.inner.read().catalog.current_epoch())
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
