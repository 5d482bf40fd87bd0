//! Exemplars: a real Prometheus and we scrape the same page, and answer the same; a killed process has them all again.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::support::{Daemon, Spawned, encode, find_program, free_port, request, skip, temp_dir, wait_for, write};

/// A target whose page the test changes.
struct Page {
    text: Arc<Mutex<String>>,
    address: String,
}

impl Page {
    fn serve() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound").to_string();
        let text = Arc::new(Mutex::new("# EOF\n".to_owned()));
        let page = Arc::clone(&text);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
                while lines.next().is_some_and(|line| !line.is_empty()) {}
                let body = page.lock().expect("no panic while locked").clone();
                let _ = write!(
                    &stream,
                    "HTTP/1.1 200 OK\r\nContent-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
            }
        });
        Self { text, address }
    }

    fn show(&self, text: String) {
        *self.text.lock().expect("no panic while locked") = text;
    }
}

/// Seconds with milliseconds.
fn at(seconds: f64) -> String {
    format!("{seconds:.3}")
}

/// Bounds are spelled as Prometheus 3 and we spell them: 2.42 keeps what the page says.
fn page(now: f64, round: u32) -> String {
    let trace =
        |n: u32| format!("trace_id=\"{:032x}\"", u128::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c834));
    let r = f64::from(round);
    let mut text = String::from("# TYPE request_seconds histogram\n");
    text +=
        &format!("request_seconds_bucket{{le=\"0.1\"}} {} # {{{}}} 0.067 {}\n", 8 + round, trace(round), at(now + r));
    text += &format!("request_seconds_bucket{{le=\"1.0\"}} {} # {{{}}} 0.54 {}\n", 9 + round, trace(7), at(now - 5.0));
    // Goes back in time: dropped.
    text +=
        &format!("request_seconds_bucket{{le=\"10.0\"}} {} # {{{}}} 9.8 {}\n", 10 + round, trace(round), at(now - r));
    text += &format!("request_seconds_bucket{{le=\"+Inf\"}} {} # {{}} 67 {}\n", 11 + round, at(now + r / 8.0));
    text += &format!("request_seconds_sum 324789.3\nrequest_seconds_count {}\n", 11 + round);
    text += "# TYPE calls counter\n";
    text += &format!(
        "calls_total{{path=\"/a\\\"b\"}} {} # {{{},kind=\"ü\"}} 1 {}\n",
        3 + round,
        trace(round + 9),
        at(now + r)
    );
    text += &format!("calls_total{{path=\"long\"}} 3 # {{x=\"{}\"}} 1 {}\n", "y".repeat(128), at(now));
    // With a time of its own.
    let own = at(now + r);
    text += &format!("# TYPE stamped counter\nstamped_total {} {own} # {{{}}} 1 {own}\n", 3 + round, trace(round + 20));
    text += "# TYPE plain gauge\nplain 1\n# EOF\n";
    text
}

const QUERIES: [&str; 7] = [
    "request_seconds_bucket",
    r#"histogram_quantile(0.9, sum by (le) (rate(request_seconds_bucket{job="app"}[5m]))) > 0 or calls_total"#,
    r#"calls_total{path=~"/.*"}"#,
    "plain",
    "nothing_at_all",
    r#"{job="app"}"#,
    r#"sum(request_seconds_bucket) / request_seconds_bucket{le="1.0"}"#,
];

fn answer(base: &str, query: &str, bounds: &str) -> Option<Value> {
    let url = format!("{base}/api/v1/query_exemplars?query={}{bounds}", encode(query));
    let reply = request("GET", &url, &[], b"").ok()?;
    if reply.body.is_empty() {
        return Some(Value::from(reply.status));
    }
    Some(serde_json::from_slice(&reply.body).expect("JSON"))
}

