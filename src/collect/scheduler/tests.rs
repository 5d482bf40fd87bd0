use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::replace::Replacement;
use super::{FastJob, FastSampler, FastSink, Job, Outcome, Scheduler};
use crate::clock::Clock;
use crate::collect::testing::{Interner, Kept, page};
use crate::collect::{CollectError, Collector, Reading};
use crate::model::{Batch, GroupId, Intern, SeriesRef, Timestamp};

/// A collector that does as it is told.
struct Told(&'static str, fn() -> Result<Reading, CollectError>);

impl Collector for Told {
    fn name(&self) -> &'static str {
        self.0
    }

    fn collect(&mut self, now: Timestamp, _: &dyn Intern, out: &mut Batch) -> Result<Reading, CollectError> {
        out.floats.push((SeriesRef(0), now as f64));
        (self.1)()
    }
}

fn job(group: &'static str, ms: u64, name: &'static str, result: fn() -> Result<Reading, CollectError>) -> Job {
    Job { group, interval: Duration::from_millis(ms), collector: Box::new(Told(name, result)) }
}

fn scheduler(jobs: Vec<Job>) -> (Scheduler, Arc<Kept>, Arc<Interner>) {
    let (output, intern) = (Arc::new(Kept::default()), Arc::new(Interner::default()));
    (Scheduler::new(jobs, intern.clone(), output.clone()), output, intern)
}

#[test]
fn slots_are_multiples_and_late_ones_are_missed() {
    let ok = || Ok(Reading::Complete);
    let (mut scheduler, sink, _) =
        scheduler(vec![job("a", 1000, "x", ok), job("a", 5000, "y", ok), job("a", 1000, "z", ok)]);
    for (now, expected) in [
        (6_400, "a 6000, a@5s 6000"),
        (6_900, ""),
        (7_003, "a 7000"),
        (11_999, "a 11000, a@5s 10000"),
        (11_500, ""),
        (14_999, "a 14000"),
        (15_000, "a 15000, a@5s 15000"),
        (14_000, ""),
        (2_000, "a 2000"),
    ] {
        scheduler.tick(now);
        assert_eq!(std::mem::take(&mut *sink.done.lock()).join(", "), expected, "at {now}");
    }
    assert_eq!(scheduler.next_slot(2_000), 3_000);
    let views = scheduler.views();
    let missed: Vec<(&str, u64, u64)> = views.iter().map(|view| (view.name, view.ticks, view.missed)).collect();
    assert_eq!(missed, [("x", 6, 5), ("y", 3, 0), ("z", 6, 5)]);
    let groups: Vec<u32> = sink.batches.lock().iter().take(2).map(|batch| batch.group.0).collect();
    assert_eq!(groups, [0, 1]);
}

#[test]
fn others_take_a_groups_place_between_two_ticks() {
    let ok = || Ok(Reading::Complete);
    let (mut scheduler, sink, intern) =
        scheduler(vec![job("node", 1000, "x", ok), job("node", 5000, "y", ok), job("windows", 1000, "last", ok)]);
    let names = |scheduler: &Scheduler| scheduler.views().iter().map(|view| view.name).collect::<Vec<_>>().join(" ");
    let ran = |scheduler: &mut Scheduler, now| {
        scheduler.tick(now);
        std::mem::take(&mut *sink.done.lock()).join(", ")
    };
    assert_eq!(ran(&mut scheduler, 10_000), "node 10000, node@5s 10000, windows 10000");
    // One changes its interval, one goes, one is new; the source that stays keeps its slot.
    let jobs = vec![job("node", 1000, "y", ok), job("gpu", 1000, "g", ok)];
    scheduler.replace(Replacement { groups: vec!["node", "gpu"], jobs }, 10_400);
    assert_eq!(names(&scheduler), "last y g");
    assert_eq!(sink.ended.lock().len(), 1, "node@5s has no collector any more");
    // Two node collectors that left held two series each.
    assert_eq!(intern.released(), 4);
    assert_eq!(ran(&mut scheduler, 10_400), "gpu 10400", "behind the end of what was there");
    assert_eq!(ran(&mut scheduler, 11_000), "gpu 11000, node 11000, windows 11000");
    let ticks: Vec<u64> = scheduler.views().iter().map(|view| view.ticks).collect();
    assert_eq!(ticks, [2, 1, 2], "who stays goes on counting");
    // The fastest one goes: slots are as far apart as those that are left.
    scheduler
        .replace(Replacement { groups: vec!["node", "gpu", "windows"], jobs: vec![job("a", 5000, "a", ok)] }, 11_500);
    assert_eq!((names(&scheduler), ran(&mut scheduler, 11_500)), ("a".to_owned(), "a@5s 11500".to_owned()));
}

