//! The scrape collector: `scrape_configs`, one pool a job, one task a target.
//!
//! Addresses come from the configuration, from files and from servers; relabeling makes targets of them, or drops them. A pool compares
//! what it wants with what runs: targets that stay keep their task, their slots and their series.
//!
//! A target is scraped at its slots: `offset + k × interval`, where the offset comes from a hash of its labels, so that targets spread over
//! the interval and keep their place after a restart. Steady scrapes compare each line's series with the one that stood there the last time;
//! labels are read only for series that are new.

mod assemble;
mod cache;
mod config;
mod counters;
mod discovery;
mod handle;
mod metadata;
mod page;
mod pool;
mod protobuf;
mod protocol;
mod report;
mod run;
mod running;
mod series;
mod sink;
pub(crate) mod slots;
mod sources;
mod started;
mod target;
mod view;

#[cfg(test)]
pub(crate) mod fake;

pub use config::{FileSd, HttpSd, ScrapeConfig, ScrapeConfigError, TargetGroup};
pub use counters::ScrapeCounters;
pub use handle::Scraper;
pub use metadata::{MetricMetadata, TargetMetadata};
pub use protocol::{Escaping, ScrapeProtocol};
pub use view::{Health, PoolView, TargetView};

#[cfg(test)]
mod limit_tests;
#[cfg(test)]
mod protobuf_tests;
#[cfg(test)]
mod tests;
