//! Runs collectors on their slots: at times that are multiples of their interval, on one thread.
//!
//! Collectors of one group and interval share a batch. A slot that passed while the thread was busy is counted as
//! missed, never caught up. A collector that fails or panics costs its own samples only.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::catalogue::gauge;
use super::emit::{Emit, Slot};
use super::system::WELL_WITHOUT;
use super::{CollectError, Collector, Reading};
use crate::clock::{Clock, Stopwatch};
use crate::model::{Batch, FamilyDesc, GroupId, Intern, Output, SourceId, Timestamp, format_duration};

mod fast;
mod replace;
mod slots;
mod stop;

pub use fast::{Demand, FastHandle, FastJob, FastSampler, FastSink};
pub use slots::{RateCount, SamplingCounters};

use replace::{Control, Replacement};
use slots::Slots;
use stop::{End, PATIENCE};

/// The group whose collectors get node_exporter's own two families.
const NODE: &str = "node";

pub(super) static FAMILIES: [FamilyDesc; 2] = [
    gauge(
        "node_scrape_collector_duration_seconds",
        "seconds",
        "node_exporter: Duration of a collector scrape.",
        &["collector"],
        64,
    ),
    gauge("node_scrape_collector_success", "", "node_exporter: Whether a collector succeeded.", &["collector"], 64),
];

/// A collector and when it runs.
pub struct Job {
    /// The group it shares its batch with, if the interval is the same too: `node`, `worker`, `gpu`, `watchfire`.
    pub group: &'static str,
    /// Time between two slots, at least a millisecond.
    pub interval: Duration,
    /// What runs.
    pub collector: Box<dyn Collector>,
}

/// How the last tick of a collector ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Outcome {
    /// It has not run yet.
    #[default]
    Pending,
    /// Everything was read.
    Complete,
    /// Something was missing, and why.
    Degraded(String),
    /// The source is not on this machine, and what would be needed.
    Unavailable(String),
    /// Nothing was read, and why.
    Failed(String),
}

/// What is known about one collector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectorView {
    /// Its name.
    pub name: &'static str,
    /// The source that it belongs to: its group, with the interval when that is not a second.
    pub source: Arc<str>,
    /// Milliseconds between its slots.
    pub interval_ms: i64,
    /// Its last slot.
    pub last_slot: Option<Timestamp>,
    /// How long the last tick took.
    pub duration: Duration,
    /// How the last tick ended.
    pub outcome: Outcome,
    /// The last reason that was not "complete", with its slot.
    pub last_trouble: Option<(Timestamp, String)>,
    /// Samples of the last tick.
    pub samples: usize,
    /// Ticks that ran.
    pub ticks: u64,
    /// Ticks that failed.
    pub failures: u64,
    /// Slots that passed without a tick because the thread was busy or asleep.
    pub missed: u64,
}

/// Collectors that share a batch.
struct Unit {
    source: Arc<str>,
    is_node: bool,
    slots: Slots,
    group: GroupId,
    id: SourceId,
    entries: Vec<Entry>,
    samples: usize,
    /// Its first batch comes behind the end of those in whose place it is.
    not_before: Timestamp,
}

struct Entry {
    collector: Box<dyn Collector>,
    group: &'static str,
    view: usize,
    duration_slot: Slot,
    success_slot: Slot,
}

/// The collectors and their slots.
pub struct Scheduler {
    units: Vec<Unit>,
    intern: Arc<dyn Intern>,
    output: Arc<dyn Output>,
    views: Arc<Mutex<Vec<CollectorView>>>,
    counters: Arc<SamplingCounters>,
    /// The shortest interval: what the first tick, which runs everything, is aligned to.
    base_ms: i64,
}

impl Scheduler {
    /// Sorts the jobs into groups and registers those, and the sources that rules wait for, with `output`.
    pub fn new(jobs: Vec<Job>, intern: Arc<dyn Intern>, output: Arc<dyn Output>) -> Self {
        let mut units: Vec<Unit> = Vec::new();
        let mut views = Vec::new();
        for job in jobs {
            let (index, source) = (units.len(), source_of(&job));
            let index = units.iter().position(|unit| *unit.source == *source).unwrap_or_else(|| {
                units.push(Unit::new(&job, source, &*output));
                index
            });
            if let Some(unit) = units.get_mut(index) {
                unit.add(job, &mut views);
            }
        }
        let base_ms = units.iter().map(|unit| unit.slots.interval_ms()).min().unwrap_or(1000);
        Self { units, intern, output, views: Arc::new(Mutex::new(views)), counters: Arc::default(), base_ms }
    }

    /// What is known about the collectors, now.
    pub fn views(&self) -> Vec<CollectorView> {
        self.views.lock().clone()
    }

