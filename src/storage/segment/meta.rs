//! The directory's record of one segment. `schema.rs` has the layout.

use crate::model::Timestamp;
use crate::storage::bytes::{FormatError, Reader, check_crc, put_u32, put_u64, seal_crc};
use crate::storage::rollup::Tier;

const VERSION: u8 = 2;
/// Had neither tier nor content: all segments were raw.
const VERSION_1: u8 = 1;

/// Times are less than this away from the epoch: what is worked out of them does not overflow.
const MAX_TIME: i64 = i64::MAX / 4;

/// What is known about a segment without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SegmentMeta {
    pub(crate) id: u64,
    /// Which rollups are in it; `None`: raw samples.
    pub(crate) tier: Option<Tier>,
    /// The largest number of a segment whose samples may be in it: its own, unless it was made of others.
    pub(crate) content: u64,
    /// Start of the window.
    pub(crate) window: Timestamp,
    /// End of the window, exclusive.
    pub(crate) window_end: Timestamp,
    /// First sample; before the window's start when late samples are in it.
    pub(crate) min_ts: Timestamp,
    /// Last sample.
    pub(crate) max_ts: Timestamp,
    /// The series table that its ids point into.
    pub(crate) epoch: u32,
    /// Series in it.
    pub(crate) series: u32,
    /// Samples in it, holes not counted.
    pub(crate) samples: u64,
    /// Length of the stream.
    pub(crate) stream_len: u64,
    /// Where in the stream its index begins; it reaches to the end.
    pub(crate) index_offset: u64,
    /// Its exemplars, if it has any.
    pub(crate) exemplars: Option<ExemplarSpan>,
}

/// How many exemplars a segment has, and their first and last time: late ones are before the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ExemplarSpan {
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
    pub(crate) count: u64,
}

impl SegmentMeta {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        for number in [self.window, self.window_end, self.min_ts, self.max_ts] {
            put_u64(&mut out, number as u64);
        }
        put_u32(&mut out, self.epoch);
        put_u32(&mut out, self.series);
        for number in [self.samples, self.stream_len, self.index_offset] {
            put_u64(&mut out, number);
        }
        out.push(self.tier.map_or(0, Tier::code));
        put_u64(&mut out, self.content);
        if let Some(span) = self.exemplars {
            for number in [span.first as u64, span.last as u64, span.count] {
                put_u64(&mut out, number);
            }
        }
        seal_crc(&mut out);
        out
    }

    pub(crate) fn decode(id: u64, record: &[u8]) -> Result<Self, FormatError> {
        let mut reader = Reader::new(check_crc(record)?);
        let version = reader.u8()?;
        if !(VERSION_1..=VERSION).contains(&version) {
            return Err(FormatError("unknown version of a directory record"));
        }
        let mut meta = Self {
            id,
            tier: None,
            content: id,
            window: reader.i64()?,
            window_end: reader.i64()?,
            min_ts: reader.i64()?,
            max_ts: reader.i64()?,
            epoch: reader.u32()?,
            series: reader.u32()?,
            samples: reader.u64()?,
            stream_len: reader.u64()?,
            index_offset: reader.u64()?,
            exemplars: None,
        };
        if version > VERSION_1 {
            meta.tier = match reader.u8()? {
                0 => None,
                code => Some(Tier::of_code(code).ok_or(FormatError("unknown tier of rollups"))?),
            };
            meta.content = reader.u64()?;
        }
        if !reader.is_empty() {
            meta.exemplars = Some(ExemplarSpan { first: reader.i64()?, last: reader.i64()?, count: reader.u64()? });
        }
        // Streams are far below this; a larger one would make us allocate what is not there.
        let times = [meta.window, meta.window_end, meta.min_ts, meta.max_ts];
        let far = times.iter().any(|ts| !(-MAX_TIME..=MAX_TIME).contains(ts)) || meta.min_ts > meta.max_ts;
        if far || meta.index_offset > meta.stream_len || meta.stream_len > 1 << 36 {
            return Err(FormatError("a directory record contradicts itself"));
        }
        Ok(meta)
    }

    /// Whether it may hold samples within the inclusive bounds.
    pub(crate) fn overlaps(&self, start: Timestamp, end: Timestamp) -> bool {
        self.min_ts <= end && start <= self.max_ts
    }
}
