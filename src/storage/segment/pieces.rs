//! Cutting a stream into database values. redb's pages come in powers of two: a value just above one wastes half.

use std::ops::Range;

/// Bytes of a page that are not the value: key, offsets, checksum, and some room for redb's future.
const OVERHEAD: usize = 136;
/// Page sizes that pieces aim at, largest first.
const PAGES: [usize; 5] = [64 << 10, 32 << 10, 16 << 10, 8 << 10, 4 << 10];

/// The parts of the stream that become values: as many large ones as fit, then ever smaller ones.
pub(crate) fn piece_ranges(total: usize) -> Vec<Range<usize>> {
    let mut ranges = Vec::with_capacity(total / PAGES[0] + PAGES.len());
    let mut at = 0;
    for page in PAGES {
        let piece = page - OVERHEAD;
        while total - at >= piece {
            ranges.push(at..at + piece);
            at += piece;
        }
    }
    if at < total {
        ranges.push(at..total);
    }
    ranges
}

/// Bytes of pages that a stream of this length takes.
pub(crate) fn allocated_bytes(total: usize) -> u64 {
    piece_ranges(total).iter().map(|r| (r.len() + OVERHEAD).next_power_of_two() as u64).sum()
}

#[cfg(test)]
mod tests {
    use super::{allocated_bytes, piece_ranges};

    #[test]
    fn pieces_cover_the_stream_and_waste_little() {
        for total in [0, 1, 3960, 3961, 8056, 40_000, 65_400, 65_401, 135_000, 1 << 20] {
            let ranges = piece_ranges(total);
            let mut at = 0;
            for range in &ranges {
                assert_eq!(range.start, at, "{total}");
                assert!(!range.is_empty(), "{total}");
                at = range.end;
            }
            assert_eq!(at, total);
            let waste = allocated_bytes(total) - total as u64;
            assert!(waste <= 4096 + total as u64 / 40, "{total} wastes {waste}");
        }
    }
}
