//! Rules with the real engine over a store in memory, and the manager's task.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::*;
use crate::clock::{Clock, ManualClock};
use crate::model::*;
use crate::promql::Engine;
use crate::promql::testlang::MemoryStore;
use crate::registry::SeriesTable;
use crate::storage::{Querier, SelectRequest, Selection, Stop, StorageError};

/// A store that rules write to as to the ring.
struct Store {
    memory: Mutex<MemoryStore>,
    table: Arc<SeriesTable>,
    notices: mpsc::Sender<Notice>,
}

impl Querier for Store {
    fn select(&self, request: &SelectRequest) -> Result<Selection, StorageError> {
        self.memory.lock().select(request)
    }

    fn series(&self, matchers: &[Matcher], start: Timestamp, end: Timestamp) -> Result<Vec<Labels>, StorageError> {
        self.memory.lock().series(matchers, start, end)
    }
}

impl RuleSink for Store {
    fn register_group(&self, _file: &str, _name: &str, _interval: Duration) -> GroupId {
        GroupId(0)
    }

    fn retire_group(&self, _group: GroupId) {}

    fn write(&self, batch: Batch) -> Result<(), StorageError> {
        for (series, value) in &batch.floats {
            let labels = self.table.labels(*series).expect("a living series");
            self.memory.lock().append(&labels, batch.ts, 0, Value::Float(*value));
        }
        Ok(())
    }
}

impl NotifySink for Store {
    fn notify(&self, notice: Notice) {
        self.notices.try_send(notice).expect("the test reads them");
    }
}

fn world(clock: Clock) -> (Arc<Store>, RuleDeps, mpsc::Receiver<Notice>) {
    let (notices, inbox) = mpsc::channel(64);
    let table = Arc::<SeriesTable>::default();
    let store = Arc::new(Store { memory: Mutex::default(), table: table.clone(), notices });
    let deps = RuleDeps {
        queries: Arc::new(EngineQueries::new(Arc::new(Engine::default()), store.clone())),
        querier: store.clone(),
        intern: table,
        sink: store.clone(),
        notify: store.clone(),
        clock,
    };
    (store, deps, inbox)
}

#[test]
fn a_chain_of_rules_is_up_to_date_within_one_tick() {
    let (store, deps, mut inbox) = world(Clock::Manual(ManualClock::new(1)));
    let mut runner = RuleRunner::new(deps);
    let text = "groups:\n- name: g\n  rules:\n  - {record: r, expr: sum(x)}\n  - {alert: A, expr: r > 5}\n  - {record: firing, expr: 'count(ALERTS{alertstate=\"firing\"})'}\n  - {record: ratio, expr: 'sum(x) / r'}\n";
    let file = RuleFile::parse("r.yml", text).expect("good");
    let config = RulesConfig { evaluation_interval: Duration::from_secs(60), ..RulesConfig::default() };
    runner.load(config.clone(), &[], 0);
    runner.load(config, &[file], 1);
    let value = |labels: &str, ts: Timestamp| {
        let matchers = crate::promql::parser::parse_selector(labels).expect("a selector");
        let request =
            SelectRequest { matchers, start: ts, end: ts, last_only: false, max_samples: 10, stop: Stop::never() };
        let series = store.select(&request).expect("in memory").into_series();
        let (mut times, mut values) = (Vec::new(), Vec::new());
        series.iter().flat_map(|series| &series.runs).for_each(|run| run.floats_into(&mut times, &mut values));
        values
    };
    let x = Labels::from_pairs(&[("__name__", "x")]);
    for (ts, x_value, ratio, firing) in
        [(60_000, 3.0, 1.0, None), (120_000, 6.0, 1.0, Some(1.0)), (180_000, 1.0, 1.0, None)]
    {
        store.memory.lock().append(&x, ts, 0, Value::Float(x_value));
        runner.run_due(ts);
        assert!(runner.groups()[0].rules.iter().all(|rule| rule.health == RuleHealth::Ok), "at {ts}");
        assert_eq!((value("r", ts), value("ratio", ts)), (vec![x_value], vec![ratio]), "at {ts}");
        let counted: Vec<f64> = value("firing", ts).into_iter().filter(|value| !is_stale(*value)).collect();
        assert_eq!(counted, Vec::from_iter(firing), "at {ts}");
    }
    let states: Vec<bool> =
        std::iter::from_fn(|| inbox.try_recv().ok()).map(|n| n.alerts[0].resolved_at == 0).collect();
    assert_eq!(states, [true, false], "fired, then resolved");
}

#[test]
fn shipped_rules_evaluate_on_an_empty_store() {
    let (_, deps, _) = world(Clock::Manual(ManualClock::new(1)));
    let mut runner = RuleRunner::new(deps);
    let files: Vec<RuleFile> = SHIPPED.iter().map(|f| RuleFile::parse(f.name, f.text).expect("good")).collect();
    runner.load(RulesConfig::default(), &files, 1);
    runner.run_due(60_000);
    for rule in runner.groups().iter().flat_map(|group| &group.rules) {
        assert_eq!((rule.health, &rule.last_error), (RuleHealth::Ok, &None), "{}", rule.spec.name);
    }
}

#[tokio::test]
async fn the_manager_evaluates_reloads_and_ends() {
    let clock = ManualClock::new(60_000);
    let (_, deps, mut inbox) = world(Clock::Manual(clock.clone()));
    let (manager, task) = RuleManager::start(deps, None);
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("a.yml");
    std::fs::write(&path, "groups:\n- {name: g, interval: 60s, rules: [{alert: A, expr: vector(1)}]}\n")
        .expect("written");
    let config = RulesConfig { files: vec![dir.path().join("*.yml")], shipped: false, ..RulesConfig::default() };
    let summary = manager.load(config.clone()).await.expect("good rules");
    assert_eq!((summary.files, summary.groups, summary.rules), (1, 1, 1));

    // The minute is a slot of the group: it is due at once.
    let notice = tokio::time::timeout(Duration::from_secs(20), inbox.recv()).await.expect("in time").expect("a notice");
    assert_eq!((notice.rule.name.as_str(), notice.alerts[0].fired_at), ("A", 60_000));
    assert_eq!(manager.alerts().len(), 1);

    std::fs::write(&path, "groups:\n- {name: g, rules: [{alert: A, expr: 'vector('}]}\n").expect("written");
    let error = manager.load(config).await.expect_err("a bad file").to_string();
    assert!(error.contains("a.yml:2:"), "{error}");

    // The notice came in the middle of the evaluation; this waits for its end.
    manager.shutdown().await;
    tokio::time::timeout(Duration::from_secs(20), task).await.expect("in time").expect("no panic");
    assert_eq!(manager.groups()[0].rules[0].state, Some(AlertState::Firing), "the rules before go on");
}
