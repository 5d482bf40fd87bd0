//! Peers that write what our readers read: Prometheus' own page as protobuf and as text, and node_exporter over the same textfiles.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use watchfire::exposition::{Format, Meta, SampleLine, Sink, parse, parse_series, push_bound};
use watchfire::model::Histogram;
use watchfire::wire::{FamilyHead, FamilySink, Histograms, Point, Sampled, is_protobuf, read_families};

use crate::support::{Daemon, Spawned, find_program, free_port, request, skip, temp_dir, wait_for, write};

/// Series by name and sorted labels, native histograms by their counts.
#[derive(Default)]
struct Seen {
    floats: BTreeMap<String, f64>,
    native: BTreeMap<String, f64>,
    kinds: BTreeMap<String, String>,
}

fn key(name: &str, labels: impl Iterator<Item = (String, String)>) -> String {
    let mut labels: Vec<String> = labels.map(|(name, value)| format!("{name}={value:?}")).collect();
    labels.sort();
    format!("{name}{labels:?}")
}

/// A bound as OpenMetrics spells it.
fn spelled(bound: f64) -> String {
    let mut text = Vec::new();
    push_bound(&mut text, bound);
    String::from_utf8_lossy(&text).into_owned()
}

impl<'a> Sink<'a> for Seen {
    fn sample(&mut self, sample: SampleLine<'a>) -> Result<(), String> {
        let series = parse_series(sample.series)?;
        // Text 0.0.4 of the Go client writes whole bounds without a point, its OpenMetrics with one.
        let spelled = |name: &str, value: &str| match (name, value.parse()) {
            ("le" | "quantile", Ok(bound)) => spelled(bound),
            _ => value.to_owned(),
        };
        let labels = series.labels.iter().map(|(name, value)| (name.to_string(), spelled(name, value)));
        self.floats.insert(key(&series.name, labels), sample.value);
        Ok(())
    }

    fn meta(&mut self, name: &'a str, meta: Meta<'a>) {
        if let Meta::Kind(kind) = meta {
            self.kinds.insert(name.to_owned(), kind.as_str().to_owned());
        }
    }
}

impl Seen {
    fn key(point: &Point<'_>) -> String {
        let own = point.labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let bound = point.bound.map(|(name, bound)| (name.to_owned(), spelled(bound)));
        key(&format!("{}{}", point.family, point.suffix), own.chain(bound))
    }
}

impl FamilySink for Seen {
    fn family(&mut self, head: &FamilyHead<'_>) {
        self.kinds.insert(head.name.to_owned(), head.kind.as_str().to_owned());
    }

    fn float(&mut self, point: &Point<'_>, value: f64, _: &Sampled<'_>) -> Result<(), String> {
        self.floats.insert(Self::key(point), value);
        Ok(())
    }

    fn histogram(&mut self, point: &Point<'_>, value: Histogram, _: &Sampled<'_>) -> Result<(), String> {
        self.native.insert(Self::key(point), value.count);
        Ok(())
    }
}

const PROTOBUF: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";

/// The page of a Prometheus that also keeps native histograms of itself, if its version has some.
#[test]
fn prometheus_says_the_same_in_protobuf_and_in_text() {
    let name = "prometheus_says_the_same_in_protobuf_and_in_text";
    let Some(program) = find_program(&["prometheus"]) else { return skip(name, "prometheus") };
    let (dir, port) = (temp_dir(), free_port());
    let config = write(dir.path(), "prometheus.yml", "global: {scrape_interval: 1h}\n");
    let prometheus = Spawned::start(
        Command::new(program)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--enable-feature=native-histograms"),
    );
    let url = format!("http://127.0.0.1:{port}/metrics");
    let ask = |accept: &str| request("GET", &url, &[("accept", accept)], b"").ok().filter(|reply| reply.status == 200);
    // Its counters of requests appear with the first ones.
    for _ in 0..3 {
        wait_for("its page", Duration::from_secs(30), || ask("application/openmetrics-text;version=1.0.0"));
    }
    let text = ask("application/openmetrics-text;version=1.0.0").expect("text");
    let binary = ask(PROTOBUF).expect("protobuf");
    assert!(is_protobuf(binary.header("content-type")), "{}", binary.header("content-type"));
    let (mut in_text, mut in_binary) = (Seen::default(), Seen::default());
    // Most versions answer in the older format, whatever is asked for.
    let open = text.header("content-type").starts_with("application/openmetrics-text");
    let format = if open { Format::OpenMetrics } else { Format::Text };
    parse(&text.text(), format, &mut in_text).expect("its text");
    let samples = read_families(&binary.body, Histograms::NATIVE, &mut in_binary).expect("its protobuf");
    assert!(samples > 200, "{samples} samples: {}", prometheus.log());
    // A family with native buckets has no classic ones in protobuf.
    let native: Vec<String> =
        in_binary.native.keys().filter_map(|key| key.split('[').next().map(str::to_owned)).collect();
    let classic = |key: &&String| !native.iter().any(|name| key.starts_with(name.as_str()));
    let (ours, theirs): (Vec<&String>, Vec<&String>) =
        (in_binary.floats.keys().filter(classic).collect(), in_text.floats.keys().filter(classic).collect());
    assert_eq!(ours, theirs);
    // Quantiles of nothing are NaN, which is not equal to itself.
    let same = |a: f64, b: f64| a == b || (a.is_nan() && b.is_nan());
    let equal = ours.iter().filter(|key| same(in_binary.floats[**key], in_text.floats[**key])).count();
    // Memory, goroutines and requests move between the two.
    assert!(equal * 10 > ours.len() * 8, "{equal} of {} agree", ours.len());
}

