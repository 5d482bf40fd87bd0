use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::runner::SharedGroups;
use super::*;
use crate::clock::{Clock, ManualClock};
use crate::model::*;
use crate::promql::parser::{Expr, parse_metric};
use crate::promql::{Annotations, QueryError, QueryResult, QueryStats, QueryValue, Sample};
use crate::registry::SeriesTable;
use crate::storage::{Column, Querier, Run, SelectRequest, SelectedSeries, Selection, StorageError};

/// A whole little world: queries by table, series by counter, samples as text.
#[derive(Default)]
pub(super) struct World {
    /// Query text → results as `name{labels} value`, or an error.
    answers: Mutex<HashMap<String, Result<Vec<String>, String>>>,
    table: Arc<SeriesTable>,
    /// Everything that was written, oldest first.
    written: Mutex<Vec<(Timestamp, Labels, f64)>>,
    sent: Mutex<Vec<String>>,
    /// How many ticks were begun, and how many expressions evaluated.
    ticks: AtomicU32,
    /// Samples of the same tick that each query could read.
    seen: Mutex<Vec<(String, usize)>>,
}

impl World {
    fn answer(&self, query: &str, results: &[&str]) {
        self.answers.lock().insert(query.into(), Ok(results.iter().map(ToString::to_string).collect()));
    }

    fn fail(&self, query: &str) {
        self.answers.lock().insert(query.into(), Err("no such luck".into()));
    }

    /// What was written since the last call, one `labels value` a line, sorted; markers as words.
    fn take_written(&self) -> Vec<String> {
        let word = |value: f64| match value {
            value if is_stale(value) => "stale".to_owned(),
            value => format_float(value),
        };
        let mut written = self.written.lock();
        let mut list: Vec<String> = written.iter().map(|(_, labels, v)| format!("{labels} {}", word(*v))).collect();
        written.clear();
        list.sort();
        list
    }
}

impl RuleQueries for World {
    fn tick(&self) -> Box<dyn TickQueries + '_> {
        self.ticks.fetch_add(1, Ordering::Relaxed);
        Box::new(Tick(self))
    }
}

struct Tick<'a>(&'a World);

impl TickQueries for Tick<'_> {
    fn eval(&self, expr: &Expr, ts: Timestamp, earlier: Option<Earlier<'_>>) -> Result<QueryResult, QueryError> {
        let text = expr.to_string();
        self.0.seen.lock().push((text.clone(), earlier.map_or(0, |earlier| earlier.samples.len())));
        let answers = self.0.answers.lock();
        let lines = answers.get(&text).cloned().unwrap_or(Ok(Vec::new())).map_err(QueryError::Execution)?;
        let sample = |line: String| {
            let (labels, value) = line.rsplit_once(' ').expect("labels and value");
            let labels = parse_metric(labels).expect("labels");
            Sample { labels, ts, value: Value::Float(parse_float(value).expect("a number")) }
        };
        let value = QueryValue::Vector(lines.into_iter().map(sample).collect());
        Ok(QueryResult { value, annotations: Annotations::default(), stats: QueryStats::default() })
    }
}

impl RuleSink for World {
    fn register_group(&self, _file: &str, _name: &str, _interval: Duration) -> GroupId {
        GroupId(0)
    }

    fn retire_group(&self, _group: GroupId) {}

    fn write(&self, batch: Batch) -> Result<(), StorageError> {
        for (series, value) in &batch.floats {
            let labels = self.table.labels(*series).expect("a living series");
            self.written.lock().push((batch.ts, labels, *value));
        }
        Ok(())
    }
}

impl NotifySink for World {
    fn notify(&self, notice: Notice) {
        let word =
            |alert: &Alert| format!("{} {}", alert.labels, if alert.resolved_at == 0 { "firing" } else { "resolved" });
        self.sent.lock().extend(notice.alerts.iter().map(word));
    }
}

/// Reads back what an earlier life wrote.
struct History(Vec<(Timestamp, Labels, f64)>);

impl Querier for History {
    fn select(&self, request: &SelectRequest) -> Result<Selection, StorageError> {
        let matches = |labels: &Labels| request.matchers.iter().all(|m| m.matches(labels.get(&m.name)));
        let mut found: HashMap<Labels, (Vec<Timestamp>, Vec<f64>)> = HashMap::new();
        for (ts, labels, value) in &self.0 {
            if (request.start..=request.end).contains(ts) && matches(labels) {
                let columns = found.entry(labels.clone()).or_default();
                columns.0.push(*ts);
                columns.1.push(*value);
            }
        }
        let series = found.into_iter().map(|(labels, (times, values))| {
            let to = times.len();
            let run =
                Run { times: times.into(), start_times: None, values: Column::Floats(values.into()), from: 0, to };
            SelectedSeries { labels, runs: vec![run] }
        });
        Ok(Selection::from_series(series.collect()))
    }

    fn series(&self, _: &[Matcher], _: Timestamp, _: Timestamp) -> Result<Vec<Labels>, StorageError> {
        Ok(Vec::new())
    }
}