#[test]
fn one_collector_cannot_stop_another() {
    let fail = || Err(CollectError { collector: "b", reason: "broken".into() });
    let (mut scheduler, sink, intern) = scheduler(vec![
        job("node", 1000, "a", || panic!("on purpose")),
        job("node", 1000, "b", fail),
        job("node", 1000, "c", || Ok(Reading::Degraded("half".into()))),
        job("node", 1000, "d", || Ok(Reading::Unavailable("none".into()))),
    ]);
    scheduler.tick(1_000);
    let outcomes: Vec<Outcome> = scheduler.views().into_iter().map(|view| view.outcome).collect();
    let failed = |text: &str| Outcome::Failed(text.into());
    let expected = [
        failed("panic: on purpose"),
        failed("broken"),
        Outcome::Degraded("half".into()),
        Outcome::Unavailable("none".into()),
    ];
    assert_eq!(outcomes, expected);
    let page = page(&intern, &sink.batches.lock()[0]);
    let success = |name: &str| page[&format!(r#"node_scrape_collector_success{{collector="{name}"}}"#)];
    assert_eq!(["a", "b", "c", "d"].map(success), [0.0, 0.0, 1.0, 0.0]);
    assert_eq!(scheduler.views()[1].failures, 1);
}

/// Fast batches.
impl FastSink for Kept {
    fn push(&self, batch: Batch) {
        self.batches.lock().push(batch);
    }
}

#[test]
fn a_fast_collector_that_fails_costs_itself_only() {
    let fail = || Err(CollectError { collector: "b", reason: "broken".into() });
    let fast = |name: &'static str, every: u64, result: fn() -> Result<Reading, CollectError>| FastJob {
        every: Duration::from_millis(every),
        collector: Box::new(Told(name, result)),
    };
    let jobs =
        vec![fast("a", 1000, || panic!("on purpose")), fast("b", 1000, fail), fast("c", 200, || Ok(Reading::Complete))];
    let (sink, counters) = (Arc::new(Kept::default()), Arc::default());
    let mut sampler = FastSampler::new(jobs, Arc::new(Interner::default()), sink.clone(), GroupId(7), counters);
    for now in (801..1600).step_by(100) {
        sampler.tick(now, 10);
    }
    // The slot of the start has passed. Each writes a sample first: at 900 all three, at 1000 nobody, then b always and c at every second slot.
    let found: Vec<(i64, usize)> = sink.batches.lock().iter().map(|batch| (batch.ts, batch.len())).collect();
    assert_eq!(found, [(900, 3), (1100, 2), (1200, 1), (1300, 2), (1400, 1), (1500, 2)]);
    // Another pace goes on behind the last slot; no pace at all ends them.
    assert!(!sampler.tick(1_700, 2) && sampler.tick(2_500, 2) && !sampler.tick(2_600, 1) && !sampler.tick(2_700, 0));
    assert!(!sampler.tick(2_750, 5) && sampler.tick(2_801, 5));
}

#[test]
fn another_pace_samples_no_slot_twice() {
    let jobs =
        vec![FastJob { every: Duration::from_secs(10), collector: Box::new(Told("a", || Ok(Reading::Complete))) }];
    let (sink, counters) = (Arc::new(Kept::default()), Arc::<super::SamplingCounters>::default());
    let mut sampler =
        FastSampler::new(jobs, Arc::new(Interner::default()), sink.clone(), GroupId(7), Arc::clone(&counters));
    for (now, hz) in [
        (1_001, 10),
        (1_101, 10),
        (1_150, 5),
        (1_202, 5),
        (1_203, 10),
        (1_301, 10),
        (1_302, 5),
        (1_399, 5),
        (1_400, 5),
        (1_450, 0),
        (1_460, 10),
        (1_503, 10),
    ] {
        sampler.tick(now, hz);
    }
    let found: Vec<i64> = sink.batches.lock().iter().map(|batch| batch.ts).collect();
    assert_eq!(found, [1_100, 1_200, 1_300, 1_400, 1_500], "each once, in order, none that had passed");
    assert_eq!(counters.rates().iter().map(|rate| rate.ticks).sum::<u64>(), 5);
}

/// A collector that waits for the kernel, which does not answer.
#[test]
fn a_read_that_hangs_does_not_hold_the_end_up() {
    static GATE: (parking_lot::Mutex<bool>, parking_lot::Condvar) =
        (parking_lot::Mutex::new(false), parking_lot::Condvar::new());
    let hang = || {
        GATE.1.wait_while(&mut GATE.0.lock(), |open| !*open);
        Ok(Reading::Complete)
    };
    let (scheduler, sink, _) = scheduler(vec![job("b", 10, "y", || Ok(Reading::Complete)), job("a", 10, "x", hang)]);
    let mut handle = scheduler.spawn(Clock::System).unwrap();
    let mut batches = sink.batches.lock();
    if batches.is_empty() {
        assert!(!sink.pushed.wait_for(&mut batches, Duration::from_secs(20)).timed_out(), "no tick in 20 s");
    }
    drop(batches);
    // The first unit has run; the thread hangs in the second now, or is about to.
    assert!(!handle.halt(Duration::from_millis(20)), "it does not end, and nobody waits for it");
    *GATE.0.lock() = true;
    GATE.1.notify_all();
}

#[test]
fn the_thread_ticks_and_stops() {
    static TICKS: AtomicU32 = AtomicU32::new(0);
    let count = || {
        TICKS.fetch_add(1, Ordering::SeqCst);
        Ok(Reading::Complete)
    };
    let (scheduler, sink, _) = scheduler(vec![job("a", 10, "x", count)]);
    let handle = scheduler.spawn(Clock::System).unwrap();
    let mut batches = sink.batches.lock();
    while batches.len() < 3 {
        assert!(!sink.pushed.wait_for(&mut batches, Duration::from_secs(20)).timed_out(), "no tick in 20 s");
    }
    drop(batches);
    assert!(handle.is_running());
    handle.stop();
    let (after, batches) = (TICKS.load(Ordering::SeqCst), sink.batches.lock().clone());
    assert_eq!(batches.len(), after as usize);
    assert!(batches.windows(2).all(|pair| pair[0].ts < pair[1].ts && pair[1].ts % 10 == 0));
}
