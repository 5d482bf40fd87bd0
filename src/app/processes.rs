//! Processes as JSON, for `/api/metrics` and `watchfire once`.

use serde_json::{Value, json};

use crate::collect::worker::ProcessView;

/// One object a process; what could not be read is null.
pub fn processes_json(processes: &[ProcessView]) -> Value {
    processes.iter().map(process).collect()
}

fn process(view: &ProcessView) -> Value {
    json!({
        "pid": view.pid,
        "parent": view.parent,
        "name": view.name,
        "state": view.state.to_string(),
        "cpu_percent": view.cpu_percent,
        "rss_bytes": view.rss_bytes,
        "threads": view.threads,
        "open_fds": view.open_fds,
        "start_time": view.start_time,
        "group": view.group,
    })
}
