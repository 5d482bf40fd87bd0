use std::fs;
use std::path::Path;

use crate::clock::{Clock, ManualClock};
use crate::model::{Matcher, Timestamp};
use crate::storage::store::Store;
use crate::storage::testing::{Bench, select};
use crate::storage::{Ring, StorageError, verify};

/// Forty seconds of three series, sealed up to thirty; the process was killed.
fn bench() -> Bench {
    let mut bench = Bench::new();
    for n in 0..40 {
        let ts = n * 1000;
        bench.clock.set(ts);
        let samples: Vec<(u64, f64)> = (0..3 + n as u64 / 20).map(|i| (i, ((n * 7919) % 1000) as f64 / 8.0)).collect();
        bench.tick(ts, &samples);
        bench.ring().commit().unwrap();
        bench.maintain(ts);
    }
    bench.ring = None;
    bench
}

fn look(path: &Path) -> Ring {
    Ring::look(path, Clock::Manual(ManualClock::new(40_000))).unwrap()
}

fn dump(ring: &Ring) -> Vec<(String, Timestamp, u64)> {
    let all = select(ring, &[], 0, 1 << 40, false);
    all.into_iter().map(|(labels, ts, v)| (labels.to_string(), ts, v.to_bits())).collect()
}

#[test]
fn a_look_sees_everything_and_changes_nothing() {
    let mut bench = bench();
    let file = bench.config.path.join("ring.redb");
    let before = fs::read(&file).unwrap();
    let ring = look(&bench.config.path);
    let segments = ring.segments();
    assert_eq!(
        segments.iter().map(|s| (s.id, s.min_time, s.max_time)).collect::<Vec<_>>(),
        [(1, 0, 9000), (2, 10_000, 19_000), (3, 20_000, 29_000)]
    );
    assert_eq!((segments[0].series, segments[0].samples, segments[2].samples), (3, 30, 40));
    let seen = dump(&ring);
    assert_eq!(seen.len(), 20 * 3 + 20 * 4);
    drop(ring);
    assert!(verify(&bench.config.path, &mut |_, _| {}).unwrap().findings.is_empty());
    assert!(fs::read(&file).unwrap() == before, "the file is as it was");
    bench.open();
    assert_eq!(dump(bench.ring()), seen);
    assert!(matches!(Ring::look(&bench.config.path, Clock::System), Err(StorageError::Locked { .. })));
    assert!(matches!(verify(&bench.config.path, &mut |_, _| {}), Err(StorageError::Locked { .. })));
}

#[test]
fn a_survey_counts_what_there_is() {
    let bench = bench();
    let ring = look(&bench.config.path);
    let survey = ring.survey(&[], 10).unwrap();
    assert_eq!((survey.min_time, survey.max_time, survey.series, survey.damaged), (Some(0), Some(39_000), 4, 0));
    assert_eq!((survey.tiers[0].samples, survey.open_samples), (100, 40));
    assert_eq!((survey.metrics[0].name.as_str(), survey.metrics[0].series, survey.metrics[0].samples), ("m", 4, 140));
    let text = |list: &[crate::storage::LabelCount]| -> Vec<String> {
        list.iter().map(|l| format!("{} {}", l.label, l.count)).collect()
    };
    assert_eq!(text(&survey.cardinality), ["i 4", "__name__ 1", "odd 1"]);
    assert_eq!(text(&survey.pairs)[..2], ["__name__=m 4", "odd=yes 2"]);
    let some = ring.survey(&[Matcher::equal("i", "1")], 1).unwrap();
    assert_eq!((some.series, some.metrics.len(), some.pairs.len()), (1, 1, 1));
}

