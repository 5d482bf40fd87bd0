//! Integers in blocks of a common width: a little larger than pco's bins at times, and several times as fast to read.

use std::ops::Range;

use crate::storage::bytes::{FormatError, Reader, put_signed};

use super::sums::Sums;

/// Integers of a block.
const BLOCK: usize = 128;
/// Wider blocks are left to others: a value must lie in eight bytes wherever it begins.
const MAX_WIDTH: u32 = 56;

/// How a block is written.
#[derive(Debug, Clone, Copy)]
struct Shape {
    base: i64,
    width: u32,
    /// Integers outside of `base..base + 2^width`.
    outliers: usize,
}

/// Writes all integers; `false` (and part of them) when they are too wide, or take more than `most` bytes.
pub(super) fn put_packed(values: &[i64], most: usize, out: &mut Vec<u8>) -> bool {
    let end = out.len() + most;
    let mut sorted = [0i64; BLOCK];
    for block in values.chunks(BLOCK) {
        let sorted = &mut sorted[..block.len()];
        sorted.copy_from_slice(block);
        sorted.sort_unstable();
        let Some(shape) = shape_of(sorted) else { return false };
        put_block(block, shape, out);
        if out.len() > end {
            return false;
        }
    }
    true
}

/// The shape that takes the fewest bits.
fn shape_of(sorted: &[i64]) -> Option<Shape> {
    let (min, max) = (*sorted.first()?, *sorted.last()?);
    let range = bits(max.checked_sub(min)?.unsigned_abs());
    if range > MAX_WIDTH {
        return None;
    }
    let mut best = Shape { base: min, width: range, outliers: 0 };
    let mut least = sorted.len() * range as usize;
    let mut worse = 0;
    for width in (0..range).rev() {
        let (base, inside) = densest(sorted, width);
        let outliers = sorted.len() - inside;
        if outliers * 4 > sorted.len() || worse == 3 {
            break;
        }
        worse += 1;
        // An index, and what lies above the width, with its sign.
        let each = 8 + 8 * (range - width + 1).div_ceil(7) as usize;
        let cost = sorted.len() * width as usize + outliers * each;
        if cost < least {
            (least, worse) = (cost, 0);
            best = Shape { base, width, outliers };
        }
    }
    Some(best)
}

/// Where a span of `2^width` integers has the most, and how many.
fn densest(sorted: &[i64], width: u32) -> (i64, usize) {
    let (mut best, mut from) = ((0, 0), 0);
    for (to, value) in sorted.iter().enumerate() {
        while value - sorted[from] >= 1 << width {
            from += 1;
        }
        if to + 1 - from > best.1 {
            best = (sorted[from], to + 1 - from);
        }
    }
    best
}

fn put_block(block: &[i64], shape: Shape, out: &mut Vec<u8>) {
    let Shape { base, width, outliers } = shape;
    out.push(width as u8);
    out.push(outliers as u8);
    put_signed(out, base);
    let mask = (1u64 << width) - 1;
    let (mut word, mut filled) = (0u64, 0);
    for value in block {
        word |= ((value - base) as u64 & mask) << filled;
        filled += width;
        while filled >= 8 {
            out.push(word as u8);
            word >>= 8;
            filled -= 8;
        }
    }
    if filled > 0 {
        out.push(word as u8);
    }
    for (i, value) in block.iter().enumerate() {
        let above = (value - base) >> width;
        if above != 0 {
            out.push(i as u8);
            put_signed(out, above);
        }
    }
}

/// Reads those of `total` integers that lie within `range`; `out` has as many places. What comes after them is not looked at.
pub(super) fn read_packed(
    reader: &mut Reader<'_>,
    mut sums: Sums,
    total: usize,
    range: &Range<usize>,
    out: &mut [i64],
) -> Result<(), FormatError> {
    let mut room = [0i64; BLOCK];
    let mut at = 0;
    while at < range.end {
        let end = total.min(at + BLOCK);
        if end <= range.start {
            let block = &mut room[..end - at];
            read_block(reader, block)?;
            sums.skip(block);
        } else if at >= range.start && end <= range.end {
            let block = &mut out[at - range.start..end - range.start];
            read_block(reader, block)?;
            sums.add_up(block);
        } else {
            let block = &mut room[..end - at];
            read_block(reader, block)?;
            sums.add_up(block);
            let (from, to) = (at.max(range.start), end.min(range.end));
            out[from - range.start..to - range.start].copy_from_slice(&block[from - at..to - at]);
        }
        at = end;
    }
    Ok(())
}

fn read_block(reader: &mut Reader<'_>, block: &mut [i64]) -> Result<(), FormatError> {
    let (width, outliers) = (u32::from(reader.u8()?), reader.u8()?);
    let base = reader.signed()?;
    if width > MAX_WIDTH {
        return Err(FormatError("a block of integers is too wide"));
    }
    let len = (block.len() * width as usize).div_ceil(8);
    let all = reader.rest();
    reader.take(len)?;
    unpack(all, width, base, block);
    for _ in 0..outliers {
        let at = usize::from(reader.u8()?);
        let above = reader.signed()?;
        let value = block.get_mut(at).ok_or(FormatError("an outlier lies outside its block"))?;
        *value = value.wrapping_add(above.wrapping_shl(width));
    }
    Ok(())
}

/// Reads integers of `width` bits; what follows them in `bytes` does not matter.
fn unpack(bytes: &[u8], width: u32, base: i64, block: &mut [i64]) {
    let mask = (1u64 << width) - 1;
    let mut bit = 0;
    for value in block {
        let at = bit >> 3;
        let word = match bytes.get(at..at + 8) {
            Some(eight) => eight.try_into().map_or(0, u64::from_le_bytes),
            // Near the end of the record.
            None => {
                let mut eight = [0; 8];
                let rest = bytes.get(at..).unwrap_or_default();
                eight[..rest.len()].copy_from_slice(rest);
                u64::from_le_bytes(eight)
            }
        };
        *value = base.wrapping_add((word >> (bit & 7) & mask) as i64);
        bit += width as usize;
    }
}

fn bits(value: u64) -> u32 {
    64 - value.leading_zeros()
}
