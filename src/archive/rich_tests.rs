//! Exemplars and native histograms through export and import.

use std::sync::Arc;

use crate::model::{
    CUSTOM_BUCKETS_SCHEMA, Exemplar, Histogram, IrregularSample, Labels, ResetHint, Span, Timestamp, Value,
    stale_marker,
};
use crate::storage::{ExemplarSeries, Querier, Ring, StorageError};

use super::tests::{NOW, read, request, ring, series, write};
use super::{ExportFormat, Privacy, Sample, for_each_series};

fn histograms() -> (Labels, Vec<IrregularSample>) {
    let spans =
        |list: &[(i32, u32)]| list.iter().map(|(offset, length)| Span { offset: *offset, length: *length }).collect();
    let full = Histogram {
        schema: 3,
        zero_threshold: 2.938735877055719e-39,
        zero_count: 0.5,
        count: 12.25,
        sum: -0.0,
        positive_spans: spans(&[(-3, 2), (1, 1)]),
        positive: vec![1.0, 0.1 + 0.2, f64::INFINITY],
        negative_spans: spans(&[(0, 1)]),
        negative: vec![f64::NAN],
        custom_values: vec![],
        reset_hint: ResetHint::Gauge,
    };
    let custom = Histogram {
        schema: CUSTOM_BUCKETS_SCHEMA,
        count: 2.0,
        sum: f64::NEG_INFINITY,
        positive_spans: spans(&[(0, 2)]),
        positive: vec![1.0, 1.0],
        custom_values: vec![0.1, 5e-324],
        reset_hint: ResetHint::NotReset,
        ..Histogram::default()
    };
    let stale = Histogram { sum: f64::from_bits(stale_marker().to_bits()), ..Histogram::default() };
    let reset = Histogram { reset_hint: ResetHint::Reset, ..Histogram::default() };
    let one = |(at, histogram): (usize, Histogram)| IrregularSample {
        ts: NOW - 9000 + at as i64 * 1000,
        start_ts: if at < 2 { NOW - 10_000 } else { 0 },
        value: Value::Histogram(Arc::new(histogram)),
    };
    let mut samples: Vec<IrregularSample> = [full, custom, stale, reset].into_iter().enumerate().map(one).collect();
    samples.push(IrregularSample { ts: NOW - 1000, start_ts: 0, value: Value::Float(1.5) });
    (Labels::from_pairs(&[("__name__", "native_seconds"), ("job", "a")]), samples)
}

type Given<'a> = (i64, f64, &'a [(&'a str, &'a str)]);

/// A series with exemplars.
fn exemplars(pairs: &[(&str, &str)], list: &[Given<'_>]) -> ExemplarSeries {
    let one = |(ts, value, labels): &Given<'_>| {
        let ts = NOW + ts;
        (ts, Exemplar { labels: Labels::from_pairs(labels), value: *value, ts: Some(ts) })
    };
    ExemplarSeries { labels: Labels::from_pairs(pairs), exemplars: list.iter().map(one).collect() }
}

fn fill(ring: &Ring) {
    let samples = [(-5000, 0, 1.0), (-4000, 0, 2.0), (-3000, 0, 3.0)];
    let mut all = vec![histograms()];
    // The first series of a family need not have any.
    all.push(series(&[("__name__", "calls_total")], &samples));
    all.push(series(&[("__name__", "calls_total"), ("user", "ann")], &samples));
    all.push(series(&[("__name__", "x_seconds_bucket"), ("le", "0.5")], &samples));
    all.push(series(&[("__name__", "depth")], &samples));
    let trace: &[(&str, &str)] = &[("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736"), ("q", "a\"b\\c\nd"), ("ü.x", "é")];
    let given = vec![
        exemplars(&[("__name__", "calls_total"), ("user", "ann")], &[(-4999, 0.1 + 0.2, trace), (-10, 3.0, &[])]),
        // More at the end than there are lines.
        exemplars(
            &[("__name__", "x_seconds_bucket"), ("le", "0.5")],
            &[
                (-6000, f64::NAN, &[("user", "bob")]),
                (-3500, f64::INFINITY, &[]),
                (-3500, 1.0, &[("a", "")]),
                (-2000, 1.0, &[("a", "b")]),
            ],
        ),
        exemplars(&[("__name__", "depth")], &[(-3500, 7.0, trace)]),
    ];
    let done = ring.insert_history_with(all, given).unwrap();
    assert_eq!((done.samples, done.exemplars), (17, 7));
}

/// All samples and exemplars as text; floats by their bits.
fn everything(ring: &Ring) -> Vec<String> {
    let mut found = Vec::new();
    let each = &mut |labels: &Labels, samples: &[Sample]| {
        for sample in samples {
            let value = match &sample.value {
                Value::Float(value) => format!("{:x}", value.to_bits()),
                Value::Histogram(h) => format!("{h:?} {:x}", h.sum.to_bits()),
            };
            found.push(format!("{labels} {} {} {value}", sample.ts, sample.start_ts));
        }
        Ok::<_, StorageError>(())
    };
    for_each_series(ring, &[], (Timestamp::MIN, Timestamp::MAX), each).unwrap();
    for series in ring.exemplars(&[], Timestamp::MIN, Timestamp::MAX).unwrap() {
        for (ts, exemplar) in series.exemplars {
            found.push(format!("{} # {} {ts} {:x}", series.labels, exemplar.labels, exemplar.value.to_bits()));
        }
    }
    found
}

