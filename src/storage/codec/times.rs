//! Integer columns: timestamps (a straight line in the best case) and start timestamps.

use std::ops::Range;

use pco::DecompressorScratch;

use crate::storage::bytes::{FormatError, Reader, put_signed};

use super::PcoCodec;

const LINE: u8 = 0;
const INTS: u8 = 1;

/// Writes a column of integers whose count the reader knows.
pub(crate) fn encode_ints(codec: &PcoCodec, values: &[i64], out: &mut Vec<u8>) {
    let first = values.first().copied().unwrap_or(0);
    let step = values.get(1).map_or(0, |second| second.wrapping_sub(first));
    if values.windows(2).all(|pair| pair[1].wrapping_sub(pair[0]) == step) {
        out.push(LINE);
        put_signed(out, first);
        put_signed(out, step);
        return;
    }
    out.push(INTS);
    put_signed(out, first);
    // A small first value keeps pco's bins narrow.
    let relative: Vec<i64> = values.iter().map(|value| value.wrapping_sub(first)).collect();
    codec.put_ints(&relative, out);
}

/// Reads `n` integers.
pub(crate) fn decode_ints(codec: &PcoCodec, reader: &mut Reader<'_>, n: usize) -> Result<Vec<i64>, FormatError> {
    decode_ints_within(codec, reader, n, &(0..n))
}

/// Reads those of `n` integers that lie within `range`.
pub(crate) fn decode_ints_within(
    codec: &PcoCodec,
    reader: &mut Reader<'_>,
    n: usize,
    range: &Range<usize>,
) -> Result<Vec<i64>, FormatError> {
    match reader.u8()? {
        LINE => {
            let (first, step) = (reader.signed()?, reader.signed()?);
            Ok(range.clone().map(|i| first.wrapping_add(step.wrapping_mul(i as i64))).collect())
        }
        INTS => {
            let first = reader.signed()?;
            let mut values = vec![0; range.len()];
            codec.ints(reader, n, range, &mut values, &mut DecompressorScratch::default())?;
            values.iter_mut().for_each(|value| *value = value.wrapping_add(first));
            Ok(values)
        }
        _ => Err(FormatError("unknown column of integers")),
    }
}
