//! What a query may use up, asked of the real binary: each refusal names its limit, and nobody evaluates for a client
//! that has gone.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use crate::support::{Daemon, encode, get, post, wait_for};

const PATIENCE: Duration = Duration::from_secs(30);

/// Minutes of work: 10,001 windows of 360,000 samples each, none of which can be worked out of the one before.
fn heavy() -> String {
    let query = encode("predict_linear(vector(1)[1h:10ms], 1)");
    format!("/api/v1/query_range?query={query}&start=1000&end=2000&step=100ms")
}

/// Sends a request and leaves the connection open.
fn ask(daemon: &Daemon, path: &str) -> TcpStream {
    let host = daemon.url.strip_prefix("http://").expect("http");
    let mut stream = TcpStream::connect(host).expect("the daemon listens");
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n").expect("sends");
    stream
}

/// One of the daemon's own metrics. The page is made once a second.
fn own(daemon: &Daemon, series: &str) -> f64 {
    let page = get(&format!("{}/metrics", daemon.url)).text();
    let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {series} in\n{page}"))
}

fn becomes(daemon: &Daemon, series: &str, expected: f64) {
    wait_for(&format!("{series} {expected}"), PATIENCE, || (own(daemon, series) == expected).then_some(()));
}

#[test]
fn a_client_that_goes_away_stops_its_query() {
    let daemon = Daemon::start(&["--query.max-concurrency=1"]);
    let (running, waiting) = ("watchfire_queries_running", "watchfire_queries_waiting");
    let first = ask(&daemon, &heavy());
    becomes(&daemon, running, 1.0);
    // The only place is taken: whoever reads waits, and says so when it was in vain.
    for path in ["query?query=1&timeout=50ms", "query_range?query=1&start=1&end=2&step=1&timeout=50ms"] {
        let refused = get(&format!("{}/api/v1/{path}", daemon.url));
        let json = refused.json();
        assert_eq!((refused.status, json["errorType"].as_str()), (503, Some("timeout")), "{json}");
        let error = json["error"].as_str().unwrap_or_default();
        assert!(error.contains("1 queries run at once (--query.max-concurrency)"), "{error}");
    }
    becomes(&daemon, "watchfire_queries_refused_total{reason=\"queue\"}", 2.0);
    let others: Vec<TcpStream> =
        ["/api/v1/query?query=1", "/api/v1/labels", "/api/v1/series?match[]=up", "/api/v1/label/job/values"]
            .map(|path| ask(&daemon, path))
            .into();
    becomes(&daemon, waiting, 4.0);
    drop(others);
    becomes(&daemon, waiting, 0.0);
    assert_eq!(own(&daemon, running), 1.0, "the query of the client that stayed runs on");
    drop(first);
    becomes(&daemon, running, 0.0);
    becomes(&daemon, "watchfire_queries_refused_total{reason=\"canceled\"}", 1.0);
    // The place is free again.
    assert_eq!(daemon.value("1"), Some(1.0));
    // An evaluation at one time stops too.
    let query = encode("max_over_time(predict_linear(vector(1)[1h:10ms], 1)[1000s:100ms])");
    let one = ask(&daemon, &format!("/api/v1/query?query={query}&time=2000"));
    becomes(&daemon, running, 1.0);
    drop(one);
    becomes(&daemon, running, 0.0);
    becomes(&daemon, "watchfire_query_duration_seconds_count", 3.0);
    becomes(&daemon, "watchfire_query_duration_seconds_bucket{le=\"+Inf\"}", 3.0);
    let stored = "watchfire_query_duration_seconds_bucket{job=\"watchfire\",le=\"+Inf\"} >= 3";
    wait_for("the histogram in the history", PATIENCE, || daemon.value(stored));
}

