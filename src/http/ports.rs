//! What the edge asks of rooms that it does not know: `app` hands implementations in.

use crate::collect::scrape::{PoolView, Scraper, TargetMetadata, TargetView};
use crate::collect::worker::ProcessQuery;
use crate::ingest::Events;
use crate::model::Timestamp;
use crate::rules::{GroupView, RuleManager};
use crate::storage::StorageError;

/// The daemon as a whole: whether it is well, and how to steer it.
pub trait Daemon: Send + Sync {
    /// `Err` says why it is not ready (still starting, storage failed).
    fn ready(&self) -> Result<(), String>;

    /// Reads the configuration and the rules again. Blocking.
    ///
    /// # Errors
    /// What is wrong with the new configuration; the old one stays.
    fn reload(&self) -> Result<(), String>;

    /// Begins to stop.
    fn quit(&self);

    /// Copies the history as it is committed into a directory of its own and gives its name. Blocking.
    ///
    /// # Errors
    /// When a snapshot is under way, there is no directory, or it cannot be written.
    fn snapshot(&self) -> Result<String, SnapshotError>;

    /// The configuration as YAML, secrets left out.
    fn config_yaml(&self) -> String;

    /// Command-line flags with their values.
    fn flags(&self) -> Vec<(String, String)>;

    /// Facts for `status/runtimeinfo`.
    fn runtime(&self) -> RuntimeFacts;

    /// Facts for `status/tsdb` and `status/walreplay`.
    fn storage(&self) -> StorageFacts;

    /// What `watchfire doctor` finds: what was detected, what was not and why. JSON.
    fn doctor(&self) -> serde_json::Value;

    /// Each collector with its last outcome. JSON.
    fn collectors(&self) -> serde_json::Value;

    /// How many files the daemon reads again, at a reload or when they change; `None` where nobody knows.
    fn watched_files(&self) -> Option<u64> {
        None
    }

    /// The first processes of an order, of all that the last tick saw. A JSON array. Blocking: it may read of all of them.
    fn processes(&self, query: &ProcessQuery) -> serde_json::Value;
}

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// One at a time.
    #[error("a snapshot is under way: wait for it to end")]
    Busy,
    /// The history is in memory only.
    #[error("there is no snapshot of a history that is in memory only (--demo)")]
    NoDirectory,
    /// The copy failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Facts about the running process.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RuntimeFacts {
    /// When it started.
    pub started_at: Timestamp,
    /// Whether the last reload worked.
    pub reload_ok: bool,
    /// When the configuration was last read with success.
    pub config_at: Timestamp,
    /// Retention in words, for example `15d or 1GB`.
    pub retention: String,
}

/// Facts about the ring.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StorageFacts {
    /// Oldest sample, if there is any.
    pub min_time: Option<Timestamp>,
    /// Newest sample, if there is any.
    pub max_time: Option<Timestamp>,
    /// Sealed segments.
    pub segments: u64,
    /// Damaged records found so far.
    pub corruptions: u64,
    /// Write-ahead rows to replay at start, and how many are done.
    pub replay_total: u64,
    /// Rows replayed so far.
    pub replay_done: u64,
}

/// The rules as the API shows them.
pub trait Rules: Send + Sync {
    /// All groups, sorted by file and name.
    fn groups(&self) -> Vec<GroupView>;
}

impl Rules for RuleManager {
    fn groups(&self) -> Vec<GroupView> {
        self.groups()
    }
}

/// A daemon without rules.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoRules;

impl Rules for NoRules {
    fn groups(&self) -> Vec<GroupView> {
        Vec::new()
    }
}

/// The scrape targets as the API shows them.
pub trait Targets: Send + Sync {
    /// All targets, sorted by job and URL.
    fn targets(&self) -> Vec<TargetView>;

    /// What the targets say about their metrics.
    fn metadata(&self) -> Vec<TargetMetadata>;

    /// All jobs with the targets that relabeling dropped.
    fn pools(&self) -> Vec<PoolView>;
}

impl Targets for Scraper {
    fn targets(&self) -> Vec<TargetView> {
        self.views()
    }

    fn metadata(&self) -> Vec<TargetMetadata> {
        self.metadata()
    }

    fn pools(&self) -> Vec<PoolView> {
        self.pools()
    }
}

/// A daemon that scrapes nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoTargets;

impl Targets for NoTargets {
    fn targets(&self) -> Vec<TargetView> {
        Vec::new()
    }

    fn metadata(&self) -> Vec<TargetMetadata> {
        Vec::new()
    }

    fn pools(&self) -> Vec<PoolView> {
        Vec::new()
    }
}

/// Takes what programs push as JSON lines.
pub trait EventSink: Send + Sync {
    /// Takes a body of JSON lines. Lines are independent: good ones are taken, bad ones reported.
    ///
    /// # Errors
    /// When nothing can be taken now.
    fn push(&self, body: &[u8], now: Timestamp) -> Result<EventReceipt, EventError>;

    /// A worker's heartbeat was taken: what it said is shown to who follows closely.
    fn heartbeat(&self, _now: Timestamp) {}
}

impl EventSink for Events {
    fn push(&self, body: &[u8], now: Timestamp) -> Result<EventReceipt, EventError> {
        let report = self.ingest(body, now);
        Ok(EventReceipt {
            accepted: report.accepted as u64,
            rejected_total: report.rejected_total as u64,
            over_limit: report.over_limit as u64,
            rejected: report.rejected.into_iter().map(|line| (line.line as u64, line.error)).collect(),
        })
    }
}

/// What became of a pushed body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventReceipt {
    /// Events that were taken.
    pub accepted: u64,
    /// Bad lines with their number (from 1) and what is wrong with them; the first few.
    pub rejected: Vec<(u64, String)>,
    /// How many lines were bad in all.
    pub rejected_total: u64,
    /// How many of them named a new series that a limit refused.
    pub over_limit: u64,
}

/// Nothing was taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("events cannot be taken now: {0}")]
pub struct EventError(pub String);
