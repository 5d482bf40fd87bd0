//! The same registry, written by the Go client as protobuf and as OpenMetrics text, must be the same series with the same values.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};

use super::fake::Recorder;
use super::run::{Scrape, Shared};
use super::target::Target;
use super::{ScrapeConfig, TargetGroup};
use crate::clock::Clock;
use crate::model::Intern;
use crate::net::HttpResponse;

const PROTOBUF: &str = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited; escaping=underscores";
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PAGE: &[u8] = include_bytes!("../../../tests/fixtures/client_golang.pb");
const TEXT: &[u8] = include_bytes!("../../../tests/fixtures/client_golang.om");

/// Families that have native buckets, so that protobuf has no classic ones of them.
const NATIVE: [&str; 3] = ["both_seconds", "empty_seconds", "native_seconds"];

struct Taken {
    recorder: Arc<Recorder>,
    scrape: Scrape,
}

impl Taken {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut ScrapeConfig)) -> Self {
        let recorder = Arc::new(Recorder::default());
        let shared = Shared {
            forbidden: Arc::default(),
            client: Arc::default(),
            clock: Clock::System,
            intern: Arc::clone(&recorder) as _,
            output: Arc::clone(&recorder) as _,
            counters: Arc::default(),
        };
        let group = TargetGroup { addresses: vec!["h:1".to_owned()], ..TargetGroup::default() };
        let mut job = ScrapeConfig {
            job_name: "app".to_owned(),
            static_configs: vec![group],
            native_histograms: true,
            ..ScrapeConfig::default()
        };
        change(&mut job);
        let target = Target::all(&[job]).remove(0);
        Self { recorder, scrape: Scrape::new(shared, target) }
    }

    fn read(&mut self, kind: &'static str, page: &'static [u8]) -> Option<String> {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))]);
        let response = HttpResponse { status: StatusCode::OK, headers, body: Bytes::from_static(page) };
        self.scrape.take(&response, 1_000).problem
    }

    fn name(&self, series: crate::model::SeriesRef) -> String {
        let labels = self.recorder.labels(series).expect("held").to_string();
        labels.replace("instance=\"h:1\", job=\"app\"", "T").replace(", T", "")
    }

    fn floats(&self) -> BTreeMap<String, String> {
        let floats = &self.scrape.batch().floats;
        floats.iter().map(|(series, value)| (self.name(*series), value.to_string())).collect()
    }
}

#[test]
fn protobuf_and_text_are_the_same_series() {
    let (mut binary, mut text) = (Taken::new(), Taken::new());
    assert_eq!(binary.read(PROTOBUF, PAGE), None);
    assert_eq!(text.read(OPENMETRICS, TEXT), None);
    let expected: BTreeMap<String, String> = text
        .floats()
        .into_iter()
        .filter(|(name, _)| !NATIVE.iter().any(|native| name.starts_with(native)) && !name.contains("_created"))
        .collect();
    assert_eq!(binary.floats(), expected);
    assert!(expected.len() > 15, "{expected:#?}");
    let exemplars = |taken: &Taken| {
        let list = &taken.scrape.batch().exemplars;
        list.iter().map(|(series, one)| format!("{} {one:?}", taken.name(*series))).collect::<Vec<_>>()
    };
    let classic = |all: Vec<String>| all.into_iter().filter(|one| !one.contains("native_")).collect::<Vec<_>>();
    assert_eq!(classic(exemplars(&binary)).len(), 2, "{:#?}", exemplars(&binary));
    assert_eq!(classic(exemplars(&text)).len(), 2, "{:#?}", exemplars(&text));

    let batch = binary.scrape.batch();
    let names: Vec<String> = batch.histograms.iter().map(|(series, _)| binary.name(*series)).collect();
    assert_eq!(names.len(), 4, "{names:?}");
    let both = batch.histograms.iter().find(|(series, _)| binary.name(*series).starts_with("both_seconds"));
    let both = &both.expect("native").1;
    assert_eq!((both.count, both.sum, both.schema), (251.0, 402_384.375, 0));
    let total: f64 = both.positive.iter().chain(&both.negative).sum::<f64>() + both.zero_count;
    assert_eq!(total, 251.0, "{both:?}");
    // Everything that counts says since when.
    let started = batch.start_ts.len();
    assert!(started > 15 && batch.start_ts.iter().all(|(_, ts)| *ts > 1_700_000_000_000), "{started}");
    // Text says the same of what it has in common with protobuf.
    let starts = |taken: &Taken| -> BTreeMap<String, i64> {
        let batch = taken.scrape.batch();
        let known: Vec<_> = batch.floats.iter().map(|(series, _)| *series).collect();
        let started = batch.start_ts.iter().filter(|(series, _)| known.contains(series));
        started.map(|(series, ts)| (taken.name(*series), *ts)).collect()
    };
    let (in_binary, in_text) = (starts(&binary), starts(&text));
    assert!(in_binary.len() > 10, "{in_binary:?}");
    for (name, ts) in &in_binary {
        assert!(in_text.get(name).is_some_and(|other| (other - ts).abs() <= 1), "{name}: {ts} {in_text:#?}");
    }
    let kinds: Vec<_> = binary.scrape.status().metadata.lock().list();
    let help = kinds.iter().find(|(name, _)| name == "requests_total").map(|(_, meta)| meta.help.clone());
    assert_eq!(help.as_deref(), Some("Requests \\ with\na \"help\"."));
}

