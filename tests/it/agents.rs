//! Workers that tell about themselves, against a real daemon and real processes.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Daemon, Schema, encode, get, request, temp_dir, wait_for};

fn url(daemon: &Daemon, id: &str) -> String {
    format!("{}/api/watchfire/v1/workers/{id}", daemon.url)
}

/// Posts a body; gives the status and the answer.
fn beat(daemon: &Daemon, id: &str, body: &str) -> (u16, Value) {
    let headers = [("content-type", "application/json")];
    let reply = request("POST", &url(daemon, id), &headers, body.as_bytes()).expect("an answer");
    (reply.status, reply.json())
}

/// Everything that `workers` says, checked against its schema.
fn workers(daemon: &Daemon) -> Value {
    let reply = get(&format!("{}/api/watchfire/v1/workers", daemon.url));
    assert_eq!(reply.status, 200);
    let json = reply.json();
    let faults = Schema::load("workers.json").faults(&json["data"]);
    assert!(faults.is_empty(), "{faults:#?}");
    json["data"].clone()
}

fn worker(daemon: &Daemon, id: &str) -> Value {
    let data = workers(daemon);
    let list = data["workers"].as_array().expect("a list");
    list.iter().find(|worker| worker["id"] == id).cloned().unwrap_or(Value::Null)
}

/// Asks until the worker fits.
fn wait_worker(daemon: &Daemon, id: &str, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
    wait_for(what, Duration::from_secs(20), || Some(worker(daemon, id)).filter(&fits))
}

/// A process that ends when the test does.
struct Process(Child);

