//! The ring: head, write-ahead rows, sealed segments, retention. The only room that names redb.
//!
//! A tick goes into the head (columns in memory) and into a write-ahead row; rows become durable once a second. A window
//! that is over is sealed: its columns are compressed into one segment, in the transaction that drops its rows and the
//! oldest segments. Queries read the head, and segments for what the head no longer has.

mod bytes;
mod cache;
mod catalog;
mod codec;
mod compact;
mod config;
#[cfg(test)]
mod damage_tests;
mod error;
#[cfg(test)]
mod exemplar_tests;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod formats;
mod head;
mod history;
mod inspect;
mod merge;
#[cfg(test)]
mod merge_tests;
#[cfg(test)]
mod model_tests;
mod packing;
mod querier;
mod read;
mod replay;
mod ring;
mod rollup;
mod rows;
mod schema;
mod seal;
mod segment;
mod selection;
mod snapshot;
mod store;
#[cfg(test)]
mod tail_tests;
#[cfg(test)]
mod test_disk;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use config::{Config, Durability, Progress, RingCounters, RingStats, StateTable};
pub use error::StorageError;
pub use history::Inserted;
pub use inspect::{Finding, LabelCount, MetricSize, SegmentInfo, Survey, TierSize, Verified, verify};
pub use querier::{
    Aspect, Column, ExemplarSeries, Querier, Rolled, RollupRequest, Rollups, Run, SelectRequest, SelectedSeries, Stop,
};
pub use read::{Lender, LenderRoom};
pub use ring::{Ring, StatePair};
pub use rollup::Tier;
pub use selection::{Cells, Piece, Selection};
pub use snapshot::SnapshotInfo;
