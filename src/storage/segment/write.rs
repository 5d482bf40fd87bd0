//! Writing a segment column by column, so that the sealer can stop between any two of them.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::model::{Histogram, IrregularSample, Timestamp, Value, absent, is_absent};
use crate::storage::bytes::FormatError;
use crate::storage::codec::{PcoCodec, encode_exemplars, encode_floats, encode_histograms, encode_ints};
use crate::storage::head::{BLOCK, Block, Sid, WindowData};

use super::exemplars::ExemplarInput;
use super::index::{ExemplarIndex, MAX_TICKS};
use super::merge::{MergedColumn, MergedPart};
use super::{ColumnEntry, ColumnKind, ExemplarSpan, SegmentIndex, SegmentMeta, Slice};

/// Columns that share timestamps and wait to be written.
pub(crate) struct SliceInput {
    times: Vec<Timestamp>,
    /// Id and place, ascending by id.
    columns: Vec<(u32, ColumnInput)>,
    blocks: Vec<Arc<Block>>,
    parts: Vec<MergedPart>,
}

/// One series of a slice.
enum ColumnInput {
    /// A column of blocks.
    Dense(u32),
    Irregular(Vec<IrregularSample>),
    /// A column of parts of other segments.
    Merged,
}

/// Builds the stream.
pub(crate) struct SegmentWriter {
    index: SegmentIndex,
    stream: Vec<u8>,
    pending: std::vec::IntoIter<SliceInput>,
    current: Option<(SliceInput, usize)>,
    exemplars: std::vec::IntoIter<ExemplarInput>,
    exemplar_span: Option<ExemplarSpan>,
    samples: u64,
    floats: Vec<f64>,
    merged: MergedColumn,
}

/// A finished stream with what the directory wants to know.
pub(crate) struct Finished {
    pub(crate) stream: Vec<u8>,
    pub(crate) index_offset: usize,
    pub(crate) samples: u64,
    pub(crate) min_ts: Timestamp,
    pub(crate) max_ts: Timestamp,
    pub(crate) exemplars: Option<ExemplarSpan>,
}

impl Finished {
    /// The directory's record: segment `id` of the window from `window.0` to before `window.1`, with so many series of the epoch.
    pub(crate) fn meta(&self, id: u64, window: (Timestamp, Timestamp), epoch: u32, series: u32) -> SegmentMeta {
        SegmentMeta {
            id,
            tier: None,
            content: id,
            window: window.0,
            window_end: window.1,
            min_ts: self.min_ts,
            max_ts: self.max_ts,
            epoch,
            series,
            samples: self.samples,
            stream_len: self.stream.len() as u64,
            index_offset: self.index_offset as u64,
            exemplars: self.exemplars,
        }
    }
}

impl SliceInput {
    /// Cuts a window's data into slices; `id_of` gives each series its number in the series table.
    pub(crate) fn of_window(data: WindowData, id_of: impl Fn(Sid) -> Option<u32>) -> Vec<Self> {
        let mut slices = Vec::new();
        for (sids, blocks) in data.groups {
            let mut ids: Vec<(u32, u32)> = Vec::new();
            for (col, sid) in sids.iter().enumerate() {
                if let Some(id) = sid.and_then(&id_of) {
                    ids.push((id, col as u32));
                }
            }
            ids.sort_unstable();
            for blocks in blocks.chunks(MAX_TICKS / BLOCK) {
                let times = blocks.iter().flat_map(|b| b.times.iter().copied()).collect();
                let columns = ids.iter().map(|(id, col)| (*id, ColumnInput::Dense(*col))).collect();
                slices.push(Self { times, columns, blocks: blocks.to_vec(), parts: Vec::new() });
            }
        }
        // Pushes of one sender share their timestamps as a rule: they become columns of one slice.
        let mut by_times: FxHashMap<Vec<Timestamp>, Vec<(u32, ColumnInput)>> = FxHashMap::default();
        for (sid, samples) in data.irregular {
            let Some(id) = id_of(sid) else { continue };
            for samples in samples.chunks(MAX_TICKS) {
                let times = samples.iter().map(|s| s.ts).collect();
                by_times.entry(times).or_default().push((id, ColumnInput::Irregular(samples.to_vec())));
            }
        }
        let mut irregular: Vec<Self> = by_times
            .into_iter()
            .map(|(times, mut columns)| {
                columns.sort_by_key(|(id, _)| *id);
                Self { times, columns, blocks: Vec::new(), parts: Vec::new() }
            })
            .collect();
        irregular.sort_by(|a, b| a.times.cmp(&b.times));
        slices.extend(irregular);
        slices
    }

