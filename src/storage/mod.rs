//! The ring: head, write-ahead rows, sealed segments, retention. The only room that names redb.

mod error;
mod querier;

pub use error::StorageError;
pub use querier::{Column, ExemplarSeries, Querier, Run, SelectRequest, SelectedSeries};