    /// What is counted of slots, by interval; fast sampling counts into the same.
    pub fn counters(&self) -> Arc<SamplingCounters> {
        Arc::clone(&self.counters)
    }

    /// Runs whatever is due at `now`; the first call runs everything. Returns how many batches were pushed.
    pub fn tick(&mut self, now: Timestamp) -> usize {
        let mut pushed = 0;
        for unit in &mut self.units {
            let Some(due) = unit.slots.due(now) else { continue };
            self.counters.note(unit.slots.interval_ms(), due);
            let first = || (now.div_euclid(self.base_ms) * self.base_ms).max(unit.not_before);
            let ts = if due.first { first() } else { due.slot };
            let batch = unit.run(ts, due.missed, &*self.intern, &self.views);
            self.output.push(batch);
            self.output.done(unit.id, ts);
            pushed += 1;
        }
        pushed
    }

    /// When the next slot is: the earliest of all units.
    pub fn next_slot(&self, now: Timestamp) -> Timestamp {
        self.units.iter().map(|unit| unit.slots.next(now)).min().unwrap_or_else(|| now.saturating_add(self.base_ms))
    }

    /// Starts the thread that ticks until the handle stops it.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn spawn(mut self, clock: Clock) -> std::io::Result<SchedulerHandle> {
        let views = Arc::clone(&self.views);
        let control = Arc::new((Mutex::new(Control::default()), Condvar::new()));
        let signal = Arc::clone(&control);
        let end = Arc::new(End::default());
        let told = Arc::clone(&end);
        let run = move || {
            let _ending = told.is_told_by_this();
            let (control, wake) = &*signal;
            let mut control = control.lock();
            while !control.stopped {
                let now = clock.now();
                let replacements = std::mem::take(&mut control.replacements);
                if !replacements.is_empty() {
                    let replace = || replacements.into_iter().for_each(|replacement| self.replace(replacement, now));
                    parking_lot::MutexGuard::unlocked(&mut control, replace);
                    continue;
                }
                let wait_ms = self.next_slot(now).saturating_sub(now);
                if wait_ms <= 0 {
                    parking_lot::MutexGuard::unlocked(&mut control, || self.tick(now));
                    continue;
                }
                // A clock that was set back must not let us sleep through it.
                let wait_ms = u64::try_from(wait_ms.min(self.base_ms.max(1000))).unwrap_or(1000);
                wake.wait_for(&mut control, Duration::from_millis(wait_ms));
                let now = clock.now();
                parking_lot::MutexGuard::unlocked(&mut control, || self.tick(now));
            }
        };
        let thread = std::thread::Builder::new().name("collect".into()).spawn(run)?;
        Ok(SchedulerHandle { views, control, end, thread: Some(thread) })
    }
}

impl Drop for Scheduler {
    /// Nobody has to wait for it any more.
    fn drop(&mut self) {
        self.units.iter().for_each(|unit| self.output.unregister_source(unit.id));
    }
}

/// The name of the unit that a job belongs to.
fn source_of(job: &Job) -> String {
    source_name(job.group, interval_ms(job))
}

fn interval_ms(job: &Job) -> i64 {
    i64::try_from(job.interval.as_millis()).unwrap_or(i64::MAX).max(1)
}

/// The name of a unit: its group, with the interval behind it when that is not a second.
fn source_name(group: &str, interval_ms: i64) -> String {
    match interval_ms {
        1000 => group.to_owned(),
        ms => format!("{group}@{}", format_duration(Duration::from_millis(ms.unsigned_abs()))),
    }
}

impl CollectorView {
    fn new(name: &'static str, source: &Arc<str>, interval_ms: i64) -> Self {
        Self {
            name,
            source: Arc::clone(source),
            interval_ms,
            last_slot: None,
            duration: Duration::ZERO,
            outcome: Outcome::Pending,
            last_trouble: None,
            samples: 0,
            ticks: 0,
            failures: 0,
            missed: 0,
        }
    }

    fn update(&mut self, slot: Timestamp, duration: Duration, samples: usize, missed: u64, outcome: Outcome) {
        self.last_slot = Some(slot);
        self.duration = duration;
        self.samples = samples;
        self.ticks += 1;
        self.missed += missed;
        match &outcome {
            Outcome::Pending | Outcome::Complete => {}
            Outcome::Degraded(reason) | Outcome::Unavailable(reason) => {
                self.last_trouble = Some((slot, reason.clone()))
            }
            Outcome::Failed(reason) => {
                self.failures += 1;
                self.last_trouble = Some((slot, reason.clone()));
            }
        }
        self.outcome = outcome;
    }
}

