//! node_exporter beside us on this machine: for every family that both publish, series and types are equal and
//! values agree within a stated tolerance. Skipped, loudly, where Debian's package is not installed.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::Arc;

use super::{SystemConfig, collectors};
use crate::clock::Clock;
use crate::collect::scheduler::Scheduler;
use crate::collect::testing::{Interner, Kept, Page, page};
use crate::model::{Family, MetricKind};

/// Ends the process when the test does. Its log stays open: a Go program dies of a closed one.
struct Exporter(Child, Option<BufReader<ChildStderr>>);

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts node_exporter on a free port; `None` when it is not installed.
fn start() -> Option<(Exporter, String)> {
    let excluded = SystemConfig::default().options;
    let child = Command::new("prometheus-node-exporter")
        .args(["--web.listen-address=127.0.0.1:0", "--collector.netdev.device-exclude=^$"])
        .arg(format!("--collector.diskstats.device-exclude={}", excluded.disks.exclude.expect("a default")))
        .arg(format!("--collector.filesystem.mount-points-exclude={}", excluded.mount_exclude))
        .arg(format!("--collector.filesystem.fs-types-exclude={}", excluded.fstype_exclude))
        .stderr(Stdio::piped())
        .spawn();
    let mut exporter = Exporter(child.ok()?, None);
    let log = exporter.1.insert(BufReader::new(exporter.0.stderr.take().expect("piped above")));
    let address = log.by_ref().lines().map_while(Result::ok).find_map(|line| {
        let start = line.find("127.0.0.1:")?;
        let address = &line[start..];
        let end = address.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':').unwrap_or(address.len());
        (!address[..end].ends_with(":0")).then(|| address[..end].to_owned())
    });
    Some((exporter, address.expect("node_exporter says where it listens")))
}

fn scrape(address: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: x\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text.split_once("\r\n\r\n").unwrap().1.to_owned()
}

/// Series in our own spelling: sorted labels, empty ones dropped.
fn spelled(series: &str) -> String {
    let Some((name, labels)) = series.split_once('{') else { return series.to_owned() };
    let labels = labels.trim_end_matches('}');
    let mut pairs: Vec<&str> = labels.split("\",").filter(|pair| !pair.is_empty()).collect();
    pairs.retain(|pair| !pair.trim_end_matches('"').ends_with('='));
    pairs.sort();
    let pairs: Vec<String> = pairs.iter().map(|pair| format!("{}\"", pair.trim_end_matches('"'))).collect();
    format!("{name}{{{}}}", pairs.join(", "))
}

struct Theirs {
    values: Page,
    types: BTreeMap<String, (String, String)>,
}

fn parse(text: &str) -> Theirs {
    let mut theirs = Theirs { values: Page::new(), types: BTreeMap::new() };
    for line in text.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            theirs.types.entry(name.into()).or_default().1 = help.into();
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            theirs.types.entry(name.into()).or_default().0 = kind.replace("untyped", "unknown");
        } else if let Some((series, value)) = line.rsplit_once(' ') {
            theirs.values.insert(spelled(series), value.parse().unwrap());
        }
    }
    theirs
}

/// One tick of all system collectors.
fn ours() -> (Page, BTreeMap<String, Family>) {
    let (intern, output) = (Arc::new(Interner::default()), Arc::new(Kept::default()));
    let jobs = collectors(&SystemConfig::default(), &Default::default());
    Scheduler::new(jobs, intern.clone(), output.clone()).tick(Clock::System.now());
    let (mut values, mut families) = (Page::new(), BTreeMap::new());
    for batch in output.batches.lock().iter() {
        values.extend(page(&intern, batch));
        families.extend(batch.floats.iter().map(|(series, _)| {
            let family = intern.family(*series);
            let suffix = if family.kind == MetricKind::Counter { "_total" } else { "" };
            (format!("{}{suffix}", family.name), family)
        }));
    }
    (values, families)
}

fn family(series: &str) -> &str {
    series.split('{').next().unwrap_or_default()
}

/// How far apart two readings of one second may be on a busy machine: a tenth, and what a second can add.
fn tolerance(name: &str, value: f64) -> f64 {
    let slack = match name {
        name if name.ends_with("_seconds_total") || name.starts_with("node_time") => 3.0,
        name if name.ends_with("_bytes") || name.ends_with("_bytes_total") => 512e6,
        name if name.ends_with("_total") || name.starts_with("node_vmstat") => 100_000.0,
        _ => 64.0,
    };
    value.abs() / 10.0 + slack
}

#[test]
fn what_node_exporter_publishes_too_agrees() {
    let Some((_exporter, address)) = start() else {
        eprintln!("SKIPPED: prometheus-node-exporter is not installed");
        return;
    };
    scrape(&address);
    let theirs = parse(&scrape(&address));
    let (values, families) = ours();
    let shared: Vec<&String> = families.keys().filter(|name| theirs.types.contains_key(*name)).collect();
    let mut wrong = Vec::new();
    for name in &shared {
        // Its own process and build are not ours, and its list of collectors is longer.
        if ["process_", "node_exporter_", "node_scrape_collector_"].iter().any(|start| name.starts_with(start)) {
            continue;
        }
        let (family_of_ours, (kind, _)) = (&families[*name], &theirs.types[*name]);
        if family_of_ours.kind.as_str() != kind {
            wrong.push(format!("{name}: {family_of_ours:?}, theirs {kind}"));
        }
        let of = |page: &Page| -> Page {
            page.iter().filter(|(series, _)| family(series) == name.as_str()).map(|(s, v)| (s.clone(), *v)).collect()
        };
        let (mine, other) = (of(&values), of(&theirs.values));
        let negative = |series: &String| *name == "node_network_speed_bytes" && other[series] < 0.0;
        let expected: Vec<&String> = other.keys().filter(|series| !negative(series)).collect();
        if mine.keys().collect::<Vec<_>>() != expected {
            wrong.push(format!("{name}: series {:?}, theirs {expected:?}", mine.keys()));
        }
        wrong.extend(mine.iter().filter_map(|(series, value)| {
            let theirs = other.get(series)?;
            let close = (value - theirs).abs() <= tolerance(name, *theirs);
            (!close).then(|| format!("{series}: {value}, theirs {theirs}"))
        }));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(shared.len() > 120, "only {} families are shared", shared.len());
}
