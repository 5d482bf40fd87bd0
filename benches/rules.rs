//! Rule evaluation: what a rule costs around the engine, and how a tick grows with series and with rules, over a ring in
//! memory that is scraped every 5 s.
//!
//! `cargo bench --bench rules [-- alone|series|rules]`. CPU of the median tick of twelve, after the windows of five minutes are full.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use watchfire::clock::{Clock, ManualClock};
use watchfire::model::{Batch, GroupId, Intern, Labels, METRIC_NAME, SeriesRef, Timestamp, Value};
use watchfire::promql::parser::Expr;
use watchfire::promql::{Annotations, Engine, QueryError, QueryResult, QueryStats, QueryValue, Sample};
use watchfire::registry::SeriesTable;
use watchfire::rules::{
    Earlier, EngineQueries, NoNotifications, RuleDeps, RuleFile, RuleQueries, RuleRunner, RuleSink, RulesConfig,
    TickQueries,
};
use watchfire::storage::{Config, Progress, Ring, StorageError};

const TICK_MS: i64 = 5_000;
const START: Timestamp = 1_795_300_800_000;
/// Ticks until windows of five minutes are full.
const FILL: i64 = 62;
const MEASURED: i64 = 12;
/// Rule groups, over which the rules are spread.
const GROUPS: usize = 20;
const JOBS: usize = 5;

/// As the daemon has it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Targets that are scraped, the ring, and its clock.
struct World {
    ring: Arc<Ring>,
    table: Arc<SeriesTable>,
    clock: ManualClock,
    targets: Vec<Vec<SeriesRef>>,
}

impl World {
    /// `series` in all: two fifths counters, two fifths buckets, a tenth used and a tenth total bytes.
    fn new(series: usize) -> Self {
        let table = Arc::<SeriesTable>::default();
        let of_a_target = series.min(500);
        let target = |target: usize| {
            let (job, instance) = (format!("job-{}", target % JOBS), format!("host-{target}:9100"));
            let series = (0..of_a_target).map(|i| {
                let (a, b) = (format!("{}", i / 5), format!("{}", i % 5));
                let (name, more): (_, &[_]) = match i * 10 / of_a_target {
                    0..4 => ("requests_total", &[("handler", &*a), ("code", &*b)]),
                    4..8 => {
                        ("latency_seconds_bucket", &[("handler", &*a), ("le", if i % 5 == 4 { "+Inf" } else { &*b })])
                    }
                    8 => ("memory_used_bytes", &[("part", &*b), ("rack", &*a)]),
                    _ => ("memory_total_bytes", &[("part", &*b), ("rack", &*a)]),
                };
                let mut pairs = vec![(METRIC_NAME, name), ("job", &*job), ("instance", &*instance)];
                pairs.extend(more);
                table.intern_labels(&Labels::from_pairs(&pairs)).expect("has room")
            });
            series.collect::<Vec<_>>()
        };
        let targets: Vec<_> = (0..series / of_a_target).map(target).collect();
        let clock = ManualClock::new(START);
        let ring = Ring::in_memory(Config::default(), Clock::Manual(clock.clone()), Arc::<SeriesTable>::clone(&table));
        Self { ring: Arc::new(ring.expect("opens")), table, clock, targets }
    }

    fn scrape(&self, tick: i64) -> Timestamp {
        let ts = START + tick * TICK_MS;
        self.clock.set(ts);
        for (target, series) in self.targets.iter().enumerate() {
            let mut batch = Batch::new(GroupId(target as u32), ts);
            let value = |i: usize| (tick * (i as i64 % 17 + 1) + i as i64) as f64;
            batch.floats = series.iter().enumerate().map(|(i, series)| (*series, value(i))).collect();
            self.ring.append(&batch).expect("appends");
        }
        ts
    }

    fn tidy(&self, ts: Timestamp) {
        self.ring.commit().expect("commits");
        while self.ring.maintain(ts).expect("maintains") == Progress::More {}
    }
}

/// Groups count on from the targets.
struct Sink {
    ring: Arc<Ring>,
    groups: Mutex<u32>,
}

