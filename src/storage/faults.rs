//! The ring on a disk that stops: at any step of a run, or for a while.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::Duration;
use std::{fmt, io};

use parking_lot::Mutex;

use super::store::Store;
use super::testing::{labels, of, select};
use super::{Config, Progress, Querier, Ring, SelectRequest, Stop, StorageError};
use crate::clock::{Clock, ManualClock};
use crate::model::{Batch, GroupId, Timestamp};
use crate::registry::SeriesTable;

/// A file in memory that outlives its database, and a count of the writes that it still takes.
#[derive(Clone)]
struct Disk {
    bytes: Arc<Mutex<Vec<u8>>>,
    left: Arc<AtomicI64>,
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Disk")
    }
}

impl Disk {
    fn new() -> Self {
        Self { bytes: Arc::default(), left: Arc::new(AtomicI64::new(i64::MAX)) }
    }

    fn step(&self) -> io::Result<()> {
        if self.left.fetch_sub(1, Relaxed) > 0 { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
    }

    fn store(&self) -> Store {
        let disk = self.clone();
        let open = move || redb::Builder::new().set_cache_size(1 << 16).create_with_backend(disk.clone());
        let error = |e: redb::DatabaseError| match e {
            redb::DatabaseError::Storage(redb::StorageError::Io(e)) if e.kind() == io::ErrorKind::StorageFull => {
                StorageError::Full { doing: "opening" }
            }
            other => StorageError::Failed { doing: "opening", reason: other.to_string() },
        };
        Store::with_opener(None, Box::new(move || open().map_err(error)))
    }
}

impl redb::StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes.lock().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let bytes = self.bytes.lock();
        let from = offset as usize;
        out.copy_from_slice(bytes.get(from..from + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.step()?;
        self.bytes.lock().resize(len as usize, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.step()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.step()?;
        let from = offset as usize;
        self.bytes.lock().get_mut(from..from + data.len()).ok_or(io::ErrorKind::UnexpectedEof)?.copy_from_slice(data);
        Ok(())
    }
}

fn open(disk: &Disk, clock: &ManualClock) -> (Ring, Arc<SeriesTable>) {
    let config = Config {
        window: Duration::from_secs(10),
        seal_delay: Duration::from_secs(1),
        head_span: Duration::from_secs(10),
        retention_time: Duration::from_secs(60),
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

/// Runs until the disk stops; returns the last tick that was acknowledged and the disk as it was then.
fn run_until(writes: i64) -> (Option<i64>, bool, Disk) {
    let disk = Disk::new();
    let clock = ManualClock::new(0);
    let (ring, names) = open(&disk, &clock);
    disk.left.store(writes, Relaxed);
    let mut acknowledged = None;
    for n in 0..60 {
        clock.set(n * 2000);
        tick(&ring, &names, n);
        if ring.commit().is_err() {
            return (acknowledged, true, disk);
        }
        acknowledged = Some(n);
        loop {
            match ring.maintain(n * 2000) {
                Ok(Progress::More) => {}
                Ok(Progress::Idle) => break,
                Err(_) => return (acknowledged, true, disk),
            }
        }
    }
    (acknowledged, false, disk)
}

#[test]
fn a_crash_at_any_write_keeps_what_was_acknowledged() {
    let mut writes = 0;
    loop {
        let (acknowledged, crashed, disk) = run_until(writes);
        disk.left.store(i64::MAX, Relaxed);
        // The crash image: nothing of the old handle may touch it any more.
        let image = Disk { bytes: Arc::new(Mutex::new(disk.bytes.lock().clone())), ..Disk::new() };
        let (ring, _) = open(&image, &ManualClock::new(120_000));
        let found = ticks(&ring, Timestamp::MIN);
        let last = found.last().copied();
        assert!(last >= acknowledged, "{writes} writes: {acknowledged:?} was acknowledged, {last:?} is there");
        assert!(last <= acknowledged.map_or(Some(0), |n| Some(n + 1)), "{writes} writes: {last:?} from nowhere");
        if let (Some(first), Some(last)) = (found.first(), last) {
            let whole: Vec<i64> = (*first..=last).collect();
            assert_eq!(found, whole, "{writes} writes: no tick between is missing");
            // Retention keeps a minute, and what shares a segment with it.
            assert!(*first * 2000 <= (last * 2000 - 60_000).max(0) + 10_000, "{writes} writes: {found:?}");
        }
        assert_eq!(ring.counters().damaged.load(Relaxed), 0, "{writes} writes");
        if !crashed {
            break;
        }
        writes += 1 + writes / 40;
    }
    assert!(writes > 300, "the run has many steps: {writes}");
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
        let image = Disk { bytes: Arc::new(Mutex::new(bytes)), ..Disk::new() };
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
