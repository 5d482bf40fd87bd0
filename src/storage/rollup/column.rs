//! The buckets of one series in one segment ⇄ bytes. `schema.rs` has the layout.
//!
//! Most series need few of the parts: a constant has neither least nor largest value of its own, a counter's least is its
//! first.

use crate::model::{Timestamp, absent};
use crate::storage::bytes::{FormatError, Reader, put_bytes, put_varint};
use crate::storage::codec::{
    FloatScratch, PcoCodec, decode_floats_into, decode_ints, decode_presence, encode_floats, encode_ints,
    encode_presence,
};

use super::Bucket;

/// The series has start timestamps or native histograms, of which buckets know nothing.
const MORE: u64 = 1;
/// Stale markers end some buckets.
const STALE: u64 = 2;
/// The first value is not always the last one.
const FIRST: u64 = 4;
/// The least value is neither the first nor the last.
const MIN: u64 = 8;
/// The least value is the last one, not the first.
const MIN_IS_LAST: u64 = 16;
const MAX: u64 = 32;
const MAX_IS_FIRST: u64 = 64;
/// The sum is not the count times the last value.
const SUM: u64 = 128;
const LOST: u64 = 256;

/// All buckets of a series, decoded.
#[derive(Debug, Default)]
pub(crate) struct RollupColumn {
    /// Whether the series has native histograms or start timestamps, of which buckets know nothing.
    pub(crate) has_more: bool,
    /// By tick: the bucket, if there is one.
    pub(crate) buckets: Vec<Option<Bucket>>,
}

/// Writes buckets that stand at some of `ends`, `length` milliseconds each.
pub(crate) fn encode(
    codec: &PcoCodec,
    buckets: &[Option<Bucket>],
    ends: &[Timestamp],
    length: i64,
    has_more: bool,
    out: &mut Vec<u8>,
) {
    let present: Vec<bool> = buckets.iter().map(Option::is_some).collect();
    encode_presence(&present, out);
    let there: Vec<(Timestamp, Bucket)> = ends.iter().zip(buckets).filter_map(|(end, b)| Some((*end, (*b)?))).collect();
    let all = filled(&there);
    let any = |differs: &dyn Fn(&Bucket) -> bool| all.iter().any(|(_, bucket)| differs(bucket));
    let not = |a: f64, b: f64| a.to_bits() != b.to_bits();
    let mut flags = 0;
    let mut set = |flag: u64, on: bool| flags |= if on { flag } else { 0 };
    set(MORE, has_more);
    set(STALE, any(&|b| b.stale));
    set(FIRST, any(&|b| not(b.first, b.last)));
    let (min_first, min_last) = (!any(&|b| not(b.min, b.first)), !any(&|b| not(b.min, b.last)));
    set(MIN, !min_first && !min_last);
    set(MIN_IS_LAST, !min_first && min_last);
    let (max_first, max_last) = (!any(&|b| not(b.max, b.first)), !any(&|b| not(b.max, b.last)));
    set(MAX, !max_first && !max_last);
    set(MAX_IS_FIRST, !max_last && max_first);
    set(SUM, any(&|b| not(sum_of(b), b.count as f64 * b.last)));
    set(LOST, any(&|b| not(b.lost, 0.0)));
    put_varint(out, flags);
    if all.is_empty() {
        return;
    }
    let mut part = Vec::new();
    let mut ints = |value: &dyn Fn(Timestamp, &Bucket) -> i64, out: &mut Vec<u8>| {
        part.clear();
        let values: Vec<i64> = all.iter().map(|(end, bucket)| value(*end, bucket)).collect();
        encode_ints(codec, &values, &mut part);
        put_bytes(out, &part);
    };
    ints(&|_, b| b.count as i64, out);
    ints(&|end, b| b.first_ts - (end - length), out);
    ints(&|end, b| end - b.last_ts, out);
    if flags & STALE != 0 {
        ints(&|_, b| i64::from(b.stale), out);
    }
    let mut part = Vec::new();
    let mut floats = |value: &dyn Fn(&Bucket) -> f64, out: &mut Vec<u8>| {
        part.clear();
        let values: Vec<f64> = all.iter().map(|(_, bucket)| value(bucket)).collect();
        encode_floats(codec, &values, &mut part);
        put_bytes(out, &part);
    };
    floats(&|b| b.last, out);
    for (flag, value) in [
        (FIRST, (|b: &Bucket| b.first) as fn(&Bucket) -> f64),
        (MIN, |b| b.min),
        (MAX, |b| b.max),
        (SUM, sum_of),
        (LOST, |b| b.lost),
    ] {
        if flags & flag != 0 {
            floats(&value, out);
        }
    }
}

