//! Rollups against what they are made of.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, ManualClock};
use crate::model::{Batch, GroupId, Matcher, Timestamp, is_stale, stale_marker};
use crate::storage::inspect::walk;
use crate::storage::test_disk::{Disk, apply};
use crate::storage::testing::{Bench, Random, SeriesTable, labels, of};
use crate::storage::{Aspect, Cells, Config, Progress, Querier, Ring, Rolled, RollupRequest, Stop, Tier, verify};

use super::bucket::end_of;

const HOUR: i64 = 3_600_000;
const ALL: [Aspect; 11] = [
    Aspect::First,
    Aspect::Last,
    Aspect::Newest,
    Aspect::Min,
    Aspect::Max,
    Aspect::Sum,
    Aspect::Count,
    Aspect::FirstTime,
    Aspect::LastTime,
    Aspect::Lost,
    Aspect::Entry,
];

/// A ring with windows of ten minutes, as by default.
fn bench() -> Bench {
    let mut bench = Bench::new();
    bench.ring = None;
    bench.config.window = Duration::from_secs(600);
    bench.config.seal_delay = Duration::from_secs(15);
    bench.config.head_span = Duration::from_secs(900);
    bench.config.rollups = Config::default().rollups;
    bench.open();
    bench
}

/// What series `i` is at a time; `None`: not there.
fn value(i: u64, ts: Timestamp) -> Option<f64> {
    let n = ts / 1000;
    match i {
        // A counter that is reset now and then.
        0 => Some((n % 4_987) as f64 * 1.5),
        // A gauge with NaN and infinities.
        1 if n % 911 == 0 => Some(f64::NAN),
        1 => Some(((n * 7919) % 1000) as f64 / 7.0 - 50.0),
        // A constant.
        2 => Some(0.1),
        // There for some minutes, then stale.
        3 if n % 1_800 < 700 => Some((n % 1_800) as f64),
        3 if n % 1_800 == 700 => Some(stale_marker()),
        3 => None,
        // All NaN for an hour.
        _ if (7_200..10_800).contains(&n) => Some(f64::NAN),
        _ => Some(n as f64),
    }
}

fn fill(bench: &Bench, from: Timestamp, to: Timestamp, step: i64) {
    let mut ts = from;
    while ts <= to {
        bench.clock.set(ts);
        let samples: Vec<(u64, f64)> = (0..5).filter_map(|i| Some((i, value(i, ts)?))).collect();
        bench.tick(ts, &samples);
        if ts % 60_000 == 0 {
            bench.ring().commit().unwrap();
            bench.maintain(ts);
        }
        ts += step;
    }
    bench.maintain(to);
}

/// What an aspect says of raw samples in a bucket, by the book. `before` is the last value of earlier buckets.
fn expected(aspect: Aspect, samples: &[(Timestamp, f64)], before: Option<f64>) -> Option<f64> {
    let there: Vec<(Timestamp, f64)> = samples.iter().copied().filter(|(_, v)| !is_stale(*v)).collect();
    if aspect == Aspect::Newest {
        return samples.last().map(|(_, value)| *value);
    }
    let ((first_ts, first), (last_ts, last)) = (*there.first()?, *there.last()?);
    let values = || there.iter().map(|(_, value)| *value);
    let fell = |a: f64, b: f64| if b < a { a } else { 0.0 };
    let entry = before.map_or(0.0, |before| fell(before, first));
    Some(match aspect {
        Aspect::First => first,
        Aspect::Last | Aspect::Newest => last,
        Aspect::Min => values().fold(f64::NAN, |all, v| if v < all || all.is_nan() { v } else { all }),
        Aspect::Max => values().fold(f64::NAN, |all, v| if v > all || all.is_nan() { v } else { all }),
        Aspect::Sum => values().sum(),
        Aspect::Count => there.len() as f64,
        Aspect::FirstTime => first_ts as f64,
        Aspect::LastTime => last_ts as f64,
        Aspect::Lost => entry + there.windows(2).map(|pair| fell(pair[0].1, pair[1].1)).sum::<f64>(),
        Aspect::Entry => entry,
    })
}

fn rolled(ring: &Ring, tier: Tier, after: Timestamp, until: Timestamp) -> Rolled {
    let request = RollupRequest {
        matchers: vec![Matcher::equal("__name__", "m")],
        after,
        until,
        tier,
        aspects: ALL.to_vec(),
        max_samples: 1 << 30,
        stop: Stop::never(),
    };
    ring.select_rollups(&request).unwrap().expect("nothing changes meanwhile")
}