#[test]
fn textfiles_are_what_node_exporter_makes_of_them() {
    let name = "textfiles_are_what_node_exporter_makes_of_them";
    let Some(program) = find_program(&["prometheus-node-exporter"]) else { return skip(name, "node_exporter") };
    let (dir, port) = (temp_dir(), free_port());
    write(
        dir.path(),
        "backup.prom",
        "# HELP backup_last_success_seconds When the last backup \\\\ ended.\n# TYPE backup_last_success_seconds gauge\n\
         backup_last_success_seconds{db=\"a\\\"b\"} 1.7e+09\nbackup_last_success_seconds{db=\"c\"} NaN\n\
         # TYPE backups_total counter\nbackups_total 17\n# TYPE runs counter\nruns{kind=\"x\"} 3\n",
    );
    write(
        dir.path(),
        "shapes.prom",
        "# HELP job_seconds Durations.\n# TYPE job_seconds histogram\njob_seconds_bucket{le=\"0.5\"} 1\njob_seconds_bucket{le=\"+Inf\"} 3\n\
         job_seconds_sum 4.5\njob_seconds_count 3\n# TYPE lat_seconds summary\nlat_seconds{quantile=\"0.5\"} 0.1\nlat_seconds_sum 1\n\
         lat_seconds_count 2\nuntyped_thing 1.5e-07\n",
    );
    write(dir.path(), "late.prom", "with_time 1 1700000000000\n");
    write(dir.path(), "other.txt", "ignored 1\n");
    let _exporter = Spawned::start(
        Command::new(program)
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--collector.disable-defaults")
            .arg("--collector.textfile")
            .arg(format!("--collector.textfile.directory={}", dir.path().display())),
    );
    let config = write(
        dir.path(),
        "watchfire.yml",
        &format!("collectors: {{textfile: {{directory: '{}'}}}}\n", dir.path().display()),
    );
    let daemon = Daemon::start(&[format!("--config.file={}", config.display())]);
    let page = |url: &str| {
        let reply = request("GET", &format!("{url}/metrics"), &[("accept", "text/plain;version=0.0.4")], b"").ok()?;
        let mut seen = Seen::default();
        parse(&reply.text(), Format::Text, &mut seen).expect("a page");
        let wanted = |key: &str| {
            ["backup", "runs", "job_", "lat_", "untyped", "with_time", "ignored", "node_textfile"]
                .iter()
                .any(|name| key.starts_with(name))
        };
        seen.floats.retain(|key, _| wanted(key));
        seen.kinds.retain(|key, _| wanted(key));
        (seen.floats.len() > 5).then_some(seen)
    };
    let limit = Duration::from_secs(30);
    let theirs = wait_for("node_exporter", limit, || page(&format!("http://127.0.0.1:{port}")));
    let ours = wait_for("our first tick", limit, || page(&daemon.url));
    assert_eq!(ours.kinds, theirs.kinds);
    let shown =
        |seen: &Seen| -> Vec<String> { seen.floats.iter().map(|(key, value)| format!("{key} {value}")).collect() };
    assert_eq!(shown(&ours), shown(&theirs));
    assert_eq!(ours.floats.get("node_textfile_scrape_error[]"), Some(&1.0));
    // In the history they are the node's.
    wait_for("history", limit, || daemon.value("backups_total{job=\"node\"}").filter(|value| *value == 17.0));
    std::fs::remove_file(dir.path().join("backup.prom")).expect("removed");
    wait_for("the end of its series", limit, || daemon.value("backups_total").is_none().then_some(()));
    assert_eq!(daemon.value("job_seconds_count"), Some(3.0));
}
