//! Merged segments answer as the ones they were made of.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use super::testing::{Bench, Random, everything, labels, of};
use super::{Progress, Ring};
use crate::model::{Batch, GroupId, Histogram, Irregular, IrregularSample, Span, Timestamp, Value, stale_marker};

fn bench(merged_span: u64) -> Bench {
    let mut bench = Bench::new();
    bench.config.merged_span = Duration::from_secs(merged_span);
    bench.kill_and_open();
    bench
}

fn value(random: &mut Random, series: u64, ts: Timestamp) -> Value {
    match random.below(24) {
        0 => Value::Float(stale_marker()),
        1 => Value::Float(-0.0),
        2 => Value::Float(random.unit()),
        3 => Value::Float(f64::NAN),
        4 => Value::Histogram(Arc::new(Histogram {
            count: ts as f64,
            positive_spans: vec![Span { offset: 1, length: 1 }],
            positive: vec![ts as f64],
            ..Histogram::default()
        })),
        _ => Value::Float((ts / 100 * (series as i64 % 5)) as f64),
    }
}

/// Four minutes of ticks of several groups that share some series, with late samples, pushes and changes of membership.
fn fill(bench: &Bench, seed: u64) {
    let mut random = Random::new(seed);
    let (ring, groups) = (bench.ring(), 1 + random.below(3));
    for step in 0..480i64 {
        let now = 1_000_000 + step * 500;
        bench.clock.set(now);
        // Samples that come after their window has left memory too.
        let late = if random.below(12) == 0 { random.below(60_000) as i64 } else { 0 };
        let group = random.below(groups);
        let mut batch = Batch::new(GroupId(group as u32), now - late);
        for series in group * 4..group * 4 + 6 {
            if random.below(9) == 0 || (step / 100 + series as i64) % 7 == 0 {
                continue;
            }
            let reference = of(&bench.names, &labels(series));
            match value(&mut random, series, now) {
                Value::Float(value) => batch.floats.push((reference, value)),
                Value::Histogram(histogram) => batch.histograms.push((reference, histogram)),
            }
            if series % 3 == 0 {
                batch.start_ts.push((reference, now / 20_000));
            }
        }
        ring.append(&batch).unwrap();
        if random.below(10) == 0 {
            let series = random.below(16);
            let ts = now - random.below(45_000) as i64;
            let sample = IrregularSample { ts, start_ts: ts / 2, value: value(&mut random, series, ts) };
            let series = of(&bench.names, &labels(series));
            ring.append_irregular(&[Irregular { series, samples: vec![sample] }]).unwrap();
        }
        ring.commit().unwrap();
        bench.maintain(now);
    }
}

#[test]
fn merged_segments_answer_the_same() {
    for seed in 0..8 {
        let plain = bench(0);
        fill(&plain, seed);
        let expected = everything(plain.ring());
        assert!(expected.len() > 1000, "seed {seed}");
        for span in [20, 60] {
            let mut merging = bench(span);
            fill(&merging, seed);
            assert_eq!(everything(merging.ring()), expected, "seed {seed}, {span} s");
            let stats = merging.ring().stats();
            assert!(stats.segments < plain.ring().stats().segments, "seed {seed}, {span} s: {stats:?}");
            merging.kill_and_open();
            assert_eq!(everything(merging.ring()), expected, "seed {seed}, {span} s, opened again");
            assert_eq!(merging.ring().counters().damaged.load(Relaxed), 0);
        }
    }
}

#[test]
fn queries_go_on_while_segments_are_merged() {
    let mut bench = bench(0);
    fill(&bench, 77);
    let expected = everything(bench.ring());
    bench.config.merged_span = Duration::from_secs(60);
    bench.ring().shutdown().unwrap();
    bench.kill_and_open();
    assert_eq!(everything(bench.ring()), expected);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let ring: &Ring = bench.ring();
        let asking = scope.spawn(|| {
            let mut answers = 0;
            while !done.load(Relaxed) || answers == 0 {
                assert_eq!(everything(ring), expected);
                answers += 1;
            }
        });
        while ring.maintain(1_000_000 + 239_500).unwrap() == Progress::More {
            std::thread::yield_now();
        }
        done.store(true, Relaxed);
        asking.join().unwrap();
    });
    assert!(bench.ring().counters().merged.load(Relaxed) > 8);
}

#[test]
fn what_a_query_found_before_a_merge_it_can_read_after_it() {
    let mut bench = bench(0);
    fill(&bench, 5);
    bench.config.merged_span = Duration::from_secs(60);
    bench.ring().shutdown().unwrap();
    bench.kill_and_open();
    let ring = bench.ring();
    let before = ring.inner.read().catalog.segments().to_vec();
    let streams = || -> Vec<Option<Vec<u8>>> { before.iter().map(|meta| ring.store.stream(meta).unwrap()).collect() };
    let expected = streams();
    bench.maintain(1_000_000 + 239_500);
    let after = ring.inner.read().catalog.segments().len();
    assert!(after < before.len(), "{after}");
    assert_eq!(streams(), expected, "their bytes are still there");
    let gone = before[0].as_ref().clone();
    drop(before);
    bench.maintain(1_000_000 + 239_600);
    assert_eq!(ring.store.stream(&gone).unwrap(), None, "nobody holds it any more");
}

#[test]
fn a_damaged_segment_is_not_merged() {
    let mut bench = bench(0);
    for ts in 0..60 {
        bench.tick(ts * 1000, &[(1, ts as f64), (2, (ts * ts) as f64)]);
    }
    bench.maintain(90_000);
    assert_eq!(bench.ring().stats().segments, 6);
    bench.ring = None;
    {
        use redb::ReadableTable;
        let db = redb::Database::create(bench.config.path.join("ring.redb")).unwrap();
        let txn = db.begin_write().unwrap();
        let segments = redb::TableDefinition::<(u64, u32), &[u8]>::new("segments");
        let mut table = txn.open_table(segments).unwrap();
        let mut value = table.get((3, 0)).unwrap().unwrap().value().to_vec();
        value[5] ^= 1;
        table.insert((3, 0), value.as_slice()).unwrap();
        drop(table);
        txn.commit().unwrap();
    }
    bench.config.merged_span = Duration::from_secs(60);
    bench.open();
    bench.maintain(90_000);
    let found: Vec<i64> = everything(bench.ring()).iter().filter(|s| s.0 == labels(1)).map(|s| s.1 / 1000).collect();
    assert_eq!(found, (0..20).chain(30..60).collect::<Vec<_>>());
    assert_eq!(bench.ring().stats().segments, 3, "those before it, itself, and those after it");
}
