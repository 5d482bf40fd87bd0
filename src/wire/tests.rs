use super::encode::{Wire, family, label};
use super::{FamilyHead, FamilySink, Histograms, Point, Sampled, is_protobuf, read_families};
use crate::model::{Histogram, ResetHint};

#[derive(Default)]
struct Lines(Vec<String>);

impl Lines {
    fn add(&mut self, point: &Point<'_>, value: &str, sampled: &Sampled<'_>) {
        let labels: Vec<String> = point.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut line = format!("{}{}[{}]", point.family, point.suffix, labels.join("|"));
        if let Some((name, bound)) = point.bound {
            line.push_str(&format!(" {name}={bound}"));
        }
        line.push_str(&format!(" {value}"));
        if let Some(ts) = sampled.ts {
            line.push_str(&format!(" @{ts}"));
        }
        if let Some(ts) = sampled.start_ts {
            line.push_str(&format!(" since {ts}"));
        }
        for exemplar in sampled.exemplars {
            line.push_str(&format!(" # {:?} {} {:?}", exemplar.labels, exemplar.value, exemplar.ts));
        }
        self.0.push(line);
    }
}

impl FamilySink for Lines {
    fn family(&mut self, head: &FamilyHead<'_>) {
        self.0.push(format!("{} {} {:?} {:?}", head.name, head.kind.as_str(), head.help, head.unit));
    }

    fn float(&mut self, point: &Point<'_>, value: f64, sampled: &Sampled<'_>) -> Result<(), String> {
        if point.family == "refused" {
            return Err("expected something else".to_owned());
        }
        self.add(point, &value.to_string(), sampled);
        Ok(())
    }

    fn histogram(&mut self, point: &Point<'_>, value: Histogram, sampled: &Sampled<'_>) -> Result<(), String> {
        self.add(point, &shown(&value), sampled);
        Ok(())
    }
}

fn shown(value: &Histogram) -> String {
    let spans = |spans: &[crate::model::Span]| {
        spans.iter().map(|span| format!("{}+{}", span.offset, span.length)).collect::<Vec<_>>().join(",")
    };
    let mut text = format!("schema {} count {} sum {}", value.schema, value.count, value.sum);
    text.push_str(&format!(" zero {}@{}", value.zero_count, value.zero_threshold));
    text.push_str(&format!(" pos {} {:?}", spans(&value.positive_spans), value.positive));
    text.push_str(&format!(" neg {} {:?}", spans(&value.negative_spans), value.negative));
    if !value.custom_values.is_empty() {
        text.push_str(&format!(" bounds {:?}", value.custom_values));
    }
    if value.reset_hint == ResetHint::Gauge {
        text.push_str(" gauge");
    }
    text
}

fn check(page: &[u8]) -> String {
    let mut lines = Lines::default();
    match read_families(page, Histograms::NATIVE, &mut lines) {
        Ok(_) => lines.0.join("\n"),
        Err(error) => format!("ERROR {error}"),
    }
}

fn new() -> Wire {
    Wire::default()
}

/// A metric of one field.
fn metric(number: u32, body: Wire) -> Wire {
    new().message(number, body)
}

fn stamp(seconds: i64, nanos: u64) -> Wire {
    new().uint(1, seconds.cast_unsigned()).uint(2, nanos)
}

fn span(offset: i64, length: u64) -> Wire {
    new().sint(1, offset).uint(2, length)
}

