//! Scrape jobs beside a real Prometheus: one configuration, one set of exporters, the same targets and the same series.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::support::{Daemon, Spawned, encode, find_program, free_port, get, request, skip, temp_dir, wait_for, write};

/// Type and body by path; whoever holds it may change the answers.
type Pages = Arc<Mutex<BTreeMap<String, (String, String)>>>;

/// Serves pages on a free port for as long as the process lives.
fn serve() -> (String, Pages) {
    let pages = Pages::default();
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let address = listener.local_addr().expect("bound").to_string();
    let shared = Arc::clone(&pages);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let pages = Arc::clone(&shared);
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().expect("a socket"));
                let mut first = String::new();
                let mut line = String::new();
                if reader.read_line(&mut first).is_err() {
                    return;
                }
                while reader.read_line(&mut line).is_ok_and(|bytes| bytes > 2) {
                    line.clear();
                }
                let path = first.split(' ').nth(1).unwrap_or("").to_owned();
                let known = pages.lock().expect("no panic while locked").get(&path).cloned();
                let (status, (kind, body)) =
                    known.map_or(("404 Not Found", (String::new(), path)), |page| ("200 OK", page));
                let _ = write!(
                    { stream },
                    "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
            });
        }
    });
    (address, pages)
}

fn set(pages: &Pages, path: &str, body: &str) {
    let kind = if path == "/sd" { "application/json" } else { "text/plain; version=0.0.4" };
    pages.lock().expect("no panic while locked").insert(path.to_owned(), (kind.to_owned(), body.to_owned()));
}

/// As programs do it that care: a new file in the place of the old one.
fn replace(dir: &Path, name: &str, text: &str) {
    let fresh = write(dir, "fresh.tmp", text);
    std::fs::rename(fresh, dir.join(name)).expect("renamed");
}

struct Peers {
    ours: Daemon,
    theirs: String,
    _prometheus: Spawned,
}

impl Peers {
    fn start(dir: &Path, config: &str) -> Option<Self> {
        let program = find_program(&["prometheus"])?;
        let port = free_port();
        let theirs = write(dir, "prometheus.yml", config);
        let text = format!(
            "collectors: {{enabled: []}}\nrules: {{shipped: false}}\n{}",
            config.replace("#EXTRA", "extra_scrape_metrics: true")
        );
        let ours = write(dir, "watchfire.yml", &text);
        let prometheus = Spawned::start(
            Command::new(program)
                .arg(format!("--config.file={}", theirs.display()))
                .arg(format!("--storage.tsdb.path={}", dir.join("data").display()))
                .arg("--enable-feature=extra-scrape-metrics,no-default-scrape-port")
                .arg(format!("--web.listen-address=127.0.0.1:{port}")),
        );
        let ours = Daemon::start(&[format!("--config.file={}", ours.display())]);
        Some(Self { ours, theirs: format!("http://127.0.0.1:{port}"), _prometheus: prometheus })
    }

    /// Asks both until they answer the same and what they answer passes; shows the difference when they never do.
    fn agree(
        &self,
        what: &str,
        read: fn(&str) -> Option<BTreeSet<String>>,
        passes: impl Fn(&BTreeSet<String>) -> bool,
    ) {
        let mut last = (BTreeSet::new(), BTreeSet::new());
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        loop {
            let found = (read(&self.ours.url).unwrap_or_default(), read(&self.theirs).unwrap_or_default());
            if found.0 == found.1 && passes(&found.0) {
                return;
            }
            last = if found.1.is_empty() { last } else { found };
            if std::time::Instant::now() > deadline {
                break;
            }
            std::thread::park_timeout(Duration::from_millis(200));
        }
        let (ours, theirs) = last;
        let list = |from: &BTreeSet<String>, other: &BTreeSet<String>| {
            from.difference(other).cloned().collect::<Vec<_>>().join("\n  ")
        };
        panic!(
            "{what}: {} lines, {} of Prometheus\nonly ours:\n  {}\nonly Prometheus':\n  {}",
            ours.len(),
            theirs.len(),
            list(&ours, &theirs),
            list(&theirs, &ours)
        );
    }
}