impl RuleSink for Sink {
    fn register_group(&self, _: &str, _: &str, _: Duration) -> GroupId {
        let mut groups = self.groups.lock();
        *groups += 1;
        GroupId(*groups)
    }

    fn retire_group(&self, _: GroupId) {}

    fn write(&self, batch: Batch) -> Result<(), StorageError> {
        self.ring.append(&batch)
    }
}

/// Answers every rule with the same results: what is left is the rules' own work.
struct Canned(Vec<Sample>);

impl RuleQueries for Canned {
    fn tick(&self) -> Box<dyn TickQueries + '_> {
        Box::new(Self(self.0.clone()))
    }
}

impl TickQueries for Canned {
    fn eval(&self, _: &Expr, _: Timestamp, _: Option<Earlier<'_>>) -> Result<QueryResult, QueryError> {
        let value = QueryValue::Vector(self.0.clone());
        Ok(QueryResult { value, annotations: Annotations::default(), stats: QueryStats::default() })
    }
}

/// What the process has used up so far: other than wall time, it does not depend on what else the machine does.
fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes the struct that it is given and nothing else.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    assert_eq!(status, 0, "the clock is always there");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Median tick with these rules.
fn tick_time(world: &World, rules: &[String], queries: Option<Canned>) -> Duration {
    let queries: Arc<dyn RuleQueries> = match queries {
        Some(canned) => Arc::new(canned),
        None => Arc::new(EngineQueries::new(Arc::<Engine>::default(), Arc::<Ring>::clone(&world.ring))),
    };
    let mut runner = RuleRunner::new(RuleDeps {
        queries,
        querier: Arc::<Ring>::clone(&world.ring),
        intern: Arc::<SeriesTable>::clone(&world.table),
        sink: Arc::new(Sink { ring: Arc::clone(&world.ring), groups: Mutex::new(world.targets.len() as u32) }),
        notify: Arc::new(NoNotifications),
        clock: Clock::System,
    });
    let file = RuleFile::parse("bench.yml", &yaml(rules)).unwrap_or_else(|errors| panic!("{errors}"));
    let config = RulesConfig { shipped: false, ..RulesConfig::default() };
    for tick in 0..FILL {
        let ts = world.scrape(tick);
        world.tidy(ts);
    }
    runner.load(config.clone(), &[], START);
    runner.load(config, &[file], START + FILL * TICK_MS);
    let mut times = Vec::new();
    for tick in FILL..FILL + MEASURED {
        let ts = world.scrape(tick);
        let before = cpu_time();
        runner.run_due(ts);
        times.push(cpu_time() - before);
        world.tidy(ts);
    }
    let failed = runner.groups().iter().flat_map(|group| &group.rules).find_map(|rule| rule.last_error.clone());
    assert_eq!(failed, None);
    times.sort();
    times[times.len() / 2]
}

fn yaml(rules: &[String]) -> String {
    let group = |(i, rules): (usize, &[String])| {
        let rules: String = rules.iter().map(|rule| format!("  - {rule}\n")).collect();
        format!("- name: bench-{i}\n  interval: 5s\n  rules:\n{rules}")
    };
    let groups: String = rules.chunks(rules.len().div_ceil(GROUPS)).enumerate().map(group).collect();
    format!("groups:\n{groups}")
}

fn alert(i: usize, expr: &str) -> String {
    format!(
        "{{alert: A{i}, expr: '{expr}', for: 1m, labels: {{severity: page}}, \
         annotations: {{summary: '{{{{ $labels.instance }}}} is at {{{{ $value }}}}'}}}}"
    )
}

