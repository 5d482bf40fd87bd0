//! Workers, their runs, and the message of a project.

use serde_json::{Value, json};

use super::client::{get, request};
use super::fixture::{NOW, World};
use crate::http::own::PerfMessages;
use crate::http::own::Snapshot;
use crate::model::{Batch, Family, GroupId, Intern, MetricKind, Origin, SeriesKey};

impl World {
    fn gauge(&self, name: &'static str, labels: &[(&str, &str)], value: f64) {
        let family = Family { name: name.into(), kind: MetricKind::Gauge, unit: "".into(), help: "A gauge.".into() };
        let key = SeriesKey { family: &family, name, labels, origin: Origin::Own { job: "worker" } };
        let series = self.table.intern(key).expect("room");
        let mut batch = Batch::new(GroupId(series.0 + 10), NOW);
        batch.floats.push((series, value));
        self.latest.update(&batch);
    }

    fn beat(&self, id: &str, body: &Value) -> Value {
        let path = format!("/api/watchfire/v1/workers/{id}");
        let answer = request(self.addr, "POST", &path).body("application/json", &body.to_string()).send();
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["data"].clone()
    }

    fn message(&self, project: &str) -> (Value, bool) {
        let snapshot = Snapshot::read(&self.latest);
        PerfMessages::default().next(project, &snapshot, &self.edge.agents.views(), NOW)
    }
}

#[test]
fn groups_are_what_they_were_and_more() {
    let world = World::new();
    world.gauge("worker_group_procs", &[("group", "vllm")], 3.0);
    world.gauge("worker_group_memory_bytes", &[("group", "vllm"), ("type", "rss")], 4096.0);
    world.gauge("worker_group_oldest_start_timestamp_seconds", &[("group", "vllm")], NOW as f64 / 1000.0 - 60.0);
    world.beat("w", &json!({"status": "idle"}));
    for path in ["/api/watchfire/v1/workers", "/api/metrics"] {
        let data = get(world.addr, path).json()["data"].clone();
        let list = data["workers"].as_array().expect("a list");
        assert_eq!(list.iter().map(|one| one["kind"].as_str()).collect::<Vec<_>>(), [Some("agent"), Some("group")]);
        let group = &list[1];
        assert_eq!(
            (&group["group"], &group["status"], &group["rss_bytes"]),
            (&json!("vllm"), &json!("running"), &json!(4096.0))
        );
        assert_eq!(
            (&group["uptime_seconds"], &group["pid"], &group["reapable"]),
            (&json!(60.0), &Value::Null, &Value::Null)
        );
        let reading = json!({"name": "worker_group_memory_bytes", "labels": {"type": "rss"}, "value": 4096.0});
        assert!(group["metrics"].as_array().expect("a list").contains(&reading), "{group}");
    }
}

/// A tick and a heartbeat that do not come to their end hold nobody up.
#[test]
fn the_snapshot_waits_for_nobody() {
    let world = World::new();
    world.gauge("worker_group_procs", &[("group", "vllm")], 3.0);
    world.beat("w", &json!({"status": "idle"}));
    let held = (world.latest.hold(), world.edge.agents.hold());
    for path in ["/api/watchfire/v1/workers", "/api/watchfire/v1/runs"] {
        assert_eq!(get(world.addr, path).status, 200, "{path}");
    }
    let data = get(world.addr, "/api/watchfire/v1/workers").json()["data"].clone();
    drop(held);
    assert_eq!((&data["workers"][0]["id"], &data["workers"][1]["id"]), (&json!("w"), &json!("vllm")));
}

#[test]
fn zombies_do_not_run() {
    let world = World::new();
    let status = |procs: f64, zombies: f64| {
        world.gauge("worker_group_procs", &[("group", "g")], procs);
        world.gauge("worker_group_states", &[("group", "g"), ("state", "zombie")], zombies);
        world.gauge("worker_group_states", &[("group", "other"), ("state", "zombie")], 9.0);
        let data = get(world.addr, "/api/watchfire/v1/workers").json()["data"].clone();
        (data["workers"][0]["status"].clone(), world.message("g").0["run"]["status"].clone())
    };
    assert_eq!(status(2.0, 1.0), (json!("running"), json!("running")));
    assert_eq!(status(1.0, 1.0), (json!("idle"), json!("idle")));
}

