//! The same samples in Debian's Prometheus and in watchfire, and the same questions to both.
//!
//! Both scrape one page whose samples carry their timestamps. The questions are in `tests/fixtures/differential.promql`.
//! Prometheus 2.42 speaks the language's second version. Where the third one means something else, the questions keep away:
//! they are asked a quarter of a second after whole ones while the samples lie on the half, because ranges, subqueries and the
//! lookback are closed on the left there and open here ([`LEFT_OPEN`] checks that on purpose); counters start high, because a
//! window that begins long before a counter near zero is extrapolated less here; `atan2` gets no metric name, which it keeps
//! there; and there is no `holt_winters` (renamed), no duration as a number, no name beyond the classic characters and no `.`
//! that meets a newline.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::support::{Daemon, Spawned, encode, find_program, free_port, request, skip, temp_dir, wait_for, write};

/// Samples of a series, and seconds between them.
const SAMPLES: i64 = 80;
const STEP: i64 = 15;
/// Prometheus takes samples up to an hour old.
const AGE: i64 = 25 * 60;

/// Both must agree within this part of the value.
const TOLERANCE: f64 = 1e-9;

/// Asked where the left end of a window meets a sample: milliseconds since the base, Prometheus 2.42's answer, ours.
const LEFT_OPEN: [(&str, i64, f64, f64); 4] = [
    ("count_over_time(const[1m])", 600_500, 5.0, 4.0),
    ("count_over_time(const[15s])", 600_500, 2.0, 1.0),
    ("count_over_time(const[1m:15s])", 600_000, 5.0, 4.0),
    ("count(const) or vector(0)", (SAMPLES - 1) * STEP * 1000 + 300_500, 1.0, 0.0),
];

/// A series of the page: values at all times, or at some.
fn series(page: &mut String, base: i64, series: &str, mut value: impl FnMut(i64) -> Option<f64>) {
    for i in 0..SAMPLES {
        let Some(value) = value(i) else { continue };
        let value = if value.is_infinite() { format!("{value:+}").replace("inf", "Inf") } else { value.to_string() };
        let _ = writeln!(page, "{series} {value} {}", (base + i * STEP) * 1000 + 500);
    }
}

/// Counters with and without a reset, gauges, histograms, gaps, and every odd float.
fn page(base: i64) -> String {
    let mut page = String::new();
    let mut seed = 7u64;
    let mut random = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 40) as f64 / 16_777_216.0
    };
    for (nth, host) in [(1.0, "a"), (2.0, "b"), (3.0, "c")] {
        for mode in ["idle", "system", "user"] {
            let mut total = 500.0;
            series(&mut page, base, &format!("cpu_total{{host=\"{host}\",mode=\"{mode}\"}}"), |i| {
                total = if i == 40 && mode == "system" { 0.5 } else { total + random() * 5.0 };
                Some(total)
            });
        }
        series(&mut page, base, &format!("mem_bytes{{host=\"{host}\"}}"), |i| {
            Some(1e9 + (i * 37 % 11) as f64 * 1e7 * nth)
        });
        series(&mut page, base, &format!("temp{{host=\"{host}\"}}"), |i| Some((i as f64 / 5.0).sin() * 20.0 + nth));
        for (le, part) in [("0.1", 1.0), ("0.5", 3.0), ("1", 6.0), ("5", 7.0), ("+Inf", 8.0)] {
            series(&mut page, base, &format!("lat_bucket{{host=\"{host}\",le=\"{le}\"}}"), |i| {
                Some(i as f64 * part * nth)
            });
        }
        series(&mut page, base, &format!("lat_count{{host=\"{host}\"}}"), |i| Some(i as f64 * 8.0 * nth));
        series(&mut page, base, &format!("lat_sum{{host=\"{host}\"}}"), |i| Some(i as f64 * 4.25 * nth));
    }
    series(&mut page, base, "info_metric{host=\"a\",version=\"1.2\"}", |_| Some(1.0));
    series(&mut page, base, "info_metric{host=\"b\",version=\"1.3\"}", |_| Some(1.0));
    series(&mut page, base, "const", |_| Some(42.0));
    series(&mut page, base, "gappy", |i| ((i / 25) % 2 == 0).then_some(i as f64));
    series(&mut page, base, "weird{k=\"nan\"}", |i| Some(if i % 3 == 0 { f64::NAN } else { i as f64 }));
    series(&mut page, base, "weird{k=\"inf\"}", |i| Some(if i % 7 == 0 { f64::INFINITY } else { -(i as f64) }));
    series(&mut page, base, "weird{k=\"tiny\"}", |i| Some(1e-9 * (i + 1) as f64));
    series(&mut page, base, "weird{k=\"huge\"}", |i| Some(1e22 * (i + 1) as f64));
    page
}

/// Answers every request with the page; ends with the test's process.
fn serve(page: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let address = listener.local_addr().expect("bound").to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut head = [0; 4096];
            let _ = stream.read(&mut head);
            let length = page.len();
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{page}"
            );
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    address
}

/// What a server says: `errorType`, or the kind of result and its points by series.
#[derive(Debug)]
enum Said {
    Error(String),
    Result { kind: String, series: Vec<(BTreeMap<String, String>, Vec<(f64, f64)>)> },
}

fn number(text: &Value) -> f64 {
    text.as_str().and_then(watchfire::model::parse_float).unwrap_or(f64::INFINITY)
}

fn point(point: &Value) -> (f64, f64) {
    (point[0].as_f64().unwrap_or(0.0), number(&point[1]))
}