impl Process {
    fn start(program: &str, args: &[&str]) -> Self {
        let mut command = Command::new(program);
        Self(command.args(args).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("it starts"))
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_schema_and_the_daemon_agree() {
    let daemon = Daemon::start::<&str>(&[]);
    let schema = Schema::load("heartbeat.json");
    let text = |n| "x".repeat(n);
    let labels = |n| (0..n).map(|i| (format!("l{i}"), json!("v"))).collect::<serde_json::Map<_, _>>();
    let with = |name: &str, value: Value| json!({"status": "idle", name: value});
    let cases = [
        (json!({"status": "idle"}), true),
        (
            json!({"status": "running", "pid": 1, "project": "p", "run_id": "r", "queue": 0, "in_flight": 9,
            "tokens": {"current_run": 1, "total_session": 2, "limit": 3}, "labels": {"team": "x"}, "ttl_seconds": 0.5}),
            true,
        ),
        (json!({"status": "paused", "pid": null, "tokens": null, "labels": null, "ttl_seconds": null}), true),
        (json!({}), false),
        (json!([]), false),
        (json!("idle"), false),
        (json!({"status": "busy"}), false),
        (json!({"status": null}), false),
        (with("pid", json!(0)), false),
        (with("pid", json!(1.5)), false),
        (with("pid", json!(7.0)), true),
        (with("pid", json!("7")), false),
        (with("pid", json!(2_147_483_648_u64)), false),
        (with("project", json!("")), false),
        (with("project", json!("ünï")), true),
        (with("project", json!(text(256))), true),
        (with("project", json!(text(257))), false),
        (with("project", json!("a\tb")), false),
        (with("run_id", json!(text(128))), true),
        (with("run_id", json!(text(129))), false),
        (with("run_id", json!(7)), false),
        (with("tokens", json!({})), true),
        (with("tokens", json!({"limit": 0})), true),
        (with("tokens", json!({"limit": -1})), false),
        (with("tokens", json!({"limit": 9_007_199_254_740_993_u64 * 2})), false),
        (with("tokens", json!({"used": 1})), false),
        (with("tokens", json!([])), false),
        (with("queue", json!(-1)), false),
        (with("in_flight", json!(true)), false),
        (with("labels", json!(labels(16))), true),
        (with("labels", json!(labels(17))), false),
        (with("labels", json!({"a-b": "x"})), false),
        (with("labels", json!({"9a": "x"})), false),
        (with("labels", json!({"__a": "x"})), false),
        (with("labels", json!({"_a": "x"})), true),
        (with("labels", json!({"worker": "x"})), false),
        (with("labels", json!({"group": "x"})), false),
        (with("labels", json!({"workers": "x"})), true),
        (with("labels", json!({"a": ""})), false),
        (with("labels", json!({"a": text(257)})), false),
        (with("labels", json!({"a": null})), false),
        (with("ttl_seconds", json!(0)), false),
        (with("ttl_seconds", json!(31_536_001)), false),
        (with("unknown", json!(1)), false),
    ];
    for (body, good) in cases {
        assert_eq!(schema.faults(&body).is_empty(), good, "schema: {body}");
        let (status, answer) = beat(&daemon, "w", &body.to_string());
        assert_eq!(status == 200, good, "daemon: {body}: {answer}");
        if !good {
            assert_eq!(
                (status, &answer["status"], &answer["errorType"]),
                (400, &json!("error"), &json!("bad_data")),
                "{body}"
            );
            assert!(
                answer["error"].as_str().is_some_and(|text| text.contains("expected") || text.contains("unknown")),
                "{answer}"
            );
        }
    }
    workers(&daemon);
}

#[test]
fn hostile_requests_get_the_right_status() {
    let daemon = Daemon::start::<&str>(&[]);
    let good = br#"{"status":"idle"}"#.as_slice();
    let large = format!(r#"{{"status":"idle","project":"{}"}}"#, "x".repeat(70_000));
    let json = ("content-type", "application/json");
    type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a [u8], u16, &'a str);
    let cases: &[Case<'_>] = &[
        ("POST", "w", &[], good, 200, ""),
        ("POST", "w", &[("content-type", "application/json; charset=utf-8")], good, 200, ""),
        ("POST", "w", &[("content-type", "application/x-www-form-urlencoded")], good, 200, ""),
        ("POST", "w", &[("content-type", "text/plain")], good, 415, "expected application/json, found"),
        ("POST", "w", &[("content-type", "multipart/form-data; boundary=x")], good, 415, "expected application/json"),
        ("POST", "w", &[json, ("content-encoding", "gzip")], good, 415, "Content-Encoding"),
        ("POST", "w", &[json], large.as_bytes(), 413, "65536 bytes"),
        ("POST", "w", &[json], b"", 400, "expected one JSON object"),
        ("POST", "w", &[json], b"\xff\xfe", 400, "expected one JSON object"),
        ("POST", "a%20b", &[json], good, 400, "worker id: expected 1 to 128 letters"),
        ("POST", "..%2fw", &[json], good, 400, "worker id"),
        ("POST", "%00", &[json], good, 400, "worker id"),
        ("PUT", "w", &[json], good, 405, ""),
        ("GET", "w", &[], b"", 405, ""),
        ("DELETE", "w", &[], b"", 200, ""),
        ("DELETE", "w", &[], b"", 404, "tells about itself"),
        ("DELETE", "%20", &[], b"", 400, "worker id"),
    ];
    for (method, id, headers, body, status, says) in cases {
        let reply = request(method, &url(&daemon, id), headers, body).expect("an answer");
        assert_eq!(reply.status, *status, "{method} {id} {headers:?}: {}", reply.text());
        assert!(reply.text().contains(says), "{method} {id}: {}", reply.text());
        if *status != 200 && *status != 405 {
            assert_eq!(reply.json()["status"], "error", "{method} {id}");
        }
    }
    let runs = |query: &str| get(&format!("{}/api/watchfire/v1/runs?{query}", daemon.url));
    assert_eq!((runs("status=odd").status, runs("limit=-1").status, runs("project=none").status), (400, 400, 200));
}

#[test]
fn a_worker_is_seen_with_its_process_and_its_tokens() {
    let daemon = Daemon::start::<&str>(&[]);
    // It works: its CPU time grows.
    let busy = Process::start("sh", &["-c", "while :; do :; done"]);
    let body = json!({
        "pid": busy.pid(), "project": "alpha", "run_id": "r1", "status": "running", "queue": 4, "in_flight": 1,
        "tokens": {"current_run": 30, "total_session": 50, "limit": 200}, "labels": {"team": "blue"}, "ttl_seconds": 1,
    });
    let (status, answer) = beat(&daemon, "a1", &body.to_string());
    assert_eq!((status, &answer["data"]["status"]), (200, &json!("running")), "{answer}");
    // A process that has just begun may have no memory of its own yet.
    assert!(answer["data"]["rss_bytes"].is_number(), "read at once: {answer}");
    let seen =
        wait_worker(&daemon, "a1", "its CPU", |w| w["cpu_percent"].as_f64().is_some_and(|percent| percent > 1.0));
    assert_eq!(
        seen["tokens"],
        json!({"current_run": 30, "total_session": 50, "limit": 200, "available": 150, "usage_percent": 25.0})
    );
    assert_eq!((&seen["zombie"], &seen["reapable"], &seen["error"]), (&json!(false), &json!(false), &Value::Null));
    assert!(seen["uptime_seconds"].as_f64().is_some_and(|seconds| seconds < 60.0), "{seen}");
    // As metrics, in the ring and on the page.
    for (query, expected) in [
        (r#"worker_agent_tokens_total{project="alpha",worker="a1"}"#, 30.0),
        (r#"worker_agent_tokens_usage_ratio{worker="a1"}"#, 0.25),
        (r#"worker_agent_queue_length{worker="a1"}"#, 4.0),
        (r#"worker_agent_status{worker="a1",worker_agent_status="running"}"#, 1.0),
        (r#"count(worker_agent_info{worker="a1",run_id="r1",team="blue"})"#, 1.0),
    ] {
        let value = wait_for(query, Duration::from_secs(20), || daemon.value(query));
        assert_eq!(value, expected, "{query}");
    }
    let page = get(&format!("{}/metrics", daemon.url)).text();
    assert!(page.contains("# TYPE worker_agent_status stateset\n"), "OpenMetrics has a word for it");
    assert!(page.contains("worker_agent_in_flight{project=\"alpha\",worker=\"a1\"} 1"), "{page}");
    // The next run begins anew; the total goes on.
    let next = json!({"pid": busy.pid(), "project": "alpha", "run_id": "r2", "status": "paused", "tokens": {"current_run": 7}});
    beat(&daemon, "a1", &next.to_string());
    wait_for("the sum of both runs", Duration::from_secs(20), || {
        daemon.value(r#"worker_agent_tokens_total{worker="a1"}"#).filter(|total| *total == 37.0)
    });
    let runs = get(&format!("{}/api/watchfire/v1/runs?project={}", daemon.url, encode("alpha"))).json();
    let found: Vec<_> = runs["data"]["runs"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|run| (&run["run_id"], &run["status"], &run["tokens"]))
        .collect();
    assert_eq!(found, [(&json!("r2"), &json!("paused"), &json!(7)), (&json!("r1"), &json!("ended"), &json!(30))]);
    // Signing off ends the series.
    assert_eq!(request("DELETE", &url(&daemon, "a1"), &[], b"").expect("an answer").status, 200);
    wait_for("the end of the series", Duration::from_secs(20), || {
        daemon.value(r#"worker_agent_heartbeats_total{worker="a1"}"#).is_none().then_some(())
    });
}

#[test]
fn the_demo_has_agents() {
    let daemon = Daemon::start(&["--demo"]);
    for id in ["demo-coder", "demo-reviewer", "demo-planner"] {
        let seen = wait_worker(&daemon, id, "its CPU", |worker| worker["cpu_percent"].is_number());
        assert_eq!((&seen["project"], &seen["labels"]["demo"]), (&json!("demo"), &json!("true")));
        assert!(seen["tokens"]["total_session"].is_u64() && seen["rss_bytes"].is_number(), "{seen}");
        assert_eq!((&seen["error"], &seen["zombie"]), (&Value::Null, &json!(false)));
    }
    let query = r#"count(worker_agent_info{demo="true"})"#;
    wait_for("them in the ring", Duration::from_secs(20), || daemon.value(query).filter(|n| *n == 3.0));
    // A real one may tell about itself beside them.
    let body = json!({"status": "running", "pid": std::process::id()}).to_string();
    let (status, answer) = beat(&daemon, "real", &body);
    assert_eq!((status, answer["data"]["rss_bytes"].is_number()), (200, true), "{answer}");
}

#[test]
fn zombies_dead_and_idle_ones_are_told_apart() {
    let daemon = Daemon::start::<&str>(&[]);
    // It ends when its input does, and nobody asks how: a zombie of this test.
    let mut zombie = Process::start("cat", &[]);
    let beat_as = |id: &str, pid: u32, status: &str| {
        let body = json!({"pid": pid, "project": "p", "status": status, "ttl_seconds": 0.3}).to_string();
        assert_eq!(beat(&daemon, id, &body).0, 200);
    };
    beat_as("z", zombie.pid(), "running");
    assert_eq!(worker(&daemon, "z")["zombie"], false);
    drop(zombie.0.stdin.take());
    let seen = wait_worker(&daemon, "z", "the zombie", |w| w["zombie"] == true);
    assert_eq!((&seen["error"], &seen["reapable"]), (&Value::Null, &json!(false)));
    zombie.0.wait().expect("it has ended");
    let gone = wait_worker(&daemon, "z", "its end", |w| w["error"].is_string());
    for name in ["zombie", "uptime_seconds", "started_at", "cpu_percent", "rss_bytes"] {
        assert_eq!(gone[name], Value::Null, "{name}");
    }
    assert!(gone["error"].as_str().is_some_and(|text| text.contains(&zombie.pid().to_string())), "{gone}");
    // One that was never there.
    beat_as("never", 2_147_483_000, "idle");
    assert!(worker(&daemon, "never")["error"].is_string());
    assert_eq!(worker(&daemon, "never")["reapable"], Value::Null);
    // Idle past its TTL; the paused one never is, and nobody is ended by watchfire.
    let (mut idle, paused) = (Process::start("cat", &[]), Process::start("cat", &[]));
    beat_as("idle", idle.pid(), "idle");
    beat_as("paused", paused.pid(), "paused");
    let seen = wait_worker(&daemon, "idle", "its TTL", |w| w["reapable"] == true);
    assert!(seen["idle_seconds"].as_f64().is_some_and(|seconds| seconds >= 0.3));
    assert_eq!(
        (&worker(&daemon, "paused")["reapable"], &worker(&daemon, "paused")["idle_seconds"]),
        (&json!(false), &json!(0.0))
    );
    assert!(idle.0.try_wait().expect("ours").is_none(), "reaping is a fact, never an act");
    let data = workers(&daemon);
    for name in ["tasks", "heap_bytes", "stream_clients", "watched_files"] {
        assert!(data["daemon"][name].is_u64(), "{name}: {}", data["daemon"]);
    }
}

#[test]
fn a_thousand_workers_are_the_most() {
    let daemon = Daemon::start::<&str>(&[]);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let daemon = &daemon;
            scope.spawn(move || {
                for n in 0..250 {
                    let body =
                        format!(r#"{{"status":"running","project":"p","run_id":"r{n}","pid":{}}}"#, std::process::id());
                    let (status, answer) = beat(daemon, &format!("w{thread}-{n}"), &body);
                    assert_eq!(status, 200, "{answer}");
                }
            });
        }
        // Whoever looks never waits for the others.
        let list = format!("{}/api/watchfire/v1/workers", daemon.url);
        scope.spawn(move || (0..10).for_each(|_| assert_eq!(get(&list).status, 200)));
    });
    let (status, answer) = beat(&daemon, "one-more", r#"{"status":"idle"}"#);
    // On a machine that took half a minute for the thousand, the first of them is silent by now and makes room.
    assert!(matches!(status, 429 | 200), "{answer}");
    if status == 429 {
        assert!(answer["error"].as_str().is_some_and(|text| text.contains("there are 1000 workers")), "{answer}");
    }
    let most =
        |data: &Value| data["workers"].as_array().expect("a list").iter().filter(|w| w["kind"] == "agent").count();
    assert_eq!(most(&workers(&daemon)), 1000);
    let count = "count(worker_agent_heartbeats_total)";
    wait_for("all of them in the ring", Duration::from_secs(30), || daemon.value(count).filter(|n| *n == 1000.0));
    assert_eq!(request("DELETE", &url(&daemon, "w3-249"), &[], b"").expect("an answer").status, 200);
    assert_eq!(beat(&daemon, "one-more", r#"{"status":"idle"}"#).0, 200);
}

#[test]
fn runs_outlive_the_daemon() {
    let dir = temp_dir();
    let mut daemon = Daemon::start_in::<&str>(dir.path(), &[]);
    let body = |run: &str, tokens: u64| {
        json!({"project": "p", "run_id": run, "status": "running", "tokens": {"current_run": tokens}}).to_string()
    };
    assert_eq!(beat(&daemon, "w", &body("first", 10)).0, 200);
    assert_eq!(beat(&daemon, "w", &body("second", 20)).0, 200);
    let runs = |daemon: &Daemon| get(&format!("{}/api/watchfire/v1/runs", daemon.url)).json()["data"]["runs"].clone();
    let before = runs(&daemon);
    assert_eq!(
        (before[0]["run_id"].as_str(), before[1]["status"].as_str()),
        (Some("second"), Some("ended")),
        "{before}"
    );
    daemon.process.signal("TERM");
    assert_eq!(daemon.process.wait(Duration::from_secs(20)), Some(0));
    drop(daemon);
    let daemon = Daemon::start_in::<&str>(dir.path(), &[]);
    let after = runs(&daemon);
    assert_eq!(after, before);
    // The worker goes on.
    beat(&daemon, "w", &body("second", 25));
    let now = runs(&daemon);
    assert_eq!((now[0]["started_at"].clone(), &now[0]["tokens"]), (before[0]["started_at"].clone(), &json!(25)));
    assert_eq!(now.as_array().map(Vec::len), Some(2));
}