#[test]
fn a_snapshot_is_the_ring_at_one_commit() {
    let mut bench = bench();
    bench.open();
    let dir = bench.config.path.join("copy");
    let info = bench.ring().snapshot(&dir).unwrap();
    assert_eq!((info.segments, info.samples), (3, 100));
    let expected = dump(bench.ring());
    assert_eq!(dump(&look(&dir)), expected);
    assert_eq!(verify(&dir, &mut |_, _| {}).unwrap().findings, []);
    assert!(bench.ring().snapshot(&dir).unwrap_err().to_string().contains("there is a ring already"));
    // A copy of a look, and a daemon that goes on with a copy.
    let again = bench.config.path.join("again");
    look(&dir).snapshot(&again).unwrap();
    bench.ring = None;
    bench.config.path = again;
    bench.open();
    assert_eq!(dump(bench.ring()), expected);
    bench.tick(41_000, &[(0, 1.0)]);
    bench.ring().commit().unwrap();
    bench.maintain(60_000);
    bench.kill_and_open();
    assert_eq!(dump(bench.ring()).len(), expected.len() + 1);
}

#[test]
fn snapshots_under_load_are_prefixes() {
    let bench = Bench::new();
    let dir = bench.config.path.clone();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for n in 0..300 {
                let ts = n * 1000;
                bench.clock.set(ts);
                bench.tick(ts, &[(0, n as f64), (1, n as f64)]);
                bench.ring().commit().unwrap();
                bench.maintain(ts);
            }
        });
        for round in 0..8 {
            let copy = dir.join(round.to_string());
            bench.ring().snapshot(&copy).unwrap();
            assert_eq!(verify(&copy, &mut |_, _| {}).unwrap().findings, []);
            let mut ticks: Vec<Timestamp> = dump(&look(&copy)).iter().map(|(_, ts, _)| *ts).collect();
            ticks.sort_unstable();
            let expected = (0..ticks.len() as i64 / 2).flat_map(|n| [n * 1000, n * 1000]);
            assert_eq!(ticks, expected.collect::<Vec<_>>(), "round {round}: a prefix of whole ticks");
        }
        writer.join().unwrap();
    });
}

#[test]
fn a_flipped_byte_is_found_where_it_is() {
    let bench = bench();
    let file = bench.config.path.join("ring.redb");
    let clean = fs::read(&file).unwrap();
    let places: Vec<(String, Vec<u8>)> = {
        let store = Store::to_look_at(&bench.config.path, 1 << 20);
        store.reopen().unwrap();
        let piece = store.raw_pieces(2).unwrap()[0].1.clone();
        let block = store.raw_series(0).unwrap()[0].1.clone();
        let record = store.raw_directory().unwrap()[0].1.clone();
        let row = store.small_tables().unwrap().rows[0].1.clone();
        [("segment 2", piece), ("series table 0", block), ("directory, segment 1", record), ("write-ahead rows", row)]
            .map(|(place, bytes)| (place.to_owned(), bytes))
            .to_vec()
    };
    for (place, record) in places {
        // The last copy: earlier ones are in pages that are free by now, as a rule.
        let copies: Vec<usize> =
            clean.windows(record.len()).enumerate().filter(|(_, w)| *w == record).map(|(at, _)| at).collect();
        let mut named = false;
        for at in copies {
            let mut bytes = clean.clone();
            bytes[at + record.len() / 2] ^= 0x10;
            fs::write(&file, &bytes).unwrap();
            let seen = verify(&bench.config.path, &mut |_, _| {}).unwrap();
            named |= seen.findings.iter().any(|finding| finding.place.starts_with(&place));
        }
        assert!(named, "{place} was not named");
    }
}

#[test]
fn damage_anywhere_never_panics() {
    let bench = bench();
    let file = bench.config.path.join("ring.redb");
    let clean = fs::read(&file).unwrap();
    for at in (0..clean.len()).step_by(clean.len() / 150) {
        let mut bytes = clean.clone();
        bytes[at] ^= 0x10;
        fs::write(&file, &bytes).unwrap();
        let _ = verify(&bench.config.path, &mut |_, _| {});
        if let Ok(ring) = Ring::look(&bench.config.path, Clock::System) {
            let _ = (ring.survey(&[], 3), ring.snapshot(&bench.config.path.join("copy")));
            let _ = fs::remove_dir_all(bench.config.path.join("copy"));
        }
    }
    for cut in [1, 4096, clean.len() / 2] {
        fs::write(&file, &clean[..cut]).unwrap();
        assert!(verify(&bench.config.path, &mut |_, _| {}).is_err());
    }
}
