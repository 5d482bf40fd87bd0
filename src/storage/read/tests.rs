//! What queries may rely on: labels that stay, dense pieces, limits, and the same samples whatever they come from.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use crate::model::{
    Batch, GroupId, Histogram, Irregular, IrregularSample, Labels, Matcher, Timestamp, Value, is_absent,
};
use crate::storage::testing::{Bench, Random, labels, of};
use crate::storage::{Cells, LenderRoom, Querier, SelectRequest, Selection, Stop, StorageError};

fn request(start: Timestamp, end: Timestamp, last_only: bool) -> SelectRequest {
    SelectRequest {
        matchers: vec![Matcher::equal("__name__", "m")],
        start,
        end,
        last_only,
        max_samples: 1 << 30,
        stop: Stop::never(),
    }
}

/// All samples as `(series, time) → (start, bits of the value or count of the histogram)`, and a check of the promises.
fn samples(found: &Selection) -> BTreeMap<(String, Timestamp), (Timestamp, u64)> {
    assert!(found.labels.is_sorted_by(|a, b| a < b));
    let mut all = BTreeMap::new();
    let mut last: BTreeMap<u32, Timestamp> = BTreeMap::new();
    for piece in &found.pieces {
        let ticks = piece.times.len();
        assert!(ticks > 0 && piece.times.is_sorted_by(|a, b| a < b) && piece.rows.is_sorted_by(|a, b| a < b));
        for (k, row) in piece.rows.iter().enumerate() {
            let mut lent = Vec::new();
            if let Cells::Lent(lender) = &piece.cells {
                lender.append(k, &mut lent, &mut LenderRoom::default());
                assert_eq!((lent.len(), lender.ticks()), (ticks, ticks));
                assert!(
                    lender
                        .in_place(k)
                        .is_none_or(|cells| cells.iter().map(|v| v.to_bits()).eq(lent.iter().map(|v| v.to_bits())))
                );
            }
            assert!(last.insert(*row, piece.times[ticks - 1]).is_none_or(|last| last < piece.times[0]), "row {row}");
            for (i, ts) in piece.times.iter().enumerate() {
                let at = k * ticks + i;
                let value = match &piece.cells {
                    Cells::Lent(_) if is_absent(lent[i]) => continue,
                    Cells::Lent(_) => lent[i].to_bits(),
                    Cells::Floats(cells) if is_absent(cells[at]) => continue,
                    Cells::Floats(cells) => cells[at].to_bits(),
                    Cells::Histograms(cells) => match &cells[at] {
                        Some(histogram) => histogram.count.to_bits(),
                        None => continue,
                    },
                };
                let start = piece.starts.as_ref().map_or(0, |starts| starts[at]);
                let key = (found.labels[*row as usize].get("i").to_owned(), *ts);
                assert!(all.insert(key, (start, value)).is_none(), "twice");
            }
        }
        let places = piece.rows.len() * ticks;
        match &piece.cells {
            Cells::Floats(cells) => assert_eq!(cells.len(), places),
            Cells::Lent(lender) => assert_eq!(lender.rows(), piece.rows.len()),
            Cells::Histograms(cells) => assert_eq!(cells.len(), places),
        }
    }
    all
}

fn tick(bench: &Bench, ts: Timestamp, series: u64) {
    let samples: Vec<(u64, f64)> = (0..series).map(|i| (i, (i * 1000) as f64 + (ts / 1000) as f64)).collect();
    bench.tick(ts, &samples);
}

