//! Rollups: what is left of samples when they are too many to keep. Each series has one bucket a minute, an hour, a day,
//! and a function of a range whose ends lie between buckets gets the same answer from them as from the samples.
//!
//! Minutes are made of raw samples when an hour is sealed, hours of minutes when a day is over, days of hours. A tier's
//! segments lie in the ring beside the raw ones, with a retention of their own.

mod bucket;
mod column;
mod job;
mod spans;
#[cfg(test)]
mod tests;
mod tier;

pub(crate) use bucket::{Bucket, Buckets, lost_between};
pub(crate) use column::RollupColumn;
pub(crate) use job::{Roll, Rolled, begin, proceed};
pub(crate) use spans::{Piecemeal, Spans};
pub use tier::Tier;
