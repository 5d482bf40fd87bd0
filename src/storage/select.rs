//! Queries: series by matchers, their runs from head and segments, merged in time.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::model::{Labels, Matcher, Timestamp, Value, is_absent};

use super::StorageError;
use super::bytes::{FormatError, Reader};
use super::cache::{ColumnKey, Decoded};
use super::catalog::Ids;
use super::codec::{decode_floats, decode_histograms, decode_ints};
use super::head::{RunBuilder, Sid, bounds, push};
use super::querier::{Column, Querier, Run, SelectRequest, SelectedSeries};
use super::ring::Ring;
use super::segment::{ColumnKind, SegmentIndex, SegmentMeta, Slice};
use super::store::{SegmentReader, damaged};

/// Everything that a selection takes from under the lock.
struct Snapshot {
    series: Vec<Found>,
    /// Place in `series`.
    by_sid: FxHashMap<Sid, usize>,
    /// Segments that memory does not cover, with what their ids mean.
    segments: Vec<(Arc<SegmentMeta>, Ids)>,
}

struct Found {
    labels: Labels,
    runs: Vec<Run>,
}

impl Querier for Ring {
    fn select(&self, request: &SelectRequest) -> Result<Vec<SelectedSeries>, StorageError> {
        let mut snapshot = self.snapshot(request)?;
        let segments = std::mem::take(&mut snapshot.segments);
        let mut left = request.max_samples;
        count(&snapshot.series, &mut left)?;
        // Newest first: an instant selector is done with a series at its first sample.
        for (meta, ids) in segments.iter().rev() {
            self.read_segment(meta, ids, request, &mut snapshot, &mut left)?;
        }
        let merged = snapshot.series.into_iter().filter_map(|found| {
            let mut runs = merge(found.runs);
            if request.last_only {
                runs.drain(..runs.len().saturating_sub(1));
                if let Some(run) = runs.last_mut() {
                    run.from = run.to - 1;
                }
            }
            (!runs.is_empty()).then_some(SelectedSeries { labels: found.labels, runs })
        });
        Ok(merged.collect())
    }

    fn series(&self, matchers: &[Matcher], start: Timestamp, end: Timestamp) -> Result<Vec<Labels>, StorageError> {
        let request =
            SelectRequest { matchers: matchers.to_vec(), start, end, last_only: true, max_samples: usize::MAX };
        let mut snapshot = self.snapshot(&request)?;
        let segments = std::mem::take(&mut snapshot.segments);
        let mut left = usize::MAX;
        let mut known: Vec<bool> = snapshot.series.iter().map(|found| !found.runs.is_empty()).collect();
        for (meta, ids) in segments.iter().rev() {
            if start > meta.min_ts || meta.max_ts > end {
                self.read_segment(meta, ids, &request, &mut snapshot, &mut left)?;
                continue;
            }
            // The whole segment counts: its index knows who is there.
            let index = self.skip_damage(self.store.with_segment(meta, |reader| self.index(meta, reader)))?;
            for column in index.flatten().iter().flat_map(|i| &i.slices).flat_map(|s| &s.columns) {
                if let Some(place) = place_of(column.id, ids, &snapshot.by_sid) {
                    known[place] = true;
                }
            }
        }
        let found = snapshot.series.into_iter().zip(known);
        Ok(found.filter(|(found, known)| *known || !found.runs.is_empty()).map(|(found, _)| found.labels).collect())
    }
}

impl Ring {
    /// Finds the series and takes their runs from memory.
    fn snapshot(&self, request: &SelectRequest) -> Result<Snapshot, StorageError> {
        let (start, end) = (request.start, request.end);
        let mut readable = true;
        loop {
            let inner = self.inner.read();
            let segments = inner.catalog.overlapping(inner.head.floor, start, end);
            if readable && segments.iter().any(|s| !inner.catalog.is_loaded(s.epoch)) {
                drop(inner);
                readable = self.skip_damage(self.load_epochs(&segments))?.is_some();
                continue;
            }
            let sids = inner.head.series.matching(&request.matchers);
            let mut copies = inner.head.open_times();
            let mut series = Vec::with_capacity(sids.len());
            let mut by_sid = FxHashMap::default();
            let keep_empty = !segments.is_empty();
            for sid in sids {
                let runs = if request.last_only {
                    inner.head.last(sid, start, end, &mut copies).into_iter().collect()
                } else {
                    inner.head.runs(sid, start, end, &mut copies)
                };
                if runs.is_empty() && !keep_empty {
                    continue;
                }
                let Some(entry) = inner.head.series.get(sid) else { continue };
                if keep_empty {
                    by_sid.insert(sid, series.len());
                }
                series.push(Found { labels: entry.labels.clone(), runs });
            }
            let ids = |s: Arc<SegmentMeta>| inner.catalog.ids(s.epoch).map(|ids| (s, ids));
            let segments = segments.into_iter().filter_map(ids).collect();
            return Ok(Snapshot { series, by_sid, segments });
        }
    }

