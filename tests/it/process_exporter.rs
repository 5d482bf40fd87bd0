//! process-exporter beside us: for every family of its groups, names, labels, types and values agree.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use crate::support::{Daemon, Spawned, find_program, free_port, request, skip, temp_dir, wait_for, write};

/// Families by name: type, and values by labels.
type Families = BTreeMap<String, (String, BTreeMap<String, f64>)>;

/// What it has and we lack, with the reason.
const LACKING: &[(&str, &str)] = &[
    (
        "namedprocess_namegroup_threads_wchan",
        "where threads wait is not read: wchan of every thread costs more than all else",
    ),
    ("namedprocess_scrape_errors", "watchfire_collector_* tells how readings went"),
    ("namedprocess_scrape_partial_errors", "worker_group_scrape_permission_denied tells by group and kind"),
    ("namedprocess_scrape_procread_errors", "watchfire_collector_* tells how readings went"),
];

fn read(url: &str) -> Option<Families> {
    let reply = request("GET", &format!("{url}/metrics"), &[("accept", "text/plain;version=0.0.4")], b"").ok()?;
    let mut families = Families::new();
    for line in reply.text().lines() {
        if let Some(rest) = line.strip_prefix("# TYPE namedprocess_") {
            let (name, kind) = rest.split_once(' ')?;
            families.insert(format!("namedprocess_{name}"), (kind.to_owned(), BTreeMap::new()));
        } else if line.starts_with("namedprocess_") {
            let (series, value) = line.rsplit_once(' ')?;
            let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
            let mut labels: Vec<&str> = labels.trim_end_matches('}').split(',').collect();
            labels.sort_unstable();
            families.get_mut(name)?.1.insert(labels.join(","), value.parse().ok()?);
        }
    }
    families.values().any(|(_, values)| !values.is_empty()).then_some(families)
}

#[test]
fn groups_agree_with_process_exporter() {
    let Some(program) = find_program(&["prometheus-process-exporter", "process-exporter"]) else {
        return skip("groups_agree_with_process_exporter", "process-exporter");
    };
    let mark = format!("8897.{}", std::process::id());
    let sleepers: Vec<Spawned> = (0..3).map(|_| Spawned::start(Command::new("sleep").arg(&mark))).collect();
    let dir = temp_dir();
    let matcher =
        format!("name: 'nap-{{{{.Matches.n}}}}'\n    cmdline: ['^sleep (?P<n>8897)\\.{}$']", std::process::id());
    let theirs = write(dir.path(), "theirs.yml", &format!("process_names:\n  - {matcher}\n"));
    let text = format!("workers:\n  process_exporter_names: true\n  groups:\n  - {matcher}\n");
    let ours = write(dir.path(), "watchfire.yml", &text);
    let port = free_port();
    let _exporter = Spawned::start(
        Command::new(program).arg("-config.path").arg(&theirs).arg(format!("-web.listen-address=127.0.0.1:{port}")),
    );
    let daemon = Daemon::start(&[format!("--config.file={}", ours.display())]);
    let url = format!("http://127.0.0.1:{port}");
    let theirs = wait_for("process-exporter's page", Duration::from_secs(20), || read(&url));
    let group = r#"groupname="nap-8897""#;
    let three = |families: &Families| {
        families.get("namedprocess_namegroup_num_procs").and_then(|(_, values)| values.get(group)) == Some(&3.0)
    };
    let ours = wait_for("our group", Duration::from_secs(20), || read(&daemon.url).filter(three));
    let mut complaints = Vec::new();
    for (name, (kind, values)) in &theirs {
        let Some((our_kind, our_values)) = ours.get(name) else {
            if !LACKING.iter().any(|(lacking, _)| lacking == name) {
                complaints.push(format!("{name}: we lack it"));
            }
            continue;
        };
        if kind != our_kind {
            complaints.push(format!("{name}: {our_kind}, process-exporter says {kind}"));
        }
        for (labels, value) in values {
            match our_values.get(labels) {
                None => complaints.push(format!("{name}{{{labels}}}: we lack it")),
                // It counts from its own start, we count whole lives; shares of memory move with other processes.
                Some(_) if kind == "counter" || labels.contains("proportional") => {}
                Some(ours) if (ours - value).abs() <= 0.02 * value.abs() + 1.0 => {}
                Some(ours) => complaints.push(format!("{name}{{{labels}}}: {ours}, process-exporter says {value}")),
            }
        }
        for labels in our_values.keys().filter(|labels| !values.contains_key(*labels)) {
            complaints.push(format!("{name}{{{labels}}}: process-exporter lacks it"));
        }
    }
    drop(sleepers);
    assert!(complaints.is_empty(), "{} complaints\n{}", complaints.len(), complaints.join("\n"));
    for (name, _) in LACKING {
        assert!(!ours.contains_key(*name), "{name} is not lacking any more");
    }
}

/// An end reaches history and the live stream, and is still there after a restart.
#[test]
fn an_end_is_an_event_that_survives_a_restart() {
    let mark = format!("8997.{}", std::process::id());
    let dir = temp_dir();
    let text = format!(
        "workers:\n  scan_interval: 1s\n  groups:\n  - {{name: nap, cmdline: ['^sleep {mark}$'], expected: 1}}\n"
    );
    let config = write(dir.path(), "watchfire.yml", &text);
    let data = dir.path().join("data");
    let args = [format!("--config.file={}", config.display())];
    let mut daemon = Daemon::start_in(&data, &args);
    let value = |daemon: &Daemon, family: &str| daemon.value(&format!("{family}{{group=\"nap\"}}"));
    wait_for("the group at 0 of 1", Duration::from_secs(20), || {
        let read = |family| value(&daemon, family);
        Some(())
            .filter(|()| read("worker_group_procs") == Some(0.0) && read("worker_group_expected_procs") == Some(1.0))
    });
    let mut worker = Spawned::start(Command::new("sleep").arg(&mark));
    wait_for("the worker", Duration::from_secs(20), || {
        value(&daemon, "worker_group_procs").filter(|procs| *procs == 1.0)
    });
    let pid = worker.pid();
    worker.signal("KILL");
    worker.wait(Duration::from_secs(5));
    let events = |daemon: &Daemon| {
        let url = format!("{}/api/watchfire/v1/events?type=worker_exit", daemon.url);
        crate::support::get(&url).json()["data"]["events"].as_array().cloned().unwrap_or_default()
    };
    let told =
        wait_for("the event", Duration::from_secs(20), || Some(events(&daemon)).filter(|events| !events.is_empty()));
    assert_eq!((told.len(), &told[0]["pid"], &told[0]["group"]), (1, &pid.into(), &"nap".into()));
    let schema =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/worker-exit.json")).expect("there");
    let schema: serde_json::Value = serde_json::from_str(&schema).expect("JSON");
    let fields: Vec<&String> = told[0].as_object().expect("an object").keys().collect();
    let mut required: Vec<&str> =
        schema["required"].as_array().expect("a list").iter().filter_map(|f| f.as_str()).collect();
    required.sort_unstable();
    assert_eq!(fields, required, "the event is what its schema says");
    wait_for("the counter", Duration::from_secs(20), || {
        daemon.value("sum(worker_group_exits_total{group=\"nap\"})").filter(|exits| *exits == 1.0)
    });
    daemon.process.signal("TERM");
    daemon.process.wait(Duration::from_secs(20));
    let daemon = Daemon::start_in(&data, &args);
    assert_eq!(events(&daemon), told);
}