struct Bench {
    world: Arc<World>,
    runner: RuleRunner,
    shown: SharedGroups,
    clock: ManualClock,
}

const MIN: i64 = 60_000;

impl Bench {
    fn new(rules: &str) -> Self {
        let mut bench = Self::with_history(Vec::new());
        // Not the first load, so nothing is restored.
        bench.runner.load(config(), &[], 0);
        bench.load(rules);
        bench
    }

    fn with_history(history: Vec<(Timestamp, Labels, f64)>) -> Self {
        let (world, shown) = (Arc::<World>::default(), SharedGroups::new(ArcSwap::default()));
        let clock = ManualClock::new(1);
        let deps = RuleDeps {
            queries: world.clone(),
            querier: Arc::new(History(history)),
            intern: world.table.clone(),
            sink: world.clone(),
            notify: world.clone(),
            clock: Clock::Manual(clock.clone()),
        };
        let runner = RuleRunner::sharing(deps, Arc::default(), shown.clone());
        Self { world, runner, shown, clock }
    }

    fn load(&mut self, rules: &str) {
        let file = RuleFile::parse("r.yml", rules).expect("good rules");
        let now = Clock::Manual(self.clock.clone()).now();
        self.runner.load(config(), &[file], now);
    }

    fn at(&mut self, now: Timestamp) {
        self.clock.set(now);
        self.runner.run_due(now);
    }

    fn view(&self) -> GroupView {
        self.shown.load()[0].view()
    }
}

fn config() -> RulesConfig {
    RulesConfig { evaluation_interval: Duration::from_secs(60), files: vec![PathBuf::new()], ..RulesConfig::default() }
}

fn group(rules: &[&str]) -> String {
    let rules: String = rules.iter().map(|rule| format!("  - {rule}\n")).collect();
    format!("groups:\n- name: g\n  rules:\n{rules}")
}

