//! jemalloc's heap dump (`heap_v2`) as text: stacks with what is in use and what was ever allocated.

use super::{ProfileError, Stack};

/// A parsed dump; the values of a stack are in-use objects, in-use bytes, allocated objects, allocated bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HeapDump {
    /// Mean bytes between two samples.
    pub(super) rate: u64,
    pub(super) stacks: Vec<Stack>,
}

/// Reads a dump. Lines that it does not know (threads, mappings) are skipped.
pub(super) fn parse(text: &str) -> Result<HeapDump, ProfileError> {
    let bad = |what: &str| ProfileError::failed("read the heap dump", what);
    let mut lines = text.lines();
    let rate = lines
        .next()
        .and_then(|line| line.strip_prefix("heap_v2/"))
        .and_then(|rate| rate.trim().parse::<u64>().ok())
        .filter(|rate| *rate > 0)
        .ok_or_else(|| bad("the first line is not heap_v2/RATE"))?;
    let mut stacks = Vec::new();
    let mut addresses: Option<Vec<usize>> = None;
    for line in lines {
        if line.starts_with("MAPPED_LIBRARIES") {
            break;
        }
        if let Some(list) = line.strip_prefix('@') {
            addresses = Some(parse_addresses(list).ok_or_else(|| bad("a stack has a bad address"))?);
        } else if let Some(counts) = line.trim_start().strip_prefix("t*:")
            && let Some(addresses) = addresses.take()
        {
            let values = parse_counts(counts).ok_or_else(|| bad("a stack has bad counts"))?;
            stacks.push(Stack { addresses, values: unsample(values, rate), thread: None });
        }
    }
    Ok(HeapDump { rate, stacks })
}

fn parse_addresses(list: &str) -> Option<Vec<usize>> {
    list.split_whitespace()
        .map(|word| usize::from_str_radix(word.strip_prefix("0x").unwrap_or(word), 16).ok())
        .collect()
}

/// `167: 206021 [2012: 44541]`
fn parse_counts(text: &str) -> Option<[u64; 4]> {
    let mut numbers = text.split([':', '[', ']', ' ']).filter(|word| !word.is_empty()).map(str::parse::<u64>);
    let mut next = || numbers.next()?.ok();
    Some([next()?, next()?, next()?, next()?])
}

/// From sampled to estimated: an allocation of `size` bytes is sampled with probability 1 − exp(−size/rate)
/// (jemalloc's dump is made for exactly this correction, see `prof_do_unbias` in its `prof_data.c`).
fn unsample([objects, bytes, all_objects, all_bytes]: [u64; 4], rate: u64) -> Vec<i64> {
    let scale = |objects: u64, bytes: u64| {
        if objects == 0 || bytes == 0 {
            return [0, 0];
        }
        let mean = bytes as f64 / objects as f64;
        let factor = 1.0 / (1.0 - (-mean / rate as f64).exp());
        [(objects as f64 * factor).round() as i64, (bytes as f64 * factor).round() as i64]
    };
    [scale(objects, bytes), scale(all_objects, all_bytes)].concat()
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn reads_stacks_and_corrects_for_sampling() {
        let text = "heap_v2/524288\n  t*: 3: 3 [0: 0]\n  t0: 3: 3 [0: 0]\n@ 0x10 0x20\n  t*: 2: 1048576 [4: 2097152]\n  t0: 2: 1048576 [4: 2097152]\n@ 0x30\n  t*: 0: 0 [0: 0]\n\nMAPPED_LIBRARIES:\n@ 0x99\n  t*: 1: 1 [1: 1]\n";
        let dump = parse(text).expect("valid");
        assert_eq!(dump.rate, 524_288);
        assert_eq!(dump.stacks.len(), 2);
        assert_eq!(dump.stacks[0].addresses, [0x10, 0x20]);
        // 1/(1 - exp(-1)) = 1.582
        assert_eq!(dump.stacks[0].values, [3, 1_658_823, 6, 3_317_646]);
        assert_eq!(dump.stacks[1].values, [0; 4]);
    }

    #[test]
    fn refuses_what_is_no_dump() {
        for text in ["", "heap_v1/3\n", "heap_v2/0\n", "heap_v2/1\n@ 0xzz\n", "heap_v2/1\n@ 0x1\n  t*: 1: x [0: 0]\n"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
