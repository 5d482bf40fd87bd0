//! Any text: it is refused with a place, or it parses, prints and lays out to the same tree, is planned and evaluated within
//! its limits. Nothing panics, nothing runs out of stack.
//!
//! The rooms are included as source, so that this crate is small to build and is the one that carries coverage.
#![no_main]
#![allow(
    dead_code,
    unused_imports,
    unfulfilled_lint_expectations,
    reason = "the rooms hold more than is used here, and their lints are the main build's business"
)]

#[path = "../src/clock.rs"]
pub mod clock;
#[path = "../src/generations.rs"]
mod generations;
#[path = "../src/limits.rs"]
pub mod limits;
#[path = "../src/model/mod.rs"]
pub mod model;
#[path = "../src/promql/mod.rs"]
pub mod promql;
#[path = "../src/storage/mod.rs"]
pub mod storage;

#[path = "../src/promql/tests/generate/mod.rs"]
mod generate;

use std::sync::OnceLock;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;

use generate::{Generator, NAMES, Signature, Style, Type};
use model::{Labels, Value};
use promql::parser::{Expr, FUNCTIONS, ValueType, parse, pretty};
use promql::testlang::MemoryStore;
use promql::{Engine, EngineConfig, QueryOptions};

/// Inputs that begin with this byte are a seed of the generator: mutations of eight bytes are whole new expressions.
const GENERATED: u8 = 0xff;

fuzz_target!(|data: &[u8]| {
    match data {
        [GENERATED, seed @ ..] => check(&generated(seed)),
        text => {
            if let Ok(text) = std::str::from_utf8(text) {
                check(text);
            }
        }
    }
});

fn generated(seed: &[u8]) -> String {
    static FUNCTIONS_OF: OnceLock<Vec<Signature>> = OnceLock::new();
    let functions = FUNCTIONS_OF.get_or_init(signatures);
    let seed = seed.iter().fold(0_u64, |seed, byte| seed.wrapping_mul(257).wrapping_add(u64::from(*byte)));
    let style = if seed % 2 == 0 { Style::Wild } else { Style::Tame };
    let text = Generator::new(seed, style, functions).expression(Type::Vector, 3);
    assert!(parse(&text).is_ok(), "generated, but refused: {text}");
    text
}

fn check(text: &str) {
    let expr = match parse(text) {
        Ok(expr) => expr,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    for again in [expr.to_string(), pretty(&expr)] {
        let reread = parse(&again).unwrap_or_else(|error| panic!("{error}\n{text:?}\nprints as {again:?}"));
        let (reread, expr) = (reread.strip_positions(), expr.clone().strip_positions());
        assert!(same(&reread, &expr), "{text:?}\nprints as {again:?}");
    }
    let (engine, store, options) = (engine(), store(), QueryOptions::default());
    let _ = engine.explain(&expr, 60_000);
    let _ = engine.instant(store, &expr, 60_000, &options);
    let _ = engine.range(store, &expr, 30_000, 60_000, Duration::from_secs(15), &options);
}

/// NaN is equal to itself here.
fn same(a: &Expr, b: &Expr) -> bool {
    a == b || format!("{a:?}") == format!("{b:?}")
}

fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| {
        let small = EngineConfig { max_samples: 20_000, timeout: Duration::from_millis(500), ..EngineConfig::default() };
        Engine::new(small)
    })
}

fn store() -> &'static MemoryStore {
    static STORE: OnceLock<MemoryStore> = OnceLock::new();
    STORE.get_or_init(|| {
        let mut store = MemoryStore::new();
        for (i, name) in NAMES.into_iter().enumerate() {
            for (a, le) in [("1", "0.5"), ("2", "1"), ("3", "+Inf")] {
                let labels = Labels::from_pairs(&[("__name__", name), ("a", a), ("b", "x"), ("le", le)]);
                (0..8).for_each(|t| store.append(&labels, t * 10_000, 0, Value::Float((t * (i as i64 + 1)) as f64)));
                store.settle(&labels);
            }
        }
        store
    })
}

fn signatures() -> Vec<Signature> {
    let kind = |kind: &ValueType| match kind {
        ValueType::Scalar => Type::Scalar,
        ValueType::Vector => Type::Vector,
        ValueType::Matrix => Type::Matrix,
        ValueType::String => Type::String,
    };
    FUNCTIONS
        .iter()
        .map(|function| Signature {
            name: function.name,
            args: function.args.iter().map(kind).collect(),
            variadic: function.variadic,
            returns: kind(&function.returns),
        })
        .collect()
}
