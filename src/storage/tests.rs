//! The ring as a whole: what goes in comes out, whatever happens in between.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::testing::{Bench, Random, labels, of, select};
use super::{Column, Config, Durability, Progress, Querier, Ring, SelectRequest, StateTable, Stop, StorageError};
use crate::clock::Clock;
use crate::model::{
    Batch, Exemplar, GroupId, Histogram, Irregular, IrregularSample, Labels, Matcher, Span, Timestamp, Value,
    stale_marker,
};

#[test]
fn a_tick_is_there_at_once() {
    let bench = Bench::new();
    bench.tick(1000, &[(1, 1.0), (2, 2.0)]);
    bench.tick(2000, &[(2, 3.0)]);
    assert_eq!(bench.dump(0, 5000), "1@1000=1 2@1000=2 2@2000=3");
    assert_eq!(bench.dump(1001, 5000), "2@2000=3");
    let last = select(bench.ring(), &[], 0, 5000, true);
    assert_eq!(last, [(labels(1), 1000, 1.0), (labels(2), 2000, 3.0)]);
}

#[test]
fn absent_stale_and_equal_survive_a_kill() {
    let mut bench = Bench::new();
    bench.tick(1000, &[(1, 5.0), (2, 5.0), (3, 5.0)]);
    bench.tick(2000, &[(1, 5.0), (3, stale_marker())]);
    bench.tick(3000, &[(1, 5.0), (2, f64::NAN)]);
    bench.ring().commit().unwrap();
    bench.tick(4000, &[(1, 6.0)]);
    let committed = "1@1000=5 1@2000=5 1@3000=5 2@1000=5 2@3000=NaN 3@1000=5 3@2000=stale";
    bench.kill_and_open();
    assert_eq!(bench.dump(0, 9000), committed, "only what was not committed is gone");
    assert_eq!(bench.ring().stats().replayed_rows, 3);
    // The live series continues the one from before the restart.
    bench.tick(5000, &[(2, 7.0), (1, 5.0)]);
    assert_eq!(
        bench.dump(0, 9000),
        "1@1000=5 1@2000=5 1@3000=5 1@5000=5 2@1000=5 2@3000=NaN 2@5000=7 3@1000=5 3@2000=stale"
    );
    assert_eq!(bench.ring().stats().head_series, 3);
    let all = bench.dump(0, 9000);
    bench.maintain(11_000);
    bench.maintain(60_000);
    assert_eq!((bench.ring().stats().segments, bench.ring().stats().head_bytes), (1, 0));
    assert_eq!(bench.dump(0, 9000), all, "sealed");
    bench.kill_and_open();
    assert_eq!(bench.dump(0, 9000), all, "sealed and reopened");
    assert_eq!(select(bench.ring(), &[], 0, 4000, true).len(), 3);
}

#[test]
fn sigterm_keeps_everything() {
    let mut bench = Bench::new();
    bench.config.durability = Durability::Relaxed;
    bench.ring = None;
    bench.open();
    bench.tick(1000, &[(1, 1.0)]);
    bench.ring().commit().unwrap();
    bench.ring().shutdown().unwrap();
    bench.kill_and_open();
    assert_eq!(bench.dump(0, 9000), "1@1000=1");
    bench.tick(2000, &[(1, 2.0)]);
    bench.ring().commit().unwrap();
    bench.kill_and_open();
    assert_eq!(bench.dump(0, 9000), "1@1000=1 1@2000=2", "the tail has it");
}

#[test]
fn late_and_equal_times() {
    let bench = Bench::new();
    bench.tick(2000, &[(1, 1.0)]);
    bench.tick(2000, &[(1, 1.0), (2, 2.0)]);
    bench.tick(2000, &[(1, 9.0)]);
    bench.tick(1000, &[(1, 0.5)]);
    assert_eq!(bench.dump(0, 9000), "1@1000=0.5 1@2000=1 2@2000=2");
    let counters = bench.ring().counters();
    assert_eq!((counters.duplicates.load(Relaxed), counters.out_of_order.load(Relaxed)), (1, 2));
    bench.maintain(12_000);
    bench.tick(3000, &[(1, 3.0)]);
    let all = "1@1000=0.5 1@2000=1 1@3000=3 2@2000=2";
    assert_eq!(bench.dump(0, 9000), all);
    bench.maintain(60_000);
    assert_eq!(bench.ring().stats().segments, 2, "the late sample has a segment of its own");
    assert_eq!(bench.dump(0, 9000), all);
    assert_eq!(bench.dump(2500, 3500), "1@3000=3");
}

