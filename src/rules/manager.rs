//! The task that evaluates rules on time, and the handle that the rest of the program has of it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::model::Timestamp;
use crate::yaml::YamlErrors;

use super::config::RulesConfig;
use super::counters::RuleCounters;
use super::files::expand_patterns;
use super::runner::{RuleDeps, RuleRunner, SharedGroups};
use super::shipped;
use super::spec::RuleFile;
use super::view::{AlertView, GroupView};

/// Reloads that wait for the running evaluation; a person cannot type faster.
const COMMAND_QUEUE: usize = 8;
/// The longest sleep: a clock that was set forward is noticed after it.
const MAX_SLEEP: Duration = Duration::from_secs(1);

/// Waits until every source that is due at the first time has delivered, or the clock shows the second; false when
/// something was late.
pub type WaitForSources = Arc<dyn Fn(Timestamp, Timestamp) -> BoxFuture<'static, bool> + Send + Sync>;

/// What a load found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadSummary {
    /// Files read, shipped ones included.
    pub files: usize,
    /// Groups that are evaluated now.
    pub groups: usize,
    /// Rules that are evaluated now.
    pub rules: usize,
    /// What is odd but no error.
    pub warnings: Vec<String>,
}

/// Handle of the rules task. Clones share it; when the last one is gone, the task ends.
#[derive(Clone)]
pub struct RuleManager {
    commands: mpsc::Sender<Command>,
    shown: SharedGroups,
    counters: Arc<RuleCounters>,
}

enum Command {
    Load { config: Box<RulesConfig>, files: Vec<RuleFile>, done: oneshot::Sender<()> },
    Shutdown { done: oneshot::Sender<()> },
}

impl RuleManager {
    /// Starts the task without any rule. The evaluation of a slot waits for `sources`, for half a second or a fifth of
    /// the interval at most; without it, it never waits.
    pub fn start(deps: RuleDeps, sources: Option<WaitForSources>) -> (Self, JoinHandle<()>) {
        let (commands, inbox) = mpsc::channel(COMMAND_QUEUE);
        let (shown, counters) = (SharedGroups::new(ArcSwap::default()), Arc::<RuleCounters>::default());
        let clock = deps.clock.clone();
        let runner = Arc::new(Mutex::new(RuleRunner::sharing(deps, Arc::clone(&counters), Arc::clone(&shown))));
        let task = RuleTask { inbox, runner, clock, sources, counters: Arc::clone(&counters) };
        (Self { commands, shown, counters }, tokio::spawn(task.run()))
    }

    /// Reads the rule files that the configuration names and, if they are all good, evaluates them from their next
    /// slots on. Groups and rules that did not change keep their state.
    ///
    /// # Errors
    /// Everything that is wrong with all files; the rules that run go on unchanged.
    pub async fn load(&self, config: RulesConfig) -> Result<LoadSummary, YamlErrors> {
        let (patterns, with_shipped) = (config.files.clone(), config.shipped);
        let read = tokio::task::spawn_blocking(move || read_files(&patterns, with_shipped));
        let files = match read.await {
            Ok(files) => files?,
            Err(_) => return Err(crate::yaml::YamlError::of_file("rules", "reading the rule files failed").into()),
        };
        let summary = summary(&files);
        let (done, wait) = oneshot::channel();
        let command = Command::Load { config: Box::new(config), files, done };
        // A task that has ended evaluates nothing, whatever is loaded.
        if self.commands.send(command).await.is_ok() {
            wait.await.ok();
        }
        Ok(summary)
    }

    /// Ends the task after the evaluation that runs. Nothing is marked stale: after a restart, series go on.
    pub async fn shutdown(&self) {
        let (done, wait) = oneshot::channel();
        if self.commands.send(Command::Shutdown { done }).await.is_ok() {
            wait.await.ok();
        }
    }

    /// All groups with their rules and alerts, sorted by file and name.
    pub fn groups(&self) -> Vec<GroupView> {
        self.shown.load().iter().map(|group| group.view()).collect()
    }

