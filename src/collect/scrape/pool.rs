//! The targets of one job: what was discovered, what became of it, and the tasks that scrape.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::config::{FileSd, HttpSd, ScrapeConfig, TargetGroup};
use super::discovery::{FileWatcher, LOOK_EVERY, fetch};
use super::run::{Scrape, Shared, Status};
use super::target::{Built, Target, TargetKey};
use super::view::PoolView;
use crate::limits::MAX_TARGETS;
use crate::model::Labels;
use crate::net::{ClientConfig, HttpClient};

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

pub(super) struct Running {
    pub(super) target: Target,
    pub(super) status: Arc<Status>,
    stop: watch::Sender<bool>,
    changes: watch::Sender<Target>,
    task: JoinHandle<()>,
}

/// What one entry of a discovery configuration found last.
enum Source {
    Static(Vec<TargetGroup>),
    File(Arc<Files>),
    Http { config: Box<HttpSd>, found: Arc<Mutex<HttpFound>> },
}

/// The files of one entry. What they held last is apart from the watcher, which is locked while a disk, maybe a slow one, is read.
struct Files {
    config: FileSd,
    watcher: Mutex<FileWatcher>,
    found: Mutex<(Vec<TargetGroup>, Vec<String>)>,
}

#[derive(Default)]
struct HttpFound {
    groups: Vec<TargetGroup>,
    problem: Option<String>,
}

/// One job.
pub(super) struct Pool {
    ground: Ground,
    config: Mutex<Arc<ScrapeConfig>>,
    sources: Mutex<Vec<Source>>,
    running: Mutex<FxHashMap<TargetKey, Running>>,
    view: Mutex<PoolView>,
    /// One change of targets at a time.
    syncing: tokio::sync::Mutex<()>,
    /// Tasks that watch files and servers.
    watching: Mutex<Option<Watching>>,
}