impl Unit {
    fn new(job: &Job, source: String, output: &dyn Output) -> Self {
        let interval_ms = interval_ms(job);
        let interval = Duration::from_millis(interval_ms.unsigned_abs());
        Self {
            is_node: job.group == NODE,
            slots: Slots::new(interval_ms),
            group: output.register_group(&source),
            id: output.register_source(interval, Duration::ZERO),
            source: source.into(),
            entries: Vec::new(),
            samples: 0,
            not_before: Timestamp::MIN,
        }
    }

    fn add(&mut self, job: Job, views: &mut Vec<CollectorView>) {
        views.push(CollectorView::new(job.collector.name(), &self.source, self.slots.interval_ms()));
        self.entries.push(Entry {
            collector: job.collector,
            group: job.group,
            view: views.len() - 1,
            duration_slot: Slot::New,
            success_slot: Slot::New,
        });
    }

    fn run(&mut self, ts: Timestamp, missed: u64, intern: &dyn Intern, views: &Mutex<Vec<CollectorView>>) -> Batch {
        let mut batch = Batch::new(self.group, ts);
        batch.floats.reserve(self.samples);
        for entry in &mut self.entries {
            let (before, watch) = (batch.len(), Stopwatch::start());
            let collect = || entry.collector.collect(ts, intern, &mut batch);
            let result = catch_unwind(AssertUnwindSafe(collect));
            let (duration, samples) = (watch.elapsed(), batch.len().saturating_sub(before));
            let outcome = outcome(result);
            if self.is_node {
                entry.observe(duration, &outcome, intern, &mut batch);
            }
            if let Some(view) = views.lock().get_mut(entry.view) {
                view.update(ts, duration, samples, missed, outcome);
            }
        }
        self.samples = batch.len();
        batch
    }
}

impl Entry {
    fn observe(&mut self, duration: Duration, outcome: &Outcome, intern: &dyn Intern, batch: &mut Batch) {
        let name = self.collector.name();
        let success = match outcome {
            Outcome::Complete | Outcome::Degraded(_) => true,
            Outcome::Unavailable(_) => WELL_WITHOUT.contains(&name),
            Outcome::Pending | Outcome::Failed(_) => false,
        };
        let mut emit = Emit::new(NODE, intern, batch);
        let [duration_desc, success_desc] = &FAMILIES;
        emit.put(&mut self.duration_slot, duration_desc, &[name], duration.as_secs_f64());
        emit.put(&mut self.success_slot, success_desc, &[name], if success { 1.0 } else { 0.0 });
    }
}

fn outcome(result: std::thread::Result<Result<Reading, CollectError>>) -> Outcome {
    match result {
        Ok(Ok(Reading::Complete)) => Outcome::Complete,
        Ok(Ok(Reading::Degraded(reason))) => Outcome::Degraded(reason),
        Ok(Ok(Reading::Unavailable(reason))) => Outcome::Unavailable(reason),
        Ok(Err(error)) => Outcome::Failed(error.reason),
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().copied().map(str::to_owned);
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
            Outcome::Failed(format!("panic: {}", text.unwrap_or_else(|| "without a message".to_owned())))
        }
    }
}

/// The running scheduler. Dropping it stops the thread and waits some seconds for the tick that runs.
pub struct SchedulerHandle {
    views: Arc<Mutex<Vec<CollectorView>>>,
    control: Arc<(Mutex<Control>, Condvar)>,
    end: Arc<End>,
    thread: Option<JoinHandle<()>>,
}

impl SchedulerHandle {
    /// What is known about the collectors, now.
    pub fn views(&self) -> Vec<CollectorView> {
        self.views.lock().clone()
    }

    /// Shows the views at any time, one by one, also when the scheduler has gone. Who looks must not wait: ticks do meanwhile.
    pub fn viewer(&self) -> impl Fn(&mut dyn FnMut(&CollectorView)) + Send + Sync + 'static {
        let views = Arc::clone(&self.views);
        move |look| views.lock().iter().for_each(look)
    }

    /// Whether the thread still runs; it ends only when it is stopped.
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Puts `jobs` in the place of all collectors of `groups`, before the next tick. Series that only those had are ended.
    pub fn replace(&self, groups: Vec<&'static str>, jobs: Vec<Job>) {
        self.control.0.lock().replacements.push(Replacement { groups, jobs });
        self.control.1.notify_all();
    }

    /// Stops the thread and waits for the tick that runs, but not for ever: a read that the kernel does not answer must not keep
    /// the daemon from ending. Whether the thread has ended; otherwise it ends with the process.
    pub fn stop(mut self) -> bool {
        self.halt(PATIENCE)
    }

    fn halt(&mut self, patience: Duration) -> bool {
        self.control.0.lock().stopped = true;
        self.control.1.notify_all();
        let Some(thread) = self.thread.take() else { return true };
        self.end.wait(thread, patience)
    }
}

impl Drop for SchedulerHandle {
    fn drop(&mut self) {
        self.halt(PATIENCE);
    }
}

#[cfg(test)]
mod tests;
