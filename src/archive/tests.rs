use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, ManualClock};
use crate::model::{IrregularSample, Labels, Matcher, NoSeries, Timestamp, Value, stale_marker};
use crate::storage::{Config, Ring};

use super::{
    ExportFormat, ExportRequest, ImportError, ImportReport, ImportRequest, Manifest, Privacy, Sample, export,
    for_each_series, import,
};

pub(super) const NOW: Timestamp = 1_700_000_000_000;
const FORMATS: [ExportFormat; 3] = [ExportFormat::OpenMetrics, ExportFormat::Csv, ExportFormat::JsonLines];

pub(super) fn ring(dir: &Path) -> Ring {
    let config = Config { path: dir.to_path_buf(), retention_time: Duration::from_secs(1 << 40), ..Config::default() };
    Ring::open(config, Clock::Manual(ManualClock::new(NOW)), Arc::new(NoSeries)).unwrap()
}

pub(super) fn series(pairs: &[(&str, &str)], samples: &[(i64, i64, f64)]) -> (Labels, Vec<IrregularSample>) {
    let sample = |(ts, start_ts, v): &(i64, i64, f64)| IrregularSample {
        ts: NOW + ts,
        start_ts: *start_ts,
        value: Value::Float(*v),
    };
    (Labels::from_pairs(pairs), samples.iter().map(sample).collect())
}

/// Everything that a format might lose.
fn odd() -> Vec<(Labels, Vec<IrregularSample>)> {
    let many: Vec<(i64, i64, f64)> = (0..2500).map(|n| (n * 100 - 250_000, 0, (n as f64).sqrt() / 3.0)).collect();
    vec![
        series(
            &[("__name__", "calls_total"), ("path", "/a\"b\\c\nd,e")],
            &[(-5000, NOW - 9000, 1.0), (-4000, NOW - 9000, 2.5), (-3000, NOW - 3500, 0.1), (-2000, 0, 0.2)],
        ),
        series(&[("__name__", "calls_total"), ("path", "other")], &[(-5000, NOW - 1, 7.0), (-1, NOW - 1, 8.0)]),
        series(
            &[("__name__", "odd")],
            &[
                (-5000, 0, f64::NAN),
                (-4999, 0, f64::INFINITY),
                (-4998, 0, f64::NEG_INFINITY),
                (-4997, 0, -0.0),
                (-4996, 0, stale_marker()),
                (-4995, 0, 5e-324),
                (-4994, 0, f64::MAX),
                (-4993, 0, 0.1 + 0.2),
                (-4992, 0, 123_456_789_012_345_680.0),
            ],
        ),
        series(&[("__name__", "my.métric \"q\""), ("a.b", "ü"), ("Upper", "x")], &[(-5000, 0, 3.0)]),
        series(&[("__name__", "many")], &many),
        // Windows apart, before 1970 too.
        series(&[("__name__", "old")], &[(-NOW - 1001, 0, 1.0), (-86_400_000, 0, 2.0), (0, 0, 3.0)]),
    ]
}

fn all(ring: &Ring) -> Vec<(String, i64, i64, u64)> {
    let mut found = Vec::new();
    let each = &mut |labels: &Labels, samples: &[Sample]| {
        for sample in samples {
            let bits = sample.value.as_float().unwrap().to_bits();
            found.push((labels.to_string(), sample.ts, sample.start_ts, bits));
        }
        Ok::<_, crate::storage::StorageError>(())
    };
    for_each_series(ring, &[], (Timestamp::MIN, Timestamp::MAX), each).unwrap();
    found
}

pub(super) fn request(format: ExportFormat, out: &Path) -> ExportRequest {
    ExportRequest {
        format,
        selectors: Vec::new(),
        from: None,
        to: None,
        privacy: Privacy::default(),
        out: Some(out.to_path_buf()),
        now: NOW,
        generator: "watchfire test".to_owned(),
    }
}

pub(super) fn write(ring: &Ring, request: &ExportRequest) -> Manifest {
    export(ring, request, &mut Vec::new(), &mut |_, _| {}).unwrap()
}

pub(super) fn read(ring: &Ring, files: &[PathBuf], dir: &Path) -> Result<ImportReport, ImportError> {
    let request = ImportRequest {
        files: files.to_vec(),
        format: None,
        oldest: Timestamp::MIN,
        newest: NOW + 1,
        temp_dir: dir.to_path_buf(),
        size_bytes: 1 << 30,
        window_ms: 600_000,
    };
    import(ring, &request, &mut |_| {})
}

#[test]
fn what_is_exported_comes_back_bit_by_bit() {
    let dir = tempfile::tempdir().unwrap();
    let source = ring(&dir.path().join("source"));
    let mut expected_samples = 0;
    for (labels, samples) in odd() {
        expected_samples += samples.len() as u64;
        assert_eq!(source.insert_history(vec![(labels, samples)]).unwrap().duplicates, 0);
    }
    let expected = all(&source);
    assert_eq!(expected.len() as u64, expected_samples);
    for format in FORMATS {
        let place = dir.path().join(format.name());
        let out = place.join(format!("export.{}", format.extension()));
        let manifest = write(&source, &request(format, &out));
        assert_eq!((manifest.series, manifest.samples), (6, expected_samples), "{format:?}");
        assert_eq!(manifest.left_out, Default::default(), "{format:?}");
        let target = ring(&place.join("ring"));
        let report = read(&target, std::slice::from_ref(&out), &place).unwrap();
        assert_eq!((report.samples, report.series, report.duplicates), (expected_samples, 6, 0), "{format:?}");
        for (found, expected) in all(&target).iter().zip(&expected) {
            assert_eq!(found, expected, "{format:?}");
        }
        assert_eq!(all(&target).len(), expected.len());
        // A second time nothing is new.
        let again = read(&target, &[out], &place).unwrap();
        assert_eq!((again.samples, again.duplicates), (0, expected_samples), "{format:?}");
    }
}