#[test]
fn times_outside_the_bounds_are_refused() {
    let mut bench = Bench::new();
    bench.config.retention_time = Duration::from_secs(100);
    bench.clock.set(1_000_000);
    bench.ring = None;
    bench.open();
    bench.tick(899_999, &[(1, 1.0)]);
    bench.tick(900_000, &[(1, 2.0)]);
    bench.tick(1_600_001, &[(1, 3.0)]);
    assert_eq!(bench.dump(0, 9_000_000), "1@900000=2");
    let counters = bench.ring().counters();
    assert_eq!((counters.too_old.load(Relaxed), counters.too_far_ahead.load(Relaxed)), (1, 1));
    let sample = IrregularSample { ts: 5, start_ts: 0, value: 1.0.into() };
    bench
        .ring()
        .append_irregular(&[Irregular { series: of(&bench.names, &labels(9)), samples: vec![sample] }])
        .unwrap();
    assert_eq!(bench.ring().stats().head_series, 1, "a refused series leaves no trace");
}

#[test]
fn matchers_select() {
    let mut bench = Bench::new();
    bench.tick(1000, &[(1, 1.0), (2, 2.0), (3, 3.0)]);
    let odd = [Matcher::equal("odd", "yes")];
    for step in ["head", "segment", "reopened"] {
        let found: Vec<f64> = select(bench.ring(), &odd, 0, 9000, false).into_iter().map(|s| s.2).collect();
        assert_eq!(found, [1.0, 3.0], "{step}");
        assert_eq!(bench.ring().series(&odd, 0, 9000).unwrap(), [labels(1), labels(3)], "{step}");
        assert_eq!(bench.ring().series(&odd, 1001, 9000).unwrap(), [] as [Labels; 0], "{step}");
        match step {
            "head" => bench.maintain(60_000),
            _ => bench.kill_and_open(),
        }
    }
}

#[test]
fn too_many_samples() {
    let bench = Bench::new();
    for ts in 0..20 {
        bench.tick(ts * 100, &[(1, 1.0), (2, 2.0)]);
    }
    let request = |max_samples| SelectRequest {
        matchers: vec![],
        start: 0,
        end: 9000,
        last_only: false,
        max_samples,
        stop: Stop::never(),
    };
    for at in [5000, 60_000] {
        bench.maintain(at);
        assert!(matches!(bench.ring().select(&request(39)), Err(StorageError::TooManySamples)));
        assert_eq!(bench.ring().select(&request(40)).unwrap().into_series().len(), 2);
    }
}

fn histogram(count: f64) -> Arc<Histogram> {
    Arc::new(Histogram {
        schema: 1,
        count,
        sum: count * 2.0,
        positive_spans: vec![Span { offset: 0, length: 2 }],
        positive: vec![count - 1.0, 1.0],
        ..Histogram::default()
    })
}

