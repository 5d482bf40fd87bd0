//! A server over made-up rooms.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::clock::{Clock, ManualClock};
use crate::collect::scrape::{Health, MetricMetadata, PoolView, TargetMetadata, TargetView};
use crate::collect::windows::Windows;
use crate::collect::worker::ProcessQuery;
use crate::http::{
    Bound, Daemon, Edge, EventError, EventLog, EventReceipt, EventSink, HttpConfig, HttpCounters, ListenAddr,
    MetricsPage, Parts, Rules, Running, RuntimeFacts, SnapshotError, StorageFacts, Targets, bind,
};
use crate::ingest::{AgentRoom, Agents, AgentsConfig, NoProcesses, NoRunStore};
use crate::live::Hub;
use crate::model::{
    Alert, AlertState, Batch, Family, GroupId, Intern, Labels, Matcher, MetricKind, Origin, SeriesKey, SeriesRef,
    Timestamp,
};
use crate::profiling::Profiler;
use crate::promql::Engine;
use crate::promql::parser::parse;
use crate::registry::{Latest, RegistryConfig, SeriesTable};
use crate::rules::{AlertSpec, GroupSpec, GroupView, RuleHealth, RuleKind, RuleSpec, RuleView};
use crate::storage::{Column, Querier, Run, SelectRequest, SelectedSeries, Selection, StorageError};
use crate::telemetry::OwnMetrics;
use crate::yaml::Mark;

/// The time of the made-up world.
pub(in crate::http) const NOW: Timestamp = 1_700_000_000_000;

/// Ten minutes of `up` and `node_load1`, once a second; `stuck` waits until it is let go.
pub(in crate::http) struct Memory {
    series: Vec<SelectedSeries>,
    gate: Mutex<Option<mpsc::Receiver<()>>>,
    waiting: AtomicU64,
}

impl Memory {
    fn new() -> Self {
        let times: Arc<[Timestamp]> = (0..600).map(|i| NOW - (599 - i) * 1000).collect();
        let series = |pairs: &[(&str, &str)], value: fn(usize) -> f64| SelectedSeries {
            labels: Labels::from_pairs(pairs),
            runs: vec![Run {
                from: 0,
                to: times.len(),
                values: Column::Floats((0..times.len()).map(value).collect()),
                times: Arc::clone(&times),
                start_times: None,
            }],
        };
        let all = vec![
            series(&[("__name__", "node_load1"), ("job", "node"), ("http.status", "ok")], |i| i as f64 / 3.0),
            series(&[("__name__", "up"), ("job", "app"), ("instance", "a:1")], |_| 0.0),
            series(&[("__name__", "up"), ("job", "node"), ("instance", "b:2")], |_| 1.0),
        ];
        Self { series: all, gate: Mutex::new(None), waiting: AtomicU64::new(0) }
    }

    /// From now on selections of `stuck` wait until the returned sender is dropped.
    pub(super) fn block(&self) -> mpsc::SyncSender<()> {
        let (sender, receiver) = mpsc::sync_channel(1);
        *self.gate.lock() = Some(receiver);
        sender
    }

    /// How many selections wait.
    pub(super) fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::SeqCst)
    }

    fn matching<'a>(&'a self, matchers: &'a [Matcher]) -> impl Iterator<Item = &'a SelectedSeries> {
        self.series.iter().filter(|series| matchers.iter().all(|m| m.matches(series.labels.get(&m.name))))
    }
}

impl Querier for Memory {
    fn select(&self, request: &SelectRequest) -> Result<Selection, StorageError> {
        if request.matchers.iter().any(|matcher| matcher.value == "stuck") {
            self.waiting.fetch_add(1, Ordering::SeqCst);
            if let Some(gate) = self.gate.lock().as_ref() {
                let _ = gate.recv();
            }
        }
        if request.matchers.iter().any(|matcher| matcher.value == "broken") {
            return Err(StorageError::Failed { doing: "reading a segment", reason: "disk on fire".to_owned() });
        }
        let mut found: Vec<SelectedSeries> = self.matching(&request.matchers).cloned().collect();
        for series in &mut found {
            for run in &mut series.runs {
                run.from = run.times.partition_point(|ts| *ts < request.start);
                run.to = run.times.partition_point(|ts| *ts <= request.end);
            }
            series.runs.retain(|run| run.from < run.to);
        }
        found.retain(|series| !series.runs.is_empty());
        Ok(Selection::from_series(found))
    }

    fn series(&self, matchers: &[Matcher], start: Timestamp, end: Timestamp) -> Result<Vec<Labels>, StorageError> {
        let inside = start <= NOW && end >= NOW - 599_000;
        Ok(self.matching(matchers).filter(|_| inside).map(|series| series.labels.clone()).collect())
    }
}

