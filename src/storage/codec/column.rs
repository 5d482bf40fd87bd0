//! Float columns. Bits come back exactly: NaN payloads, negative zero and stale markers included.

use std::ops::Range;

use pco::DecompressorScratch;

use crate::model::{absent, is_absent};
use crate::storage::bytes::{FormatError, Reader, put_signed, put_u64, put_varint, put_xor};

use super::{PcoCodec, decode_presence, encode_presence};

const CONSTANT: u8 = 0;
const RUNS: u8 = 1;
const SCALED: u8 = 2;
const PCO_FLOATS: u8 = 3;
const XOR: u8 = 4;
const EXCEPTIONS: u8 = 0x80;
const HOLES: u8 = 0x40;

/// Decimal digits after the point that are tried.
const MAX_SCALE: usize = 9;
/// Powers of ten that floats hold exactly.
const POWERS: [f64; MAX_SCALE + 1] = [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];
/// Integers up to here survive the way through a float.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Writes a column whose holes are [`absent`]. At least one value must be there.
pub(crate) fn encode_floats(codec: &PcoCodec, values: &[f64], out: &mut Vec<u8>) {
    if values.iter().any(|v| is_absent(*v)) {
        let present: Vec<bool> = values.iter().map(|v| !is_absent(*v)).collect();
        let dense: Vec<f64> = values.iter().copied().filter(|v| !is_absent(*v)).collect();
        let tag = out.len();
        out.push(0);
        encode_presence(&present, out);
        encode_dense(codec, &dense, out, tag, HOLES);
    } else {
        let tag = out.len();
        out.push(0);
        encode_dense(codec, values, out, tag, 0);
    }
}

/// Room that decoding needs again and again.
#[derive(Default)]
pub(crate) struct FloatScratch {
    ints: Vec<i64>,
    pco: DecompressorScratch,
}

/// Whether a column may have holes; one that cannot has a value for each tick.
pub(crate) fn may_have_holes(bytes: &[u8]) -> bool {
    bytes.first().is_none_or(|tag| tag & HOLES != 0)
}

/// Reads a column of as many ticks as `out` has places; holes are [`absent`].
pub(crate) fn decode_floats_into(
    codec: &PcoCodec,
    bytes: &[u8],
    out: &mut [f64],
    scratch: &mut FloatScratch,
) -> Result<(), FormatError> {
    let ticks = out.len();
    decode_floats_within(codec, bytes, ticks, 0..ticks, out, scratch)
}

/// Reads the ticks of `range`, in a column of `ticks`, into as many places. Most encodings are read no further than that,
/// pco's in batches of 256.
pub(crate) fn decode_floats_within(
    codec: &PcoCodec,
    bytes: &[u8],
    ticks: usize,
    range: Range<usize>,
    out: &mut [f64],
    scratch: &mut FloatScratch,
) -> Result<(), FormatError> {
    debug_assert!(range.end <= ticks && range.len() == out.len(), "{range:?} of {ticks} into {}", out.len());
    let mut reader = Reader::new(bytes);
    let tag = reader.u8()?;
    let present = if tag & HOLES == 0 { None } else { decode_presence(&mut reader, ticks)? };
    let Some(present) = present else {
        return decode_dense(codec, &mut reader, tag, &Wanted { total: ticks, range }, out, scratch);
    };
    let count = |flags: &[bool]| flags.iter().filter(|p| **p).count();
    let (before, here) = (count(&present[..range.start]), &present[range.clone()]);
    let mut left = count(here);
    let total = before + left + count(&present[range.end..]);
    let wanted = Wanted { total, range: before..before + left };
    decode_dense(codec, &mut reader, tag, &wanted, &mut out[..left], scratch)?;
    // From the back, every value has its place at or after where it is.
    for (i, present) in here.iter().enumerate().rev() {
        out[i] = if *present {
            left -= 1;
            out[left]
        } else {
            absent()
        };
    }
    Ok(())
}

/// Which of the values that are there.
struct Wanted {
    total: usize,
    range: Range<usize>,
}

