//! What the pipeline needs of storage.

use crate::model::{Batch, Irregular};
use crate::storage::StorageError;

/// The write side of a store. One thread owns it; the ring satisfies it through an adapter that looks labels up in the series table.
pub trait Store: Send {
    /// Appends a tick to the head; it is visible to queries when this returns.
    ///
    /// # Errors
    /// When storage refuses it; the pipeline counts that and goes on.
    fn append(&mut self, batch: &Batch) -> Result<(), StorageError>;

    /// Appends samples with timestamps of their own.
    ///
    /// # Errors
    /// When storage refuses them.
    fn append_irregular(&mut self, items: &[Irregular]) -> Result<(), StorageError>;

    /// Makes what was appended durable. Called about once a second and at the end.
    ///
    /// # Errors
    /// When the disk refuses; the head keeps what it has.
    fn commit(&mut self) -> Result<(), StorageError>;
}

/// A store that keeps nothing: for tests and for a run without history.
#[derive(Debug, Default, Clone, Copy)]
pub struct NoStore;

impl Store for NoStore {
    fn append(&mut self, _: &Batch) -> Result<(), StorageError> {
        Ok(())
    }

    fn append_irregular(&mut self, _: &[Irregular]) -> Result<(), StorageError> {
        Ok(())
    }

    fn commit(&mut self) -> Result<(), StorageError> {
        Ok(())
    }
}
