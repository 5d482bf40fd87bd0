//! Both servers with the same samples: Prometheus by remote write, ours by a ring that is filled before the daemon starts.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use watchfire::clock::{Clock, ManualClock};
use watchfire::model::{Batch, GroupId, Intern, Irregular, IrregularSample, Labels, Value};
use watchfire::registry::SeriesTable;
use watchfire::storage::{Config, Ring};

use super::ask::{Client, Said};
use super::data::{BASE, STEP, Series, TICKS};
use crate::support::{Spawned, free_port, request, wait_for, write};

/// Milliseconds of samples in one remote write: well within the hour by which samples may lag.
const SLICE: i64 = 600_000;

/// Prometheus with nothing to scrape, filled.
pub(super) fn prometheus(program: &Path, dir: &Path, all: &[Series]) -> (Spawned, String) {
    let config = write(dir, "prometheus.yml", "global: {evaluation_interval: 1m}\n");
    let port = free_port();
    let process = Spawned::start(
        Command::new(program)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", dir.join("data").display()))
            .arg("--storage.tsdb.retention.time=100y")
            .arg("--web.enable-remote-write-receiver")
            .arg(format!("--web.listen-address=127.0.0.1:{port}")),
    );
    let url = format!("http://127.0.0.1:{port}");
    wait_for("Prometheus", Duration::from_secs(60), || {
        request("GET", &format!("{url}/-/ready"), &[], b"").ok().filter(|reply| reply.status == 200)
    });
    let mut client = Client::new(&url);
    let headers = "content-type: application/x-protobuf\r\ncontent-encoding: snappy\r\nx-prometheus-remote-write-version: 0.1.0\r\n";
    let mut from = BASE * 1000;
    while from < (BASE + TICKS * STEP + 60) * 1000 {
        let body = snappy(&write_request(all, from, from + SLICE));
        let (status, said) = client.request("POST", "/api/v1/write", headers, &body).expect("answers");
        assert!(status < 300, "remote write: {status} {}", String::from_utf8_lossy(&said));
        from += SLICE;
    }
    (process, url)
}

/// A `WriteRequest` of Prometheus' remote write protocol, version 1.
fn write_request(all: &[Series], from: i64, until: i64) -> Vec<u8> {
    let mut request = Vec::new();
    for series in all {
        let mut one = Vec::new();
        for (name, value) in &series.labels {
            let mut label = Vec::new();
            field(&mut label, 1, name.as_bytes());
            field(&mut label, 2, value.as_bytes());
            field(&mut one, 1, &label);
        }
        let samples = series.samples.iter().filter(|(ts, _)| (from..until).contains(ts));
        let mut any = false;
        for (ts, value) in samples {
            let mut sample = vec![0x09];
            sample.extend(value.to_bits().to_le_bytes());
            sample.push(0x10);
            varint(&mut sample, *ts as u64);
            field(&mut one, 2, &sample);
            any = true;
        }
        if any {
            field(&mut request, 1, &one);
        }
    }
    request
}

/// A length-delimited protobuf field.
fn field(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    out.push(number << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend(bytes);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Snappy's block format, with nothing compressed: literals only.
fn snappy(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + bytes.len() / 1000 + 16);
    varint(&mut out, bytes.len() as u64);
    for chunk in bytes.chunks(1 << 16) {
        out.push(61 << 2);
        out.extend((chunk.len() as u16).wrapping_sub(1).to_le_bytes());
        out.extend(chunk);
    }
    out
}

/// Fills the ring that the daemon will open: ticks as scrapes write them, the rest as samples with times of their own.
pub(super) fn fill_ring(dir: &Path, all: &[Series]) {
    let table = Arc::<SeriesTable>::default();
    let reference = |series: &Series| {
        let pairs: Vec<(&str, &str)> = series.labels.iter().map(|(name, value)| (&**name, &**value)).collect();
        table.intern_labels(&Labels::from_pairs(&pairs)).expect("has room")
    };
    let (ticked, others): (Vec<_>, Vec<_>) =
        all.iter().map(|series| (reference(series), series)).partition(|(_, series)| series.ticked);
    let clock = Clock::Manual(ManualClock::new((BASE + TICKS * STEP) * 1000));
    let config = Config { path: dir.to_owned(), ..Config::default() };
    let ring = Ring::open(config, clock, table.clone()).expect("opens");
    for tick in 0..TICKS {
        let ts = (BASE + tick * STEP) * 1000 + 500;
        let mut batch = Batch::new(GroupId(1), ts);
        for (reference, series) in &ticked {
            if let Ok(at) = series.samples.binary_search_by_key(&ts, |(ts, _)| *ts) {
                batch.floats.push((*reference, series.samples[at].1));
            }
        }
        ring.append(&batch).expect("appends");
    }
    let sample = |(ts, value): &(i64, f64)| IrregularSample { ts: *ts, start_ts: 0, value: Value::Float(*value) };
    let irregular: Vec<Irregular> = others
        .iter()
        .map(|(series, of)| Irregular { series: *series, samples: of.samples.iter().map(sample).collect() })
        .collect();
    ring.append_irregular(&irregular).expect("appends");
    ring.shutdown().expect("closes");
}

/// Settings of the daemon: it collects nothing and forgets nothing.
pub(super) const OWN_CONFIG: &str =
    "global: {evaluation_interval: 1m}\ncollectors: {enabled: []}\nstorage: {retention: {time: 100y}}\n";

/// How many samples a server has; neither shows stale markers.
pub(super) fn samples(url: &str) -> usize {
    let query = crate::support::encode("{__name__!=\"\"}[2h]");
    match Client::new(url).ask(&format!("query?query={query}&time={}.25", BASE + 7000)) {
        Said::Result { series, .. } => series.iter().map(|(_, points)| points.len()).sum(),
        other => panic!("{url}: {other:?}"),
    }
}
