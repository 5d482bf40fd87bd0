//! Maintenance, second half: small segments become large ones, a slice of work at a time.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::clock::Stopwatch;
use crate::model::Timestamp;

use super::StorageError;
use super::catalog::{Keep, cost, millis};
use super::ring::Ring;
use super::seal::SLICE;
use super::segment::{ExemplarInput, Finished, SegmentIndex, SegmentMeta, SegmentWriter, Source, merged_slices};
use super::store::{MergeChange, Replaced, damaged};

/// Streams that are merged into one segment have at most this many bytes, so that its transaction stays short.
const MAX_BYTES: u64 = 8 << 20;
/// And at most this part of the retention size, for the file has both for a moment.
const SHARE: u64 = 32;

/// Segments on their way into one.
pub(crate) struct Merge {
    sources: Vec<Arc<SegmentMeta>>,
    state: State,
}

enum State {
    /// Streams that were read, the oldest first.
    Reading(Vec<Arc<Source>>),
    Encoding(Vec<Arc<Source>>, Box<SegmentWriter>),
    /// Encoded; waits for the disk.
    Encoded(Vec<Arc<Source>>, Finished),
}

/// Looks for segments that may be merged; `skip` are known to be damaged.
pub(crate) fn begin(ring: &Ring, skip: &[u64]) -> Option<Merge> {
    let config = &ring.config;
    let span = millis(config.merged_span);
    if span < 2 * millis(config.window) || span > millis(config.retention_time) / 8 {
        return None;
    }
    let inner = ring.inner.read();
    let bytes = MAX_BYTES.min(config.retention_size_bytes / SHARE);
    let sources = inner.catalog.mergeable(span, inner.head.floor, bytes, skip);
    (!sources.is_empty()).then(|| Merge { sources, state: State::Reading(Vec::new()) })
}

/// Does one slice of work. `None`: done, or given up, and then `skip` has the segment that is damaged. What failed for the
/// disk's sake goes on later.
pub(crate) fn proceed(
    ring: &Ring,
    merge: Merge,
    skip: &mut Vec<u64>,
    now: Timestamp,
) -> (Option<Merge>, Result<(), StorageError>) {
    let Merge { sources, state } = merge;
    let state = match state {
        State::Reading(mut read) => match sources.get(read.len()) {
            Some(meta) => match source(ring, meta) {
                Ok(Some(source)) => {
                    read.push(Arc::new(source));
                    State::Reading(read)
                }
                // Retention was faster.
                Ok(None) => return (None, Ok(())),
                Err(StorageError::Damaged { .. }) => {
                    ring.count_damage(1);
                    skip.push(meta.id);
                    return (None, Ok(()));
                }
                Err(error) => return (None, Err(error)),
            },
            None => match merged_slices(&read) {
                Ok(slices) => {
                    let writer = SegmentWriter::new(slices, ExemplarInput::merged(&read));
                    State::Encoding(read, Box::new(writer))
                }
                Err(_) => return give_up(ring, &sources, skip),
            },
        },
        State::Encoding(read, mut writer) => {
            let watch = Stopwatch::start();
            loop {
                match writer.step() {
                    Ok(true) if watch.elapsed() < SLICE => {}
                    Ok(true) => break State::Encoding(read, writer),
                    Ok(false) => match writer.finish() {
                        Some(finished) => break State::Encoded(read, finished),
                        None => return give_up(ring, &sources, skip),
                    },
                    Err(_) => return give_up(ring, &sources, skip),
                }
            }
        }
        State::Encoded(read, finished) => {
            // A failed transaction may be in the file all the same: it is tried again under the same number.
            return match write(ring, &sources, &read, &finished, now) {
                Ok(()) => (None, Ok(())),
                Err(error) => (Some(Merge { sources, state: State::Encoded(read, finished) }), Err(error)),
            };
        }
    };
    (Some(Merge { sources, state }), Ok(()))
}

/// Nobody knows which of them it was: all stay as they are.
fn give_up(
    ring: &Ring,
    sources: &[Arc<SegmentMeta>],
    skip: &mut Vec<u64>,
) -> (Option<Merge>, Result<(), StorageError>) {
    ring.count_damage(1);
    skip.extend(sources.iter().map(|meta| meta.id));
    (None, Ok(()))
}

fn source(ring: &Ring, meta: &SegmentMeta) -> Result<Option<Source>, StorageError> {
    let Some(stream) = ring.store.stream(meta)? else { return Ok(None) };
    let (from, to) = (meta.index_offset as usize, meta.stream_len as usize);
    let index = SegmentIndex::decode(stream.get(from..to).unwrap_or_default(), from);
    let index = index.map_err(|e| damaged(meta.id, e.0))?;
    Ok(Some(Source { index, stream: Arc::new(stream) }))
}

fn write(
    ring: &Ring,
    sources: &[Arc<SegmentMeta>],
    read: &[Arc<Source>],
    finished: &Finished,
    now: Timestamp,
) -> Result<(), StorageError> {
    let (Some(first), Some(last)) = (sources.first(), sources.last()) else { return Ok(()) };
    let writer = ring.store.writer();
    let inner = ring.inner.read();
    let window_end = sources.iter().map(|s| s.window_end).max().unwrap_or(last.window_end);
    let series = sources.iter().map(|s| s.series).max().unwrap_or(0);
    let mut meta = finished.meta(inner.catalog.next_segment(), (first.window, window_end), first.epoch, series);
    // Nothing new is in it: rollups that know the sources know this one.
    meta.content = sources.iter().map(|s| s.content).max().unwrap_or(meta.id);
    // The sources are in the file until the transaction is over, and count until then.
    let reserve = ring.row_reserve();
    let mut retire = inner.catalog.due(cost(&meta), reserve, &Keep::of(&ring.config, now));
    retire.segments.retain(|id| sources.iter().all(|source| source.id != *id));
    retire.epochs.retain(|epoch| *epoch != meta.epoch);
    drop(inner);
    let pairs = sources.iter().zip(read);
    let replaced: Vec<Replaced> =
        pairs.map(|(meta, source)| Replaced { meta: Arc::clone(meta), stream: Arc::clone(&source.stream) }).collect();
    let change = MergeChange { meta: &meta, stream: &finished.stream, sources: &replaced, retire: &retire };
    ring.store.merge(&change)?;
    let mut inner = ring.inner.write();
    let inner = &mut *inner;
    inner.catalog.merge(sources, meta);
    inner.catalog.remove(&retire, &mut inner.head.series);
    ring.counters().merged.fetch_add(sources.len() as u64, Relaxed);
    ring.counters().retired.fetch_add(retire.segments.len() as u64, Relaxed);
    drop(writer);
    Ok(())
}
