//! A reload puts other collectors and worker groups in force, and says what waits for the next start.

use std::time::Duration;

use crate::support::{Daemon, get, request, temp_dir, wait_for, write};

const LIMIT: Duration = Duration::from_secs(30);

fn reload(daemon: &Daemon) {
    let reply = request("POST", &format!("{}/-/reload", daemon.url), &[], b"").expect("an answer");
    assert_eq!(reply.status, 200, "{}", reply.text());
}

fn shown(daemon: &Daemon) -> String {
    let json = get(&format!("{}/api/v1/status/config", daemon.url)).json();
    json["data"]["yaml"].as_str().expect("a text").to_owned()
}

/// Waits until the query has a value, or none.
fn wait_value(daemon: &Daemon, query: &str, present: bool) {
    let there = || daemon.value(query).is_some() == present;
    wait_for(&format!("{query} to be there: {present}"), LIMIT, || there().then_some(()));
}

#[test]
fn collectors_and_worker_groups_follow_the_file() {
    let (data, dir) = (temp_dir(), temp_dir());
    let first =
        "collectors: {enabled: [system, workers]}\nworkers: {groups: [{name: one, comm: [nobody-has-this-name]}]}\n";
    let file = write(dir.path(), "watchfire.yml", first);
    let file_arg = format!("--config.file={}", file.display());
    let daemon = Daemon::start_in(data.path(), &[file_arg.as_str(), "--web.enable-lifecycle"]);
    wait_value(&daemon, r#"worker_group_procs{group="one"}"#, true);
    wait_value(&daemon, "node_load1", true);
    wait_value(&daemon, "process_start_time_seconds", true);
    let made = daemon.value("process_start_time_seconds");

    // Another group, one collector less, another one slower, files of text; and something that waits.
    write(dir.path(), "extra.prom", "from_a_file 7\n");
    let next = format!(
        "collectors: {{enabled: [system, workers], disabled: [loadavg], intervals: {{meminfo: 2s}}, textfile: {{directory: {}}}}}\n\
         workers: {{groups: [{{name: two, comm: [watchfire]}}]}}\nstorage: {{retention: {{time: 7h}}}}\n",
        dir.path().display()
    );
    write(dir.path(), "watchfire.yml", &next);
    reload(&daemon);
    wait_value(&daemon, r#"worker_group_procs{group="two"}"#, true);
    wait_value(&daemon, r#"worker_group_procs{group="one"}"#, false);
    wait_value(&daemon, "node_load1", false);
    wait_value(&daemon, "from_a_file", true);
    wait_for("the slower collector", LIMIT, || {
        let json = get(&format!("{}/api/watchfire/v1/collectors", daemon.url)).json();
        let list = json["data"].as_array().expect("a list").clone();
        let found = list.iter().find(|one| one["name"] == "meminfo").expect("it runs").clone();
        assert!(!list.iter().any(|one| one["name"] == "loadavg"), "{list:?}");
        (found["interval_ms"] == 2000 && found["ticks"].as_u64() > Some(1)).then_some(())
    });
    for stays in ["node_memory_MemTotal_bytes", "node_cpu_seconds_total", "up{job=\"node\"}", "up{job=\"worker\"}"] {
        wait_value(&daemon, stays, true);
    }
    let page = get(&format!("{}/metrics", daemon.url)).text();
    assert!(!page.contains("node_load1 ") && page.contains("from_a_file 7"), "the page follows too");
    let yaml = shown(&daemon);
    assert!(yaml.starts_with("# storage: the file differs, the next start takes it\n"), "{yaml}");
    for (text, there) in [("loadavg", true), ("- two", true), ("- one", false), ("7h", false), ("meminfo: 2s", true)] {
        assert_eq!(yaml.contains(text), there, "{text}: {yaml}");
    }
    assert!(daemon.process.log().contains("changes at the next start only"), "said in the log, too");

    // A file that is wrong changes nothing.
    write(dir.path(), "watchfire.yml", "collectors: {disabled: [nonsense]}\n");
    let refused = request("POST", &format!("{}/-/reload", daemon.url), &[], b"").expect("an answer");
    assert!(refused.status >= 400 && refused.text().contains("nonsense"), "{}", refused.text());
    assert_eq!(shown(&daemon), yaml);

    // By signal: everything of the machine goes, and comes back.
    write(dir.path(), "watchfire.yml", "collectors: {enabled: []}\n");
    daemon.process.signal("HUP");
    for gone in ["node_memory_MemTotal_bytes", "node_cpu_seconds_total", "worker_group_procs", "up{job=\"node\"}"] {
        wait_value(&daemon, gone, false);
    }
    assert_eq!(daemon.value("process_start_time_seconds"), made, "the daemon still tells of itself");
    write(dir.path(), "watchfire.yml", first);
    reload(&daemon);
    wait_value(&daemon, "node_load1", true);
    wait_value(&daemon, r#"worker_group_procs{group="one"}"#, true);
    assert!(!shown(&daemon).contains("the file differs"), "{}", shown(&daemon));

    // What the collectors that left held was given back: more reloads need no more series.
    let before = held(&daemon);
    for round in 0..8 {
        let other = if round % 2 == 0 { "collectors: {enabled: [system]}\n" } else { first };
        write(dir.path(), "watchfire.yml", other);
        reload(&daemon);
        wait_value(&daemon, r#"worker_group_procs{group="one"}"#, round % 2 == 1);
    }
    let after = held(&daemon);
    // Devices and connections of the machine come and go meanwhile.
    assert!(after <= before * 1.1 + 20.0, "{before} series before, {after} after");
}

/// Series that sources hold when every collector has run twice.
fn held(daemon: &Daemon) -> f64 {
    wait_for("every collector to have run twice", LIMIT, || {
        let json = get(&format!("{}/api/watchfire/v1/collectors", daemon.url)).json();
        let list = json["data"].as_array().expect("a list").clone();
        list.iter().all(|one| one["ticks"].as_u64() >= Some(2)).then_some(())
    });
    let page = get(&format!("{}/metrics", daemon.url)).text();
    let line = page.lines().find_map(|line| line.strip_prefix("watchfire_registry_series{state=\"held\"} "));
    line.and_then(|value| value.parse().ok()).expect("a number")
}
