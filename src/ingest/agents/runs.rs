//! Runs: what a project's workers worked on, from when to when. Their records outlive the daemon.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::Timestamp;

/// Milliseconds between two records of a run that only goes on.
const RECORD_EVERY_MS: i64 = 30_000;

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunStatus {
    /// Its worker works on it.
    Running,
    /// Its worker holds it.
    Paused,
    /// Its worker said that it is done: by being idle, by another run, by signing off.
    Ended,
    /// Its worker was never heard of again.
    Lost,
}

impl RunStatus {
    /// The word in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Ended => "ended",
            Self::Lost => "lost",
        }
    }
}

/// One run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunView {
    /// Its id, as the worker states it.
    pub run_id: String,
    /// Its project.
    pub project: Option<String>,
    /// Who works on it.
    pub worker: String,
    /// How it stands.
    pub status: RunStatus,
    /// When it was first heard of.
    pub started_at: Timestamp,
    /// When it ended; `None` while it is under way.
    pub ended_at: Option<Timestamp>,
    /// Tokens it used, as far as its worker says.
    pub tokens: Option<u64>,
    /// When its worker last spoke of it.
    pub seen_at: Timestamp,
}

/// A record as the store keeps it: key and value.
pub type RunRecord = (Vec<u8>, Vec<u8>);

/// Where records of runs outlive the process: a small table of keys and values.
pub trait RunStore: Send + Sync {
    /// All records.
    ///
    /// # Errors
    /// Why they cannot be read.
    fn load(&self) -> Result<Vec<RunRecord>, String>;

    /// Keeps a record; durable soon.
    fn put(&self, key: &[u8], value: &[u8]);

    /// Forgets a record.
    fn delete(&self, key: &[u8]);
}

/// Keeps nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoRunStore;

impl RunStore for NoRunStore {
    fn load(&self) -> Result<Vec<RunRecord>, String> {
        Ok(Vec::new())
    }

    fn put(&self, _: &[u8], _: &[u8]) {}

    fn delete(&self, _: &[u8]) {}
}

/// A run's number; grows with each run, and is the record's key as 8 bytes, big-endian, so that keys sort by age.
pub(super) type RunNumber = u64;

/// The version that is written into records; what another version wrote is left alone.
const VERSION: u8 = 1;

#[derive(Serialize, Deserialize)]
struct Record {
    v: u8,
    #[serde(flatten)]
    run: RunView,
}

#[derive(Debug)]
struct Kept {
    run: Arc<RunView>,
    recorded_at: Timestamp,
}

/// All runs that are remembered.
#[derive(Debug, Default)]
pub(super) struct Runs {
    by_number: BTreeMap<RunNumber, Kept>,
    /// Under way.
    open: BTreeSet<RunNumber>,
    /// Records that differ from what is kept.
    dirty: BTreeSet<RunNumber>,
    gone: Vec<RunNumber>,
    next: RunNumber,
    max: usize,
    /// Whether readers do not see the newest state yet.
    changed: bool,
}

impl Runs {
    /// Reads the records; the second answer is how many could not be read.
    pub(super) fn load(records: Vec<RunRecord>, max: usize) -> (Self, u64) {
        let mut runs = Self { max: max.max(1), changed: true, ..Self::default() };
        let mut unread = 0;
        for (key, value) in records {
            let number = key.try_into().map(RunNumber::from_be_bytes).ok().filter(|number| *number < u64::MAX);
            let record: Option<Record> = serde_json::from_slice(&value).ok();
            match (number, record.filter(|record| record.v == VERSION)) {
                (Some(number), Some(Record { run, .. })) => {
                    runs.next = runs.next.max(number + 1);
                    if run.ended_at.is_none() {
                        runs.open.insert(number);
                    }
                    runs.by_number.insert(number, Kept { recorded_at: run.seen_at, run: Arc::new(run) });
                }
                _ => unread += 1,
            }
        }
        runs.shrink();
        (runs, unread)
    }