/// Ten kinds of expressions over the series that the matcher leaves.
fn kind(i: usize, matcher: &str) -> String {
    let (r, b) = (format!("requests_total{{{matcher}}}"), format!("latency_seconds_bucket{{{matcher}}}"));
    let (u, t) = (format!("memory_used_bytes{{{matcher}}}"), format!("memory_total_bytes{{{matcher}}}"));
    match i % 10 {
        0 => format!("sum by (instance) (rate({r}[5m]))"),
        1 => format!("sum by (code) (rate({r}[1m]))"),
        2 => format!("sum by (handler) (rate({r}[4m]))"),
        3 => format!("histogram_quantile(0.99, sum by (le) (rate({b}[5m])))"),
        4 => format!("histogram_quantile(0.9, sum by (instance, le) (rate({b}[2m])))"),
        5 => format!("histogram_quantile(0.5, sum by (handler, le) (rate({b}[3m])))"),
        6 => format!("sum by (instance) (rate({r}[2m])) / sum by (instance) (increase({r}[2m]))"),
        7 => format!("1 - avg by (instance) ({u} / on (instance, part, rack) group_left {t})"),
        8 => format!(
            "sum by (instance, code) (rate({r}[3m])) / on (instance) group_left sum by (instance) (rate({r}[3m]))"
        ),
        _ => format!("max_over_time({u}[5m]) - min_over_time({u}[5m])"),
    }
}

/// Fifty subexpressions with different thresholds.
fn shared(rules: usize) -> Vec<String> {
    let rule = |i: usize| {
        let expr = kind(i, &format!("job=\"job-{}\"", i / 10 % JOBS));
        alert(i, &format!("{expr} > 1e{}", 12 + i / 50))
    };
    (0..rules).map(rule).collect()
}

/// One different expression each, over one target's series of one code.
fn distinct(rules: usize, targets: usize) -> Vec<String> {
    let rule = |i: usize| {
        let (target, turn) = (i % targets, i / targets);
        let matcher = format!("instance=\"host-{target}:9100\", code=\"{}\"", turn % 5);
        alert(i, &format!("sum by (code) (rate(requests_total{{{matcher}}}[{}ms])) > 1e12", 30_000 + turn * 500))
    };
    (0..rules).map(rule).collect()
}

fn alone() {
    let rules: Vec<String> = (0..1000).map(|i| alert(i, &format!("m > {i}"))).collect();
    let recording: Vec<String> = (0..1000).map(|i| format!("{{record: 'r{i}', expr: 'm > {i}'}}")).collect();
    let sample = |i: usize| Sample {
        labels: Labels::from_pairs(&[("job", "bench"), ("instance", &format!("host-{i}"))]),
        ts: 0,
        value: Value::Float(1.0),
    };
    println!(
        "\n1,000 rules with queries that cost nothing:\n\n| each rule gives | ns a rule | ns a result |\n|---|---|---|"
    );
    for (what, rules, results) in [
        ("nothing", &rules, 0),
        ("1 alert", &rules, 1),
        ("20 alerts", &rules, 20),
        ("20 recorded series", &recording, 20),
    ] {
        let canned = Canned((0..results).map(sample).collect());
        let rule_ns = tick_time(&World::new(100), rules, Some(canned)).as_nanos() as f64 / rules.len() as f64;
        println!("| {what} | {rule_ns:.0} | {:.0} |", rule_ns / f64::from(results.max(1) as u32));
    }
}

fn by_series() {
    println!(
        "\n100 rules, ten heavy subexpressions over all series:\n\n| series | ms a tick | ns a series |\n|---|---|---|"
    );
    let rules: Vec<String> = (0..100).map(|i| alert(i, &format!("{} > 1e{}", kind(i, ""), 12 + i / 10))).collect();
    for series in [100, 1_000, 10_000, 100_000] {
        let time = tick_time(&World::new(series), &rules, None);
        println!("| {series} | {:.2} | {:.0} |", time.as_secs_f64() * 1e3, time.as_nanos() as f64 / series as f64);
    }
}

fn by_rules() {
    println!(
        "\n10,000 series:\n\n| rules | shared: ms a tick | µs a rule | distinct: ms a tick | µs a rule |\n|---|---|---|---|---|"
    );
    for count in [10, 100, 1_000, 10_000] {
        let time = |rules: &[String]| tick_time(&World::new(10_000), rules, None).as_secs_f64() * 1e3;
        let (same, different) = (time(&shared(count)), time(&distinct(count, 20)));
        let a_rule = |ms: f64| ms * 1e3 / count as f64;
        println!("| {count} | {same:.2} | {:.1} | {different:.2} | {:.1} |", a_rule(same), a_rule(different));
    }
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    for (name, part) in [("alone", alone as fn()), ("series", by_series), ("rules", by_rules)] {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            part();
        }
    }
}