fn json(url: &str) -> Option<Value> {
    let reply = request("GET", url, &[], b"").ok().filter(|reply| reply.status == 200)?;
    serde_json::from_slice(&reply.body).ok()
}

/// One line a target: what it is called, where it is, how it is, which limit it met.
fn targets(base: &str) -> Option<BTreeSet<String>> {
    let data = json(&format!("{base}/api/v1/targets"))?["data"].clone();
    let limit = |error: &str| {
        let limits = [
            "sample limit",
            "body size limit",
            "label_limit",
            "label_name_length_limit",
            "label_value_length_limit",
            "target_limit",
        ];
        limits
            .iter()
            .find(|limit| error.contains(&format!("{limit} exceeded")))
            .map_or(!error.is_empty(), |_| true)
            .to_string()
            + limits.iter().find(|limit| error.contains(&format!("{limit} exceeded"))).unwrap_or(&"")
    };
    let relabeled = ["actions", "kept_labels"];
    let mut lines = BTreeSet::new();
    for target in data["activeTargets"].as_array()? {
        lines.insert(format!(
            "{} {} {} {} {} {} labels {} discovered {}",
            target["scrapePool"],
            target["scrapeUrl"],
            target["health"],
            limit(target["lastError"].as_str()?),
            target["scrapeInterval"],
            target["scrapeTimeout"],
            target["labels"],
            // Prometheus 2 writes into them while it relabels (fixed in 3).
            if relabeled.iter().any(|pool| target["scrapePool"] == *pool) {
                &Value::Null
            } else {
                &target["discoveredLabels"]
            },
        ));
    }
    for target in data["droppedTargets"].as_array()? {
        lines.insert(format!("dropped {}", target["discoveredLabels"]));
    }
    Some(lines)
}

/// One line a series that has a value now; times of scrapes are left out.
fn series(base: &str) -> Option<BTreeSet<String>> {
    let query = r#"{__name__=~".+", __name__!~"scrape_duration_seconds|ALERTS|ALERTS_FOR_STATE", job!~"watchfire|agents|events|windows"}"#;
    let data = json(&format!("{base}/api/v1/query?query={}", encode(query)))?["data"]["result"].clone();
    let line = |result: &Value| format!("{} {}", result["metric"], result["value"][1]);
    Some(data.as_array()?.iter().map(line).collect())
}

const PAGE: &str = r#"# TYPE http_requests_total counter
http_requests_total{code="200",method="GET",path="/a"} 12
http_requests_total{code="500",method="GET",path="/a"} 1
http_requests_total{code="200",method="POST",path="/b"} 7
go_goroutines 8
go_threads 4
node_temp_celsius{chip="CPU",sensor="Core 0"} 40.5
long{value="0123456789012345678901234567890123456789012345678901234567890123456789"} 1
empty{x=""} 1
inf +Inf
minus -1e-7
"#;
const CONFLICTS: &str = r#"a{job="mine",instance="i",exported_job="old",rack="r1"} 1
b{exported_instance="e",exported_exported_job="f",job="g"} 2
c{instance="",job=""} 3
"#;