    /// Ticks of other segments; `ids` ascend.
    pub(super) fn merged(times: Vec<Timestamp>, ids: Vec<u32>, parts: Vec<MergedPart>) -> Self {
        let columns = ids.into_iter().map(|id| (id, ColumnInput::Merged)).collect();
        Self { times, columns, blocks: Vec::new(), parts }
    }
}

impl SegmentWriter {
    /// Writes slices, and after them exemplars, ascending by series.
    pub(crate) fn new(slices: Vec<SliceInput>, exemplars: Vec<ExemplarInput>) -> Self {
        let index = ExemplarIndex::default();
        Self {
            index: SegmentIndex { codec: PcoCodec::default(), slices: Vec::new(), exemplars: index },
            stream: Vec::new(),
            pending: slices.into_iter(),
            current: None,
            exemplars: exemplars.into_iter(),
            exemplar_span: None,
            samples: 0,
            floats: Vec::new(),
            merged: MergedColumn::default(),
        }
    }

    /// Writes the next column. Says whether there was one.
    ///
    /// # Errors
    /// When a column of another segment is damaged.
    pub(crate) fn step(&mut self) -> Result<bool, FormatError> {
        let (slice, next) = match self.current.take() {
            Some(current) => current,
            None => match self.pending.next() {
                Some(slice) => {
                    self.begin(&slice.times);
                    (slice, 0)
                }
                None => return self.exemplar_step(),
            },
        };
        if let Some((id, column)) = slice.columns.get(next) {
            self.column(&slice, *id, column)?;
            self.current = Some((slice, next + 1));
        }
        Ok(true)
    }

    /// Writes the index; `None` when there is nothing in the segment.
    pub(crate) fn finish(self) -> Option<Finished> {
        let filled = || self.index.slices.iter().filter(|s| !s.columns.is_empty());
        // Exemplars alone make a segment as well: their rows go with it.
        let span = self.exemplar_span;
        let min_ts = filled().map(|s| s.first).min().or(span.map(|span| span.first))?;
        let max_ts = filled().map(|s| s.last).max().or(span.map(|span| span.last))?;
        let index_offset = self.stream.len();
        let mut stream = self.stream;
        self.index.encode(&mut stream);
        Some(Finished { stream, index_offset, samples: self.samples, min_ts, max_ts, exemplars: span })
    }

    /// Writes the exemplars of the next series.
    fn exemplar_step(&mut self) -> Result<bool, FormatError> {
        let Some(input) = self.exemplars.next() else { return Ok(false) };
        let list = input.read()?;
        let (Some((first, _)), Some((last, _))) = (list.first(), list.last()) else { return Ok(true) };
        let of = &mut self.index.exemplars;
        if of.columns.is_empty() {
            of.base = *first;
        }
        let at = self.stream.len();
        encode_exemplars(&self.index.codec, of.base, &list, &mut self.stream);
        of.columns.push((input.id, at..self.stream.len()));
        let span = self.exemplar_span.get_or_insert(ExemplarSpan { first: *first, last: *last, count: 0 });
        span.first = span.first.min(*first);
        span.last = span.last.max(*last);
        span.count += list.len() as u64;
        Ok(true)
    }

    fn begin(&mut self, times: &[Timestamp]) {
        let at = self.stream.len();
        encode_ints(&self.index.codec, times, &mut self.stream);
        self.index.slices.push(Slice {
            ticks: times.len(),
            first: times.first().copied().unwrap_or(0),
            last: times.last().copied().unwrap_or(0),
            times: at..self.stream.len(),
            columns: Vec::new(),
        });
    }

