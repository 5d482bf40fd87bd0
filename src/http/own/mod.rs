//! `/api/watchfire/v1` and the sockets: what Prometheus' API has no word for.

mod eventlog;
mod events;
mod frames;
mod live;
mod membership;
mod perf;
mod snapshot;
mod socket;
mod views;
mod workers;

pub use eventlog::{EventLog, EventPair, EventQuery, EventStore, LoggedEvent};
pub(super) use events::{events, list_events};
pub(super) use frames::frames;
pub(super) use live::live;
#[cfg(test)]
pub(super) use perf::PerfMessages;
#[cfg(test)]
pub(super) use snapshot::Snapshot;
pub(super) use socket::project_socket;
pub(super) use views::{collectors, doctor, models, processes, series};
pub(super) use workers::{end_worker, heartbeat, runs, workers};