/// Every job is a case.
fn config(address: &str, dir: &Path) -> String {
    let dir = dir.display();
    format!(
        r#"global:
  scrape_interval: 1s
  scrape_timeout: 900ms
  #EXTRA
scrape_configs:
- {{job_name: plain, static_configs: [{{targets: ['{address}'], labels: {{rack: r0}}}}]}}
- {{job_name: honored, honor_labels: true, metrics_path: /conflicts, static_configs: [{{targets: ['{address}'], labels: {{rack: r0}}}}]}}
- {{job_name: exported, metrics_path: /conflicts, static_configs: [{{targets: ['{address}'], labels: {{rack: r0, exported_rack: q}}}}]}}
- job_name: params
  params: {{b: ['1', 'x y/z'], a: ['&']}}
  static_configs: [{{targets: ['{address}'], labels: {{__param_c: c, __metrics_path__: 'te st'}}}}]
- job_name: actions
  static_configs:
  - targets: ['{address}', 'drop.example:1', 'other.example', 'http://bad/x']
    labels: {{env: Prod, team: prod, __meta_zone: z1, __meta_kind_blue: b, shadow: s, __hidden: h}}
  - targets: ['{address}', 'second.example:2']
    labels: {{env: dev, team: dev, job: own, instance: named}}
  relabel_configs:
  - {{source_labels: [__address__], regex: 'drop.*', action: drop}}
  - {{source_labels: [__address__], regex: '[^/]*', action: keep}}
  - {{source_labels: [env], action: lowercase, target_label: env}}
  - {{source_labels: [env], action: keepequal, target_label: team}}
  - {{source_labels: [__address__], action: hashmod, modulus: 16, target_label: shard}}
  - {{regex: '__meta_(kind_.+)', replacement: 'x_${{1}}', action: labelmap}}
  - {{regex: 'shad.*', action: labeldrop}}
  - {{source_labels: [env, team], separator: '-', regex: '(.+)-(.+)', target_label: '${{1}}_twice', replacement: '$2/$$/${{1}}$3'}}
  - {{source_labels: [__meta_zone], action: uppercase, target_label: zone}}
  - {{source_labels: [__address__], regex: '(second).*', target_label: __address__, replacement: '{address}'}}
  - {{source_labels: [env], regex: dev, target_label: __scrape_interval__, replacement: 2s}}
  - {{source_labels: [env], regex: dev, target_label: __scrape_timeout__, replacement: 1500ms}}
  - {{source_labels: [instance], regex: named, target_label: instance, replacement: ''}}
  - {{source_labels: [__address__], action: dropequal, target_label: __scheme__}}
- job_name: kept_labels
  static_configs: [{{targets: ['{address}'], labels: {{a: '1', b: '2'}}}}]
  relabel_configs: [{{regex: '__.*|job|a', action: labelkeep}}]
- job_name: nothing_left
  static_configs: [{{targets: ['{address}']}}]
  relabel_configs: [{{source_labels: [absent], regex: '.+', action: keep}}]
- job_name: series
  static_configs: [{{targets: ['{address}']}}]
  metric_relabel_configs:
  - {{source_labels: [__name__], regex: 'go_.*', action: drop}}
  - {{source_labels: [code], regex: '5..', target_label: failed, replacement: 'yes'}}
  - {{source_labels: [__name__, method], regex: 'http_(.*);(.*)', target_label: __name__, replacement: 'web_${{2}}_$1'}}
  - {{source_labels: [chip], action: lowercase, target_label: chip}}
  - {{source_labels: [path], modulus: 7, action: hashmod, target_label: bucket}}
  - {{regex: path, action: labeldrop}}
  - {{source_labels: [sensor], target_label: sensor, regex: 'Core (\d+)', replacement: '$1'}}
- job_name: merged
  static_configs: [{{targets: ['{address}']}}]
  metric_relabel_configs: [{{regex: 'code|method|path', action: labeldrop}}, {{source_labels: [__name__], regex: 'http.*', action: keep}}]
- {{job_name: unnamed, static_configs: [{{targets: ['{address}']}}], metric_relabel_configs: [{{regex: __name__, action: labeldrop}}]}}
- {{job_name: all_dropped, static_configs: [{{targets: ['{address}']}}], metric_relabel_configs: [{{action: drop}}]}}
- {{job_name: samples, sample_limit: 9, static_configs: [{{targets: ['{address}']}}]}}
- {{job_name: samples_fit, sample_limit: 8, static_configs: [{{targets: ['{address}']}}], metric_relabel_configs: [{{source_labels: [__name__], regex: 'go_.*', action: drop}}]}}
- {{job_name: labels, label_limit: 5, static_configs: [{{targets: ['{address}']}}]}}
- {{job_name: labels_fit, label_limit: 6, static_configs: [{{targets: ['{address}']}}]}}
- {{job_name: names, label_name_length_limit: 7, static_configs: [{{targets: ['{address}']}}]}}
- {{job_name: values, label_value_length_limit: 69, static_configs: [{{targets: ['{address}']}}]}}
- {{job_name: bytes, body_size_limit: 100B, static_configs: [{{targets: ['{address}']}}]}}
- {{job_name: many, target_limit: 1, static_configs: [{{targets: ['{address}', 'localhost:1']}}]}}
- {{job_name: missing, metrics_path: /none, static_configs: [{{targets: ['{address}']}}]}}
- {{job_name: broken, metrics_path: /broken, static_configs: [{{targets: ['{address}']}}]}}
- {{job_name: timed, metrics_path: /timed, static_configs: [{{targets: ['{address}']}}]}}
- {{job_name: untimed, honor_timestamps: false, metrics_path: /timed, static_configs: [{{targets: ['{address}']}}]}}
- job_name: files
  file_sd_configs: [{{files: ['{dir}/sd/*.json', '{dir}/one.yml'], refresh_interval: 1s}}]
  relabel_configs: [{{source_labels: [__meta_filepath], regex: '.*/([^/]+)', target_label: file}}]
- job_name: server
  http_sd_configs: [{{url: 'http://{address}/sd', refresh_interval: 1s}}]
  relabel_configs: [{{source_labels: [__meta_url], regex: '.*(/.*)', target_label: asked}}]
"#
    )
}

