//! A sealed window: one stream of columns and an index, cut into pieces that fit the database's pages.

mod exemplars;
mod index;
mod merge;
mod meta;
mod pieces;
mod series;
mod write;

pub(crate) use exemplars::{ExemplarInput, sort_exemplars};
pub(crate) use index::{ColumnEntry, ColumnKind, ExemplarIndex, SegmentIndex, Slice};
pub(crate) use merge::{Source, merged_slices};
pub(crate) use meta::{ExemplarSpan, SegmentMeta};
pub(crate) use pieces::{allocated_bytes, piece_ranges};
pub(crate) use series::{decode_series, encode_series};
pub(crate) use write::{Finished, SegmentWriter, SliceInput};