/// Compares every aspect of every bucket; finer ones that stand for a bucket are put together by `extend`'s rules.
fn compare(ring: &Ring, tier: Tier, after: Timestamp, until: Timestamp, step: i64) {
    let found = rolled(ring, tier, after, until);
    assert!(!found.has_more);
    for (aspect, selection) in ALL.iter().zip(&found.selections) {
        for piece in &selection.pieces {
            let Cells::Floats(cells) = &piece.cells else { panic!("floats") };
            for (k, row) in piece.rows.iter().enumerate() {
                let i: u64 = selection.labels[*row as usize].get("i").parse().unwrap();
                for (at, end) in piece.times.iter().enumerate() {
                    let length = if *end % 60_000 == 0 && piece.times.len() > 1 {
                        piece.times[1] - piece.times[0]
                    } else {
                        step
                    };
                    let samples = |from: i64, to: i64| {
                        let first = (from.div_euclid(step) + 1) * step;
                        (0..)
                            .map(|n| first + n * step)
                            .take_while(|ts| *ts <= to)
                            .filter_map(|ts| Some((ts, value(i, ts)?)))
                            .collect::<Vec<_>>()
                    };
                    let before = samples(after.max(*end - length - 2 * HOUR), *end - length)
                        .iter()
                        .rev()
                        .find(|(_, v)| !is_stale(*v))
                        .map(|(_, v)| *v);
                    let expected = expected(*aspect, &samples(*end - length, *end), before);
                    let cell = cells[k * piece.times.len() + at];
                    let got = (!crate::model::is_absent(cell)).then_some(cell);
                    let same = match (got, expected) {
                        (Some(a), Some(b)) => {
                            a.to_bits() == b.to_bits()
                                || a.is_nan() && b.is_nan() && is_stale(a) == is_stale(b)
                                || (a - b).abs() <= 1e-9 * b.abs().max(1.0)
                        }
                        (a, b) => a.is_none() && b.is_none(),
                    };
                    assert!(
                        same,
                        "{aspect:?} of {i} in the bucket of {length} ms up to {end}: {got:?}, expected {expected:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn minutes_and_hours_say_what_the_samples_say() {
    let mut bench = bench();
    fill(&bench, 20_000, 27 * HOUR, 20_000);
    let tiers = bench.ring().rollups().expect("hours are over").tiers;
    assert_eq!(tiers.iter().map(|(tier, ..)| *tier).collect::<Vec<_>>(), [Tier::Minute, Tier::Hour]);
    assert_eq!(tiers[0].2, 26 * HOUR);
    for _ in 0..2 {
        compare(bench.ring(), Tier::Minute, 0, 27 * HOUR, 20_000);
        compare(bench.ring(), Tier::Minute, 7 * HOUR + 120_000, 9 * HOUR - 60_000, 20_000);
        compare(bench.ring(), Tier::Hour, 0, 27 * HOUR, 20_000);
        compare(bench.ring(), Tier::Hour, 3 * HOUR, 24 * HOUR, 20_000);
        bench.kill_and_open();
    }
    bench.ring = None;
    assert_eq!(verify(&bench.config.path, &mut |_, _| {}).unwrap().findings, []);
}

#[test]
fn late_samples_come_into_the_buckets() {
    let bench = bench();
    fill(&bench, 10_000, 3 * HOUR, 10_000);
    let of = |bench: &Bench, end: Timestamp| {
        let found = rolled(bench.ring(), Tier::Minute, end - 60_000, end);
        let count = &found.selections[6];
        let row = count.labels.iter().position(|l| *l == labels(2)).unwrap();
        let piece = &count.pieces[0];
        let Cells::Floats(cells) = &piece.cells else { panic!("floats") };
        cells[piece.rows.iter().position(|r| *r as usize == row).unwrap()]
    };
    let end = end_of(HOUR + 1_234_000, 60_000);
    assert_eq!(of(&bench, end), 6.0);
    bench.tick(HOUR + 1_234_000, &[(2, 5.0)]);
    fill(&bench, 3 * HOUR + 10_000, 4 * HOUR, 10_000);
    assert_eq!(of(&bench, end), 7.0);
    assert_eq!(of(&bench, end + 60_000), 6.0);
}

#[test]
fn every_column_comes_back() {
    use super::{Bucket, Buckets, RollupColumn, column};
    use crate::storage::codec::{FloatScratch, PcoCodec};
    let mut random = Random::new(5);
    for round in 0..2_000 {
        let ends: Vec<Timestamp> = (1..=1 + random.below(80) as i64).map(|n| n * 60_000).collect();
        let mut buckets: Vec<Option<Bucket>> = vec![None; ends.len()];
        for (slot, end) in buckets.iter_mut().zip(&ends) {
            let mut all = Buckets::new(60_000);
            for n in 0..random.below(5) as i64 {
                let value = match round % 4 {
                    0 => 7.25,
                    1 => (*end + n) as f64,
                    2 => random.unit() * 1e6,
                    _ if random.below(9) == 0 => stale_marker(),
                    _ => f64::from_bits(random.next()),
                };
                let ts = end - 59_999 + n * 11_000;
                all.push(ts, &Bucket::of(ts, value));
            }
            *slot = all.finish().pop().map(|(_, bucket)| bucket);
        }
        let (codec, mut bytes, more) = (PcoCodec::default(), Vec::new(), round % 7 == 0);
        column::encode(&codec, &buckets, &ends, 60_000, more, &mut bytes);
        let back = RollupColumn::decode(&codec, &bytes, &ends, 60_000, &mut FloatScratch::default()).unwrap();
        assert_eq!(back.has_more, more);
        for (a, b) in buckets.iter().zip(&back.buckets) {
            let words = |b: &Bucket| {
                let floats = [b.first, b.last, b.min, b.max, b.lost].map(f64::to_bits);
                if b.count == 0 {
                    (0, 0, 0, [0; 5], b.stale)
                } else {
                    (b.count, b.first_ts, b.last_ts, floats, b.stale)
                }
            };
            assert_eq!(a.as_ref().map(words), b.as_ref().map(words), "round {round}");
            let (a, b) = (a.map_or(0.0, |a| a.sum), b.map_or(0.0, |b| b.sum));
            let close = (a - b).abs() <= 1e-9 * a.abs() || a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan();
            assert!(close || back.buckets.iter().flatten().any(|b| b.count == 0), "round {round}: {a} {b}");
        }
        // Garbage is an error or an answer, never a panic.
        for _ in 0..20 {
            let at = random.below(bytes.len() as u64) as usize;
            let mut broken = bytes.clone();
            broken[at] ^= 1 << random.below(8);
            let _ = RollupColumn::decode(&codec, &broken, &ends, 60_000, &mut FloatScratch::default());
        }
    }
}

/// The process dies after each step of its disk while hours are rolled up: what is there then is whole, and what is missing is made.
#[test]
fn a_crash_while_rolling_up_costs_nothing() {
    let open = |disk: &Disk, now: Timestamp| {
        let config = Config { seal_delay: Duration::from_secs(1), ..Config::default() };
        let (clock, names): (_, Arc<SeriesTable>) = (ManualClock::new(now), Arc::default());
        let ring = Ring::with_store(config, Clock::Manual(clock.clone()), names.clone(), disk.store()).unwrap();
        (ring, names, clock)
    };
    let settle = |ring: &Ring, now: Timestamp| while ring.maintain(now).unwrap() == Progress::More {};
    let (disk, end) = (Disk::new(), 2 * HOUR + 12 * 60_000);
    let (ring, names, clock) = open(&disk, 0);
    let mut image = disk.bytes.lock().clone();
    disk.record();
    for ts in (60_000..=end).step_by(60_000) {
        clock.set(ts);
        let mut tick = Batch::new(GroupId(1), ts);
        let there = (0..5).filter_map(|i| Some((of(&names, &labels(i)), value(i, ts)?)));
        tick.floats.extend(there);
        ring.append(&tick).unwrap();
        if ts % 300_000 == 0 {
            ring.commit().unwrap();
            settle(&ring, ts);
        }
    }
    drop(ring);
    let steps = disk.take_record();
    assert!(steps.len() > 200, "{}", steps.len());
    for (done, step) in steps.iter().enumerate() {
        apply(&mut image, step);
        let (ring, ..) = open(&Disk::with(image.clone()), end);
        assert_eq!(walk(&ring.store, &mut |_, _| {}).findings, [], "after {done} steps");
        settle(&ring, end);
        let until = ring.stats().newest.unwrap_or(0).div_euclid(60_000) * 60_000;
        let hours = ring.rollups().map_or(0, |found| found.tiers[0].2 / HOUR);
        assert!(
            hours >= (until - 601_000).div_euclid(HOUR),
            "after {done} steps {hours} hours are rolled up of {until}"
        );
        if done % 7 == 0 || done + 20 > steps.len() {
            compare(&ring, Tier::Minute, 0, until, 60_000);
        }
    }
}

/// What a tier's share took is not made again as long as the samples are there: it would only go again, without end.
#[test]
fn a_tier_that_has_its_share_comes_to_rest() {
    let mut bench = bench();
    bench.config.retention_size_bytes = 4 << 20;
    bench.config.rollups = [Duration::from_secs(90 * 86_400), Duration::ZERO, Duration::ZERO];
    bench.kill_and_open();
    let (mut random, hours) = (Random::new(3), 14);
    for n in 1..=hours * 180 {
        let ts = n * 20_000;
        bench.clock.set(ts);
        let samples: Vec<(u64, f64)> = (0..80).map(|i| (i, random.unit())).collect();
        bench.tick(ts, &samples);
        if n % 30 == 0 {
            bench.ring().commit().unwrap();
            let slices = (0..2_000).take_while(|_| bench.ring().maintain(ts).unwrap() == Progress::More).count();
            assert!(slices < 2_000, "maintenance never ends at {ts}");
        }
    }
    let (stats, counters) = (bench.ring().stats(), bench.ring().counters());
    let rolled = counters.rolled.load(std::sync::atomic::Ordering::Relaxed);
    assert!(rolled as i64 <= hours, "{rolled} segments of rollups in {hours} hours");
    assert!(
        stats.rollup_segments < 10 && stats.oldest.unwrap() < 9 * HOUR,
        "the share is full, samples are there: {stats:?}"
    );
}
