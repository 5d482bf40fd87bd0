//! A year of series that come and go, on a clock that a test moves: the table stays small, and no number is confused.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::clock::{Clock, ManualClock};
use crate::model::{Batch, GroupId, Intern, Labels, MatchOp, Matcher, SeriesRef, Timestamp, is_stale, stale_marker};
use crate::registry::{RegistryConfig, SeriesLimits, SeriesTable};
use crate::storage::{Column, Config, Progress, Querier, Ring, SelectRequest, Stop};

const MINUTE: i64 = 60_000;
const DAY: i64 = 1_440 * MINUTE;
/// Between two ticks.
const STEP: i64 = 60 * MINUTE;
/// New series with each tick, and the ticks that each lives for.
const NEW: i64 = 8;
const LIFE: i64 = 3;
/// Series that are there always, and series that are there on one day of three.
const STEADY: i64 = 8;
const RETURNING: i64 = 4;
/// Ticks that wait in the queue before storage.
const LAG: usize = 2;

fn labels(name: &str, n: i64) -> Labels {
    Labels::from_pairs(&[("__name__", name), ("n", &n.to_string())])
}

/// What a series says at a time: nothing of it can come from another series.
fn value(labels: &Labels, ts: Timestamp) -> f64 {
    ((labels.hash_value() >> 20).wrapping_add(ts.unsigned_abs() / 1_000) % 1_000_003) as f64
}

/// Which series the source has at a tick.
fn present(tick: i64) -> Vec<Labels> {
    let returning = if (tick * STEP / DAY) % 3 == 0 { RETURNING } else { 0 };
    let runs = ((tick - LIFE + 1).max(0)..=tick).flat_map(|born| (0..NEW).map(move |n| born * NEW + n));
    let steady = (0..STEADY).map(|n| labels("steady", n));
    steady.chain((0..returning).map(|n| labels("returning", n))).chain(runs.map(|n| labels("run", n))).collect()
}

/// A source as scrapes are one: it holds what it has, and gives back what is gone.
#[derive(Default)]
struct Source {
    held: Vec<(Labels, SeriesRef)>,
}

impl Source {
    fn tick(&mut self, now: Vec<Labels>, ts: Timestamp, table: &SeriesTable) -> Batch {
        let mut batch = Batch::new(GroupId(1), ts);
        let (stay, gone): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.held).into_iter().partition(|(known, _)| now.contains(known));
        self.held = stay;
        for labels in now {
            if !self.held.iter().any(|(known, _)| *known == labels) {
                let series = table.intern_labels(&labels).expect("below the limit");
                self.held.push((labels, series));
            }
        }
        batch.floats.extend(self.held.iter().map(|(labels, series)| (*series, value(labels, ts))));
        batch.floats.extend(gone.iter().map(|(_, series)| (*series, stale_marker())));
        // Their last samples wait in the queue still.
        let gone: Vec<SeriesRef> = gone.into_iter().map(|(_, series)| series).collect();
        table.release(&gone);
        batch
    }
}

/// All samples of a metric within the bounds, by series, stale markers left out.
fn samples(ring: &Ring, name: &str, start: Timestamp, end: Timestamp) -> Vec<(Labels, Vec<(Timestamp, f64)>)> {
    let matcher = Matcher::new(MatchOp::Equal, "__name__", name).expect("valid");
    let request = SelectRequest {
        matchers: vec![matcher],
        start,
        end,
        last_only: false,
        max_samples: 1 << 20,
        stop: Stop::never(),
    };
    let found = ring.select(&request).expect("a selection").into_series();
    let of = |series: crate::storage::SelectedSeries| {
        let mut all = Vec::new();
        for run in &series.runs {
            assert!(matches!(run.values, Column::Floats(_)));
            let (mut times, mut values) = (Vec::new(), Vec::new());
            run.floats_into(&mut times, &mut values);
            all.extend(times.into_iter().zip(values).filter(|(_, value)| !is_stale(*value)));
        }
        (series.labels, all)
    };
    found.into_iter().map(of).filter(|(_, all)| !all.is_empty()).collect()
}

/// Everything between two ticks is what the source had, no more and no less.
fn check(ring: &Ring, first: i64, last: i64) {
    for name in ["steady", "returning", "run"] {
        let mut expected: Vec<(Labels, Vec<(Timestamp, f64)>)> = Vec::new();
        for tick in first..=last {
            for labels in present(tick).into_iter().filter(|labels| labels.metric_name() == name) {
                let sample = (tick * STEP, value(&labels, tick * STEP));
                match expected.iter_mut().find(|(known, _)| *known == labels) {
                    Some((_, samples)) => samples.push(sample),
                    None => expected.push((labels, vec![sample])),
                }
            }
        }
        expected.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(samples(ring, name, first * STEP, last * STEP), expected, "{name}, ticks {first} to {last}");
    }
}

#[test]
fn a_year_of_churn() {
    let clock = ManualClock::new(0);
    let config = Config {
        window: Duration::from_secs(4 * 3_600),
        merged_span: Duration::from_secs(12 * 3_600),
        head_span: Duration::from_secs(6 * 3_600),
        retention_time: Duration::from_secs(7 * 86_400),
        // They keep the series of their own, much longer, retention.
        rollups: [Duration::ZERO; 3],
        ..Config::default()
    };
    let keep = config.head_span + config.window + config.seal_delay;
    // What may be alive at once: what is there, what comes before the others are given back, and what left within that time.
    let ending = NEW * (keep.as_millis() as i64 / STEP + 1);
    let alive = STEADY + RETURNING + NEW * (LIFE + 1) + ending;
    let limits = SeriesLimits { series: alive as u32, series_per_family: alive as u32 };
    let table = SeriesTable::with_clock(
        RegistryConfig { limits, keep, ..RegistryConfig::default() },
        Clock::Manual(clock.clone()),
    );
    let table = Arc::new(table);
    let ring = Ring::in_memory(config, Clock::Manual(clock.clone()), Arc::clone(&table) as _).expect("memory");
    let (mut source, mut queue) = (Source::default(), VecDeque::new());
    let ticks = 365 * DAY / STEP;
    let week = 7 * DAY / STEP;
    for tick in 0..ticks {
        let now = tick * STEP;
        clock.set(now);
        queue.push_back(source.tick(present(tick), now, &table));
        if queue.len() > LAG {
            ring.append(&queue.pop_front().expect("more than the lag")).expect("appends");
        }
        ring.commit().expect("commits");
        while ring.maintain(now).expect("maintains") == Progress::More {}
        table.sweep();
        assert!(table.len() as i64 <= alive, "{} series in the table at tick {tick}", table.len());
        if tick % (30 * DAY / STEP) == week {
            // A whole day that is in segments only, and the newest hours.
            check(&ring, tick - 6 * DAY / STEP, tick - 5 * DAY / STEP);
            check(&ring, tick - 20, tick - LAG as i64);
            // Some weeks of runs and not a year of them: storage forgets a series table when its last segment has gone.
            let known = ring.stats().head_series as i64;
            assert!(known <= 4 * NEW * week, "{known} series known at tick {tick}");
        }
    }
    let counters = table.counters();
    let created = counters.created.load(Ordering::Relaxed) as i64;
    // A series that is away for two days is new when it returns.
    assert_eq!(created, NEW * ticks + STEADY + RETURNING * ((365 + 2) / 3));
    assert_eq!(counters.refused_total_limit.load(Ordering::Relaxed), 0);
    assert_eq!(ring.counters().unknown_series.load(Ordering::Relaxed), 0, "no sample lost its series in the queue");
}