/// A daemon that notes what it was told.
#[derive(Default)]
pub(in crate::http) struct Watched {
    pub(super) ready: Mutex<Option<String>>,
    pub(super) reloads: AtomicU64,
    pub(super) bad_config: Mutex<Option<String>>,
}

impl Daemon for Watched {
    fn ready(&self) -> Result<(), String> {
        self.ready.lock().clone().map_or(Ok(()), Err)
    }

    fn reload(&self) -> Result<(), String> {
        self.reloads.fetch_add(1, Ordering::SeqCst);
        self.bad_config.lock().clone().map_or(Ok(()), Err)
    }

    fn quit(&self) {}

    fn snapshot(&self) -> Result<String, SnapshotError> {
        Ok("20260101T000000Z-0123456789abcdef".to_owned())
    }

    fn config_yaml(&self) -> String {
        "global: {}\n".to_owned()
    }

    fn flags(&self) -> Vec<(String, String)> {
        vec![("web.listen-address".to_owned(), "127.0.0.1:9480".to_owned())]
    }

    fn runtime(&self) -> RuntimeFacts {
        RuntimeFacts { started_at: NOW - 1000, reload_ok: true, config_at: NOW - 500, retention: "15d".to_owned() }
    }

    fn storage(&self) -> StorageFacts {
        StorageFacts { min_time: Some(NOW - 599_000), max_time: Some(NOW), segments: 1, ..StorageFacts::default() }
    }

    fn doctor(&self) -> Value {
        json!([])
    }

    fn collectors(&self) -> Value {
        json!([])
    }

    fn processes(&self, query: &ProcessQuery) -> Value {
        json!([{"sort": format!("{:?}", query.sort), "descending": query.descending, "limit": query.limit}])
    }
}

impl EventSink for Watched {
    fn push(&self, body: &[u8], _: Timestamp) -> Result<EventReceipt, EventError> {
        if body == b"full" {
            return Err(EventError("the queue is full".to_owned()));
        }
        let lines = String::from_utf8_lossy(body).lines().count() as u64;
        let bad = u64::from(body.starts_with(b"bad"));
        let rejected = (bad > 0).then(|| (1, "no JSON".to_owned())).into_iter().collect();
        Ok(EventReceipt { accepted: lines - bad, rejected, rejected_total: bad, over_limit: 0 })
    }
}

impl Rules for Watched {
    fn groups(&self) -> Vec<GroupView> {
        let alert = Alert {
            state: AlertState::Firing,
            labels: Labels::from_pairs(&[("alertname", "Down"), ("severity", "page")]),
            annotations: Labels::from_pairs(&[("summary", "it is down")]),
            value: 0.0,
            active_at: NOW - 2000,
            fired_at: NOW - 1000,
            resolved_at: 0,
            last_sent_at: 0,
            valid_until: 0,
            keep_firing_since: 0,
        };
        let spec = |name: &str, kind| RuleSpec {
            name: name.to_owned(),
            expr: parse("up == 0").expect("valid"),
            query: "up == 0".to_owned(),
            labels: Labels::from_pairs(&[("severity", "page")]),
            kind,
            mark: Mark { line: 4, col: 5 },
        };
        let rule = |spec: RuleSpec, alerts: Vec<Alert>| RuleView {
            spec: Arc::new(spec),
            health: RuleHealth::Ok,
            last_error: None,
            evaluation_time: Duration::from_millis(1),
            last_evaluation: NOW - 1000,
            state: alerts.first().map(|alert| alert.state),
            alerts,
        };
        let alerting = AlertSpec {
            hold: Duration::from_secs(1),
            keep_firing_for: Duration::ZERO,
            annotations: Labels::from_pairs(&[("summary", "it is down")]),
            label_texts: Vec::new(),
            annotation_texts: Vec::new(),
        };
        let group = |name: &str, rule: RuleView| GroupView {
            spec: Arc::new(GroupSpec {
                file: "rules/a.yml".into(),
                name: name.to_owned(),
                interval: None,
                query_offset: None,
                limit: 0,
                rules: vec![Arc::clone(&rule.spec)],
            }),
            interval: Duration::from_secs(1),
            query_offset: Duration::ZERO,
            evaluation_time: Duration::from_millis(2),
            last_evaluation: NOW - 1000,
            missed: 0,
            last_samples: 1,
            rules: vec![rule],
        };
        vec![
            group("alerts", rule(spec("Down", RuleKind::Alerting(Box::new(alerting))), vec![alert])),
            group("records", rule(spec("job:up:sum", RuleKind::Recording), Vec::new())),
        ]
    }
}

