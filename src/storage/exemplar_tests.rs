//! Exemplars from the tick that brings them to the merged segment.

use std::fmt::Write as _;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::testing::{Bench, Random, labels, of};
use super::{ExemplarSeries, Querier, verify};
use crate::model::{Batch, Exemplar, GroupId, Labels, Matcher, Timestamp};

fn trace(id: &str) -> Labels {
    Labels::from_pairs(&[("trace_id", id)])
}

/// A tick at `ts` with one sample, and exemplars (series, own time, trace).
fn tick(bench: &Bench, ts: Timestamp, exemplars: &[(u64, Option<i64>, &str)]) {
    let mut batch = Batch::new(GroupId(1), ts);
    batch.floats.push((of(&bench.names, &labels(0)), ts as f64));
    for (series, at, id) in exemplars {
        let exemplar = Exemplar { labels: trace(id), value: 0.5, ts: *at };
        batch.exemplars.push((of(&bench.names, &labels(*series)), exemplar));
    }
    bench.ring().append(&batch).unwrap();
}

fn shown(found: Vec<ExemplarSeries>) -> String {
    let mut text = String::new();
    for series in found {
        for (ts, exemplar) in series.exemplars {
            assert_eq!(exemplar.ts, Some(ts));
            let _ = write!(text, "{}@{ts}={} ", series.labels.get("i"), exemplar.labels.get("trace_id"));
        }
    }
    text.trim_end().to_owned()
}

fn all(bench: &Bench) -> String {
    shown(bench.ring().exemplars(&[], Timestamp::MIN, Timestamp::MAX).unwrap())
}

#[test]
fn exemplars_live_as_long_as_their_samples() {
    let mut bench = Bench::new();
    bench.config.merged_span = Duration::from_secs(60);
    bench.ring = None;
    bench.open();
    let mut random = Random::new(7);
    let (mut expected, mut merged): (Vec<(u64, i64, String)>, u64) = (Vec::new(), 0);
    for n in 0..130 {
        let ts = n * 1000;
        bench.clock.set(ts);
        let id = format!("{:016x}", random.next());
        let series = random.below(3);
        tick(&bench, ts, &[(series, Some(ts - 300), &id)]);
        expected.push((series, ts - 300, id));
        bench.ring().commit().unwrap();
        if n % 37 == 36 {
            merged += bench.ring().counters().merged.load(Relaxed);
            bench.kill_and_open();
        }
        bench.maintain(ts);
    }
    expected.sort();
    let text = |from: i64, to: i64| {
        let within = expected.iter().filter(|(_, ts, _)| (from..=to).contains(ts));
        within.map(|(i, ts, id)| format!("{i}@{ts}={id}")).collect::<Vec<_>>().join(" ")
    };
    assert!(merged > 0);
    for step in ["running", "killed"] {
        assert_eq!(all(&bench), text(i64::MIN, i64::MAX), "{step}");
        for (from, to) in [(9_700, 61_700), (9_701, 61_699), (100_000, 200_000), (-300, -300), (5, 4)] {
            assert_eq!(shown(bench.ring().exemplars(&[], from, to).unwrap()), text(from, to), "{step} {from}..{to}");
        }
        let two = bench.ring().exemplars(&[Matcher::equal("i", "2")], 0, 1 << 40).unwrap();
        assert_eq!((two.len(), &two[0].labels), (1, &labels(2)));
        bench.kill_and_open();
    }
    let survey = bench.ring().survey(&[], 5).unwrap();
    assert!(survey.exemplars > 100 && survey.exemplar_bytes < survey.exemplars * 40, "{survey:?}");
    let copy = bench.config.path.join("copy");
    bench.ring().snapshot(&copy).unwrap();
    bench.ring = None;
    for path in [&bench.config.path, &copy] {
        let verified = verify(path, &mut |_, _| {}).unwrap();
        assert_eq!((verified.exemplars, verified.findings), (survey.exemplars, vec![]));
    }
    bench.config.path = copy;
    bench.open();
    assert_eq!(all(&bench), text(i64::MIN, i64::MAX));
}

