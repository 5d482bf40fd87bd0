//! A range query is what instant queries say at each of its steps: random expressions over random data.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::model::{Labels, Matcher, Timestamp, Value, absent, stale_marker};
use crate::promql::testlang::MemoryStore;
use crate::promql::{Engine, EngineConfig, QueryOptions, QueryValue, TickCache};
use crate::storage::{Cells, Piece, Querier, SelectRequest, Selection, StorageError};

/// Expressions that are tried, each over its own data.
const CASES: u64 = 900;

/// Steele's SplitMix64: the same cases on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len() as u64) as usize]
    }
}

/// A few dozen series: gauges and counters with gaps, resets, NaN and stale markers, and a classic histogram.
fn data(random: &mut Random) -> MemoryStore {
    let mut store = MemoryStore::new();
    for name in ["gauge", "other", "count_total"] {
        for a in ["1", "2", "3"] {
            for b in ["x", "y"] {
                if random.below(5) > 0 {
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

fn selector(random: &mut Random) -> String {
    let body = random.pick(&[
        "gauge",
        "other",
        "count_total",
        "gauge{a=\"1\"}",
        "other{a=~\"1|2\"}",
        "count_total{b!=\"x\"}",
        "h_bucket",
        "missing",
    ]);
    let suffix = random.pick(&["", "", "", " offset 30s", " offset -20s", " @ 300", " @ 200 offset 1m"]);
    format!("{body}{suffix}")
}

fn range(random: &mut Random, depth: u64) -> String {
    if depth > 0 && random.below(3) == 0 {
        let inner = vector(random, depth - 1);
        return format!("({inner}){}", random.pick(&["[2m:20s]", "[3m:]", "[95s:7s] offset 10s", "[1m:15s] @ 400"]));
    }
    let body = random.pick(&["gauge", "other{b=\"y\"}", "count_total", "h_bucket"]);
    let suffix = random.pick(&["[1m]", "[2m30s]", "[5m]", "[90s] offset 1m", "[3m] @ 350"]);
    format!("{body}{suffix}")
}

fn vector(random: &mut Random, depth: u64) -> String {
    if depth == 0 {
        return selector(random);
    }
    match random.below(9) {
        0 => selector(random),
        1 | 2 => window(random, depth),
        3 => simple_call(random, depth),
        4 | 5 => aggregation(random, depth),
        6 => {
            let op = random.pick(&["+", "-", "*", "/", "%", "^", ">", "< bool", "==", "!="]);
            format!("({}) {op} {}", vector(random, depth - 1), scalar(random))
        }
        7 => {
            let op = random.pick(&[
                "and",
                "or",
                "unless",
                "and on (a)",
                "or on (a, b)",
                "+ on (a, b)",
                "* on (a) group_left ()",
                "> ignoring (b) group_right ()",
                "/",
                "- on (a, b) fill (0)",
            ]);
            format!("({}) {op} ({})", vector(random, depth - 1), vector(random, depth - 1))
        }
        _ => format!("-({})", vector(random, depth - 1)),
    }
}

fn window(random: &mut Random, depth: u64) -> String {
    let name = random.pick(&[
        "rate",
        "increase",
        "delta",
        "irate",
        "idelta",
        "changes",
        "resets",
        "deriv",
        "sum_over_time",
        "avg_over_time",
        "min_over_time",
        "max_over_time",
        "count_over_time",
        "last_over_time",
        "first_over_time",
        "stddev_over_time",
        "stdvar_over_time",
        "present_over_time",
        "mad_over_time",
        "ts_of_max_over_time",
        "absent_over_time",
    ]);
    match random.below(8) {
        0 => format!("quantile_over_time({}, {})", scalar(random), range(random, depth - 1)),
        1 => format!("predict_linear({}, 60)", range(random, depth - 1)),
        2 => {
            let mode = random.pick(&["anchored", "smoothed"]);
            format!("{}(count_total[2m] {mode})", random.pick(&["rate", "increase", "delta"]))
        }
        _ => format!("{name}({})", range(random, depth - 1)),
    }
}

fn simple_call(random: &mut Random, depth: u64) -> String {
    let inner = vector(random, depth - 1);
    match random.below(10) {
        0 => format!("histogram_quantile({}, h_bucket)", scalar(random)),
        1 => format!("histogram_fraction(0, {}, rate(h_bucket[2m]))", scalar(random)),
        2 => format!("label_replace({inner}, \"c\", \"$1\", \"a\", \"(.*)\")"),
        3 => format!("label_join({inner}, \"c\", \"-\", \"a\", \"b\")"),
        4 => format!("clamp({inner}, {}, 50)", scalar(random)),
        5 => format!("absent({inner})"),
        6 => format!("timestamp({inner})"),
        7 => format!("vector(scalar({inner}))"),
        8 => format!("{}({inner})", random.pick(&["hour", "day_of_month", "year"])),
        _ => format!("{}({inner})", random.pick(&["abs", "ceil", "sgn", "sqrt", "exp", "round"])),
    }
}

fn aggregation(random: &mut Random, depth: u64) -> String {
    let inner = vector(random, depth - 1);
    let grouping = random.pick(&["", " by (a)", " without (b)", " by (a, b)", " without (a, le)"]);
    match random.below(8) {
        0 => format!("quantile{grouping} ({}, {inner})", scalar(random)),
        1 => format!("{}{grouping} ({}, {inner})", random.pick(&["topk", "bottomk", "limitk"]), scalar(random)),
        2 => format!("count_values{grouping} (\"v\", round({inner}))"),
        3 => format!("limit_ratio{grouping} (0.5, {inner})"),
        _ => {
            let op = random.pick(&["sum", "avg", "min", "max", "count", "group", "stddev", "stdvar"]);
            format!("{op}{grouping} ({inner})")
        }
    }
}

fn scalar(random: &mut Random) -> &'static str {
    random.pick(&["0.5", "2", "1", "(time() % 3)", "scalar(sum(gauge))", "0.9"])
}

/// The store as a ring shows itself: windows of all series on one column of times, full of holes, and a series that has
/// no sample at all.
struct Grouped<'a>(&'a MemoryStore);

/// Milliseconds of one window.
const WINDOW: i64 = 170_000;

impl Querier for Grouped<'_> {
    fn select(&self, request: &SelectRequest) -> Result<Selection, StorageError> {
        let apart = self.0.select(request)?;
        let mut windows: BTreeMap<i64, BTreeMap<u32, Vec<(Timestamp, f64)>>> = BTreeMap::new();
        for piece in &apart.pieces {
            let Cells::Floats(cells) = &piece.cells else { panic!("no histograms here") };
            for (ts, cell) in piece.times.iter().zip(cells) {
                windows.entry(ts / WINDOW).or_default().entry(piece.rows[0]).or_default().push((*ts, *cell));
            }
        }
        let pieces = windows.into_values().map(|rows| {
            let times: BTreeSet<Timestamp> = rows.values().flatten().map(|(ts, _)| *ts).collect();
            let times: Vec<Timestamp> = times.into_iter().collect();
            let mut cells = vec![absent(); times.len() * rows.len()];
            for (place, samples) in rows.values().enumerate() {
                for (ts, cell) in samples {
                    cells[place * times.len() + times.partition_point(|time| time < ts)] = *cell;
                }
            }
            let rows: Vec<u32> = rows.into_keys().collect();
            Piece { times: times.into(), rows: rows.into(), cells: Cells::Floats(cells), starts: None }
        });
        let mut labels = (*apart.labels).clone();
        labels.extend(apart.labels.last().map(|last| last.with("zz", "nothing")));
        Ok(Selection { labels: Arc::new(labels), pieces: pieces.collect() })
    }

    fn series(&self, matchers: &[Matcher], start: Timestamp, end: Timestamp) -> Result<Vec<Labels>, StorageError> {
        self.0.series(matchers, start, end)
    }
}

/// As [`Grouped`], and the same label sets come as the same `Arc`, as a ring hands them out.
struct Steady<'a>(Grouped<'a>, Mutex<HashMap<Vec<Labels>, Arc<Vec<Labels>>>>);

impl Querier for Steady<'_> {
    fn select(&self, request: &SelectRequest) -> Result<Selection, StorageError> {
        let mut selection = self.0.select(request)?;
        let mut known = self.1.lock();
        let labels = known.entry((*selection.labels).clone()).or_insert(selection.labels);
        selection.labels = Arc::clone(labels);
        Ok(selection)
    }

    fn series(&self, matchers: &[Matcher], start: Timestamp, end: Timestamp) -> Result<Vec<Labels>, StorageError> {
        self.0.series(matchers, start, end)
    }
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

#[test]
fn a_range_query_is_its_instant_queries() {
    let engine = Engine::default();
    let (mut answers, mut failures) = (0, 0);
    for seed in 0..CASES {
        let mut random = Random(seed);
        let store = data(&mut random);
        let depth = 1 + random.below(3);
        let query = vector(&mut random, depth);
        let step = [1_000, 7_000, 30_000, 61_000][random.below(4) as usize];
        let start = 100_000 + random.below(300_000) as i64;
        let times: Vec<Timestamp> = (0..8).map(|i| start + i * step).collect();
        // The same either way, and the same by either shape of the data.
        let grouped = Grouped(&store);
        let (one, other): (&dyn Querier, &dyn Querier) = match seed % 3 {
            0 => (&store, &store),
            1 => (&grouped, &store),
            _ => (&store, &grouped),
        };
        let range = by_range(&engine, one, &query, &times);
        let instants = by_instants(&engine, other, &query, &times);
        match (&range, &instants) {
            (Some(range), Some(instants)) => {
                answers += usize::from(range.iter().any(|column| !column.is_empty()));
                for ((ts, by_range), by_instant) in times.iter().zip(range).zip(instants) {
                    let equal = by_range.len() == by_instant.len()
                        && by_range.iter().zip(by_instant).all(|(a, b)| a.0 == b.0 && same(*a.1, *b.1));
                    assert!(equal, "seed {seed}, {query} @ {ts}: range {by_range:?}, instant {by_instant:?}");
                }
            }
            (None, None) => failures += 1,
            _ => panic!("seed {seed}, {query}: range {range:?}, instants {instants:?}"),
        }
    }
    assert!(answers > 200 && failures > 0, "{answers} answers, {failures} failures: the cases say too little");
}

/// What operators remember changes no answer, whichever series come and go.
#[test]
fn remembering_changes_nothing() {
    let (remembers, forgets) =
        (Engine::default(), Engine::new(EngineConfig { max_memo_bytes: 0, ..EngineConfig::default() }));
    let mut answers = 0;
    for seed in 0..CASES / 9 {
        let mut random = Random(seed);
        let store = data(&mut random);
        let steady = Steady(Grouped(&store), Mutex::default());
        let depth = 1 + random.below(3);
        let query = vector(&mut random, depth);
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