fn ask(base: &str, path: &str) -> Said {
    let reply = request("GET", &format!("{base}/api/v1/{path}"), &[], b"").unwrap_or_else(|e| panic!("{path}: {e}"));
    let json = reply.json();
    if json["status"] != "success" {
        return Said::Error(format!("{} {}", reply.status, json["errorType"].as_str().unwrap_or("?")));
    }
    let kind = json["data"]["resultType"].as_str().unwrap_or("?").to_owned();
    let result = &json["data"]["result"];
    let mut series = Vec::new();
    match kind.as_str() {
        "scalar" => series.push((BTreeMap::new(), vec![point(result)])),
        _ => {
            for one in result.as_array().expect("a list") {
                let labels = serde_json::from_value(one["metric"].clone()).expect("labels");
                let points = match &one["values"] {
                    Value::Array(values) => values.iter().map(point).collect(),
                    _ => vec![point(&one["value"])],
                };
                series.push((labels, points));
            }
        }
    }
    Said::Result { kind, series }
}

fn same(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= TOLERANCE * a.abs().max(b.abs())
}

/// How the answers differ, if they do.
fn difference(theirs: Said, ours: Said, ordered: bool) -> Option<String> {
    let (kinds, mut theirs, mut ours) = match (theirs, ours) {
        (Said::Error(a), Said::Error(b)) => return (a != b).then(|| format!("error {a}, ours {b}")),
        (Said::Result { kind: a, series: x }, Said::Result { kind: b, series: y }) => ((a, b), x, y),
        (a, b) => return Some(format!("{a:?}, ours {b:?}")),
    };
    if kinds.0 != kinds.1 {
        return Some(format!("{kinds:?}"));
    }
    if !ordered {
        theirs.sort_by(|a, b| a.0.cmp(&b.0));
        ours.sort_by(|a, b| a.0.cmp(&b.0));
    }
    if theirs.len() != ours.len() {
        return Some(format!("{} series, ours {}: {theirs:?} / {ours:?}", theirs.len(), ours.len()));
    }
    for ((labels, x), (own_labels, y)) in theirs.iter().zip(&ours) {
        if labels != own_labels {
            return Some(format!("labels {labels:?}, ours {own_labels:?}"));
        }
        let times = |points: &[(f64, f64)]| points.iter().map(|point| point.0).collect::<Vec<_>>();
        if times(x) != times(y) {
            return Some(format!("{labels:?}: times {:?}, ours {:?}", times(x), times(y)));
        }
        if let Some((a, b)) = x.iter().zip(y).find(|(a, b)| !same(a.1, b.1)) {
            return Some(format!("{labels:?} at {}: {}, ours {}", a.0, a.1, b.1));
        }
    }
    None
}

/// Prometheus with one job, as ready as it gets.
fn prometheus(program: &std::path::Path, config: &std::path::Path, data: &std::path::Path) -> (Spawned, String) {
    let port = free_port();
    let process = Spawned::start(
        Command::new(program)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", data.display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}")),
    );
    (process, format!("http://127.0.0.1:{port}"))
}

#[test]
fn prometheus_and_watchfire_answer_alike() {
    let name = "prometheus_and_watchfire_answer_alike";
    let Some(program) = find_program(&["prometheus"]) else { return skip(name, "prometheus") };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() as i64;
    let base = (now - AGE) / 60 * 60;
    let target = serve(page(base));
    let dir = temp_dir();
    let jobs = format!(
        "scrape_configs:\n- job_name: page\n  scrape_interval: 1s\n  scrape_timeout: 1s\n  static_configs: [{{targets: ['{target}']}}]\n"
    );
    let config = write(dir.path(), "prometheus.yml", &jobs);
    let own_config = write(dir.path(), "watchfire.yml", &format!("collectors: {{enabled: []}}\n{jobs}"));
    let (_process, peer) = prometheus(&program, &config, &dir.path().join("data"));
    let daemon = Daemon::start(&[format!("--config.file={}", own_config.display())]);
    let everything = format!("query?query={}&time={}", encode("count_over_time(const[1h])"), base + 1500);
    for server in [&peer, &daemon.url] {
        wait_for("all samples", Duration::from_secs(60), || {
            let answer = request("GET", &format!("{server}/api/v1/{everything}"), &[], b"").ok()?;
            let json: Value = serde_json::from_slice(&answer.body).ok()?;
            (json["data"]["result"][0]["value"][1] == SAMPLES.to_string()).then_some(())
        });
    }

    let text = include_str!("../fixtures/differential.promql");
    let expressions: Vec<&str> = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    assert!(expressions.len() > 200, "{} expressions", expressions.len());
    let mut differences = Vec::new();
    for expression in &expressions {
        let query = encode(expression);
        let ordered = ["sort", "topk", "bottomk"].iter().any(|word| expression.starts_with(word));
        for path in [
            format!("query?query={query}&time={}.25", base + 607),
            format!("query?query={query}&time={}.25", base + SAMPLES * STEP + 7),
            format!("query_range?query={query}&start={}.25&end={}.25&step=37", base - 53, base + 1399),
        ] {
            let ordered = ordered && path.starts_with("query?");
            if let Some(difference) = difference(ask(&peer, &path), ask(&daemon.url, &path), ordered) {
                let form = path.split('?').next().unwrap_or_default();
                differences.push(format!("{expression} ({form}): {difference}"));
            }
        }
    }
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));

    for (expression, ms, theirs, ours) in LEFT_OPEN {
        let path = format!("query?query={}&time={}", encode(expression), base as f64 + ms as f64 / 1000.0);
        for (server, expected) in [(&peer, theirs), (&daemon.url, ours)] {
            match ask(server, &path) {
                Said::Result { series, .. } if series.len() == 1 => {
                    assert_eq!(series[0].1[0].1, expected, "{expression}")
                }
                other => panic!("{expression}: {other:?}"),
            }
        }
    }
}