    /// Adds one segment's runs. A damaged one is skipped and counted.
    fn read_segment(
        &self,
        meta: &SegmentMeta,
        ids: &[Option<Sid>],
        request: &SelectRequest,
        snapshot: &mut Snapshot,
        left: &mut usize,
    ) -> Result<(), StorageError> {
        let read = self.store.with_segment(meta, |reader| {
            let Some(index) = self.index(meta, reader)? else { return Ok(()) };
            for (number, slice) in index.slices.iter().enumerate() {
                if slice.first <= request.end && request.start <= slice.last {
                    let part = Part { meta, index: &index, number: number as u32, slice };
                    self.read_slice(reader, &part, ids, request, snapshot, left)?;
                }
            }
            Ok(())
        });
        self.skip_damage(read).map(|_| ())
    }

    /// Turns damage into a count.
    fn skip_damage<T>(&self, read: Result<T, StorageError>) -> Result<Option<T>, StorageError> {
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

    fn index(
        &self,
        meta: &SegmentMeta,
        reader: &mut SegmentReader<'_>,
    ) -> Result<Option<Arc<SegmentIndex>>, StorageError> {
        let key = (meta.id, u32::MAX, u32::MAX);
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

    fn read_slice(
        &self,
        reader: &mut SegmentReader<'_>,
        part: &Part<'_>,
        ids: &[Option<Sid>],
        request: &SelectRequest,
        snapshot: &mut Snapshot,
        left: &mut usize,
    ) -> Result<(), StorageError> {
        let mut times: Option<Arc<[Timestamp]>> = None;
        let mut starts: Option<(usize, usize)> = None;
        for (at, column) in part.slice.columns.iter().enumerate() {
            let Some(place) = place_of(column.id, ids, &snapshot.by_sid) else { continue };
            if request.last_only && !snapshot.series[place].runs.is_empty() && is_older(part, &snapshot.series[place]) {
                continue;
            }
            if times.is_none() {
                match self.times(reader, part)? {
                    Some(found) => times = Some(found),
                    None => return Ok(()),
                }
            }
            let Some(times) = &times else { continue };
            if column.kind == ColumnKind::Starts {
                // Start timestamps follow the column that they belong to.
                if let Some((_, first_run)) = starts.filter(|(p, _)| *p == place) {
                    let Some(column) = self.starts(reader, part, at)? else { return Ok(()) };
                    for run in &mut snapshot.series[place].runs[first_run..] {
                        run.start_times = Some(column.clone());
                    }
                }
                continue;
            }
            let Some(values) = self.values(reader, part, at)? else { return Ok(()) };
            let (from, to) = bounds(times, request.start, request.end);
            let runs = &mut snapshot.series[place].runs;
            if starts.is_none_or(|(p, _)| p != place) {
                starts = Some((place, runs.len()));
            }
            let before = runs.len();
            push(runs, times, values, None, from, to);
            for run in &mut runs[before..] {
                if request.last_only {
                    run.from = run.to - 1;
                }
                *left = left.checked_sub(run.to - run.from).ok_or(StorageError::TooManySamples)?;
            }
        }
        Ok(())
    }

    fn times(&self, reader: &mut SegmentReader<'_>, part: &Part<'_>) -> Result<Option<Arc<[Timestamp]>>, StorageError> {
        let key = part.key(u32::MAX);
        if let Some(Decoded::Times(times)) = self.cache.get(key) {
            return Ok(Some(times));
        }
        let Some(bytes) = reader.part(part.slice.times.clone())? else { return Ok(None) };
        let times = decode_ints(&part.index.codec, &mut Reader::new(&bytes), part.slice.ticks)
            .map_err(|e| damaged(part.meta.id, e.0))?;
        if !times.is_sorted_by(|a, b| a < b) {
            return Err(damaged(part.meta.id, "its timestamps do not ascend"));
        }
        let times: Arc<[Timestamp]> = Arc::from(times);
        self.cache.put(key, Decoded::Times(times.clone()), times.len() * 8);
        Ok(Some(times))
    }

    fn starts(
        &self,
        reader: &mut SegmentReader<'_>,
        part: &Part<'_>,
        at: usize,
    ) -> Result<Option<Arc<[Timestamp]>>, StorageError> {
        let Some(column) = part.slice.columns.get(at) else { return Ok(None) };
        let Some(bytes) = reader.part(column.at.clone())? else { return Ok(None) };
        let starts = decode_ints(&part.index.codec, &mut Reader::new(&bytes), part.slice.ticks);
        Ok(Some(Arc::from(starts.map_err(|e| damaged(part.meta.id, e.0))?)))
    }

    fn values(
        &self,
        reader: &mut SegmentReader<'_>,
        part: &Part<'_>,
        at: usize,
    ) -> Result<Option<Column>, StorageError> {
        let key = part.key(at as u32);
        if let Some(Decoded::Values(column)) = self.cache.get(key) {
            return Ok(Some(column));
        }
        let Some(column) = part.slice.columns.get(at) else { return Ok(None) };
        let Some(bytes) = reader.part(column.at.clone())? else { return Ok(None) };
        let (values, size) = part.decode(column.kind, &bytes).map_err(|e| damaged(part.meta.id, e.0))?;
        self.cache.put(key, Decoded::Values(values.clone()), size);
        Ok(Some(values))
    }
}

/// One slice of one segment.
struct Part<'a> {
    meta: &'a SegmentMeta,
    index: &'a SegmentIndex,
    number: u32,
    slice: &'a Slice,
}

impl Part<'_> {
    fn key(&self, column: u32) -> ColumnKey {
        (self.meta.id, self.number, column)
    }

