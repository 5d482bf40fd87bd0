//! Queries answered by rollups beside the same queries answered by raw samples.

use std::sync::Arc;
use std::time::Duration;

use watchfire::clock::{Clock, ManualClock};
use watchfire::model::{Batch, GroupId, Intern, Labels, SeriesRef, stale_marker};
use watchfire::promql::{Engine, QueryOptions, QueryResult, QueryValue};
use watchfire::registry::SeriesTable;
use watchfire::storage::{Config, Progress, Ring, Tier};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Samples each `step` up to `end`; raw ones are kept for so long.
fn ring(window: Duration, raw: Duration, rollups: bool, step: i64, end: i64) -> Ring {
    let config = Config {
        window,
        retention_time: raw,
        rollups: if rollups { Config::default().rollups } else { [Duration::ZERO; 3] },
        ..Config::default()
    };
    let (clock, table) = (ManualClock::new(0), Arc::new(SeriesTable::default()));
    let ring = Ring::in_memory(config, Clock::Manual(clock.clone()), table.clone()).expect("in memory");
    let names = ["counter_total", "gauge", "constant", "gone", "odd", "slow"];
    let refs: Vec<SeriesRef> = names
        .iter()
        .flat_map(|name| ["a", "b"].map(|i| Labels::from_pairs(&[("__name__", name), ("i", i), ("of", name)])))
        .map(|labels| table.intern_labels(&labels).expect("few"))
        .collect();
    for n in 1..=end / step {
        let ts = n * step;
        clock.set(ts);
        let mut tick = Batch::new(GroupId(1), ts);
        for (i, series) in refs.iter().enumerate() {
            if let Some(value) = value(i, n) {
                tick.floats.push((*series, value));
            }
        }
        ring.append(&tick).expect("in memory");
        if n % 50 == 0 {
            ring.commit().expect("in memory");
            while ring.maintain(ts).expect("in memory") == Progress::More {}
        }
    }
    ring
}

fn value(series: usize, n: i64) -> Option<f64> {
    let wild = |n: i64| ((n * 7919 + series as i64 * 31) % 1009) as f64;
    match series / 2 {
        // Reset every 700 samples.
        0 => Some((n % 700) as f64 * 3.0 + wild(n % 700) / 1009.0),
        1 => Some(wild(n) / 7.0 - 50.0),
        2 => Some(0.1),
        // There for a while, then stale, then not there.
        3 if n % 97 < 60 => Some(n as f64),
        3 if n % 97 == 60 => Some(stale_marker()),
        3 => None,
        4 if n % 101 == 0 => Some(f64::NAN),
        5 => Some(500.0 + 100.0 * (n as f64 / 500.0).sin()),
        _ => Some((n / 40) as f64 * if series == 8 { 1.0 } else { -1e9 }),
    }
}

fn range(ring: &Ring, query: &str, (start, end, step): (i64, i64, i64)) -> QueryResult {
    let engine = Engine::default();
    let expr = engine.parse(query).expect("parses");
    let options = QueryOptions { per_step: true, ..QueryOptions::default() };
    let step = Duration::from_millis(step as u64);
    engine.range(ring, &expr, start, end, step, &options).unwrap_or_else(|error| panic!("{query}: {error}"))
}

/// All samples as labels, time, value.
fn points(result: &QueryResult) -> Vec<(String, i64, f64)> {
    let QueryValue::Matrix(series) = &result.value else { panic!("a range query") };
    let mut all = Vec::new();
    for series in series {
        assert!(series.histograms.is_empty());
        for (ts, value) in &series.floats {
            all.push((series.labels.to_string(), *ts, *value));
        }
    }
    all.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
    all
}