#[test]
fn simple_types() {
    let exemplar = new().message(1, label("t", "x")).double(2, 0.5).message(3, stamp(7, 250_000_000));
    let cases = [
        (Vec::new(), ""),
        (family("up", 1, &[metric(2, new().double(1, 1.0))]), "up gauge \"\" \"\"\nup[] 1"),
        (
            family(
                "a_total",
                0,
                &[metric(3, new().double(1, 2.0).message(2, exemplar).message(3, stamp(5, 0)))
                    .message(1, label("b", "c"))
                    .message(1, label("d", ""))
                    .uint(6, 1234)],
            ),
            "a_total counter \"\" \"\"\na_total[b=c|d=] 2 @1234 since 5000 # [(\"t\", \"x\")] 0.5 Some(7250)",
        ),
        (family("u", 3, &[metric(5, new().double(1, f64::NAN))]), "u unknown \"\" \"\"\nu[] NaN"),
        (
            family(
                "s",
                2,
                &[metric(4, new().uint(1, 3).double(2, 1.5).message(3, new().double(1, 0.5).double(2, 0.25)))],
            ),
            "s summary \"\" \"\"\ns_count[] 3\ns_sum[] 1.5\ns[] quantile=0.5 0.25",
        ),
        // The type behind the metric, unknown fields of every wire type, a value that is left out.
        (
            new()
                .bytes(1, b"g")
                .message(4, metric(2, new()))
                .uint(3, 1)
                .bytes(2, b"help\n")
                .bytes(5, b"s")
                .uint(99, 1)
                .double(98, 1.0)
                .bytes(97, b"x")
                .delimited(),
            "g gauge \"help\\n\" \"s\"\ng[] 0",
        ),
        (
            family("t", 1, &[metric(2, new().double(1, 1.0)).uint(6, (-5i64).cast_unsigned())]),
            "t gauge \"\" \"\"\nt[] 1 @-5",
        ),
    ];
    for (page, expected) in cases {
        assert_eq!(check(&page), expected);
    }
}

#[test]
fn histograms() {
    let bucket = |count, bound| new().uint(1, count).double(2, bound);
    let base = || new().uint(1, 6).double(2, 9.5);
    let delta = |wire: Wire, number, deltas: &[i64]| deltas.iter().fold(wire, |wire, delta| wire.sint(number, *delta));
    let packed = |values: &[f64]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let cases = [
        (base().message(3, bucket(2, 1.0)), "h_count[] 6\nh_sum[] 9.5\nh_bucket[] le=1 2\nh_bucket[] le=inf 6"),
        (
            base().message(3, bucket(2, 1.0)).message(3, bucket(6, f64::INFINITY)).double(4, 6.5),
            "h_count[] 6.5\nh_sum[] 9.5\nh_bucket[] le=1 2\nh_bucket[] le=inf 6",
        ),
        // Integers as differences, one by one; a negative side; the zero bucket; classic buckets beside are left out.
        (
            delta(delta(base(), 13, &[1, 1, -1]), 10, &[1])
                .sint(5, 3)
                .double(6, 0.001)
                .uint(7, 1)
                .message(12, span(-2, 2))
                .message(12, span(3, 1))
                .message(9, span(1, 1))
                .message(3, bucket(2, 1.0))
                .message(15, stamp(1, 0)),
            "h[] schema 3 count 6 sum 9.5 zero 1@0.001 pos -2+2,3+1 [1.0, 2.0, 1.0] neg 1+1 [1.0] since 1000",
        ),
        // Floats, packed.
        (
            new()
                .double(4, 3.5)
                .double(2, 1.0)
                .sint(5, -4)
                .double(8, 0.5)
                .message(12, span(0, 2))
                .bytes(14, &packed(&[1.0, 2.0])),
            "h[] schema -4 count 3.5 sum 1 zero 0.5@0 pos 0+2 [1.0, 2.0] neg  []",
        ),
        // Differences, packed.
        (
            base().sint(5, 0).message(12, span(0, 2)).bytes(13, &[12, 11]),
            "h[] schema 0 count 6 sum 9.5 zero 0@0 pos 0+2 [6.0, 0.0] neg  []",
        ),
        // Observations of NaN stand in no bucket.
        (
            new().uint(1, 6).double(2, f64::NAN).sint(5, 0).message(12, span(0, 1)).bytes(13, &[10]),
            "h[] schema 0 count 6 sum NaN zero 0@0 pos 0+1 [5.0] neg  []",
        ),
        // A client without observations says with an empty span that it is native.
        (new().uint(1, 0).message(12, span(0, 0)), "h[] schema 0 count 0 sum 0 zero 0@0 pos  [] neg  []"),
        // Listed bounds.
        (
            base()
                .sint(5, -53)
                .message(3, bucket(2, 1.0))
                .message(3, bucket(3, 2.5))
                .message(12, span(0, 3))
                .bytes(13, &[4, 3, 8]),
            "h[] schema -53 count 6 sum 9.5 zero 0@0 pos 0+3 [2.0, 0.0, 4.0] neg  [] bounds [1.0, 2.5]",
        ),
    ];
    for (body, expected) in cases {
        let found = check(&family("h", 4, &[metric(7, body.clone())]));
        assert_eq!(found, format!("h histogram \"\" \"\"\n{expected}"));
        let gauge = check(&family("h", 5, &[metric(7, body)]));
        assert!(
            gauge.starts_with("h gaugehistogram")
                && gauge.ends_with(" gauge") == (expected.contains("schema") && !expected.contains("since"))
        );
    }
}

