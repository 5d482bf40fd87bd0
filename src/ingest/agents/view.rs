//! A worker as readers see it.

use std::sync::Arc;

use super::body::{Heartbeat, Status, Tokens};
use crate::model::Timestamp;

/// What is known of a worker's process.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum ProcessView {
    /// It stated no pid.
    #[default]
    Unstated,
    /// The last reading.
    Seen {
        /// When it started, milliseconds since 1970.
        started_at: Option<Timestamp>,
        /// The kernel's letter.
        state: char,
        /// CPU time between the last two readings, 100 is one core.
        cpu_percent: Option<f64>,
        /// Resident memory.
        rss_bytes: f64,
    },
    /// Why there is none.
    Failed(Arc<str>),
}

/// A worker: its last heartbeat, and what the system says of its process.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentView {
    /// Its id.
    pub id: Arc<str>,
    /// What it said last. Tokens of the run never fall while the run lasts.
    pub beat: Arc<Heartbeat>,
    /// When its first and its last heartbeat came.
    pub first_heartbeat: Timestamp,
    /// The newest one.
    pub last_heartbeat: Timestamp,
    /// How many came.
    pub heartbeats: u64,
    /// Since when it has been idle.
    pub idle_since: Option<Timestamp>,
    /// When the run that is under way was first heard of.
    pub run_started_at: Option<Timestamp>,
    /// After so many milliseconds without a heartbeat its words count no more.
    pub silent_after_ms: i64,
    /// Its process.
    pub process: ProcessView,
}

impl AgentView {
    /// Whether it has not been heard of for long: nobody knows what it does.
    pub fn is_silent(&self, now: Timestamp) -> bool {
        now.saturating_sub(self.last_heartbeat) > self.silent_after_ms
    }

    /// What it does; `None` when it is silent.
    pub fn status(&self, now: Timestamp) -> Option<Status> {
        (!self.is_silent(now)).then_some(self.beat.status)
    }

    /// Its tokens; nothing is known of a silent one's.
    pub fn tokens(&self, now: Timestamp) -> Tokens {
        if self.is_silent(now) { Tokens::default() } else { self.beat.tokens }
    }

    /// Seconds without work: 0 for one that runs or holds a run.
    pub fn idle_seconds(&self, now: Timestamp) -> f64 {
        self.idle_since.map_or(0.0, |since| now.saturating_sub(since).max(0) as f64 / 1000.0)
    }

    /// Whether it has been idle for longer than its TTL. One that said it runs or is paused never is, however silent; of one
    /// whose process cannot be seen nothing is known.
    pub fn reapable(&self, now: Timestamp) -> Option<bool> {
        if self.beat.status != Status::Idle {
            return Some(false);
        }
        if matches!(self.process, ProcessView::Failed(_)) {
            return None;
        }
        Some(self.beat.ttl.is_some_and(|ttl| self.idle_seconds(now) >= ttl.as_secs_f64()))
    }

    /// Seconds since its process started.
    pub fn uptime_seconds(&self, now: Timestamp) -> Option<f64> {
        match self.process {
            ProcessView::Seen { started_at, .. } => started_at.map(|at| now.saturating_sub(at).max(0) as f64 / 1000.0),
            _ => None,
        }
    }

    /// Whether its process has ended without its parent asking how.
    pub fn zombie(&self) -> Option<bool> {
        match self.process {
            ProcessView::Seen { state, .. } => Some(state == 'Z'),
            _ => None,
        }
    }

    /// CPU time between the last two readings, 100 is one core.
    pub fn cpu_percent(&self) -> Option<f64> {
        match self.process {
            ProcessView::Seen { cpu_percent, .. } => cpu_percent,
            _ => None,
        }
    }

    /// Resident memory.
    pub fn rss_bytes(&self) -> Option<f64> {
        match self.process {
            ProcessView::Seen { rss_bytes, .. } => Some(rss_bytes),
            _ => None,
        }
    }
}