    fn decode(&self, kind: ColumnKind, bytes: &[u8]) -> Result<(Column, usize), FormatError> {
        let ticks = self.slice.ticks;
        match kind {
            ColumnKind::Histograms => {
                let column = decode_histograms(bytes, ticks)?;
                let size = bytes.len() * 16 + ticks * 64;
                Ok((Column::Histograms(Arc::from(column)), size))
            }
            _ => Ok((Column::Floats(Arc::from(decode_floats(&self.index.codec, bytes, ticks)?)), ticks * 8)),
        }
    }
}

fn place_of(id: u32, ids: &[Option<Sid>], by_sid: &FxHashMap<Sid, usize>) -> Option<usize> {
    by_sid.get(&ids.get(id as usize).copied().flatten()?).copied()
}

/// Whether a series already has a sample after everything in this slice.
fn is_older(part: &Part<'_>, found: &Found) -> bool {
    found.runs.iter().any(|run| run.times[run.to - 1] >= part.slice.last)
}

fn count(series: &[Found], left: &mut usize) -> Result<(), StorageError> {
    for run in series.iter().flat_map(|s| &s.runs) {
        *left = left.checked_sub(run.to - run.from).ok_or(StorageError::TooManySamples)?;
    }
    Ok(())
}

/// Puts runs in order; where they overlap in time, makes new ones, the earlier source winning at equal times.
fn merge(mut runs: Vec<Run>) -> Vec<Run> {
    runs.sort_by_key(|run| run.times[run.from]);
    let apart = runs.windows(2).all(|pair| pair[0].times[pair[0].to - 1] < pair[1].times[pair[1].from]);
    if apart {
        return runs;
    }
    let mut samples: Vec<(Timestamp, Timestamp, Value)> = Vec::new();
    for run in &runs {
        for i in run.from..run.to {
            let start = run.start_times.as_ref().map_or(0, |s| s[i]);
            match &run.values {
                Column::Floats(v) if !is_absent(v[i]) => samples.push((run.times[i], start, Value::Float(v[i]))),
                Column::Histograms(v) => {
                    if let Some(histogram) = &v[i] {
                        samples.push((run.times[i], start, Value::Histogram(histogram.clone())));
                    }
                }
                Column::Floats(_) => {}
            }
        }
    }
    samples.sort_by_key(|(ts, _, _)| *ts);
    samples.dedup_by_key(|(ts, _, _)| *ts);
    let mut merged = Vec::new();
    let mut builder = RunBuilder::default();
    for (ts, start, value) in samples {
        builder.push(ts, start, value, &mut merged);
    }
    builder.finish(&mut merged);
    merged
}