/// Writes the values that are there, and the tag byte that stands before them.
fn encode_dense(codec: &PcoCodec, values: &[f64], out: &mut Vec<u8>, tag: usize, flags: u8) {
    let changes = values.windows(2).filter(|pair| pair[0].to_bits() != pair[1].to_bits()).count();
    if changes == 0 {
        out[tag] = flags | CONSTANT;
        put_xor(out, values.first().map_or(0, |v| v.to_bits()));
        return;
    }
    // Every run costs about four bytes; a packed value costs a fraction of one at best.
    if changes <= values.len() / 48 {
        out[tag] = flags | RUNS;
        encode_runs(values, out);
        return;
    }
    let start = out.len();
    if let Some(scaled) = Scaled::of(values) {
        out[tag] = flags | SCALED | if scaled.exceptions.is_empty() { 0 } else { EXCEPTIONS };
        scaled.write(codec, out);
        if changes > values.len() / 8 {
            return;
        }
        // Few changes: runs may still be smaller.
        let packed = out.len() - start;
        let mut runs = Vec::new();
        encode_runs(values, &mut runs);
        if runs.len() < packed {
            out.truncate(start);
            out[tag] = flags | RUNS;
            out.extend_from_slice(&runs);
        }
        return;
    }
    encode_rough(codec, values, changes, out, tag, flags);
}

/// Values that are no short decimals: pco on floats, XOR bytes or runs, whichever is smallest.
fn encode_rough(codec: &PcoCodec, values: &[f64], changes: usize, out: &mut Vec<u8>, tag: usize, flags: u8) {
    let start = out.len();
    let mut other = Vec::new();
    let mut other_tag = XOR;
    if changes <= values.len() / 3 {
        other_tag = RUNS;
        encode_runs(values, &mut other);
    } else {
        let mut before = 0;
        for value in values {
            put_xor(&mut other, value.to_bits() ^ before);
            before = value.to_bits();
        }
    }
    if values.len() >= 16 && codec.put_floats(values, out) && out.len() - start < other.len() {
        out[tag] = flags | PCO_FLOATS;
        return;
    }
    out.truncate(start);
    out[tag] = flags | other_tag;
    out.extend_from_slice(&other);
}

fn encode_runs(values: &[f64], out: &mut Vec<u8>) {
    let mut before = 0;
    let mut at = 0;
    while let Some(value) = values.get(at) {
        let bits = value.to_bits();
        let run = values[at..].iter().take_while(|v| v.to_bits() == bits).count();
        put_varint(out, run as u64);
        put_xor(out, bits ^ before);
        before = bits;
        at += run;
    }
}

fn decode_dense(
    codec: &PcoCodec,
    reader: &mut Reader<'_>,
    tag: u8,
    wanted: &Wanted,
    out: &mut [f64],
    scratch: &mut FloatScratch,
) -> Result<(), FormatError> {
    match tag & !(HOLES | EXCEPTIONS) {
        CONSTANT => out.fill(f64::from_bits(reader.xor()?)),
        RUNS => return decode_runs(reader, wanted, out),
        SCALED => return Scaled::read(codec, reader, tag & EXCEPTIONS != 0, wanted, out, scratch),
        PCO_FLOATS => return codec.floats(reader, wanted.total, &wanted.range, out, &mut scratch.pco),
        XOR => {
            let mut bits = 0;
            for _ in 0..wanted.range.start {
                bits ^= reader.xor()?;
            }
            for value in out {
                bits ^= reader.xor()?;
                *value = f64::from_bits(bits);
            }
        }
        _ => return Err(FormatError("unknown column encoding")),
    }
    Ok(())
}

fn decode_runs(reader: &mut Reader<'_>, wanted: &Wanted, out: &mut [f64]) -> Result<(), FormatError> {
    let Range { start, end } = wanted.range;
    let (mut bits, mut at) = (0, 0);
    while at < end {
        let run = reader.varint()? as usize;
        if run == 0 || run > wanted.total - at {
            return Err(FormatError("a run of values is impossible"));
        }
        bits ^= reader.xor()?;
        let (from, to) = (at.max(start), end.min(at + run));
        if from < to {
            out[from - start..to - start].fill(f64::from_bits(bits));
        }
        at += run;
    }
    Ok(())
}

/// A column as `(first + gcd × integers) ÷ 10^scale`, with a list of values that do not fit.
struct Scaled {
    scale: u8,
    first: i64,
    gcd: i64,
    steps: Vec<i64>,
    /// Index and bits.
    exceptions: Vec<(usize, u64)>,
}

