//! Exemplars of one series ⇄ bytes. Their labels are trace ids as a rule: digits take half a byte, usual names none.

use crate::model::{Exemplar, Labels, Timestamp, absent};
use crate::storage::bytes::{FormatError, Reader, put_bytes, put_signed, put_varint, put_xor};

use super::{FloatScratch, PcoCodec, decode_floats_into, encode_floats};

/// An exemplar with its time, which `exemplar.ts` repeats.
pub(crate) type Stamped = (Timestamp, Exemplar);

/// Names that need no letters; the list may grow up to [`FIRST_LENGTH`], its order is part of the format.
const NAMES: [&str; 8] = ["trace_id", "span_id", "traceID", "spanID", "traceId", "spanId", "TraceID", "request_id"];
/// Codes of names from here on are lengths.
const FIRST_LENGTH: usize = 16;
/// Bytes of one label set: doors take far fewer, a damaged record may claim more.
const MAX_LABELS_BYTES: usize = 4096;
/// Where the dashes of a UUID are.
const DASHES: [usize; 4] = [8, 13, 18, 23];

const TEXT: u64 = 0;
const HEX: u64 = 1;
const UUID: u64 = 2;
const SAME: u64 = 3;

/// Writes a column of exemplars, ascending in time; `base` is what its times are differences to.
pub(crate) fn encode_exemplars(codec: &PcoCodec, base: Timestamp, list: &[Stamped], out: &mut Vec<u8>) {
    put_varint(out, list.len() as u64);
    let (mut time, mut before) = (base, None);
    for (ts, exemplar) in list {
        put_signed(out, ts.wrapping_sub(time));
        put_exemplar_labels(&exemplar.labels, before, out);
        (time, before) = (*ts, Some(&exemplar.labels));
    }
    let values: Vec<f64> = list.iter().map(|(_, exemplar)| exemplar.value).collect();
    encode_floats(codec, &values, out);
}

/// Reads what [`encode_exemplars`] wrote.
pub(crate) fn decode_exemplars(codec: &PcoCodec, base: Timestamp, bytes: &[u8]) -> Result<Vec<Stamped>, FormatError> {
    let mut reader = Reader::new(bytes);
    let count = reader.count(16)?;
    let mut list: Vec<Stamped> = Vec::with_capacity(count);
    let mut time = base;
    for _ in 0..count {
        let step = reader.signed()?;
        if step < 0 && !list.is_empty() {
            return Err(FormatError("exemplars do not ascend"));
        }
        time = time.wrapping_add(step);
        let labels = read_exemplar_labels(&mut reader, list.last().map(|(_, exemplar)| &exemplar.labels))?;
        list.push((time, Exemplar { labels, value: 0.0, ts: Some(time) }));
    }
    let mut values = vec![absent(); count];
    decode_floats_into(codec, reader.rest(), &mut values, &mut FloatScratch::default())?;
    for ((_, exemplar), value) in list.iter_mut().zip(values) {
        exemplar.value = value;
    }
    Ok(list)
}

/// Writes one exemplar that stands alone.
pub(crate) fn put_exemplar(base: Timestamp, (ts, exemplar): &Stamped, out: &mut Vec<u8>) {
    put_signed(out, ts.wrapping_sub(base));
    put_xor(out, exemplar.value.to_bits());
    put_exemplar_labels(&exemplar.labels, None, out);
}

/// Reads what [`put_exemplar`] wrote.
pub(crate) fn read_exemplar(base: Timestamp, reader: &mut Reader<'_>) -> Result<Stamped, FormatError> {
    let ts = base.wrapping_add(reader.signed()?);
    let value = f64::from_bits(reader.xor()?);
    Ok((ts, Exemplar { labels: read_exemplar_labels(reader, None)?, value, ts: Some(ts) }))
}

