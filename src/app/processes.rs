//! Processes and their ends as JSON, for the API and `watchfire once`.

use serde_json::{Value, json};

use crate::collect::worker::{ProcessView, WorkerExit};

/// One object a process; what could not be read is null.
pub fn processes_json(processes: &[ProcessView]) -> Value {
    processes.iter().map(process).collect()
}

fn process(view: &ProcessView) -> Value {
    json!({
        "pid": view.pid,
        "parent": view.parent,
        "name": view.name,
        "user": view.user,
        "state": view.state.to_string(),
        "cpu_percent": view.cpu_percent,
        "rss_bytes": view.rss_bytes,
        "pss_bytes": view.pss_bytes,
        "threads": view.threads,
        "open_fds": view.open_fds,
        "read_bytes_per_second": view.read_bytes_per_second,
        "write_bytes_per_second": view.write_bytes_per_second,
        "start_time": view.start_time,
        "group": view.group,
        "cmdline": view.cmdline,
    })
}

/// The end of a worker, as `schemas/worker-exit.json` describes it; id, type and time are added by the log of events.
pub(super) fn exit_json(exit: &WorkerExit) -> Value {
    json!({
        "group": exit.group,
        "pid": exit.pid,
        "name": exit.name,
        "inherited": exit.inherited,
        "start_time": exit.start_time,
        "lifetime_seconds": exit.lifetime_seconds,
        "reason": exit.reason(),
        "exit_code": exit.exit_code,
        "signal": exit.signal,
        "last_rss_bytes": exit.last_rss_bytes,
    })
}
