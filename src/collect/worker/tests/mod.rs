//! Workers on a fake `/proc`, file by file.

mod clocks;
mod ends;
mod hidden;
mod last_words;
mod listing;
mod matching;
mod moves;
mod questions;
mod sums;
mod views;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use regex::Regex;

use super::{ProcessQuery, ProcessSort, WorkerConfig, WorkerExit, WorkerMatcher, Workers};
use crate::collect::Reading;
use crate::collect::system::Roots;
use crate::collect::system::proc_stat::user_hz;
use crate::collect::testing::{Interner, Page, collect, put};

struct Machine {
    root: tempfile::TempDir,
    workers: Workers,
    intern: Interner,
    exits: Arc<Mutex<Vec<WorkerExit>>>,
}

/// A configuration whose listings come with every tick.
fn eager(groups: Vec<WorkerMatcher>) -> WorkerConfig {
    WorkerConfig { scan_interval: Duration::ZERO, ..WorkerConfig::of(groups) }
}

impl Machine {
    fn new(groups: Vec<WorkerMatcher>) -> Self {
        Self::with(&eager(groups))
    }

    fn with(config: &WorkerConfig) -> Self {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), "proc/stat", "btime 1000\n");
        let exits = Arc::<Mutex<Vec<WorkerExit>>>::default();
        let told = Arc::clone(&exits);
        let workers =
            Workers::new(&Roots::under(root.path()), config).on_exit(Box::new(move |exit| told.lock().push(exit)));
        Self { root, workers, intern: Interner::default(), exits }
    }

    fn put(&self, path: &str, text: &str) {
        put(self.root.path(), path, text);
    }

    fn exits(&self) -> Vec<WorkerExit> {
        std::mem::take(&mut self.exits.lock())
    }

    fn run(&self, pid: u32, comm: &str, cmdline: &str, parent: u32, cpu: (u64, u64), start: u64) {
        let (user, system) = cpu;
        let stat =
            format!("{pid} ({comm}) S {parent} 1 1 0 -1 0 0 0 0 0 {user} {system} 0 0 20 0 2 0 {start} 8192 10 0 0 0");
        put(self.root.path(), &format!("proc/{pid}/stat"), &stat);
        put(self.root.path(), &format!("proc/{pid}/cmdline"), &cmdline.replace(' ', "\0"));
    }

    fn files(&self, pid: u32, count: usize) {
        (0..count).for_each(|fd| put(self.root.path(), &format!("proc/{pid}/fd/{fd}"), ""));
    }

    fn end(&self, pid: u32) {
        std::fs::remove_dir_all(self.root.path().join(format!("proc/{pid}"))).unwrap();
    }

    fn tick(&mut self, now: i64) -> Page {
        let (page, result) = collect(&mut self.workers, &self.intern, now);
        assert_eq!(result.unwrap(), Reading::Complete);
        page
    }
}

fn comm(name: &str, children: bool) -> WorkerMatcher {
    WorkerMatcher { name: name.into(), comm: vec![name.into()], children, declared: true, ..WorkerMatcher::default() }
}

fn of(page: &Page, family: &str, labels: &str) -> Option<f64> {
    page.get(&format!("worker_group_{family}{{{labels}}}")).copied()
}

const GROUP_A: &str = r#"group="a""#;
