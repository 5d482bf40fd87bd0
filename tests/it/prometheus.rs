//! A real Prometheus scrapes us, and we scrape a real exporter.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::support::{Daemon, Spawned, encode, find_program, free_port, get, request, skip, temp_dir, wait_for, write};

/// First sample of an instant query against any Prometheus API.
fn ask(base: &str, query: &str) -> Option<f64> {
    let reply = request("GET", &format!("{base}/api/v1/query?query={}", encode(query)), &[], b"").ok()?;
    let json: Value = serde_json::from_slice(&reply.body).ok()?;
    json["data"]["result"][0]["value"][1].as_str()?.parse().ok()
}

#[test]
fn prometheus_scrapes_ten_times_and_stores_what_we_published() {
    let name = "prometheus_scrapes_ten_times_and_stores_what_we_published";
    let Some(program) = find_program(&["prometheus"]) else { return skip(name, "prometheus") };
    let daemon = Daemon::start::<&str>(&[]);
    let (dir, port) = (temp_dir(), free_port());
    let target = daemon.url.trim_start_matches("http://");
    let config = write(
        dir.path(),
        "prometheus.yml",
        &format!(
            "global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: watchfire\n  static_configs: [{{targets: ['{target}']}}]\n"
        ),
    );
    let prometheus = Spawned::start(
        Command::new(program)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}")),
    );
    let base = format!("http://127.0.0.1:{port}");
    wait_for("ten scrapes", Duration::from_secs(60), || {
        ask(&base, r#"count_over_time(up{job="watchfire"}[2m])"#).filter(|n| *n >= 10.0)
    });
    assert_eq!(ask(&base, r#"min_over_time(up{job="watchfire"}[2m])"#), Some(1.0), "{}", prometheus.log());
    let stored = ask(&base, "max_over_time(node_memory_MemTotal_bytes[2m])").expect("stored");
    assert_eq!(Some(stored), daemon.value("node_memory_MemTotal_bytes"));
    let families = ask(&base, r#"count(count by (__name__) ({job="watchfire"}))"#).expect("stored");
    assert!(families > 60.0, "{families} families");
    assert_eq!(ask(&base, "count(watchfire_build_info)"), Some(1.0));
}

#[test]
fn a_real_exporter_is_scraped_as_prometheus_would() {
    let name = "a_real_exporter_is_scraped_as_prometheus_would";
    let Some(program) = find_program(&["prometheus-node-exporter"]) else { return skip(name, "node_exporter") };
    let (dir, port) = (temp_dir(), free_port());
    let exporter = Spawned::start(Command::new(program).arg(format!("--web.listen-address=127.0.0.1:{port}")));
    let config = write(
        dir.path(),
        "watchfire.yml",
        &format!(
            "collectors: {{enabled: []}}\nscrape_configs:\n- job_name: exporter\n  scrape_interval: 1s\n  static_configs:\n  - targets: ['127.0.0.1:{port}']\n    labels: {{rack: a1}}\n- job_name: nobody\n  scrape_interval: 1s\n  static_configs: [{{targets: ['127.0.0.1:1']}}]\n"
        ),
    );
    let daemon = Daemon::start(&[format!("--config.file={}", config.display())]);
    wait_for("three scrapes", Duration::from_secs(30), || {
        daemon.value(r#"sum_over_time(up{job="exporter",rack="a1"}[1m])"#).filter(|n| *n >= 3.0)
    });
    assert_eq!(daemon.value(r#"up{job="nobody"}"#), Some(0.0));
    for series in [
        "scrape_duration_seconds",
        "scrape_samples_scraped",
        "scrape_samples_post_metric_relabeling",
        "scrape_series_added",
    ] {
        let query = format!(r#"{series}{{job="exporter",instance="127.0.0.1:{port}"}}"#);
        assert!(daemon.value(&query).is_some(), "{series}");
    }
    assert_eq!(daemon.value("count(go_info{job=\"exporter\"})"), Some(1.0));
    let targets = get(&format!("{}/api/v1/targets", daemon.url)).json();
    let active = targets["data"]["activeTargets"].as_array().expect("a list").clone();
    assert_eq!(active.len(), 2, "{targets}");
    for target in active {
        let up = target["labels"]["job"] == "exporter";
        assert_eq!(target["health"], if up { "up" } else { "down" }, "{target}");
        assert_eq!(target["lastError"].as_str().is_some_and(str::is_empty), up, "{target}");
    }
    let gone = exporter.pid();
    drop(exporter);
    wait_for("up to fall", Duration::from_secs(10), || daemon.value(r#"up{job="exporter"}"#).filter(|up| *up == 0.0));
    assert_eq!(daemon.value("node_load1"), None, "series of process {gone} end with a stale marker");
}
