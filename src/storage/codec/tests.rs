//! Every codec, bit by bit.

use std::sync::Arc;

use super::{
    FloatScratch, PcoCodec, decode_floats_into, decode_floats_within, decode_histograms, decode_ints,
    decode_ints_within, encode_floats, encode_histograms, encode_ints, may_have_holes,
};
use crate::model::{Histogram, ResetHint, Span, absent, is_absent, stale_marker};
use crate::storage::bytes::{FormatError, Reader};
use crate::storage::testing::Random;

fn decode(codec: &PcoCodec, bytes: &[u8], n: usize) -> Result<Vec<f64>, FormatError> {
    let mut out = vec![f64::NAN; n];
    decode_floats_into(codec, bytes, &mut out, &mut FloatScratch::default()).map(|()| out)
}

fn check(name: &str, values: &[f64], most_bytes: usize) {
    let codec = PcoCodec::default();
    let mut out = Vec::new();
    encode_floats(&codec, values, &mut out);
    let back = decode(&PcoCodec::with_header(&codec.header()).unwrap(), &out, values.len())
        .unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!(back.len(), values.len(), "{name}");
    let differs = back.iter().zip(values).position(|(a, b)| a.to_bits() != b.to_bits());
    assert_eq!(differs, None, "{name}");
    check_parts(name, &codec, &out, &back);
    assert!(out.len() <= most_bytes, "{name}: {} bytes, at most {most_bytes} expected", out.len());
    for cut in 0..out.len().min(64) {
        // A record that ends early is an error or, when only padding is gone, the same values; never a panic.
        if let Ok(short) = decode(&codec, &out[..cut], values.len()) {
            assert_eq!(short.len(), values.len(), "{name} cut at {cut}");
        }
    }
}

/// Part of a column is what is there in the whole of it.
fn check_parts(name: &str, codec: &PcoCodec, bytes: &[u8], whole: &[f64]) {
    let n = whole.len();
    let edges = [0, 1, n / 3, n / 2, 127, 128, 129, 255, 256, 257, n.saturating_sub(1), n];
    for from in edges {
        for to in edges.into_iter().filter(|to| (from..=n).contains(to)) {
            let mut part = vec![1.0; to - from];
            let read = decode_floats_within(codec, bytes, n, from..to, &mut part, &mut FloatScratch::default());
            assert_eq!(read, Ok(()), "{name}: {from}..{to}");
            let same = part.iter().zip(&whole[from..to]).all(|(a, b)| a.to_bits() == b.to_bits());
            assert!(same, "{name}: {from}..{to}");
        }
    }
    assert!(may_have_holes(bytes) || !whole.iter().any(|v| is_absent(*v)), "{name}");
}

#[test]
fn float_columns_come_back() {
    let n = 600;
    let column = |f: &dyn Fn(usize) -> f64| (0..n).map(f).collect::<Vec<f64>>();
    let mut random = Random::new(7);
    let noise: Vec<f64> = (0..n).map(|_| random.unit()).collect();
    let payload = f64::from_bits(0x7ff8_dead_beef_0001);
    let cases: &[(&str, Vec<f64>, usize)] = &[
        ("one", vec![1.5], 10),
        ("constant", column(&|_| 42.0), 10),
        ("zero", column(&|_| 0.0), 2),
        ("counter", column(&|i| 1e9 + i as f64), 60),
        ("step", column(&|i| if i < 300 { 1.0 } else { 7.0 }), 16),
        ("seconds", column(&|i| (123_456 + i * 97 + i % 7) as f64 / 100.0), 400),
        ("pages", column(&|i| ((i * 7919) % 1000) as f64 * 4096.0 + 1e9), 800),
        ("noise", noise.clone(), 5000),
        ("sine", column(&|i| (i as f64 / 60.0).sin()), 5400),
        ("negative zero", column(&|i| if i % 2 == 0 { 0.0 } else { -0.0 }), 300),
        ("stale end", column(&|i| if i == 599 { stale_marker() } else { i as f64 }), 80),
        ("stale start", column(&|i| if i < 3 { stale_marker() } else { (i * i) as f64 }), 900),
        ("payloads", column(&|i| if i % 5 == 0 { payload } else { i as f64 }), 4000),
        ("infinities", column(&|i| if i % 2 == 0 { f64::INFINITY } else { f64::NEG_INFINITY }), 2000),
        ("holes", column(&|i| if i % 3 == 1 { absent() } else { i as f64 }), 200),
        ("late", column(&|i| if i < 590 { absent() } else { 3.0 }), 12),
        ("holes and stale", column(&|i| [absent(), 1.0, stale_marker(), f64::NAN][i % 4]), 2000),
        ("huge", column(&|i| 1e300 * (i as f64 + 1.0)), 5400),
        ("tiny", column(&|i| f64::from_bits(i as u64 + 1)), 2400),
        ("short", vec![1.0, 2.5, f64::NAN, -0.0], 40),
    ];
    for (name, values, most) in cases {
        check(name, values, *most);
    }
}