fn assert_same(query: &str, found: &QueryResult, expected: &QueryResult) {
    let (found, expected) = (points(found), points(expected));
    let lacks = expected.iter().find(|b| !found.iter().any(|a| (&a.0, a.1) == (&b.0, b.1)));
    assert_eq!(found.len(), expected.len(), "{query} lacks {lacks:?}");
    for (a, b) in found.iter().zip(&expected) {
        let close = (a.2 - b.2).abs() <= 1e-9 * b.2.abs().max(1e-3) || a.2 == b.2 || a.2.is_nan() && b.2.is_nan();
        assert!((&a.0, a.1) == (&b.0, b.1) && close, "{query}: {a:?}, expected {b:?}");
    }
}

/// What tiers answer exactly.
const EXACT: &[&str] = &[
    "min_over_time({i=~'.'}[$r])",
    "max_over_time({i=~'.'}[$r])",
    "sum_over_time({i=~'.'}[$r])",
    "avg_over_time({i=~'.'}[$r])",
    "count_over_time({i=~'.'}[$r])",
    "last_over_time({i=~'.'}[$r])",
    "first_over_time({i=~'.'}[$r])",
    "present_over_time({i=~'.'}[$r])",
    "rate({i=~'.'}[$r])",
    "increase({i=~'.'}[$r])",
    "delta({i=~'.'}[$r])",
    "increase(counter_total[$r] offset $r)",
    "sum by (i) (rate(counter_total[$r]))",
    "max without (i) (max_over_time(gauge[$r]))",
    "avg_over_time(gauge{i='a'}[$r]) / on (i) group_left count_over_time(constant{i='a'}[$r])",
];
/// What needs every sample.
const RAW: &[&str] = &[
    "stddev_over_time(gauge[$r])",
    "quantile_over_time(0.9, gauge[$r])",
    "changes(gauge[$r])",
    "resets(counter_total[$r])",
    "irate(counter_total[$r])",
    "deriv(gauge[$r])",
    "mad_over_time(gauge[$r])",
    "absent_over_time(nothing[$r])",
];

#[test]
fn rolled_up_answers_are_those_of_raw_samples() {
    let minutes = |raw: Duration, rollups| ring(Duration::from_secs(600), raw, rollups, 5_000, 8 * HOUR);
    let long = Duration::from_secs(100 * 86_400);
    let days = |raw: Duration, rollups| ring(Duration::from_secs(3600), raw, rollups, 5 * MINUTE, 63 * DAY);
    let (short, short_rolled) = (minutes(long, false), minutes(long, true));
    let short_gone = minutes(Duration::from_secs(2 * 3600), true);
    let (wide, wide_rolled) = (days(long, false), days(long, true));
    let wide_gone = days(Duration::from_secs(86_400), true);
    for (raw, rolled, gone, tier, times, ranges) in [
        (&short, &short_rolled, &short_gone, Tier::Minute, (10 * MINUTE, 8 * HOUR, 7 * MINUTE), ["1m", "5m", "1h3m"]),
        (&wide, &wide_rolled, &wide_gone, Tier::Hour, (DAY, 33 * DAY, 7 * HOUR), ["1h", "5h", "2d"]),
        (&wide, &wide_rolled, &wide_gone, Tier::Day, (3 * DAY, 63 * DAY, DAY), ["1d", "2d", "30d"]),
    ] {
        for length in ranges {
            for query in EXACT {
                let query = query.replace("$r", length);
                let expected = range(raw, &query, times);
                assert!(expected.stats.rollups.is_empty() && !points(&expected).is_empty(), "{query}");
                for ring in [rolled, gone] {
                    let found = range(ring, &query, times);
                    assert_same(&query, &found, &expected);
                    let uses = &found.stats.rollups;
                    assert!(uses.iter().all(|(rollups, _)| rollups.tier == tier && rollups.exact), "{query}: {uses:?}");
                    assert!(!uses.is_empty(), "{query}");
                    assert!(found.annotations.infos.iter().all(|info| !info.contains("raw samples")), "{query}");
                    assert!(found.stats.total_samples <= expected.stats.total_samples, "{query}");
                }
            }
            for query in RAW {
                let query = query.replace("$r", length);
                let (found, expected) = (range(rolled, &query, times), range(raw, &query, times));
                assert_same(&query, &found, &expected);
                assert!(found.stats.rollups.is_empty(), "{query}");
                assert_eq!(found.stats.total_samples, expected.stats.total_samples, "{query}");
            }
        }
        // Windows that end anywhere are for raw samples as long as there are some.
        let odd = (times.0 + 1, times.1, times.2);
        for query in ["rate(counter_total[1h])", "gauge", "sum(gauge)"] {
            let (found, expected) = (range(rolled, query, odd), range(raw, query, odd));
            assert_same(query, &found, &expected);
            assert!(found.stats.rollups.is_empty(), "{query}");
        }
    }
    // A selector looks back five minutes: to whole ones.
    let query = "{i=~'.'}";
    let found = range(&short_rolled, query, (10 * MINUTE, 8 * HOUR, 3 * MINUTE));
    assert_same(query, &found, &range(&short, query, (10 * MINUTE, 8 * HOUR, 3 * MINUTE)));
    assert_eq!(found.stats.rollups.len(), 1);
}

