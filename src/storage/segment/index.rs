//! The index at the end of a segment's stream: which columns there are and where. `schema.rs` has the layout.

use std::ops::Range;

use crate::model::Timestamp;
use crate::storage::bytes::{FormatError, Reader, put_bytes, put_signed, put_varint};
use crate::storage::codec::PcoCodec;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ColumnKind {
    Floats,
    Histograms,
    /// Start timestamps of the series' other column.
    Starts,
}

/// One column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ColumnEntry {
    /// Number in the series table of the segment's epoch.
    pub(crate) id: u32,
    pub(crate) kind: ColumnKind,
    /// Where in the stream.
    pub(crate) at: Range<usize>,
}

/// Columns that share their timestamps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Slice {
    pub(crate) ticks: usize,
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
    /// Where the timestamps are.
    pub(crate) times: Range<usize>,
    /// Ascending by series.
    pub(crate) columns: Vec<ColumnEntry>,
}

/// Where the exemplars of a segment are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ExemplarIndex {
    /// What their times are differences to.
    pub(crate) base: Timestamp,
    /// Number in the series table and place in the stream, ascending by number.
    pub(crate) columns: Vec<(u32, Range<usize>)>,
}

/// All slices of a segment, and what pco needs to read them.
pub(crate) struct SegmentIndex {
    pub(crate) codec: PcoCodec,
    pub(crate) slices: Vec<Slice>,
    pub(crate) exemplars: ExemplarIndex,
}

/// The most ticks of one slice: a column of it stays under 64 KiB even when it does not compress.
pub(crate) const MAX_TICKS: usize = 4096;

impl SegmentIndex {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(out, &self.codec.header());
        put_varint(out, self.slices.len() as u64);
        for slice in &self.slices {
            put_varint(out, slice.ticks as u64);
            put_signed(out, slice.first);
            put_varint(out, (slice.last - slice.first) as u64);
            put_varint(out, slice.times.len() as u64);
            put_varint(out, slice.columns.len() as u64);
            let mut before = 0;
            for column in &slice.columns {
                put_varint(out, (column.id - before).into());
                before = column.id;
                put_varint(out, (column.at.len() as u64) << 2 | column.kind.code());
            }
        }
        self.exemplars.encode(out);
    }

    /// Reads an index; `columns_len` is how much of the stream lies before it.
    pub(crate) fn decode(bytes: &[u8], columns_len: usize) -> Result<Self, FormatError> {
        let mut reader = Reader::new(bytes);
        let codec = PcoCodec::with_header(reader.bytes()?)?;
        let mut at = 0usize;
        let mut range = |len: u64| {
            let end = usize::try_from(len).ok().and_then(|len| at.checked_add(len)).filter(|end| *end <= columns_len);
            let range = at..end.ok_or(FormatError("a column lies outside its segment"))?;
            at = range.end;
            Ok(range)
        };
        let mut slices = Vec::new();
        for _ in 0..reader.count(40)? {
            let ticks = reader.varint()? as usize;
            if ticks > MAX_TICKS {
                return Err(FormatError("a slice has too many ticks"));
            }
            let first = reader.signed()?;
            let last = first.wrapping_add(reader.varint()? as i64);
            let times = range(reader.varint()?)?;
            let mut columns = Vec::new();
            let mut id = 0u32;
            for _ in 0..reader.count(16)? {
                id = id.checked_add(reader.varint_u32()?).ok_or(FormatError("a series number is too large"))?;
                let word = reader.varint()?;
                columns.push(ColumnEntry { id, kind: ColumnKind::of(word & 3)?, at: range(word >> 2)? });
            }
            slices.push(Slice { ticks, first, last, times, columns });
        }
        let mut exemplars = ExemplarIndex::default();
        if !reader.is_empty() {
            exemplars.base = reader.signed()?;
            let mut id = 0u32;
            for _ in 0..reader.count(16)? {
                id = id.checked_add(reader.varint_u32()?).ok_or(FormatError("a series number is too large"))?;
                exemplars.columns.push((id, range(reader.varint()?)?));
            }
        }
        Ok(Self { codec, slices, exemplars })
    }
}

impl ExemplarIndex {
    /// Nothing at all where there is none: readers before exemplars know no such thing.
    fn encode(&self, out: &mut Vec<u8>) {
        if self.columns.is_empty() {
            return;
        }
        put_signed(out, self.base);
        put_varint(out, self.columns.len() as u64);
        let mut before = 0;
        for (id, at) in &self.columns {
            put_varint(out, (id - before).into());
            before = *id;
            put_varint(out, at.len() as u64);
        }
    }

    /// Where those of a series are.
    pub(crate) fn of(&self, id: u32) -> Option<&Range<usize>> {
        let at = self.columns.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        Some(&self.columns[at].1)
    }
}

impl ColumnKind {
    fn code(self) -> u64 {
        match self {
            Self::Floats => 0,
            Self::Histograms => 1,
            Self::Starts => 2,
        }
    }

    fn of(code: u64) -> Result<Self, FormatError> {
        match code {
            0 => Ok(Self::Floats),
            1 => Ok(Self::Histograms),
            2 => Ok(Self::Starts),
            _ => Err(FormatError("unknown kind of column")),
        }
    }
}
