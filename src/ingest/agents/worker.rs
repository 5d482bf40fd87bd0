//! One worker: its newest view, and what is remembered to make the next one.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::body::{Heartbeat, Status};
use super::process::ProcessReading;
use super::runs::{RunNumber, Runs};
use super::series::AgentSeries;
use super::view::{AgentView, ProcessView};
use crate::model::Timestamp;

/// Shorter distances between two readings say nothing about CPU time, which the kernel counts in hundredths.
const MIN_CPU_MS: i64 = 200;
/// The kernel states its own start in whole seconds: starts of processes are as exact.
const BOOT_SLACK_MS: i64 = 2000;

/// What readers take: one cell a worker.
pub(super) struct Place {
    pub(super) view: ArcSwap<AgentView>,
}

/// A worker as the store knows it.
pub(super) struct Worker {
    pub(super) place: Arc<Place>,
    pub(super) series: AgentSeries,
    /// The run that is under way.
    pub(super) run: Option<RunNumber>,
    /// Tokens over all runs; `None` until the worker speaks of tokens.
    pub(super) tokens: Option<u64>,
    /// When the pid was first stated, and the start of the process that had it then.
    pid_since: Timestamp,
    identity: Option<u64>,
    /// The last reading of that process.
    pub(super) last: Option<(Timestamp, ProcessReading)>,
}

impl Worker {
    pub(super) fn new(id: &str, beat: &Heartbeat, silent_after_ms: i64, now: Timestamp) -> Self {
        let view = AgentView {
            id: id.into(),
            beat: Arc::new(beat.clone()),
            first_heartbeat: now,
            last_heartbeat: now,
            heartbeats: 0,
            idle_since: None,
            run_started_at: None,
            silent_after_ms,
            process: ProcessView::Unstated,
        };
        let place = Arc::new(Place { view: ArcSwap::from_pointee(view) });
        Self {
            place,
            series: AgentSeries::default(),
            run: None,
            tokens: None,
            pid_since: now,
            identity: None,
            last: None,
        }
    }

    /// Takes a heartbeat in; says whether runs began, ended or changed their state.
    pub(super) fn take(&mut self, runs: &mut Runs, mut beat: Heartbeat, now: Timestamp) -> bool {
        let mut view = AgentView::clone(&self.place.view.load());
        let first = view.heartbeats == 0;
        let runs_changed = self.follow_run(runs, &view, &mut beat, now, first);
        if beat.status == Status::Idle {
            view.idle_since = view.idle_since.or(Some(now));
        } else {
            view.idle_since = None;
        }
        if first || beat.pid != view.beat.pid {
            (self.pid_since, self.identity, self.last, view.process) = (now, None, None, ProcessView::Unstated);
        } else if matches!(view.process, ProcessView::Failed(_)) {
            // It speaks, so it lives: begun anew under the same number, as the first process of a container is. The look that
            // follows decides; until then the failure stands.
            (self.pid_since, self.identity, self.last) = (now, None, None);
        }
        view.run_started_at = self.run.and_then(|number| runs.get(number)).map(|run| run.started_at);
        view.heartbeats += 1;
        view.last_heartbeat = now;
        view.beat = Arc::new(beat);
        self.place.view.store(Arc::new(view));
        runs_changed
    }

    /// The clock was set back to `now`: nothing of what is known happened later.
    pub(super) fn not_after(&mut self, now: Timestamp) {
        let mut view = AgentView::clone(&self.place.view.load());
        if view.last_heartbeat <= now {
            return;
        }
        view.first_heartbeat = view.first_heartbeat.min(now);
        view.last_heartbeat = now;
        view.idle_since = view.idle_since.map(|since| since.min(now));
        view.run_started_at = view.run_started_at.map(|at| at.min(now));
        (self.pid_since, self.last) = (self.pid_since.min(now), None);
        self.place.view.store(Arc::new(view));
    }

    /// Takes a reading of process `pid` in.
    pub(super) fn see(&mut self, pid: i32, reading: Result<ProcessReading, String>, now: Timestamp) {
        let mut view = AgentView::clone(&self.place.view.load());
        if view.beat.pid != Some(pid) {
            return;
        }
        view.process = match reading {
            Ok(reading) if self.is_same(&reading) => self.progress(reading, view.cpu_percent(), now),
            Ok(_) => {
                self.last = None;
                ProcessView::Failed(format!("process {pid} has ended; its number belongs to another one").into())
            }
            Err(error) => {
                self.last = None;
                ProcessView::Failed(error.into())
            }
        };
        self.place.view.store(Arc::new(view));
    }

    /// The number alone proves nothing: another process may have it by now. The worker's own was there when it stated it.
    fn is_same(&mut self, reading: &ProcessReading) -> bool {
        match self.identity {
            Some(start) => start == reading.start_ticks,
            None => {
                let is_older = reading.started_at.is_none_or(|at| at <= self.pid_since.saturating_add(BOOT_SLACK_MS));
                self.identity = is_older.then_some(reading.start_ticks);
                is_older
            }
        }
    }

    fn progress(&mut self, reading: ProcessReading, known: Option<f64>, now: Timestamp) -> ProcessView {
        let elapsed = self.last.map(|(at, _)| now.saturating_sub(at));
        let cpu_percent = match (self.last, elapsed) {
            (Some((_, before)), Some(elapsed)) if elapsed >= MIN_CPU_MS => {
                Some((reading.cpu_seconds - before.cpu_seconds).max(0.0) * 100_000.0 / elapsed as f64)
            }
            _ => known,
        };
        if elapsed.is_none_or(|elapsed| elapsed >= MIN_CPU_MS) {
            self.last = Some((now, reading));
        }
        let ProcessReading { started_at, state, rss_bytes, .. } = reading;
        ProcessView::Seen { started_at, state, cpu_percent, rss_bytes }
    }
}
