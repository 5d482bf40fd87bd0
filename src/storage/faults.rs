//! The ring on a disk that stops: at any step of a run, or for a while.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::inspect::walk;
use super::test_disk::{Disk, Step, apply, apply_some};
use super::testing::{Random, SeriesTable, labels, of, select};
use super::{Config, Progress, Querier, Ring, SelectRequest, Stop};
use crate::clock::{Clock, ManualClock};
use crate::model::{Batch, Exemplar, GroupId, Labels, Timestamp};

fn open(disk: &Disk, clock: &ManualClock) -> (Ring, Arc<SeriesTable>) {
    open_for(disk, clock, 60)
}

/// A ring that keeps so many seconds, and merges two windows where that is an eighth of it.
fn open_for(disk: &Disk, clock: &ManualClock, seconds: u64) -> (Ring, Arc<SeriesTable>) {
    let config = Config {
        window: Duration::from_secs(10),
        merged_span: Duration::from_secs(20),
        seal_delay: Duration::from_secs(1),
        // Small windows, and no hour is ever over; `rollup` has crashes of its own.
        rollups: [Duration::ZERO; 3],
        head_span: Duration::from_secs(10),
        retention_time: Duration::from_secs(seconds),
        ..Config::default()
    };
    let names: Arc<SeriesTable> = Arc::default();
    let ring = Ring::with_store(config, Clock::Manual(clock.clone()), names.clone(), disk.store()).unwrap();
    (ring, names)
}

/// Ticks of three series, two seconds apart; a series more with every window.
fn tick(ring: &Ring, names: &SeriesTable, n: i64) -> usize {
    let ts = n * 2000;
    let mut batch = Batch::new(GroupId(1), ts);
    let series = 3 + ts / 10_000;
    batch.floats = (0..series).map(|i| (of(names, &labels(i as u64)), (n * i) as f64)).collect();
    let exemplar = Exemplar { labels: Labels::from_pairs(&[("trace_id", &n.to_string())]), value: n as f64, ts: None };
    batch.exemplars.push((of(names, &labels(0)), exemplar));
    ring.append(&batch).unwrap();
    series as usize
}

/// All ticks in the ring, each checked to be whole.
fn ticks(ring: &Ring, from: Timestamp) -> Vec<i64> {
    let mut all: Vec<(i64, i64)> = select(ring, &[], from, 1 << 40, false)
        .into_iter()
        .map(|(labels, ts, value)| {
            let i: i64 = labels.get("i").parse().unwrap();
            assert_eq!(value, (ts / 2000 * i) as f64, "{labels} at {ts}");
            (ts / 2000, i)
        })
        .collect();
    all.sort_unstable();
    let mut ticks = Vec::new();
    for tick in all.chunk_by(|a, b| a.0 == b.0) {
        assert_eq!(tick.len() as i64, 3 + tick[0].0 * 2000 / 10_000, "tick {} is whole", tick[0].0);
        ticks.push(tick[0].0);
    }
    ticks
}

/// A run with everything that it asked of its disk.
struct Recorded {
    /// The file when the run began.
    base: Vec<u8>,
    steps: Vec<Step>,
    /// After so many steps this tick was committed, ascending.
    committed: Vec<(usize, i64)>,
}

/// Sixty ticks with a commit each; windows are sealed, retired and, if the ring keeps long enough, merged on the way.
fn record(seconds: u64, compacts: bool) -> Recorded {
    let disk = Disk::new();
    let clock = ManualClock::new(0);
    let (ring, names) = open_for(&disk, &clock, seconds);
    let base = disk.bytes.lock().clone();
    disk.record();
    let mut committed = Vec::new();
    for n in 0..60 {
        clock.set(n * 2000);
        tick(&ring, &names, n);
        ring.commit().unwrap();
        committed.push((disk.recorded(), n));
        while ring.maintain(n * 2000).unwrap() == Progress::More {}
        if compacts && n % 20 == 19 {
            assert!(ring.store.compact().unwrap(), "tick {n}: there was something to compact");
        }
    }
    let counters = ring.counters();
    assert_eq!(counters.merged.load(Relaxed) > 0, seconds >= 160, "segments were merged, or not");
    assert_eq!(counters.retired.load(Relaxed) > 0, seconds < 120, "segments were retired, or not");
    assert!(counters.sealed.load(Relaxed) > 8);
    // Closing the file is part of the run.
    drop(ring);
    Recorded { base, steps: disk.take_record(), committed }
}