#[test]
fn refusals_name_the_limit_and_its_value() {
    let daemon = Daemon::start(&["--query.max-samples=1000", "--query.lookback-delta=7m"]);
    let api = format!("{}/api/v1", daemon.url);
    let range = |query: &str, span: &str| format!("query_range?query={}&{span}", encode(query));
    // Path, status, error type, what the text must say: the limit's name, its value, what was asked.
    let cases: [(String, u16, &str, &[&str]); 5] = [
        (
            range("vector(time()) + vector(time())", "start=1&end=1000&step=1"),
            422,
            "execution",
            &["1000 (--query.max-samples)"],
        ),
        (
            range("max_over_time(vector(1)[1h:1s])", "start=1&end=2&step=1"),
            422,
            "execution",
            &["too many samples", "needs 3601 or more", "1000 (--query.max-samples)"],
        ),
        (
            range("1", "start=0&end=12000&step=1"),
            400,
            "bad_data",
            &["11,000 points", "asks for 12000", "11000 (MAX_RANGE_POINTS)"],
        ),
        ("query?query=1&timeout=0".to_owned(), 503, "timeout", &["timeout is 0"]),
        (format!("query?query={}1", "%2B".repeat(23_000)), 414, "bad_data", &["65534 bytes (MAX_URL_BYTES)", "POST"]),
    ];
    for (path, status, kind, says) in cases {
        let reply = get(&format!("{api}/{path}"));
        let (json, path) = (reply.json(), path.get(..80).unwrap_or(&path));
        assert_eq!((reply.status, json["errorType"].as_str()), (status, Some(kind)), "{path}: {}", json["error"]);
        assert_eq!((json["status"].as_str(), reply.header("content-type")), (Some("error"), "application/json"));
        let error = json["error"].as_str().unwrap_or_default();
        says.iter().for_each(|part| assert!(error.contains(part), "{path}: {error}"));
    }
    for (form, status, says) in [
        (format!("query={}", "1%2B".repeat(200_000)), 400, "(MAX_QUERY_BYTES)"),
        (format!("query={}1{}", "(".repeat(100_000), ")".repeat(100_000)), 400, "(MAX_QUERY_DEPTH)"),
        (format!("query=1&x={}", "y".repeat(17 << 20)), 413, "16777216 bytes (MAX_BODY_BYTES)"),
        (format!("query=1{}", "%2B1".repeat(90)), 200, ""),
    ] {
        let reply = post(&format!("{api}/query"), form.as_bytes());
        let error = reply.json()["error"].as_str().unwrap_or_default().to_owned();
        assert_eq!(reply.status, status, "{error}");
        assert!(error.contains(says), "{error}");
    }
    let flags = get(&format!("{api}/status/flags")).json();
    for (flag, value) in [
        ("query.max-samples", "1000"),
        ("query.timeout", "2m"),
        ("query.max-concurrency", "20"),
        ("query.lookback-delta", "7m"),
    ] {
        assert_eq!(flags["data"][flag], value, "{flag}");
    }
    for (reason, times) in [("samples", 2.0), ("points", 1.0), ("time", 1.0), ("length", 1.0), ("queue", 0.0)] {
        becomes(&daemon, &format!("watchfire_queries_refused_total{{reason=\"{reason}\"}}"), times);
    }
}

#[test]
fn the_time_limit_counts_for_everybody() {
    let daemon = Daemon::start(&["--query.timeout=20ms"]);
    // Asking for more does not help; asking for less does.
    let limit = "the limit of 20ms is over (--query.timeout)";
    let own = "the request's timeout of 5ms is over (--query.timeout is 20ms)";
    for (timeout, expected) in [("", limit), ("&timeout=1h", limit), ("&timeout=5ms", own), ("&timeout=0.005", own)] {
        let reply = get(&format!("{}{}{timeout}", daemon.url, heavy()));
        let json = reply.json();
        let error = json["error"].as_str().unwrap_or_default();
        assert_eq!((reply.status, json["errorType"].as_str()), (503, Some("timeout")), "{error}");
        assert_eq!(error, format!("query timed out in expression evaluation: {expected}"));
    }
}