#[test]
fn a_message_says_what_heartbeats_say() {
    let world = World::new();
    let run = |project: &str| world.message(project).0["run"].clone();
    // Nobody is known; then a group of that name; then what workers say.
    let unknown = json!({"status": null, "pid": null, "started_at": null, "run_id": null});
    assert_eq!((run("p"), world.message("p").1), (unknown, false));
    world.gauge("worker_group_procs", &[("group", "p")], 1.0);
    assert_eq!((run("p")["status"].clone(), world.message("p").1), (json!("running"), true));
    // Project, worker, body; then the message's run, tokens, and whether it comes every second.
    let started = "2023-11-14T22:13:20Z";
    for (id, body, expected, tokens, every_second) in [
        (
            "a",
            json!({"project": "p", "status": "idle", "pid": 7, "run_id": "old"}),
            json!({"status": "idle", "pid": 7, "started_at": null, "run_id": "old"}),
            json!({"current_run": null, "total_session": null, "available": null}),
            false,
        ),
        (
            "b",
            json!({"project": "p", "status": "paused", "run_id": "r", "tokens": {"current_run": 5, "total_session": 8, "limit": 10}}),
            json!({"status": "paused", "pid": null, "started_at": started, "run_id": "r"}),
            json!({"current_run": 5, "total_session": 8, "available": 2}),
            true,
        ),
        (
            "a",
            json!({"project": "p", "status": "running", "pid": 7, "run_id": "new", "tokens": {"current_run": 1}}),
            json!({"status": "running", "pid": 7, "started_at": started, "run_id": "new"}),
            json!({"current_run": 1, "total_session": null, "available": null}),
            true,
        ),
        (
            "c",
            json!({"project": "other", "status": "running", "run_id": "x"}),
            json!({"status": "running", "pid": 7, "started_at": started, "run_id": "new"}),
            json!({"current_run": 1, "total_session": null, "available": null}),
            true,
        ),
    ] {
        world.beat(id, &body);
        let (message, active) = world.message("p");
        assert_eq!((&message["run"], &message["tokens"], active), (&expected, &tokens, every_second), "{body}");
    }
    let late = NOW + 31_000;
    let silent =
        PerfMessages::default().next("other", &Snapshot::read(&world.latest), &world.edge.agents.views(), late);
    assert_eq!(
        (silent.0["run"]["status"].clone(), silent.1),
        (Value::Null, false),
        "nobody knows what a silent one does"
    );
}

#[test]
fn only_groups_are_groups() {
    let world = World::new();
    world.gauge("worker_group_procs", &[("group", "real")], 1.0);
    world.gauge("worker_agent_info", &[("group", "fake")], 1.0);
    let data = get(world.addr, "/api/watchfire/v1/workers").json()["data"].clone();
    let ids: Vec<_> = data["workers"].as_array().expect("a list").iter().map(|one| one["id"].as_str()).collect();
    assert_eq!(ids, [Some("real")]);
}

#[test]
fn a_message_repeats_the_cpu_until_it_is_read_again() {
    let world = World::new();
    let mut messages = PerfMessages::default();
    // Idle and busy seconds since boot; the message's percent.
    for (step, (idle, busy, expected)) in [
        (100.0, 10.0, None),
        (100.0, 10.0, None),
        (103.0, 11.0, Some(25.0)),
        (103.0, 11.0, Some(25.0)),
        (104.0, 12.0, Some(50.0)),
        (1.0, 1.0, None),
        (1.0, 1.0, None),
        (2.0, 1.0, Some(0.0)),
    ]
    .into_iter()
    .enumerate()
    {
        world.gauge("node_cpu_seconds_total", &[("mode", "idle")], idle);
        world.gauge("node_cpu_seconds_total", &[("mode", "user")], busy);
        let (message, _) = messages.next("p", &Snapshot::read(&world.latest), &[], NOW);
        assert_eq!(message["cpu"]["percent"].as_f64(), expected, "step {step}");
    }
}

#[test]
fn runs_are_listed_by_project() {
    let world = World::new();
    for (id, project, run, status) in
        [("a", "p", "1", "running"), ("a", "p", "2", "paused"), ("b", "q", "3", "running")]
    {
        world.beat(id, &json!({"project": project, "run_id": run, "status": status}));
    }
    let ids = |query: &str| {
        let data = get(world.addr, &format!("/api/watchfire/v1/runs?{query}")).json()["data"].clone();
        data["runs"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|run| run["run_id"].as_str().unwrap_or("").to_owned())
            .collect::<String>()
    };
    for (query, expected) in [
        ("", "321"),
        ("project=p", "21"),
        ("worker=b", "3"),
        ("status=ended", "1"),
        ("limit=1", "3"),
        ("project=p&limit=1", "2"),
        ("project=none", ""),
    ] {
        assert_eq!(ids(query), expected, "{query}");
    }
    let data = get(world.addr, "/api/watchfire/v1/workers").json()["data"].clone();
    assert_eq!(
        (data["runs"]["p"].as_array().map(Vec::len), data["runs"]["q"][0]["run_id"].as_str()),
        (Some(2), Some("3"))
    );
}
