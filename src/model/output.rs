//! The door through which whoever measures hands on what was measured.

use std::time::Duration;

use super::{Batch, GroupId, Irregular, Timestamp};

/// A source that reads something once an interval, as the rule clock knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SourceId(pub u32);

/// Where batches go; the pipeline implements it. No call waits for a disk or a subscriber.
pub trait Output: Send + Sync {
    /// Issues a group: a set of series that are read together. The name is for logs.
    fn register_group(&self, name: &str) -> GroupId;

    /// Takes a tick. Series of the group that it no longer has are ended with a stale marker.
    fn push(&self, batch: Batch);

    /// Takes samples with timestamps of their own; they go to storage only. All of one page come in one call: the queue before storage counts
    /// calls.
    fn push_irregular(&self, items: Vec<Irregular>);

    /// Ends a group: its series get a stale marker at `ts`, or just after its last tick if that is later.
    fn end_group(&self, group: GroupId, ts: Timestamp);

    /// Adds a source whose slots are at `offset + k × interval`: rules wait for it.
    fn register_source(&self, interval: Duration, offset: Duration) -> SourceId;

    /// Takes a source away: nobody waits for it any more.
    fn unregister_source(&self, source: SourceId);

    /// The source has pushed everything of its slot.
    fn done(&self, source: SourceId, slot: Timestamp);
}