#[test]
fn labels_stay_while_the_series_do() {
    let mut bench = Bench::new();
    for ts in 0..60 {
        tick(&bench, ts * 1000, 5);
        bench.maintain(ts * 1000);
    }
    let labels_of =
        |bench: &Bench, from: i64, last_only| bench.ring().select(&request(from, 70_000, last_only)).unwrap().labels;
    let before = labels_of(&bench, 58_000, true);
    assert!(bench.ring().stats().segments >= 3);
    for (from, last_only) in [(58_000, false), (0, false), (0, true), (30_000, false)] {
        assert!(Arc::ptr_eq(&before, &labels_of(&bench, from, last_only)), "from {from}, {last_only}");
    }
    // Sealing and leaving memory move samples, not series; another metric is no concern of ours.
    for ts in 60..90 {
        tick(&bench, ts * 1000, 5);
        bench.maintain(ts * 1000);
        let mut batch = Batch::new(GroupId(9), ts * 1000);
        let other = Labels::from_pairs(&[("__name__", "other"), ("n", &ts.to_string())]);
        batch.floats.push((of(&bench.names, &other), 1.0));
        bench.ring().append(&batch).unwrap();
        assert!(Arc::ptr_eq(&before, &labels_of(&bench, ts * 1000 - 20_000, false)), "at {ts}");
    }
    tick(&bench, 90_000, 6);
    let after = labels_of(&bench, 0, false);
    assert_eq!((before.len(), after.len()), (5, 6));
    assert!(Arc::ptr_eq(&after, &labels_of(&bench, 90_000, true)));
    bench.kill_and_open();
    assert_eq!(*labels_of(&bench, 0, false), after[..5], "the last tick was not committed");
}

#[test]
fn rows_of_the_dead_are_left_out_and_the_rest_stays() {
    let bench = Bench::new();
    tick(&bench, 1000, 300);
    tick(&bench, 2000, 20);
    let whole = bench.ring().select(&request(0, 2000, false)).unwrap();
    assert_eq!(whole.labels.len(), 300);
    let few = bench.ring().select(&request(1500, 2000, true)).unwrap();
    assert_eq!((few.labels.len(), samples(&few).len()), (20, 20));
    tick(&bench, 3000, 18);
    let fewer = bench.ring().select(&request(2500, 3000, false)).unwrap();
    assert!(Arc::ptr_eq(&few.labels, &fewer.labels));
    assert_eq!(samples(&fewer).len(), 18);
    assert!(Arc::ptr_eq(&whole.labels, &bench.ring().select(&request(0, 3000, true)).unwrap().labels));
}

#[test]
fn a_group_is_one_piece_across_head_and_segments() {
    let mut bench = Bench::new();
    for ts in 0..60 {
        tick(&bench, ts * 1000, 40);
        bench.ring().commit().unwrap();
        bench.maintain(ts * 1000);
    }
    for step in ["written", "reopened"] {
        let found = bench.ring().select(&request(0, 70_000, false)).unwrap();
        assert_eq!((found.pieces.len(), found.pieces[0].times.len()), (1, 60), "{step}");
        assert_eq!(samples(&found).len(), 2400, "{step}");
        let last = bench.ring().select(&request(0, 70_000, true)).unwrap();
        assert_eq!((last.pieces.len(), &*last.pieces[0].times), (1, &[59_000][..]), "{step}");
        let past = bench.ring().select(&request(0, 5_500, true)).unwrap();
        assert_eq!((past.pieces.len(), &*past.pieces[0].times), (1, &[5_000][..]), "{step}");
        bench.kill_and_open();
    }
}

#[test]
fn nothing_beyond_the_limit_is_read() {
    let bench = Bench::new();
    for ts in 0..40 {
        // Series 1 and 2 live on, ten others are there once.
        tick(&bench, ts * 1000, if ts == 3 { 12 } else { 2 });
        bench.maintain(ts * 1000);
    }
    let limited = |start, last_only, max_samples| {
        bench
            .ring()
            .select(&SelectRequest { max_samples, ..request(start, 50_000, last_only) })
            .map(|f| samples(&f).len())
    };
    assert_eq!(limited(36_000, false, 8).unwrap(), 8, "the dead do not count");
    assert!(matches!(limited(36_000, false, 7), Err(StorageError::TooManySamples)));
    assert_eq!(limited(0, true, 12).unwrap(), 12);
    assert!(matches!(limited(0, true, 11), Err(StorageError::TooManySamples)));
    assert!(matches!(limited(0, false, 60), Err(StorageError::TooManySamples)));
    assert_eq!(limited(0, false, 200).unwrap(), 90);
}