#[test]
fn histograms_and_start_timestamps() {
    let mut bench = Bench::new();
    let (h, c) = (of(&bench.names, &labels(1)), of(&bench.names, &labels(2)));
    for (ts, count) in [(1000, 3.0), (2000, 5.0)] {
        let mut batch = Batch::new(GroupId(7), ts);
        batch.histograms.push((h, histogram(count)));
        batch.floats.push((c, count));
        batch.start_ts.push((c, 500));
        batch.exemplars.push((c, Exemplar { labels: labels(9), value: count, ts: None }));
        bench.ring().append(&batch).unwrap();
    }
    bench.ring().commit().unwrap();
    assert_eq!(bench.ring().exemplars(&[Matcher::equal("i", "2")], 0, 1500).unwrap()[0].exemplars.len(), 1);
    let push = |series, ts, value| Irregular { series, samples: vec![IrregularSample { ts, start_ts: 400, value }] };
    bench
        .ring()
        .append_irregular(&[push(h, 1500, Value::Histogram(histogram(4.0))), push(c, 1500, 4.0.into())])
        .unwrap();
    bench.ring().commit().unwrap();
    let request =
        SelectRequest { matchers: vec![], start: 0, end: 9000, last_only: false, max_samples: 99, stop: Stop::never() };
    for step in ["head", "replayed", "segment", "reopened"] {
        let found = bench.ring().select(&request).unwrap().into_series();
        let mut seen = Vec::new();
        for (i, series) in found.iter().enumerate() {
            for run in &series.runs {
                for at in run.from..run.to {
                    let start = run.start_times.as_ref().map_or(0, |s| s[at]);
                    let count = match &run.values {
                        Column::Histograms(column) => {
                            let Some(h) = &column[at] else { continue };
                            assert_eq!(*h, histogram(h.count), "{step}");
                            h.count
                        }
                        Column::Floats(column) => column[at],
                    };
                    seen.push((i, run.times[at], start, count));
                }
            }
        }
        let expected = [
            (0, 1000, 0, 3.0),
            (0, 1500, 400, 4.0),
            (0, 2000, 0, 5.0),
            (1, 1000, 500, 3.0),
            (1, 1500, 400, 4.0),
            (1, 2000, 500, 5.0),
        ];
        assert_eq!(seen, expected, "{step}");
        match step {
            "replayed" => bench.maintain(60_000),
            _ => bench.kill_and_open(),
        }
    }
}

#[test]
fn the_file_stays_within_its_size() {
    stays_within_its_size(Duration::ZERO, 800, 80);
    // Segments so small that several together are still a small part of the file.
    stays_within_its_size(Duration::from_secs(60), 400, 180);
}

fn stays_within_its_size(merged_span: Duration, series: u64, windows: i64) {
    let mut bench = Bench::new();
    bench.config.merged_span = merged_span;
    bench.config.retention_size_bytes = 4 << 20;
    bench.ring = None;
    bench.open();
    let mut random = Random::new(5);
    let mut largest = 0;
    for window in 0..windows {
        for tick in 0..10 {
            let ts = window * 10_000 + tick * 1000;
            let samples: Vec<(u64, f64)> = (0..series).map(|i| (i, random.unit())).collect();
            bench.tick(ts, &samples);
        }
        bench.ring().commit().unwrap();
        bench.maintain(window * 10_000 + 11_500);
        largest = largest.max(bench.ring().stats().disk_bytes);
    }
    let stats = bench.ring().stats();
    let per_segment = stats.segment_bytes / stats.segments as u64;
    assert_eq!(bench.ring().counters().merged.load(Relaxed) > 20, !merged_span.is_zero());
    assert!(largest <= bench.config.retention_size_bytes + per_segment, "{largest} of {stats:?}");
    assert!(stats.segment_bytes > bench.config.retention_size_bytes / 2, "{stats:?}");
    let retired = bench.ring().counters().retired.load(Relaxed);
    assert!(retired > if merged_span.is_zero() { 20 } else { 5 }, "{retired}");
    let oldest = stats.oldest.unwrap();
    assert_eq!(select(bench.ring(), &[], 0, oldest - 1, false).len(), 0);
    assert!(!select(bench.ring(), &[Matcher::equal("i", "7")], oldest, oldest + 20_000, false).is_empty());
}

#[test]
fn old_segments_go_and_take_their_series_along() {
    let mut bench = Bench::new();
    bench.config.retention_time = Duration::from_secs(60);
    bench.ring = None;
    bench.open();
    for window in 0..400i64 {
        // Every window brings a series that never comes back.
        bench.tick(window * 10_000 + 1, &[(window as u64, 1.0)]);
        bench.maintain(window * 10_000 + 11_000);
    }
    let stats = bench.ring().stats();
    assert!(stats.segments <= 8, "{stats:?}");
    assert!(stats.head_series <= 300, "{stats:?}");
    bench.maintain(10_000_000);
    bench.kill_and_open();
    assert_eq!(bench.ring().stats().segments, 0);
}

