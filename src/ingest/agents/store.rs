//! The door: heartbeats in, views out without waiting, and the samples of a tick.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustc_hash::{FxHashMap, FxHashSet};

use super::body::{self, Heartbeat};
use super::config::{AgentCounters, AgentsConfig};
use super::process::Processes;
use super::runs::{RunStatus, RunStore, RunView, Runs};
use super::series::Totals;
use super::view::AgentView;
use super::worker::{Place, Worker};
use crate::model::{Batch, Intern, SeriesRef, Timestamp};

/// Two ticks that are further apart than this, or in the wrong order, tell of a sleep or of a clock that was set.
const LONGEST_TICK_MS: i64 = 60_000;

/// Why a heartbeat was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BeatError {
    /// It is wrong; the text says what was expected.
    #[error("{0}")]
    Bad(String),
    /// There are as many workers as there may be, and all of them are busy.
    #[error(
        "there are {0} workers, as many as there may be, and none of them is gone or long idle: end one with DELETE, or let workers share an id"
    )]
    Full(usize),
}

/// What heartbeats and ticks change.
pub(super) struct State {
    pub(super) workers: FxHashMap<Arc<str>, Worker>,
    pub(super) runs: Runs,
    /// Who was heard of since the last tick, or since it was last shown between two.
    heard: FxHashSet<Arc<str>>,
    last_tick: Option<Timestamp>,
    /// Since when ticks come one after the other: while the machine slept, or the clock jumped, nobody could be heard.
    pub(super) awake_since: Timestamp,
}

impl State {
    fn follow_clock(&mut self, now: Timestamp) {
        if let Some(last) = self.last_tick.replace(now)
            && !(0..=LONGEST_TICK_MS).contains(&now.saturating_sub(last))
        {
            self.awake_since = now;
            // What was heard in a future that is not there any more was heard by now.
            self.workers.values_mut().for_each(|worker| worker.not_after(now));
        }
    }
}

/// The rooms that [`Agents`] stand on.
pub struct AgentRoom {
    /// Names series.
    pub intern: Arc<dyn Intern>,
    /// Reads processes.
    pub processes: Arc<dyn Processes>,
    /// Keeps runs.
    pub runs: Arc<dyn RunStore>,
}

/// All workers that tell about themselves.
pub struct Agents {
    pub(super) config: AgentsConfig,
    pub(super) room: AgentRoom,
    state: Mutex<State>,
    pub(super) places: ArcSwap<Vec<Arc<Place>>>,
    pub(super) runs: ArcSwap<Vec<Arc<RunView>>>,
    pub(super) counters: Arc<AgentCounters>,
}

impl Agents {
    /// Nobody yet; the runs of the past come from the store.
    pub fn new(config: AgentsConfig, room: AgentRoom) -> Self {
        let counters = Arc::<AgentCounters>::default();
        let records = room.runs.load().unwrap_or_else(|error| {
            tracing::warn!(%error, "the records of runs cannot be read; runs begin anew");
            counters.run_errors.fetch_add(1, Ordering::Relaxed);
            Vec::new()
        });
        let (mut runs, unread) = Runs::load(records, config.max_runs);
        counters.run_errors.fetch_add(unread, Ordering::Relaxed);
        let published = ArcSwap::from_pointee(runs.publish().unwrap_or_default());
        let state = Mutex::new(State {
            workers: FxHashMap::default(),
            runs,
            heard: FxHashSet::default(),
            last_tick: None,
            awake_since: Timestamp::MIN,
        });
        Self { config, room, state, places: ArcSwap::default(), runs: published, counters }
    }

    /// Takes a heartbeat of worker `id` and gives what is known of it now.
    ///
    /// # Errors
    /// [`BeatError`]; nothing of it was taken then.
    pub fn beat(&self, id: &str, body: &[u8], now: Timestamp) -> Result<Arc<AgentView>, BeatError> {
        let read = body::check_worker_id(id).and_then(|()| body::read(body, &self.config)).map_err(BeatError::Bad);
        let taken =
            read.and_then(|beat| self.take(&mut self.state.lock(), id, beat, now)).map(|(view, look)| match look {
                Some(pid) => self.look(id, pid, now).unwrap_or(view),
                None => view,
            });
        let counter = if taken.is_ok() { &self.counters.accepted } else { &self.counters.rejected };
        counter.fetch_add(1, Ordering::Relaxed);
        taken
    }

