//! What a heartbeat does to its worker's runs and tokens.

use super::body::{Heartbeat, Status};
use super::runs::{RunStatus, RunView, Runs};
use super::view::AgentView;
use super::worker::Worker;
use crate::model::Timestamp;

impl Worker {
    /// Begins, continues and ends runs, and adds tokens up.
    pub(super) fn follow_run(
        &mut self,
        runs: &mut Runs,
        view: &AgentView,
        beat: &mut Heartbeat,
        now: Timestamp,
        first: bool,
    ) -> bool {
        let same_run = !first && view.beat.run_id == beat.run_id && !begins_anew(&view.beat, beat);
        let mut before = if same_run { view.beat.tokens.current_run } else { None };
        let mut changed = false;
        if !same_run && let Some(old) = self.run.take() {
            runs.end(old, RunStatus::Ended, now);
            changed = true;
        }
        let look_up = !same_run || beat.status != Status::Idle;
        let known = match (&beat.run_id, self.run) {
            (Some(run_id), None) if look_up => runs.find(&view.id, run_id),
            (_, run) => run,
        };
        if !same_run {
            before = known.and_then(|number| runs.get(number)).and_then(|run| run.tokens);
        }
        // A run takes nothing back: a worker that counts anew says less than it used.
        beat.tokens.current_run = match (before, beat.tokens.current_run) {
            (Some(before), Some(stated)) => Some(stated.max(before)),
            (before, None) if same_run => before,
            (_, stated) => stated,
        };
        if let Some(tokens) = beat.tokens.current_run {
            let gained = tokens.saturating_sub(before.unwrap_or(0));
            self.tokens = Some(self.tokens.unwrap_or(0).saturating_add(gained));
        }
        let Some(run_id) = beat.run_id.clone() else { return changed };
        let status = match beat.status {
            Status::Running => RunStatus::Running,
            Status::Paused => RunStatus::Paused,
            Status::Idle => {
                if let Some(run) = self.run.take() {
                    runs.update(run, now, |run| run.tokens = beat.tokens.current_run.or(run.tokens));
                    runs.end(run, RunStatus::Ended, now);
                    changed = true;
                }
                return changed;
            }
        };
        let number = known.unwrap_or_else(|| {
            changed = true;
            runs.begin(RunView {
                run_id,
                project: beat.project.clone(),
                worker: view.id.to_string(),
                status,
                started_at: now,
                ended_at: None,
                tokens: None,
                seen_at: now,
            })
        });
        runs.update(number, now, |run| {
            changed |= run.status != status;
            (run.status, run.ended_at) = (status, None);
            run.project.clone_from(&beat.project);
            run.tokens = beat.tokens.current_run.or(run.tokens);
        });
        self.run = Some(number);
        changed
    }
}

/// Whether a worker that names no runs counts the tokens of another one than before: its process is another one, or it had ended
/// its work and counts anew. One that goes on counting after a pause says no less than before.
fn begins_anew(before: &Heartbeat, now: &Heartbeat) -> bool {
    if before.run_id.is_some() || now.run_id.is_some() {
        return false;
    }
    let other_process = before.pid.zip(now.pid).is_some_and(|(before, now)| before != now);
    let works_again = before.status == Status::Idle && now.status != Status::Idle;
    other_process || (works_again && now.tokens.current_run < before.tokens.current_run)
}