#[test]
fn state_is_kept() {
    let mut bench = Bench::new();
    bench.ring().state_put(StateTable::Alerts, b"b", b"2");
    bench.ring().state_put(StateTable::Alerts, b"a", b"1");
    bench.ring().state_put(StateTable::Silences, b"a", b"other");
    let pair = |k: &str, v: &str| (k.as_bytes().to_vec(), v.as_bytes().to_vec());
    assert_eq!(bench.ring().state_scan(StateTable::Alerts).unwrap(), [pair("a", "1"), pair("b", "2")]);
    bench.ring().commit().unwrap();
    bench.ring().state_delete(StateTable::Alerts, b"a");
    assert_eq!(bench.ring().state_get(StateTable::Alerts, b"a").unwrap(), None);
    bench.kill_and_open();
    assert_eq!(bench.ring().state_get(StateTable::Alerts, b"a").unwrap(), Some(b"1".to_vec()), "not committed");
    bench.ring().state_delete(StateTable::Alerts, b"a");
    bench.ring().shutdown().unwrap();
    bench.kill_and_open();
    assert_eq!(bench.ring().state_scan(StateTable::Alerts).unwrap(), [pair("b", "2")]);
    assert_eq!(bench.ring().state_scan(StateTable::Silences).unwrap(), [pair("a", "other")]);
}

#[test]
fn refusals_say_what_to_do() {
    let bench = Bench::new();
    let open = |config: &Config| {
        Ring::open(config.clone(), Clock::System, bench.names.clone()).err().expect("refused").to_string()
    };
    let locked = open(&bench.config);
    assert!(locked.contains("in use by another watchfire"), "{locked}");
    // /proc/locks shows the holder where process ids are not hidden from us.
    let pid = std::process::id();
    assert!(locked.contains(&format!("(pid {pid})")) || !locked.contains("pid"), "{locked}");
    let file = Config { path: bench.config.path.join("ring.redb").join("below"), ..bench.config.clone() };
    assert!(open(&file).starts_with("cannot write to"), "{}", open(&file));
    let other = tempfile::tempdir().unwrap();
    std::fs::write(other.path().join("ring.redb"), b"this is no database, it is a text file of some length").unwrap();
    let foreign = open(&Config { path: other.path().to_path_buf(), ..bench.config.clone() });
    assert!(foreign.contains("ring.redb: it is no ring file; move the file away"), "{foreign}");
    std::fs::write(other.path().join("ring.redb"), b"").unwrap();
    let empty = open(&Config { path: other.path().to_path_buf(), ..bench.config.clone() });
    assert!(empty.contains("ring.redb: it is empty; move the file away"), "{empty}");
}

#[test]
fn a_newer_format_is_refused() {
    let mut bench = Bench::new();
    bench.ring = None;
    let file = bench.config.path.join("ring.redb");
    let db = redb::Database::create(&file).unwrap();
    let txn = db.begin_write().unwrap();
    let meta = redb::TableDefinition::<&str, &[u8]>::new("meta");
    txn.open_table(meta).unwrap().insert("format", &9u32.to_le_bytes()[..]).unwrap();
    txn.commit().unwrap();
    drop(db);
    let error = Ring::open(bench.config.clone(), Clock::System, bench.names.clone()).err().expect("refused");
    assert!(matches!(error, StorageError::NewerFormat { found: 9, supported: super::schema::FORMAT, .. }), "{error}");
}