#[test]
fn what_is_not_taken_is_counted() {
    let mut bench = Bench::new();
    bench.config.max_exemplars = 70;
    bench.ring = None;
    bench.open();
    bench.clock.set(500_000);
    let counts = |bench: &Bench| {
        let c = bench.ring().counters();
        [&c.exemplars, &c.exemplars_out_of_order, &c.exemplars_over_limit, &c.exemplars_refused]
            .map(|c| c.load(Relaxed))
    };
    tick(&bench, 500_000, &[(0, Some(499_000), "a"), (0, Some(499_000), "a"), (0, Some(499_000), "b")]);
    tick(&bench, 501_000, &[(0, Some(499_000), "a"), (0, Some(498_000), "c"), (0, None, "d")]);
    assert_eq!((all(&bench).as_str(), counts(&bench)), ("0@499000=a 0@499000=b 0@501000=d", [3, 1, 0, 0]));
    let long = "x".repeat(121);
    tick(&bench, 502_000, &[(1, None, &long), (1, Some(1 << 45), "e"), (1, None, &long[1..])]);
    assert_eq!(counts(&bench), [4, 1, 0, 2]);
    // A series may bring 60 at once, and one each ten seconds: 58 of these are left, and two more come with time.
    for n in 0..80 {
        tick(&bench, 503_000 + n, &[(0, None, &n.to_string())]);
    }
    assert_eq!(counts(&bench), [62, 1, 22, 2]);
    tick(&bench, 524_000, &[(0, None, "y"), (0, None, "z"), (0, None, "not")]);
    assert_eq!(counts(&bench), [64, 1, 23, 2]);
    // Memory takes 70 of all series.
    for series in 2..10 {
        tick(&bench, 525_000 + series as i64, &[(series, None, "e")]);
    }
    assert_eq!(counts(&bench), [70, 1, 25, 2]);
    bench.ring().commit().unwrap();
    let before = all(&bench);
    bench.kill_and_open();
    assert_eq!(all(&bench), before);
    // What is sealed and out of memory makes room.
    bench.maintain(600_000);
    assert_eq!(all(&bench), before);
    tick(&bench, 600_000, &[(0, None, "new")]);
    assert!(all(&bench).ends_with("9@525009=e") == before.ends_with("9@525009=e"));
    assert_eq!(bench.ring().counters().exemplars.load(Relaxed), 1);
}

#[test]
fn a_page_that_shows_an_old_exemplar_again_brings_nothing_new() {
    let mut bench = Bench::new();
    for n in 0..40 {
        bench.clock.set(n * 1000);
        let old = [(1, Some(2000), "old")];
        tick(&bench, n * 1000, if n >= 2 { &old } else { &[] });
        bench.ring().commit().unwrap();
        bench.maintain(n * 1000);
        if n % 13 == 12 {
            bench.kill_and_open();
        }
    }
    // One that is older than what is sealed, and new: it goes into the open window.
    tick(&bench, 40_000, &[(2, Some(3000), "late")]);
    bench.ring().commit().unwrap();
    bench.kill_and_open();
    bench.maintain(100_000);
    assert_eq!(all(&bench), "1@2000=old 2@3000=late");
    bench.ring = None;
    let verified = verify(&bench.config.path, &mut |_, _| {}).unwrap();
    assert_eq!((verified.exemplars, verified.findings), (2, vec![]));
}

#[test]
fn exemplars_alone_make_a_segment_and_go_with_it() {
    let mut bench = Bench::new();
    bench.config.retention_time = Duration::from_secs(60);
    // With rollups the last hours stay until they are made.
    bench.config.rollups = Default::default();
    bench.ring = None;
    bench.open();
    bench.clock.set(5000);
    let mut batch = Batch::new(GroupId(1), 5000);
    let exemplar = Exemplar { labels: trace("a"), value: f64::NAN, ts: None };
    batch.exemplars.push((of(&bench.names, &labels(3)), exemplar));
    bench.ring().append(&batch).unwrap();
    bench.ring().commit().unwrap();
    bench.kill_and_open();
    bench.maintain(40_000);
    assert_eq!((bench.ring().stats().segments, all(&bench).as_str()), (1, "3@5000=a"));
    bench.maintain(66_000);
    assert_eq!((bench.ring().stats().segments, all(&bench).as_str()), (0, ""));
}

#[test]
fn history_brings_exemplars() {
    let mut bench = Bench::new();
    bench.clock.set(500_000);
    let stamped = |ts: i64, id: &str| (ts, Exemplar { labels: trace(id), value: 1.0, ts: None });
    let series = || ExemplarSeries { labels: labels(5), exemplars: vec![stamped(7000, "b"), stamped(2000, "a")] };
    let done = bench.ring().insert_history_with(vec![], vec![series()]).unwrap();
    assert_eq!((done.samples, done.exemplars), (0, 2));
    let again = bench.ring().insert_history_with(vec![], vec![series()]).unwrap();
    assert_eq!((again.exemplars, bench.ring().stats().segments), (0, 1));
    bench.kill_and_open();
    assert_eq!(all(&bench), "5@2000=a 5@7000=b");
}