#[test]
fn records_ends_and_holds() {
    let mut bench = Bench::new(&group(&["{record: r, expr: x, labels: {team: a}}"]));
    bench.world.answer("x", &["x{l=\"1\"} 1", "x{l=\"2\"} 2"]);
    bench.at(MIN);
    assert_eq!(bench.world.take_written(), [r#"r{l="1", team="a"} 1"#, r#"r{l="2", team="a"} 2"#]);
    bench.world.answer("x", &["x{l=\"2\"} 3"]);
    bench.at(2 * MIN);
    assert_eq!(bench.world.take_written(), [r#"r{l="1", team="a"} stale"#, r#"r{l="2", team="a"} 3"#]);
    bench.world.fail("x");
    bench.at(3 * MIN);
    assert!(bench.world.take_written().is_empty(), "a failing rule ends nothing");
    let rule = &bench.view().rules[0];
    assert_eq!((rule.health, rule.last_error.as_deref()), (RuleHealth::Err, Some("no such luck")));
    bench.world.answer("x", &[]);
    bench.at(4 * MIN);
    assert_eq!(bench.world.take_written(), [r#"r{l="2", team="a"} stale"#]);
    assert_eq!(bench.view().rules[0].health, RuleHealth::Ok);
    assert_eq!(bench.world.table.held(), 0, "all series are given back");
}

#[test]
fn later_rules_see_what_earlier_ones_wrote() {
    let mut bench = Bench::new(&group(&["{record: a, expr: x}", "{record: b, expr: sum(a)}", "{record: c, expr: y}"]));
    bench.world.answer("x", &["x 1"]);
    bench.at(MIN);
    assert_eq!(*bench.world.seen.lock(), [("x".into(), 0), ("sum(a)".into(), 1), ("y".into(), 0)]);
}

#[test]
fn an_alert_lives_and_is_told_of() {
    let mut bench = Bench::new(&group(&["{alert: A, expr: x > 0, for: 1m, labels: {severity: page}}"]));
    bench.world.answer("x > 0", &["x{l=\"1\"} 1"]);
    bench.at(MIN);
    assert_eq!(
        bench.world.take_written(),
        [
            r#"ALERTS_FOR_STATE{alertname="A", l="1", severity="page"} 60"#,
            r#"ALERTS{alertname="A", alertstate="pending", l="1", severity="page"} 1"#
        ]
    );
    bench.at(2 * MIN);
    assert_eq!(
        bench.world.take_written(),
        [
            r#"ALERTS_FOR_STATE{alertname="A", l="1", severity="page"} 60"#,
            r#"ALERTS{alertname="A", alertstate="firing", l="1", severity="page"} 1"#,
            r#"ALERTS{alertname="A", alertstate="pending", l="1", severity="page"} stale"#
        ]
    );
    let rule = &bench.view().rules[0];
    assert_eq!((rule.state, rule.alerts.len(), rule.alerts[0].fired_at), (Some(AlertState::Firing), 1, 2 * MIN));
    bench.world.answer("x > 0", &[]);
    bench.at(3 * MIN);
    assert_eq!(bench.world.take_written().len(), 2, "both series end");
    let sent = bench.world.sent.lock().join(", ");
    assert_eq!(
        sent,
        r#"{alertname="A", l="1", severity="page"} firing, {alertname="A", l="1", severity="page"} resolved"#
    );
}

#[test]
fn two_rules_may_write_one_series() {
    let mut bench = Bench::new(&group(&["{record: r, expr: x}", "{record: r, expr: y}"]));
    bench.world.answer("x", &["x 1"]);
    bench.world.answer("y", &["y 1"]);
    bench.at(MIN);
    assert_eq!(bench.world.take_written(), ["r 1"], "equal values are one sample");
    bench.world.answer("y", &["y 2"]);
    bench.at(2 * MIN);
    assert_eq!(bench.world.take_written(), ["r 1"]);
    assert!(bench.view().rules[1].last_error.as_deref().is_some_and(|e| e.starts_with("duplicate sample")));
    bench.world.answer("x", &[]);
    bench.at(3 * MIN);
    assert_eq!(bench.world.take_written(), ["r 2"], "the series goes on with the other rule");
    bench.world.answer("y", &[]);
    bench.at(4 * MIN);
    assert_eq!(bench.world.take_written(), ["r stale"]);
}

#[test]
fn a_reload_keeps_what_did_not_change() {
    let alert = "{alert: A, expr: x > 0, for: 5m}";
    let mut bench = Bench::new(&group(&[alert, "{record: old, expr: y}"]));
    bench.world.answer("x > 0", &["x 1"]);
    bench.world.answer("y", &["y 1"]);
    bench.at(MIN);
    bench.world.take_written();
    // The alert's expression and `for` change; it is still the same alert.
    bench.load(&group(&["{record: new, expr: y}", "{alert: A, expr: x > 0, for: 3m}"]));
    bench.at(2 * MIN);
    assert_eq!(
        bench.world.take_written(),
        [
            r#"ALERTS_FOR_STATE{alertname="A"} 60"#,
            r#"ALERTS{alertname="A", alertstate="pending"} 1"#,
            "new 1",
            "old stale"
        ]
    );
    bench.at(4 * MIN);
    assert_eq!(bench.view().rules[1].state, Some(AlertState::Firing), "pending since minute 1");
    // The group goes: its series end two intervals later.
    bench.world.take_written();
    bench.load("groups: []");
    bench.at(5 * MIN);
    assert!(bench.world.take_written().is_empty());
    bench.at(6 * MIN);
    assert_eq!(bench.world.take_written().len(), 3);
}

#[test]
fn an_unchanged_group_is_not_touched() {
    let mut bench = Bench::new(&group(&["{record: r, expr: x}"]));
    bench.at(MIN);
    let before = Arc::as_ptr(&bench.shown.load()[0]);
    bench.load(&group(&["{record: r, expr: 'x'}"]));
    assert_eq!(before, Arc::as_ptr(&bench.shown.load()[0]));
}

#[test]
fn for_comes_back_after_a_restart() {
    let labels = |name: &str| Labels::from_pairs(&[("__name__", "ALERTS_FOR_STATE"), ("alertname", name), ("l", "1")]);
    // Active since minute 1, last seen in minute 11; a stale one; the restart is in minute 31.
    let history = vec![
        (11 * MIN, labels("A"), 60.0),
        (10 * MIN, labels("Gone"), 60.0),
        (11 * MIN, labels("Gone"), stale_marker()),
        (11 * MIN, labels("Short"), 60.0),
    ];
    let mut bench = Bench::with_history(history);
    bench.clock.set(31 * MIN);
    bench.load(&group(&[
        "{alert: A, expr: x, for: 30m}",
        "{alert: Gone, expr: x, for: 30m}",
        "{alert: Short, expr: x, for: 5m}",
    ]));
    bench.world.answer("x", &["x{l=\"1\"} 1"]);
    bench.at(31 * MIN);
    bench.at(32 * MIN);
    assert!(bench.world.take_written().is_empty(), "nothing may hide the history before it is read");
    let active_at: Vec<i64> = bench.view().rules.iter().map(|rule| rule.alerts[0].active_at / MIN).collect();
    // 10 of 30 minutes had passed; the outage of 21 minutes does not count.
    assert_eq!(active_at, [22, 31, 31]);
    bench.at(33 * MIN);
    assert_eq!(bench.world.take_written().len(), 6);
}

#[test]
fn limits_offsets_and_missed_slots() {
    let mut bench =
        Bench::new("groups:\n- name: g\n  limit: 1\n  query_offset: 30s\n  rules:\n  - {record: r, expr: x}\n");
    bench.world.answer("x", &["x 1"]);
    bench.at(MIN);
    assert_eq!(bench.world.written.lock()[0].0, 30_000, "samples carry the time of the query");
    bench.world.answer("x", &["x{l=\"1\"} 1", "x{l=\"2\"} 1"]);
    bench.at(5 * MIN + 1);
    let view = bench.view();
    assert_eq!((view.missed, view.last_evaluation), (3, 5 * MIN + 1));
    assert_eq!(view.rules[0].last_error.as_deref(), Some("exceeded limit of 1 with 2 series"));
}
