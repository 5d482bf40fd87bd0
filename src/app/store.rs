//! The ring behind the pipeline's and the rules' write doors.

use std::sync::Arc;
use std::time::Duration;

use crate::model::{Batch, GroupId, Irregular, Output};
use crate::pipeline::{Pipeline, Store};
use crate::rules::RuleSink;
use crate::storage::{Ring, StorageError};

/// The ring as the pipeline's writer thread sees it.
pub(super) struct RingStore(pub(super) Arc<Ring>);

impl Store for RingStore {
    fn append(&mut self, batch: &Batch) -> Result<(), StorageError> {
        self.0.append(batch)
    }

    fn append_irregular(&mut self, item: &Irregular) -> Result<(), StorageError> {
        self.0.append_irregular(std::slice::from_ref(item))
    }

    fn commit(&mut self) -> Result<(), StorageError> {
        self.0.commit()?;
        // Kept in memory only is no success: the log says so once, and once when it is over.
        self.0.failure().map_or(Ok(()), |reason| Err(StorageError::Failed { doing: "committing", reason }))
    }
}

/// Samples of rules go straight to the head: the next rule of the group reads them. The next commit makes them durable.
pub(super) struct DirectSink {
    pub(super) ring: Arc<Ring>,
    pub(super) pipeline: Pipeline,
}

impl RuleSink for DirectSink {
    fn register_group(&self, file: &str, name: &str, _interval: Duration) -> GroupId {
        self.pipeline.register_group(&format!("rules:{file}:{name}"))
    }

    fn retire_group(&self, _group: GroupId) {
        // The runner has written stale markers for everything the group had.
    }

    fn write(&self, batch: Batch) -> Result<(), StorageError> {
        self.ring.append(&batch)?;
        self.pipeline.hub().publish(Arc::new(batch));
        Ok(())
    }
}