#[test]
fn where_raw_samples_are_gone_the_nearest_answer_says_so() {
    let window = Duration::from_secs(600);
    let raw = ring(window, Duration::from_secs(100 * 86_400), false, 5_000, 8 * HOUR);
    let gone = ring(window, Duration::from_secs(2 * 3600), true, 5_000, 8 * HOUR);
    let remark = "PromQL info: raw samples";
    // Windows are moved by up to half a minute. Half of it is older than the raw samples, and nothing ends at a minute.
    let times = (2 * HOUR + 7_000, 8 * HOUR - 1_000, 15_000);
    for (query, tolerance) in [
        ("max_over_time(slow[10m])", 0.01),
        ("min_over_time(slow[10m])", 0.01),
        ("avg_over_time(slow[30m])", 0.01),
        ("sum_over_time(slow[30m])", 0.01),
        ("delta(slow[30m])", 5.0),
        ("deriv(slow[30m])", 0.01),
        ("slow", 0.01),
        ("avg(slow)", 0.01),
        ("count_over_time(gauge[10m])", 1e-9),
        ("rate(constant[10m])", 1e-9),
        ("sum(constant)", 1e-9),
        ("quantile_over_time(0.5, constant[10m])", 1e-9),
        ("constant", 1e-9),
        ("max_over_time(constant[10m:25s])", 1e-9),
        ("timestamp(constant) > bool 1", 1e-9),
    ] {
        let (found, expected) = (range(&gone, query, times), range(&raw, query, times));
        let (a, b) = (points(&found), points(&expected));
        assert_eq!(a.len(), b.len(), "{query}");
        for (a, b) in a.iter().zip(&b) {
            assert_eq!((&a.0, a.1), (&b.0, b.1), "{query}");
            let by = (a.2 - b.2).abs() / b.2.abs().max(1.0);
            assert!(by <= tolerance, "{query}: {a:?}, expected {b:?}");
        }
        assert!(
            found.annotations.infos.iter().any(|info| info.starts_with(remark)),
            "{query}: {:?}",
            found.annotations
        );
        // What raw samples can answer they do.
        let late = (7 * HOUR + 1000 * 60 * 20 + 1, 8 * HOUR - 1_000, 15_000);
        let (found, expected) = (range(&gone, query, late), range(&raw, query, late));
        assert_same(query, &found, &expected);
        assert!(
            found.annotations.infos.iter().all(|info| !info.starts_with(remark)),
            "{query}: {:?}",
            found.annotations
        );
    }
    let stats = range(&gone, "rate(gauge[10m])", times).stats;
    assert!(stats.rollups.iter().any(|(rollups, _)| rollups.tier == Tier::Minute && !rollups.exact));
    let steps = (times.1 - times.0) / times.2 + 1;
    assert_eq!(stats.samples_per_step.len() as i64, steps);
    assert_eq!(stats.samples_per_step.iter().sum::<u64>(), stats.total_samples);
}
