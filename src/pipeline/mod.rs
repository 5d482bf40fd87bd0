//! Batch → registry, storage and live: the one place of backpressure.
//!
//! [`Output::push`](crate::model::Output::push) never waits for the disk: the registry takes the values at once, storage gets them through a bounded queue of one writer
//! thread (full: the oldest batch goes, counted), live subscribers lag for themselves. Series that vanish from their group's
//! ticks are ended with stale markers here. [`SourceClock`] tells rules when everything that is due has reached the head.
//!
//! ```
//! use std::sync::Arc;
//! use watchfire::clock::Clock;
//! use watchfire::live::Hub;
//! use watchfire::model::{Batch, Output};
//! use watchfire::pipeline::{NoStore, Pipeline, SourceClock};
//! use watchfire::registry::{Latest, RegistryConfig, SeriesTable};
//!
//! let table = Arc::new(SeriesTable::new(RegistryConfig::default()));
//! let latest = Arc::new(Latest::new(Arc::clone(&table)));
//! let sources = Arc::new(SourceClock::new(Clock::System));
//! let pipeline = Pipeline::start(table, latest, Arc::new(Hub::new()), sources, Box::new(NoStore)).unwrap();
//! let group = pipeline.register_group("node");
//! pipeline.push(Batch::new(group, 1000));
//! pipeline.shutdown();
//! ```

mod counters;
mod groups;
mod handle;
mod queue;
mod sources;
mod store;

pub use counters::PipelineCounters;
pub use handle::Pipeline;
pub use sources::{SourceClock, rule_deadline};
pub use store::{NoStore, Store};

#[cfg(test)]
mod churn_tests;
#[cfg(test)]
mod tests;
