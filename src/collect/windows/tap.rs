//! Lets windows see what passes.

use std::sync::Arc;
use std::time::Duration;

use super::Windows;
use crate::model::{Batch, GroupId, Irregular, Output, SourceId, Timestamp};

/// An output that shows every batch to the windows and hands it on as it is.
pub struct Tap {
    /// Where everything goes.
    pub inner: Arc<dyn Output>,
    /// Who looks.
    pub windows: Arc<Windows>,
}

impl Output for Tap {
    fn register_group(&self, name: &str) -> GroupId {
        self.inner.register_group(name)
    }

    fn push(&self, batch: Batch) {
        self.windows.observe(&batch);
        self.inner.push(batch);
    }

    fn push_irregular(&self, items: Vec<Irregular>) {
        self.inner.push_irregular(items);
    }

    fn end_group(&self, group: GroupId, ts: Timestamp) {
        self.windows.observe(&Batch::new(group, ts));
        self.inner.end_group(group, ts);
    }

    fn register_source(&self, interval: Duration, offset: Duration) -> SourceId {
        self.inner.register_source(interval, offset)
    }

    fn unregister_source(&self, source: SourceId) {
        self.inner.unregister_source(source);
    }

    fn done(&self, source: SourceId, slot: Timestamp) {
        self.inner.done(source, slot);
    }
}
