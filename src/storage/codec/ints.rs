//! Integers: values, differences, or differences of differences, as varints, in packed blocks, or through pco.

use std::ops::Range;

use pco::wrapped::{FileCompressor, FileDecompressor};
use pco::{ChunkConfig, DecompressorScratch, DeltaSpec, FULL_BATCH_N, ModeSpec, PagingSpec};

use crate::storage::bytes::{FormatError, Reader, put_signed, unzigzag, zigzag};

use super::packed::{put_packed, read_packed};
use super::sums::Sums;

/// Below this many values pco's tables cost more than they save.
const PCO_MIN: usize = 24;
/// pco's effort; above 8 the gain is under a percent.
const LEVEL: usize = 8;

const VARINT: u8 = 0;
const PCO: u8 = 1;
const PACKED: u8 = 2;
/// Packed blocks are taken up to this many hundredths of pco's size, and a quarter of a bit each: they are read three
/// times as fast.
const PACKED_PERCENT: usize = 110;

/// pco without its file header: that is written once, by whoever owns the columns.
pub(crate) struct PcoCodec {
    compressor: FileCompressor,
    decompressor: FileDecompressor,
}

impl Default for PcoCodec {
    fn default() -> Self {
        let compressor = FileCompressor::default();
        let header = Self::header_of(&compressor);
        Self { decompressor: decompressor_of(&header).expect("pco reads its own header"), compressor }
    }
}

fn decompressor_of(header: &[u8]) -> Result<FileDecompressor, FormatError> {
    FileDecompressor::new(header).map(|(d, _)| d).map_err(|_| FormatError("pco's header is not readable"))
}

impl PcoCodec {
    /// The codec that reads what was written under `header`.
    pub(crate) fn with_header(header: &[u8]) -> Result<Self, FormatError> {
        Ok(Self { compressor: FileCompressor::default(), decompressor: decompressor_of(header)? })
    }

    /// What must be kept beside the columns.
    pub(crate) fn header(&self) -> Vec<u8> {
        Self::header_of(&self.compressor)
    }

    fn header_of(compressor: &FileCompressor) -> Vec<u8> {
        compressor.write_header(Vec::new()).expect("a Vec takes every byte")
    }

    /// Writes integers in the smallest of three forms; packed blocks may be a little larger than pco's.
    pub(crate) fn put_ints(&self, values: &[i64], out: &mut Vec<u8>) {
        let (order, varint_len) = best_order(values);
        if values.len() >= PCO_MIN && varint_len > values.len() / 8 {
            let start = out.len();
            out.push(PCO);
            let fits = self.put(values, order, out).is_ok() && out.len() - start <= varint_len + 2;
            let slack = values.len() / 32;
            let most = if fits { (out.len() - start) * PACKED_PERCENT / 100 + slack } else { varint_len };
            if let Some(packed) = packed(values, order, most) {
                out.truncate(start);
                out.extend_from_slice(&packed);
                return;
            }
            if fits {
                return;
            }
            out.truncate(start);
        }
        out.push(VARINT);
        out.push(order);
        differences(values, order, |d| put_signed(out, d));
    }

    fn put(&self, values: &[i64], order: u8, out: &mut Vec<u8>) -> Result<(), pco::errors::PcoError> {
        let delta = if order == 0 { DeltaSpec::NoOp } else { DeltaSpec::TryConsecutive(order.into()) };
        self.put_chunk(values, delta, ModeSpec::Classic, out)
    }

    /// Writes raw 64-bit patterns of floats; `false` when pco declined.
    pub(crate) fn put_floats(&self, values: &[f64], out: &mut Vec<u8>) -> bool {
        self.put_chunk(values, DeltaSpec::Auto, ModeSpec::Auto, out).is_ok()
    }

    fn put_chunk<T: pco::data_types::Number>(
        &self,
        values: &[T],
        delta: DeltaSpec,
        mode: ModeSpec,
        out: &mut Vec<u8>,
    ) -> Result<(), pco::errors::PcoError> {
        let config = ChunkConfig::default()
            .with_compression_level(LEVEL)
            .with_delta_spec(delta)
            .with_mode_spec(mode)
            .with_paging_spec(PagingSpec::Exact(vec![values.len()]));
        let mut chunk = self.compressor.chunk_compressor(values, &config)?;
        chunk.write_meta(&mut *out)?;
        chunk.write_page(0, &mut *out)?;
        Ok(())
    }

