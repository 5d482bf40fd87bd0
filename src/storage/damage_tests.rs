//! A byte of a ring is wrong: it is found, it costs what stands beside it, and the ring goes on.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::inspect::walk;
use super::test_disk::Disk;
use super::testing::{SeriesTable, labels, of, select};
use super::{Config, Progress, Ring};
use crate::clock::{Clock, ManualClock};
use crate::model::{Batch, GroupId, Timestamp};

/// Segments 1 to 4 end before this second; later ticks are in rows.
const SEALED: i64 = 40;
const TICKS: i64 = 45;

fn open(image: Vec<u8>) -> (Ring, Arc<SeriesTable>, ManualClock, Disk) {
    let (disk, clock, names) = (Disk::with(image), ManualClock::new(TICKS * 1000), Arc::<SeriesTable>::default());
    let config = Config {
        window: Duration::from_secs(10),
        seal_delay: Duration::from_secs(1),
        // Small windows, and no hour is ever over; `rollup` has crashes of its own.
        rollups: [Duration::ZERO; 3],
        head_span: Duration::from_secs(10),
        ..Config::default()
    };
    let ring = Ring::with_store(config, Clock::Manual(clock.clone()), names.clone(), disk.store()).unwrap();
    (ring, names, clock, disk)
}

fn value(series: u64, second: i64) -> f64 {
    let noise = (second as u64 * 7919 + series * 104_729) % 1009;
    if series.is_multiple_of(2) { noise as f64 / 8.0 } else { (noise / 300) as f64 }
}

/// Two groups of three series, a tick a second. Numbers are given in this order, so the order matters.
fn run(ring: &Ring, names: &SeriesTable, clock: &ManualClock, seconds: Range<i64>, order: [u64; 6]) {
    for second in seconds {
        clock.set(second * 1000);
        for (group, series) in order.chunks(3).enumerate() {
            let mut batch = Batch::new(GroupId(group as u32), second * 1000);
            batch.floats = series.iter().map(|i| (of(names, &labels(*i)), value(*i, second))).collect();
            ring.append(&batch).unwrap();
        }
        ring.commit().unwrap();
        while ring.maintain(second * 1000).unwrap() == Progress::More {}
    }
}

/// The file of a process that was killed.
fn image() -> Vec<u8> {
    let (ring, names, clock, disk) = open(Vec::new());
    run(&ring, &names, &clock, 0..TICKS, [0, 1, 2, 3, 4, 5]);
    assert_eq!(ring.stats().segments as i64, SEALED / 10);
    disk.bytes.lock().clone()
}

/// Where the copies of a record are in the file: earlier ones are in pages that are free by now.
fn copies(image: &[u8], record: &[u8]) -> Vec<usize> {
    let found = image.windows(record.len()).enumerate().filter(|(_, window)| *window == record);
    found.map(|(at, _)| at).collect()
}

fn flipped(image: &[u8], copies: &[usize], at: usize, bit: usize) -> Vec<u8> {
    let mut image = image.to_vec();
    for copy in copies {
        image[copy + at] ^= 1 << (bit % 8);
    }
    image
}

/// What is lost at most: samples of these seconds.
struct Damage {
    place: &'static str,
    lost: Range<i64>,
}

/// All samples that a ring has are the right ones, and none is missing but those that may be. Gives how many are.
fn check_samples(ring: &Ring, until: i64, lost: &Range<i64>, context: &str) -> usize {
    let mut seconds: BTreeMap<u64, Vec<i64>> = BTreeMap::new();
    for (labels, ts, found) in select(ring, &[], Timestamp::MIN, 1 << 40, false) {
        let (series, second) = (labels.get("i").parse::<u64>().unwrap(), ts / 1000);
        assert_eq!(found, value(series, second), "{context}: {labels} at second {second}");
        seconds.entry(series).or_default().push(second);
    }
    let mut missing = 0;
    for series in 0..6 {
        let there = seconds.get(&series).map_or(&[][..], Vec::as_slice);
        for second in 0..until {
            let found = there.binary_search(&second).is_ok();
            assert!(found || lost.contains(&second), "{context}: {series} lacks second {second}");
            missing += usize::from(!found);
        }
    }
    missing
}

