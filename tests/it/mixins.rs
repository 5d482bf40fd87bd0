//! Dashboards and alert rules that were made for node_exporter: their expressions have series here too.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use watchfire::promql::parser::{Expr, parse};

use crate::support::{Daemon, encode, get, temp_dir, tree, write};

const LIST: &str = include_str!("../fixtures/node_expressions.promql");

/// What Grafana would fill in. A window of fifteen seconds has three readings of the slowest collectors.
const VARIABLES: [(&str, &str); 4] = [
    ("$__rate_interval", "15s"),
    ("$diskdevices", "[a-z]+|nvme[0-9]+n[0-9]+|mmcblk[0-9]+"),
    ("$job", "node"),
    ("$device", ".*"),
];

/// Where the variables of the dashboards take their values from: a selector and a label.
const FILLED_FROM: [(&str, &str); 6] = [
    (r#"node_uname_info"#, "job"),
    (r#"node_uname_info{job="node"}"#, "nodename"),
    (r#"node_uname_info{job="node",sysname!="Darwin"}"#, "instance"),
    (r#"node_exporter_build_info{job="node",cluster=""}"#, "instance"),
    (r#"node_filesystem_size_bytes{job="node"}"#, "mountpoint"),
    (r#"node_disk_io_time_seconds_total{job="node"}"#, "device"),
];

/// One line of the list.
struct Line {
    query: String,
    /// Why it may have no series on this machine.
    needs: Option<&'static str>,
    /// The reason is that nobody answers it.
    is_nobodys: bool,
    is_alert: bool,
}

fn lines() -> Vec<Line> {
    let mut is_alert = false;
    let mut all = Vec::new();
    for line in LIST.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if line == "alerts:" {
            is_alert = true;
            continue;
        }
        let (needs, query) = match line.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
            Some((why, query)) => (Some(why), query),
            None => (None, line),
        };
        let is_nobodys = needs.is_some_and(|why| why.starts_with('!'));
        assert!(needs.is_none_or(|why| why.trim_start_matches('!').len() > 5), "{line}: why?");
        let mut query = query.to_owned();
        VARIABLES.iter().for_each(|(name, value)| query = query.replace(name, value));
        all.push(Line { query, needs, is_nobodys, is_alert });
    }
    all
}

fn selectors(expr: &Expr, out: &mut BTreeSet<String>) {
    match expr {
        Expr::Number(_) | Expr::String(_) => {}
        Expr::Paren(inner) => selectors(&inner.expr, out),
        Expr::Unary(inner) => selectors(&inner.expr, out),
        Expr::Binary(both) => [&both.lhs, &both.rhs].into_iter().for_each(|side| selectors(side, out)),
        Expr::Aggregate(inner) => selectors(&inner.expr, out),
        Expr::Call(call) => call.args.iter().for_each(|arg| selectors(arg, out)),
        Expr::Vector(vector) => {
            out.insert(vector.to_string());
        }
        Expr::Matrix(matrix) => {
            out.insert(matrix.selector.to_string());
        }
        Expr::Subquery(inner) => selectors(&inner.expr, out),
    }
}

/// What has to have series: the expression, or for an alert each of its selectors.
fn asked(line: &Line) -> BTreeSet<String> {
    if !line.is_alert {
        return BTreeSet::from([line.query.clone()]);
    }
    let mut out = BTreeSet::new();
    selectors(&parse(&line.query).unwrap_or_else(|error| panic!("{}: {error}", line.query)), &mut out);
    out
}

/// Asks; `None` while there are no series.
fn series(daemon: &Daemon, query: &str) -> Option<usize> {
    let node = daemon.url.trim_start_matches("http://");
    let query = query.replace("$node", node);
    let json = get(&format!("{}/api/v1/query?query={}", daemon.url, encode(&query))).json();
    assert_eq!(json["status"], "success", "{query}: {json}");
    let count = json["data"]["result"].as_array().map_or(0, Vec::len);
    (count > 0).then_some(count)
}

/// What has no series in the end, though it is asked for until `limit`.
fn unanswered(daemon: &Daemon, mut open: BTreeSet<String>, limit: Duration) -> BTreeSet<String> {
    let deadline = Instant::now() + limit;
    loop {
        open.retain(|query| series(daemon, query).is_none());
        if open.is_empty() || Instant::now() > deadline {
            return open;
        }
        std::thread::park_timeout(Duration::from_millis(500));
    }
}

/// Whether a variable of a dashboard finds something to choose.
fn is_filled(daemon: &Daemon, selector: &str, label: &str) -> bool {
    let json = get(&format!("{}/api/v1/label/{label}/values?match[]={}", daemon.url, encode(selector))).json();
    assert_eq!(json["status"], "success", "{selector}: {json}");
    json["data"].as_array().is_some_and(|values| !values.is_empty())
}

fn daemon(folder: &Path, roots: Option<&Path>) -> Daemon {
    // Everything every second, so that the test need not wait for the slow ones.
    let names = ["filesystem", "netclass", "nfs", "nfsd", "rapl", "cpufreq", "dmi", "uname", "os", "bonding", "mdadm"];
    let intervals: Vec<String> = names.iter().map(|name| format!("{name}: 1s")).collect();
    let text = format!("collectors: {{enabled: [system], intervals: {{{}}}}}\n", intervals.join(", "));
    let mut args = vec!["--config.file".to_owned(), write(folder, "watchfire.yml", &text).display().to_string()];
    for name in ["proc", "sys", "root"] {
        let Some(root) = roots else { continue };
        let folder = root.join(if name == "root" { "rootfs" } else { name });
        args.push(format!("--path.{name}fs={}", folder.display()));
    }
    Daemon::start(&args)
}

#[test]
fn expressions_for_node_exporter_have_series() {
    let lines = lines();
    assert!(lines.len() > 200, "only {} expressions", lines.len());
    let folder = temp_dir();
    tree::unpack(folder.path());
    let synthetic = daemon(folder.path(), Some(folder.path()));
    let real = daemon(folder.path(), None);
    let (nobodys, lines): (Vec<Line>, Vec<Line>) = lines.into_iter().partition(|line| line.is_nobodys);
    let everywhere: BTreeSet<String> = lines.iter().flat_map(asked).collect();
    let here: BTreeSet<String> = lines.iter().filter(|line| line.needs.is_none()).flat_map(asked).collect();
    let limit = Duration::from_secs(40);
    let lacking = unanswered(&synthetic, everywhere, limit);
    assert!(lacking.is_empty(), "without series on the synthetic machine:\n{lacking:#?}");
    let lacking = unanswered(&real, here, limit);
    assert!(lacking.is_empty(), "without series on this machine:\n{lacking:#?}");
    for daemon in [&synthetic, &real] {
        for (selector, label) in FILLED_FROM {
            assert!(is_filled(daemon, selector, label), "nothing to choose: {label} of {selector}");
        }
        for line in &nobodys {
            assert_eq!(
                series(daemon, &line.query),
                None,
                "has series, so the reason is no longer true: {}",
                line.query
            );
        }
    }
    for line in lines.iter().filter(|line| line.is_alert) {
        // The whole expression is understood, whatever it says.
        series(&real, &line.query);
        series(&synthetic, &line.query);
    }
}