impl Targets for Watched {
    fn targets(&self) -> Vec<TargetView> {
        vec![TargetView {
            job: "app".to_owned(),
            instance: "127.0.0.1:8000".to_owned(),
            url: "http://127.0.0.1:8000/metrics".to_owned(),
            discovered: Labels::from_pairs(&[("__address__", "127.0.0.1:8000")]),
            labels: Labels::from_pairs(&[("job", "app"), ("instance", "127.0.0.1:8000")]),
            health: Health::Down,
            last_error: "connection refused".to_owned(),
            last_scrape: NOW - 500,
            last_duration: Duration::from_millis(3),
            last_samples: 0,
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            written: ("1s".to_owned(), "1s".to_owned()),
        }]
    }

    fn pools(&self) -> Vec<PoolView> {
        let dropped = vec![Labels::from_pairs(&[("__address__", "127.0.0.1:8001")])];
        vec![PoolView { job: "app".to_owned(), dropped, dropped_count: 3, problems: Vec::new() }]
    }

    fn metadata(&self) -> Vec<TargetMetadata> {
        let fact = MetricMetadata { kind: MetricKind::Counter, help: "Requests.".to_owned(), unit: String::new() };
        let labels = Labels::from_pairs(&[("job", "app")]);
        vec![TargetMetadata { labels, metrics: vec![("app_requests_total".to_owned(), fact)] }]
    }
}

/// A running server with what it stands on.
pub(in crate::http) struct World {
    pub(in crate::http) addr: SocketAddr,
    pub(in crate::http) memory: Arc<Memory>,
    pub(in crate::http) daemon: Arc<Watched>,
    pub(in crate::http) hub: Arc<Hub>,
    pub(in crate::http) table: Arc<SeriesTable>,
    pub(in crate::http) latest: Arc<Latest>,
    pub(in crate::http) profiler: Profiler,
    pub(in crate::http) edge: Arc<Edge>,
    running: Option<Running>,
}

/// The default configuration on a free port.
pub(in crate::http) fn config() -> HttpConfig {
    HttpConfig { listen: vec![ListenAddr { host: "127.0.0.1".to_owned(), port: 0 }], ..HttpConfig::default() }
}

impl World {
    pub(in crate::http) fn new() -> Self {
        Self::with(config())
    }

    pub(in crate::http) fn with(config: HttpConfig) -> Self {
        let bound: Bound = bind(&config).expect("a free port");
        let memory = Arc::new(Memory::new());
        let daemon = Arc::new(Watched::default());
        let hub = Arc::new(Hub::new());
        let table = Arc::new(SeriesTable::new(RegistryConfig::default()));
        let latest = Arc::new(Latest::new(Arc::clone(&table)));
        let own = Arc::new(OwnMetrics::new(false));
        let counters = Arc::new(HttpCounters::default());
        own.register(Arc::clone(&counters) as _);
        let profiler = Profiler::default();
        let room =
            AgentRoom { intern: Arc::clone(&table) as _, processes: Arc::new(NoProcesses), runs: Arc::new(NoRunStore) };
        let agents = Arc::new(Agents::new(AgentsConfig::default(), room));
        let parts = Parts {
            clock: Clock::Manual(ManualClock::new(NOW)),
            engine: Arc::new(Engine::default()),
            querier: Arc::clone(&memory) as _,
            table: Arc::clone(&table),
            latest: Arc::clone(&latest),
            metrics: Arc::new(MetricsPage::new(Arc::clone(&latest), own)),
            live: Arc::clone(&hub),
            rules: Arc::clone(&daemon) as _,
            targets: Arc::clone(&daemon) as _,
            events: Arc::clone(&daemon) as _,
            log: Arc::new(EventLog::new(Arc::clone(&hub))),
            agents: Arc::clone(&agents),
            windows: Arc::new(Windows::new(Arc::clone(&table) as Arc<dyn Intern>)),
            daemon: Arc::clone(&daemon) as _,
            profiler: profiler.clone(),
            counters,
        };
        let edge = Arc::new(Edge::new(config, parts).expect("a good token file"));
        let running = bound.serve(Arc::clone(&edge)).expect("threads");
        let addr = running.addrs()[0];
        Self { addr, memory, daemon, hub, table, latest, profiler, edge, running: Some(running) }
    }

    /// A tick of one own gauge in group 1.
    pub(in crate::http) fn tick(&self, ts: Timestamp, value: f64) -> SeriesRef {
        let family =
            Family { name: "node_load1".into(), kind: MetricKind::Gauge, unit: "".into(), help: "Load.".into() };
        let key = SeriesKey { family: &family, name: "node_load1", labels: &[], origin: Origin::Own { job: "node" } };
        let series = self.table.intern(key).expect("room");
        let mut batch = Batch::new(GroupId(1), ts);
        batch.floats.push((series, value));
        self.latest.update(&batch);
        self.hub.publish(Arc::new(batch));
        series
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.shutdown(Duration::from_secs(5));
        }
    }
}
