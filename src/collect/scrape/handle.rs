//! The handle of all scrapes: reload, views, shutdown.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::config::ScrapeConfig;
use super::counters::ScrapeCounters;
use super::metadata::TargetMetadata;
use super::run::{Scrape, Shared, Status};
use super::target::Target;
use super::view::TargetView;
use crate::clock::Clock;
use crate::model::{Intern, Output};
use crate::net::HttpClient;

struct Running {
    target: Target,
    status: Arc<Status>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// Runs a task a target on the given runtime.
pub struct Scraper {
    shared: Shared,
    runtime: Handle,
    running: Mutex<Vec<Running>>,
    /// One reload at a time.
    reloading: tokio::sync::Mutex<()>,
}

impl Scraper {
    /// A scraper without targets; [`Scraper::reload`] gives it some.
    pub fn new(
        client: HttpClient,
        clock: Clock,
        intern: Arc<dyn Intern>,
        output: Arc<dyn Output>,
        runtime: Handle,
    ) -> Self {
        let shared = Shared { client, clock, intern, output, counters: Arc::default() };
        Self { shared, runtime, running: Mutex::default(), reloading: tokio::sync::Mutex::new(()) }
    }

    /// Runs the targets of these jobs (which [`ScrapeConfig::validate`] has found good). Targets that stay the same keep running; those that go or change
    /// are ended with stale markers first.
    pub async fn reload(&self, jobs: Vec<ScrapeConfig>) {
        let _one = self.reloading.lock().await;
        let mut wanted = Target::all(&jobs);
        let ending: Vec<Running> = {
            let mut running = self.running.lock();
            let (keep, end) = std::mem::take(&mut *running)
                .into_iter()
                .partition(|known| wanted.contains(&known.target) && !known.task.is_finished());
            *running = keep;
            wanted.retain(|target| !running.iter().any(|known| known.target == *target));
            end
        };
        // The old task gives its series back; only then may a new one ask for the same series.
        stop(ending).await;
        let started = wanted.into_iter().map(|target| self.start(target));
        self.running.lock().extend(started);
    }

    /// Ends all targets.
    pub async fn shutdown(&self) {
        self.reload(Vec::new()).await;
    }

    /// All targets as they stand, sorted by job and instance.
    pub fn views(&self) -> Vec<TargetView> {
        let mut views: Vec<TargetView> = self.running.lock().iter().map(|one| one.status.view.lock().clone()).collect();
        views.sort_by(|a, b| (&a.job, &a.instance).cmp(&(&b.job, &b.instance)));
        views
    }

    /// What the targets say about their families.
    pub fn metadata(&self) -> Vec<TargetMetadata> {
        let running = self.running.lock();
        let one = |one: &Running| TargetMetadata {
            labels: one.target.labels.clone(),
            metrics: one.status.metadata.lock().list(),
        };
        running.iter().map(one).collect()
    }

    /// What the scrapes counted.
    pub fn counters(&self) -> Arc<ScrapeCounters> {
        Arc::clone(&self.shared.counters)
    }

    fn start(&self, target: Target) -> Running {
        let (stop, stopped) = watch::channel(false);
        let scrape = Scrape::new(self.shared.clone(), target.clone());
        let status = scrape.status();
        Running { target, status, stop, task: self.runtime.spawn(scrape.run(stopped)) }
    }
}

async fn stop(ending: Vec<Running>) {
    for one in &ending {
        // A task that has ended already hears nothing.
        let _ = one.stop.send(true);
    }
    for one in ending {
        if let Err(error) = one.task.await {
            tracing::error!(%error, url = one.target.url, "the scrape of a target ended badly");
        }
    }
}
