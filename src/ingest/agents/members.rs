//! Who is there: workers come, are let go, and are shown to readers.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::body::Status;
use super::runs::RunStatus;
use super::store::{Agents, BeatError, State};
use super::view::AgentView;
use super::worker::{Place, Worker};
use crate::model::Timestamp;

impl Agents {
    /// Lets one worker go that will not be missed: silent ones first, then those that have been idle for longest.
    pub(super) fn make_room(&self, state: &mut State, now: Timestamp) -> Result<(), BeatError> {
        let enough = self.config.idle_may_go_after.as_secs_f64();
        let may_go = |view: &AgentView| {
            let silent = view.is_silent(now);
            let idle = view.status(now) == Some(Status::Idle) && view.idle_seconds(now) >= enough;
            (silent || idle)
                .then(|| (!silent, if silent { view.last_heartbeat } else { view.idle_since.unwrap_or(now) }))
        };
        let views = state.workers.values().map(|worker| worker.place.view.load_full());
        let (_, id) = views
            .filter_map(|view| Some((may_go(&view)?, Arc::clone(&view.id))))
            .min()
            .ok_or(BeatError::Full(self.config.max_workers))?;
        self.remove(state, &id, RunStatus::Lost, now);
        self.counters.evicted.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    pub(super) fn forget(&self, state: &mut State, now: Timestamp) -> bool {
        let limit = now.saturating_sub(i64::try_from(self.config.forget_after.as_millis()).unwrap_or(i64::MAX));
        // Silence counts from when somebody could have been heard.
        if state.awake_since >= limit {
            return false;
        }
        let last = |worker: &Worker| worker.place.view.load().last_heartbeat;
        let gone: Vec<Arc<str>> =
            state.workers.iter().filter(|(_, worker)| last(worker) < limit).map(|(id, _)| Arc::clone(id)).collect();
        for id in &gone {
            self.remove(state, id, RunStatus::Lost, now);
            self.counters.forgotten.fetch_add(1, Ordering::Relaxed);
        }
        state.runs.lose(limit);
        !gone.is_empty()
    }

    pub(super) fn remove(&self, state: &mut State, id: &str, status: RunStatus, now: Timestamp) -> bool {
        let Some(worker) = state.workers.remove(id) else { return false };
        if let Some(run) = worker.run {
            let last = worker.place.view.load().last_heartbeat;
            state.runs.end(run, status, if status == RunStatus::Lost { last } else { now });
        }
        worker.series.release(&*self.room.intern);
        true
    }

    /// Shows readers who is there, and which runs are remembered.
    pub(super) fn publish(&self, state: &mut State, members: bool) {
        if members {
            let mut places: Vec<Arc<Place>> = state.workers.values().map(|worker| Arc::clone(&worker.place)).collect();
            places.sort_by_cached_key(|place| Arc::clone(&place.view.load().id));
            self.places.store(Arc::new(places));
        }
        if let Some(runs) = state.runs.publish() {
            self.runs.store(Arc::new(runs));
        }
    }
}
