//! The `perf_metrics` message: a project's run and the machine under it. What is not known is null.

use std::sync::Arc;

use serde_json::{Value, json};

use super::snapshot::Snapshot;
use crate::http::times::rfc3339;
use crate::ingest::{AgentView, Status, Tokens};
use crate::model::Timestamp;

/// Bytes of a gigabyte, as the message's `_gb` fields count.
const GB: f64 = 1e9;

/// Makes messages for one socket; CPU is derived from what the counters gained since the message before.
#[derive(Debug, Default)]
pub(in crate::http) struct PerfMessages {
    cpu_before: Option<CpuTime>,
    /// What was said last, for messages that come before the counters are read again.
    percent: Option<f64>,
}

/// Seconds of CPU time since boot, over all cores.
#[derive(Debug, Clone, Copy, PartialEq)]
struct CpuTime {
    busy: f64,
    total: f64,
}

impl PerfMessages {
    /// The message at `now`, and whether a run is under way (then it comes every second).
    pub(in crate::http) fn next(
        &mut self,
        project: &str,
        snapshot: &Snapshot,
        agents: &[Arc<AgentView>],
        now: Timestamp,
    ) -> (Value, bool) {
        let run = Run::of_agents(project, agents, now).unwrap_or_else(|| Run::of_group(project, snapshot));
        let active = run.status.is_some_and(|status| status != Status::Idle);
        let message = json!({
            "type": "perf_metrics",
            "timestamp": rfc3339(now),
            "project": project,
            "run": {
                "status": run.status.map(Status::as_str),
                "pid": run.pid,
                "started_at": run.started_at.map(rfc3339),
                "run_id": run.run_id,
            },
            "tokens": {
                "current_run": run.tokens.current_run,
                "total_session": run.tokens.total_session,
                "available": run.tokens.available(),
            },
            "cpu": {"percent": self.cpu_percent(snapshot)},
            "memory": memory(snapshot),
            "gpu": gpu(snapshot),
        });
        (message, active)
    }

    fn cpu_percent(&mut self, snapshot: &Snapshot) -> Option<f64> {
        let now = CpuTime::read(snapshot)?;
        if self.cpu_before == Some(now) {
            return self.percent;
        }
        let gained = self.cpu_before.replace(now).map(|before| (now.busy - before.busy, now.total - before.total));
        let possible = gained.filter(|(busy, total)| *total > 0.0 && *busy >= 0.0);
        self.percent = possible.map(|(busy, total)| round(100.0 * busy / total));
        self.percent
    }
}

impl CpuTime {
    fn read(snapshot: &Snapshot) -> Option<Self> {
        let mut time = None;
        for (labels, seconds) in snapshot.named("node_cpu_seconds_total") {
            let time = time.get_or_insert(Self { busy: 0.0, total: 0.0 });
            time.total += seconds;
            if !matches!(labels.get("mode"), "idle" | "iowait") {
                time.busy += seconds;
            }
        }
        time
    }
}

/// A project's run.
#[derive(Default)]
struct Run {
    status: Option<Status>,
    pid: Option<i32>,
    started_at: Option<Timestamp>,
    run_id: Option<String>,
    tokens: Tokens,
}

impl Run {
    /// What the project's workers say of themselves. Of several the busiest speaks, of equals the one that was heard of last;
    /// `None` when none of them has been heard of lately.
    fn of_agents(project: &str, agents: &[Arc<AgentView>], now: Timestamp) -> Option<Self> {
        let rank = |status: Status| match status {
            Status::Running => 2,
            Status::Paused => 1,
            Status::Idle => 0,
        };
        let mine = agents.iter().filter(|view| view.beat.project.as_deref() == Some(project));
        let fresh = mine.filter_map(|view| Some((view.status(now)?, view)));
        let (status, view) = fresh.max_by_key(|(status, view)| (rank(*status), view.last_heartbeat))?;
        Some(Self {
            status: Some(status),
            pid: view.beat.pid,
            started_at: view.run_started_at,
            run_id: view.beat.run_id.clone(),
            tokens: view.tokens(now),
        })
    }

    /// The worker group of that name: it runs while it has processes that have not ended.
    fn of_group(project: &str, snapshot: &Snapshot) -> Self {
        let reading =
            |name| snapshot.named(name).find(|(labels, _)| labels.get("group") == project).map(|(_, value)| value);
        let states = snapshot.named("worker_group_states");
        let mut zombies =
            states.filter(|(labels, _)| labels.get("group") == project && labels.get("state") == "zombie");
        // They are counted, and do not run.
        let zombies = zombies.next().map_or(0.0, |(_, value)| value);
        let status =
            reading("worker_group_procs").map(|procs| if procs > zombies { Status::Running } else { Status::Idle });
        let started_at =
            reading("worker_group_oldest_start_timestamp_seconds").map(|seconds| (seconds * 1000.0) as i64);
        let started_at = started_at.filter(|_| status == Some(Status::Running));
        Self { status, started_at, ..Self::default() }
    }
}

fn memory(snapshot: &Snapshot) -> Value {
    let total = snapshot.first("node_memory_MemTotal_bytes");
    let used = total.zip(snapshot.first("node_memory_MemAvailable_bytes")).map(|(total, free)| total - free);
    json!({"used_gb": gigabytes(used), "total_gb": gigabytes(total), "percent": percent(used, total)})
}

fn gpu(snapshot: &Snapshot) -> Value {
    let total = snapshot.sum("gpu_memory_total_bytes");
    let busiest = snapshot
        .named("gpu_utilization_ratio")
        .map(|(_, value)| value)
        .fold(None, |max: Option<f64>, value| Some(max.map_or(value, |max| max.max(value))));
    json!({
        "available": total.is_some() || busiest.is_some(),
        "percent": busiest.map(|ratio| round(ratio * 100.0)),
        "vram_used_gb": gigabytes(snapshot.sum("gpu_memory_used_bytes")),
        "vram_total_gb": gigabytes(total),
    })
}

fn gigabytes(bytes: Option<f64>) -> Option<f64> {
    bytes.map(|bytes| round(bytes / GB))
}

fn percent(part: Option<f64>, whole: Option<f64>) -> Option<f64> {
    part.zip(whole).filter(|(_, whole)| *whole > 0.0).map(|(part, whole)| round(100.0 * part / whole))
}

/// Two decimals are as much as a person reads.
fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
