//! Columns of native histograms: layouts are written when they change, counts as differences to the sample before.

use std::sync::Arc;

use crate::model::{Histogram, ResetHint, Span};
use crate::storage::bytes::{FormatError, Reader, put_signed, put_varint, put_xor};

use super::{decode_presence, encode_presence};

/// The histogram has the layout of the one before it.
const SAME_LAYOUT: u8 = 0x80;

/// Writes a column; `None` is a hole.
pub(crate) fn encode_histograms(values: &[Option<Arc<Histogram>>], out: &mut Vec<u8>) {
    let present: Vec<bool> = values.iter().map(Option::is_some).collect();
    encode_presence(&present, out);
    let mut before: Option<&Histogram> = None;
    for value in values.iter().flatten() {
        put_histogram(value, before, out);
        before = Some(value);
    }
}

/// Reads a column of `n` ticks.
pub(crate) fn decode_histograms(bytes: &[u8], n: usize) -> Result<Vec<Option<Arc<Histogram>>>, FormatError> {
    let mut reader = Reader::new(bytes);
    let present = decode_presence(&mut reader, n)?;
    let mut before: Option<Arc<Histogram>> = None;
    let mut values = Vec::with_capacity(n);
    for i in 0..n {
        if present.as_ref().is_some_and(|p| !p[i]) {
            values.push(None);
            continue;
        }
        let value = Arc::new(read_histogram(&mut reader, before.as_deref())?);
        before = Some(value.clone());
        values.push(Some(value));
    }
    Ok(values)
}

/// Writes one histogram against the one before it, if there is one.
pub(crate) fn put_histogram(value: &Histogram, before: Option<&Histogram>, out: &mut Vec<u8>) {
    let same = before.filter(|b| {
        b.schema == value.schema
            && b.zero_threshold.to_bits() == value.zero_threshold.to_bits()
            && b.positive_spans == value.positive_spans
            && b.negative_spans == value.negative_spans
            && same_bits(&b.custom_values, &value.custom_values)
            && (b.positive.len(), b.negative.len()) == (value.positive.len(), value.negative.len())
    });
    let hint = match value.reset_hint {
        ResetHint::Unknown => 0,
        ResetHint::Reset => 1,
        ResetHint::NotReset => 2,
        ResetHint::Gauge => 3,
    };
    out.push(hint | if same.is_some() { SAME_LAYOUT } else { 0 });
    if same.is_none() {
        put_layout(value, out);
    }
    let zero = Histogram::default();
    let base = same.unwrap_or(&zero);
    put_float(out, value.zero_count, base.zero_count);
    put_float(out, value.count, base.count);
    put_xor(out, value.sum.to_bits() ^ base.sum.to_bits());
    for (buckets, base) in [(&value.positive, &base.positive), (&value.negative, &base.negative)] {
        for (i, count) in buckets.iter().enumerate() {
            put_float(out, *count, base.get(i).copied().unwrap_or(0.0));
        }
    }
}

/// Reads what [`put_histogram`] wrote.
pub(crate) fn read_histogram(reader: &mut Reader<'_>, before: Option<&Histogram>) -> Result<Histogram, FormatError> {
    let tag = reader.u8()?;
    let mut value = if tag & SAME_LAYOUT == 0 {
        read_layout(reader)?
    } else {
        before.ok_or(FormatError("a histogram refers to one that is not there"))?.clone()
    };
    value.reset_hint = match tag & !SAME_LAYOUT {
        0 => ResetHint::Unknown,
        1 => ResetHint::Reset,
        2 => ResetHint::NotReset,
        3 => ResetHint::Gauge,
        _ => return Err(FormatError("unknown reset hint")),
    };
    value.zero_count = read_float(reader, value.zero_count)?;
    value.count = read_float(reader, value.count)?;
    value.sum = f64::from_bits(value.sum.to_bits() ^ reader.xor()?);
    for count in value.positive.iter_mut().chain(&mut value.negative) {
        *count = read_float(reader, *count)?;
    }
    Ok(value)
}

fn put_layout(value: &Histogram, out: &mut Vec<u8>) {
    put_signed(out, value.schema.into());
    put_xor(out, value.zero_threshold.to_bits());
    for (spans, buckets) in
        [(&value.positive_spans, value.positive.len()), (&value.negative_spans, value.negative.len())]
    {
        put_varint(out, spans.len() as u64);
        for span in spans {
            put_signed(out, span.offset.into());
            put_varint(out, span.length.into());
        }
        put_varint(out, buckets as u64);
    }
    put_varint(out, value.custom_values.len() as u64);
    for bound in &value.custom_values {
        put_xor(out, bound.to_bits());
    }
}

fn read_layout(reader: &mut Reader<'_>) -> Result<Histogram, FormatError> {
    let signed = |reader: &mut Reader<'_>| {
        i32::try_from(reader.signed()?).map_err(|_| FormatError("a histogram's number is too large"))
    };
    let mut value = Histogram { schema: signed(reader)?, ..Histogram::default() };
    value.zero_threshold = f64::from_bits(reader.xor()?);
    for negative in [false, true] {
        let mut spans = Vec::new();
        for _ in 0..reader.count(16)? {
            spans.push(Span { offset: signed(reader)?, length: reader.varint_u32()? });
        }
        // Each bucket takes at least a byte of what follows.
        let buckets = vec![0.0; reader.count(8)?];
        if negative {
            (value.negative_spans, value.negative) = (spans, buckets);
        } else {
            (value.positive_spans, value.positive) = (spans, buckets);
        }
    }
    for _ in 0..reader.count(8)? {
        value.custom_values.push(f64::from_bits(reader.xor()?));
    }
    Ok(value)
}

/// Counts are whole as a rule: a varint difference times two; otherwise 1 and the XOR of the bits.
fn put_float(out: &mut Vec<u8>, value: f64, base: f64) {
    match (whole(value), whole(base)) {
        (Some(value), Some(base)) => put_varint(out, crate::storage::bytes::zigzag(value - base) << 1),
        _ => {
            out.push(1);
            put_xor(out, value.to_bits() ^ base.to_bits());
        }
    }
}

fn read_float(reader: &mut Reader<'_>, base: f64) -> Result<f64, FormatError> {
    let word = reader.varint()?;
    if word & 1 == 1 {
        return Ok(f64::from_bits(reader.xor()? ^ base.to_bits()));
    }
    let base = whole(base).ok_or(FormatError("a difference to a count that is not whole"))?;
    Ok(base.wrapping_add(crate::storage::bytes::unzigzag(word >> 1)) as f64)
}

/// The float as an integer when nothing is lost (negative zero would be).
fn whole(value: f64) -> Option<i64> {
    let int = value as i64;
    (int.unsigned_abs() < 1 << 53 && (int as f64).to_bits() == value.to_bits()).then_some(int)
}

fn same_bits(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}
