//! Samples that a query read, for each of its steps.

use std::time::Duration;

use super::suite;
use crate::model::{Labels, Value};
use crate::promql::testlang::MemoryStore;
use crate::promql::{Engine, QueryOptions};

/// Two series with a sample every 15 s up to 10 m; the second one begins after 2 m.
fn store() -> MemoryStore {
    let mut store = MemoryStore::new();
    for (i, from) in [("1", 0), ("2", 120_000)] {
        let labels = Labels::from_pairs(&[("__name__", "x"), ("i", i)]);
        (from..=600_000).step_by(15_000).for_each(|ts| store.append(&labels, ts, 0, Value::Float(ts as f64)));
    }
    store
}

fn read(engine: &Engine, store: &MemoryStore, text: &str, start: i64, end: Option<i64>) -> (u64, Vec<u64>) {
    let expr = engine.parse(text).expect("parses");
    let options = QueryOptions { per_step: true, ..QueryOptions::default() };
    let result = match end {
        None => engine.instant(store, &expr, start, &options),
        Some(end) => engine.range(store, &expr, start, end, Duration::from_secs(60), &options),
    };
    let stats = result.expect("evaluates").stats;
    (stats.total_samples, stats.samples_per_step)
}

#[test]
fn each_step_counts_what_it_reads() {
    let (engine, store) = (suite(), store());
    let cases: &[(&str, &[u64])] = &[
        ("x", &[1, 1, 2, 2]),
        ("x + x", &[2, 2, 4, 4]),
        ("timestamp(x)", &[1, 1, 2, 2]),
        ("rate(x[1m])", &[1, 4, 5, 8]),
        ("quantile_over_time(0.5, x[1m])", &[1, 4, 5, 8]),
        ("increase(x[1m] anchored)", &[1, 5, 10, 18]),
        // What windows take, not what the subquery read.
        ("max_over_time(x[2m:30s])", &[1, 3, 5, 7]),
        ("sum(x @ 600)", &[2, 2, 2, 2]),
        ("1 + 2", &[0, 0, 0, 0]),
    ];
    for (text, expected) in cases {
        let (total, steps) = read(&engine, &store, text, 0, Some(180_000));
        assert_eq!((total, &*steps), (expected.iter().sum(), *expected), "{text}");
        for (step, expected) in (0..).zip(*expected) {
            let found = read(&engine, &store, text, step * 60_000, None);
            assert_eq!(found, (*expected, vec![*expected]), "{text} at {step}m");
        }
    }
    assert_eq!(read(&engine, &store, "x[1m]", 180_000, None), (8, vec![8]));
    assert_eq!(read(&engine, &store, "x[2m:30s]", 180_000, None), (7, vec![7]));
}
