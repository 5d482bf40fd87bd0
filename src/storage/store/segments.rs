//! Segments, their directory and their series tables in the database.

use std::borrow::Cow;
use std::ops::Range;

use redb::{Durability, ReadableDatabase, ReadableTable, WriteTransaction};

use crate::model::{Labels, Timestamp};
use crate::storage::StorageError;
use crate::storage::bytes::{check_crc, seal_crc};
use crate::storage::segment::{SegmentMeta, decode_series, encode_series, piece_ranges};

use super::{DIRECTORY, ROWS, Result, SEGMENTS, SERIES, Store, failed, opened};

/// What a seal changes, all in one transaction.
pub(crate) struct SealChange<'a> {
    pub(crate) meta: &'a SegmentMeta,
    pub(crate) stream: &'a [u8],
    /// Number of the first new label set, and the label sets.
    pub(crate) series: (u32, &'a [Labels]),
    /// Rows of windows before this one go.
    pub(crate) rows_before: Timestamp,
    pub(crate) retire: &'a Retire,
}

/// What retention takes.
#[derive(Debug, Default)]
pub(crate) struct Retire {
    pub(crate) segments: Vec<u64>,
    pub(crate) epochs: Vec<u32>,
}

impl Store {
    /// Writes a segment and everything that goes with it.
    pub(crate) fn seal(&self, change: &SealChange<'_>) -> Result<()> {
        self.write("sealing a window", Durability::Immediate, |txn| {
            let meta = change.meta;
            let mut segments = txn.open_table(SEGMENTS)?;
            for (number, range) in piece_ranges(change.stream.len()).into_iter().enumerate() {
                let mut value = change.stream.get(range).unwrap_or_default().to_vec();
                seal_crc(&mut value);
                segments.insert((meta.id, number as u32), value.as_slice())?;
            }
            drop(segments);
            txn.open_table(DIRECTORY)?.insert(meta.id, meta.encode().as_slice())?;
            let (first, labels) = change.series;
            let mut series = txn.open_table(SERIES)?;
            for (at, block) in encode_series(labels) {
                series.insert((meta.epoch, first + at as u32), block.as_slice())?;
            }
            drop(series);
            txn.open_table(ROWS)?.retain_in(..(change.rows_before, 0), |_, _| false)?;
            retire(txn, change.retire)
        })
    }

    /// Takes what retention names.
    pub(crate) fn retire(&self, change: &Retire) -> Result<()> {
        self.write("retiring segments", Durability::Immediate, |txn| retire(txn, change))
    }

    /// The directory, ascending by number, and how many of its records are damaged.
    pub(crate) fn directory(&self) -> Result<(Vec<SegmentMeta>, u64)> {
        self.read("reading the directory", |txn| {
            let mut damaged = 0;
            let mut metas = Vec::new();
            for entry in txn.open_table(DIRECTORY)?.iter()? {
                let (id, record) = entry?;
                match SegmentMeta::decode(id.value(), record.value()) {
                    Ok(meta) => metas.push(meta),
                    Err(_) => damaged += 1,
                }
            }
            Ok((metas, damaged))
        })
    }

    /// The label sets of a series table by their number; damaged blocks leave holes and are counted.
    pub(crate) fn series(&self, epoch: u32) -> Result<(Vec<Option<Labels>>, u64)> {
        self.read("reading a series table", |txn| {
            let mut all = Vec::new();
            let mut damaged = 0;
            for entry in txn.open_table(SERIES)?.range((epoch, 0)..=(epoch, u32::MAX))? {
                let (key, block) = entry?;
                match decode_series(block.value()) {
                    Ok(labels) => {
                        all.resize(key.value().1 as usize, None);
                        all.extend(labels.into_iter().map(Some));
                    }
                    Err(_) => damaged += 1,
                }
            }
            Ok((all, damaged))
        })
    }

    /// The epochs that have a series table.
    pub(crate) fn epochs(&self) -> Result<Vec<u32>> {
        self.read("reading the series tables", |txn| {
            let series = txn.open_table(SERIES)?;
            let mut epochs = Vec::new();
            let mut from = 0;
            while let Some(entry) = series.range((from, 0)..)?.next() {
                let epoch = entry?.0.value().0;
                epochs.push(epoch);
                match epoch.checked_add(1) {
                    Some(above) => from = above,
                    None => break,
                }
            }
            Ok(epochs)
        })
    }

    /// Opens one segment for reading. The transaction ends with `look`.
    pub(crate) fn with_segment<T>(
        &self,
        meta: &SegmentMeta,
        look: impl FnOnce(SegmentReader<'_>) -> Result<T>,
    ) -> Result<T> {
        let doing = "reading a segment";
        let guard = self.db.read();
        let db = opened(&guard, doing)?;
        self.guard(doing, || {
            let txn = db.begin_read().map_err(|e| self.broken(doing, e))?;
            let table = txn.open_table(SEGMENTS).map_err(|e| self.broken(doing, e))?;
            look(SegmentReader { meta, table, ranges: piece_ranges(meta.stream_len as usize) })
        })
    }
}

fn retire(txn: &WriteTransaction, change: &Retire) -> std::result::Result<(), redb::Error> {
    let mut directory = txn.open_table(DIRECTORY)?;
    for id in &change.segments {
        directory.remove(*id)?;
    }
    drop(directory);
    let mut segments = txn.open_table(SEGMENTS)?;
    for id in &change.segments {
        segments.retain_in((*id, 0)..=(*id, u32::MAX), |_, _| false)?;
    }
    drop(segments);
    let mut series = txn.open_table(SERIES)?;
    for epoch in &change.epochs {
        series.retain_in((*epoch, 0)..=(*epoch, u32::MAX), |_, _| false)?;
    }
    Ok(())
}

/// pco reads ahead by up to 4,617 bytes; where a column ends earlier it copies the rest of it into a buffer of twice that,
/// which costs more than decoding a window of two minutes.
const SLACK: usize = 4632;

/// Reads parts of one segment's stream.
pub(crate) struct SegmentReader<'a> {
    meta: &'a SegmentMeta,
    table: redb::ReadOnlyTable<(u64, u32), &'static [u8]>,
    ranges: Vec<Range<usize>>,
}

