//! The task of one target, as its pool holds it.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::pool::Ground;
use super::run::{Scrape, Status};
use super::target::Target;

pub(super) struct Running {
    pub(super) target: Target,
    pub(super) status: Arc<Status>,
    stop: watch::Sender<bool>,
    changes: watch::Sender<Target>,
    task: JoinHandle<()>,
}

impl Running {
    pub(super) fn start(ground: &Ground, target: Target) -> Self {
        let (stop, stopped) = watch::channel(false);
        let (changes, changed) = watch::channel(target.clone());
        let scrape = Scrape::new(ground.shared.clone(), target.clone());
        let status = scrape.status();
        Self { target, status, stop, changes, task: ground.runtime.spawn(scrape.run(stopped, changed)) }
    }

    /// Whether its task has ended by itself, which it should not.
    pub(super) fn has_ended(&self) -> bool {
        self.task.is_finished()
    }

    /// The same target, discovered or configured in another way.
    pub(super) fn change(&mut self, target: Target) {
        if self.target.discovered != target.discovered {
            self.status.view.lock().discovered = target.discovered.clone();
        }
        let same = self.target.job == target.job
            && (self.target.interval, self.target.timeout) == (target.interval, target.timeout)
            && self.target.written == target.written;
        self.target = target;
        if !same {
            // A task that has ended is started anew at the next change.
            let _ = self.changes.send(self.target.clone());
        }
    }
}

/// Ends tasks, and waits until they have given their series back.
pub(super) async fn stop(ending: Vec<Running>) {
    for one in &ending {
        // A task that has ended already hears nothing.
        let _ = one.stop.send(true);
    }
    for one in ending {
        if let Err(error) = one.task.await {
            tracing::error!(%error, url = one.target.key.url, "the scrape of a target ended badly");
        }
    }
}
