//! What Grafana, curl and scrapers ask of the real binary, and pages that break in the middle.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::support::{Daemon, encode, post, request, temp_dir, wait_for, write};

/// Headers that Grafana's data source sends along.
const GRAFANA: [(&str, &str); 4] = [
    ("user-agent", "Grafana/11.0.0"),
    ("x-dashboard-uid", "abc"),
    ("x-panel-id", "2"),
    ("content-type", "application/x-www-form-urlencoded"),
];

#[test]
fn grafana_asks() {
    let daemon = Daemon::start::<&str>(&["--demo"]);
    wait_for("data", Duration::from_secs(20), || daemon.value("count(node_load1)").filter(|n| *n > 0.0));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let span = format!("start={}&end={now}", now - 3600);
    let load = encode("{__name__=\"node_load1\"}");
    // Method, path, parameters, a JSON pointer that must lead somewhere.
    let cases: Vec<(&str, &str, String, &str)> = vec![
        ("POST", "query_range", format!("query=node_load1&{span}.250&step=15.000"), "/data/result/0/values/0/1"),
        ("POST", "query", format!("query=1%2B1&time={now}.123"), "/data/result/1"),
        ("GET", "label/__name__/values", span.clone(), "/data/0"),
        ("GET", "label/job/values", format!("match%5B%5D={load}&{span}"), "/data/0"),
        ("GET", "labels", format!("match[]={load}&{span}"), "/data/0"),
        ("POST", "labels", span.clone(), "/data/0"),
        ("GET", "series", format!("match[]={load}&{span}"), "/data/0/__name__"),
        ("POST", "series", format!("match%5B%5D={load}&{span}&limit=40000"), "/data/0/__name__"),
        ("GET", "metadata", "limit=5&limit_per_metric=1".to_owned(), "/data"),
        ("GET", "status/buildinfo", String::new(), "/data/version"),
        ("GET", "rules", "type=alert".to_owned(), "/data/groups/0/rules/0/type"),
        ("GET", "alerts", String::new(), "/data/alerts"),
        ("GET", "query_exemplars", format!("query=rate(x%5B5m%5D)&{span}"), "/data"),
        ("GET", "targets", "state=active".to_owned(), "/data/activeTargets"),
    ];
    for (method, path, params, pointer) in cases {
        let url = format!("{}/api/v1/{path}", daemon.url);
        let (url, body) = if method == "GET" { (format!("{url}?{params}"), "") } else { (url, params.as_str()) };
        let reply = request(method, &url, &GRAFANA, body.as_bytes()).unwrap_or_else(|e| panic!("{path}: {e}"));
        let json = reply.json();
        assert_eq!((reply.status, json["status"].as_str()), (200, Some("success")), "{method} {path}: {json}");
        assert!(json.pointer(pointer).is_some(), "{method} {path}: nothing at {pointer}: {json}");
    }
}

#[test]
fn metrics_in_the_format_that_each_client_reads() {
    let daemon = Daemon::start::<&str>(&["--demo"]);
    let event = br#"{"name":"odd_total","type":"counter","value":2,"labels":{"l":"q\" b\\ n\n \u00e9\ud83d\ude00"}}"#;
    assert_eq!(post(&format!("{}/api/watchfire/v1/events", daemon.url), event).status, 200);
    let line = "odd_total{l=\"q\\\" b\\\\ n\\n é😀\"} 2\n";
    let open = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let text = "text/plain; version=0.0.4; charset=utf-8";
    let prometheus2 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    let prometheus3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
    for (accept, expected) in [
        ("*/*", open),
        (prometheus2, open),
        (prometheus3, open),
        ("text/plain;version=0.0.4;q=1,*/*;q=0.1", text),
        ("application/openmetrics-text;q=0,*/*", text),
    ] {
        let url = format!("{}/metrics", daemon.url);
        let reply = wait_for("the event's series", Duration::from_secs(10), || {
            let reply = request("GET", &url, &[("accept", accept)], b"").ok()?;
            reply.text().contains("odd_total{").then_some(reply)
        });
        assert_eq!(reply.header("content-type"), expected, "{accept}");
        assert!(reply.text().contains(line), "{accept}: {}", reply.text());
        assert_eq!(reply.text().ends_with("# EOF\n"), expected == open, "{accept}");
        let head = request("HEAD", &url, &[("accept", accept), ("accept-encoding", "gzip")], b"").expect("an answer");
        assert_eq!((head.status, head.header("content-type"), head.body.len()), (200, expected, 0));
        assert_eq!(head.header("content-encoding"), "gzip");
    }
}

