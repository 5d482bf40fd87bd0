//! node_exporter beside us, on this machine and on a synthetic one: it has no family that we lack, and names, labels, types
//! and values agree, but for what is listed here with its reason.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use crate::support::{Daemon, Spawned, find_program, free_port, request, skip, temp_dir, tree, wait_for, write};

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

/// Families of node_exporter that we do not have, and why.
const LACKING: &[(&str, &str)] = &[("node_systemd_", "needs D-Bus; cgroups tell about units")];

/// Collectors of node_exporter that are not ours, for the same reasons.
const LACKING_COLLECTORS: [&str; 1] = ["systemd"];

/// Series that are in one of the two only or differ, and why; only of the synthetic machine.
const DIFFERENT: &[(&str, &str, &str)] = &[
    ("node_exporter_build_info", "", "each says its own build"),
    ("node_uname_info", "", "theirs is the kernel's that runs, ours what the tree says"),
    ("node_nfsd_requests_total", "Verify", "theirs is two operations too early"),
    ("node_nfsd_requests_total", "Write,proto=\"4", "theirs is two operations too early"),
    ("node_nfsd_requests_total", "RelLockOwner", "theirs is two operations too early"),
    ("node_zfs_zpool_state", "suspended", "a state that came later"),
    ("node_timex_", "", "the clock of this machine, which moves"),
    ("node_scrape_collector_duration_seconds", "", "how long it took"),
];

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

/// The reason why a family of theirs is not ours, if there is one.
fn excused(name: &str) -> bool {
    LACKING.iter().any(|(start, _)| name.starts_with(start))
}

fn of(page: &Page, name: &str) -> BTreeMap<String, f64> {
    // A speed of -1 is no speed: we have no such series.
    let is_none = |value: f64| name == "node_network_speed_bytes" && value < 0.0;
    let all = page.samples.iter().filter(|((n, l), value)| n == name && !left_out(n, l) && !is_none(**value));
    all.map(|((_, labels), value)| (labels.clone(), *value)).collect()
}

/// Whether collectors of both intervals have been read.
fn whole(page: &Page) -> bool {
    page.types.contains_key("node_uname_info") && page.types.contains_key("node_load1")
}

/// Families that we lack or that have another type, and collectors that succeed for one of us only.
fn families(ours: &Page, theirs: &Page) -> Vec<String> {
    let mut complaints = Vec::new();
    for (name, kind) in theirs.types.iter().filter(|(name, _)| name.starts_with("node_") && !excused(name)) {
        match ours.types.get(name) {
            None if of(theirs, name).is_empty() => {}
            None => complaints.push(format!("{name}: node_exporter has it, we do not")),
            Some(ours) if ours != kind => complaints.push(format!("{name}: {ours}, node_exporter says {kind}")),
            Some(_) => {}
        }
    }
    let success = |page: &Page| of(page, "node_scrape_collector_success");
    let mine = success(ours);
    for (labels, value) in success(theirs) {
        if LACKING_COLLECTORS.iter().any(|name| labels.contains(name)) {
            continue;
        }
        if mine.get(&labels) != Some(&value) {
            complaints.push(format!("collector {labels}: {:?}, node_exporter says {value}", mine.get(&labels)));
        }
    }
    complaints
}

#[test]
fn node_exporter_has_no_family_that_we_lack() {
    let test = "node_exporter_has_no_family_that_we_lack";
    let Some(program) = find_program(&["prometheus-node-exporter"]) else { return skip(test, "node_exporter") };
    let port = free_port();
    let _exporter = Spawned::start(Command::new(program).arg(format!("--web.listen-address=127.0.0.1:{port}")));
    let daemon = Daemon::start::<&str>(&[]);
    let theirs =
        wait_for("node_exporter's page", Duration::from_secs(20), || read(&format!("http://127.0.0.1:{port}")));
    let ours = wait_for("our page", Duration::from_secs(20), || read(&daemon.url).filter(whole));
    let mut complaints = families(&ours, &theirs);
    let mut compared = 0;
    for name in theirs.types.keys().filter(|name| name.starts_with("node_") && ours.types.contains_key(*name)) {
        // One line a collector: we have more of them. Each of us says its own build.
        if name.starts_with("node_scrape_collector") || name == "node_exporter_build_info" {
            continue;
        }
        compared += 1;
        let (mine, peer) = (of(&ours, name), of(&theirs, name));
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
    assert!(compared > 200, "only {compared} families in common");
}

/// Both read the same tree, so values are equal but for what the two take from the running machine.
#[test]
fn both_read_the_same_from_a_synthetic_machine() {
    let test = "both_read_the_same_from_a_synthetic_machine";
    let Some(program) = find_program(&["prometheus-node-exporter"]) else { return skip(test, "node_exporter") };
    let folder = temp_dir();
    tree::unpack(folder.path());
    let root = |name: &str| folder.path().join(name).display().to_string();
    let port = free_port();
    let mut command = Command::new(program);
    command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
    command.args(["--collector.cpu.info", "--no-collector.netdev.netlink", "--no-collector.systemd"]);
    command.arg("--collector.netdev.device-exclude=^$");
    command.arg(format!("--path.udev.data={}", root("rootfs/run/udev/data")));
    let config =
        write(folder.path(), "watchfire.yml", "collectors: {enabled: [system], options: {cpu: {info: true}}}\n");
    let mut args = vec!["--config.file".to_owned(), config.display().to_string()];
    for (flag, name) in [("procfs", "proc"), ("sysfs", "sys"), ("rootfs", "rootfs")] {
        command.arg(format!("--path.{flag}={}", root(name)));
        args.push(format!("--path.{flag}={}", root(name)));
    }
    let _exporter = Spawned::start(&mut command);
    let daemon = Daemon::start(&args);
    let theirs =
        wait_for("node_exporter's page", Duration::from_secs(20), || read(&format!("http://127.0.0.1:{port}")));
    let ours = wait_for("our page", Duration::from_secs(20), || read(&daemon.url).filter(whole));
    let mut complaints = families(&ours, &theirs);
    let (mut series, mut used) = (0, 0);
    for name in theirs.types.keys().filter(|name| name.starts_with("node_") && ours.types.contains_key(*name)) {
        let listed =
            |labels: &str| DIFFERENT.iter().any(|(start, part, _)| name.starts_with(start) && labels.contains(part));
        if name == "node_scrape_collector_success" || name == "node_time_seconds" {
            continue;
        }
        let (mine, peer) = (of(&ours, name), of(&theirs, name));
        for labels in mine.keys().chain(peer.keys()).collect::<std::collections::BTreeSet<_>>() {
            series += 1;
            let (ours, theirs) = (mine.get(labels), peer.get(labels));
            let same = match (ours, theirs) {
                (Some(a), Some(b)) => equal(name, *a, *b),
                _ => false,
            };
            if listed(labels) {
                used += 1;
            } else if !same {
                complaints.push(format!("{name}{{{labels}}}: {ours:?}, node_exporter says {theirs:?}"));
            }
        }
    }
    assert!(complaints.is_empty(), "{} complaints\n{}", complaints.len(), complaints.join("\n"));
    assert!(series > 1000 && used > 10, "only {series} series in common");
}

/// Equal to the last digits of a float; space on disk moves while tests run.
fn equal(name: &str, ours: f64, theirs: f64) -> bool {
    let allowed = if name.starts_with("node_filesystem_") { 0.1 } else { 1e-12 };
    ours == theirs || (ours - theirs).abs() <= allowed * ours.abs().max(theirs.abs())
}
