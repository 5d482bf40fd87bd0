//! Start and end of the whole: bind, open, collect, evaluate, serve; then the same backwards.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use parking_lot::RwLock;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::clock::Clock;
use crate::collect::demo::DemoAgents;
use crate::collect::llm::ModelPoller;
use crate::collect::scrape::Scraper;
use crate::collect::windows::{Tap, Windows};
use crate::http::{self, Bound, Edge, EventLog, HttpCounters, MetricsPage, Parts, Running};
use crate::ingest::{Agents, Events, EventsConfig};
use crate::live::Hub;
use crate::model::{Intern, Output};
use crate::net::HttpClient;
use crate::pipeline::{Pipeline, SourceClock};
use crate::profiling::{Profiler, RuntimeHandle};
use crate::promql::Engine;
use crate::registry::{Latest, RegistryConfig, SeriesTable};
use crate::rules::{EngineQueries, NoNotifications, RuleDeps, RuleManager, WaitForSources};
use crate::storage::{Querier, Ring, StorageError};
use crate::telemetry::{Logging, OwnMetrics};

use super::Settings;
use super::agents::agents;
use super::collecting::{Collecting, CollectingRooms};
use super::daemon::DaemonPort;
use super::live::LiveEvents;
use super::reload::Reloader;
use super::store::{DirectSink, RingStore};
use super::tasks::Maintenance;
use super::up::Views;
use super::{banner, counters};

/// Threads for rule evaluation and name look-ups.
const BLOCKING_THREADS: usize = 4;
/// How long answers under way may take when we stop.
const HTTP_PATIENCE: Duration = Duration::from_secs(3);

