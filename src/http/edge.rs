//! What the handlers share.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tokio::sync::{Semaphore, watch};

use super::counters::HttpCounters;
use super::guard::{Guard, TokenError};
use super::metrics::MetricsPage;
use super::own::EventLog;
use super::ports::{Daemon, EventSink, Rules, Targets};
use super::routes;
use super::server::HttpConfig;
use crate::clock::Clock;
use crate::collect::windows::Windows;
use crate::ingest::Agents;
use crate::limits;
use crate::live::Hub;
use crate::profiling::{Profiler, RuntimeHandle};
use crate::promql::Engine;
use crate::registry::{Latest, SeriesTable};
use crate::storage::Querier;

/// The rooms that the edge speaks to; `app` fills it in.
pub struct Parts {
    /// The time.
    pub clock: Clock,
    /// Evaluates queries.
    pub engine: Arc<Engine>,
    /// What queries read.
    pub querier: Arc<dyn Querier>,
    /// The series that are known now.
    pub table: Arc<SeriesTable>,
    /// Their newest values.
    pub latest: Arc<Latest>,
    /// `/metrics`.
    pub metrics: Arc<MetricsPage>,
    /// Ticks as they come.
    pub live: Arc<Hub>,
    /// The rules.
    pub rules: Arc<dyn Rules>,
    /// The scrape targets.
    pub targets: Arc<dyn Targets>,
    /// Takes pushed events.
    pub events: Arc<dyn EventSink>,
    /// What happened.
    pub log: Arc<EventLog>,
    /// Takes heartbeats, and knows who sent them.
    pub agents: Arc<Agents>,
    /// Rolling windows; takes the times of pages' frames.
    pub windows: Arc<Windows>,
    /// The daemon as a whole.
    pub daemon: Arc<dyn Daemon>,
    /// Profiles.
    pub profiler: Profiler,
    /// Counters of the edge, registered with the daemon's own metrics.
    pub counters: Arc<HttpCounters>,
}

/// Everything that a handler may need.
pub struct Edge {
    pub(super) config: HttpConfig,
    pub(super) guard: Guard,
    pub(super) clock: Clock,
    pub(super) engine: Arc<Engine>,
    pub(super) querier: Arc<dyn Querier>,
    pub(super) table: Arc<SeriesTable>,
    pub(super) latest: Arc<Latest>,
    pub(super) metrics: Arc<MetricsPage>,
    pub(super) live: Arc<Hub>,
    pub(super) rules: Arc<dyn Rules>,
    pub(super) targets: Arc<dyn Targets>,
    pub(super) events: Arc<dyn EventSink>,
    pub(super) log: Arc<EventLog>,
    pub(super) agents: Arc<Agents>,
    pub(super) windows: Arc<Windows>,
    pub(super) daemon: Arc<dyn Daemon>,
    pub(super) profiler: Profiler,
    pub(super) counters: Arc<HttpCounters>,
    /// Places for reading requests; the rest waits without holding a thread.
    pub(super) query_places: Arc<Semaphore>,
    /// Places for sockets; the hub counts the streams.
    pub(super) sockets: Arc<Semaphore>,
    /// Becomes true when the server stops: streams and sockets end then.
    pub(super) stop: watch::Sender<bool>,
    runtimes: RwLock<Vec<RuntimeHandle>>,
}

impl Edge {
    /// The edge of these rooms.
    ///
    /// # Errors
    /// When the token file cannot be used.
    pub fn new(config: HttpConfig, parts: Parts) -> Result<Self, TokenError> {
        let guard = Guard::new(&config, routes::scopes(&config.route_prefix))?;
        let Parts {
            clock,
            engine,
            querier,
            table,
            latest,
            metrics,
            live,
            rules,
            targets,
            events,
            log,
            agents,
            windows,
            daemon,
            profiler,
            counters,
        } = parts;
        let query_places = Arc::new(Semaphore::new(engine.config().max_concurrent.max(1)));
        Ok(Self {
            config,
            guard,
            clock,
            engine,
            querier,
            table,
            latest,
            metrics,
            live,
            rules,
            targets,
            events,
            log,
            agents,
            windows,
            daemon,
            profiler,
            counters,
            query_places,
            sockets: Arc::new(Semaphore::new(limits::MAX_LIVE_SUBSCRIBERS)),
            stop: watch::Sender::new(false),
            runtimes: RwLock::default(),
        })
    }

    /// Adds a runtime to what `/debug/pprof/tasks` shows.
    pub fn add_runtime(&self, runtime: RuntimeHandle) {
        self.runtimes.write().push(runtime);
    }

    /// Reads the token file again; for a reload that does not come through HTTP.
    ///
    /// # Errors
    /// When the file cannot be used; the old token stays.
    pub fn reload_token(&self) -> Result<(), TokenError> {
        self.guard.reload_token()
    }

    /// The longest that an answer may take: `--query.timeout`.
    pub(super) fn patience(&self) -> Duration {
        self.engine.config().timeout
    }

    pub(super) fn runtimes(&self) -> Vec<RuntimeHandle> {
        self.runtimes.read().clone()
    }

    /// A path without the route prefix.
    pub(super) fn unprefixed<'a>(&self, path: &'a str) -> &'a str {
        path.strip_prefix(self.config.route_prefix.as_str()).unwrap_or(path)
    }
}

/// Waits until the server stops.
pub(super) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the edge is gone, which is the end too.
    let _ = stop.wait_for(|stop| *stop).await;
}
