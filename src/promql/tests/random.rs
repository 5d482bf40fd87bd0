//! A range query is what instant queries say at each of its steps: random expressions over random data.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;

use crate::model::{Labels, Timestamp, Value, stale_marker};
use crate::promql::testlang::MemoryStore;
use crate::promql::{Engine, EngineConfig, QueryOptions, QueryValue, TickCache};
use crate::storage::Querier;

use super::generate::{Generator, Random, Style, Type};
use super::signatures;
use super::stores::{Grouped, Steady};

/// Data sets, and expressions that are tried over each.
const STORES: u64 = 400;
const QUERIES: u64 = 20;

/// A few dozen series: gauges and counters with gaps, resets, NaN and stale markers, and a classic histogram.
fn data(random: &mut Random) -> MemoryStore {
    let mut store = MemoryStore::new();
    for name in ["gauge", "other", "count_total"] {
        for a in ["1", "2", "3"] {
            for b in ["x", "y"] {
                if !random.one_in(5) {
                    series(random, &mut store, &[("__name__", name), ("a", a), ("b", b)], name == "count_total");
                }
            }
        }
    }
    for le in ["0.1", "1", "10", "+Inf"] {
        series(random, &mut store, &[("__name__", "h_bucket"), ("a", "1"), ("le", le)], true);
    }
    store
}

fn series(random: &mut Random, store: &mut MemoryStore, labels: &[(&str, &str)], counter: bool) {
    let labels = Labels::from_pairs(labels);
    let every = 5_000 + 1_000 * random.below(20) as i64;
    let mut ts = random.below(20_000) as i64;
    let mut value = 0.0;
    while ts < 900_000 {
        let chance = random.below(40);
        let grown = value + random.below(50) as f64 / 4.0;
        value = match (counter, chance) {
            (true, 0) => 0.0,
            (true, _) => grown,
            (false, 0) => f64::NAN,
            (false, 1) => f64::INFINITY,
            (false, _) => random.below(2_000) as f64 / 8.0 - 100.0,
        };
        match chance {
            2 | 3 => {}
            4 => store.append(&labels, ts, 0, Value::Float(stale_marker())),
            5 => ts += 120_000,
            _ => store.append(&labels, ts, 0, Value::Float(value)),
        }
        if !value.is_finite() && counter {
            value = 0.0;
        }
        ts += every;
    }
    store.settle(&labels);
}

/// Value bits by labels, at one time.
type Column = BTreeMap<String, f64>;

/// The range query's answer as one column a step, or that it failed.
fn by_range(engine: &Engine, store: &dyn Querier, query: &str, times: &[Timestamp]) -> Option<Vec<Column>> {
    let expr = engine.parse(query).expect("generated queries parse");
    let (first, last) = (times[0], times[times.len() - 1]);
    let step = Duration::from_millis((times[1] - first) as u64);
    let result = engine.range(store, &expr, first, last, step, &QueryOptions::default()).ok()?;
    let QueryValue::Matrix(matrix) = result.value else { panic!("a range query gives a matrix: {query}") };
    let mut columns = vec![Column::new(); times.len()];
    for series in matrix {
        for (ts, value) in series.floats {
            let step = times.iter().position(|time| *time == ts).expect("a step's time");
            columns[step].insert(series.labels.to_string(), value);
        }
    }
    Some(columns)
}

/// The same by instant queries; `None` when one of them fails.
fn by_instants(engine: &Engine, store: &dyn Querier, query: &str, times: &[Timestamp]) -> Option<Vec<Column>> {
    let expr = engine.parse(query).expect("generated queries parse");
    times
        .iter()
        .map(|ts| {
            let result = engine.instant(store, &expr, *ts, &QueryOptions::default()).ok()?;
            let QueryValue::Vector(vector) = result.value else { panic!("a vector: {query}") };
            let cell = |value: Value| value.as_float().expect("no histograms here");
            Some(vector.into_iter().map(|sample| (sample.labels.to_string(), cell(sample.value))).collect())
        })
        .collect()
}

fn same(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-9 * a.abs().max(b.abs())
}

/// What became of one expression.
enum Outcome {
    Samples,
    Empty,
    Failed,
}

