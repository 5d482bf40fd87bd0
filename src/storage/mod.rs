//! The ring: head, write-ahead rows, sealed segments, retention. The only room that names redb.

mod bytes;
mod codec;
mod config;
mod error;
mod querier;
#[cfg(test)]
mod testing;

pub use config::{Config, Durability, Progress, RingCounters, RingStats, StateTable};
pub use error::StorageError;
pub use querier::{Column, ExemplarSeries, Querier, Run, SelectRequest, SelectedSeries};