impl Recorded {
    /// Opens a file that the run left after `steps`, and checks that it is a prefix of the run with all that was committed.
    fn check(&self, image: Vec<u8>, steps: usize, seconds: u64, how: &str) {
        let place = format!("{how} after {steps} of {} steps", self.steps.len());
        let acknowledged = self.committed.iter().take_while(|(at, _)| *at <= steps).last().map(|(_, n)| *n);
        let (ring, _) = open_for(&Disk::with(image), &ManualClock::new(120_000), seconds);
        let found = ticks(&ring, Timestamp::MIN);
        let last = found.last().copied();
        assert!(last >= acknowledged, "{place}: {acknowledged:?} was acknowledged, {last:?} is there");
        assert!(last <= acknowledged.map_or(Some(0), |n| Some(n + 1)), "{place}: {last:?} from nowhere");
        if let (Some(first), Some(last)) = (found.first(), last) {
            let whole: Vec<i64> = (*first..=last).collect();
            assert_eq!(found, whole, "{place}: no tick between is missing");
            // Retention keeps so much, and what shares a segment with it.
            let keep = seconds as i64 * 1000;
            assert!(*first * 2000 <= (last * 2000 - keep).max(0) + 10_000, "{place}: {found:?}");
        }
        assert_eq!(ring.counters().damaged.load(Relaxed), 0, "{place}");
        // Exemplars share the fate of their ticks.
        let told = ring.exemplars(&[], Timestamp::MIN, Timestamp::MAX).unwrap();
        let told: Vec<i64> = told.iter().flat_map(|series| &series.exemplars).map(|(ts, _)| ts / 2000).collect();
        assert_eq!(told, found, "{place}");
        let seen = walk(&ring.store, &mut |_, _| {});
        assert_eq!(seen.findings, [], "{place}");
    }
}

/// The process dies after each write and each sync in turn: all before it is in the file.
#[test]
fn a_crash_after_any_step_keeps_what_was_committed() {
    let mut image = Vec::new();
    for (seconds, compacts) in [(60, false), (160, false), (60, true)] {
        let run = record(seconds, compacts);
        assert!(run.steps.len() > 300, "the run has many steps: {}", run.steps.len());
        image.clone_from(&run.base);
        run.check(image.clone(), 0, seconds, "killed");
        for (done, step) in run.steps.iter().enumerate() {
            apply(&mut image, step);
            run.check(image.clone(), done + 1, seconds, "killed");
        }
    }
}

/// The machine loses its power at each step in turn: what was written since the last sync is there, or not, or in part.
#[test]
fn a_power_cut_at_any_step_keeps_what_was_committed() {
    for (seconds, compacts) in [(60, false), (160, false), (60, true)] {
        let run = record(seconds, compacts);
        // The file as of the last sync, and how many steps it has.
        let (mut synced, mut until) = (run.base.clone(), 0);
        for (done, step) in run.steps.iter().enumerate() {
            if matches!(step, Step::Sync) {
                run.steps[until..=done].iter().for_each(|step| apply(&mut synced, step));
                until = done + 1;
            }
            let mut image = synced.clone();
            apply_some(&mut image, &run.steps[until..=done], &mut Random::new(done as u64));
            run.check(image, done + 1, seconds, "power cut");
        }
    }
}

#[test]
fn a_full_disk_degrades_to_memory_and_recovers() {
    let disk = Disk::new();
    let clock = ManualClock::new(0);
    let (ring, names) = open(&disk, &clock);
    for n in 0..12 {
        clock.set(n * 2000);
        tick(&ring, &names, n);
        ring.commit().unwrap();
        while ring.maintain(n * 2000).unwrap() == Progress::More {}
    }
    assert!(!ring.stats().degraded && ring.stats().segments > 0);
    disk.left.store(3, Relaxed);
    let mut failed = 0;
    for n in 12..20 {
        clock.set(n * 2000);
        tick(&ring, &names, n);
        failed += i32::from(ring.commit().is_err());
        // Recovery is tried in vain now and then.
        while matches!(ring.maintain(n * 2000), Ok(Progress::More)) {}
        assert_eq!(ticks(&ring, n * 2000), [n], "queries go on");
    }
    assert!(failed >= 1 && ring.stats().degraded, "{failed}");
    assert!(ring.stats().pending_rows > 0);
    disk.left.store(i64::MAX, Relaxed);
    for n in 20..40 {
        clock.set(n * 2000);
        tick(&ring, &names, n);
        ring.commit().unwrap();
        while ring.maintain(n * 2000).unwrap() == Progress::More {}
    }
    assert!(!ring.stats().degraded);
    let expected: Vec<i64> = (10..40).collect();
    assert_eq!(ticks(&ring, 20_000), expected, "nothing is lost");
    ring.shutdown().unwrap();
    drop(ring);
    let (ring, _) = open(&disk, &ManualClock::new(80_000));
    assert_eq!(ticks(&ring, 20_000), expected, "nor after a restart");
}

/// Runs ticks from..to on a ring that is open, one commit and all maintenance each.
fn run_ticks(ring: &Ring, names: &SeriesTable, clock: &ManualClock, numbers: std::ops::Range<i64>) {
    for n in numbers {
        clock.set(n * 2000);
        tick(ring, names, n);
        // While the disk is full nothing is durable, and everything goes on.
        let _ = ring.commit();
        while matches!(ring.maintain(n * 2000), Ok(Progress::More)) {}
    }
}