/// Parts of a segment's stream in memory.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    ranges: Vec<Range<usize>>,
    /// Parallel to the ranges: those that were read.
    pieces: Vec<Option<Vec<u8>>>,
    /// Why a piece could not be read.
    pub(crate) damage: Option<StorageError>,
}

impl Stream {
    /// A part of the stream, `None` when it was not read, or could not be.
    pub(crate) fn part(&self, part: &Range<usize>) -> Option<Cow<'_, [u8]>> {
        Some(match self.part_and_more(part)? {
            Cow::Borrowed(bytes) => Cow::Borrowed(bytes.get(..part.len())?),
            Cow::Owned(mut bytes) => {
                bytes.truncate(part.len());
                Cow::Owned(bytes)
            }
        })
    }

    /// The same with [`SLACK`] bytes of no meaning behind it.
    pub(crate) fn part_and_more(&self, part: &Range<usize>) -> Option<Cow<'_, [u8]>> {
        let first = self.ranges.partition_point(|piece| piece.end <= part.start);
        let range = self.ranges.get(first)?;
        let piece = self.pieces.get(first)?.as_ref()?;
        if part.end <= range.end {
            return piece.get(part.start - range.start..part.end - range.start + SLACK).map(Cow::Borrowed);
        }
        let mut out = Vec::with_capacity(part.len() + SLACK);
        for (range, piece) in self.ranges.iter().zip(&self.pieces).skip(first) {
            if range.start >= part.end {
                break;
            }
            let from = part.start.max(range.start) - range.start;
            out.extend_from_slice(piece.as_ref()?.get(from..part.end.min(range.end) - range.start)?);
        }
        out.resize(part.len() + SLACK, 0);
        Some(Cow::Owned(out))
    }
}

impl SegmentReader<'_> {
    /// Reads the pieces that hold these parts. A damaged piece is left out, one that retention has taken too.
    ///
    /// # Errors
    /// When the database failed.
    pub(crate) fn load(self, parts: &[Range<usize>]) -> Result<Stream> {
        let mut pieces = vec![None; self.ranges.len()];
        let mut damage = None;
        for part in parts {
            let first = self.ranges.partition_point(|piece| piece.end <= part.start);
            for (number, range) in self.ranges.iter().enumerate().skip(first) {
                if range.start >= part.end {
                    break;
                }
                if pieces[number].is_none() {
                    match self.piece(number) {
                        Ok(Some(mut piece)) => {
                            piece.resize(range.len() + SLACK, 0);
                            pieces[number] = Some(piece);
                        }
                        Ok(None) => {}
                        Err(error @ StorageError::Damaged { .. }) => damage = Some(error),
                        Err(error) => return Err(error),
                    }
                }
            }
        }
        Ok(Stream { ranges: self.ranges, pieces, damage })
    }

    /// A part of the stream, `None` when retention has taken the segment.
    ///
    /// # Errors
    /// When a piece is damaged or the database failed.
    pub(crate) fn part(&self, part: Range<usize>) -> Result<Option<Vec<u8>>> {
        let mut out = Vec::with_capacity(part.len());
        let first = self.ranges.partition_point(|piece| piece.end <= part.start);
        for (number, range) in self.ranges.iter().enumerate().skip(first) {
            if range.start >= part.end {
                break;
            }
            let Some(piece) = self.piece(number)? else { return Ok(None) };
            let from = part.start.max(range.start) - range.start;
            let Some(bytes) = piece.get(from..part.end.min(range.end) - range.start) else {
                return Err(damaged(self.meta.id, "a piece is shorter than it should be"));
            };
            out.extend_from_slice(bytes);
        }
        Ok(Some(out))
    }

    fn piece(&self, number: usize) -> Result<Option<Vec<u8>>> {
        let id = self.meta.id;
        let found = self.table.get((id, number as u32)).map_err(|e| match e {
            redb::StorageError::Corrupted(reason) => damaged(id, &reason),
            other => failed("reading a segment", other),
        })?;
        let Some(value) = found else { return Ok(None) };
        let body = check_crc(value.value()).map_err(|e| damaged(id, e.0))?;
        if self.ranges.get(number).is_none_or(|range| range.len() != body.len()) {
            return Err(damaged(id, "a piece is not as long as it should be"));
        }
        let mut piece = Vec::with_capacity(body.len() + SLACK);
        piece.extend_from_slice(body);
        Ok(Some(piece))
    }
}

/// The error for a segment whose bytes are wrong.
pub(crate) fn damaged(id: u64, reason: &str) -> StorageError {
    StorageError::Damaged { what: format!("segment {id}"), reason: reason.to_owned() }
}
