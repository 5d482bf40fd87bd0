//! What a worker would say now, and the handle that changes it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::builder::WorkerBuilder;

/// How long the last words may take when a worker is dropped.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Larger counts are refused: not every JSON reader could take them as they are.
const MAX_COUNT: u64 = 1 << 53;

/// What became of the heartbeats so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkerStats {
    /// Heartbeats that were taken.
    pub sent: u64,
    /// Heartbeats that got no answer.
    pub failed: u64,
    /// Heartbeats that were refused.
    pub refused: u64,
    /// Changes that were never told by themselves, because a later one came before the next heartbeat.
    pub superseded: u64,
    /// Why the last one was not taken; none when it was.
    pub last_error: Option<String>,
}

/// The state of the worker.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    pub(super) pid: Option<u32>,
    pub(super) project: Option<String>,
    pub(super) labels: BTreeMap<String, Value>,
    pub(super) ttl: Option<Duration>,
    pub(super) limit: Option<u64>,
    status: Status,
    run_id: Option<String>,
    run_tokens: Option<u64>,
    session_tokens: Option<u64>,
    queue: Option<u64>,
    in_flight: Option<u64>,
    /// Changes that no heartbeat has told yet.
    changes: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Status {
    Running,
    Paused,
    #[default]
    Idle,
}

impl State {
    /// The heartbeat's body.
    fn body(&self) -> Value {
        let count = |value: Option<u64>| value.map(|value| value.min(MAX_COUNT));
        let status = match self.status {
            Status::Running => "running",
            Status::Paused => "paused",
            Status::Idle => "idle",
        };
        json!({
            "status": status,
            "pid": self.pid.unwrap_or_else(std::process::id),
            "project": self.project,
            "run_id": self.run_id,
            "tokens": {
                "current_run": count(self.run_tokens),
                "total_session": count(self.session_tokens),
                "limit": count(self.limit),
            },
            "queue": count(self.queue),
            "in_flight": count(self.in_flight),
            "labels": self.labels,
            "ttl_seconds": self.ttl.map(|ttl| ttl.as_secs_f64()),
        })
    }
}

/// What handle and thread share.
#[derive(Debug)]
pub(super) struct Shared {
    inner: Mutex<Inner>,
    /// Something changed that is told at once.
    pub(super) news: Notify,
}

#[derive(Debug)]
struct Inner {
    state: State,
    stats: WorkerStats,
    closing: bool,
}

impl Shared {
    pub(super) fn new(state: State) -> Self {
        let inner = Inner { state, stats: WorkerStats::default(), closing: false };
        Self { inner: Mutex::new(inner), news: Notify::new() }
    }

    /// The newest state, and whether it is the last.
    pub(super) fn take(&self) -> (Value, bool) {
        let mut inner = self.inner.lock();
        let changes = std::mem::take(&mut inner.state.changes);
        inner.stats.superseded += changes.saturating_sub(1);
        (inner.state.body(), inner.closing)
    }

    pub(super) fn is_closing(&self) -> bool {
        self.inner.lock().closing
    }

    pub(super) fn count(&self, count: impl FnOnce(&mut WorkerStats)) {
        count(&mut self.inner.lock().stats);
    }

    fn change(&self, at_once: bool, change: impl FnOnce(&mut State)) {
        let mut inner = self.inner.lock();
        change(&mut inner.state);
        inner.state.changes += 1;
        drop(inner);
        if at_once {
            self.news.notify_one();
        }
    }
}

/// A worker that tells about itself. Calls return at once, whatever the watchfire does. When it is dropped it says that it is idle and
/// waits for that at most a second.
#[derive(Debug)]
pub struct Worker {
    shared: Arc<Shared>,
    done: Receiver<()>,
}

impl Worker {
    /// Settings of a worker `id` that tells the watchfire at `url`, for example `http://127.0.0.1:9480`.
    pub fn builder(url: &str, id: &str) -> WorkerBuilder {
        WorkerBuilder::new(url, id)
    }

    pub(super) fn new(shared: Arc<Shared>, done: Receiver<()>) -> Self {
        Self { shared, done }
    }

    /// Begins a run: its tokens begin anew, and it is running.
    pub fn start_run(&self, run_id: &str) {
        self.shared.change(true, |state| {
            state.run_id = Some(run_id.to_owned());
            state.run_tokens = None;
            state.status = Status::Running;
        });
    }

    /// It works.
    pub fn running(&self) {
        self.shared.change(true, |state| state.status = Status::Running);
    }

    /// It holds its run and waits.
    pub fn paused(&self) {
        self.shared.change(true, |state| state.status = Status::Paused);
    }

    /// It has nothing to do; its run has ended.
    pub fn idle(&self) {
        self.shared.change(true, |state| state.status = Status::Idle);
    }

    /// It used so many tokens more.
    pub fn add_tokens(&self, tokens: u64) {
        self.shared.change(false, |state| {
            state.run_tokens = Some(state.run_tokens.unwrap_or(0).saturating_add(tokens));
            state.session_tokens = Some(state.session_tokens.unwrap_or(0).saturating_add(tokens));
        });
    }

    /// So many tasks wait for it.
    pub fn set_queue(&self, tasks: u64) {
        self.shared.change(false, |state| state.queue = Some(tasks));
    }

    /// It waits for so many requests.
    pub fn set_in_flight(&self, requests: u64) {
        self.shared.change(false, |state| state.in_flight = Some(requests));
    }

    /// What became of the heartbeats so far.
    pub fn stats(&self) -> WorkerStats {
        self.shared.inner.lock().stats.clone()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        {
            let mut inner = self.shared.inner.lock();
            inner.state.status = Status::Idle;
            inner.closing = true;
        }
        self.shared.news.notify_one();
        // Who does not answer by then is not waited for: the thread ends by itself.
        let _ = self.done.recv_timeout(LAST_WORDS);
    }
}