#[test]
fn threads_decode_what_one_does() {
    let bench = Bench::new();
    let series = 300u64;
    let mut random = Random::new(3);
    for ts in 0..900 {
        let samples: Vec<(u64, f64)> = (0..series).map(|i| (i, (random.below(1000) + i) as f64 / 100.0)).collect();
        bench.clock.set(ts * 1000);
        bench.tick(ts * 1000, &samples);
    }
    let whole = samples(&bench.ring().select(&request(0, 1_000_000, false)).unwrap());
    let past = samples(&bench.ring().select(&request(0, 800_500, true)).unwrap());
    bench.maintain(1_000_000);
    assert_eq!(bench.ring().stats().head_bytes, 0);
    let found = bench.ring().select(&request(0, 1_000_000, false)).unwrap();
    assert_eq!((found.pieces.len(), whole.len()), (1, 900 * 300));
    assert!(samples(&found) == whole);
    assert_eq!(samples(&bench.ring().select(&request(0, 800_500, true)).unwrap()), past);
    assert_eq!(bench.ring().counters().damaged.load(Relaxed), 0);
}

/// What the ring must answer: the first that was written at a time stands.
type Model = BTreeMap<(String, Timestamp), (Timestamp, u64)>;

/// Floats, histograms, start timestamps, late and irregular samples, series that change groups, seals and restarts.
#[test]
fn everything_at_once_comes_out_once() {
    for seed in 0..40 {
        let mut random = Random::new(seed);
        let mut bench = Bench::new();
        let mut model = Model::new();
        let mut now = 1_000_000;
        bench.clock.set(now);
        for step in 0..60 {
            let context = format!("seed {seed} step {step}");
            match random.below(12) {
                0..=6 => {
                    now += 300 + random.below(1500) as i64;
                    bench.clock.set(now);
                    one_tick(&bench, &mut random, now, &mut model);
                }
                7 => one_push(&bench, &mut random, now, &mut model),
                8 => bench.maintain(now),
                9 => {
                    bench.ring().commit().unwrap();
                    bench.kill_and_open();
                }
                _ => check(&bench, &mut random, now, &model, &context),
            }
        }
        bench.maintain(now + 60_000);
        check(&bench, &mut random, now, &model, &format!("seed {seed} at the end"));
    }
}

fn histogram(count: f64) -> Arc<Histogram> {
    Arc::new(Histogram { count, sum: count, ..Histogram::default() })
}

fn one_tick(bench: &Bench, random: &mut Random, now: Timestamp, model: &mut Model) {
    let group = random.below(3);
    let mut batch = Batch::new(GroupId(group as u32), now);
    for i in group * 5..group * 5 + 7 {
        let (number, series) = (random.below(1000) as f64, of(&bench.names, &labels(i)));
        // Groups share two series; their ticks never have the same time here.
        let start = if i % 4 == 1 { now - 7 } else { 0 };
        match random.below(if i % 5 == 0 { 4 } else { 3 }) {
            0 => continue,
            3 => batch.histograms.push((series, histogram(number))),
            _ => batch.floats.push((series, number)),
        }
        if start != 0 {
            batch.start_ts.push((series, start));
        }
        model.entry((i.to_string(), now)).or_insert((start, number.to_bits()));
    }
    bench.ring().append(&batch).unwrap();
}

fn one_push(bench: &Bench, random: &mut Random, now: Timestamp, model: &mut Model) {
    let i = random.below(20);
    let series = of(&bench.names, &labels(i));
    let samples = (0..1 + random.below(3)).map(|_| {
        let (ts, number) = (now - random.below(8000) as i64, random.below(1000) as f64);
        let value = if random.below(4) == 0 { Value::Histogram(histogram(number)) } else { number.into() };
        model.entry((i.to_string(), ts)).or_insert((3, number.to_bits()));
        IrregularSample { ts, start_ts: 3, value }
    });
    let samples = samples.collect();
    bench.ring().append_irregular(&[Irregular { series, samples }]).unwrap();
}