    fn column(&mut self, slice: &SliceInput, id: u32, column: &ColumnInput) -> Result<(), FormatError> {
        match column {
            ColumnInput::Dense(col) => self.dense(slice, id, *col),
            ColumnInput::Irregular(samples) => self.irregular(id, samples),
            ColumnInput::Merged => {
                let mut merged = std::mem::take(&mut self.merged);
                let read = merged.read(&slice.parts, slice.times.len(), id);
                if read.is_ok() {
                    self.put_floats(id, &merged.floats);
                    self.put_histograms(id, &merged.histograms);
                    self.put_starts(id, &merged.starts);
                }
                self.merged = merged;
                read?;
            }
        }
        Ok(())
    }

    fn dense(&mut self, slice: &SliceInput, id: u32, col: u32) {
        let mut floats = std::mem::take(&mut self.floats);
        floats.clear();
        for block in &slice.blocks {
            match block.floats.get(col as usize) {
                Some(Some(column)) => floats.extend_from_slice(column),
                _ => floats.resize(floats.len() + block.times.len(), absent()),
            }
        }
        self.put_floats(id, &floats);
        self.floats = floats;
        if slice.blocks.iter().any(|b| b.histograms.contains_key(&col)) {
            let mut column: Vec<Option<Arc<Histogram>>> = Vec::new();
            for block in &slice.blocks {
                match block.histograms.get(&col) {
                    Some(histograms) => column.extend_from_slice(histograms),
                    None => column.resize(column.len() + block.times.len(), None),
                }
            }
            self.put_histograms(id, &column);
        }
        if slice.blocks.iter().any(|b| b.starts.contains_key(&col)) {
            let mut starts: Vec<Timestamp> = Vec::new();
            for block in &slice.blocks {
                match block.starts.get(&col) {
                    Some(column) => starts.extend_from_slice(column),
                    None => starts.resize(starts.len() + block.times.len(), 0),
                }
            }
            self.put_starts(id, &starts);
        }
    }

    fn irregular(&mut self, id: u32, samples: &[IrregularSample]) {
        let floats: Vec<f64> = samples.iter().map(|s| s.value.as_float().unwrap_or(absent())).collect();
        self.put_floats(id, &floats);
        let histograms: Vec<Option<Arc<Histogram>>> = samples
            .iter()
            .map(|s| match &s.value {
                Value::Histogram(histogram) => Some(histogram.clone()),
                Value::Float(_) => None,
            })
            .collect();
        self.put_histograms(id, &histograms);
        let starts: Vec<Timestamp> = samples.iter().map(|s| s.start_ts).collect();
        self.put_starts(id, &starts);
    }

    fn put_floats(&mut self, id: u32, column: &[f64]) {
        let there = column.iter().filter(|v| !is_absent(**v)).count();
        if there > 0 {
            self.samples += there as u64;
            self.put(id, ColumnKind::Floats, |codec, out| encode_floats(codec, column, out));
        }
    }

    fn put_histograms(&mut self, id: u32, column: &[Option<Arc<Histogram>>]) {
        let there = column.iter().flatten().count();
        if there > 0 {
            self.samples += there as u64;
            self.put(id, ColumnKind::Histograms, |_, out| encode_histograms(column, out));
        }
    }

    fn put_starts(&mut self, id: u32, column: &[Timestamp]) {
        if column.iter().any(|start| *start != 0) {
            self.put(id, ColumnKind::Starts, |codec, out| encode_ints(codec, column, out));
        }
    }

    fn put(&mut self, id: u32, kind: ColumnKind, encode: impl FnOnce(&PcoCodec, &mut Vec<u8>)) {
        let at = self.stream.len();
        encode(&self.index.codec, &mut self.stream);
        if let Some(slice) = self.index.slices.last_mut() {
            slice.columns.push(ColumnEntry { id, kind, at: at..self.stream.len() });
        }
    }
}