/// How many exemplars the application has.
fn count(base: &str) -> usize {
    let json = answer(base, r#"{job="app"}"#, "").unwrap_or_default();
    let series = json["data"].as_array().cloned().unwrap_or_default();
    series.iter().filter_map(|series| Some(series["exemplars"].as_array()?.len())).sum()
}

#[test]
fn prometheus_and_we_answer_the_same() {
    let Some(program) = find_program(&["prometheus"]) else {
        return skip("prometheus_and_we_answer_the_same", "prometheus");
    };
    let target = Page::serve();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() as f64 - 60.0;
    let (dir, port) = (temp_dir(), free_port());
    let config = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: app\n  static_configs: [{{targets: ['{}']}}]\n",
        target.address
    );
    let config = write(dir.path(), "scrape.yml", &config);
    let _prometheus = Spawned::start(
        Command::new(program)
            .arg("--enable-feature=exemplar-storage")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}")),
    );
    let peer = format!("http://127.0.0.1:{port}");
    let data = dir.path().join("ring");
    let start = || Daemon::start_in(&data, &[format!("--config.file={}", config.display())]);
    let mut daemon = start();
    for round in 0..3 {
        target.show(page(now, round));
        let expected = 6 + 4 * round as usize;
        for base in [&peer, &daemon.url] {
            wait_for(&format!("round {round} at {base}"), Duration::from_secs(40), || {
                (count(base) == expected).then_some(())
            });
        }
    }
    let between = format!("&start={}&end={}", at(now), at(now + 1.0));
    for run in ["as scraped", "after SIGKILL", "scraped again"] {
        for query in QUERIES {
            for bounds in ["", &between, "&start=5&end=6"] {
                let (ours, theirs) = (answer(&daemon.url, query, bounds), answer(&peer, query, bounds));
                assert_eq!(ours, theirs, "{run}: {query} {bounds}");
            }
        }
        let scrapes = || daemon.value(r#"count_over_time(up{job="app"}[10m])"#).unwrap_or(0.0);
        // What a commit a second later has is durable.
        let before = scrapes();
        wait_for("scrapes", Duration::from_secs(20), || (scrapes() > before + 3.0).then_some(()));
        if run == "as scraped" {
            assert_eq!(daemon.value("watchfire_storage_exemplars_out_of_order_total"), Some(2.0));
            assert_eq!(daemon.value("sum(watchfire_storage_exemplars_dropped_total)"), Some(1.0));
            drop(daemon);
            daemon = start();
        }
    }
    for (query, bounds) in [("", ""), ("1 + 1", ""), ("up{", ""), ("up", "&start=5&end=1"), ("up", "&start=x")] {
        let (ours, theirs) = (answer(&daemon.url, query, bounds), answer(&peer, query, bounds));
        let (ours, theirs) = (ours.unwrap_or_default(), theirs.unwrap_or_default());
        assert_eq!(ours.as_u64(), theirs.as_u64(), "{query} {bounds}: {ours} {theirs}");
        assert_eq!(ours["status"], theirs["status"], "{query} {bounds}: {ours} {theirs}");
        assert_eq!(ours["errorType"], theirs["errorType"], "{query} {bounds}: {ours} {theirs}");
    }
    drop(daemon);
    exported_and_imported(dir.path(), &data, &peer);
}

/// An export, imported into a new history, answers as Prometheus still does; promtool takes the other form.
fn exported_and_imported(dir: &Path, data: &Path, peer: &str) {
    let tsdb = |args: &[&str], ring: &Path| {
        let output =
            Daemon::command().arg("tsdb").args(args).arg("--storage.path").arg(ring).output().expect("it runs");
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{args:?}: {out}{err}");
        format!("{out}{err}")
    };
    let verified = tsdb(&["verify"], data);
    assert!(verified.contains("no damage"), "{verified}");
    for form in ["jsonl", "openmetrics"] {
        let file = dir.join(format!("export-{form}")).join("x").display().to_string();
        let said = tsdb(&["export", "--format", form, "--match", r#"{job="app"}"#, "--out", &file], data);
        assert!(said.contains(", 14 exemplars") && !said.contains("left out"), "{said}");
        let copy = dir.join(form);
        let said = tsdb(&["import", "--format", form, &file], &copy);
        assert!(said.contains("and 14 exemplars imported"), "{said}");
        let daemon = Daemon::start_in::<&str>(&copy, &[]);
        for query in QUERIES {
            assert_eq!(answer(&daemon.url, query, ""), answer(peer, query, ""), "{form}: {query}");
        }
        if let (Some(promtool), "openmetrics") = (find_program(&["promtool"]), form) {
            let mut command = Command::new(promtool);
            command.args(["tsdb", "create-blocks-from", "openmetrics", &file]).arg(dir.join("blocks"));
            let made = command.output().expect("promtool runs");
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        }
    }
}