#[test]
fn each_format_brings_back_what_it_can_hold_and_counts_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let source = ring(&dir.path().join("source"));
    fill(&source);
    let all = everything(&source);
    assert_eq!(all.len(), 8 + 9 + 7);
    // Format, histograms and exemplars left out, and what the lines have that are missing.
    let cases = [(ExportFormat::JsonLines, 0, 0), (ExportFormat::OpenMetrics, 4, 2), (ExportFormat::Csv, 4, 7)];
    for (format, histograms, exemplars) in cases {
        let place = dir.path().join(format.name());
        let out = place.join(format!("export.{}", format.extension()));
        let manifest = write(&source, &request(format, &out));
        let text = std::fs::read_to_string(&out).unwrap();
        assert_eq!((manifest.left_out.histograms, manifest.left_out.exemplars), (histograms, exemplars), "{text}");
        assert_eq!((manifest.samples, manifest.exemplars), (17 - histograms, 7 - exemplars), "{format:?}");
        let target = ring(&place.join("ring"));
        let report = read(&target, std::slice::from_ref(&out), &place).unwrap();
        assert_eq!((report.samples, report.exemplars), (manifest.samples, manifest.exemplars), "{text}");
        let back = everything(&target);
        let missing: Vec<&String> = all.iter().filter(|line| !back.contains(line)).collect();
        assert_eq!(missing.len() as u64, histograms + exemplars, "{missing:#?}");
        assert_eq!(back.len() + missing.len(), all.len());
        assert!(missing.iter().all(|line| line.contains("Histogram") || line.contains('#')), "{missing:#?}");
        // Nothing is there twice.
        let again = read(&target, &[out], &place).unwrap();
        assert_eq!((again.samples, again.exemplars, everything(&target)), (0, 0, back));
    }
}

#[test]
fn labels_of_exemplars_are_redacted_and_folds_have_none() {
    let dir = tempfile::tempdir().unwrap();
    let source = ring(&dir.path().join("source"));
    fill(&source);
    for format in [ExportFormat::JsonLines, ExportFormat::OpenMetrics] {
        let mut request = request(format, dir.path());
        request.out = None;
        request.privacy = Privacy::new(&["user".to_owned()], 5).unwrap();
        let mut out = Vec::new();
        let manifest = super::export(&source, &request, &mut out, &mut |_, _| {}).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(!text.contains("ann") && !text.contains("bob"), "{text}");
        assert!(text.contains("\"redacted-"), "{text}");
        // The group of ann alone is folded: its exemplars would tell of her.
        assert_eq!(manifest.left_out.exemplars, if format == ExportFormat::JsonLines { 2 } else { 4 });
        assert_eq!((manifest.redactions.values_replaced, manifest.redactions.labels), (2, vec!["user".to_owned()]));
    }
}

#[test]
fn bad_histograms_and_exemplars_are_refused_with_their_place() {
    let dir = tempfile::tempdir().unwrap();
    let target = ring(&dir.path().join("ring"));
    let cases = [
        (r#""timestamps":[1],"histograms":[{"positive_spans":[[0,2]],"positive":[1]}]"#, "as many buckets"),
        (r#""timestamps":[1],"histograms":[{"reset":"maybe"}]"#, "as reset, found \"maybe\""),
        (r#""timestamps":[1],"histograms":[{"colour":1}]"#, "unknown field `colour`"),
        (r#""timestamps":[1],"histograms":[{}],"values":[1]"#, "found both"),
        (r#""timestamps":[1,2],"histograms":[{}]"#, "as many values"),
        (r#""exemplars":[{"labels":{},"value":true,"timestamp":1}]"#, "expected numbers"),
        (r#""exemplars":[{"value":1,"timestamp":1}]"#, "missing field `labels`"),
    ];
    for (text, expected) in cases {
        let file = dir.path().join("x.jsonl");
        std::fs::write(&file, format!("{{\"metric\":{{\"a\":\"b\"}},{text}}}\n")).unwrap();
        let error = read(&target, &[file], dir.path()).unwrap_err().to_string();
        assert!(error.contains("x.jsonl:1: ") && error.contains(expected), "{text}: {error}");
    }
    let file = dir.path().join("x.om");
    let long = "x".repeat(128);
    std::fs::write(&file, format!("a_total 1 1 # {{y=\"{long}\"}} 1 1\na_total 2 2 # {{}} 1\n# EOF\n")).unwrap();
    let report = read(&target, &[file], dir.path()).unwrap();
    assert_eq!((report.samples, report.exemplars, report.exemplars_refused), (2, 1, 1));
    let found = target.exemplars(&[], 0, NOW).unwrap();
    assert_eq!(found[0].exemplars, exemplars(&[], &[(2000 - NOW, 1.0, &[])]).exemplars);
}
