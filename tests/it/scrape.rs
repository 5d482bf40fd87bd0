//! Scrape jobs beside a real Prometheus: one configuration, one set of exporters, the same targets and the same series.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
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
                let (kind, body) = known.unwrap_or_else(|| ("!404 Not Found".to_owned(), path));
                // Who goes away hears nothing.
                let _ = answer(stream, &kind, &body);
            });
        }
    });
    (address, pages)
}

/// A page of this type; types that begin with `!` are ways of answering.
fn answer(mut stream: TcpStream, kind: &str, body: &str) -> std::io::Result<()> {
    let plain = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/plain; version=0.0.4\r\n";
    let length = body.len();
    match kind.strip_prefix('!') {
        None => {
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            )
        }
        Some("moved") => {
            write!(stream, "HTTP/1.1 302 Found\r\nLocation: {body}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        }
        Some("chunked") => {
            write!(stream, "{plain}Transfer-Encoding: chunked\r\n\r\n")?;
            for part in body.as_bytes().chunks(7) {
                write!(stream, "{:x}\r\n", part.len())?;
                stream.write_all(part)?;
                write!(stream, "\r\n")?;
            }
            write!(stream, "0\r\n\r\n")
        }
        Some("zipped") => {
            let zipped = watchfire::exposition::gzip(body.as_bytes());
            write!(stream, "{plain}Content-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", zipped.len())?;
            stream.write_all(&zipped)
        }
        // Ends before it said it would.
        Some("short") => write!(stream, "{plain}Content-Length: {}\r\n\r\n{body}", length + 10),
        // The last byte comes when nobody waits any more.
        Some("slow") => {
            write!(stream, "{plain}Content-Length: {length}\r\n\r\n{}", &body[..length - 1])?;
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            std::io::Read::read(&mut stream, &mut [0])?;
            write!(stream, "{}", &body[length - 1..])
        }
        Some(status) => {
            write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
        }
    }
}

fn set_as(pages: &Pages, path: &str, kind: &str, body: &str) {
    pages.lock().expect("no panic while locked").insert(path.to_owned(), (kind.to_owned(), body.to_owned()));
}

fn set(pages: &Pages, path: &str, body: &str) {
    let kind = if path == "/sd" { "application/json" } else { "text/plain; version=0.0.4" };
    set_as(pages, path, kind, body);
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

/// Pages of a few lines that a parser takes or refuses, one a job.
const LINES: &[&str] = &[
    "a 1",
    "a 1\n\n\n# c\n#\n#x\nb 2\n",
    "a{} 1\nb{ x = \"1\" , y=\"2\",} 2\nc\t3\n",
    "a NaN\nb nan\nc +inf\nd -Inf\ne Infinity\nf 1e3\ng .5\nh 5.\ni 1E-3\nj +7\nk 0005\n",
    "a 0x10\n",
    "a 0x1p-2\n",
    "a 1_000\n",
    "a 1e999\n",
    "a 1,5\n",
    "a:b 1\n:c 2\n_d 3\n",
    "1a 1\n",
    "a-b 1\n",
    "a{x-y=\"1\"} 1\n",
    "a{x='1'} 1\n",
    "a{x=1} 1\n",
    "a{x=\"1\" y=\"2\"} 1\n",
    "a{x=\"1\",,y=\"2\"} 1\n",
    "a{,} 1\n",
    "a{x=\"1\"\n",
    "a{x=\"1} 1\n",
    "a{x=\"\\\\ \\\" \\n \\q \u{e9}\u{4e16}\"} 1\n",
    "a\n",
    "a \n",
    "a 1 2 3\n",
    "a 1 1.5\n",
    "a 1 x\n",
    "# TYPE a nonsense\na 1\n",
    "# TYPE a counter\n# TYPE a gauge\na 1\n# HELP a x\n# HELP a y\n",
    "# TYPE a counter\na{le=\"0.5\"} 1\n# TYPE h histogram\nh_bucket{le=\"0.5\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n",
    "{x=\"1\"} 1\n",
    "a 1\na 1\na 2\na{x=\"\"} 3\n",
    "a{__name__=\"b\"} 1\n",
    "a{x=\"1\"}1\n",
    "a{x=\"1\"} 1 # {t=\"1\"} 1\n",
];

/// The same in OpenMetrics.
const OPEN_LINES: &[&str] = &[
    "# TYPE a counter\n# UNIT a_seconds seconds\n# HELP a x\na_total 1 # {t=\"1\"} 1\na_created 3\n# EOF\n",
    "# TYPE a counter\na_total 1\n",
    "# TYPE a gauge\na 1 1.5\n# EOF\n",
    "# TYPE i info\ni_info{v=\"1\"} 1\n# TYPE s stateset\ns{s=\"a\"} 1\ns{s=\"b\"} 0\n# EOF\n",
    "# TYPE h histogram\nh_bucket{le=\"0.5\"} 1 # {t=\"1\"} 0.3 1.5\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\nh_created 1.5\n# EOF\n",
    "a 1\n# EOF\nb 2\n",
    "# EOF",
    "",
    "a{x=\"1\"} NaN\nb +Inf\n# EOF\n",
    "# TYPE g gaugehistogram\ng_bucket{le=\"+Inf\"} 1\ng_gcount 1\ng_gsum 2\n# EOF\n",
];

/// One line a job that is up or down, and one a series.
fn lines_of_pages(base: &str) -> Option<BTreeSet<String>> {
    let found = series(base)?;
    Some(found.into_iter().filter(|line| !line.contains("\"scrape_") || line.contains("samples_scraped")).collect())
}

#[test]
fn pages_are_taken_and_refused_as_by_prometheus() {
    let name = "pages_are_taken_and_refused_as_by_prometheus";
    let (address, pages) = serve();
    let dir = temp_dir();
    let mut jobs = String::new();
    let mut job = |name: &str, keys: &str| {
        jobs += &format!(
            "- {{job_name: {name}, metrics_path: /{name}{keys}, static_configs: [{{targets: ['{address}']}}]}}\n"
        );
    };
    for (format, kind, lines) in [
        ("text", "text/plain; version=0.0.4", LINES),
        ("open", "application/openmetrics-text; version=1.0.0; charset=utf-8", OPEN_LINES),
    ] {
        for (index, page) in lines.iter().enumerate() {
            job(&format!("{format}{index}"), "");
            set_as(&pages, &format!("/{format}{index}"), kind, page);
        }
    }
    set(&pages, "/page", "a 1\nb{x=\"y\"} 2\n");
    for (path, kind, body, keys) in [
        ("moved", "!moved", "/page", ""),
        ("unmoved", "!moved", "/page", ", follow_redirects: false"),
        ("looped", "!moved", "/looped", ""),
        ("chunked", "!chunked", "a 1\nb 2\n", ""),
        ("zipped", "!zipped", "a 1\nb 2\n", ""),
        ("short", "!short", "a 1\nb 2\n", ""),
        ("slow", "!slow", "a 1\nb 2\n", ""),
        ("created", "!201 Created", "a 1\n", ""),
        ("broken", "!500 Internal Server Error", "a 1\n", ""),
        ("html", "text/html", "a 1\n", ""),
        ("odd_version", "text/plain; version=0.0.9", "a 1\n", ""),
        ("old_open", "application/openmetrics-text; version=0.0.1", "a 1\n# EOF\n", ""),
    ] {
        job(path, keys);
        set_as(&pages, &format!("/{path}"), kind, body);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis();
    let (one, two) = (now - 20_000, now - 10_000);
    job("times", "");
    set(
        &pages,
        "/times",
        &format!("up_then 1 {one}\nup_then 2 {two}\ndown 2 {two}\ndown 1 {one}\nsame 1 {two}\nsame 2 {two}\n"),
    );
    jobs += &format!(
        "- job_name: probed\n  metrics_path: /probe\n  params: {{module: [m]}}\n  static_configs: [{{targets: ['one.example', 'two.example:81'], labels: {{__tmp_x: t}}}}]\n  \
         relabel_configs:\n  - {{source_labels: [__address__], target_label: __param_target}}\n  - {{source_labels: [__param_target], target_label: instance}}\n  \
         - {{source_labels: [__tmp_x], target_label: tmp}}\n  - {{target_label: __address__, replacement: '{address}'}}\n  \
         - {{action: labelmap, regex: '__(tmp)_(.+)', replacement: '${{1}}_mapped_$2'}}\n"
    );
    set(&pages, "/probe?module=m&target=one.example", "probed 1\n");
    set(&pages, "/probe?module=m&target=two.example%3A81", "probed 2\n");
    let config = format!("global: {{scrape_interval: 1s, scrape_timeout: 900ms}}\nscrape_configs:\n{jobs}");
    let Some(peers) = Peers::start(dir.path(), &config) else { return skip(name, "prometheus") };
    let count = LINES.len() + OPEN_LINES.len() + 12 + 1 + 2;
    let ups = |lines: &BTreeSet<String>| lines.iter().filter(|line| line.contains("\"__name__\":\"up\"")).count();
    peers.agree("pages", lines_of_pages, |lines| ups(lines) == count);
    peers.agree("their targets", targets, |lines| lines.len() == count);
    peers.agree("metadata of targets", metadata, |lines| lines.len() > 2);
    peers.agree("pools", pools, |lines| !lines.is_empty());
    peers.agree("targets of a pool", |base| active(base, "state=active&scrapePool=probed"), |lines| lines.len() == 2);
    peers.agree("no targets of a state that is none", |base| active(base, "state=x"), BTreeSet::is_empty);
}

fn active(base: &str, query: &str) -> Option<BTreeSet<String>> {
    let data = json(&format!("{base}/api/v1/targets?{query}"))?["data"].clone();
    let line = |target: &Value| format!("{} {}", target["scrapeUrl"], target["labels"]);
    Some(data["activeTargets"].as_array()?.iter().map(line).collect())
}

fn metadata(base: &str) -> Option<BTreeSet<String>> {
    // Of OpenMetrics we have the names that queries use, with `_total` and `_info`.
    let query = encode(r#"{job=~"text.*"}"#);
    let data = json(&format!("{base}/api/v1/targets/metadata?match_target={query}"))?["data"].clone();
    Some(data.as_array()?.iter().map(ToString::to_string).collect())
}

fn pools(base: &str) -> Option<BTreeSet<String>> {
    let data = json(&format!("{base}/api/v1/scrape_pools"))?["data"]["scrapePools"].clone();
    Some(data.as_array()?.iter().map(ToString::to_string).collect())
}

#[test]
fn lists_of_targets_over_the_limits_change_nothing() {
    let (address, pages) = serve();
    set(&pages, "/metrics", "a 1\n");
    let dir = temp_dir();
    let (many, sd) = (dir.path().join("many"), dir.path().join("sd"));
    std::fs::create_dir(&many).expect("made");
    std::fs::create_dir(&sd).expect("made");
    let list = |labels: &str| format!(r#"[{{"targets": ["{address}"], "labels": {{{labels}}}}}]"#);
    replace(&sd, "a.json", &list(r#""from": "file""#));
    replace(&many, "a.json", &list(r#""from": "many""#));
    set(&pages, "/sd", &list(r#""from": "server""#));
    let text = format!(
        "collectors: {{enabled: []}}\nrules: {{shipped: false}}\nscrape_configs:\n\
         - {{job_name: files, file_sd_configs: [{{files: ['{}/*.json'], refresh_interval: 1s}}]}}\n\
         - {{job_name: many, file_sd_configs: [{{files: ['{}/*.json'], refresh_interval: 1s}}]}}\n\
         - {{job_name: server, http_sd_configs: [{{url: 'http://{address}/sd', refresh_interval: 1s}}]}}\n",
        sd.display(),
        many.display()
    );
    let daemon = Daemon::start(&[format!("--config.file={}", write(dir.path(), "watchfire.yml", &text).display())]);
    let limit = Duration::from_secs(30);
    let from = || {
        ["file", "many", "server"].iter().filter(|from| daemon.value(&format!("a{{from={from:?}}}")).is_some()).count()
    };
    wait_for("all three", limit, || (from() == 3).then_some(()));
    // 50,001 addresses, 1,001 files, 17 MB.
    replace(&sd, "a.json", &format!(r#"[{{"targets": [{}"x:1"]}}]"#, r#""x:1","#.repeat(50_000)));
    for index in 0..1_001 {
        std::fs::write(many.join(format!("{index}.json")), "[]").expect("written");
    }
    set(&pages, "/sd", &format!("[{}]", " ".repeat(17 << 20)));
    let problems = wait_for("what is wrong", limit, || {
        let doctor = get(&format!("{}/api/watchfire/v1/doctor", daemon.url)).json();
        let found = doctor["discovery"].as_array().or_else(|| doctor["data"]["discovery"].as_array())?.clone();
        (found.len() == 3).then(|| Value::Array(found).to_string())
    });
    for expected in ["more than 50000 targets", "more than 1000 files", "body size limit exceeded"] {
        assert!(problems.contains(expected), "{problems}");
    }
    assert_eq!(from(), 3, "the targets of before stay");
    let counted = || daemon.value("watchfire_scrape_discovery_failures_total").filter(|count| *count >= 3.0);
    wait_for("the counter", limit, counted);
    // What is good again counts at once.
    replace(&sd, "a.json", &list(r#""from": "file2""#));
    set(&pages, "/sd", &list(r#""from": "server2""#));
    wait_for("good lists", limit, || {
        (daemon.value(r#"a{from="file2"}"#).is_some() && daemon.value(r#"a{from="server2"}"#).is_some()).then_some(())
    });
    assert_eq!(daemon.value(r#"a{from="many"}"#), Some(1.0));
    // The report counts the configuration and the lists that are read anew.
    let report = get(&format!("{}/api/watchfire/v1/workers", daemon.url)).json();
    let daemon_part = if report["daemon"].is_null() { &report["data"]["daemon"] } else { &report["daemon"] };
    assert!(daemon_part["watched_files"].as_u64().is_some_and(|count| count >= 3), "{report}");
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
