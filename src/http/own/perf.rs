//! The `perf_metrics` message: a project's run and the machine under it. What is not known is null.

use serde_json::{Value, json};

use super::snapshot::Snapshot;
use crate::http::times::rfc3339;
use crate::model::Timestamp;

/// Bytes of a gigabyte, as the message's `_gb` fields count.
const GB: f64 = 1e9;

/// Makes messages for one socket; CPU is derived from what the counters gained since the message before.
#[derive(Debug, Default)]
pub(super) struct PerfMessages {
    cpu_before: Option<CpuTime>,
}

/// Seconds of CPU time since boot, over all cores.
#[derive(Debug, Clone, Copy, PartialEq)]
struct CpuTime {
    busy: f64,
    total: f64,
}

impl PerfMessages {
    /// The message at `now`, and whether a run is under way (then it comes every second).
    pub(super) fn next(&mut self, project: &str, snapshot: &Snapshot, now: Timestamp) -> (Value, bool) {
        let run = Run::of(project, snapshot);
        let active = run.status == Some("running");
        let message = json!({
            "type": "perf_metrics",
            "timestamp": rfc3339(now),
            "project": project,
            "run": {"status": run.status, "pid": null, "started_at": run.started_at.map(rfc3339), "run_id": null},
            "tokens": {"current_run": null, "total_session": null, "available": null},
            "cpu": {"percent": self.cpu_percent(snapshot)},
            "memory": memory(snapshot),
            "gpu": gpu(snapshot),
        });
        (message, active)
    }

    fn cpu_percent(&mut self, snapshot: &Snapshot) -> Option<f64> {
        let now = CpuTime::read(snapshot)?;
        let before = self.cpu_before.replace(now)?;
        let total = now.total - before.total;
        let busy = now.busy - before.busy;
        (total > 0.0 && busy >= 0.0).then(|| round(100.0 * busy / total))
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

/// A project's run: the worker group of that name.
struct Run {
    status: Option<&'static str>,
    started_at: Option<Timestamp>,
}

impl Run {
    fn of(project: &str, snapshot: &Snapshot) -> Self {
        let reading =
            |name| snapshot.named(name).find(|(labels, _)| labels.get("group") == project).map(|(_, value)| value);
        let status = reading("worker_group_procs").map(|procs| if procs > 0.0 { "running" } else { "idle" });
        let started_at =
            reading("worker_group_oldest_start_timestamp_seconds").map(|seconds| (seconds * 1000.0) as i64);
        Self { status, started_at: started_at.filter(|_| status == Some("running")) }
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
