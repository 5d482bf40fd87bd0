//! Times at the ends of what an integer holds: nothing overflows, whatever a client asks for.

use std::time::Duration;

use crate::model::{Labels, Value};
use crate::promql::testlang::MemoryStore;
use crate::promql::{Engine, QueryOptions};

#[test]
fn times_at_the_ends() {
    let mut store = MemoryStore::new();
    let labels = Labels::from_pairs(&[("__name__", "x")]);
    (0..5).for_each(|t| store.append(&labels, t * 10_000, 0, Value::Float(t as f64)));
    store.settle(&labels);
    let (engine, options) = (Engine::default(), QueryOptions::default());
    let mut queries = Vec::new();
    for at in ["", " @ 9223372036854775.807", " @ -9223372036854775.807", " @ 9.2e15", " @ -9.2e15"] {
        for offset in ["", " offset 290y", " offset -290y", " offset 5m", " offset -5m"] {
            queries.push(format!("x{at}{offset}"));
            queries.push(format!("timestamp(x{at}{offset})"));
            queries.push(format!("x[5m]{at}{offset}"));
            queries.push(format!("absent_over_time(x[290y]{at}{offset})"));
            for mode in ["", " anchored", " smoothed"] {
                queries.push(format!("rate(x[5m]{mode}{at}{offset})"));
                queries.push(format!("increase(x[290y]{mode}{at}{offset})"));
                queries.push(format!("delta(x[1ms]{mode}{at}{offset})"));
            }
            queries.push(format!("x smoothed{at}{offset}"));
            queries.push(format!("deriv(x[5m]{at}{offset})"));
            queries.push(format!("max_over_time(x[5m:1m]{at}{offset})"));
        }
    }
    let day = Duration::from_secs(86_400);
    let age = Duration::from_millis(i64::MAX as u64 / 5);
    let mut panicked = Vec::new();
    for query in &queries {
        let expr = engine.parse(query).unwrap_or_else(|error| panic!("{query}: {error}"));
        for ts in [i64::MIN, i64::MIN + 1, -1, 0, 40_000, i64::MAX - 1, i64::MAX] {
            let run = || {
                let _ = engine.instant(&store, &expr, ts, &options);
                let _ = engine.range(&store, &expr, ts.saturating_sub(86_400_000), ts, day, &options);
                let _ = engine.range(&store, &expr, ts, ts.saturating_add(86_400_000), day, &options);
                let _ = engine.range(&store, &expr, i64::MIN, ts, age, &options);
                let _ = engine.range(&store, &expr, ts, i64::MAX, age, &options);
                let _ = engine.range(&store, &expr, 20_000 - i64::MAX / 5 * 5, 20_000, age, &options);
            };
            if std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err() {
                panicked.push(format!("{query} at {ts}"));
            }
        }
    }
    assert!(panicked.is_empty(), "{} panics, the first: {}", panicked.len(), panicked[0]);
}
