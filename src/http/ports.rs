//! What the edge asks of rooms that it does not know: `app` hands implementations in.

use std::time::Duration;

use crate::model::{Alert, Labels, Timestamp};

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

    /// The processes that worker matchers found at the last tick. JSON.
    fn processes(&self) -> serde_json::Value;
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
    fn groups(&self) -> Vec<RuleGroup>;
}

/// A daemon without rules.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoRules;

impl Rules for NoRules {
    fn groups(&self) -> Vec<RuleGroup> {
        Vec::new()
    }
}

/// One rule group.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleGroup {
    /// Its name.
    pub name: String,
    /// The file that it stands in.
    pub file: String,
    /// How often it is evaluated.
    pub interval: Duration,
    /// The most series or alerts of one rule; 0 = no limit.
    pub limit: u64,
    /// How long the last evaluation took.
    pub evaluation_time: Duration,
    /// When it was last evaluated; 0 = not yet.
    pub last_evaluation: Timestamp,
    /// Its rules in file order.
    pub rules: Vec<Rule>,
}

/// How the last evaluation of a rule went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuleHealth {
    /// Not evaluated yet.
    Unknown,
    /// It worked.
    Ok,
    /// It failed, with the reason.
    Failed(String),
}

/// One rule with what both kinds share.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// The alert's name, or the name of the recorded series.
    pub name: String,
    /// The expression.
    pub query: String,
    /// Labels of the rule and its group.
    pub labels: Labels,
    /// How the last evaluation went.
    pub health: RuleHealth,
    /// How long it took.
    pub evaluation_time: Duration,
    /// When it was; 0 = not yet.
    pub last_evaluation: Timestamp,
    /// Line in the file, counted from 1; 0 = unknown.
    pub line: u32,
    /// Set for an alerting rule; a recording rule has none.
    pub alerting: Option<AlertingRule>,
}

/// What only an alerting rule has.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertingRule {
    /// `for`.
    pub hold: Duration,
    /// `keep_firing_for`.
    pub keep_firing: Duration,
    /// Annotation templates.
    pub annotations: Labels,
    /// Alerts that are pending or firing.
    pub alerts: Vec<Alert>,
}

/// The scrape targets as the API shows them.
pub trait Targets: Send + Sync {
    /// All targets, sorted by pool and URL.
    fn targets(&self) -> Vec<Target>;
}

/// A daemon that scrapes nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoTargets;

impl Targets for NoTargets {
    fn targets(&self) -> Vec<Target> {
        Vec::new()
    }
}

/// Whether a target answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetHealth {
    /// Not scraped yet.
    Unknown,
    /// The last scrape worked.
    Up,
    /// The last scrape failed.
    Down,
}

/// One scrape target.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Job name.
    pub pool: String,
    /// URL that is scraped.
    pub url: String,
    /// Labels before relabeling.
    pub discovered_labels: Labels,
    /// Labels of its series.
    pub labels: Labels,
    /// Whether it answers.
    pub health: TargetHealth,
    /// Why the last scrape failed, or empty.
    pub last_error: String,
    /// When it was last scraped; 0 = not yet.
    pub last_scrape: Timestamp,
    /// How long that took.
    pub last_duration: Duration,
    /// How often it is scraped.
    pub interval: Duration,
    /// How long a scrape may take.
    pub timeout: Duration,
}

/// Takes what programs push as JSON lines.
pub trait EventSink: Send + Sync {
    /// Takes a body of JSON lines. Lines are independent: good ones are taken, bad ones reported.
    ///
    /// # Errors
    /// When nothing can be taken now.
    fn push(&self, body: &[u8], now: Timestamp) -> Result<EventReceipt, EventError>;
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
}

/// Nothing was taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("events cannot be taken now: {0}")]
pub struct EventError(pub String);
