//! Rules on the running daemon: a real burner makes a real alert pend, fire and resolve; state survives; reload works.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Daemon, Spawned, encode, get, post, temp_dir, wait_for, write};

fn alert_state(daemon: &Daemon, name: &str) -> Option<(String, Value)> {
    let json = get(&format!("{}/api/v1/alerts", daemon.url)).json();
    let alerts = json["data"]["alerts"].as_array().expect("a list").clone();
    let alert = alerts.into_iter().find(|alert| alert["labels"]["alertname"] == name)?;
    Some((alert["state"].as_str().expect("text").to_owned(), alert))
}

/// Timestamps of the alert's samples in one state, ascending.
fn times(daemon: &Daemon, state: &str) -> Vec<f64> {
    let query = encode(&format!(r#"ALERTS{{alertname="Burning",alertstate="{state}"}}[2m]"#));
    let json = get(&format!("{}/api/v1/query?query={query}", daemon.url)).json();
    let values = json["data"]["result"][0]["values"].as_array().expect("a series").clone();
    values.iter().map(|point| point[0].as_f64().expect("a time")).collect()
}

/// A child that burns one core until it is dropped, and at most for 40 seconds of CPU time, whatever happens to us.
fn burner() -> Spawned {
    Spawned::start(Command::new("sh").args(["-c", "ulimit -t 40; while :; do :; done # wf-burner"]))
}

const CONFIG: &str = "global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [burn.yml]
workers:
  groups:
  - name: burner
    cmdline: ['wf-burner']
";

const RULES: &str = "groups:
- name: burn
  interval: 1s
  rules:
  - record: burner:cpu:rate5s
    expr: sum(rate(worker_group_cpu_seconds_total{group=\"burner\"}[5s]))
  - alert: Burning
    expr: burner:cpu:rate5s > 0.05
    for: 3s
    labels: {severity: warning}
    annotations: {summary: 'burning at {{ $value | humanizePercentage }}'}
";

#[test]
fn a_burner_makes_an_alert_pend_fire_and_resolve() {
    let dir = temp_dir();
    write(dir.path(), "burn.yml", RULES);
    let config = write(dir.path(), "watchfire.yml", CONFIG);
    let daemon = Daemon::start(&[format!("--config.file={}", config.display())]);
    // As in Prometheus, a group writes ALERTS only after it has looked for states to restore, at its second evaluation.
    wait_for("a few evaluations", Duration::from_secs(30), || {
        daemon.value("count_over_time(burner:cpu:rate5s[1m])").filter(|n| *n >= 4.0)
    });
    assert!(alert_state(&daemon, "Burning").is_none());
    let fire = burner();
    let started = Instant::now();
    wait_for("pending", Duration::from_secs(20), || alert_state(&daemon, "Burning").filter(|(s, _)| s == "pending"));
    let pending_at = started.elapsed();
    let (_, firing) =
        wait_for("firing", Duration::from_secs(20), || alert_state(&daemon, "Burning").filter(|(s, _)| s == "firing"));
    let pended = started.elapsed() - pending_at;
    assert!(pended >= Duration::from_millis(1900) && pended < Duration::from_secs(8), "pending for {pended:?}");
    assert_eq!(firing["labels"]["severity"], "warning");
    assert!(
        firing["annotations"]["summary"].as_str().is_some_and(|s| s.starts_with("burning at ") && s.ends_with('%'))
    );
    assert_eq!(daemon.value(r#"ALERTS{alertname="Burning",alertstate="firing"}"#), Some(1.0));
    // `for: 3s` by the series' own timestamps: pending below three seconds of age, firing from the first slot at or above.
    let started = times(&daemon, "pending")[0];
    let last_pending = *times(&daemon, "pending").last().expect("it was pending");
    let first_firing = times(&daemon, "firing")[0];
    assert!(last_pending - started < 3.0, "pending until {last_pending}, active since {started}");
    assert!(first_firing - started >= 3.0, "firing at {first_firing}, active since {started}");
    drop(fire);
    wait_for("resolved", Duration::from_secs(30), || alert_state(&daemon, "Burning").is_none().then_some(()));
    assert_eq!(daemon.value(r#"ALERTS{alertname="Burning"}"#), None, "a resolved alert ends with a stale marker");
}

#[test]
fn a_pending_alert_keeps_its_age_over_a_restart() {
    let (data, dir) = (temp_dir(), temp_dir());
    let rules = "groups:\n- name: g\n  interval: 1s\n  rules:\n  - alert: Always\n    expr: vector(1)\n    for: 1h\n";
    write(dir.path(), "rules.yml", rules);
    let config = write(dir.path(), "watchfire.yml", "rule_files: [rules.yml]\n");
    let args = [format!("--config.file={}", config.display())];
    let since = |daemon: &Daemon| -> i64 {
        let (_, alert) = wait_for("the alert", Duration::from_secs(20), || alert_state(daemon, "Always"));
        let time: jiff::Timestamp = alert["activeAt"].as_str().expect("a time").parse().expect("RFC 3339");
        time.as_millisecond()
    };
    let mut daemon = Daemon::start_in(data.path(), &args);
    let first = since(&daemon);
    wait_for("the state series", Duration::from_secs(20), || {
        daemon.value("count_over_time(ALERTS_FOR_STATE{alertname=\"Always\"}[1m])").filter(|n| *n >= 12.0)
    });
    let stopped = Instant::now();
    daemon.process.signal("KILL");
    daemon.process.wait(Duration::from_secs(10));
    let again = Daemon::start_in(data.path(), &args);
    // Prometheus moves the age by the time that nobody watched, and by no more.
    wait_for("the restored age", Duration::from_secs(30), || {
        let moved = since(&again) - first;
        (0..=i64::try_from(stopped.elapsed().as_millis()).expect("short")).contains(&moved).then_some(())
    });
    let moved = since(&again) - first;
    assert!(moved < 12_000, "the alert is {moved} ms younger than before: its age was lost");
}

#[test]
fn a_reload_takes_new_rules_and_a_bad_one_keeps_the_old() {
    let dir = temp_dir();
    let rules = |name: &str| format!("groups:\n- name: g\n  rules:\n  - {{record: '{name}', expr: vector(1)}}\n");
    let file = write(dir.path(), "rules.yml", &rules("one"));
    let config = write(dir.path(), "watchfire.yml", "global: {evaluation_interval: 1s}\nrule_files: [rules.yml]\n");
    let daemon = Daemon::start(&[format!("--config.file={}", config.display()), "--web.enable-lifecycle".to_owned()]);
    let loaded =
        |name: &str| get(&format!("{}/api/v1/rules", daemon.url)).text().contains(&format!("\"name\":\"{name}\""));
    let successful = || daemon.value("watchfire_config_last_reload_successful");
    assert!(loaded("one"));
    std::fs::write(&file, rules("two")).expect("writable");
    assert_eq!(post(&format!("{}/-/reload", daemon.url), b"").status, 200);
    assert!(loaded("two") && !loaded("one"));
    std::fs::write(&file, rules("not a(").replace("vector(1)", "vector(")).expect("writable");
    let refused = post(&format!("{}/-/reload", daemon.url), b"");
    assert_eq!(refused.status, 500, "{}", refused.text());
    assert!(refused.text().contains("rules.yml:4:"), "{}", refused.text());
    assert!(loaded("two"));
    wait_for("the failure to show", Duration::from_secs(10), || successful().filter(|v| *v == 0.0));
    std::fs::write(&file, rules("three")).expect("writable");
    daemon.process.signal("HUP");
    wait_for("the reload by signal", Duration::from_secs(10), || loaded("three").then_some(()));
    wait_for("success to show", Duration::from_secs(10), || successful().filter(|v| *v == 1.0));
}