/// Asks one store for the range and the other for the instants.
fn compare(engine: &Engine, [one, other]: [&dyn Querier; 2], query: &str, times: &[Timestamp]) -> Outcome {
    let range = by_range(engine, one, query, times);
    let instants = by_instants(engine, other, query, times);
    match (&range, &instants) {
        (Some(range), Some(instants)) => {
            for ((ts, by_range), by_instant) in times.iter().zip(range).zip(instants) {
                let equal = by_range.len() == by_instant.len()
                    && by_range.iter().zip(by_instant).all(|(a, b)| a.0 == b.0 && same(*a.1, *b.1));
                assert!(equal, "{query} @ {ts}: range {by_range:?}, instant {by_instant:?}");
            }
            if range.iter().any(|column| !column.is_empty()) { Outcome::Samples } else { Outcome::Empty }
        }
        (None, None) => Outcome::Failed,
        _ => panic!("{query}: range {range:?}, instants {instants:?}"),
    }
}

#[test]
fn a_range_query_is_its_instant_queries() {
    let (engine, functions) = (Engine::default(), signatures());
    let (mut answers, mut failures) = (0, 0);
    for seed in 0..STORES {
        let store = data(&mut Random(seed));
        let grouped = Grouped(&store);
        let mut generator = Generator::new(seed, Style::Tame, &functions);
        for _ in 0..QUERIES {
            let depth = 1 + generator.random.below(3);
            let query = generator.expression(Type::Vector, depth);
            let step = generator.random.pick(&[1_000, 7_000, 30_000, 61_000]);
            let start = 100_000 + generator.random.below(300_000) as i64;
            let times: Vec<Timestamp> = (0..6).map(|i| start + i * step).collect();
            // The same either way, and the same by either shape of the data.
            let stores: [&dyn Querier; 2] = match generator.random.below(3) {
                0 => [&store, &store],
                1 => [&grouped, &store],
                _ => [&store, &grouped],
            };
            match compare(&engine, stores, &query, &times) {
                Outcome::Samples => answers += 1,
                Outcome::Empty => {}
                Outcome::Failed => failures += 1,
            }
        }
    }
    let cases = STORES * QUERIES;
    println!("{cases} cases, {answers} gave samples, {failures} failed");
    assert!(
        answers > cases / 2 && failures < cases / 5,
        "{answers} answers, {failures} failures: the cases say too little"
    );
}

/// What operators remember changes no answer, whichever series come and go.
#[test]
fn remembering_changes_nothing() {
    let (remembers, forgets) =
        (Engine::default(), Engine::new(EngineConfig { max_memo_bytes: 0, ..EngineConfig::default() }));
    let functions = signatures();
    let mut answers = 0;
    for seed in 0..STORES / 4 {
        let store = data(&mut Random(seed));
        let steady = Steady(Grouped(&store), Mutex::default());
        let mut generator = Generator::new(seed, Style::Tame, &functions);
        let depth = 1 + generator.random.below(3);
        let query = generator.expression(Type::Vector, depth);
        let expr = remembers.parse(&query).expect("generated queries parse");
        let prepared = remembers.prepare(&expr, &query).expect("plans");
        for ts in (100_000..400_000).step_by(31_000) {
            let options = QueryOptions::default();
            let one = remembers.instant(&steady, &expr, ts, &options).map(|result| result.value);
            let other = forgets.instant(&store, &expr, ts, &options).map(|result| result.value);
            let rule = remembers.instant_prepared(&steady, &prepared, ts, &options, &TickCache::new());
            answers += usize::from(one.is_ok());
            assert_eq!(format!("{one:?}"), format!("{:?}", rule.map(|result| result.value)), "seed {seed}, {query}");
            assert_eq!(format!("{one:?}"), format!("{other:?}"), "seed {seed}, {query} @ {ts}");
        }
        let range = |engine: &Engine, store: &dyn Querier| {
            let step = Duration::from_secs(17);
            let result = engine.range(store, &expr, 100_000, 400_000, step, &QueryOptions::default());
            format!("{:?}", result.map(|result| result.value))
        };
        let one = range(&remembers, &steady);
        assert_eq!(one, range(&remembers, &steady), "seed {seed}, {query}, again");
        assert_eq!(one, range(&forgets, &store), "seed {seed}, {query}");
    }
    let (hits, misses) = remembers.memo().hits_and_misses();
    assert!(answers > 500 && hits > misses, "{answers} answers, {hits} hits, {misses} misses");
    assert_eq!(forgets.memo().hits_and_misses(), (0, 0));
}