#[test]
fn both_kinds_of_buckets() {
    let bucket = |count, bound| new().uint(1, count).double(2, bound);
    let body =
        new().uint(1, 6).double(2, 9.5).message(3, bucket(2, 1.0)).sint(5, 0).message(12, span(0, 1)).bytes(13, &[12]);
    let page = family("h", 4, &[metric(7, body)]);
    let native = "h[] schema 0 count 6 sum 9.5 zero 0@0 pos 0+1 [6.0] neg  []";
    let classic = "h_count[] 6\nh_sum[] 9.5\nh_bucket[] le=1 2\nh_bucket[] le=inf 6";
    for (wanted, expected) in [
        (Histograms::CLASSIC, classic.to_owned()),
        (Histograms::NATIVE, native.to_owned()),
        (Histograms::BOTH, format!("{native}\n{classic}")),
    ] {
        let mut lines = Lines::default();
        let samples = read_families(&page, wanted, &mut lines).expect("good");
        assert_eq!(lines.0[1..].join("\n"), expected);
        assert_eq!(samples, lines.0.len() - 1);
    }
}

/// As in Prometheus.
#[test]
fn a_value_that_is_not_there_or_of_another_type_is_0() {
    let value = || new().double(1, 1.0);
    for (page, expected) in [
        (family("a", 1, &[metric(3, value())]), "a[] 0"),
        (family("a", 0, &[new(), metric(3, value())]), "a[] 0\na[] 1"),
        (family("a", 2, &[new()]), "a_count[] 0\na_sum[] 0"),
        (family("a", 3, &[new()]), "a[] 0"),
        (family("a", 4, &[metric(2, value())]), "a_count[] 0\na_sum[] 0\na_bucket[] le=inf 0"),
    ] {
        let mut lines = Lines::default();
        read_families(&page, Histograms::CLASSIC, &mut lines).expect("good");
        assert_eq!(lines.0[1..].join("\n"), expected);
    }
}

#[test]
fn damage_is_named_with_its_byte() {
    let histogram = |body: Wire| family("h", 4, &[metric(7, body)]);
    let value = || new().double(1, 1.0);
    let two = || new().message(12, span(0, 2));
    let cases = [
        (vec![5], "byte 1: expected 5 bytes, 0 are left"),
        (vec![0x80], "byte 0: the page ends within a number"),
        (vec![0xff; 12], "byte 0: expected a number of 64 bits"),
        (vec![1, 0x0b], "byte 1: expected a wire type of 0, 1, 2 or 5, found 3"),
        (vec![1, 0x00], "byte 1: expected the number of a field"),
        (vec![2, 0x0a, 9], "byte 3: expected 9 bytes, 0 are left"),
        (vec![3, 0x0a, 1, 0xff], "byte 3: expected UTF-8"),
        (family("", 1, &[]), "byte 1: expected a family with a name"),
        (family("a", 9, &[]), "byte 4: expected a type of 0 to 5, found 9"),
        (family("refused", 1, &[metric(2, value())]), "byte 12: refused: expected something else"),
        (family("a", 1, &[metric(2, new().uint(1, 1))]), "byte 10: expected a double in field 1"),
        (family("a", 1, &[metric(2, value()).message(1, label("", "x"))]), "byte 19: expected a label with a name"),
        (histogram(two()), "byte 6: h: expected 2 positive buckets, as its spans say, found 0"),
        (histogram(new().message(12, span(0, u64::from(u32::MAX)))), "byte 6: h: expected 4294967295 positive buckets"),
        (histogram(two().sint(5, 9).bytes(13, &[2, 2])), "byte 6: h: expected a schema of -4 to 8, or -53, found 9"),
        (histogram(two().bytes(13, &[2, 5])), "byte 6: h: expected positive counts of 0 or more"),
        (histogram(two().message(12, span(-1, 0)).bytes(13, &[2, 2])), "byte 6: h: expected positive spans in order"),
        (
            histogram(new().message(12, span(i64::from(i32::MAX), 1)).bytes(13, &[2])),
            "byte 6: h: expected positive buckets whose numbers fit 32 bits",
        ),
        (histogram(two().double(8, 1.0).double(14, 1.0).double(14, -1.0)), "byte 6: h: expected positive counts of 0"),
        (histogram(two().bytes(13, &[2, 2])), "byte 6: h: expected buckets that add up to the count of 0, found 3"),
        (
            histogram(two().uint(1, 4).bytes(13, &[2, 2])),
            "byte 6: h: expected buckets that add up to the count of 4, found 3",
        ),
        (histogram(two().sint(5, -53).bytes(13, &[2, 2])), "byte 6: h: expected buckets within 0 bounds"),
        (histogram(two().sint(5, i64::from(i32::MAX) + 1)), "expected a number of 32 bits"),
        (
            family("a", 0, &[metric(3, value().message(3, stamp(i64::MAX, 0)))]),
            "expected a timestamp of seconds and nanoseconds",
        ),
        (
            family("a", 1, &[(0..600).fold(metric(2, value()), |metric, _| metric.message(1, label("l", "x")))]),
            "expected at most 512 labels",
        ),
    ];
    for (page, expected) in cases {
        let found = check(&page);
        let bare = expected.strip_prefix("byte").is_none();
        let good = if bare { found.contains(expected) } else { found.starts_with(&format!("ERROR {expected}")) };
        assert!(good, "{found}\nexpected: {expected}");
    }
}

