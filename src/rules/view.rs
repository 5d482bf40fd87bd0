//! What APIs and pages see of groups, rules and alerts: copies, so that nobody waits for an evaluation.

use std::sync::Arc;
use std::time::Duration;

use crate::model::{Alert, AlertState, Timestamp};

use super::spec::{GroupSpec, RuleSpec};

/// How the last evaluation of a rule went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RuleHealth {
    /// Not evaluated yet.
    #[default]
    Unknown,
    /// Fine.
    Ok,
    /// It failed; `last_error` says why.
    Err,
}

impl RuleHealth {
    /// The word in `/api/v1/rules`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Ok => "ok",
            Self::Err => "err",
        }
    }
}

/// A group as `/api/v1/rules` shows it.
#[derive(Debug, Clone)]
pub struct GroupView {
    /// What its file says: name, file, limit, labels.
    pub spec: Arc<GroupSpec>,
    /// Its interval, the configuration's where the file states none.
    pub interval: Duration,
    /// Its query offset, the configuration's where the file states none.
    pub query_offset: Duration,
    /// How long the last evaluation took.
    pub evaluation_time: Duration,
    /// When it began; 0 = never.
    pub last_evaluation: Timestamp,
    /// Slots that passed without an evaluation, since the group was loaded.
    pub missed: u64,
    /// Samples that the last evaluation gave.
    pub last_samples: u64,
    /// Its rules, in order.
    pub rules: Vec<RuleView>,
}

/// A rule as `/api/v1/rules` shows it.
#[derive(Debug, Clone)]
pub struct RuleView {
    /// What its file says: name, query, labels, `for`, annotations, kind.
    pub spec: Arc<RuleSpec>,
    /// How its last evaluation went.
    pub health: RuleHealth,
    /// Why it failed.
    pub last_error: Option<String>,
    /// How long it took.
    pub evaluation_time: Duration,
    /// When it began; 0 = never.
    pub last_evaluation: Timestamp,
    /// Of an alerting rule: the worst state of its alerts; `None` before the first evaluation.
    pub state: Option<AlertState>,
    /// Of an alerting rule: pending and firing alerts, sorted by labels.
    pub alerts: Vec<Alert>,
}

/// An active alert with the rule that made it, for `/api/v1/alerts` and the page.
#[derive(Debug, Clone)]
pub struct AlertView {
    /// The alert.
    pub alert: Alert,
    /// Its rule.
    pub rule: Arc<RuleSpec>,
    /// The rule's group.
    pub group: Arc<GroupSpec>,
}
