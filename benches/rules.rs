//! One tick of 100 rules over 1,000 series of one sample a second: `cargo bench --bench rules`.
//!
//! Shared: few subexpressions in many rules, as alert files have them. Distinct: every rule selects and aggregates for
//! itself. Recording: each rule writes ten series.
#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use watchfire::clock::{Clock, ManualClock, Stopwatch};
use watchfire::model::{Batch, GroupId, Intern, Labels, METRIC_NAME, Matcher, SeriesKey, SeriesRef, Timestamp};
use watchfire::rules::{EngineQueries, NoNotifications, RuleDeps, RuleFile, RuleRunner, RuleSink, RulesConfig};
use watchfire::storage::{Cells, Piece, Querier, SelectRequest, Selection, StorageError};

const SERIES: usize = 1_000;
const RULES: usize = 100;
const SECONDS: i64 = 300;
const TICKS: i64 = 50;

/// A head with dense columns, as the ring has them.
struct Head {
    series: Vec<(Labels, Arc<[f64]>)>,
    times: Arc<[Timestamp]>,
    shards: Vec<Vec<usize>>,
    /// Label sets of each shard and, at the end, of all: the same from tick to tick, as the ring hands them out.
    labels: Vec<Arc<Vec<Labels>>>,
}

impl Head {
    fn new() -> Self {
        let times: Arc<[Timestamp]> = (0..SECONDS).map(|second| second * 1000).collect();
        let series = (0..SERIES).map(|i| {
            let (shard, instance) = (format!("{}", i % RULES), format!("host{i}"));
            let pairs = [(METRIC_NAME, "m"), ("job", "bench"), ("shard", &shard), ("instance", &instance)];
            let values = (0..SECONDS).map(|second| (second * (1 + i as i64 % 7)) as f64).collect();
            (Labels::from_pairs(&pairs), values)
        });
        let mut series: Vec<_> = series.collect();
        series.sort_by(|a, b| a.0.cmp(&b.0));
        let mut shards = vec![Vec::new(); RULES];
        for (place, (labels, _)) in series.iter().enumerate() {
            shards[labels.get("shard").parse::<usize>().expect("a number")].push(place);
        }
        let labels_of = |places: &[usize]| Arc::new(places.iter().map(|place| series[*place].0.clone()).collect());
        let all: Vec<usize> = (0..series.len()).collect();
        let labels = shards.iter().chain([&all]).map(|places| labels_of(places)).collect();
        Self { series, times, shards, labels }
    }

    /// The shard that a selector asks for.
    fn shard(request: &SelectRequest) -> Option<usize> {
        request.matchers.iter().find(|m| m.name == "shard").and_then(|m| m.value.parse().ok())
    }
}

impl Querier for Head {
    /// The ring has an index; here one label has: a series' place modulo the number of rules is its shard.
    fn select(&self, request: &SelectRequest) -> Result<Selection, StorageError> {
        let to = self.times.partition_point(|ts| *ts <= request.end);
        let first = self.times.partition_point(|ts| *ts < request.start);
        let from = if request.last_only { first.max(to.saturating_sub(1)) } else { first };
        let shard = Self::shard(request);
        let labels = Arc::clone(&self.labels[shard.unwrap_or(RULES)]);
        let mut cells = Vec::with_capacity(labels.len() * (to - from));
        match shard {
            Some(shard) => {
                self.shards[shard].iter().for_each(|at| cells.extend_from_slice(&self.series[*at].1[from..to]))
            }
            None => self.series.iter().for_each(|(_, values)| cells.extend_from_slice(&values[from..to])),
        }
        let rows = (0..labels.len() as u32).collect();
        let piece = Piece { times: self.times[from..to].into(), rows, cells: Cells::Floats(cells), starts: None };
        Ok(Selection { labels, pieces: vec![piece] })
    }

    fn series(&self, _: &[Matcher], _: Timestamp, _: Timestamp) -> Result<Vec<Labels>, StorageError> {
        Ok(Vec::new())
    }
}

#[derive(Default)]
struct Table(Mutex<Vec<Labels>>);

impl Intern for Table {
    fn intern(&self, key: SeriesKey<'_>) -> Option<SeriesRef> {
        let mut table = self.0.lock();
        table.push(Labels::from_pairs(key.labels));
        Some(SeriesRef(table.len() as u32))
    }

    fn release(&self, _: &[SeriesRef]) {}

    fn labels(&self, _: SeriesRef) -> Option<Labels> {
        None
    }
}

struct Sink;

impl RuleSink for Sink {
    fn register_group(&self, _: &str, _: &str, _: Duration) -> GroupId {
        GroupId(0)
    }

    fn retire_group(&self, _: GroupId) {}

    fn write(&self, batch: Batch) -> Result<(), StorageError> {
        std::hint::black_box(batch);
        Ok(())
    }
}

fn measure(name: &str, rule: impl Fn(usize) -> String) {
    let rules: String = (0..RULES).map(|i| format!("  - {}\n", rule(i))).collect();
    let text = format!("groups:\n- name: bench\n  interval: 1s\n  rules:\n{rules}");
    let file = RuleFile::parse("bench.yml", &text).unwrap_or_else(|errors| panic!("{errors}"));
    let querier: Arc<dyn Querier> = Arc::new(Head::new());
    let mut runner = RuleRunner::new(RuleDeps {
        queries: Arc::new(EngineQueries::new(Arc::default(), Arc::clone(&querier))),
        querier,
        intern: Arc::<Table>::default(),
        sink: Arc::new(Sink),
        notify: Arc::new(NoNotifications),
        clock: Clock::Manual(ManualClock::new(0)),
    });
    let start = (SECONDS - TICKS) * 1000;
    let config = RulesConfig { shipped: false, ..RulesConfig::default() };
    runner.load(config.clone(), &[], start);
    runner.load(config, &[file], start);
    runner.run_due(start);
    let failed = runner.groups().iter().flat_map(|group| &group.rules).filter_map(|r| r.last_error.clone()).next();
    assert_eq!(failed, None, "{name}");
    let watch = Stopwatch::start();
    for tick in 1..TICKS {
        runner.run_due(start + tick * 1000);
    }
    let tick_ns = watch.elapsed().as_nanos() as f64 / (TICKS - 1) as f64;
    let (tick_us, rule_ns) = (tick_ns / 1e3, tick_ns / RULES as f64);
    println!("{name:<10} {RULES} rules over {SERIES} series: {tick_us:>9.1} us a tick, {rule_ns:>9.0} ns a rule");
}

fn main() {
    measure("shared", |i| {
        format!(
            "{{alert: A{i}, expr: 'sum by (shard) (rate(m[1m])) > {}', for: 1m, labels: {{severity: page}}}}",
            1000 + i
        )
    });
    measure("firing", |i| {
        format!("{{alert: A{i}, expr: 'm{{shard=\"{i}\"}} > 0', for: 1m, labels: {{severity: page}}}}")
    });
    measure("distinct", |i| {
        format!(
            "{{alert: A{i}, expr: 'sum(rate(m{{shard=\"{i}\"}}[1m])) / count(m{{shard=\"{i}\"}}) > {i}000', for: 1m}}"
        )
    });
    measure("recording", |i| format!("{{record: 'r{i}', expr: 'rate(m{{shard=\"{i}\"}}[1m])'}}"));
}
