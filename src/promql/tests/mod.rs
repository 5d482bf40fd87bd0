//! The engine against Prometheus' own scripts, where they are present.

mod extremes;
mod generate;
mod nesting;
mod printing;
mod random;
mod sharing;
mod stats;
mod stores;

use std::path::PathBuf;

use std::time::Duration;

use super::parser::{FUNCTIONS, Function, ValueType};
use super::testlang::{MemoryStore, Options, run_script};
use super::{CancelToken, Engine, EngineConfig, QueryError, QueryOptions, QueryValue, Refusal};
use crate::model::{Labels, Value};

/// Every function, for the generator.
fn signatures() -> Vec<generate::Signature> {
    let kind = |kind: &ValueType| match kind {
        ValueType::Scalar => generate::Type::Scalar,
        ValueType::Vector => generate::Type::Vector,
        ValueType::Matrix => generate::Type::Matrix,
        ValueType::String => generate::Type::String,
    };
    let signature = |function: &Function| generate::Signature {
        name: function.name,
        args: function.args.iter().map(kind).collect(),
        variadic: function.variadic,
        returns: kind(&function.returns),
    };
    FUNCTIONS.iter().map(signature).collect()
}

fn suite() -> Engine {
    Engine::new(EngineConfig::for_scripts())
}

fn scripts() -> Option<Vec<PathBuf>> {
    let root = std::env::var_os("WATCHFIRE_SHARED").map_or_else(|| PathBuf::from("../shared"), PathBuf::from);
    let entries = std::fs::read_dir(root.join("promqltest")).ok()?;
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "test"))
        .collect();
    files.sort();
    (!files.is_empty()).then_some(files)
}

