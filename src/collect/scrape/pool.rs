//! The targets of one job: what was discovered, what became of it, and the tasks that scrape.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio::runtime::Handle;

use super::config::{ScrapeConfig, TargetGroup};
use super::run::Shared;
use super::running::{Running, stop};
use super::sources::{Sources, client};
use super::target::{Built, Target, TargetKey};
use super::view::PoolView;
use crate::limits::MAX_TARGETS;
use crate::model::Labels;

/// The most labels of dropped targets that a job keeps for the API, whatever it is told.
const MAX_DROPPED: usize = 10_000;

/// What the pools of all jobs share.
#[derive(Clone)]
pub(super) struct Ground {
    pub(super) shared: Shared,
    pub(super) runtime: Handle,
    /// Targets of all jobs that are scraped.
    pub(super) targets: Arc<AtomicUsize>,
}

/// One job.
pub(super) struct Pool {
    pub(super) ground: Ground,
    config: Mutex<Arc<ScrapeConfig>>,
    sources: Sources,
    running: Mutex<FxHashMap<TargetKey, Running>>,
    view: Mutex<PoolView>,
    /// One change of targets at a time.
    syncing: tokio::sync::Mutex<()>,
}

impl Pool {
    pub(super) fn new(ground: &Ground, config: Arc<ScrapeConfig>) -> Arc<Self> {
        let shared = Shared {
            client: Arc::new(Mutex::new(client(&config.client))),
            forbidden: Arc::default(),
            ..ground.shared.clone()
        };
        Arc::new(Self {
            ground: Ground { shared, ..ground.clone() },
            view: Mutex::new(PoolView { job: config.job_name.clone(), ..PoolView::default() }),
            config: Mutex::new(config),
            sources: Sources::default(),
            running: Mutex::default(),
            syncing: tokio::sync::Mutex::default(),
        })
    }

    pub(super) fn config(&self) -> Arc<ScrapeConfig> {
        Arc::clone(&self.config.lock())
    }

    pub(super) fn view(&self) -> PoolView {
        self.view.lock().clone()
    }

    pub(super) fn dropped_count(&self) -> usize {
        self.view.lock().dropped_count
    }

    /// Files that its targets come from.
    pub(super) fn watched_files(&self) -> usize {
        self.sources.watched_files()
    }

    /// Calls `each` with every target.
    pub(super) fn for_each(&self, mut each: impl FnMut(&Running)) {
        self.running.lock().values().for_each(&mut each);
    }

    /// Takes another configuration over: targets that stay keep running, and what was discovered before is kept where the
    /// same is asked again.
    pub(super) async fn configure(self: &Arc<Self>, config: Arc<ScrapeConfig>) {
        self.sources.stop_watching().await;
        self.sources.arrange(&config);
        if self.config().client != config.client {
            *self.ground.shared.client.lock() = client(&config.client);
        }
        *self.config.lock() = config;
        self.sources.look().await;
        self.sync().await;
        self.sources.watch(self);
    }

    /// Ends everything.
    pub(super) async fn end(&self) {
        self.sources.stop_watching().await;
        self.sources.clear();
        self.sync().await;
    }

    /// Makes the targets that run those that were discovered.
    pub(super) async fn sync(&self) {
        let _one = self.syncing.lock().await;
        let config = self.config();
        let (groups, problems) = self.sources.discovered();
        let mut wanted = self.build(&config, groups, problems);
        let over = config.target_limit > 0 && wanted.len() > config.target_limit;
        *self.ground.shared.forbidden.lock() = over.then(|| {
            format!("target_limit exceeded (number of targets: {}, limit: {})", wanted.len(), config.target_limit)
        });
        let mut ending = Vec::new();
        {
            let mut running = self.running.lock();
            let keys: Vec<TargetKey> = running
                .iter()
                .filter(|(key, one)| !wanted.contains_key(key) || one.has_ended())
                .map(|(key, _)| key.clone())
                .collect();
            ending.extend(keys.iter().filter_map(|key| running.remove(key)));
            for (key, one) in running.iter_mut() {
                let Some(target) = wanted.remove(key) else { continue };
                one.change(target);
            }
        }
        self.ground.targets.fetch_sub(ending.len(), Ordering::Relaxed);
        // The old task gives its series back; only then may a new one ask for the same series.
        stop(ending).await;
        let mut refused = 0;
        for (key, target) in wanted {
            let room = |count: usize| (count < MAX_TARGETS).then_some(count + 1);
            if self.ground.targets.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).is_err() {
                refused += 1;
                continue;
            }
            let one = Running::start(&self.ground, target);
            self.running.lock().insert(key, one);
        }
        if refused > 0 {
            let job = &config.job_name;
            tracing::error!(job, refused, "targets are left out: there are more than {MAX_TARGETS} in all");
            self.ground.shared.counters.targets_refused.fetch_add(refused, Ordering::Relaxed);
        }
    }

    /// Relabels what was discovered. Of two that come out the same the first counts.
    fn build(
        &self,
        config: &ScrapeConfig,
        groups: Vec<TargetGroup>,
        mut problems: Vec<String>,
    ) -> FxHashMap<TargetKey, Target> {
        let job = Arc::new(config.of_scrapes());
        let mut wanted = FxHashMap::default();
        let mut dropped: Vec<Labels> = Vec::new();
        let (mut dropped_count, mut refused) = (0, 0);
        let keep = if config.keep_dropped_targets == 0 { MAX_DROPPED } else { config.keep_dropped_targets };
        for group in groups {
            for (index, address) in group.addresses.iter().enumerate() {
                match Target::build(&job, &config.relabel, address, &group.labels) {
                    Ok(Built::Target(target)) => {
                        wanted.entry(target.key.clone()).or_insert(target);
                    }
                    Ok(Built::Dropped(labels)) => {
                        dropped_count += 1;
                        if dropped.len() < keep.min(MAX_DROPPED) {
                            dropped.push(labels);
                        }
                    }
                    Err(problem) => {
                        refused += 1;
                        if refused == 1 {
                            problems.push(format!("instance {index} in group {}: {problem}", group.source));
                        }
                    }
                }
            }
        }
        if refused > 1 {
            problems.push(format!("{} more addresses cannot be targets", refused - 1));
        }
        let mut view = self.view.lock();
        for problem in problems.iter().filter(|problem| !view.problems.contains(problem)) {
            tracing::warn!(job = config.job_name, problem, "targets could not be discovered or made");
            self.ground.shared.counters.discovery_failures.fetch_add(1, Ordering::Relaxed);
        }
        *view = PoolView { job: config.job_name.clone(), dropped, dropped_count, problems };
        wanted
    }
}
