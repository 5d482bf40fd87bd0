//! Segments, their directory and their series tables in the database.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use redb::{Durability, ReadableDatabase, ReadableTable, WriteTransaction};

use crate::limits::MAX_SERIES;
use crate::model::{Labels, Timestamp};
use crate::storage::StorageError;
use crate::storage::bytes::{check_crc, seal_crc};
use crate::storage::segment::{SegmentMeta, decode_series, encode_series, piece_ranges};

use super::{DIRECTORY, META, ROWS, Result, SEGMENTS, SERIES, Store, failed, number, opened};

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

/// What a merge changes, all in one transaction.
pub(crate) struct MergeChange<'a> {
    pub(crate) meta: &'a SegmentMeta,
    pub(crate) stream: &'a [u8],
    /// The segments that it replaces, and their streams.
    pub(crate) sources: &'a [Replaced],
    pub(crate) retire: &'a Retire,
}

/// A segment that was merged into another. Queries that found it before go on to read it here.
#[derive(Debug, Clone)]
pub(crate) struct Replaced {
    pub(crate) meta: Arc<SegmentMeta>,
    pub(crate) stream: Arc<Vec<u8>>,
}

/// What retention takes.
#[derive(Debug, Default)]
pub(crate) struct Retire {
    pub(crate) segments: Vec<u64>,
    pub(crate) epochs: Vec<u32>,
    /// Raw samples before this are gone with them.
    pub(crate) raw_from: Option<Timestamp>,
}

