//! `workers`: who tells about itself by heartbeats, and the groups of processes; `runs`: what they worked on.
//!
//! An answer is put together from cells that are swapped as a whole and from numbers: it waits for no lock, so for no tick
//! and no heartbeat.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::snapshot::Snapshot;
use crate::http::edge::Edge;
use crate::http::envelope::success_value;
use crate::http::error::{ApiError, ErrorKind};
use crate::http::params::{Params, read_body_within};
use crate::http::times::rfc3339;
use crate::ingest::{
    AgentView, BeatError, MAX_HEARTBEAT_BYTES, ProcessView, RunStatus, RunView, Tokens, check_worker_id,
};
use crate::model::{Labels, Timestamp};
use crate::profiling::heap_bytes;

/// Runs of one project that the answer of `workers` names, the newest first; `runs` has all.
const RUNS_PER_PROJECT: usize = 10;
/// Projects whose runs the answer of `workers` names.
const MAX_PROJECTS: usize = 100;

impl From<BeatError> for ApiError {
    fn from(error: BeatError) -> Self {
        let kind = match error {
            BeatError::Bad(_) => ErrorKind::BadData,
            BeatError::Full(_) => ErrorKind::TooMany,
        };
        Self::new(kind, error.to_string())
    }
}

/// `POST workers/{id}`: takes a heartbeat and answers what is known of the worker now.
pub(in crate::http) async fn heartbeat(
    State(edge): State<Arc<Edge>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let refuse = |error| {
        edge.agents.refused();
        error
    };
    check_media_type(&headers).map_err(refuse)?;
    let body = read_body_within(body, MAX_HEARTBEAT_BYTES, "MAX_HEARTBEAT_BYTES").await.map_err(refuse)?;
    let now = edge.clock.now();
    let view = edge.agents.beat(&id, &body, now)?;
    edge.events.heartbeat(now);
    Ok(success_value(&agent(&view, now)))
}

/// `DELETE workers/{id}`: forgets a worker; its run has ended.
pub(in crate::http) async fn end_worker(
    State(edge): State<Arc<Edge>>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    check_worker_id(&id).map_err(|error| ApiError::new(ErrorKind::BadData, error))?;
    if edge.agents.end(&id, edge.clock.now()) {
        return Ok(success_value(&json!({"id": id})));
    }
    Err(ApiError::new(ErrorKind::NotFound, format!("no worker {id:?} tells about itself")))
}

/// JSON, plain and named so. curl names a form when nothing else is said: that is taken for JSON too.
fn check_media_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let refuse = |message: String| Err(ApiError::new(ErrorKind::UnsupportedMediaType, message));
    if let Some(coding) = text(header::CONTENT_ENCODING).filter(|coding| !coding.eq_ignore_ascii_case("identity")) {
        return refuse(format!("Content-Encoding: expected none, found {coding:?}: send heartbeats uncompressed"));
    }
    let Some(stated) = text(header::CONTENT_TYPE) else { return Ok(()) };
    let kind = stated.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    if matches!(kind.as_str(), "" | "application/json" | "text/json" | "application/x-www-form-urlencoded")
        || kind.ends_with("+json")
    {
        return Ok(());
    }
    refuse(format!("Content-Type: expected application/json, found {stated:?}"))
}

/// `GET workers`: all of them, the daemon itself, and the newest runs of each project.
pub(in crate::http) async fn workers(State(edge): State<Arc<Edge>>) -> Response {
    let now = edge.clock.now();
    let snapshot = Snapshot::read(&edge.latest);
    let mut workers: Vec<Value> = edge.agents.views().iter().map(|view| agent(view, now)).collect();
    workers.extend(groups(&snapshot, now));
    success_value(&json!({
        "timestamp": rfc3339(now),
        "workers": workers,
        "daemon": daemon(&edge),
        "runs": runs_by_project(&edge.agents.runs()),
    }))
}

/// `GET runs?project=&worker=&status=&limit=`: the newest first.
pub(in crate::http) async fn runs(State(edge): State<Arc<Edge>>, params: Params) -> Result<Response, ApiError> {
    let (project, worker) = (params.get("project"), params.get("worker"));
    let status = params.get("status");
    let known = [RunStatus::Running, RunStatus::Paused, RunStatus::Ended, RunStatus::Lost].map(RunStatus::as_str);
    if let Some(status) = status.filter(|status| !known.contains(status)) {
        return Err(ApiError::parameter("status", format!("expected {}, found {status:?}", known.join(", "))));
    }
    let limit = params.limit()?.unwrap_or(usize::MAX);
    let all = edge.agents.runs();
    let wanted = |run: &&Arc<RunView>| {
        project.is_none_or(|project| run.project.as_deref() == Some(project))
            && worker.is_none_or(|worker| run.worker == worker)
            && status.is_none_or(|status| run.status.as_str() == status)
    };
    let found: Vec<Value> = all.iter().filter(wanted).take(limit).map(|view| run(view)).collect();
    Ok(success_value(&json!({"timestamp": rfc3339(edge.clock.now()), "runs": found})))
}

fn runs_by_project(all: &[Arc<RunView>]) -> Value {
    let mut projects: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for view in all {
        let name = view.project.as_deref().unwrap_or("");
        if projects.len() >= MAX_PROJECTS && !projects.contains_key(name) {
            continue;
        }
        let runs = projects.entry(name).or_default();
        if runs.len() < RUNS_PER_PROJECT {
            runs.push(run(view));
        }
    }
    projects.into_iter().map(|(name, runs)| (name.to_owned(), Value::Array(runs))).collect::<Map<_, _>>().into()
}

