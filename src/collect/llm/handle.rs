//! The handle of all model targets: reload, views, shutdown.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::config::ModelTarget;
use super::poll::Poll;
use super::view::ModelView;
use crate::clock::Clock;
use crate::collect::scrape::slots::Slots;
use crate::model::{Intern, Output};
use crate::net::HttpClient;

struct Running {
    target: ModelTarget,
    view: Arc<Mutex<ModelView>>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// Runs a task a model target on the given runtime.
pub struct ModelPoller {
    client: HttpClient,
    clock: Clock,
    intern: Arc<dyn Intern>,
    output: Arc<dyn Output>,
    runtime: Handle,
    running: Mutex<Vec<Running>>,
    /// One reload at a time.
    reloading: tokio::sync::Mutex<()>,
    missed: Arc<AtomicU64>,
}

impl ModelPoller {
    /// A poller without targets; [`ModelPoller::reload`] gives it some.
    pub fn new(
        client: HttpClient,
        clock: Clock,
        intern: Arc<dyn Intern>,
        output: Arc<dyn Output>,
        runtime: Handle,
    ) -> Self {
        let (running, reloading) = (Mutex::default(), tokio::sync::Mutex::new(()));
        Self { client, clock, intern, output, runtime, running, reloading, missed: Arc::default() }
    }

    /// Runs these targets (which [`ModelTarget::validate`] has found good). Those that stay the same keep running; those that go or change are ended with
    /// stale markers first.
    pub async fn reload(&self, targets: Vec<ModelTarget>) {
        let _one = self.reloading.lock().await;
        let mut wanted = targets;
        let ending: Vec<Running> = {
            let mut running = self.running.lock();
            let (keep, end) = std::mem::take(&mut *running)
                .into_iter()
                .partition(|known| wanted.contains(&known.target) && !known.task.is_finished());
            *running = keep;
            wanted.retain(|target| !running.iter().any(|known| known.target == *target));
            end
        };
        for one in &ending {
            // A task that has ended already hears nothing.
            let _ = one.stop.send(true);
        }
        for one in ending {
            if let Err(error) = one.task.await {
                tracing::error!(%error, target = one.target.name, "the poll of a model server ended badly");
            }
        }
        let started = wanted.into_iter().map(|target| self.start(target));
        self.running.lock().extend(started);
    }

    /// Ends all targets.
    pub async fn shutdown(&self) {
        self.reload(Vec::new()).await;
    }

    /// All targets as they stand, sorted by name.
    pub fn views(&self) -> Vec<ModelView> {
        let mut views: Vec<ModelView> = self.running.lock().iter().map(|one| one.view.lock().clone()).collect();
        views.sort_by(|a, b| a.target.cmp(&b.target));
        views
    }

    /// Slots that passed while the poll before still ran, over all targets.
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }

    fn start(&self, target: ModelTarget) -> Running {
        let (stop, stopped) = watch::channel(false);
        let poll = Poll::new(target.clone(), self.client.clone(), Arc::clone(&self.intern), Arc::clone(&self.output));
        let view = Arc::clone(&poll.view);
        let task = self.runtime.spawn(run(poll, self.clock.clone(), Arc::clone(&self.missed), stopped));
        Running { target, view, stop, task }
    }
}

/// Polls at every slot until told to stop, then ends the target's series.
async fn run(mut poll: Poll, clock: Clock, missed: Arc<AtomicU64>, mut stop: watch::Receiver<bool>) {
    let (interval, offset) = (poll.target.interval, offset(&poll.target));
    let source = poll.output.register_source(interval, offset);
    let mut slots = Slots::new(clock.clone(), interval, offset);
    while let Some(slot) = slots.wait(&mut stop).await {
        tokio::select! {
            () = poll.poll(slot) => {}
            _ = stop.wait_for(|stop| *stop) => break,
        }
        poll.output.done(source, slot);
        missed.fetch_add(slots.advance(), Ordering::Relaxed);
    }
    poll.output.unregister_source(source);
    poll.end(clock.now());
}

/// Where the target's slots lie within its interval: the same after every start.
fn offset(target: &ModelTarget) -> Duration {
    let mut hasher = rustc_hash::FxHasher::default();
    (&target.name, &target.url).hash(&mut hasher);
    let interval = target.interval.as_millis().max(1);
    // The high bits of this hash are the well mixed ones.
    Duration::from_millis(((u128::from(hasher.finish()) * interval) >> 64) as u64)
}