#[test]
fn a_start_on_a_full_disk_takes_the_history_up_later() {
    let disk = Disk::new();
    let clock = ManualClock::new(0);
    let (ring, names) = open(&disk, &clock);
    run_ticks(&ring, &names, &clock, 0..12);
    drop(ring);
    let mut all: Vec<i64> = (0..12).collect();
    // A short while, and one so long that memory had to give windows up.
    for (full, restart) in [(12..15, false), (15..32, true), (38..46, false)] {
        disk.left.store(0, Relaxed);
        let (ring, names) = open(&disk, &clock);
        assert!(ring.failure().is_some_and(|why| why.contains("no space left")), "{:?}", ring.failure());
        run_ticks(&ring, &names, &clock, full.clone());
        assert_eq!(ticks(&ring, (full.end - 1) * 2000), [full.end - 1], "queries go on");
        disk.left.store(i64::MAX, Relaxed);
        // The file is tried again every ten seconds.
        let later = full.end * 2000 + 10_000;
        clock.set(later);
        while ring.maintain(later).unwrap() == Progress::More {}
        assert_eq!(ring.failure(), None);
        all.extend(full);
        // Retention keeps a minute.
        let expected: Vec<i64> = all.iter().copied().filter(|n| n * 2000 >= later - 60_000).collect();
        let found = ticks(&ring, Timestamp::MIN);
        assert!(found.ends_with(&expected), "{found:?} lacks some of {expected:?}");
        drop(ring);
        if restart {
            let (ring, _) = open(&disk, &clock);
            assert!(ticks(&ring, Timestamp::MIN).ends_with(&expected), "after a restart too");
        }
    }
}

#[test]
fn a_long_failure_loses_nothing_that_was_committed() {
    let disk = Disk::new();
    let clock = ManualClock::new(0);
    let (ring, names) = open(&disk, &clock);
    run_ticks(&ring, &names, &clock, 0..8);
    disk.left.store(0, Relaxed);
    // Thirty seconds: memory gives up windows after twice ten, among them one with committed rows.
    run_ticks(&ring, &names, &clock, 8..23);
    assert!(!ticks(&ring, Timestamp::MIN).contains(&6), "memory is bounded");
    disk.left.store(i64::MAX, Relaxed);
    run_ticks(&ring, &names, &clock, 23..36);
    // Retention keeps a minute.
    let expected: Vec<i64> = (5..36).collect();
    assert_eq!(ticks(&ring, 10_000), expected);
    drop(ring);
    let (ring, _) = open(&disk, &clock);
    assert_eq!(ticks(&ring, 10_000), expected, "after a restart too");
    assert_eq!(ring.counters().damaged.load(Relaxed), 0);
}

/// A generator that needs no state beyond a number (splitmix64).
fn mix(seed: u64) -> u64 {
    let z = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z ^ (z >> 27)
}

#[test]
fn damaged_pages_never_panic() {
    let disk = Disk::new();
    let clock = ManualClock::new(0);
    let (ring, names) = open(&disk, &clock);
    run_ticks(&ring, &names, &clock, 0..30);
    drop(ring);
    let whole = disk.bytes.lock().clone();
    let (mut refused, mut worked) = (0, 0);
    for seed in 0..150 {
        let mut bytes = whole.clone();
        let used = bytes.iter().rposition(|b| *b != 0).unwrap_or(0) as u64;
        for i in 0..=mix(seed) % 40 {
            let at = (mix(seed * 1000 + i) % used) as usize & !7;
            for byte in &mut bytes[at..at + 8] {
                *byte ^= mix(seed ^ i) as u8 | 1;
            }
        }
        let image = Disk::with(bytes);
        let names: Arc<SeriesTable> = Arc::default();
        let config = Config { window: Duration::from_secs(10), ..Config::default() };
        match Ring::with_store(config, Clock::Manual(clock.clone()), names.clone(), image.store()) {
            Err(error) => {
                refused += 1;
                assert!(!error.to_string().is_empty());
            }
            Ok(ring) => {
                worked += 1;
                let request = SelectRequest {
                    matchers: Vec::new(),
                    start: 0,
                    end: 1 << 40,
                    last_only: false,
                    max_samples: 1 << 30,
                    stop: Stop::never(),
                };
                let _ = ring.select(&request);
                for n in 30..50 {
                    clock.set(n * 2000);
                    tick(&ring, &names, n);
                    let _ = ring.commit();
                    while matches!(ring.maintain(n * 2000), Ok(Progress::More)) {}
                }
                let newest = ring.select(&SelectRequest { start: 98_000, ..request });
                assert!(
                    newest.is_ok_and(|found| !found.pieces.is_empty()),
                    "seed {seed}: memory answers whatever the file does"
                );
                let _ = ring.shutdown();
            }
        }
    }
    assert!(refused > 0 && worked > 0, "{refused} refused, {worked} worked");
}