#[test]
fn a_damaged_segment_costs_only_itself() {
    let mut bench = Bench::new();
    for ts in 0..30 {
        bench.tick(ts * 1000, &[(1, ts as f64), (2, (ts * ts) as f64)]);
    }
    bench.maintain(90_000);
    assert_eq!(bench.ring().stats().segments, 3);
    bench.ring = None;
    {
        use redb::ReadableTable;
        let db = redb::Database::create(bench.config.path.join("ring.redb")).unwrap();
        let txn = db.begin_write().unwrap();
        {
            let segments = redb::TableDefinition::<(u64, u32), &[u8]>::new("segments");
            let mut table = txn.open_table(segments).unwrap();
            let mut value = table.get((2, 0)).unwrap().unwrap().value().to_vec();
            value[5] ^= 1;
            table.insert((2, 0), value.as_slice()).unwrap();
        }
        txn.commit().unwrap();
    }
    bench.open();
    let times: Vec<Timestamp> =
        select(bench.ring(), &[Matcher::equal("i", "1")], 0, 90_000, false).into_iter().map(|s| s.1 / 1000).collect();
    assert_eq!(times, (0..10).chain(20..30).collect::<Vec<_>>());
    assert!(bench.ring().counters().damaged.load(Relaxed) > 0);
    bench.tick(91_000, &[(1, 1.0)]);
    bench.ring().commit().unwrap();
}

#[test]
fn windows_of_other_lengths_lose_nothing() {
    for seed in 0..20 {
        let mut random = Random::new(seed);
        let mut bench = Bench::new();
        let mut now = 0;
        let mut context = format!("seed {seed}:");
        for _ in 0..12 {
            let seconds = [7, 10, 13, 25, 60][random.below(5) as usize];
            bench.config.window = Duration::from_secs(seconds);
            bench.kill_and_open();
            context.push_str(&format!(" {seconds}s from {now}"));
            for _ in 0..random.below(25) {
                now += 1;
                bench.tick(now * 1000, &[(1, now as f64)]);
                bench.ring().commit().unwrap();
                if random.below(3) > 0 {
                    bench.maintain(now * 1000);
                }
            }
            let found: Vec<f64> = select(bench.ring(), &[], 0, 1 << 40, false).into_iter().map(|s| s.2).collect();
            let expected: Vec<f64> = (1..=now).map(|n| n as f64).collect();
            assert_eq!(found, expected, "{context}");
        }
        assert_eq!(bench.ring().counters().out_of_order.load(Relaxed), 0, "{context}");
    }
}

#[test]
fn a_file_that_is_taken_away_is_made_anew() {
    let bench = Bench::new();
    bench.tick(1000, &[(1, 1.0)]);
    bench.ring().commit().unwrap();
    bench.maintain(2000);
    std::fs::remove_dir_all(&bench.config.path).unwrap();
    bench.maintain(3000);
    assert!(bench.ring().failure().is_some_and(|why| why.contains("taken away")), "{:?}", bench.ring().failure());
    bench.tick(4000, &[(1, 4.0)]);
    bench.ring().commit().unwrap();
    bench.maintain(14_000);
    assert_eq!(bench.ring().failure(), None);
    assert!(bench.config.path.join("ring.redb").exists());
    bench.tick(15_000, &[(1, 15.0)]);
    bench.ring().commit().unwrap();
    assert_eq!(bench.dump(0, 90_000), "1@1000=1 1@4000=4 1@15000=15");
    bench.maintain(60_000);
    assert_eq!(bench.ring().stats().segments, 2, "what memory still had is sealed into the new file");
    let mut bench = bench;
    bench.kill_and_open();
    assert_eq!(bench.dump(0, 90_000), "1@1000=1 1@4000=4 1@15000=15");
}

#[test]
fn sealing_comes_in_slices() {
    let bench = Bench::new();
    let samples: Vec<(u64, f64)> = (0..3000).map(|i| (i, i as f64)).collect();
    let mut random = Random::new(1);
    for ts in 0..10 {
        let noisy: Vec<(u64, f64)> = samples.iter().map(|(i, v)| (*i, v + random.unit())).collect();
        bench.tick(ts * 1000, &noisy);
    }
    let before = bench.ring().stats().segments;
    let mut calls = 0;
    while bench.ring().maintain(11_000).unwrap() == Progress::More {
        calls += 1;
    }
    assert!(calls >= 1 && before == 0 && bench.ring().stats().segments == 1);
}
