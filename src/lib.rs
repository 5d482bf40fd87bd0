//! watchfire watches a machine that does AI work: it collects, publishes, remembers, evaluates, notifies and shows.
//!
//! The rooms and what each may use stand in `ARCHITECTURE.md`; `tests/it/architecture.rs` enforces the table.

pub mod app;
pub mod archive;
pub mod cli;
pub mod clock;
pub mod collect;
pub mod config;
pub mod exposition;
mod generations;
pub mod http;
pub mod ingest;
pub mod limits;
pub mod live;
pub mod model;
pub mod net;
pub mod pipeline;
pub mod profiling;
pub mod promql;
pub mod registry;
pub mod relabel;
pub mod rules;
pub mod storage;
pub mod telemetry;
pub mod template;
pub mod wire;
pub mod yaml;

pub mod worker;
