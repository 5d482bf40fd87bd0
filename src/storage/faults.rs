//! The ring on a disk that stops: at any step of a run, or for a while.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::Duration;
use std::{fmt, io};

use parking_lot::Mutex;

use super::store::Store;
use super::testing::{Names, labels, select};
use super::{Config, Progress, Ring};
use crate::clock::{Clock, ManualClock};
use crate::model::{Batch, GroupId, Timestamp};

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
        let error = |e: redb::DatabaseError| super::StorageError::Failed { doing: "opening", reason: e.to_string() };
        Store::with_opener(None, Box::new(move || open().map_err(error))).unwrap()
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

fn open(disk: &Disk, clock: &ManualClock) -> (Ring, Arc<Names>) {
    let config = Config {
        window: Duration::from_secs(10),
        seal_delay: Duration::from_secs(1),
        head_span: Duration::from_secs(10),
        retention_time: Duration::from_secs(60),
        ..Config::default()
    };
    let names: Arc<Names> = Arc::default();
    let ring = Ring::with_store(config, Clock::Manual(clock.clone()), names.clone(), disk.store()).unwrap();
    (ring, names)
}

/// Ticks of three series, two seconds apart; a series more with every window.
fn tick(ring: &Ring, names: &Names, n: i64) -> usize {
    let ts = n * 2000;
    let mut batch = Batch::new(GroupId(1), ts);
    let series = 3 + ts / 10_000;
    batch.floats = (0..series).map(|i| (names.of(&labels(i as u64)), (n * i) as f64)).collect();
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