fn put_exemplar_labels(labels: &Labels, before: Option<&Labels>, out: &mut Vec<u8>) {
    let same_names = before.filter(|before| before.iter().map(|l| l.0).eq(labels.iter().map(|l| l.0)));
    if same_names.is_some() {
        put_varint(out, 0);
    } else {
        put_varint(out, labels.len() as u64 + 1);
        for (name, _) in labels.iter() {
            match NAMES.iter().position(|known| *known == name) {
                Some(code) => put_varint(out, code as u64),
                None => {
                    put_varint(out, (name.len() + FIRST_LENGTH) as u64);
                    out.extend_from_slice(name.as_bytes());
                }
            }
        }
    }
    let mut old = same_names.into_iter().flat_map(Labels::iter);
    for (_, value) in labels.iter() {
        put_value(value, old.next().map(|l| l.1), out);
    }
}

fn put_value(value: &str, before: Option<&str>, out: &mut Vec<u8>) {
    let (text, old) = (value.as_bytes(), before.unwrap_or("").as_bytes());
    let is_hex = |text: &[u8]| text.iter().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(b));
    let is_uuid = text.len() == 36
        && text.iter().enumerate().all(|(i, b)| if DASHES.contains(&i) { *b == b'-' } else { is_hex(&[*b]) });
    if before == Some(value) {
        put_varint(out, SAME);
    } else if is_uuid {
        put_varint(out, UUID);
        let digits: Vec<u8> = text.iter().copied().filter(|b| *b != b'-').collect();
        put_digits(&digits, out);
    } else if text.len() > 2 && is_hex(text) {
        put_varint(out, (text.len() as u64) << 2 | HEX);
        put_digits(text, out);
    } else {
        let shared = text.iter().zip(old).take_while(|(a, b)| a == b).count();
        put_varint(out, (shared as u64) << 2 | TEXT);
        put_bytes(out, &text[shared..]);
    }
}

/// Two digits a byte, the first one on top.
fn put_digits(digits: &[u8], out: &mut Vec<u8>) {
    let number = |digit: u8| if digit.is_ascii_digit() { digit - b'0' } else { digit - b'a' + 10 };
    out.extend(digits.chunks(2).map(|pair| number(pair[0]) << 4 | pair.get(1).map_or(0, |digit| number(*digit))));
}

fn read_exemplar_labels(reader: &mut Reader<'_>, before: Option<&Labels>) -> Result<Labels, FormatError> {
    let word = reader.varint()?;
    let mut names: Vec<&str> = Vec::new();
    let mut old: Vec<&str> = Vec::new();
    if word == 0 {
        let before = before.ok_or(FormatError("an exemplar refers to one that is not there"))?;
        (names, old) = before.iter().unzip();
    }
    for _ in 1..word {
        names.push(read_name(reader)?);
    }
    let mut left = MAX_LABELS_BYTES;
    let mut values = Vec::with_capacity(names.len());
    for at in 0..names.len() {
        let value = read_value(reader, old.get(at).copied(), left)?;
        left = left.saturating_sub(value.len());
        values.push(value);
    }
    let pairs: Vec<(&str, &str)> = names.into_iter().zip(values.iter().map(String::as_str)).collect();
    Ok(Labels::from_pairs(&pairs))
}

fn read_name<'a>(reader: &mut Reader<'a>) -> Result<&'a str, FormatError> {
    let code = usize::try_from(reader.varint()?).map_err(|_| FormatError("a length is too large"))?;
    match code.checked_sub(FIRST_LENGTH) {
        Some(length) => text(reader.take(length)?),
        None => NAMES.get(code).copied().ok_or(FormatError("unknown name of an exemplar's label")),
    }
}

fn read_value(reader: &mut Reader<'_>, before: Option<&str>, most: usize) -> Result<String, FormatError> {
    let word = reader.varint()?;
    let length = usize::try_from(word >> 2).unwrap_or(usize::MAX);
    if length > most {
        return Err(FormatError("labels of an exemplar are too long"));
    }
    let old = || before.ok_or(FormatError("an exemplar refers to one that is not there"));
    match word & 3 {
        HEX => Ok(digits(reader.take(length.div_ceil(2))?).take(length).collect()),
        UUID => {
            let mut value: String = digits(reader.take(16)?).collect();
            DASHES.iter().for_each(|at| value.insert(*at, '-'));
            Ok(value)
        }
        SAME => old().map(str::to_owned),
        _ => {
            let mut value = match length {
                0 => Vec::new(),
                shared => {
                    old()?.as_bytes().get(..shared).ok_or(FormatError("labels share more than there is"))?.to_vec()
                }
            };
            let rest = reader.bytes()?;
            if value.len() + rest.len() > most {
                return Err(FormatError("labels of an exemplar are too long"));
            }
            value.extend_from_slice(rest);
            text(&value).map(str::to_owned)
        }
    }
}