/// Every evaluation without native histograms passes, second looks included.
#[test]
fn the_shared_scripts_pass() {
    let Some(files) = scripts() else {
        println!("SKIPPED: no promqltest scripts under WATCHFIRE_SHARED or ../shared");
        return;
    };
    let mut failures = String::new();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("readable");
        let name = file.file_stem().expect("named").to_string_lossy().into_owned();
        let options = Options { skip_native_histograms: true, ..Options::default() };
        let report = run_script(&name, &text, &suite(), options);
        println!("{}: {}/{} ({} skipped)", report.name, report.passed, report.total, report.skipped);
        if !report.failures.is_empty() {
            failures.push_str(&format!("{report}\n"));
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

/// A query that would fill the memory or the stack is refused, or goes through; nothing falls over.
#[test]
fn bounds_hold() {
    let engine = Engine::new(EngineConfig { max_samples: 10_000, ..EngineConfig::default() });
    let mut store = MemoryStore::new();
    for i in 0..200 {
        let labels = Labels::from_pairs(&[("__name__", "x"), ("i", &i.to_string())]);
        (0..60).for_each(|t| store.append(&labels, t * 1000, 0, Value::Float(1.0)));
        store.settle(&labels);
    }
    let deep = |open: &str, depth: usize| format!("{}x{}", open.repeat(depth), ")".repeat(depth));
    let too_many = "query processing would load too many samples into memory in query execution";
    let cases = [
        ("x[10s]", None),
        ("x[5m]", Some(too_many)),
        ("vector(1)[1y:1ms]", Some(too_many)),
        ("sum_over_time(vector(1)[100y:1ms])", Some(too_many)),
        ("sum_over_time(x[1h:1s])", Some(too_many)),
        (&deep("abs(", 120), None),
        (&deep("-sum by (i) (", 60), None),
        (
            "double_exponential_smoothing(x[20s], 2, 0.5)",
            Some("invalid smoothing factor. Expected: 0 < sf < 1, got: 2.000000"),
        ),
    ];
    for (query, expected) in cases {
        let expr = engine.parse(query).expect("parses");
        let result = engine.instant(&store, &expr, 59_000, &QueryOptions::default());
        let found = result.err().map(|error| error.to_string());
        match expected {
            Some(expected) => {
                let found = found.unwrap_or_else(|| panic!("{query} went through"));
                assert!(found.starts_with(expected), "{query}: {found}");
                assert_eq!(found.contains("10000 (--query.max-samples)"), expected == too_many, "{query}: {found}");
            }
            None => assert_eq!(found, None, "{query}"),
        }
    }
}

#[test]
fn time_and_patience_run_out() {
    let (engine, store) = (Engine::default(), MemoryStore::new());
    let expr = engine.parse("sum_over_time(vector(1)[1h:10ms])").expect("parses");
    let timeout = QueryOptions { timeout: Some(Duration::ZERO), ..QueryOptions::default() };
    let error = engine.instant(&store, &expr, 0, &timeout).expect_err("no time");
    let expected =
        "query timed out in expression evaluation: the request's timeout of 0ns is over (--query.timeout is 2m)";
    assert_eq!(error.to_string(), expected);
    let cancel = CancelToken::new();
    cancel.cancel();
    let gone = QueryOptions { cancel: Some(cancel), ..QueryOptions::default() };
    assert!(matches!(engine.instant(&store, &expr, 0, &gone), Err(QueryError::Canceled(_))));
    let late = engine.range(&store, &expr, 10, 0, Duration::from_secs(1), &QueryOptions::default());
    assert!(matches!(late, Err(QueryError::BadData(_))));
    let text = engine.parse("\"a\"").expect("parses");
    let answer = engine.instant(&store, &text, 7, &QueryOptions::default()).expect("a string");
    assert_eq!(answer.value, QueryValue::String(7, "a".to_owned()));
}

/// Every way to many samples at once, as a range query over 50 series with 600 samples each, on 101 steps.
#[test]
fn range_queries_stay_within_the_samples() {
    let mut store = MemoryStore::new();
    for i in 0..50 {
        let labels = Labels::from_pairs(&[("__name__", "x"), ("i", &i.to_string())]);
        (0..600).for_each(|t| store.append(&labels, t * 1000, 0, Value::Float((t * 50 + i) as f64)));
        store.settle(&labels);
    }
    let ask = |max_samples: usize, query: &str| {
        let engine = Engine::new(EngineConfig { max_samples, ..EngineConfig::default() });
        let expr = engine.parse(query).expect("parses");
        let step = Duration::from_secs(5);
        let result = engine.range(&store, &expr, 100_000, 600_000, step, &QueryOptions::default());
        let refused = engine.counters().refused(Refusal::Samples);
        match result {
            Ok(result) => {
                assert_eq!(refused, 0, "{query}");
                assert!(result.stats.peak_samples <= max_samples as u64, "{query}: {:?}", result.stats);
                true
            }
            Err(QueryError::TooManySamples { wanted, limit }) => {
                assert!(
                    limit == max_samples && wanted.is_none_or(|wanted| wanted > max_samples),
                    "{query}: {wanted:?}"
                );
                assert_eq!(refused, 1, "{query}");
                false
            }
            Err(error) => panic!("{query}: {error}"),
        }
    };
    // The query, and about how many samples it needs at once: far less is refused, far more is enough.
    for (query, needs) in [
        ("x", 30_000),
        ("x @ 300", 5_050),
        ("x @ 300 + x @ 301 + x @ 302", 10_100),
        ("rate(x[1m])", 30_000),
        ("max_over_time(x[10m:10s])", 30_000),
        ("max_over_time((x @ 300)[10m:1s])", 50_000),
        ("max_over_time(vector(1)[10m:10ms])", 110_000),
        ("count_values(\"v\", x)", 500_000),
        ("label_replace(x @ 300, \"j\", \"$1\", \"i\", \"(.*)\") * on (i) group_left x @ 301", 10_100),
        ("x @ 300 or on (i) x @ 301", 10_100),
        ("vector(1) + vector(2)", 202),
    ] {
        assert!(!ask(needs / 4, query), "{query} went through with {}", needs / 4);
        assert!(ask(needs * 4, query), "{query} was refused with {}", needs * 4);
    }
}