#[test]
fn a_second_page_needs_no_label() {
    let mut binary = Taken::new();
    assert_eq!(binary.read(PROTOBUF, PAGE), None);
    let before = binary.recorder.interned.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(binary.read(PROTOBUF, PAGE), None);
    assert_eq!(binary.recorder.interned.load(std::sync::atomic::Ordering::Relaxed), before);
    assert_eq!(binary.scrape.batch().exemplars, []);
}

#[test]
fn damage_fails_the_scrape_with_its_place() {
    let mut binary = Taken::new();
    let problem = binary.read(PROTOBUF, PAGE.split_at(PAGE.len() - 3).0).expect("cut off");
    assert!(problem.starts_with("byte "), "{problem}");
}

#[test]
fn native_histograms_keep_to_the_limits_of_their_job() {
    let schemas = |change: fn(&mut ScrapeConfig)| {
        let mut taken = Taken::with(change);
        let problem = taken.read(PROTOBUF, PAGE);
        let batch = taken.scrape.batch();
        let shape =
            |(_, one): &(_, Arc<crate::model::Histogram>)| (one.schema, one.positive.len() + one.negative.len());
        (problem, batch.histograms.iter().map(shape).collect::<Vec<_>>())
    };
    let (problem, before) = schemas(|_| {});
    assert!(problem.is_none() && before.iter().any(|(_, buckets)| *buckets > 3), "{before:?}");
    let (problem, coarse) = schemas(|job| job.histogram_schema = -1);
    assert!(problem.is_none() && coarse.iter().all(|(schema, _)| *schema <= -1), "{coarse:?}");
    let (problem, few) = schemas(|job| job.histogram_bucket_limit = 6);
    assert_eq!(problem, None, "{before:?}");
    assert!(few.iter().all(|(_, buckets)| *buckets <= 6), "{few:?}");
    let (problem, _) = schemas(|job| job.histogram_bucket_limit = 1);
    assert!(problem.is_some_and(|problem| problem.contains("histogram bucket limit exceeded")));
}

#[test]
fn classic_histograms_of_protobuf_become_native_ones_as_those_of_text() {
    let convert = |job: &mut ScrapeConfig| (job.custom_histograms, job.native_histograms) = (true, false);
    let (mut binary, mut text) = (Taken::with(convert), Taken::with(convert));
    assert_eq!(binary.read(PROTOBUF, PAGE), None);
    assert_eq!(text.read(OPENMETRICS, TEXT), None);
    let shown = |taken: &Taken| -> BTreeMap<String, String> {
        let histograms = &taken.scrape.batch().histograms;
        let line = |one: &crate::model::Histogram| {
            format!("{:?} {:?} {} {}", one.custom_values, one.positive, one.count, one.sum)
        };
        histograms.iter().map(|(series, one)| (taken.name(*series), line(one))).collect()
    };
    assert!(shown(&binary).len() > 1, "{:#?}", shown(&binary));
    assert_eq!(shown(&binary), shown(&text));
    assert!(!binary.floats().keys().any(|name| name.contains("_bucket")));
}