struct Watching {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Pool {
    pub(super) fn new(ground: &Ground, config: Arc<ScrapeConfig>) -> Arc<Self> {
        let shared = Shared {
            client: client(&ground.shared.client, &config.client),
            forbidden: Arc::default(),
            ..ground.shared.clone()
        };
        Arc::new(Self {
            ground: Ground { shared, ..ground.clone() },
            view: Mutex::new(PoolView { job: config.job_name.clone(), ..PoolView::default() }),
            config: Mutex::new(config),
            sources: Mutex::default(),
            running: Mutex::default(),
            syncing: tokio::sync::Mutex::default(),
            watching: Mutex::default(),
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

    /// Calls `each` with every target.
    pub(super) fn for_each(&self, mut each: impl FnMut(&Running)) {
        self.running.lock().values().for_each(&mut each);
    }

    /// Takes another configuration over: targets that stay keep running, and what was discovered before is kept where the
    /// same is asked again.
    pub(super) async fn configure(self: &Arc<Self>, config: Arc<ScrapeConfig>) {
        self.stop_watching().await;
        {
            let mut sources = self.sources.lock();
            let before = std::mem::take(&mut *sources);
            *sources = arrange(&config, before);
        }
        *self.config.lock() = config;
        let entries = self.file_entries();
        // Files are on a disk that may be slow.
        let looked = tokio::task::spawn_blocking(move || {
            entries.iter().for_each(|files| {
                files.look();
            })
        });
        if let Err(error) = looked.await {
            tracing::error!(%error, "files with targets could not be read");
        }
        self.sync().await;
        self.watch();
    }

    /// Ends everything.
    pub(super) async fn end(&self) {
        self.stop_watching().await;
        self.sources.lock().clear();
        self.sync().await;
    }

    /// Makes the targets that run those that were discovered.
    async fn sync(&self) {
        let _one = self.syncing.lock().await;
        let config = self.config();
        let (groups, problems) = self.discovered();
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
                .filter(|(key, one)| !wanted.contains_key(key) || one.task.is_finished())
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

    fn discovered(&self) -> (Vec<TargetGroup>, Vec<String>) {
        let (mut groups, mut problems) = (Vec::new(), Vec::new());
        for source in self.sources.lock().iter() {
            match source {
                Source::Static(found) => groups.extend(found.iter().cloned()),
                Source::File(files) => {
                    let (found, wrong) = files.found.lock().clone();
                    groups.extend(found);
                    problems.extend(wrong);
                }
                Source::Http { found, .. } => {
                    let found = found.lock();
                    groups.extend(found.groups.iter().cloned());
                    problems.extend(found.problem.clone());
                }
            }
        }
        (groups, problems)
    }

    fn file_entries(&self) -> Vec<Arc<Files>> {
        let file = |source: &Source| match source {
            Source::File(files) => Some(Arc::clone(files)),
            _ => None,
        };
        self.sources.lock().iter().filter_map(file).collect()
    }

    /// Starts the tasks that watch files and servers.
    fn watch(self: &Arc<Self>) {
        let (stop, _) = watch::channel(false);
        let mut tasks = Vec::new();
        for source in self.sources.lock().iter() {
            let (pool, stopped) = (Arc::clone(self), stop.subscribe());
            match source {
                Source::Static(_) => {}
                Source::File(files) => {
                    tasks.push(self.ground.runtime.spawn(watch_files(pool, Arc::clone(files), stopped)));
                }
                Source::Http { config, found } => {
                    let task = ask_server(pool, HttpSd::clone(config), Arc::clone(found), stopped);
                    tasks.push(self.ground.runtime.spawn(task));
                }
            }
        }
        *self.watching.lock() = Some(Watching { stop, tasks });
    }

    async fn stop_watching(&self) {
        let Some(watching) = self.watching.lock().take() else { return };
        // Tasks that have ended hear nothing.
        let _ = watching.stop.send(true);
        for task in watching.tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "the discovery of targets ended badly");
            }
        }
    }
}

/// Files and servers that the configuration names, with what was found before where the same is asked.
fn arrange(config: &ScrapeConfig, mut before: Vec<Source>) -> Vec<Source> {
    let mut sources = vec![Source::Static(config.static_configs.clone())];
    for file in &config.file_sd {
        let same = |source: &Source| matches!(source, Source::File(files) if files.config == *file);
        let known = before.iter().position(same).map(|at| before.swap_remove(at));
        sources.push(known.unwrap_or_else(|| Source::File(Arc::new(Files::new(file)))));
    }
    for http in &config.http_sd {
        let same = |source: &Source| matches!(source, Source::Http { config, .. } if **config == *http);
        let known = before.iter().position(same).map(|at| before.swap_remove(at));
        sources.push(known.unwrap_or_else(|| Source::Http { config: Box::new(http.clone()), found: Arc::default() }));
    }
    sources
}

async fn watch_files(pool: Arc<Pool>, files: Arc<Files>, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        let shared = Arc::clone(&files);
        let changed = tokio::task::spawn_blocking(move || shared.look()).await.unwrap_or(false);
        if changed {
            pool.sync().await;
        }
    }
}

async fn ask_server(pool: Arc<Pool>, config: HttpSd, found: Arc<Mutex<HttpFound>>, mut stop: watch::Receiver<bool>) {
    let client = client(&pool.ground.shared.client, &config.client);
    loop {
        let answer = tokio::select! {
            answer = fetch(&client, &config) => answer,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let changed = found.lock().take(answer);
        if changed {
            pool.sync().await;
        }
        tokio::select! {
            () = tokio::time::sleep(config.refresh_interval) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

impl Files {
    fn new(config: &FileSd) -> Self {
        let watcher = Mutex::new(FileWatcher::new(config.clone()));
        Self { config: config.clone(), watcher, found: Mutex::default() }
    }

    /// Reads what has changed; says whether anything is different. Blocking.
    fn look(&self) -> bool {
        let mut watcher = self.watcher.lock();
        let changed = watcher.look();
        if changed {
            let found = watcher.found();
            *self.found.lock() = found;
        }
        changed
    }
}

impl HttpFound {
    /// Takes an answer over; one that is bad keeps the targets. Says whether anything is different.
    fn take(&mut self, answer: Result<Vec<TargetGroup>, String>) -> bool {
        let (groups, problem) = match answer {
            Ok(groups) => (Some(groups), None),
            Err(problem) => (None, Some(problem)),
        };
        let changed = self.problem != problem || groups.as_ref().is_some_and(|groups| *groups != self.groups);
        self.problem = problem;
        self.groups = groups.unwrap_or_else(|| std::mem::take(&mut self.groups));
        changed
    }
}

impl Running {
    fn start(ground: &Ground, target: Target) -> Self {
        let (stop, stopped) = watch::channel(false);
        let (changes, changed) = watch::channel(target.clone());
        let scrape = Scrape::new(ground.shared.clone(), target.clone());
        let status = scrape.status();
        Self { target, status, stop, changes, task: ground.runtime.spawn(scrape.run(stopped, changed)) }
    }

    /// The same target, discovered or configured in another way.
    fn change(&mut self, target: Target) {
        if self.target.discovered != target.discovered {
            self.status.view.lock().discovered = target.discovered.clone();
        }
        let same = self.target.job == target.job
            && (self.target.interval, self.target.timeout) == (target.interval, target.timeout);
        self.target = target;
        if !same {
            // A task that has ended is started anew at the next change.
            let _ = self.changes.send(self.target.clone());
        }
    }
}

/// The client for these settings; the usual one is shared.
fn client(usual: &HttpClient, config: &ClientConfig) -> HttpClient {
    if *config == ClientConfig::default() {
        return usual.clone();
    }
    HttpClient::new(config).unwrap_or_else(|error| {
        // The check of the configuration refuses such settings; without them nobody is trusted who should not be.
        tracing::error!(%error, "the settings of a client cannot be used");
        usual.clone()
    })
}

async fn stop(ending: Vec<Running>) {
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
