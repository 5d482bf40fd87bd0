//! The pipeline behind the collectors' door.

use std::collections::HashMap;

use crate::collect::BatchSink;
use crate::model::{Batch, Output, SourceId, Timestamp};
use crate::pipeline::Pipeline;

/// Hands ticks of collectors on, and tells the rule clock what is done.
pub(super) struct CollectSink {
    pipeline: Pipeline,
    sources: HashMap<String, SourceId>,
}

impl CollectSink {
    /// A sink that rules wait for: the sources with their intervals in milliseconds.
    pub(super) fn new(pipeline: Pipeline) -> Self {
        Self { pipeline, sources: HashMap::new() }
    }

    /// Makes rules wait for a source.
    pub(super) fn register(&mut self, source: &str, interval_ms: i64) {
        let interval = std::time::Duration::from_millis(interval_ms.unsigned_abs());
        let id = self.pipeline.register_source(interval, std::time::Duration::ZERO);
        self.sources.insert(source.to_owned(), id);
    }
}

impl BatchSink for CollectSink {
    fn push(&self, batch: Batch) {
        Output::push(&self.pipeline, batch);
    }

    fn done(&self, source: &str, slot: Timestamp) {
        if let Some(id) = self.sources.get(source) {
            Output::done(&self.pipeline, *id, slot);
        }
    }
}
