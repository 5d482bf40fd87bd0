//! The handle of all scrapes: reload, views, shutdown.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use tokio::runtime::Handle;

use super::config::ScrapeConfig;
use super::counters::ScrapeCounters;
use super::metadata::TargetMetadata;
use super::pool::{Ground, Pool};
use super::run::Shared;
use super::view::{PoolView, TargetView};
use crate::clock::Clock;
use crate::model::{Intern, Output};

/// Runs a task a target on the given runtime.
pub struct Scraper {
    ground: Ground,
    pools: Mutex<Vec<Arc<Pool>>>,
    /// One reload at a time.
    reloading: tokio::sync::Mutex<()>,
}

impl Scraper {
    /// A scraper without targets; [`Scraper::reload`] gives it some.
    pub fn new(clock: Clock, intern: Arc<dyn Intern>, output: Arc<dyn Output>, runtime: Handle) -> Self {
        let shared = Shared {
            forbidden: Arc::default(),
            client: Arc::default(),
            clock,
            intern,
            output,
            counters: Arc::default(),
        };
        let ground = Ground { shared, runtime, targets: Arc::default() };
        Self { ground, pools: Mutex::default(), reloading: tokio::sync::Mutex::new(()) }
    }

    /// Runs these jobs (which [`ScrapeConfig::validate`] has found good). Targets that stay keep running, with other settings if
    /// need be; those that go are ended with stale markers first.
    pub async fn reload(&self, jobs: Vec<ScrapeConfig>) {
        let _one = self.reloading.lock().await;
        let known = self.pools.lock().clone();
        let name = |pool: &Arc<Pool>| pool.config().job_name.clone();
        // The tasks of what goes give their series back before new ones ask for them.
        for pool in known.iter().filter(|pool| !jobs.iter().any(|job| job.job_name == name(pool))) {
            pool.end().await;
        }
        let mut pools = Vec::with_capacity(jobs.len());
        for job in jobs {
            let job = Arc::new(job);
            let same = known.iter().find(|pool| name(pool) == job.job_name);
            let pool = match same {
                Some(pool) => Arc::clone(pool),
                None => Pool::new(&self.ground, Arc::clone(&job)),
            };
            pools.push((pool, job));
        }
        *self.pools.lock() = pools.iter().map(|(pool, _)| Arc::clone(pool)).collect();
        for (pool, job) in pools {
            let unchanged = known.iter().any(|known| Arc::ptr_eq(known, &pool)) && *pool.config() == *job;
            if !unchanged {
                pool.configure(job).await;
            }
        }
    }

    /// Ends all targets.
    pub async fn shutdown(&self) {
        self.reload(Vec::new()).await;
    }

    /// All targets as they stand, sorted by job and instance.
    pub fn views(&self) -> Vec<TargetView> {
        let mut views: Vec<TargetView> = Vec::new();
        for pool in self.pools.lock().iter() {
            pool.for_each(|one| views.push(one.status.view.lock().clone()));
        }
        views.sort_by(|a, b| (&a.job, &a.instance, &a.url).cmp(&(&b.job, &b.instance, &b.url)));
        views
    }

    /// All jobs with what their discovery dropped, in the order of the configuration.
    pub fn pools(&self) -> Vec<PoolView> {
        self.pools.lock().iter().map(|pool| pool.view()).collect()
    }

    /// How many targets are scraped, and how many relabeling dropped.
    pub fn counts(&self) -> (usize, usize) {
        let dropped = self.pools.lock().iter().map(|pool| pool.dropped_count()).sum();
        (self.ground.targets.load(Ordering::Relaxed), dropped)
    }

    /// How many files the discovery of targets reads again.
    pub fn watched_files(&self) -> usize {
        self.pools.lock().iter().map(|pool| pool.watched_files()).sum()
    }

    /// What the targets say about their families.
    pub fn metadata(&self) -> Vec<TargetMetadata> {
        let mut all = Vec::new();
        for pool in self.pools.lock().iter() {
            pool.for_each(|one| {
                let metrics = one.status.metadata.lock().list();
                all.push(TargetMetadata { labels: one.target.labels.clone(), metrics });
            });
        }
        all
    }

    /// What the scrapes counted.
    pub fn counters(&self) -> Arc<ScrapeCounters> {
        Arc::clone(&self.ground.shared.counters)
    }
}
