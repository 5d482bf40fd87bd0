//! The HTTP edge: one table of routes with their scopes, the API, the page, the streams.
//!
//! `routes.rs` lists every route; one middleware (`guard.rs`) looks the scope of a request up in that table and refuses
//! what is not in it. Rooms that answer through traits of `ports.rs` are handed in by `app`; errors become status codes
//! in `error.rs` alone. The server runs on a small runtime of its own, queries on its blocking threads.

mod api;
mod assets;
mod counters;
mod edge;
mod envelope;
mod error;
mod guard;
mod health;
mod json;
mod metrics;
mod own;
mod page;
mod params;
mod ports;
mod pprof;
mod routes;
mod server;
mod times;

#[cfg(test)]
mod tests;

pub use counters::HttpCounters;
pub use edge::{Edge, Parts};
pub use error::{ApiError, ErrorKind};
pub use guard::TokenError;
pub use metrics::MetricsPage;
pub use own::{EventLog, EventPair, EventQuery, EventStore, LoggedEvent};
pub use ports::{
    Daemon, EventError, EventReceipt, EventSink, NoRules, NoTargets, Rules, RuntimeFacts, SnapshotError, StorageFacts,
    Targets,
};
pub use routes::{RouteFact, Scope, route_facts};
pub use server::{Bound, DEFAULT_PORT, HttpConfig, HttpConfigError, HttpError, ListenAddr, Running, bind};
