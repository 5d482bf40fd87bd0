//! Blocks of the series table: labels in the order of their ids, each without what it shares with the one before.

use crate::model::Labels;
use crate::storage::bytes::{FormatError, Reader, check_crc, put_bytes, put_varint, seal_crc};

const VERSION: u8 = 1;
/// Ends a name or a value: no UTF-8 text has this byte.
const END: u8 = 0xff;
/// A block takes no more labels from here on, so that it stays under 32 KiB as a rule.
const BLOCK_BYTES: usize = 30 << 10;
/// Labels of one series are refused beyond this; limits at the doors are far below.
const MAX_LABELS_BYTES: usize = 1 << 20;

/// Encodes blocks, each with the number of its first label set.
pub(crate) fn encode_series(labels: &[Labels]) -> Vec<(usize, Vec<u8>)> {
    let mut blocks = Vec::new();
    let mut at = 0;
    while at < labels.len() {
        let first = at;
        let mut body = Vec::new();
        let mut before: Vec<u8> = Vec::new();
        while at < labels.len() && body.len() < BLOCK_BYTES {
            let flat = flatten(&labels[at]);
            let shared = before.iter().zip(&flat).take_while(|(a, b)| a == b).count();
            put_varint(&mut body, shared as u64);
            put_bytes(&mut body, &flat[shared..]);
            before = flat;
            at += 1;
        }
        let mut block = vec![VERSION];
        put_varint(&mut block, (at - first) as u64);
        block.extend_from_slice(&body);
        seal_crc(&mut block);
        blocks.push((first, block));
    }
    blocks
}

/// Decodes one block.
pub(crate) fn decode_series(block: &[u8]) -> Result<Vec<Labels>, FormatError> {
    let mut reader = Reader::new(check_crc(block)?);
    if reader.u8()? != VERSION {
        return Err(FormatError("unknown version of a series block"));
    }
    let count = reader.count(16)?;
    let mut all = Vec::with_capacity(count);
    let mut flat: Vec<u8> = Vec::new();
    for _ in 0..count {
        let shared = reader.varint()? as usize;
        if shared > flat.len() {
            return Err(FormatError("labels share more than there is"));
        }
        flat.truncate(shared);
        flat.extend_from_slice(reader.bytes()?);
        if flat.len() > MAX_LABELS_BYTES {
            return Err(FormatError("labels are too long"));
        }
        all.push(unflatten(&flat)?);
    }
    Ok(all)
}

fn flatten(labels: &Labels) -> Vec<u8> {
    let mut flat = Vec::new();
    for (name, value) in labels.iter() {
        for text in [name, value] {
            flat.extend_from_slice(text.as_bytes());
            flat.push(END);
        }
    }
    flat
}

fn unflatten(flat: &[u8]) -> Result<Labels, FormatError> {
    let text = |bytes| std::str::from_utf8(bytes).map_err(|_| FormatError("a label is not UTF-8"));
    let mut parts = flat.split(|b| *b == END);
    let mut pairs = Vec::new();
    while let (Some(name), Some(value)) = (parts.next(), parts.next()) {
        pairs.push((text(name)?, text(value)?));
    }
    Ok(Labels::from_pairs(&pairs))
}

#[cfg(test)]
mod tests {
    use super::{decode_series, encode_series};
    use crate::model::Labels;

    #[test]
    fn labels_come_back_small() {
        let labels: Vec<Labels> = (0..2000)
            .map(|i| Labels::from_pairs(&[("__name__", "node_cpu_seconds_total"), ("cpu", &i.to_string()), ("ü", "é")]))
            .chain([Labels::empty()])
            .collect();
        let blocks = encode_series(&labels);
        let back: Vec<Labels> = blocks.iter().flat_map(|(_, block)| decode_series(block).unwrap()).collect();
        assert_eq!(back, labels);
        let bytes: usize = blocks.iter().map(|(_, block)| block.len()).sum();
        assert!(bytes < labels.len() * 20, "{bytes} bytes");
        assert!(decode_series(&blocks[0].1[1..]).is_err());
    }
}
