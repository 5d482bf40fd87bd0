//! Which ticks of a group a series was there for.

use crate::storage::bytes::{FormatError, Reader, put_varint};

const ALL: u8 = 0;
const RUNS: u8 = 1;
const BITMAP: u8 = 2;

/// Writes presence, one flag a tick: all, alternating run lengths, or a bitmap, whichever is smallest.
pub(crate) fn encode_presence(present: &[bool], out: &mut Vec<u8>) {
    if present.iter().all(|p| *p) {
        out.push(ALL);
        return;
    }
    let start = out.len();
    out.push(RUNS);
    let (mut at, mut state) = (0, false);
    let bitmap_len = present.len().div_ceil(8);
    while at < present.len() {
        let run = present[at..].iter().take_while(|p| **p == state).count();
        put_varint(out, run as u64);
        at += run;
        state = !state;
        if out.len() - start > bitmap_len {
            out.truncate(start);
            out.push(BITMAP);
            out.extend(
                present
                    .chunks(8)
                    .map(|bits| bits.iter().enumerate().fold(0u8, |byte, (i, bit)| byte | u8::from(*bit) << i)),
            );
            return;
        }
    }
}

/// Reads the flags of `n` ticks; `None` means: there for all of them.
pub(crate) fn decode_presence(reader: &mut Reader<'_>, n: usize) -> Result<Option<Vec<bool>>, FormatError> {
    match reader.u8()? {
        ALL => Ok(None),
        RUNS => {
            let mut present = Vec::with_capacity(n);
            let mut state = false;
            while present.len() < n {
                let run = reader.varint()? as usize;
                if run > n - present.len() || (run == 0 && !present.is_empty()) {
                    return Err(FormatError("a presence run is impossible"));
                }
                present.resize(present.len() + run, state);
                state = !state;
            }
            Ok(Some(present))
        }
        BITMAP => {
            let bytes = reader.take(n.div_ceil(8))?;
            Ok(Some((0..n).map(|i| bytes[i / 8] >> (i % 8) & 1 == 1).collect()))
        }
        _ => Err(FormatError("unknown presence kind")),
    }
}