    /// A heartbeat that never reached [`Agents::beat`]: it was too large, or no JSON by its own words.
    pub fn refused(&self) {
        self.counters.rejected.fetch_add(1, Ordering::Relaxed);
    }

    /// Forgets a worker and ends its run and its series; says whether there was one.
    pub fn end(&self, id: &str, now: Timestamp) -> bool {
        let mut state = self.state.lock();
        let known = self.remove(&mut state, id, RunStatus::Ended, now);
        self.publish(&mut state, known);
        known
    }

    /// All workers, by id. Waits for nobody.
    pub fn views(&self) -> Vec<Arc<AgentView>> {
        self.places.load().iter().map(|place| place.view.load_full()).collect()
    }

    /// All runs that are remembered, the newest first. Waits for nobody.
    pub fn runs(&self) -> Arc<Vec<Arc<RunView>>> {
        self.runs.load_full()
    }

    /// What was counted.
    pub fn counters(&self) -> Arc<AgentCounters> {
        Arc::clone(&self.counters)
    }

    /// Looks at the processes, forgets who is gone, keeps runs, and appends the samples of a tick.
    pub fn tick(&self, now: Timestamp, out: &mut Batch) {
        // Read without the lock: a process that is slow to read holds up no heartbeat.
        let readings: Vec<_> = self
            .views()
            .into_iter()
            .filter_map(|view| Some((Arc::clone(&view.id), view.beat.pid?)))
            .map(|(id, pid)| (id, pid, self.room.processes.read(pid)))
            .collect();
        let mut state = self.state.lock();
        for (id, pid, reading) in readings {
            if let Some(worker) = state.workers.get_mut(&id) {
                worker.see(pid, reading, now);
            }
        }
        state.follow_clock(now);
        let forgotten = self.forget(&mut state, now);
        self.publish(&mut state, forgotten);
        state.runs.record(&*self.room.runs);
        state.heard.clear();
        for worker in state.workers.values_mut() {
            let view = worker.place.view.load();
            let totals = Totals { heartbeats: view.heartbeats, tokens: worker.tokens };
            worker.series.append(&view, totals, now, &*self.room.intern, &mut out.floats);
        }
    }

    /// Appends what heartbeats said since the last tick, or since the last call: for who follows between two ticks. Series
    /// that no tick has had yet wait for theirs.
    pub fn fresh(&self, now: Timestamp, out: &mut Vec<(SeriesRef, f64)>) {
        let state = &mut *self.state.lock();
        for id in state.heard.drain() {
            let Some(worker) = state.workers.get(&id) else { continue };
            let view = worker.place.view.load();
            let totals = Totals { heartbeats: view.heartbeats, tokens: worker.tokens };
            worker.series.append_known(&view, totals, now, out);
        }
    }

    /// Holds back heartbeats and ticks, as a slow one does.
    #[cfg(test)]
    pub(crate) fn hold(&self) -> impl Drop {
        self.state.lock()
    }

    /// Writes the records of runs that changed, for the last time before the history is closed.
    pub fn shutdown(&self) {
        self.state.lock().runs.record(&*self.room.runs);
    }

    /// Reads a worker's process at once, so that the pid is tied to the process that has it now.
    fn look(&self, id: &str, pid: i32, now: Timestamp) -> Option<Arc<AgentView>> {
        let reading = self.room.processes.read(pid);
        let mut state = self.state.lock();
        let worker = state.workers.get_mut(id)?;
        worker.see(pid, reading, now);
        Some(worker.place.view.load_full())
    }

    /// The second answer is the process to look at, when none has been seen yet.
    fn take(
        &self,
        state: &mut State,
        id: &str,
        beat: Heartbeat,
        now: Timestamp,
    ) -> Result<(Arc<AgentView>, Option<i32>), BeatError> {
        let is_new = !state.workers.contains_key(id);
        if is_new {
            if state.workers.len() >= self.config.max_workers {
                self.make_room(state, now)?;
            }
            let worker = Worker::new(id, &beat, self.config.silent_after.as_millis() as i64, now);
            state.workers.insert(Arc::clone(&worker.place.view.load().id), worker);
        }
        let State { workers, runs, heard, .. } = state;
        let worker = workers.get_mut(id).ok_or(BeatError::Full(self.config.max_workers))?;
        let runs_changed = worker.take(runs, beat, now);
        let view = worker.place.view.load_full();
        heard.insert(Arc::clone(&view.id));
        let look = view.beat.pid.filter(|_| worker.last.is_none());
        if is_new || runs_changed {
            self.publish(state, is_new);
        }
        Ok((view, look))
    }
}
