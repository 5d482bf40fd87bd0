//! The rule clock: when has everything that is due reached the head?

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::model::{SourceId, Timestamp};

/// The longest that an evaluation waits for late sources.
const MAX_WAIT: Duration = Duration::from_millis(500);
/// Slots that a source may miss before evaluations stop waiting for it: a hung source must not delay every tick.
const FORGIVEN_SLOTS: i64 = 3;

struct Source {
    interval: i64,
    offset: i64,
    done: Timestamp,
}

impl Source {
    /// The source's last slot at or before `t`.
    fn due(&self, t: Timestamp) -> Timestamp {
        t - (t - self.offset).rem_euclid(self.interval)
    }

    fn is_late(&self, t: Timestamp) -> bool {
        let due = self.due(t);
        self.done < due && due - self.done <= FORGIVEN_SLOTS * self.interval
    }
}

#[derive(Default)]
struct Sources {
    next: u32,
    sources: FxHashMap<SourceId, Source>,
    /// What is waited for now: each wake-up of a waiter costs two changes of context, and ten sources end their slots in a tick.
    awaited: Vec<Timestamp>,
}

impl Sources {
    fn is_complete(&self, t: Timestamp) -> bool {
        !self.sources.values().any(|source| source.is_late(t))
    }

    /// Whether somebody has waited long enough.
    fn frees_somebody(&self) -> bool {
        self.awaited.iter().any(|t| self.is_complete(*t))
    }
}

/// A wish that ends when it is dropped, also in the middle of a wait.
struct Awaited<'c> {
    clock: &'c SourceClock,
    t: Timestamp,
}

impl<'c> Awaited<'c> {
    fn new(clock: &'c SourceClock, t: Timestamp) -> Self {
        clock.inner.lock().awaited.push(t);
        Self { clock, t }
    }
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        let mut inner = self.clock.inner.lock();
        if let Some(place) = inner.awaited.iter().position(|t| *t == self.t) {
            inner.awaited.swap_remove(place);
        }
    }
}

/// Knows which slots of which sources are in the head.
pub struct SourceClock {
    clock: Clock,
    inner: Mutex<Sources>,
    changed: Notify,
    late: AtomicU64,
}

impl SourceClock {
    /// A clock without sources: everything is always in.
    pub fn new(clock: Clock) -> Self {
        Self { clock, inner: Mutex::default(), changed: Notify::new(), late: AtomicU64::new(0) }
    }

    /// Adds a source whose slots are at `offset + k × interval` (milliseconds). Its first slot is the one after now.
    pub fn register_source(&self, interval: Duration, offset: Duration) -> SourceId {
        let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4);
        let mut source = Source { interval: millis(interval).max(1), offset: millis(offset), done: 0 };
        source.done = source.due(self.clock.now());
        let mut inner = self.inner.lock();
        let id = SourceId(inner.next);
        inner.next += 1;
        inner.sources.insert(id, source);
        id
    }

    /// Takes a source away; nobody waits for it any more.
    pub fn unregister_source(&self, source: SourceId) {
        self.inner.lock().sources.remove(&source);
        self.changed.notify_waiters();
    }

    /// The source's slot is in the head. The pipeline calls it in the order of its queue (`Pipeline::done`).
    pub fn done(&self, source: SourceId, slot: Timestamp) {
        let mut inner = self.inner.lock();
        if let Some(source) = inner.sources.get_mut(&source) {
            source.done = source.done.max(slot);
        }
        let wakes = inner.frees_somebody();
        drop(inner);
        if wakes {
            self.changed.notify_waiters();
        }
    }

    /// Waits until every source that is due at or before `t` is in the head, or the clock shows `deadline`. False when something was late.
    pub async fn wait_until_due(&self, t: Timestamp, deadline: Timestamp) -> bool {
        let left = u64::try_from(deadline.saturating_sub(self.clock.now())).unwrap_or(0);
        let _awaited = Awaited::new(self, t);
        let complete = async {
            loop {
                let changed = self.changed.notified();
                tokio::pin!(changed);
                // Registered before the check, so that no change between the two is lost.
                changed.as_mut().enable();
                if self.is_complete(t) {
                    return;
                }
                changed.await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_millis(left), complete).await.is_ok();
        if !in_time {
            self.late.fetch_add(1, Ordering::Relaxed);
        }
        in_time
    }

    /// Whether every source that is due at or before `t` is in the head.
    pub fn is_complete(&self, t: Timestamp) -> bool {
        self.inner.lock().is_complete(t)
    }

    /// How often somebody waited in vain.
    pub fn late(&self) -> u64 {
        self.late.load(Ordering::Relaxed)
    }
}

/// When the evaluation of `t` starts at the latest: `t` + min(500 ms, a fifth of the interval).
pub fn rule_deadline(t: Timestamp, interval: Duration) -> Timestamp {
    t.saturating_add(i64::try_from((interval / 5).min(MAX_WAIT).as_millis()).unwrap_or(0))
}