#[test]
fn random_columns_come_back() {
    let mut random = Random::new(11);
    for case in 0..400 {
        let n = 1 + random.below(700) as usize;
        let kinds = 1 + random.below(6);
        let values: Vec<f64> = (0..n)
            .map(|i| match random.below(kinds) {
                0 => i as f64 * 3.0,
                1 => (random.below(1000) as f64) / 100.0,
                2 => absent(),
                3 => stale_marker(),
                4 => f64::from_bits(random.next()),
                _ => random.unit(),
            })
            .chain([1.0])
            .collect();
        check(&format!("case {case}"), &values, 20 + values.len() * 18);
    }
}

#[test]
fn integer_columns_come_back() {
    let mut random = Random::new(3);
    let base = 1_795_300_664_174;
    let cases: Vec<(&str, Vec<i64>, usize)> = vec![
        ("line", (0..600).map(|i| base + i * 1000).collect(), 12),
        ("one", vec![base], 10),
        ("jitter", (0..600).map(|i| base + i * 1000 + i % 3).collect(), 300),
        ("extremes", vec![i64::MIN, i64::MAX, 0, -1, i64::MIN], 80),
        ("zeros", vec![0; 600], 4),
        ("random", (0..300).map(|_| random.next() as i64).collect(), 3100),
    ];
    let codec = PcoCodec::default();
    for (name, values, most) in cases {
        let mut out = Vec::new();
        encode_ints(&codec, &values, &mut out);
        let n = values.len();
        for part in [0..n / 2, n / 3..n, n / 3..n / 2, n - 1..n, n..n] {
            let found = decode_ints_within(&codec, &mut Reader::new(&out), n, &part);
            assert_eq!(found, Ok(values[part.clone()].to_vec()), "{name}: {part:?}");
        }
        assert_eq!(decode_ints(&codec, &mut Reader::new(&out), n), Ok(values), "{name}");
        assert!(out.len() <= most, "{name}: {} bytes", out.len());
    }
}

#[test]
fn histogram_columns_come_back() {
    let plain = Histogram {
        schema: 3,
        zero_threshold: 1e-128,
        zero_count: 2.0,
        count: 17.0,
        sum: 12.25,
        positive_spans: vec![Span { offset: -4, length: 2 }, Span { offset: 3, length: 1 }],
        negative_spans: vec![Span { offset: 0, length: 1 }],
        positive: vec![5.0, 6.0, 1.0],
        negative: vec![3.0],
        custom_values: vec![],
        reset_hint: ResetHint::Unknown,
    };
    let grown = Histogram { count: 20.0, positive: vec![6.0, 8.0, 1.0], sum: 14.0, ..plain.clone() };
    let fractions = Histogram { positive: vec![0.5, -0.0, 1e300], reset_hint: ResetHint::Gauge, ..plain.clone() };
    let stale = Histogram { sum: stale_marker(), ..Histogram::default() };
    let custom = Histogram { schema: -53, custom_values: vec![0.1, 1.0], positive: vec![1.0, 2.0], ..stale.clone() };
    let column: Vec<Option<Arc<Histogram>>> =
        vec![None, Some(plain.clone()), Some(grown), None, Some(fractions), Some(stale), Some(custom), Some(plain)]
            .into_iter()
            .map(|h: Option<Histogram>| h.map(Arc::new))
            .collect();
    let mut out = Vec::new();
    encode_histograms(&column, &mut out);
    let back = decode_histograms(&out, column.len()).unwrap();
    // Debug text tells NaN payloads from one another no better than `==` does: compare the bits of sums apart.
    assert_eq!(format!("{back:?}"), format!("{column:?}"));
    assert_eq!(back[5].as_ref().unwrap().sum.to_bits(), stale_marker().to_bits());
    for cut in 0..out.len() {
        assert!(decode_histograms(&out[..cut], column.len()).is_err(), "cut at {cut}");
    }
}

/// Columns that make the codec choose every one of its encodings.
fn columns_of_every_kind() -> Vec<Vec<f64>> {
    let mut random = Random::new(23);
    let mut wild = || random.next();
    vec![
        vec![7.0; 300],
        (0..300).map(|i| (i / 100) as f64).collect(),
        (0..300).map(|i| (i * 3) as f64).collect(),
        (0..300).map(|i| (wild() % 512 + i) as f64 / 100.0).collect(),
        (0..300).map(|i| if i % 41 == 0 { 1e12 } else { (wild() % 97) as f64 }).collect(),
        (0..300).map(|_| [0.0, 1.0, 2.0, 64.0, 65.0, 1e6][(wild() % 13).min(5) as usize]).collect(),
        (0..300).map(|i| if i % 30 == 0 { f64::NAN } else { i as f64 }).collect(),
        (0..300).map(|i| (f64::from(i) / 60.0).sin()).collect(),
        (0..300).map(|_| f64::from_bits(wild())).collect(),
        (0..300).map(|i| if wild() % 4 == 0 { absent() } else { f64::from(i) }).collect(),
        (0..10).map(|i| f64::from(i * i)).collect(),
        (1..10).map(|i| f64::from(i).sqrt()).collect(),
    ]
}

