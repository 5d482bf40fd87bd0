//! The handle that collectors, scrapes, events and rules push through.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::counters::PipelineCounters;
use super::groups::Groups;
use super::queue::{Job, Queue, Writer};
use super::sources::SourceClock;
use super::store::Store;
use crate::live::Hub;
use crate::model::{Batch, GroupId, Irregular, Output, SourceId, Timestamp, stale_marker};
use crate::registry::{Latest, SeriesTable};

struct Inner {
    table: Arc<SeriesTable>,
    latest: Arc<Latest>,
    hub: Arc<Hub>,
    sources: Arc<SourceClock>,
    group_ids: AtomicU32,
    groups: Mutex<Groups>,
    queue: Arc<Queue>,
    counters: Arc<PipelineCounters>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// The way from a batch to registry, storage and live. Clones are the same pipeline.
#[derive(Clone)]
pub struct Pipeline(Arc<Inner>);

impl Pipeline {
    /// Starts the writer thread, which owns the store.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        table: Arc<SeriesTable>,
        latest: Arc<Latest>,
        hub: Arc<Hub>,
        sources: Arc<SourceClock>,
        store: Box<dyn Store>,
    ) -> std::io::Result<Self> {
        let counters = Arc::<PipelineCounters>::default();
        let queue = Arc::new(Queue::new(Arc::clone(&counters)));
        let writer = Writer {
            queue: Arc::clone(&queue),
            store,
            sources: Arc::clone(&sources),
            table: Arc::clone(&table),
            counters: Arc::clone(&counters),
            failing: false,
        };
        let thread = std::thread::Builder::new().name("storage-writer".to_owned()).spawn(move || writer.run())?;
        let (groups, writer) = (Mutex::default(), Mutex::new(Some(thread)));
        let group_ids = AtomicU32::new(0);
        Ok(Self(Arc::new(Inner { table, latest, hub, sources, group_ids, groups, queue, counters, writer })))
    }

    /// The counter that group ids come from; who draws from it directly needs no registration.
    pub fn group_ids(&self) -> &AtomicU32 {
        &self.0.group_ids
    }

    /// The name that the group was registered with.
    pub fn group_name(&self, group: GroupId) -> Option<String> {
        self.0.groups.lock().name(group)
    }

    /// Returns when everything that was pushed before can be queried.
    pub async fn barrier(&self) {
        let (reply, done) = oneshot::channel();
        if self.0.queue.push(Job::Barrier(reply)) {
            let _ = done.await;
        }
    }

    /// Returns when everything that was pushed before is durable (or its commit has failed, which is counted).
    pub async fn flush(&self) {
        let (reply, done) = oneshot::channel();
        if self.0.queue.push(Job::Flush(reply)) {
            let _ = done.await;
        }
    }

    /// Appends and commits what waits, and ends the writer. What is pushed afterwards is lost to storage.
    pub fn shutdown(&self) {
        self.0.queue.close();
        if let Some(thread) = self.0.writer.lock().take() {
            // A panic of the writer has been reported by its hook; there is nothing left to save.
            let _ = thread.join();
        }
    }

    /// The series table, as [`crate::model::Intern`].
    pub fn table(&self) -> &Arc<SeriesTable> {
        &self.0.table
    }

    /// The latest own values.
    pub fn latest(&self) -> &Arc<Latest> {
        &self.0.latest
    }

    /// The live hub.
    pub fn hub(&self) -> &Arc<Hub> {
        &self.0.hub
    }

    /// The rule clock.
    pub fn sources(&self) -> &Arc<SourceClock> {
        &self.0.sources
    }

    /// What the pipeline counted.
    pub fn counters(&self) -> Arc<PipelineCounters> {
        Arc::clone(&self.0.counters)
    }

    fn spread(&self, batch: Batch) {
        self.0.counters.batches.fetch_add(1, Ordering::Relaxed);
        self.0.counters.samples.fetch_add(batch.len() as u64, Ordering::Relaxed);
        let batch = Arc::new(batch);
        self.0.queue.push(Job::Batch(Arc::clone(&batch)));
        self.0.hub.publish(batch);
    }
}

impl Output for Pipeline {
    fn register_group(&self, name: &str) -> GroupId {
        let id = GroupId(self.0.group_ids.fetch_add(1, Ordering::Relaxed));
        self.0.groups.lock().register(id, name);
        id
    }

    fn push(&self, mut batch: Batch) {
        let vanished = self.0.groups.lock().vanished(&batch);
        self.0.latest.update(&batch);
        self.0.counters.stale_markers.fetch_add(vanished.len() as u64, Ordering::Relaxed);
        batch.floats.extend(vanished.into_iter().map(|series| (series, stale_marker())));
        self.spread(batch);
    }

    fn push_irregular(&self, items: Vec<Irregular>) {
        if items.is_empty() {
            return;
        }
        let job = Job::Irregular(items);
        self.0.counters.samples.fetch_add(job.samples().unwrap_or(0), Ordering::Relaxed);
        self.0.queue.push(job);
    }

    fn end_group(&self, group: GroupId, ts: Timestamp) {
        let ending = self.0.groups.lock().end(group, ts);
        if let Some(batch) = ending {
            self.0.counters.stale_markers.fetch_add(batch.floats.len() as u64, Ordering::Relaxed);
            self.spread(batch);
        }
        self.0.latest.end_group(group);
    }

    fn register_source(&self, interval: Duration, offset: Duration) -> SourceId {
        self.0.sources.register_source(interval, offset)
    }

    fn unregister_source(&self, source: SourceId) {
        self.0.sources.unregister_source(source);
    }

    /// Evaluations that wait for the source may start once everything before this call is in the head.
    fn done(&self, source: SourceId, slot: Timestamp) {
        self.0.queue.push(Job::Done(source, slot));
    }
}