    /// The newest run of that worker and id.
    pub(super) fn find(&self, worker: &str, run_id: &str) -> Option<RunNumber> {
        let same = |kept: &Kept| kept.run.worker == worker && kept.run.run_id == run_id;
        self.by_number.iter().rev().find(|(_, kept)| same(kept)).map(|(number, _)| *number)
    }

    pub(super) fn get(&self, number: RunNumber) -> Option<&Arc<RunView>> {
        self.by_number.get(&number).map(|kept| &kept.run)
    }

    /// A new run; the oldest ended one makes room.
    pub(super) fn begin(&mut self, run: RunView) -> RunNumber {
        let number = self.next;
        self.next += 1;
        self.open.insert(number);
        self.dirty.insert(number);
        self.by_number.insert(number, Kept { recorded_at: run.seen_at, run: Arc::new(run) });
        self.changed = true;
        self.shrink();
        number
    }

    /// Brings a run up to date. A change of anything but tokens and time is recorded at once.
    pub(super) fn update(&mut self, number: RunNumber, now: Timestamp, change: impl FnOnce(&mut RunView)) {
        let Some(kept) = self.by_number.get_mut(&number) else { return };
        let before = Arc::clone(&kept.run);
        let run = Arc::make_mut(&mut kept.run);
        change(run);
        run.seen_at = now;
        self.changed = true;
        let same =
            |a: &RunView, b: &RunView| (a.status, a.ended_at) == (b.status, b.ended_at) && a.project == b.project;
        if !same(&before, run) || now.saturating_sub(kept.recorded_at) >= RECORD_EVERY_MS {
            kept.recorded_at = now;
            self.dirty.insert(number);
        }
        if run.ended_at.is_some() {
            self.open.remove(&number);
        } else {
            self.open.insert(number);
        }
    }

    /// Ends a run.
    pub(super) fn end(&mut self, number: RunNumber, status: RunStatus, at: Timestamp) {
        let Some(kept) = self.by_number.get_mut(&number).filter(|kept| kept.run.ended_at.is_none()) else { return };
        let run = Arc::make_mut(&mut kept.run);
        (run.status, run.ended_at) = (status, Some(at));
        self.open.remove(&number);
        self.dirty.insert(number);
        self.changed = true;
    }

    /// Ends runs that nobody has spoken of since `limit`, as those that a restart of the daemon left behind.
    pub(super) fn lose(&mut self, limit: Timestamp) {
        let seen = |number: &RunNumber| self.by_number.get(number).map(|kept| kept.run.seen_at);
        let lost: Vec<(RunNumber, Timestamp)> = self
            .open
            .iter()
            .filter_map(|number| Some((*number, seen(number)?)))
            .filter(|(_, seen_at)| *seen_at < limit)
            .collect();
        for (number, seen_at) in lost {
            self.end(number, RunStatus::Lost, seen_at);
        }
    }

    /// Newest first, when they changed since the last call.
    pub(super) fn publish(&mut self) -> Option<Vec<Arc<RunView>>> {
        std::mem::take(&mut self.changed)
            .then(|| self.by_number.values().rev().map(|kept| Arc::clone(&kept.run)).collect())
    }

    /// Hands changed records to the store.
    pub(super) fn record(&mut self, store: &dyn RunStore) {
        for number in std::mem::take(&mut self.gone) {
            store.delete(&number.to_be_bytes());
        }
        for number in std::mem::take(&mut self.dirty) {
            let Some(kept) = self.by_number.get(&number) else { continue };
            let record = Record { v: VERSION, run: RunView::clone(&kept.run) };
            if let Ok(bytes) = serde_json::to_vec(&record) {
                store.put(&number.to_be_bytes(), &bytes);
            }
        }
    }

    fn shrink(&mut self) {
        while self.by_number.len() > self.max {
            let ended = self.by_number.keys().find(|number| !self.open.contains(number)).copied();
            let Some(oldest) = ended.or_else(|| self.by_number.keys().next().copied()) else { return };
            self.by_number.remove(&oldest);
            self.open.remove(&oldest);
            self.dirty.remove(&oldest);
            self.gone.push(oldest);
            self.changed = true;
        }
    }
}
