//! Where a job's targets come from: what its files and servers said last, and the tasks that ask them again.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::config::{FileSd, HttpSd, ScrapeConfig, TargetGroup};
use super::discovery::{FileWatcher, LOOK_EVERY, fetch};
use super::pool::Pool;
use crate::net::{ClientConfig, HttpClient};

/// All entries of a job, and who watches them.
#[derive(Default)]
pub(super) struct Sources {
    list: Mutex<Vec<Source>>,
    watching: Mutex<Option<Watching>>,
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
    found: Mutex<FilesFound>,
}

#[derive(Default)]
struct FilesFound {
    groups: Vec<TargetGroup>,
    problems: Vec<String>,
    /// Files that are there.
    count: usize,
}

#[derive(Default)]
struct HttpFound {
    groups: Vec<TargetGroup>,
    problem: Option<String>,
}

struct Watching {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Sources {
    /// Takes another configuration over; what was found before is kept where the same is asked again.
    pub(super) fn arrange(&self, config: &ScrapeConfig) {
        let mut list = self.list.lock();
        let before = std::mem::take(&mut *list);
        *list = arrange(config, before);
    }

    pub(super) fn clear(&self) {
        self.list.lock().clear();
    }

    /// Reads all files now.
    pub(super) async fn look(&self) {
        let entries = self.files();
        // Files are on a disk that may be slow.
        let looked = tokio::task::spawn_blocking(move || {
            entries.iter().for_each(|files| {
                files.look();
            })
        });
        if let Err(error) = looked.await {
            tracing::error!(%error, "files with targets could not be read");
        }
    }

    /// How many files are there that targets come from.
    pub(super) fn watched_files(&self) -> usize {
        self.files().iter().map(|files| files.found.lock().count).sum()
    }

    /// All groups, and everything that is wrong.
    pub(super) fn discovered(&self) -> (Vec<TargetGroup>, Vec<String>) {
        let (mut groups, mut problems) = (Vec::new(), Vec::new());
        for source in self.list.lock().iter() {
            match source {
                Source::Static(found) => groups.extend(found.iter().cloned()),
                Source::File(files) => {
                    let found = files.found.lock();
                    groups.extend(found.groups.iter().cloned());
                    problems.extend(found.problems.iter().cloned());
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

    fn files(&self) -> Vec<Arc<Files>> {
        let file = |source: &Source| match source {
            Source::File(files) => Some(Arc::clone(files)),
            _ => None,
        };
        self.list.lock().iter().filter_map(file).collect()
    }

    /// Starts the tasks that watch files and servers.
    pub(super) fn watch(&self, owner: &Arc<Pool>) {
        let (stop, _) = watch::channel(false);
        let mut tasks = Vec::new();
        for source in self.list.lock().iter() {
            let (pool, stopped) = (Arc::clone(owner), stop.subscribe());
            match source {
                Source::Static(_) => {}
                Source::File(files) => {
                    tasks.push(owner.ground.runtime.spawn(watch_files(pool, Arc::clone(files), stopped)));
                }
                Source::Http { config, found } => {
                    let task = ask_server(pool, HttpSd::clone(config), Arc::clone(found), stopped);
                    tasks.push(owner.ground.runtime.spawn(task));
                }
            }
        }
        *self.watching.lock() = Some(Watching { stop, tasks });
    }

    pub(super) async fn stop_watching(&self) {
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
    let client = client(&config.client);
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
        let mut known = self.found.lock();
        known.count = watcher.count();
        if changed {
            (known.groups, known.problems) = watcher.found();
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

/// A client of its own for these settings: connections are not shared between jobs, nor with who names their targets.
pub(super) fn client(config: &ClientConfig) -> HttpClient {
    HttpClient::new(config).unwrap_or_else(|error| {
        // The check of the configuration refuses such settings; without them nobody is trusted who should not be.
        tracing::error!(%error, "the settings of a client cannot be used");
        HttpClient::default()
    })
}