fn check(bench: &Bench, random: &mut Random, now: Timestamp, model: &Model, context: &str) {
    let start = now - random.below(60_000) as i64;
    let end = start + random.below(50_000) as i64;
    let within = |(_, ts): &(String, Timestamp)| (start..=end).contains(ts);
    let expected: Model = model.iter().filter(|(key, _)| within(key)).map(|(k, v)| (k.clone(), *v)).collect();
    let found = bench.ring().select(&request(start, end, false)).unwrap();
    assert_eq!(samples(&found), expected, "{context}: {start}..={end}");
    let mut newest: BTreeMap<String, (Timestamp, (Timestamp, u64))> = BTreeMap::new();
    for ((series, ts), sample) in &expected {
        newest.insert(series.clone(), (*ts, *sample));
    }
    let newest: Model = newest.into_iter().map(|(series, (ts, sample))| ((series, ts), sample)).collect();
    let found = bench.ring().select(&request(start, end, true)).unwrap();
    assert_eq!(samples(&found), newest, "{context}: newest of {start}..={end}");
}

/// However far a selection got, it ends soon after somebody wishes it to, and gives nothing.
#[test]
fn a_selection_can_be_stopped() {
    let bench = Bench::new();
    for ts in 0..400 {
        tick(&bench, ts * 1000, 150);
        bench.maintain(ts * 1000);
    }
    for last_only in [false, true] {
        let ask = |most: u64| {
            let asked = Arc::new(AtomicU64::new(0));
            let count = Arc::clone(&asked);
            let stop = Stop::when(move || count.fetch_add(1, Relaxed) >= most);
            // Long past times are in segments, whatever else is in memory.
            let end = if last_only { 5_000 } else { 400_000 };
            let found = bench.ring().select(&SelectRequest { stop, ..request(0, end, last_only) });
            (found.map(|found| samples(&found).len()), asked.load(Relaxed))
        };
        let (whole, questions) = ask(u64::MAX);
        assert!(whole.is_ok() && questions > 2, "{questions}");
        for most in 0..questions {
            let (found, asked) = ask(most);
            assert!(matches!(found, Err(StorageError::Stopped)), "after {most} of {questions}: {found:?}");
            assert!(asked <= most + 4, "it asked {asked} times, {most} times in vain");
        }
    }
}

#[test]
fn packed_blocks_answer_as_wide_ones() {
    let mut bench = Bench::new();
    bench.config.window = std::time::Duration::from_secs(10_000);
    bench.config.head_span = std::time::Duration::from_secs(10_000);
    bench.kill_and_open();
    // Constant, counting, gone after a while, there from a moment on, there now and then, there in one tick only.
    for ts in 1..=400 {
        let mut samples = vec![(0, 7.0), (1, ts as f64), (2, 7.0)];
        samples.extend((ts < 130).then_some((3, 0.5)));
        samples.extend((ts > 200).then_some((4, 7.0)));
        samples.extend((ts % 9 == 0).then_some((5, ts as f64)));
        samples.extend((ts == 250).then_some((6, f64::NAN)));
        bench.tick(ts * 1000, &samples);
    }
    let bounds =
        [(0, 400), (0, 120), (100, 121), (119, 130), (121, 240), (131, 239), (250, 250), (300, 400), (120, 360)];
    let all = || {
        let answers = bounds.iter().flat_map(|(from, to)| [(*from, *to, false), (*from, *to, true)]);
        let answer = |(from, to, last): (i64, i64, bool)| {
            samples(&bench.ring().select(&request(from * 1000, to * 1000, last)).unwrap())
        };
        answers.map(answer).collect::<Vec<_>>()
    };
    let waiting = || bench.ring().inner.read().head.wide_blocks().len();
    let wide = all();
    assert_eq!(wide[0].len(), 3 * 400 + 129 + 200 + 44 + 1);
    assert_eq!(waiting(), 3);
    bench.maintain(400_000);
    assert_eq!(waiting(), 0);
    assert_eq!(bench.ring().stats().segments, 0);
    assert_eq!(all(), wide);
}