fn digits(bytes: &[u8]) -> impl Iterator<Item = char> {
    let digit = |number: u8| char::from_digit(number.into(), 16).unwrap_or('0');
    bytes.iter().flat_map(move |byte| [digit(byte >> 4), digit(byte & 0xf)])
}

fn text(bytes: &[u8]) -> Result<&str, FormatError> {
    std::str::from_utf8(bytes).map_err(|_| FormatError("text is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::{Stamped, decode_exemplars, encode_exemplars, put_exemplar, read_exemplar};
    use crate::model::{Exemplar, Labels};
    use crate::storage::bytes::Reader;
    use crate::storage::codec::PcoCodec;

    fn exemplar(ts: i64, value: f64, pairs: &[(&str, &str)]) -> Stamped {
        (ts, Exemplar { labels: Labels::from_pairs(pairs), value, ts: Some(ts) })
    }

    fn bits(list: &[Stamped]) -> Vec<(i64, u64, String, Option<i64>)> {
        list.iter().map(|(ts, e)| (*ts, e.value.to_bits(), e.labels.to_string(), e.ts)).collect()
    }

    #[test]
    fn exemplars_come_back() {
        let uuid = "01234567-89ab-cdef-0123-456789abcdef";
        let list = [
            exemplar(-5, 0.25, &[("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736")]),
            exemplar(
                1000,
                f64::NAN,
                &[("trace_id", "4bf92f3577b34da6a3ce929d0e0e4737"), ("span_id", "00f067aa0ba902b7")],
            ),
            exemplar(1000, -0.0, &[("trace_id", "abc"), ("span_id", "00f067aa0ba902b7")]),
            exemplar(1001, 1e300, &[("id", uuid), ("ü", "é")]),
            exemplar(1002, 3.0, &[("id", "01234567-89AB-cdef-0123-456789abcdef"), ("ü", "è")]),
            exemplar(1003, 3.0, &[("id", "ab"), ("ü", "")]),
            exemplar(9000, 3.0, &[]),
            exemplar(9001, 3.0, &[]),
        ];
        let codec = PcoCodec::default();
        for n in 0..=list.len() {
            let mut out = Vec::new();
            encode_exemplars(&codec, 7, &list[..n], &mut out);
            assert_eq!(bits(&decode_exemplars(&codec, 7, &out).unwrap()), bits(&list[..n]));
            for cut in 0..out.len() {
                let _ = decode_exemplars(&codec, 7, &out[..cut]);
            }
        }
        for one in &list {
            let mut out = Vec::new();
            put_exemplar(3, one, &mut out);
            assert_eq!(bits(&[read_exemplar(3, &mut Reader::new(&out)).unwrap()]), bits(std::slice::from_ref(one)));
            for cut in 0..out.len() {
                assert!(read_exemplar(3, &mut Reader::new(&out[..cut])).is_err());
            }
        }
    }

    #[test]
    fn trace_ids_cost_little_more_than_their_bytes() {
        let list: Vec<Stamped> = (0..100u64)
            .map(|n| {
                let trace =
                    format!("{:016x}{:016x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15), !n.wrapping_mul(0xff51_afd7));
                exemplar(1_700_000_000_000 + n as i64 * 6000, (n % 50) as f64 / 1000.0, &[("trace_id", &trace)])
            })
            .collect();
        let mut out = Vec::new();
        encode_exemplars(&PcoCodec::default(), 1_700_000_000_000, &list, &mut out);
        // 16 bytes of each are the trace id itself.
        assert!(out.len() <= 100 * 22, "{} bytes", out.len());
    }
}