/// What begins an integer column: how its integers are kept.
fn kinds_of(values: &[i64]) -> u8 {
    let mut out = Vec::new();
    PcoCodec::default().put_ints(values, &mut out);
    out[0]
}

#[test]
fn every_encoding_is_chosen_somewhere() {
    let codec = PcoCodec::default();
    let mut tags = std::collections::BTreeSet::new();
    for column in columns_of_every_kind() {
        let mut out = Vec::new();
        encode_floats(&codec, &column, &mut out);
        tags.insert(out[0] & 0x3f);
        check("every kind", &column, 20 + column.len() * 10);
    }
    assert_eq!(tags.into_iter().collect::<Vec<u8>>(), [0, 1, 2, 3, 4]);
    let mut random = Random::new(5);
    let few: Vec<i64> = (0..2000).map(|_| 1i64 << (random.below(90).min(60))).collect();
    let even: Vec<i64> = (0..600).map(|_| random.below(1024) as i64).collect();
    assert_eq!([kinds_of(&[1, 5, 9]), kinds_of(&few), kinds_of(&even)], [0, 1, 2]);
}

#[test]
fn packed_integers_come_back() {
    let mut random = Random::new(19);
    for case in 0..300 {
        let n = 24 + random.below(600) as usize;
        let width = random.below(56);
        let rare = 1 + random.below(60);
        let values: Vec<i64> = (0..n as i64)
            .map(|i| {
                let low = (random.next() & ((1 << width) - 1)) as i64;
                match random.below(rare) {
                    0 if rare > 8 => low - random.below(1 << 40) as i64,
                    1 if rare > 8 => i64::MAX / 300 - low,
                    _ => low * (case % 3 - 1) + i * (case % 5),
                }
            })
            .collect();
        let codec = PcoCodec::default();
        let mut out = Vec::new();
        codec.put_ints(&values, &mut out);
        let mut back = vec![0; n];
        let mut reader = Reader::new(&out);
        let mut scratch = pco::DecompressorScratch::default();
        codec.ints(&mut reader, n, &(0..n), &mut back, &mut scratch).unwrap();
        assert_eq!(back, values, "case {case}, kind {}", out[0]);
        let from = random.below(n as u64) as usize;
        let part = from..from + random.below((n - from) as u64 + 1) as usize;
        let place = &mut back[part.clone()];
        codec.ints(&mut Reader::new(&out), n, &part, place, &mut scratch).unwrap();
        assert_eq!(back, values, "case {case}, kind {}, {part:?}", out[0]);
        assert!(out[0] == 1 || reader.is_empty(), "case {case}: all of it is read");
    }
}

#[test]
fn garbage_is_an_error_and_never_a_panic() {
    let codec = PcoCodec::default();
    let mut random = Random::new(31);
    let mut scratch = FloatScratch::default();
    let mut try_all = |bytes: &[u8], n: usize| {
        let mut out = vec![0.0; n];
        let floats = decode_floats_into(&codec, bytes, &mut out, &mut scratch).is_err();
        let _ = decode_floats_within(&codec, bytes, n, n / 3..n / 2, &mut out[n / 3..n / 2], &mut scratch);
        let ints = decode_ints(&codec, &mut Reader::new(bytes), n).is_err();
        let _ = decode_ints_within(&codec, &mut Reader::new(bytes), n, &(n / 3..n / 2));
        (floats, ints, decode_histograms(bytes, n).is_err())
    };
    assert_eq!(try_all(&[], 5), (true, true, true));
    let mut errors = 0;
    for case in 0..4000u64 {
        let len = 1 + random.below(80) as usize;
        let mut bytes: Vec<u8> = (0..len).map(|_| random.next() as u8).collect();
        bytes[0] = [case as u8 & 7, random.next() as u8][(case >> 3) as usize & 1];
        let n = 1 + random.below(4096) as usize;
        errors += usize::from(try_all(&bytes, n).0);
    }
    assert!(errors > 2000, "{errors} errors");
    for column in columns_of_every_kind() {
        let mut whole = Vec::new();
        encode_floats(&PcoCodec::default(), &column, &mut whole);
        for _ in 0..400 {
            let mut bytes = whole.clone();
            for _ in 0..=random.below(4) {
                let at = random.below(bytes.len() as u64) as usize;
                bytes[at] ^= 1 << random.below(8);
            }
            bytes.truncate(1 + random.below(2 * bytes.len() as u64).min(bytes.len() as u64) as usize);
            try_all(&bytes, column.len());
        }
    }
}
