//! The scrape collector: `scrape_configs` with static targets, one task a target.
//!
//! A target is scraped at its slots: `offset + k × interval`, where the offset comes from a hash of its labels, so that targets spread over
//! the interval and keep their place after a restart. Steady scrapes compare each line's series with the one that stood there the last time;
//! labels are read only for series that are new.

mod cache;
mod config;
mod counters;
mod handle;
mod metadata;
mod page;
mod protobuf;
mod report;
mod run;
mod sink;
pub(crate) mod slots;
mod started;
mod target;
mod view;

#[cfg(test)]
pub(crate) mod fake;

pub use config::{ScrapeConfig, ScrapeConfigError, StaticTarget};
pub use counters::ScrapeCounters;
pub use handle::Scraper;
pub use metadata::{MetricMetadata, TargetMetadata};
pub use view::{Health, TargetView};

#[cfg(test)]
mod limit_tests;
#[cfg(test)]
mod protobuf_tests;
#[cfg(test)]
mod tests;
