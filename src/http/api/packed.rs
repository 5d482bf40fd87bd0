//! One gzip member out of parts that were compressed apart, each on a thread of its own (RFC 1951 and 1952).

use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::DeflateEncoder;

/// Deflate, no flags, no time, fastest, unknown system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255];

/// A compressed part: whole deflate blocks up to a byte's end.
pub(super) struct Packed {
    blocks: Vec<u8>,
    checksum: crc32fast::Hasher,
    len: usize,
    last: bool,
}

impl Packed {
    /// Compresses at the lowest level: an answer is read once.
    pub(super) fn of(text: &[u8], last: bool) -> Self {
        let mut checksum = crc32fast::Hasher::new();
        checksum.update(text);
        let room = Vec::with_capacity(text.len() / 2 + 64);
        let mut encoder = DeflateEncoder::new(room, Compression::fast());
        encoder.write_all(text).expect("a Vec takes every write");
        let blocks = if last {
            encoder.finish().expect("a Vec takes every write")
        } else {
            // Flushing ends the block at a byte's end; the next part's blocks simply follow.
            encoder.flush().expect("a Vec takes every write");
            std::mem::take(encoder.get_mut())
        };
        Self { blocks, checksum, len: text.len(), last }
    }
}

/// Joins parts in their order.
#[derive(Default)]
pub(super) struct Packer {
    checksum: crc32fast::Hasher,
    len: usize,
}

impl Packer {
    /// The part's bytes; the header stands before the first, the checksum and the length behind the last.
    pub(super) fn join(&mut self, part: Packed) -> Bytes {
        let mut out = Vec::with_capacity(part.blocks.len() + HEADER.len() + 8);
        if self.len == 0 {
            out.extend_from_slice(&HEADER);
        }
        out.extend_from_slice(&part.blocks);
        self.checksum.combine(&part.checksum);
        self.len += part.len;
        if part.last {
            out.extend_from_slice(&self.checksum.clone().finalize().to_le_bytes());
            // The length counts modulo 2^32.
            out.extend_from_slice(&(self.len as u32).to_le_bytes());
        }
        out.into()
    }
}