/// A server whose answers break off: the body ends before its length, or within a chunk, or never comes.
fn broken_pages() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let address = listener.local_addr().expect("bound").to_string();
    std::thread::spawn(move || {
        let mut waiting = Vec::new();
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut head = [0; 4096];
            let length = stream.read(&mut head).unwrap_or(0);
            let head = String::from_utf8_lossy(&head[..length]).into_owned();
            let answer = match head.split(' ').nth(1) {
                Some("/short") => "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\na 1\n",
                Some("/chunk") => "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\na 1\n\r\n",
                Some("/whole") => {
                    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\na 1\n\r\n4\r\nb 2\n\r\n0\r\n\r\n"
                }
                Some("/unended") => {
                    "HTTP/1.1 200 OK\r\ncontent-type: application/openmetrics-text\r\ncontent-length: 4\r\n\r\na 1\n"
                }
                Some("/moved") => "HTTP/1.1 302 Found\r\nlocation: /whole\r\ncontent-length: 0\r\n\r\n",
                Some("/slow") => {
                    waiting.push(stream);
                    continue;
                }
                _ => "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
            };
            let _ = stream.write_all(answer.as_bytes());
            let _ = stream.shutdown(Shutdown::Both);
        }
    });
    address
}

#[test]
fn broken_pages_are_down_and_leave_nothing() {
    let address = broken_pages();
    // Job, `up`, `scrape_samples_scraped`, series, what the target's error says.
    let cases = [
        ("whole", 1.0, 2.0, 2.0, ""),
        ("moved", 1.0, 2.0, 2.0, ""),
        ("short", 0.0, 0.0, 0.0, "broke off"),
        ("chunk", 0.0, 0.0, 0.0, "broke off"),
        ("unended", 0.0, 1.0, 0.0, "expected # EOF"),
        ("slow", 0.0, 0.0, 0.0, "no complete answer"),
        ("gone", 0.0, 0.0, 0.0, "HTTP status 404"),
    ];
    let mut config = "collectors: {enabled: []}\nscrape_configs:\n".to_owned();
    for (job, ..) in &cases {
        config.push_str(&format!("- job_name: {job}\n  metrics_path: /{job}\n  scrape_interval: 1s\n  scrape_timeout: 500ms\n  static_configs: [{{targets: ['{address}']}}]\n"));
    }
    let dir = temp_dir();
    let config = write(dir.path(), "watchfire.yml", &config);
    let daemon = Daemon::start(&[format!("--config.file={}", config.display())]);
    for (job, up, scraped, series, error) in cases {
        wait_for("two scrapes", Duration::from_secs(20), || {
            daemon.value(&format!("count_over_time(up{{job=\"{job}\"}}[1m])")).filter(|n| *n >= 2.0)
        });
        // A machine that is busy may let one scrape of a good page time out; the next one is asked then.
        let expected = [up, scraped, series].map(Some);
        wait_for(&format!("{job}: {expected:?}"), Duration::from_secs(20), || {
            let found = [
                daemon.value(&format!("up{{job=\"{job}\"}}")),
                daemon.value(&format!("scrape_samples_scraped{{job=\"{job}\"}}")),
                daemon.value(&format!("count({{__name__=~\"a|b\",job=\"{job}\"}}) or vector(0)")),
            ];
            (found == expected).then_some(())
        });
        let url = format!("{}/api/v1/targets?scrapePool={job}", daemon.url);
        let targets = request("GET", &url, &[], b"").expect("an answer").json();
        let last = targets["data"]["activeTargets"][0]["lastError"].as_str().unwrap_or("?");
        assert!(last.contains(error) && last.is_empty() == error.is_empty(), "{job}: {last}");
    }
}
