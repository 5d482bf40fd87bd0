//! Samples between two ticks, for pages that follow live: a few collectors, on a thread of their own, only while somebody
//! wishes for more than one sample a second.
//!
//! They are second instances of the collectors: what they remember between readings is theirs, so a fast reading cannot
//! disturb a tick. The series are the same, because the table gives one reference to both. A slot that is the ring's too is
//! left to the ring's collector.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::slots::{SamplingCounters, Slots};
use super::stop::{End, PATIENCE};
use crate::clock::Clock;
use crate::collect::Collector;
use crate::model::{Batch, GroupId, Intern, Timestamp};

/// The longest sleep while somebody follows: a clock that was set back must not let us sleep through it.
const LONGEST_SLEEP_MS: i64 = 1000;

/// A collector that can also be asked between its ticks.
pub struct FastJob {
    /// The interval at which the ring's instance of it runs: those slots are left to that one.
    pub every: Duration,
    /// What runs; not the ring's instance.
    pub collector: Box<dyn Collector>,
}

/// Where samples between two ticks go.
pub trait FastSink: Send + Sync {
    /// Takes the samples of one slot. They are of several collectors, and not all that these have.
    fn push(&self, batch: Batch);
}

/// How many samples a second are wanted now. Clones of the `Arc` are the same wish.
#[derive(Debug, Default)]
pub struct Demand {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    hz: u32,
    stopped: bool,
}

impl Demand {
    /// From now on `hz` samples a second are wanted; below 2 none but the ring's.
    pub fn set(&self, hz: u32) {
        self.state.lock().hz = hz;
        self.changed.notify_all();
    }

    /// Samples a second that are wanted.
    pub fn hz(&self) -> u32 {
        self.state.lock().hz
    }

    fn stop(&self) {
        self.state.lock().stopped = true;
        self.changed.notify_all();
    }
}

/// The fast collectors and their slots.
pub struct FastSampler {
    entries: Vec<Entry>,
    intern: Arc<dyn Intern>,
    sink: Arc<dyn FastSink>,
    group: GroupId,
    counters: Arc<SamplingCounters>,
    slots: Option<Slots>,
    /// The newest slot that was sampled, at whatever rate.
    newest: Option<Timestamp>,
    samples: usize,
}

struct Entry {
    every_ms: i64,
    collector: Box<dyn Collector>,
    /// A collector that panicked is not asked again: its state is unknown. The ring's instance tells why.
    broken: bool,
}

impl FastSampler {
    /// A sampler at rest. `group` marks its batches; `counters` are shared with the ring's scheduler.
    pub fn new(
        jobs: Vec<FastJob>,
        intern: Arc<dyn Intern>,
        sink: Arc<dyn FastSink>,
        group: GroupId,
        counters: Arc<SamplingCounters>,
    ) -> Self {
        let entries = jobs.into_iter().map(|job| Entry {
            every_ms: i64::try_from(job.every.as_millis()).unwrap_or(i64::MAX).max(1),
            collector: job.collector,
            broken: false,
        });
        Self { entries: entries.collect(), intern, sink, group, counters, slots: None, newest: None, samples: 0 }
    }

    /// Runs the slot that is due at `now` when `hz` samples a second are wanted. True when a batch was handed on.
    pub fn tick(&mut self, now: Timestamp, hz: u32) -> bool {
        if hz < 2 {
            self.slots = None;
            return false;
        }
        let interval_ms = 1000 / i64::from(hz);
        if self.slots.as_ref().is_none_or(|slots| slots.interval_ms() != interval_ms.max(1)) {
            // Slots of another rate go on behind the last one; after a rest the first is the next one, not one that has passed.
            let newest = self.newest.filter(|_| self.slots.is_some());
            self.slots = Some(Slots::after(interval_ms, newest.unwrap_or(now.saturating_sub(1))));
        }
        let Some(due) = self.slots.as_mut().and_then(|slots| slots.due(now)) else { return false };
        self.newest = Some(due.slot);
        self.counters.note(interval_ms, due);
        let mut batch = Batch::new(self.group, due.slot);
        batch.floats.reserve(self.samples);
        for entry in &mut self.entries {
            if entry.broken || due.slot % entry.every_ms == 0 {
                continue;
            }
            let collect = || entry.collector.collect(due.slot, &*self.intern, &mut batch);
            // A failure is the ring's instance's to tell, which reads the same.
            entry.broken = catch_unwind(AssertUnwindSafe(collect)).is_err();
        }
        self.samples = batch.len();
        let some = !batch.is_empty();
        if some {
            self.sink.push(batch);
        }
        some
    }

    /// When the next slot is, at this rate.
    fn next_slot(&self, now: Timestamp) -> Timestamp {
        self.slots.as_ref().map_or(now, |slots| slots.next(now))
    }

    /// Starts the thread, which sleeps until `demand` wants more than one sample a second.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn spawn(mut self, clock: Clock, demand: Arc<Demand>) -> std::io::Result<FastHandle> {
        let wish = Arc::clone(&demand);
        let end = Arc::new(End::default());
        let told = Arc::clone(&end);
        let run = move || {
            let _ending = told.is_told_by_this();
            let mut state = wish.state.lock();
            while !state.stopped {
                let (hz, now) = (state.hz, clock.now());
                if hz < 2 {
                    self.slots = None;
                    wish.changed.wait(&mut state);
                    continue;
                }
                let wait_ms = self.next_slot(now).saturating_sub(now).min(LONGEST_SLEEP_MS);
                if let Ok(wait_ms @ 1..) = u64::try_from(wait_ms) {
                    wish.changed.wait_for(&mut state, Duration::from_millis(wait_ms));
                }
                let (hz, now) = (state.hz, clock.now());
                parking_lot::MutexGuard::unlocked(&mut state, || self.tick(now, hz));
            }
        };
        let thread = std::thread::Builder::new().name("collect-fast".into()).spawn(run)?;
        Ok(FastHandle { demand, end, thread: Some(thread) })
    }
}

/// The running sampler. Dropping it stops the thread and waits some seconds for the slot that runs.
pub struct FastHandle {
    demand: Arc<Demand>,
    end: Arc<End>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for FastHandle {
    fn drop(&mut self) {
        self.demand.stop();
        if let Some(thread) = self.thread.take() {
            self.end.wait(thread, PATIENCE);
        }
    }
}
