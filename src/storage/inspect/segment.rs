//! One segment taken apart: every piece, the index, every column.

use crate::model::{Timestamp, is_absent};
use crate::storage::StorageError;
use crate::storage::bytes::{FormatError, Reader, check_crc};
use crate::storage::codec::{FloatScratch, decode_exemplars, decode_floats_into, decode_histograms, decode_ints};
use crate::storage::rollup::{RollupColumn, Tier};
use crate::storage::segment::{ColumnEntry, ColumnKind, ExemplarSpan, SegmentIndex, SegmentMeta, Slice, piece_ranges};
use crate::storage::store::Store;

/// A column that could be read.
pub(super) struct ColumnFacts {
    pub(super) id: u32,
    pub(super) bytes: u64,
    /// Buckets, of rollups; start timestamps are no samples.
    pub(super) samples: u64,
    pub(super) first: i64,
    pub(super) last: i64,
}

/// What is in a segment, and what is wrong with it.
#[derive(Default)]
pub(super) struct SegmentFacts {
    pub(super) columns: Vec<ColumnFacts>,
    pub(super) time_bytes: u64,
    pub(super) index_bytes: u64,
    /// Series number, bytes and count of each column of exemplars.
    pub(super) exemplars: Vec<(u32, u64, u64)>,
    /// Place within the segment, and the problem.
    pub(super) problems: Vec<(String, String)>,
}

impl SegmentFacts {
    fn problem(&mut self, place: impl Into<String>, problem: impl std::fmt::Display) {
        self.problems.push((place.into(), problem.to_string()));
    }
}

/// Reads a whole segment.
///
/// # Errors
/// When the database failed; what is wrong with the segment itself is among its facts.
pub(super) fn take_apart(store: &Store, meta: &SegmentMeta) -> Result<SegmentFacts, StorageError> {
    let mut facts = SegmentFacts::default();
    let Some(stream) = stream(store, meta, &mut facts)? else { return Ok(facts) };
    let (columns, index) = stream.split_at(meta.index_offset as usize);
    facts.index_bytes = index.len() as u64;
    match SegmentIndex::decode(index, columns.len()) {
        Ok(index) => {
            for (number, slice) in index.slices.iter().enumerate() {
                slice_facts(&index, slice, number, (columns, meta.tier), &mut facts);
            }
            exemplar_facts(&index, meta, columns, &mut facts);
            sums(meta, &mut facts);
        }
        Err(error) => facts.problem("index", error),
    }
    Ok(facts)
}

/// The pieces put together, if they are all there and right.
fn stream(store: &Store, meta: &SegmentMeta, facts: &mut SegmentFacts) -> Result<Option<Vec<u8>>, StorageError> {
    let pieces = store.raw_pieces(meta.id)?;
    let ranges = piece_ranges(meta.stream_len as usize);
    let mut stream = Vec::new();
    let (mut whole, mut found) = (true, pieces.iter().peekable());
    for (number, range) in ranges.iter().enumerate() {
        let place = || format!("piece {number} (bytes {} to {} of its stream)", range.start, range.end);
        let Some((_, value)) = found.next_if(|(key, _)| *key as usize == number) else {
            facts.problem(place(), "it is missing");
            whole = false;
            continue;
        };
        match check_crc(value) {
            Ok(body) if body.len() == range.len() => stream.extend_from_slice(body),
            Ok(body) => {
                facts.problem(place(), format!("it has {} bytes, expected {}", body.len(), range.len()));
                whole = false;
            }
            Err(error) => {
                facts.problem(place(), error);
                whole = false;
            }
        }
    }
    for (number, _) in found {
        facts.problem(format!("piece {number}"), "it is there, and the directory knows nothing of it");
    }
    Ok(whole.then_some(stream))
}

fn slice_facts(
    index: &SegmentIndex,
    slice: &Slice,
    number: usize,
    (columns, tier): (&[u8], Option<Tier>),
    facts: &mut SegmentFacts,
) {
    let bytes = |range: &std::ops::Range<usize>| columns.get(range.clone()).unwrap_or_default();
    facts.time_bytes += slice.times.len() as u64;
    let times = decode_ints(&index.codec, &mut Reader::new(bytes(&slice.times)), slice.ticks);
    match &times {
        Ok(times) if !times.is_sorted_by(|a, b| a < b) => {
            facts.problem(format!("slice {number}, timestamps"), "they do not ascend");
        }
        Ok(times) if times.first() != Some(&slice.first) || times.last() != Some(&slice.last) => {
            facts.problem(format!("slice {number}, timestamps"), "they are not those that the index promises");
        }
        Ok(_) => {}
        Err(error) => facts.problem(format!("slice {number}, timestamps"), error),
    }
    let mut scratch = FloatScratch::default();
    let ends = times.unwrap_or_default();
    for entry in &slice.columns {
        let found = match tier {
            Some(tier) => buckets(index, tier, bytes(&entry.at), &ends, &mut scratch),
            None => samples(index, slice, entry, bytes(&entry.at), &mut scratch)
                .map(|samples| (samples, slice.first, slice.last)),
        };
        match found {
            Ok((samples, first, last)) => {
                let bytes = entry.at.len() as u64;
                facts.columns.push(ColumnFacts { id: entry.id, bytes, samples, first, last });
            }
            Err(error) => facts.problem(format!("slice {number}, series {}, {:?}", entry.id, entry.kind), error),
        }
    }
}