    /// Reads those of `total` integers that lie within `range`, into as many places; nothing in their record may follow them.
    pub(crate) fn ints(
        &self,
        reader: &mut Reader<'_>,
        total: usize,
        range: &Range<usize>,
        out: &mut [i64],
        scratch: &mut DecompressorScratch,
    ) -> Result<(), FormatError> {
        match reader.u8()? {
            VARINT => {
                let mut sums = sums(reader)?;
                if total > reader.rest().len() {
                    return Err(FormatError("too few integers"));
                }
                for _ in 0..range.start {
                    sums.next(unzigzag(reader.varint()?));
                }
                for value in out {
                    *value = sums.next(unzigzag(reader.varint()?));
                }
                Ok(())
            }
            PCO => self.chunk(reader, total, range, out, scratch),
            PACKED => {
                let sums = sums(reader)?;
                read_packed(reader, sums, total, range, out)
            }
            _ => Err(FormatError("unknown integer encoding")),
        }
    }

    /// Reads floats as [`Self::put_floats`] wrote them, in the way of [`Self::ints`].
    pub(crate) fn floats(
        &self,
        reader: &mut Reader<'_>,
        total: usize,
        range: &Range<usize>,
        out: &mut [f64],
        scratch: &mut DecompressorScratch,
    ) -> Result<(), FormatError> {
        self.chunk(reader, total, range, out, scratch)
    }

    fn chunk<T: pco::data_types::Number + Default>(
        &self,
        reader: &mut Reader<'_>,
        total: usize,
        range: &Range<usize>,
        out: &mut [T],
        scratch: &mut DecompressorScratch,
    ) -> Result<(), FormatError> {
        let bad = |_| FormatError("pco cannot read its column");
        let (chunk, rest) = self.decompressor.chunk_decompressor::<T, _>(reader.rest()).map_err(bad)?;
        let mut page = chunk.page_decompressor_with_scratch(rest, total, scratch).map_err(bad)?;
        if range.len() == total {
            page.read(out).map_err(bad)?;
            *reader = Reader::new(page.into_src());
            return Ok(());
        }
        let mut batch = [T::default(); FULL_BATCH_N];
        let mut at = 0;
        while at < range.end {
            page.read(&mut batch).map_err(bad)?;
            let end = total.min(at + FULL_BATCH_N);
            let (from, to) = (at.max(range.start), end.min(range.end));
            if from < to {
                out[from - range.start..to - range.start].copy_from_slice(&batch[from - at..to - at]);
            }
            at = end;
        }
        Ok(())
    }
}

/// Sums of differences of the order that the record names.
fn sums(reader: &mut Reader<'_>) -> Result<Sums, FormatError> {
    match reader.u8()? {
        order @ 0..=2 => Ok(Sums::new(order)),
        _ => Err(FormatError("unknown order of differences")),
    }
}

/// Packed blocks of differences, when they take at most so many bytes.
fn packed(values: &[i64], order: u8, most: usize) -> Option<Vec<u8>> {
    let mut different = Vec::with_capacity(values.len());
    differences(values, order, |d| different.push(d));
    let mut out = vec![PACKED, order];
    put_packed(&different, most.saturating_sub(out.len()), &mut out).then_some(out)
}

/// Calls `take` with the differences of the given order (0, 1 or 2); the first values stand for themselves.
fn differences(values: &[i64], order: u8, mut take: impl FnMut(i64)) {
    for (i, value) in values.iter().enumerate() {
        take(match (order, i) {
            (0, _) | (_, 0) => *value,
            (1, _) | (_, 1) => value.wrapping_sub(values[i - 1]),
            _ => {
                let before = values[i - 1];
                value.wrapping_sub(before).wrapping_sub(before.wrapping_sub(values[i - 2]))
            }
        });
    }
}

/// The order of differences whose varints are shortest, and how many bytes they take.
fn best_order(values: &[i64]) -> (u8, usize) {
    let mut bits = [0usize; 3];
    let mut bytes = [0usize; 3];
    for order in 0..3u8 {
        differences(values, order, |d| {
            let len = 64 - zigzag(d).leading_zeros() as usize;
            bits[usize::from(order)] += len;
            bytes[usize::from(order)] += len.div_ceil(7).max(1);
        });
    }
    let order = (0..3).min_by_key(|o| bits[*o]).unwrap_or(0);
    (order as u8, bytes[order])
}
