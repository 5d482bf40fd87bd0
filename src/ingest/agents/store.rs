//! The door: heartbeats in, views out without waiting, and the samples of a tick.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use super::body::{self, Heartbeat, Status};
use super::config::{AgentCounters, AgentsConfig};
use super::process::{ProcessReading, Processes};
use super::runs::{RunNumber, RunStatus, RunStore, RunView, Runs};
use super::series::{AgentSeries, Totals};
use super::view::{AgentView, ProcessView};
use crate::model::{Batch, Intern, Timestamp};

/// Shorter distances between two readings say nothing about CPU time, which the kernel counts in hundredths.
const MIN_CPU_MS: i64 = 200;
/// The kernel states its own start in whole seconds: starts of processes are as exact.
const BOOT_SLACK_MS: i64 = 2000;

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

/// What readers take: one cell a worker.
struct Place {
    view: ArcSwap<AgentView>,
}

struct Worker {
    place: Arc<Place>,
    series: AgentSeries,
    /// The run that is under way.
    run: Option<RunNumber>,
    /// Tokens over all runs; `None` until the worker speaks of tokens.
    tokens: Option<u64>,
    /// When the pid was first stated, and the start of the process that had it then.
    pid_since: Timestamp,
    identity: Option<u64>,
    /// The last reading of that process.
    last: Option<(Timestamp, ProcessReading)>,
}

struct State {
    workers: FxHashMap<Arc<str>, Worker>,
    runs: Runs,
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
    config: AgentsConfig,
    room: AgentRoom,
    state: Mutex<State>,
    places: ArcSwap<Vec<Arc<Place>>>,
    runs: ArcSwap<Vec<Arc<RunView>>>,
    counters: Arc<AgentCounters>,
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
        let state = Mutex::new(State { workers: FxHashMap::default(), runs });
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
        let forgotten = self.forget(&mut state, now);
        self.publish(&mut state, forgotten);
        state.runs.record(&*self.room.runs);
        for worker in state.workers.values_mut() {
            let view = worker.place.view.load();
            let totals = Totals { heartbeats: view.heartbeats, tokens: worker.tokens };
            worker.series.append(&view, totals, now, &*self.room.intern, &mut out.floats);
        }
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
        let State { workers, runs } = state;
        let worker = workers.get_mut(id).ok_or(BeatError::Full(self.config.max_workers))?;
        let runs_changed = worker.take(runs, beat, now);
        let view = worker.place.view.load_full();
        let look = view.beat.pid.filter(|_| worker.last.is_none());
        if is_new || runs_changed {
            self.publish(state, is_new);
        }
        Ok((view, look))
    }

    /// Lets one worker go that will not be missed: silent ones first, then those that have been idle for longest.
    fn make_room(&self, state: &mut State, now: Timestamp) -> Result<(), BeatError> {
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

    fn forget(&self, state: &mut State, now: Timestamp) -> bool {
        let limit = now.saturating_sub(i64::try_from(self.config.forget_after.as_millis()).unwrap_or(i64::MAX));
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

    fn remove(&self, state: &mut State, id: &str, status: RunStatus, now: Timestamp) -> bool {
        let Some(worker) = state.workers.remove(id) else { return false };
        if let Some(run) = worker.run {
            let last = worker.place.view.load().last_heartbeat;
            state.runs.end(run, status, if status == RunStatus::Lost { last } else { now });
        }
        worker.series.release(&*self.room.intern);
        true
    }

    /// Shows readers who is there, and which runs are remembered.
    fn publish(&self, state: &mut State, members: bool) {
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

impl Worker {
    fn new(id: &str, beat: &Heartbeat, silent_after_ms: i64, now: Timestamp) -> Self {
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
    fn take(&mut self, runs: &mut Runs, mut beat: Heartbeat, now: Timestamp) -> bool {
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

    /// Begins, continues and ends runs, and adds tokens up.
    fn follow_run(
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

    /// Takes a reading of process `pid` in.
    fn see(&mut self, pid: i32, reading: Result<ProcessReading, String>, now: Timestamp) {
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
