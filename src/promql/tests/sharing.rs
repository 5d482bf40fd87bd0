//! What rules of one tick may share, and what not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::model::{Labels, Matcher, Timestamp, Value};
use crate::promql::testlang::MemoryStore;
use crate::promql::{Engine, QueryOptions, QueryValue, TickCache, WrittenNames, shareable};
use crate::storage::{Querier, SelectRequest, Selection, StorageError};

/// Counts how often it is asked.
struct Counting {
    store: MemoryStore,
    selects: AtomicUsize,
}

impl Querier for Counting {
    fn select(&self, request: &SelectRequest) -> Result<Selection, StorageError> {
        self.selects.fetch_add(1, Ordering::Relaxed);
        self.store.select(request)
    }

    fn series(&self, matchers: &[Matcher], start: Timestamp, end: Timestamp) -> Result<Vec<Labels>, StorageError> {
        self.store.series(matchers, start, end)
    }
}

fn counting() -> Counting {
    let mut store = MemoryStore::new();
    for (name, value) in [("x", 1.0), ("job:x:sum", 2.0), ("ALERTS", 3.0)] {
        let labels = Labels::from_pairs(&[("__name__", name), ("job", "a")]);
        store.append(&labels, 60_000, 0, Value::Float(value));
        store.settle(&labels);
    }
    Counting { store, selects: AtomicUsize::new(0) }
}

/// Runs the queries at one time with one cache; says how often storage was asked.
fn selects(queries: &[(&str, Timestamp)], written: &[&str]) -> usize {
    let (engine, querier, cache) = (Engine::default(), counting(), TickCache::new());
    let mut names = WrittenNames::new();
    written.iter().for_each(|name| names.insert(name));
    let options = QueryOptions { written: Some(Arc::new(names)), ..QueryOptions::default() };
    for (query, ts) in queries {
        let expr = engine.parse(query).expect("parses");
        let shared = engine.instant_cached(&querier, &expr, *ts, &options, &cache).expect("evaluates");
        let prepared = engine.prepare(&expr, query).expect("plans");
        let again = engine.instant_prepared(&querier.store, &prepared, *ts, &options, &TickCache::new());
        assert_eq!(again.expect("evaluates").value, shared.value, "{query}");
        let alone = engine.instant(&querier.store, &expr, *ts, &options).expect("evaluates");
        assert_eq!(shared.value, alone.value, "{query}");
        assert_eq!(shared.annotations, alone.annotations, "{query}");
        assert!(matches!(shared.value, QueryValue::Vector(_)));
    }
    querier.selects.load(Ordering::Relaxed)
}

#[test]
fn equal_parts_are_read_once() {
    type Case<'a> = (&'a [(&'a str, Timestamp)], &'a [&'a str], usize);
    let cases: &[Case<'_>] = &[
        (&[("x > 0", 60_000), ("x > 1", 60_000), ("sum(x)", 60_000)], &[], 1),
        (&[("sum(rate(x[1m])) > 1", 60_000), ("1 < sum( rate(x[60s]) )", 60_000)], &[], 1),
        // Another query_offset is another time.
        (&[("x", 60_000), ("x", 61_000)], &[], 2),
        // A rule that reads what the rule before it wrote.
        (&[("job:x:sum", 60_000), ("job:x:sum", 60_000)], &["job:x:sum"], 2),
        (&[("x + on (job) job:x:sum", 60_000), ("x + on (job) job:x:sum", 60_000)], &["job:x:sum"], 3),
        (&[("ALERTS", 60_000), ("ALERTS", 60_000)], &[], 2),
        (&[("{job=\"a\"}", 60_000), ("{job=\"a\"}", 60_000)], &[], 2),
        (&[("{job=\"a\", __name__!=\"y\"}", 60_000), ("{job=\"a\", __name__!=\"y\"}", 60_000)], &[], 2),
        (&[("{__name__=~\"x|job:.*\"}", 60_000), ("{__name__=~\"x|job:.*\"}", 60_000)], &["job:x:sum"], 2),
    ];
    for (queries, written, expected) in cases {
        assert_eq!(selects(queries, written), *expected, "{queries:?}");
    }
}

#[test]
fn says_which_expressions_may_be_shared() {
    let engine = Engine::default();
    let mut written = WrittenNames::new();
    written.insert("job:x:sum");
    for (query, expected) in [
        ("rate(x[5m])", true),
        ("x / job:x:sum", false),
        ("sum_over_time(job:x:sum[5m:1m])", false),
        ("ALERTS{alertstate=\"firing\"}", false),
        ("count({job=\"a\"})", false),
        ("vector(1)", true),
    ] {
        assert_eq!(shareable(&engine.parse(query).expect("parses"), &written), expected, "{query}");
    }
}

#[test]
fn plans_print_themselves() {
    let engine = Engine::default();
    let expr = engine.parse("sum by (job) (rate(x{a=\"b\"}[5m] offset 1m)) > scalar(y @ 10)").expect("parses");
    let expected = "\
>  [shared 1]
  sum by (job)  [shared 2]
    rate x{a=\"b\"}[5m] offset 1m  [shared 3]
  scalar  [once, shared 4]
    y @ 10  [once, shared 5]
";
    assert_eq!(engine.explain(&expr, 0).expect("plans"), expected);
}