impl Damage {
    /// Checks a damaged file; says how many samples it costs.
    fn check(&self, image: Vec<u8>, context: &str) -> usize {
        let store = Disk::with(image.clone()).store();
        store.reopen().unwrap();
        let seen = walk(&store, &mut |_, _| {});
        drop(store);
        assert!(seen.findings.iter().any(|f| f.place.starts_with(self.place)), "{context}: {:?}", seen.findings);
        for other in (1..=4).map(|n| format!("segment {n}")).filter(|other| !self.place.ends_with(other)) {
            // Without names all columns are without names.
            let nameless = |f: &&super::Finding| !f.problem.contains("have no labels");
            let named = seen.findings.iter().filter(nameless).any(|f| f.place.starts_with(&other));
            assert!(!named, "{context}: {:?}", seen.findings);
        }
        let (ring, names, clock, disk) = open(image);
        let missing = check_samples(&ring, TICKS, &self.lost, context);
        // The ring goes on, with its series in another order.
        run(&ring, &names, &clock, TICKS..TICKS + 30, [5, 3, 4, 1, 0, 2]);
        check_samples(&ring, TICKS + 30, &self.lost, context);
        let image = disk.bytes.lock().clone();
        drop(ring);
        let (ring, ..) = open(image);
        check_samples(&ring, TICKS + 30, &self.lost, &format!("{context}, opened again"));
        missing
    }

    /// Flips every `step`-th byte of a record, each of its bits in turn. Gives how many samples the worst cost.
    fn check_bytes(&self, image: &[u8], record: &[u8], step: usize) -> usize {
        let copies = copies(image, record);
        assert!(!copies.is_empty() && !record.is_empty());
        let flips = (0..record.len()).step_by(step).enumerate();
        let costs = flips.map(|(n, at)| {
            self.check(
                flipped(image, &copies, at, n),
                &format!("{}: byte {at} of {}, bit {}", self.place, record.len(), n % 8),
            )
        });
        costs.max().unwrap_or(0)
    }
}

#[test]
fn a_flipped_byte_costs_one_segment_at_most() {
    let image = image();
    let store = Disk::with(image.clone()).store();
    store.reopen().unwrap();
    let pieces = store.raw_pieces(2).unwrap();
    assert_eq!(pieces.len(), 1);
    let damage = Damage { place: "segment 2", lost: 10..20 };
    let worst = damage.check_bytes(&image, &pieces[0].1, 1);
    assert_eq!(worst, 60, "six series for ten seconds");
}

#[test]
fn a_flipped_byte_of_a_small_table_costs_what_it_describes() {
    let image = image();
    let store = Disk::with(image.clone()).store();
    store.reopen().unwrap();
    let directory = store.raw_directory().unwrap()[1].1.clone();
    let damage = Damage { place: "directory, segment 2", lost: 10..20 };
    assert_eq!(damage.check_bytes(&image, &directory, 3), 60);
    let series = store.raw_series(0).unwrap()[0].1.clone();
    let damage = Damage { place: "series table 0", lost: 0..SEALED };
    assert_eq!(damage.check_bytes(&image, &series, 3), 6 * SEALED as usize);
    let rows = store.small_tables().unwrap().rows;
    assert_eq!(rows.len() as i64, TICKS - SEALED);
    for (number, (_, row)) in rows.iter().enumerate() {
        // The first byte says whether more pieces follow: all but 1 mean that none does.
        let damage = Damage { place: "write-ahead rows", lost: SEALED + number as i64..TICKS };
        let worst = damage.check_bytes(&image, &row[1..], 3);
        assert_eq!(worst, 6 * (rows.len() - number), "rows say what changed since those before");
    }
}