impl Store {
    /// Writes a segment and everything that goes with it.
    pub(crate) fn seal(&self, change: &SealChange<'_>) -> Result<()> {
        self.write("sealing a window", Durability::Immediate, |txn| {
            let meta = change.meta;
            put_segment(txn, meta, change.stream)?;
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

    /// Puts a segment in the place of those that were merged into it. Their bytes stay readable in memory until
    /// [`Store::forget_replaced`] finds that no query holds them.
    pub(crate) fn merge(&self, change: &MergeChange<'_>) -> Result<()> {
        // Before the file loses them: a query may look at any moment.
        let mut replaced = self.replaced.lock();
        replaced.retain(|known| change.sources.iter().all(|source| source.meta.id != known.meta.id));
        replaced.extend_from_slice(change.sources);
        drop(replaced);
        self.write("merging segments", Durability::Immediate, |txn| {
            let segments = change.sources.iter().map(|source| source.meta.id).collect();
            retire(txn, &Retire { segments, ..Retire::default() })?;
            put_segment(txn, change.meta, change.stream)?;
            retire(txn, change.retire)
        })
    }

    /// Keeps the bytes of a segment that another takes the place of, for queries that found it before.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn keep_replaced(&self, meta: &Arc<SegmentMeta>) -> Result<()> {
        if let Some(stream) = self.stream(meta)? {
            self.replaced.lock().push(Replaced { meta: Arc::clone(meta), stream: Arc::new(stream) });
        }
        Ok(())
    }

    /// Before which time retention has taken raw samples, if it ever has.
    pub(crate) fn raw_from(&self) -> Result<Option<Timestamp>> {
        self.read("reading where raw samples begin", |txn| {
            let meta = txn.open_table(META)?;
            Ok(meta.get(RAW_FROM)?.and_then(|v| number(v.value())))
        })
    }

    /// Gives up the bytes of merged segments that nothing refers to any more.
    pub(crate) fn forget_replaced(&self) {
        self.replaced.lock().retain(|replaced| Arc::strong_count(&replaced.meta) > 1);
    }

    /// A whole stream with [`SLACK`] bytes behind it; `None` when retention has taken the segment.
    ///
    /// # Errors
    /// When a piece is damaged or the database failed.
    pub(crate) fn stream(&self, meta: &SegmentMeta) -> Result<Option<Vec<u8>>> {
        let len = meta.stream_len as usize;
        self.with_segment(meta, |reader| {
            let mut stream = reader.part(0..len)?;
            if let Some(stream) = &mut stream {
                stream.resize(len + SLACK, 0);
            }
            Ok(stream)
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

    /// The label sets of a series table by their number; damaged blocks leave holes and are counted, and so are blocks
    /// that are missing, or stand where another one is.
    pub(crate) fn series(&self, epoch: u32) -> Result<(Vec<Option<Labels>>, u64)> {
        self.read("reading a series table", |txn| {
            let mut blocks = Blocks::default();
            for entry in txn.open_table(SERIES)?.range((epoch, 0)..=(epoch, u32::MAX))? {
                let (key, block) = entry?;
                blocks.add(key.value().1, block.value());
            }
            Ok((blocks.all, blocks.damaged))
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
            look(SegmentReader { store: self, meta, table, ranges: piece_ranges(meta.stream_len as usize) })
        })
    }
}

/// A series table while its blocks are read, ascending by their first number.
#[derive(Debug, Default)]
struct Blocks {
    all: Vec<Option<Labels>>,
    damaged: u64,
    /// Numbers without labels so far.
    holes: usize,
    /// Whether the block before was damaged: then a hole is no news.
    after_damage: bool,
}

impl Blocks {
    /// Numbers are dense: a block begins where the one before ends. Holes of a million are not left by damaged blocks of
    /// 30 KB but claimed by a damaged number, and are not worth their memory.
    const MAX_HOLES: usize = MAX_SERIES as usize;

    fn add(&mut self, first: u32, block: &[u8]) {
        let Ok(labels) = decode_series(block) else {
            (self.damaged, self.after_damage) = (self.damaged + 1, true);
            return;
        };
        let hole = (first as usize).checked_sub(self.all.len());
        let Some(hole) = hole.filter(|hole| self.holes + hole <= Self::MAX_HOLES) else {
            self.damaged += 1;
            return;
        };
        self.damaged += u64::from(hole > 0 && !self.after_damage);
        (self.holes, self.after_damage) = (self.holes + hole, false);
        self.all.resize(first as usize, None);
        self.all.extend(labels.into_iter().map(Some));
    }
}

fn put_segment(txn: &WriteTransaction, meta: &SegmentMeta, stream: &[u8]) -> std::result::Result<(), redb::Error> {
    let mut segments = txn.open_table(SEGMENTS)?;
    for (number, range) in piece_ranges(stream.len()).into_iter().enumerate() {
        let mut value = stream.get(range).unwrap_or_default().to_vec();
        seal_crc(&mut value);
        segments.insert((meta.id, number as u32), value.as_slice())?;
    }
    drop(segments);
    txn.open_table(DIRECTORY)?.insert(meta.id, meta.encode().as_slice())?;
    Ok(())
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
    drop(series);
    if let Some(from) = change.raw_from {
        let mut meta = txn.open_table(META)?;
        let before = meta.get(RAW_FROM)?.and_then(|v| number(v.value()));
        if before.is_none_or(|before| before < from) {
            meta.insert(RAW_FROM, &from.to_le_bytes()[..])?;
        }
    }
    Ok(())
}

/// Under which name `meta` says where raw samples begin.
const RAW_FROM: &str = "raw_from";

/// pco reads ahead by up to 4,617 bytes; where a column ends earlier it copies the rest of it into a buffer of twice that,
/// which costs more than decoding a window of two minutes.
const SLACK: usize = 4632;

/// Reads parts of one segment's stream.
pub(crate) struct SegmentReader<'a> {
    store: &'a Store,
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
        let Some(value) = found else { return Ok(self.replaced(number)) };
        let body = check_crc(value.value()).map_err(|e| damaged(id, e.0))?;
        if self.ranges.get(number).is_none_or(|range| range.len() != body.len()) {
            return Err(damaged(id, "a piece is not as long as it should be"));
        }
        let mut piece = Vec::with_capacity(body.len() + SLACK);
        piece.extend_from_slice(body);
        Ok(Some(piece))
    }

    /// A piece of a segment that was merged into another meanwhile.
    fn replaced(&self, number: usize) -> Option<Vec<u8>> {
        let replaced = self.store.replaced.lock();
        let found = replaced.iter().find(|replaced| replaced.meta.id == self.meta.id)?;
        let body = found.stream.get(self.ranges.get(number)?.clone())?;
        let mut piece = Vec::with_capacity(body.len() + SLACK);
        piece.extend_from_slice(body);
        Some(piece)
    }
}

/// The error for a segment whose bytes are wrong.
pub(crate) fn damaged(id: u64, reason: &str) -> StorageError {
    StorageError::Damaged { what: format!("segment {id}"), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::Blocks;
    use crate::limits::MAX_SERIES;
    use crate::model::Labels;
    use crate::storage::segment::encode_series;

    fn block(names: &[&str]) -> Vec<u8> {
        let labels: Vec<Labels> = names.iter().map(|name| Labels::from_pairs(&[("__name__", name)])).collect();
        encode_series(&labels).remove(0).1
    }

    #[test]
    fn numbers_of_blocks_are_not_trusted() {
        type Case<'a> = (&'a str, &'a [(u32, &'a [&'a str])], &'a str, u64);
        let cases: &[Case<'_>] = &[
            ("as written", &[(0, &["a", "b"]), (2, &["c"])], "a b c", 0),
            // An empty list stands for a block whose checksum is wrong.
            ("a damaged block", &[(0, &["a", "b"]), (2, &[]), (4, &["c"])], "a b - - c", 1),
            ("two damaged blocks", &[(0, &[]), (1, &[]), (3, &["c"])], "- - - c", 2),
            ("a block that is missing", &[(0, &["a"]), (3, &["c"]), (4, &["d"])], "a - - c d", 1),
            ("a number that another block has", &[(0, &["a", "b"]), (1, &["c"]), (2, &["d"])], "a b d", 1),
            ("numbers without end", &[(0, &["a"]), (MAX_SERIES + 2, &["b"]), (u32::MAX, &["c"])], "a", 2),
            ("the first one far away", &[(u32::MAX, &["a"])], "", 1),
        ];
        for (what, written, expected, damaged) in cases {
            let mut blocks = Blocks::default();
            for (first, names) in *written {
                if names.is_empty() {
                    blocks.add(*first, b"no block");
                } else {
                    blocks.add(*first, &block(names));
                }
            }
            let name = |labels: &Option<Labels>| labels.as_ref().map_or("-", Labels::metric_name).to_owned();
            let found: Vec<String> = blocks.all.iter().map(name).collect();
            assert_eq!((found.join(" ").as_str(), blocks.damaged), (*expected, *damaged), "{what}");
        }
    }
}
