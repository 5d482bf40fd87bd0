//! The integration tests: one binary, so that everything is linked once.
#![allow(clippy::disallowed_methods, reason = "tests of real processes wait on the machine's clock, with a limit")]

mod agent_clients;
mod agents;
mod api;
mod architecture;
mod bad_input;
mod browser;
mod cardinality;
mod command_line;
mod differential;
mod exemplars;
mod exposition;
mod faults;
mod history;
mod kills;
mod limits;
mod llama;
mod mixins;
mod node_exporter;
mod panels;
mod pprof;
mod process_exporter;
mod prometheus;
mod promql_parser;
mod reload;
mod ring;
mod rollups;
mod rules;
mod sampling;
mod scrape;
mod scripts;
mod support;
mod tsdb;
mod wire;