fn exemplar_facts(index: &SegmentIndex, meta: &SegmentMeta, columns: &[u8], facts: &mut SegmentFacts) {
    let mut span: Option<ExemplarSpan> = None;
    for (id, at) in &index.exemplars.columns {
        let bytes = columns.get(at.clone()).unwrap_or_default();
        match decode_exemplars(&index.codec, index.exemplars.base, bytes) {
            Ok(list) => {
                facts.exemplars.push((*id, bytes.len() as u64, list.len() as u64));
                for (ts, _) in &list {
                    let span = span.get_or_insert(ExemplarSpan { first: *ts, last: *ts, count: 0 });
                    (span.first, span.last) = (span.first.min(*ts), span.last.max(*ts));
                    span.count += 1;
                }
            }
            Err(error) => return facts.problem(format!("exemplars of series {id}"), error),
        }
    }
    if span != meta.exemplars {
        let text = |span: Option<ExemplarSpan>| match span {
            Some(span) => format!("{} exemplars from {} to {}", span.count, span.first, span.last),
            None => "no exemplars".to_owned(),
        };
        facts.problem("directory record", format!("it tells of {}, there are {}", text(meta.exemplars), text(span)));
    }
}

/// Decodes one column of rollups: how many buckets there are, and the ends of the first and the last.
fn buckets(
    index: &SegmentIndex,
    tier: Tier,
    bytes: &[u8],
    ends: &[Timestamp],
    scratch: &mut FloatScratch,
) -> Result<(u64, Timestamp, Timestamp), FormatError> {
    let column = RollupColumn::decode(&index.codec, bytes, ends, tier.bucket_ms(), scratch)?;
    let mut there = ends.iter().zip(&column.buckets).filter(|(_, bucket)| bucket.is_some()).map(|(end, _)| *end);
    let first = there.next();
    let (first, count) = (first.unwrap_or(Timestamp::MAX), u64::from(first.is_some()));
    let (count, last) = there.fold((count, first), |(count, _), end| (count + 1, end));
    Ok((count, first, if count == 0 { Timestamp::MIN } else { last }))
}

/// Decodes one column and counts what is in it.
fn samples(
    index: &SegmentIndex,
    slice: &Slice,
    entry: &ColumnEntry,
    bytes: &[u8],
    scratch: &mut FloatScratch,
) -> Result<u64, FormatError> {
    Ok(match entry.kind {
        ColumnKind::Floats => {
            let mut floats = vec![crate::model::absent(); slice.ticks];
            decode_floats_into(&index.codec, bytes, &mut floats, scratch)?;
            floats.iter().filter(|value| !is_absent(**value)).count() as u64
        }
        ColumnKind::Histograms => decode_histograms(bytes, slice.ticks)?.iter().flatten().count() as u64,
        ColumnKind::Starts => {
            decode_ints(&index.codec, &mut Reader::new(bytes), slice.ticks)?;
            0
        }
    })
}

/// Compares the whole with what the directory says of it.
fn sums(meta: &SegmentMeta, facts: &mut SegmentFacts) {
    if !facts.problems.is_empty() {
        return;
    }
    let samples: u64 = facts.columns.iter().map(|column| column.samples).sum();
    let first = facts.columns.iter().map(|column| column.first).min();
    let last = facts.columns.iter().map(|column| column.last).max();
    if samples != meta.samples {
        facts.problem("directory record", format!("it counts {} samples, there are {samples}", meta.samples));
    }
    // Exemplars count only where there is nothing else.
    let first = first.or(meta.exemplars.map(|span| span.first));
    let last = last.or(meta.exemplars.map(|span| span.last));
    if first.is_some_and(|first| first != meta.min_ts) || last.is_some_and(|last| last != meta.max_ts) {
        facts.problem("directory record", "its first or last sample is not where the columns have it");
    }
}
