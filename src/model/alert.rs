//! An alert as rules make it and notifications, pages and APIs pass it on.

use std::fmt;

use super::{Labels, Timestamp};

/// Where an alert stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AlertState {
    /// The expression gives nothing for these labels (kept for a while after it resolved).
    Inactive,
    /// True, but not yet for as long as `for` asks.
    Pending,
    /// True for long enough, or kept firing.
    Firing,
}

impl AlertState {
    /// The word that APIs and labels use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inactive => "inactive",
            Self::Pending => "pending",
            Self::Firing => "firing",
        }
    }
}

impl fmt::Display for AlertState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One alert instance. Times are milliseconds; 0 means "not yet".
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// Its state at the last evaluation.
    pub state: AlertState,
    /// Identity: `alertname`, the rule's labels and those of the sample.
    pub labels: Labels,
    /// Expanded annotations.
    pub annotations: Labels,
    /// Value of the expression at the last evaluation that gave one.
    pub value: f64,
    /// When the expression first gave this alert.
    pub active_at: Timestamp,
    /// When it began to fire.
    pub fired_at: Timestamp,
    /// When it ended.
    pub resolved_at: Timestamp,
    /// When it was last handed to notifications.
    pub last_sent_at: Timestamp,
    /// Until when the receiver may believe it without hearing again.
    pub valid_until: Timestamp,
    /// Since when it is kept firing though the expression gives nothing.
    pub keep_firing_since: Timestamp,
}