#[test]
fn bounds_and_selectors_limit_an_export() {
    let dir = tempfile::tempdir().unwrap();
    let source = ring(&dir.path().join("source"));
    source.insert_history(odd()).unwrap();
    let mut request = request(ExportFormat::Csv, &dir.path().join("out/"));
    request.out = Some(PathBuf::from(format!("{}/out/", dir.path().display())));
    request.selectors = vec![vec![Matcher::equal("__name__", "odd")], vec![Matcher::equal("path", "other")]];
    request.from = Some(NOW - 4999);
    let manifest = write(&source, &request);
    assert_eq!((manifest.series, manifest.samples, manifest.min_time_ms), (2, 9, Some(NOW - 4999)));
    assert_eq!(manifest.selectors, [r#"{__name__="odd"}"#, r#"{path="other"}"#]);
    let text = std::fs::read_to_string(dir.path().join("out/export.csv")).unwrap();
    assert!(text.contains("odd,{},1699999995004,stale,\n"), "{text}");
    let refused = export(&source, &request, &mut Vec::new(), &mut |_, _| {}).unwrap_err();
    assert!(refused.to_string().contains("is there already"), "{refused}");
}

#[test]
fn a_folded_group_is_the_sum_of_its_members() {
    let dir = tempfile::tempdir().unwrap();
    let source = ring(&dir.path().join("source"));
    let users = ["ann", "bob"]
        .map(|user| series(&[("__name__", "tokens_total"), ("user", user)], &[(-2000, 0, 1.0), (-1000, 0, 2.0)]));
    source.insert_history(users.to_vec()).unwrap();
    let mut request = request(ExportFormat::OpenMetrics, dir.path());
    request.out = None;
    request.selectors = vec![vec![Matcher::equal("user", "ann")], Vec::new()];
    request.privacy = Privacy::new(&["user".to_owned()], 5).unwrap();
    let mut out = Vec::new();
    let manifest = export(&source, &request, &mut out, &mut |_, _| {}).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("tokens_total{user=\"other\"} 2 1699999998\n"), "{text}");
    assert!(text.contains("tokens_total{user=\"other\"} 4 1699999999\n# EOF"), "{text}");
    let shown = serde_json::to_string(&manifest).unwrap();
    assert!(!text.contains("ann") && !shown.contains("ann"), "{shown}");
    assert_eq!((manifest.series, manifest.redactions.series_folded), (1, 2));
}

#[test]
fn bad_lines_are_refused_with_their_place() {
    let dir = tempfile::tempdir().unwrap();
    let target = ring(&dir.path().join("ring"));
    let cases = [
        ("a.om", "up 1 1699999999\nup 1\n# EOF\n", "a.om:2: expected a timestamp in seconds"),
        ("b.om", "up 1 1699999999\n", "b.om:2: expected # EOF"),
        ("c.om", "up{a=\"1} 1 1\n# EOF\n", "c.om:1: expected a closing quote"),
        ("d.csv", "metric,value\n", "d.csv:1: expected a header"),
        ("e.csv", "metric,timestamp_ms,value\nup,1699999999000,1\nup,soon,1\n", "e.csv:3: expected whole milliseconds"),
        ("f.csv", "metric,timestamp_ms,value\nup,1\n", "f.csv:2: expected 3 fields"),
        ("g.jsonl", "\n{\"metric\":{}}\n", "g.jsonl:2: expected {\"metric\""),
        ("h.jsonl", "{\"metric\":{\"a\":\"b\"},\"timestamps\":[1],\"values\":[]}\n", "as many values"),
        ("i.parquet", "", "say --format"),
        ("j.om", "\u{0}\n", "j.om:1: expected"),
    ];
    for (name, text, expected) in cases {
        let file = dir.path().join(name);
        std::fs::write(&file, text).unwrap();
        let error = read(&target, &[file], dir.path()).unwrap_err().to_string();
        assert!(error.contains(expected), "{name}: {error}");
    }
    assert_eq!(all(&target), []);
}

#[test]
fn samples_out_of_bounds_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let target = ring(&dir.path().join("ring"));
    let file = dir.path().join("x.csv");
    let text =
        "host,value,timestamp_ms,metric\na,1,5,up\na,2,1699999999000,up\na,3,1799999999000,up\na,9,1699999999000,up\n";
    std::fs::write(&file, text).unwrap();
    let mut request = ImportRequest {
        files: vec![file],
        format: None,
        oldest: 6,
        newest: NOW,
        temp_dir: dir.path().to_path_buf(),
        size_bytes: 1 << 30,
        window_ms: 600_000,
    };
    let report = import(&target, &request, &mut |_| {}).unwrap();
    let counts = (report.samples, report.duplicates, report.too_old, report.too_far_ahead);
    assert_eq!(counts, (1, 1, 1, 1));
    assert_eq!(all(&target), [(r#"up{host="a"}"#.to_owned(), NOW - 1000, 0, 2.0f64.to_bits())]);
    request.size_bytes = 1;
    assert!(matches!(import(&target, &request, &mut |_| {}), Err(ImportError::Full { .. })));
}
