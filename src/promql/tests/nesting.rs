//! High trees, on threads with as little stack as those of the server have.

use std::time::Duration;

use crate::limits::MAX_QUERY_BYTES;
use crate::model::{Labels, Value};
use crate::promql::parser::{parse, pretty};
use crate::promql::testlang::MemoryStore;
use crate::promql::{Engine, QueryOptions, QueryValue, TickCache};

/// What tokio gives its workers and its blocking threads.
const SERVER_STACK: usize = 2 << 20;

fn on_a_server_thread(check: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(SERVER_STACK);
        thread.spawn_scoped(scope, check).expect("a thread").join().expect("no panic");
    });
}

fn store() -> MemoryStore {
    let mut store = MemoryStore::new();
    let labels = Labels::from_pairs(&[("__name__", "x"), ("i", "1")]);
    (0..10).for_each(|t| store.append(&labels, t * 1000, 0, Value::Float(1.0)));
    store.settle(&labels);
    store
}

/// Everything that walks a tree or a plan, and the sum of the values of the answer.
fn all_the_way(text: &str) -> f64 {
    let (engine, store, options) = (Engine::default(), store(), QueryOptions::default());
    let expr = parse(text).unwrap_or_else(|error| panic!("{error}: {text:.40}"));
    let printed = expr.to_string();
    let again = parse(&printed).expect("what was printed parses").strip_positions();
    assert!(again == expr.clone().strip_positions(), "{text:.40}");
    let laid_out = pretty(&expr);
    if laid_out.len() <= MAX_QUERY_BYTES {
        assert!(parse(&laid_out).expect("what was laid out parses").strip_positions() == again, "{text:.40}");
    }
    assert!(!engine.explain(&expr, 0).expect("plans").is_empty());
    let prepared = engine.prepare(&expr, text).expect("plans");
    let cached = engine.instant_prepared(&store, &prepared, 9_000, &options, &TickCache::new()).expect("evaluates");
    let answer = engine.instant(&store, &expr, 9_000, &options).expect("evaluates").value;
    assert_eq!(cached.value, answer);
    engine.range(&store, &expr, 8_000, 9_000, Duration::from_secs(1), &options).expect("evaluates");
    match answer {
        QueryValue::Vector(samples) => samples.iter().filter_map(|sample| sample.value.as_float()).sum(),
        QueryValue::Scalar(_, value) => value,
        other => panic!("neither a number nor a vector: {other:?}"),
    }
}

#[test]
fn long_chains_and_deep_nesting_are_answered() {
    let around = |open: &str, close: &str, n: usize| format!("{}x{}", open.repeat(n), close.repeat(n));
    let cases = [
        (around("x + ", "", 9_999), 10_000.0),
        (around("1 + ", "", 9_999), 10_000.0),
        (around("(x + ", ")", 1_000), 1_001.0),
        (around("x ^ ", "", 1_000), 1.0),
        (around("x or ", "", 1_000), 1.0),
        (around("(", ")", 15_000), 1.0),
        (around("-(", ")", 3_000), 1.0),
        (around("+-", "", 3_000), 1.0),
        (around("abs(", ")", 3_000), 1.0),
        (around("sum by (i) (", ")", 3_000), 1.0),
        (around("info(", ")", 300), 1.0),
        (around("last_over_time(", "[1s:1s])", 100), 1.0),
    ];
    on_a_server_thread(move || {
        for (text, expected) in cases {
            assert_eq!(all_the_way(&text), expected, "{text:.40}");
        }
    });
}

#[test]
fn deeper_nesting_is_refused() {
    let around = |open: &str, close: &str| format!("{}x{}", open.repeat(30_000), close.repeat(30_000));
    let cases = [
        around("(", ")"),
        around("-", ""),
        around("abs(", ")"),
        around("sum(", ")"),
        around("x + ", ""),
        around("x ^ ", ""),
        format!("x{}", "[1s:]".repeat(30_000)),
    ];
    on_a_server_thread(move || {
        for text in cases {
            let error = Engine::default().parse(&text).expect_err("too deep").to_string();
            assert!(error.contains("limit of 20000 levels (MAX_QUERY_DEPTH)"), "{error}");
        }
    });
}