    /// All pending and firing alerts, in the order of groups and rules.
    pub fn alerts(&self) -> Vec<AlertView> {
        self.shown.load().iter().flat_map(|group| group.alerts().collect::<Vec<_>>()).collect()
    }

    /// How many alerts are pending, and how many firing: without their texts, which take long to make.
    pub fn alert_counts(&self) -> (usize, usize) {
        let counts = self.shown.load();
        counts.iter().map(|group| group.alert_counts()).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }

    /// What was counted since the start.
    pub fn counters(&self) -> Arc<RuleCounters> {
        Arc::clone(&self.counters)
    }
}

/// Reads shipped and named files; every error of every file.
fn read_files(patterns: &[PathBuf], with_shipped: bool) -> Result<Vec<RuleFile>, YamlErrors> {
    let mut errors = YamlErrors::default();
    let mut files = Vec::new();
    let shipped = shipped::SHIPPED.iter().filter(|_| with_shipped);
    let shipped = shipped.map(|file| RuleFile::parse(&file.display_name(), file.text));
    let named = expand_patterns(patterns);
    for read in shipped.chain(named.iter().map(|path| RuleFile::load(path))) {
        match read {
            Ok(file) => files.push(file),
            Err(found) => errors.extend(found),
        }
    }
    errors.into_result(files)
}

fn summary(files: &[RuleFile]) -> LoadSummary {
    LoadSummary {
        files: files.len(),
        groups: files.iter().map(|file| file.groups.len()).sum(),
        rules: files.iter().map(RuleFile::rule_count).sum(),
        warnings: files.iter().flat_map(|file| &file.warnings).map(ToString::to_string).collect(),
    }
}

struct RuleTask {
    inbox: mpsc::Receiver<Command>,
    /// Locked by one evaluation at a time, on a thread where blocking is allowed.
    runner: Arc<Mutex<RuleRunner>>,
    clock: Clock,
    sources: Option<WaitForSources>,
    counters: Arc<RuleCounters>,
}

impl RuleTask {
    async fn run(mut self) {
        loop {
            let due = self.runner.lock().next_due();
            let wait = due.map_or(MAX_SLEEP, |due| until(due, self.clock.now()));
            tokio::select! {
                command = self.inbox.recv() => match command {
                    Some(Command::Load { config, files, done }) => self.handle_load(*config, files, done).await,
                    Some(Command::Shutdown { done }) => {
                        done.send(()).ok();
                        return;
                    }
                    None => return,
                },
                () = tokio::time::sleep(wait) => self.handle_time(due).await,
            }
        }
    }

    async fn handle_load(&self, config: RulesConfig, files: Vec<RuleFile>, done: oneshot::Sender<()>) {
        let now = self.clock.now();
        self.on_runner(move |runner| runner.load(config, &files, now)).await;
        self.counters.last_load.store(now.unsigned_abs(), Ordering::Relaxed);
        // Who asked may have gone.
        done.send(()).ok();
    }

    async fn handle_time(&self, due: Option<Timestamp>) {
        let Some(due) = due.filter(|due| *due <= self.clock.now()) else { return };
        self.wait_for_sources(due).await;
        let now = self.clock.now();
        self.on_runner(move |runner| runner.run_due(now)).await;
    }

    async fn wait_for_sources(&self, slot: Timestamp) {
        let Some(sources) = &self.sources else { return };
        let deadline = slot + self.runner.lock().patience_ms(slot);
        if !sources(slot, deadline).await {
            self.counters.late_sources.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn on_runner(&self, work: impl FnOnce(&mut RuleRunner) + Send + 'static) {
        let runner = Arc::clone(&self.runner);
        let done = tokio::task::spawn_blocking(move || work(&mut runner.lock())).await;
        // A panic in one evaluation must not end all others.
        if done.is_err() {
            self.counters.panics.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// How long to sleep; never so long that a changed clock goes unnoticed.
fn until(due: Timestamp, now: Timestamp) -> Duration {
    Duration::from_millis(u64::try_from(due - now).unwrap_or(0)).min(MAX_SLEEP)
}
