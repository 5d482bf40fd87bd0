//! What heartbeats publish.

use crate::model::{FamilyDesc, MetricKind};

use super::config::MAX_WORKERS;

const MAX: u32 = MAX_WORKERS as u32;
const WORKER: &[&str] = &["project", "worker"];

const fn gauge(name: &'static str, unit: &'static str, help: &'static str) -> FamilyDesc {
    FamilyDesc { name, kind: MetricKind::Gauge, unit, help, labels: WORKER, max_series: MAX }
}

const fn counter(name: &'static str, help: &'static str) -> FamilyDesc {
    FamilyDesc { name, kind: MetricKind::Counter, unit: "", help, labels: WORKER, max_series: MAX }
}

/// Families of workers that tell about themselves; the info family carries the worker's own labels too.
pub static FAMILIES: [FamilyDesc; 17] = [
    FamilyDesc {
        name: "worker_agent_status",
        kind: MetricKind::StateSet,
        unit: "",
        help: "What the worker says it does; absent when it has been silent for 30 s.",
        labels: &["project", "worker", "worker_agent_status"],
        max_series: MAX * 3,
    },
    FamilyDesc {
        name: "worker_agent_info",
        kind: MetricKind::Info,
        unit: "",
        help: "The worker's process and run, and the labels that it states.",
        labels: &["project", "worker", "pid", "run_id"],
        max_series: MAX,
    },
    counter("worker_agent_heartbeats_total", "Heartbeats that came from the worker."),
    counter("worker_agent_tokens_total", "Tokens that the worker used, over all its runs; a run never takes any back."),
    gauge("worker_agent_run_tokens", "", "Tokens of the worker's current run; begins anew with each run."),
    gauge("worker_agent_session_tokens", "", "Tokens of the worker since it started, as it says."),
    gauge("worker_agent_tokens_limit", "", "Tokens that the worker may use, as it says."),
    gauge("worker_agent_tokens_usage_ratio", "ratio", "Used tokens as a share of the worker's limit, 1 is all."),
    gauge("worker_agent_queue_length", "", "Tasks that wait for the worker."),
    gauge("worker_agent_in_flight", "", "Requests that the worker waits for."),
    gauge("worker_agent_idle_seconds", "seconds", "How long the worker has had no work, 0 while it runs or is paused."),
    gauge(
        "worker_agent_last_heartbeat_timestamp_seconds",
        "seconds",
        "When the worker was last heard of, in seconds since the epoch.",
    ),
    gauge(
        "worker_agent_run_start_timestamp_seconds",
        "seconds",
        "When the run that is under way was first heard of, in seconds since the epoch.",
    ),
    gauge(
        "worker_agent_reapable",
        "",
        "Whether the worker has been idle for longer than its TTL; watchfire itself ends nobody.",
    ),
    gauge("worker_agent_cpu_ratio", "ratio", "CPU time of the worker's process per second, 1 is one core."),
    gauge("worker_agent_resident_memory_bytes", "bytes", "Resident memory of the worker's process."),
    gauge("worker_agent_zombie", "", "Whether the worker's process has ended and its parent has not asked how."),
];