#[test]
fn content_types() {
    let cases = [
        ("application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited", true),
        (
            "application/vnd.google.protobuf;encoding=\"delimited\";proto=\"io.prometheus.client.MetricFamily\";escaping=values",
            true,
        ),
        ("application/vnd.google.protobuf", true),
        ("application/vnd.google.protobuf; encoding=text", false),
        ("application/vnd.google.protobuf; proto=other", false),
        ("application/openmetrics-text; version=1.0.0", false),
        ("", false),
    ];
    for (text, expected) in cases {
        assert_eq!(is_protobuf(text), expected, "{text}");
    }
}

/// What the Go client wrote: the same registry as protobuf and, beside, as OpenMetrics text.
const REAL: &[u8] = include_bytes!("../../tests/fixtures/client_golang.pb");

#[test]
fn every_cut_of_a_real_page_is_an_error_with_a_place() {
    let whole = check(REAL);
    assert!(!whole.starts_with("ERROR"), "{whole}");
    let mut ends = vec![0];
    let mut lines = Lines::default();
    for cut in 0..REAL.len() {
        lines.0.clear();
        match read_families(&REAL[..cut], Histograms::NATIVE, &mut lines) {
            // A page may end between two families.
            Ok(_) => ends.push(cut),
            Err(error) => assert!(error.offset <= cut, "{cut}: {error}"),
        }
    }
    assert!(ends.len() <= 10, "{ends:?}");
}

#[test]
fn random_bytes_and_mutations_do_no_harm() {
    let mut state = 42u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) as usize) % below.max(1)
    };
    let mut refused = 0;
    for round in 0..20_000 {
        let page: Vec<u8> = if round % 2 == 0 {
            (0..random(300)).map(|_| random(256) as u8).collect()
        } else {
            let mut page = REAL.to_vec();
            for _ in 0..=random(4) {
                let at = random(page.len());
                match random(4) {
                    0 => page[at] = random(256) as u8,
                    1 => page.truncate(at),
                    2 => page.insert(at, random(256) as u8),
                    _ => {
                        page.remove(at);
                    }
                }
                if page.is_empty() {
                    break;
                }
            }
            page
        };
        let mut lines = Lines::default();
        match read_families(&page, Histograms::BOTH, &mut lines) {
            Ok(samples) => assert!(samples <= page.len()),
            Err(error) => {
                refused += 1;
                assert!(error.offset <= page.len(), "{error}");
            }
        }
    }
    assert!(refused > 10_000, "{refused}");
}