fn run(view: &RunView) -> Value {
    json!({
        "run_id": view.run_id,
        "project": view.project,
        "worker": view.worker,
        "status": view.status.as_str(),
        "started_at": rfc3339(view.started_at),
        "ended_at": view.ended_at.map(rfc3339),
        "tokens": view.tokens,
    })
}

/// A worker that tells about itself.
fn agent(view: &AgentView, now: Timestamp) -> Value {
    let beat = &view.beat;
    let fresh = !view.is_silent(now);
    let (started_at, error) = match &view.process {
        ProcessView::Seen { started_at, .. } => (*started_at, None),
        ProcessView::Failed(error) => (None, Some(&**error)),
        ProcessView::Unstated => (None, None),
    };
    json!({
        "id": &*view.id,
        "kind": "agent",
        "group": null,
        "project": beat.project,
        "status": view.status(now).map(|status| status.as_str()),
        "pid": beat.pid,
        "run_id": beat.run_id,
        "run_started_at": view.run_started_at.map(rfc3339),
        "started_at": started_at.map(rfc3339),
        "uptime_seconds": view.uptime_seconds(now),
        "idle_seconds": fresh.then(|| view.idle_seconds(now)),
        "cpu_percent": view.cpu_percent().map(two_decimals),
        "rss_bytes": view.rss_bytes(),
        "zombie": view.zombie(),
        "reapable": view.reapable(now),
        "ttl_seconds": beat.ttl.map(|ttl| ttl.as_secs_f64()),
        "tokens": tokens(view.tokens(now)),
        "queue": beat.queue.filter(|_| fresh),
        "in_flight": beat.in_flight.filter(|_| fresh),
        "labels": beat.labels.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect::<Map<_, _>>(),
        "first_heartbeat": rfc3339(view.first_heartbeat),
        "last_heartbeat": rfc3339(view.last_heartbeat),
        "heartbeats": view.heartbeats,
        "silent": !fresh,
        "error": error,
        "metrics": [],
    })
}

fn tokens(tokens: Tokens) -> Value {
    json!({
        "current_run": tokens.current_run,
        "total_session": tokens.total_session,
        "limit": tokens.limit,
        "available": tokens.available(),
        "usage_percent": tokens.usage_ratio().map(|ratio| two_decimals(ratio * 100.0)),
    })
}

/// Groups of processes with all their readings; what only heartbeats tell is null, and no heartbeat makes a group.
fn groups(snapshot: &Snapshot, now: Timestamp) -> Vec<Value> {
    let mut things: BTreeMap<&str, Vec<(&str, &Labels, f64)>> = BTreeMap::new();
    for (name, labels, value) in snapshot.starting_with("worker_group_") {
        let group = labels.get("group");
        if !group.is_empty() {
            things.entry(group).or_default().push((name, labels, value));
        }
    }
    things.into_iter().map(|(name, readings)| group(name, &readings, now)).collect()
}

fn group(name: &str, readings: &[(&str, &Labels, f64)], now: Timestamp) -> Value {
    let find = |wanted: &str, label: &str, value: &str| {
        let mut found = readings.iter().filter(|(name, labels, _)| *name == wanted && labels.get(label) == value);
        found.next().map(|(_, _, value)| *value)
    };
    let one = |wanted: &str| find(wanted, "group", name);
    // They are counted, and do not run.
    let zombies = find("worker_group_states", "state", "zombie").unwrap_or(0.0);
    let started_at = one("worker_group_oldest_start_timestamp_seconds").map(|seconds| (seconds * 1000.0) as Timestamp);
    let metrics: Vec<Value> = readings
        .iter()
        .map(|(name, labels, value)| {
            let labels = labels.without(&["group"]);
            let labels: Map<String, Value> = labels
                .iter()
                .filter(|(label, _)| *label != crate::model::METRIC_NAME)
                .map(|(label, value)| (label.to_owned(), value.into()))
                .collect();
            json!({"name": name, "labels": labels, "value": value})
        })
        .collect();
    json!({
        "id": name,
        "kind": "group",
        "group": name,
        "project": null,
        "status": one("worker_group_procs").map(|procs| if procs > zombies { "running" } else { "idle" }),
        "pid": null,
        "run_id": null,
        "run_started_at": null,
        "started_at": started_at.map(rfc3339),
        "uptime_seconds": started_at.map(|at| now.saturating_sub(at).max(0) as f64 / 1000.0),
        "idle_seconds": one("worker_group_idle_seconds"),
        "cpu_percent": one("worker_group_cpu_ratio").map(|ratio| two_decimals(ratio * 100.0)),
        "rss_bytes": find("worker_group_memory_bytes", "type", "rss"),
        "zombie": null,
        "reapable": null,
        "ttl_seconds": null,
        "tokens": tokens(Tokens::default()),
        "queue": null,
        "in_flight": null,
        "labels": {},
        "first_heartbeat": null,
        "last_heartbeat": null,
        "heartbeats": null,
        "silent": null,
        "error": null,
        "metrics": metrics,
    })
}

/// The daemon itself: tasks of its runtimes, what it has allocated and not freed, who follows it, and what it reads again.
fn daemon(edge: &Edge) -> Value {
    let tasks: usize = edge.runtimes().iter().map(|runtime| runtime.handle.metrics().num_alive_tasks()).sum();
    let streams = edge.live.counters().subscribers.load(Ordering::Relaxed) as u64;
    let sockets = edge.counters.sockets.load(Ordering::Relaxed);
    json!({
        "pid": std::process::id(),
        "tasks": tasks,
        "heap_bytes": heap_bytes(),
        "stream_clients": streams + sockets,
        "watched_files": edge.daemon.watched_files(),
    })
}

/// As much as a person reads.
fn two_decimals(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
