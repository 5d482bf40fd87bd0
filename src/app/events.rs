//! Pushed events, as the HTTP edge asks for them.

use std::sync::Arc;

use crate::http::{EventError, EventReceipt, EventSink};
use crate::ingest::Events;
use crate::model::Timestamp;

/// Pushed events.
pub(super) struct EventsPort(pub(super) Arc<Events>);

impl EventSink for EventsPort {
    fn push(&self, body: &[u8], now: Timestamp) -> Result<EventReceipt, EventError> {
        let report = self.0.ingest(body, now);
        Ok(EventReceipt {
            accepted: report.accepted as u64,
            rejected_total: report.rejected_total as u64,
            rejected: report.rejected.into_iter().map(|line| (line.line as u64, line.error)).collect(),
        })
    }
}