impl Scaled {
    /// `None` when too many values are no short decimals.
    fn of(values: &[f64]) -> Option<Self> {
        let scale = scale_of(values)?;
        let power = POWERS[scale];
        let most = values.len() / 16;
        let mut exceptions = Vec::new();
        let mut steps = Vec::with_capacity(values.len());
        for (i, value) in values.iter().enumerate() {
            match exact(*value, power) {
                Some(int) => steps.push(int),
                None if exceptions.len() < most => {
                    exceptions.push((i, value.to_bits()));
                    steps.push(steps.last().copied().unwrap_or(0));
                }
                None => return None,
            }
        }
        // An exception at the front stands for the first value that fits.
        let leading = exceptions.iter().enumerate().take_while(|(k, (i, _))| k == i).count();
        let first = steps.get(leading).copied().unwrap_or(0);
        steps[..leading].fill(first);
        let gcd = steps.iter().fold(0u64, |gcd, step| if gcd == 1 { 1 } else { gcd_of(gcd, step.abs_diff(first)) });
        let gcd = i64::try_from(gcd).ok()?.max(1);
        steps.iter_mut().for_each(|step| *step = if gcd == 1 { *step - first } else { (*step - first) / gcd });
        Some(Self { scale: scale as u8, first, gcd, steps, exceptions })
    }

    fn write(&self, codec: &PcoCodec, out: &mut Vec<u8>) {
        if !self.exceptions.is_empty() {
            put_varint(out, self.exceptions.len() as u64);
            let mut before = 0;
            for (i, bits) in &self.exceptions {
                put_varint(out, (i - before) as u64);
                put_u64(out, *bits);
                before = *i;
            }
        }
        out.push(self.scale);
        put_signed(out, self.first);
        put_varint(out, self.gcd as u64);
        codec.put_ints(&self.steps, out);
    }

    fn read(
        codec: &PcoCodec,
        reader: &mut Reader<'_>,
        patched: bool,
        wanted: &Wanted,
        out: &mut [f64],
        scratch: &mut FloatScratch,
    ) -> Result<(), FormatError> {
        let mut exceptions = Vec::new();
        if patched {
            let mut at = 0usize;
            for _ in 0..reader.count(72)? {
                at = at.saturating_add(reader.varint()? as usize);
                exceptions.push((at, reader.f64()?));
            }
        }
        let power = *POWERS.get(usize::from(reader.u8()?)).ok_or(FormatError("unknown decimal scale"))?;
        let first = reader.signed()?;
        let gcd = reader.varint()? as i64;
        let FloatScratch { ints, pco } = scratch;
        ints.resize(out.len(), 0);
        codec.ints(reader, wanted.total, &wanted.range, ints, pco)?;
        // A division by one would cost as much as any other, a multiplication too.
        if gcd == 1 && power == 1.0 {
            for (value, step) in out.iter_mut().zip(ints.iter()) {
                *value = first.wrapping_add(*step) as f64;
            }
        } else if gcd == 1 {
            for (value, step) in out.iter_mut().zip(ints.iter()) {
                *value = first.wrapping_add(*step) as f64 / power;
            }
        } else if power == 1.0 {
            for (value, step) in out.iter_mut().zip(ints.iter()) {
                *value = first.wrapping_add(step.wrapping_mul(gcd)) as f64;
            }
        } else {
            for (value, step) in out.iter_mut().zip(ints.iter()) {
                *value = first.wrapping_add(step.wrapping_mul(gcd)) as f64 / power;
            }
        }
        for (at, value) in exceptions {
            if at >= wanted.total {
                return Err(FormatError("an exception lies outside its column"));
            }
            if wanted.range.contains(&at) {
                out[at - wanted.range.start] = value;
            }
        }
        Ok(())
    }
}

/// The number of decimal digits that the column needs; `None` when too many values are no short decimals.
fn scale_of(values: &[f64]) -> Option<usize> {
    let mut scale = 0;
    let mut failures = 0;
    for value in values.iter().filter(|v| v.is_finite()) {
        match (scale..=MAX_SCALE).find(|s| exact(*value, POWERS[*s]).is_some()) {
            Some(found) => scale = found,
            None if failures < values.len() / 16 => failures += 1,
            None => return None,
        }
    }
    Some(scale)
}

/// `value × power` when that is an integer from which `value` comes back bit for bit.
fn exact(value: f64, power: f64) -> Option<i64> {
    let int = (value * power).round_ties_even();
    // By way of the integer: a negative zero does not come back from there.
    (int.abs() <= EXACT && (int as i64 as f64 / power).to_bits() == value.to_bits()).then_some(int as i64)
}

fn gcd_of(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
