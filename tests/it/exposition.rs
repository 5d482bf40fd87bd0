//! `/metrics` as its readers see it: promtool, Python's OpenMetrics parser, content negotiation.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::support::{Daemon, find_program, get, python_with, request, skip};

/// Families whose names are node_exporter's and that promtool's lint says something about.
const NODE_EXPORTER_NAMES: &[&str] = &["node_memory_", "node_entropy_", "node_netstat_", "node_vmstat_"];

const TEXT: &str = "text/plain;version=0.0.4";

fn metrics(daemon: &Daemon, accept: &str) -> String {
    let url = format!("{}/metrics", daemon.url);
    request("GET", &url, &[("accept", accept)], b"").expect("answers").text()
}

/// Feeds `input` to a command and gives its success and output.
fn feed(command: &mut Command, input: &str) -> (bool, String) {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{command:?}: {e}"));
    child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("reads its input");
    let out = child.wait_with_output().expect("ends");
    let text = [out.stdout, out.stderr].concat();
    (out.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn promtool_finds_nothing_to_say() {
    let Some(promtool) = find_program(&["promtool"]) else { return skip("promtool_finds_nothing_to_say", "promtool") };
    for args in [&[][..], &["--demo"]] {
        let daemon = Daemon::start(args);
        let page = metrics(&daemon, TEXT);
        assert!(page.contains("# TYPE node_cpu_seconds_total counter"), "{page}");
        let (ok, said) = feed(Command::new(&promtool).args(["check", "metrics"]), &page);
        // node_exporter's own names break promtool's taste in places; they stay what its dashboards expect.
        let ours: Vec<&str> =
            said.lines().filter(|line| !NODE_EXPORTER_NAMES.iter().any(|name| line.starts_with(name))).collect();
        assert!(ours.is_empty(), "promtool on {args:?}: {ours:#?}");
        assert!(ok || !said.trim().is_empty(), "promtool refused the page on {args:?} without a word");
    }
}

#[test]
fn the_openmetrics_parser_of_python_accepts_the_page() {
    let name = "the_openmetrics_parser_of_python_accepts_the_page";
    let Some(python) = python_with("prometheus_client") else { return skip(name, "Python's prometheus_client") };
    let script = "import sys\nfrom prometheus_client.openmetrics.parser import text_string_to_metric_families as p\n\
                  print(sum(len(f.samples) for f in p(sys.stdin.read())))";
    for args in [&[][..], &["--demo"]] {
        let daemon = Daemon::start(args);
        let page = metrics(&daemon, "application/openmetrics-text;version=1.0.0");
        assert!(page.ends_with("# EOF\n"));
        let (ok, said) = feed(Command::new(&python).args(["-c", script]), &page);
        assert!(ok, "{args:?}: {said}");
        assert!(said.trim().parse::<u32>().is_ok_and(|samples| samples > 50), "{said}");
        let check = feed(Daemon::command().args(["check", "metrics"]), &page);
        assert!(check.0, "our own checker: {}", check.1);
    }
}

#[test]
fn the_reader_chooses_format_and_compression() {
    let daemon = Daemon::start(&["--demo"]);
    let url = format!("{}/metrics", daemon.url);
    let cases = [
        ("", "application/openmetrics-text"),
        ("*/*", "application/openmetrics-text"),
        (TEXT, "text/plain"),
        ("text/plain;version=0.0.4;q=0.9,application/openmetrics-text;version=1.0.0;q=0.1", "text/plain"),
        (
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2",
            "application/openmetrics-text",
        ),
    ];
    for (accept, expected) in cases {
        let reply = request("GET", &url, &[("accept", accept)], b"").expect("answers");
        assert!(reply.header("content-type").starts_with(expected), "{accept:?}: {}", reply.header("content-type"));
    }
    let gzip = request("GET", &url, &[("accept-encoding", "gzip")], b"").expect("answers");
    assert_eq!(gzip.header("content-encoding"), "gzip");
    assert_eq!(gzip.body[..2], [0x1f, 0x8b]);
    assert_eq!(get(&url).header("content-encoding"), "");
}
