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

    /// Whether it has been idle for longer than its TTL. One that said it runs or is paused never is, however silent; of one that
    /// is silent since it was idle, or whose process cannot be seen, nothing is known.
    pub fn reapable(&self, now: Timestamp) -> Option<bool> {
        if self.beat.status != Status::Idle {
            return Some(false);
        }
        if self.is_silent(now) || matches!(self.process, ProcessView::Failed(_)) {
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::{AgentView, ProcessView};
    use crate::ingest::agents::body::{Heartbeat, Status, Tokens};

    /// Its heartbeats may be lost while it works: a reaper must not be told to end it.
    #[test]
    fn of_a_silent_worker_nobody_knows_whether_it_may_be_ended() {
        let view = |status| AgentView {
            id: "w".into(),
            beat: Arc::new(Heartbeat {
                pid: None,
                project: None,
                run_id: None,
                status,
                tokens: Tokens::default(),
                queue: None,
                in_flight: None,
                labels: Vec::new(),
                ttl: Some(Duration::from_secs(5)),
            }),
            first_heartbeat: 0,
            last_heartbeat: 0,
            heartbeats: 1,
            idle_since: (status == Status::Idle).then_some(0),
            run_started_at: None,
            silent_after_ms: 30_000,
            process: ProcessView::default(),
        };
        for (status, now, expected) in [
            (Status::Idle, 4_999, Some(false)),
            (Status::Idle, 5_000, Some(true)),
            (Status::Idle, 30_001, None),
            (Status::Running, 30_001, Some(false)),
            (Status::Paused, 1_000_000, Some(false)),
        ] {
            assert_eq!(view(status).reapable(now), expected, "{status:?} at {now}");
        }
    }
}
