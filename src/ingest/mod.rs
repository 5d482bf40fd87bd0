//! What is pushed to watchfire: metric events as JSON lines, and heartbeats of workers.
//!
//! A line says `{"name":"requests_total","type":"counter","value":1,"labels":{"route":"/"}}`: counters add, gauges set, histograms observe.
//! The totals become own series (job `events`) that a tick a second hands on, so that `/metrics` and the ring show them.
//!
//! ```
//! use std::sync::Arc;
//! use watchfire::ingest::{Events, EventsConfig};
//! use watchfire::model::GroupId;
//! use watchfire::registry::{RegistryConfig, SeriesTable};
//!
//! let table = Arc::new(SeriesTable::new(RegistryConfig::default()));
//! let events = Events::new(EventsConfig::default(), table, GroupId(0));
//! let report = events.ingest(b"{\"name\":\"jobs\",\"type\":\"counter\",\"value\":2}\nnonsense\n", 1000);
//! assert_eq!((report.accepted, report.rejected[0].line), (1, 2));
//! assert_eq!(events.tick(2000).floats[0].1, 2.0);
//! ```

mod agents;
mod config;
mod events;
mod line;
mod series;

pub use agents::{
    AGENT_FAMILIES, AgentCounters, AgentRoom, AgentView, Agents, AgentsConfig, BeatError, Heartbeat,
    MAX_HEARTBEAT_BYTES, MAX_WORKERS, NoProcesses, NoRunStore, ProcessReading, ProcessView, Processes, RunRecord,
    RunStatus, RunStore, RunView, Status, Tokens, check_worker_id,
};
pub use config::{EventCounters, EventsConfig};
pub use events::{Events, IngestReport, Rejected};

#[cfg(test)]
mod tests;
