//! The bounded queue before storage, and the thread that empties it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::counters::PipelineCounters;
use super::sources::SourceClock;
use super::store::Store;
use crate::clock::Stopwatch;
use crate::limits::STORAGE_QUEUE;
use crate::model::{Batch, Irregular, SourceId, Timestamp};
use crate::registry::SeriesTable;
use crate::storage::StorageError;

/// How often what was appended becomes durable.
const COMMIT_EVERY: Duration = Duration::from_secs(1);

/// Something for the writer.
pub(super) enum Job {
    Batch(Arc<Batch>),
    Irregular(Vec<Irregular>),
    /// The source's slot is complete once everything before this job is in the head.
    Done(SourceId, Timestamp),
    /// Everything before is in the head.
    Barrier(oneshot::Sender<()>),
    /// Everything before is durable.
    Flush(oneshot::Sender<()>),
}

impl Job {
    pub(super) fn samples(&self) -> Option<u64> {
        match self {
            Self::Batch(batch) => Some(batch.len() as u64),
            Self::Irregular(items) => Some(items.iter().map(|item| item.samples.len() as u64).sum()),
            Self::Done(..) | Self::Barrier(_) | Self::Flush(_) => None,
        }
    }
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    /// How many of the jobs carry samples: only those are limited and dropped.
    loads: usize,
    closed: bool,
}

/// The queue; full means that the oldest samples go.
pub(super) struct Queue {
    state: Mutex<State>,
    wake: Condvar,
    counters: Arc<PipelineCounters>,
}

impl Queue {
    pub(super) fn new(counters: Arc<PipelineCounters>) -> Self {
        Self { state: Mutex::default(), wake: Condvar::new(), counters }
    }

    /// Takes a job; false when the queue is closed.
    pub(super) fn push(&self, job: Job) -> bool {
        let mut state = self.state.lock();
        if state.closed {
            return false;
        }
        if job.samples().is_some() {
            if state.loads >= STORAGE_QUEUE {
                self.drop_oldest(&mut state);
            }
            state.loads += 1;
        }
        state.jobs.push_back(job);
        self.counters.queued.store(state.loads as u64, Ordering::Relaxed);
        self.wake.notify_one();
        true
    }

    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.wake.notify_one();
    }

    fn drop_oldest(&self, state: &mut State) {
        let Some(at) = state.jobs.iter().position(|job| job.samples().is_some()) else { return };
        let samples = state.jobs.remove(at).and_then(|job| job.samples()).unwrap_or(0);
        state.loads -= 1;
        self.counters.dropped_batches.fetch_add(1, Ordering::Relaxed);
        self.counters.dropped_samples.fetch_add(samples, Ordering::Relaxed);
    }

    /// The next job; waits up to `limit`. `Err(true)` when the queue is closed and empty.
    fn pop(&self, limit: Duration) -> Result<Job, bool> {
        let mut state = self.state.lock();
        if state.jobs.is_empty() && !state.closed {
            self.wake.wait_for(&mut state, limit);
        }
        let Some(job) = state.jobs.pop_front() else { return Err(state.closed) };
        if job.samples().is_some() {
            state.loads -= 1;
            self.counters.queued.store(state.loads as u64, Ordering::Relaxed);
        }
        Ok(job)
    }
}

/// The thread that owns the store.
pub(super) struct Writer {
    pub(super) queue: Arc<Queue>,
    pub(super) store: Box<dyn Store>,
    pub(super) sources: Arc<SourceClock>,
    pub(super) table: Arc<SeriesTable>,
    pub(super) counters: Arc<PipelineCounters>,
    /// Whether the last append or commit failed: the log gets one line a change, not one a tick.
    pub(super) failing: bool,
}

impl Writer {
    /// Works until the queue is closed and empty; commits before it returns.
    pub(super) fn run(mut self) {
        let (mut since, mut dirty) = (Stopwatch::start(), false);
        loop {
            let left = COMMIT_EVERY.saturating_sub(since.elapsed());
            if left.is_zero() {
                if std::mem::take(&mut dirty) {
                    self.commit();
                }
                since = Stopwatch::start();
                self.table.sweep();
                continue;
            }
            match self.queue.pop(left) {
                Ok(job) => dirty |= self.handle(job),
                Err(true) => break,
                Err(false) => {}
            }
        }
        self.commit();
    }

    /// Does a job; true when it changed the store.
    fn handle(&mut self, job: Job) -> bool {
        let timer = Stopwatch::start();
        let result = match &job {
            Job::Batch(batch) => self.store.append(batch),
            Job::Irregular(items) => self.store.append_irregular(items),
            Job::Done(..) | Job::Barrier(_) | Job::Flush(_) => Ok(()),
        };
        match job {
            Job::Done(source, slot) => self.sources.done(source, slot),
            // Who asked may have stopped waiting.
            Job::Barrier(reply) => {
                let _ = reply.send(());
            }
            Job::Flush(reply) => {
                self.commit();
                let _ = reply.send(());
            }
            Job::Batch(_) | Job::Irregular(_) => {
                let us = u64::try_from(timer.elapsed().as_micros()).unwrap_or(u64::MAX);
                self.counters.append_us.fetch_add(us, Ordering::Relaxed);
                if result.is_err() {
                    self.counters.store_errors.fetch_add(1, Ordering::Relaxed);
                }
                self.note("append", result);
                return true;
            }
        }
        false
    }

    fn commit(&mut self) {
        let timer = Stopwatch::start();
        let result = self.store.commit();
        let us = u64::try_from(timer.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.counters.commit_us.fetch_add(us, Ordering::Relaxed);
        let counter = if result.is_ok() { &self.counters.commits } else { &self.counters.commit_errors };
        counter.fetch_add(1, Ordering::Relaxed);
        self.note("commit", result);
    }

    fn note(&mut self, doing: &'static str, result: Result<(), StorageError>) {
        match result {
            Ok(()) if self.failing && doing == "commit" => {
                self.failing = false;
                tracing::info!("storage works again");
            }
            Err(error) if !self.failing => {
                self.failing = true;
                tracing::error!(%error, doing, "storage refuses samples: they are kept in memory only, or lost");
            }
            _ => {}
        }
    }
}