#[test]
fn targets_and_series_are_those_of_prometheus() {
    let name = "targets_and_series_are_those_of_prometheus";
    let (address, pages) = serve();
    let dir = temp_dir();
    let sd = dir.path().join("sd");
    std::fs::create_dir(&sd).expect("made");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis();
    set(&pages, "/metrics", PAGE);
    set(&pages, "/conflicts", CONFLICTS);
    set(&pages, "/broken", "a 1\nb }\n");
    set(&pages, "/te%20st?a=%26&b=1&b=x+y%2Fz&c=c", "asked 1\n");
    let timed = format!("past 1 {}\nplain 2\nahead 3 {}\nx 1\n", now - 30_000, now + 7_200_000);
    set(&pages, "/timed", &timed);
    set(
        &pages,
        "/sd",
        &format!(r#"[{{"targets": ["{address}"], "labels": {{"from": "server", "__metrics_path__": "/conflicts"}}}}]"#),
    );
    replace(dir.path(), "one.yml", &format!("- targets: ['{address}']\n  labels: {{from: yaml}}\n"));
    replace(&sd, "a.json", &format!(r#"[{{"targets": ["{address}"], "labels": {{"from": "a"}}}}]"#));
    let Some(peers) = Peers::start(dir.path(), &config(&address, dir.path())) else { return skip(name, "prometheus") };

    let has = |lines: &BTreeSet<String>, part: &str| lines.iter().any(|line| line.contains(part));
    let scraped = |lines: &BTreeSet<String>| !has(lines, "\"unknown\"") && has(lines, "/te%20st?");
    peers.agree("targets", targets, |lines| scraped(lines) && has(lines, "\"server\""));
    peers.agree("series", series, |lines| has(lines, "web_GET_requests_total") && has(lines, "\"server\""));

    // Everything changes while they run: files, the server's answer, a page.
    replace(&sd, "a.json", &format!(r#"[{{"targets": ["{address}", "{address}"], "labels": {{"from": "a2"}}}}]"#));
    replace(&sd, "b.json", &format!(r#"[{{"targets": ["{address}"], "labels": {{"from": "b"}}}}]"#));
    std::fs::remove_file(dir.path().join("one.yml")).expect("removed");
    set(&pages, "/sd", &format!(r#"[{{"targets": ["{address}"], "labels": {{"from": "server2"}}}}]"#));
    set(&pages, "/metrics", &PAGE.replace("inf +Inf\n", "").replace("go_threads 4", "go_threads 5\nfresh 1"));
    set(&pages, "/timed", "plain 3\n");
    let moved = |lines: &BTreeSet<String>| has(lines, "a2") && has(lines, "server2") && !has(lines, "yaml");
    peers.agree("changed targets", targets, |lines| scraped(lines) && moved(lines));
    peers.agree("changed series", series, |lines| moved(lines) && has(lines, "fresh") && !has(lines, "\"inf\""));

    // Bad lists keep what there was.
    replace(&sd, "a.json", r#"[{"targets": "#);
    replace(&sd, "b.json", r#"[]"#);
    set(&pages, "/sd", "no list");
    let kept = |lines: &BTreeSet<String>| has(lines, "a2") && has(lines, "server2") && !has(lines, "b.json");
    peers.agree("targets after bad lists", targets, |lines| scraped(lines) && kept(lines));
    let doctor = get(&format!("{}/api/watchfire/v1/doctor", peers.ours.url)).text();
    assert!(doctor.contains("a.json"), "{doctor}");
}

#[test]
fn a_reload_leaves_no_gap_and_ends_what_goes() {
    let (address, pages) = serve();
    set(&pages, "/metrics", "a 1\nb 2\n");
    let dir = temp_dir();
    let text = |kept: &str, second: &str| {
        format!(
            "collectors: {{enabled: []}}\nscrape_configs:\n- job_name: kept\n  scrape_interval: 500ms\n  {kept}\n  static_configs: [{{targets: ['{address}']}}]\n{second}"
        )
    };
    let second = format!(
        "- {{job_name: going, scrape_interval: 500ms, static_configs: [{{targets: ['{address}']}}], basic_auth: {{username: u, password: hunter2}}}}\n"
    );
    let file = write(dir.path(), "watchfire.yml", &text("sample_limit: 5", &second));
    let daemon = Daemon::start(&[format!("--config.file={}", file.display())]);
    let count = |query: &str| daemon.value(query).unwrap_or(0.0);
    wait_for("scrapes", Duration::from_secs(20), || {
        (count(r#"count_over_time(a{job="kept"}[1m])"#) > 3.0 && count(r#"a{job="going"}"#) > 0.0).then_some(())
    });
    let shown = get(&format!("{}/api/v1/status/config", daemon.url)).text();
    assert!(shown.contains("<secret>") && !shown.contains("hunter2"), "{shown}");
    write(
        dir.path(),
        "watchfire.yml",
        &text("metric_relabel_configs: [{source_labels: [__name__], regex: b, action: drop}]", ""),
    );
    daemon.process.signal("HUP");
    wait_for("the end of what goes", Duration::from_secs(20), || {
        (daemon.value(r#"a{job="going"}"#).is_none() && daemon.value(r#"b{job="kept"}"#).is_none()).then_some(())
    });
    let before = count(r#"count_over_time(a{job="kept"}[1m])"#);
    wait_for("more scrapes", Duration::from_secs(20), || {
        (count(r#"count_over_time(a{job="kept"}[1m])"#) > before + 3.0).then_some(())
    });
    // A stale marker between two samples would end the series in between.
    let gaps = r#"count_over_time((absent_over_time(a{job="kept"}[1100ms]))[15s:250ms])"#;
    let first = daemon.value(r#"min_over_time(timestamp(a{job="kept"})[1m:100ms])"#).expect("scraped");
    let age = daemon.value("time()").expect("a time") - first;
    if age < 15.0 {
        wait_for("a window without the start", Duration::from_secs(20), || {
            (daemon.value("time()").expect("a time") - first > 15.5).then_some(())
        });
    }
    assert_eq!(daemon.value(gaps), None, "the kept target has a gap");
    let targets = get(&format!("{}/api/v1/targets?state=active", daemon.url)).json();
    assert_eq!(targets["data"]["activeTargets"].as_array().map(Vec::len), Some(1), "{targets}");
}