/// Why a start failed: one sentence each.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Addresses, token file, authentication.
    #[error(transparent)]
    Http(#[from] http::HttpError),
    /// The bearer token.
    #[error(transparent)]
    Token(#[from] http::TokenError),
    /// The history.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The rule files.
    #[error("{0}")]
    Rules(String),
    /// The system gives no thread or runtime.
    #[error("cannot start threads: {0}")]
    Threads(#[from] std::io::Error),
}

/// A running watchfire.
pub struct App {
    runtime: tokio::runtime::Runtime,
    settings: Arc<Settings>,
    reloader: Arc<Reloader>,
    quit: watch::Sender<bool>,
    server: Running,
    collecting: Arc<Collecting>,
    agents: Arc<Agents>,
    maintenance: Maintenance,
    pipeline: Pipeline,
    ring: Arc<Ring>,
    url: String,
}

/// The rooms that everything else is built on.
struct Ground {
    clock: Clock,
    table: Arc<SeriesTable>,
    latest: Arc<Latest>,
    hub: Arc<Hub>,
    ring: Arc<Ring>,
    pipeline: Pipeline,
    own: Arc<OwnMetrics>,
    windows: Arc<Windows>,
    instance: String,
}

impl App {
    /// Binds, opens the history and starts everything.
    ///
    /// # Errors
    /// [`StartError`]; nothing keeps running then.
    pub fn start(settings: Settings, logging: Logging) -> Result<Self, StartError> {
        super::open_files::raise();
        let clock = Clock::System;
        let bound = http::bind(&settings.http)?;
        let settings = Arc::new(settings);
        let (instance, url) = names(&settings, &bound);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(BLOCKING_THREADS)
            .thread_name("watchfire-main")
            .enable_all()
            .build()?;
        let _inside = runtime.enter();
        let ground = Ground::open(&settings, clock.clone(), instance)?;
        let maintenance = Maintenance::start(Arc::clone(&ground.ring), clock.clone())?;
        let engine = Arc::new(Engine::new(settings.queries.clone()));
        let rules = ground.start_rules(&engine);
        let client = HttpClient::default();
        let handle = runtime.handle().clone();
        let output = || ground.output();
        let intern = || Arc::clone(&ground.table) as Arc<dyn Intern>;
        let scraper = Arc::new(Scraper::new(clock.clone(), intern(), output(), handle.clone()));
        let models = Arc::new(ModelPoller::new(client, clock.clone(), intern(), output(), handle.clone()));
        let events_group = ground.pipeline.register_group("events");
        let events = Arc::new(Events::new(EventsConfig::default(), intern(), events_group));
        let demo = settings.demo.map(|seed| DemoAgents::new(seed, clock.now()));
        let of_demo = demo.map(|demo| (demo, clock.clone()));
        let agents = agents(&settings.roots, intern(), Arc::clone(&ground.ring), of_demo);
        let views = Views::default();
        let log = Arc::new(EventLog::open(Arc::clone(&ground.ring) as _, Arc::clone(&ground.hub)));
        let rooms = CollectingRooms {
            settings: Arc::clone(&settings),
            clock: clock.clone(),
            intern: intern(),
            output: output(),
            group: ground.pipeline.register_group("live"),
            hub: Arc::clone(&ground.hub),
            windows: Arc::clone(&ground.windows),
            own: Arc::clone(&ground.own),
            views: Arc::clone(&views),
            events: Arc::clone(&events),
            agents: Arc::clone(&agents),
            log: Arc::clone(&log),
            instance: ground.instance.clone(),
            demo,
            worker_counters: Arc::default(),
        };
        let collecting = Arc::new(Collecting::start(rooms)?);
        let reloader = Arc::new(Reloader {
            config: RwLock::new(settings.config.clone()),
            waiting: RwLock::default(),
            watched_files: AtomicU64::new(0),
            discovery_files: Arc::default(),
            collecting: Arc::clone(&collecting),
            reloading: parking_lot::Mutex::default(),
            settings: Arc::clone(&settings),
            url: url.clone(),
            rules: rules.clone(),
            scraper: Arc::clone(&scraper),
            models,
            table: Arc::clone(&ground.table),
            own: Arc::clone(&ground.own),
            clock: clock.clone(),
            runtime: handle.clone(),
        });
        runtime.block_on(reloader.apply(&settings.config)).map_err(StartError::Rules)?;
        ground.own.config_loaded(true, clock.now());
        let (quit, _) = watch::channel(false);
        let http_counters = Arc::<HttpCounters>::default();
        for source in [
            counters::storage(Arc::clone(&ground.ring)),
            counters::flow(ground.pipeline.clone(), Arc::clone(&ground.hub)),
            counters::rules(rules.clone()),
            counters::queries(&engine),
            counters::collectors(Arc::clone(&views)),
            counters::sampling(collecting.sampling(), Arc::clone(&ground.hub)),
            counters::sources(Arc::clone(&scraper), events.counters(), Arc::clone(&reloader.discovery_files)),
            counters::agents(agents.counters()),
            counters::logs(logging.counts),
            counters::workers(collecting.worker_counters()),
            Arc::clone(&http_counters) as _,
        ] {
            ground.own.register(source);
        }
        let parts = Parts {
            clock: clock.clone(),
            engine,
            querier: Arc::clone(&ground.ring) as Arc<dyn Querier>,
            table: Arc::clone(&ground.table),
            latest: Arc::clone(&ground.latest),
            metrics: Arc::new(MetricsPage::new(Arc::clone(&ground.latest), Arc::clone(&ground.own))),
            live: Arc::clone(&ground.hub),
            rules: Arc::new(rules),
            targets: scraper,
            events: Arc::new(LiveEvents::new(events, Arc::clone(&agents), Arc::clone(&ground.hub))),
            windows: Arc::clone(&ground.windows),
            log,
            agents: Arc::clone(&agents),
            daemon: Arc::new(DaemonPort {
                reloader: Arc::clone(&reloader),
                ring: Arc::clone(&ground.ring),
                views,
                collecting: Arc::clone(&collecting),
                started_at: clock.now(),
                quit: quit.clone(),
                snapshots: parking_lot::Mutex::new(()),
            }),
            profiler: Profiler::new(clock, logging.spans),
            counters: http_counters,
        };
        let edge = Arc::new(Edge::new(settings.http.clone(), parts)?);
        edge.add_runtime(RuntimeHandle { name: "main", handle });
        let server = bound.serve(edge)?;
        let Ground { pipeline, ring, .. } = ground;
        if let Some(reason) = ring.failure() {
            tracing::error!(reason, "the history cannot be opened: samples are kept in memory until it can");
        }
        drop(_inside);
        Ok(Self { runtime, settings, reloader, quit, server, collecting, agents, maintenance, pipeline, ring, url })
    }

    /// The start banner.
    pub fn banner(&self) -> String {
        let groups = self.reloader.rules.groups();
        let rules = groups.iter().map(|group| group.rules.len()).sum();
        banner(&self.settings, &self.url, groups.len(), rules)
    }

    /// Runs until SIGTERM, SIGINT or `/-/quit`; SIGHUP reloads. A second signal ends the process at once.
    ///
    /// # Errors
    /// When signals cannot be received.
    pub fn run(self) -> std::io::Result<()> {
        let mut quit = self.quit.subscribe();
        let reloader = Arc::clone(&self.reloader);
        let (mut term, mut int) = self.runtime.block_on(async move {
            let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
            let mut hup = signal(SignalKind::hangup())?;
            loop {
                tokio::select! {
                    _ = term.recv() => break,
                    _ = int.recv() => break,
                    _ = quit.wait_for(|quit| *quit) => break,
                    _ = hup.recv() => {
                        let reloader = Arc::clone(&reloader);
                        // Its outcome is logged and counted where it happens.
                        let _ = tokio::task::spawn_blocking(move || reloader.reload()).await;
                    }
                }
            }
            // Kept, so that a second signal is not missed.
            std::io::Result::Ok((term, int))
        })?;
        tracing::info!("stopping");
        self.runtime.spawn(async move {
            tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
            std::process::exit(130);
        });
        self.drain();
        Ok(())
    }

    /// Ends in the order of the data's way: no more requests, no more measurements, no more rules, then the last commit.
    fn drain(self) {
        self.server.shutdown(HTTP_PATIENCE);
        self.collecting.stop();
        self.agents.shutdown();
        self.runtime.block_on(async {
            self.reloader.scraper.shutdown().await;
            self.reloader.models.shutdown().await;
            self.reloader.rules.shutdown().await;
        });
        self.pipeline.shutdown();
        self.maintenance.stop();
        if let Err(error) = self.ring.shutdown() {
            tracing::error!(%error, "the last samples could not be written");
        }
        self.runtime.shutdown_timeout(Duration::from_secs(1));
    }
}

/// The ring's `instance` label, and the URL for people.
fn names(settings: &Settings, bound: &Bound) -> (String, String) {
    let addr = bound.addrs().first().copied();
    let instance = addr.map_or_else(String::new, |addr| match addr.ip().is_unspecified() {
        true => format!("localhost:{}", addr.port()),
        false => addr.to_string(),
    });
    let url = format!("http://{instance}{}", settings.http.route_prefix);
    (instance, url)
}

impl Ground {
    fn open(settings: &Settings, clock: Clock, instance: String) -> Result<Self, StartError> {
        let (limits, memory) = (settings.config.storage.limits, settings.ring());
        // A window leaves memory when all of it is older than the head's span.
        let keep = memory.head_span + memory.window + memory.seal_delay;
        let registry = RegistryConfig { instance: instance.clone(), limits, keep, ..RegistryConfig::default() };
        let table = Arc::new(SeriesTable::with_clock(registry, clock.clone()));
        let intern = Arc::clone(&table) as Arc<dyn Intern>;
        let ring = Arc::new(match settings.demo {
            // The demo never stands beside real data.
            Some(_) => Ring::in_memory(settings.ring(), clock.clone(), intern)?,
            None => Ring::open(settings.ring(), clock.clone(), intern)?,
        });
        let latest = Arc::new(Latest::new(Arc::clone(&table)));
        let hub = Arc::new(Hub::new());
        let sources = Arc::new(SourceClock::new(clock.clone()));
        let store = Box::new(RingStore::new(Arc::clone(&ring)));
        let pipeline = Pipeline::start(Arc::clone(&table), Arc::clone(&latest), Arc::clone(&hub), sources, store)?;
        let own = Arc::new(OwnMetrics::new(settings.demo.is_some()));
        let windows = Arc::new(Windows::new(Arc::clone(&table) as Arc<dyn Intern>));
        Ok(Self { clock, table, latest, hub, ring, pipeline, own, windows, instance })
    }

    /// Where collectors and model polls hand their batches: the windows look at them on their way.
    fn output(&self) -> Arc<dyn Output> {
        Arc::new(Tap { inner: Arc::new(self.pipeline.clone()), windows: Arc::clone(&self.windows) })
    }

    /// Rules wait for the sources of the pipeline's clock, and write to the head directly.
    fn start_rules(&self, engine: &Arc<Engine>) -> RuleManager {
        let querier = Arc::clone(&self.ring) as Arc<dyn Querier>;
        let deps = RuleDeps {
            queries: Arc::new(EngineQueries::new(Arc::clone(engine), Arc::clone(&querier))),
            querier,
            intern: Arc::clone(&self.table) as Arc<dyn Intern>,
            sink: Arc::new(DirectSink { ring: Arc::clone(&self.ring), pipeline: self.pipeline.clone() }),
            notify: Arc::new(NoNotifications),
            clock: self.clock.clone(),
        };
        // The task ends with its last handle, at shutdown.
        let sources = Arc::clone(self.pipeline.sources());
        let wait: WaitForSources = Arc::new(move |slot, deadline| {
            let sources = Arc::clone(&sources);
            Box::pin(async move { sources.wait_until_due(slot, deadline).await })
        });
        let (manager, _task) = RuleManager::start(deps, Some(wait));
        manager
    }
}