/// The sum; that of equal values is their product, which needs no column.
fn sum_of(bucket: &Bucket) -> f64 {
    // A NaN among them shows in the sum alone.
    let constant = bucket.min == bucket.max && bucket.sum.is_finite();
    if constant { bucket.count as f64 * bucket.last } else { bucket.sum }
}

/// Buckets of stale markers alone take the last value before them: it costs nothing.
fn filled(there: &[(Timestamp, Bucket)]) -> Vec<(Timestamp, Bucket)> {
    let mut last = there.iter().find(|(_, b)| b.count > 0).map_or(0.0, |(_, b)| b.first);
    let fill = |(end, bucket): &(Timestamp, Bucket)| {
        let mut bucket = *bucket;
        if bucket.count == 0 {
            (bucket.first, bucket.last, bucket.min, bucket.max, bucket.sum) = (last, last, last, last, 0.0 * last);
        }
        last = bucket.last;
        (*end, bucket)
    };
    there.iter().map(fill).collect()
}

impl RollupColumn {
    /// Reads what stands at some of `ends`.
    pub(crate) fn decode(
        codec: &PcoCodec,
        bytes: &[u8],
        ends: &[Timestamp],
        length: i64,
        scratch: &mut FloatScratch,
    ) -> Result<Self, FormatError> {
        let mut reader = Reader::new(bytes);
        let present = decode_presence(&mut reader, ends.len())?;
        let flags = reader.varint()?;
        let is_there = |at: usize| present.as_ref().is_none_or(|present| present.get(at) == Some(&true));
        let ticks: Vec<usize> = (0..ends.len()).filter(|at| is_there(*at)).collect();
        let mut column = Self { has_more: flags & MORE != 0, buckets: vec![None; ends.len()] };
        let n = ticks.len();
        if n == 0 {
            return Ok(column);
        }
        let ints = |reader: &mut Reader<'_>| decode_ints(codec, &mut Reader::new(reader.bytes()?), n);
        let (counts, firsts, lasts) = (ints(&mut reader)?, ints(&mut reader)?, ints(&mut reader)?);
        let stale = if flags & STALE == 0 { vec![0; n] } else { ints(&mut reader)? };
        let mut floats = |reader: &mut Reader<'_>| -> Result<Vec<f64>, FormatError> {
            let mut values = vec![absent(); n];
            decode_floats_into(codec, reader.bytes()?, &mut values, scratch)?;
            Ok(values)
        };
        let last = floats(&mut reader)?;
        let mut own = |flag: u64, reader: &mut Reader<'_>| {
            if flags & flag == 0 { Ok(None) } else { floats(reader).map(Some) }
        };
        let (first, min, max) = (own(FIRST, &mut reader)?, own(MIN, &mut reader)?, own(MAX, &mut reader)?);
        let (sum, lost) = (own(SUM, &mut reader)?, own(LOST, &mut reader)?);
        for (k, tick) in ticks.iter().enumerate() {
            let (end, count) = (ends[*tick], u64::try_from(counts[k]).unwrap_or(0));
            let of = |own: &Option<Vec<f64>>, or: f64| own.as_ref().map_or(or, |own| own[k]);
            let (last, first) = (last[k], of(&first, last[k]));
            column.buckets[*tick] = Some(Bucket {
                count,
                first_ts: end.saturating_sub(length).saturating_add(firsts[k]),
                last_ts: end.saturating_sub(lasts[k]),
                first,
                last,
                min: of(&min, if flags & MIN_IS_LAST != 0 { last } else { first }),
                max: of(&max, if flags & MAX_IS_FIRST != 0 { first } else { last }),
                sum: of(&sum, count as f64 * last),
                lost: of(&lost, 0.0),
                stale: stale[k] != 0,
            });
        }
        Ok(column)
    }
}
