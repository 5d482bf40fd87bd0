//! node_exporter beside us: for every `node_*` family that both publish, names, labels, types and values agree.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use crate::support::{Daemon, Spawned, find_program, free_port, request, skip, wait_for};

/// Sample name and sorted label text → value; family → type.
#[derive(Default)]
struct Page {
    types: BTreeMap<String, String>,
    samples: BTreeMap<(String, String), f64>,
}

fn read(url: &str) -> Option<Page> {
    let reply = request("GET", &format!("{url}/metrics"), &[("accept", "text/plain;version=0.0.4")], b"").ok()?;
    let mut page = Page::default();
    for line in reply.text().lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ')?;
            page.types.insert(name.to_owned(), kind.to_owned());
        } else if line.starts_with("node_") {
            let (series, value) = line.rsplit_once(' ')?;
            let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
            // An empty label is no label.
            let labels = labels.trim_end_matches('}').split("\",").map(|l| l.trim_end_matches('"'));
            let mut labels: Vec<&str> = labels.filter(|l| !l.ends_with('=')).collect();
            labels.sort_unstable();
            page.samples.insert((name.to_owned(), labels.join(",")), value.parse().ok()?);
        }
    }
    (!page.samples.is_empty()).then_some(page)
}

/// Families whose value is a moment's: a difference between two readings says nothing.
const MOMENTARY: &[&str] = &[
    "node_load1",
    "node_load5",
    "node_load15",
    "node_procs_running",
    "node_procs_blocked",
    "node_forks_total",
    "node_entropy_available_bits",
    "node_disk_io_now",
    "node_scrape_collector_duration_seconds",
    "node_time_seconds",
    "node_intr_total",
    "node_context_switches_total",
];

/// What the peer's version treats otherwise than today's node_exporter, whose defaults are ours: 1.5 lists zram disks
/// and has no `lo` in what netlink tells it. Mounts that are no disk come and go while the two read.
fn left_out(name: &str, labels: &str) -> bool {
    labels.contains("device=\"zram")
        || (name.starts_with("node_network_") && labels.contains("device=\"lo"))
        || (name.starts_with("node_filesystem_") && !labels.contains("device=\"/dev/"))
}

/// Whether two readings, taken up to two seconds apart, can be of the same thing.
fn agrees(name: &str, ours: f64, theirs: f64) -> bool {
    if ours == theirs || MOMENTARY.contains(&name) {
        return true;
    }
    let scale = ours.abs().max(theirs.abs());
    // Two cores give four CPU seconds in two seconds; memory, network and disk counters move by less than a tenth,
    // or by less than 512 MiB, while tests run beside.
    let allowed = if name.contains("seconds") {
        8.0
    } else {
        0.1 * scale + if name.contains("bytes") { 5.4e8 } else { 50_000.0 }
    };
    (ours - theirs).abs() <= allowed
}

#[test]
fn families_that_both_publish_agree() {
    let Some(program) = find_program(&["prometheus-node-exporter"]) else {
        return skip("families_that_both_publish_agree", "node_exporter");
    };
    let port = free_port();
    let _exporter = Spawned::start(Command::new(program).arg(format!("--web.listen-address=127.0.0.1:{port}")));
    let daemon = Daemon::start::<&str>(&[]);
    let theirs =
        wait_for("node_exporter's page", Duration::from_secs(20), || read(&format!("http://127.0.0.1:{port}")));
    let ours = wait_for("our page", Duration::from_secs(20), || read(&daemon.url).filter(|p| p.samples.len() > 100));
    let mut complaints = Vec::new();
    let mut compared = 0;
    for (name, kind) in theirs.types.iter().filter(|(name, _)| name.starts_with("node_")) {
        let Some(our_kind) = ours.types.get(name) else { continue };
        if name.starts_with("node_scrape_collector") {
            continue; // One line a collector: the sets of collectors differ.
        }
        compared += 1;
        if kind != our_kind {
            complaints.push(format!("{name}: {our_kind}, node_exporter says {kind}"));
        }
        let of = |page: &Page| -> BTreeMap<String, f64> {
            page.samples
                .iter()
                .filter(|((n, l), _)| n == name && !left_out(n, l))
                .map(|((_, l), v)| (l.clone(), *v))
                .collect()
        };
        let (mine, peer) = (of(&ours), of(&theirs));
        for labels in peer.keys().filter(|l| !mine.contains_key(*l)) {
            complaints.push(format!("{name}{{{labels}}}: node_exporter has it, we do not"));
        }
        for (labels, value) in &mine {
            match peer.get(labels) {
                None => complaints.push(format!("{name}{{{labels}}}: we have it, node_exporter does not")),
                Some(other) if !agrees(name, *value, *other) => {
                    complaints.push(format!("{name}{{{labels}}}: {value}, node_exporter says {other}"));
                }
                Some(_) => {}
            }
        }
    }
    assert!(complaints.is_empty(), "{} complaints\n{}", complaints.len(), complaints.join("\n"));
    assert!(compared > 100, "only {compared} families in common");
}
