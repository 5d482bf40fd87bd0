//! The walk over `/proc`, and the door through which others see the processes.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use super::config::WorkerConfig;
use super::groups::{Groups, Units};
use super::matcher::{Candidate, Matchers};
use super::pid::is_gone;
use super::table::{Process, ProcessTable, REMATCH_TICKS, Sight};
use crate::collect::emit::Emit;
use crate::collect::proc_pid::{PidStat, page_bytes};
use crate::collect::system::bytes::{label, number};
use crate::collect::system::proc_stat::user_hz;
use crate::collect::system::report::{Trouble, unread};
use crate::collect::system::{Roots, boot_seconds, count_entries};
use crate::collect::{CollectError, Collector, Reading};
use crate::limits::MAX_PROCESSES;
use crate::model::{Batch, Intern, Timestamp};

/// A command line that is looked at; the kernel allows megabytes.
const MAX_CMDLINE_BYTES: u64 = 16 << 10;

/// Room for `/proc/PID/stat`: 52 numbers and a name.
const STAT_BYTES: usize = 2048;

/// One process as JSON shows it. What could not be read is `None`, never 0.
#[derive(Debug, Clone, PartialEq)]
pub struct ProcessView {
    /// Its number.
    pub pid: i32,
    /// Its parent's number.
    pub parent: i32,
    /// Its name as the kernel has it, at most 15 bytes.
    pub name: String,
    /// CPU time between its last two readings, 100 is one core; `None` at its first sight.
    pub cpu_percent: Option<f64>,
    /// Resident memory in bytes.
    pub rss_bytes: f64,
    /// Threads.
    pub threads: u64,
    /// Open files, where this user may count them.
    pub open_fds: Option<u64>,
    /// When it started, in seconds since the epoch.
    pub start_time: Option<f64>,
    /// The kernel's letter: R, S, D, Z, T, I.
    pub state: char,
    /// The worker group that it belongs to.
    pub group: Option<String>,
}

/// The collector.
pub struct Workers {
    roots: Roots,
    matchers: Matchers,
    shared: Arc<Mutex<Shared>>,
    path: PathBuf,
    buffer: Vec<u8>,
    newcomers: Vec<i32>,
}

struct Shared {
    table: ProcessTable,
    groups: Groups,
    units: Units,
    roots: Roots,
}

/// Reads the processes that the last tick saw.
#[derive(Clone)]
pub struct WorkersHandle(Source);

#[derive(Clone)]
enum Source {
    Live(Arc<Mutex<Shared>>),
    /// Processes that somebody else makes up: the demo.
    Fixed(Arc<Mutex<Vec<ProcessView>>>),
}

impl Workers {
    /// A collector over `roots`. Matchers with a problem ([`WorkerConfig::problems`]) are left out.
    pub fn new(roots: &Roots, config: &WorkerConfig) -> Self {
        let matchers = Matchers::new(config);
        let mut groups = Groups::default();
        matchers.declared().for_each(|name| groups.declare(name));
        let units = Units { hz: user_hz(), page_bytes: page_bytes(), boot_seconds: None };
        let shared = Shared { table: ProcessTable::default(), groups, units, roots: roots.clone() };
        Self {
            path: roots.proc.clone(),
            roots: roots.clone(),
            matchers,
            shared: Arc::new(Mutex::new(shared)),
            buffer: Vec::new(),
            newcomers: Vec::new(),
        }
    }

    /// A handle for snapshots; it stays valid when the collector has gone.
    pub fn handle(&self) -> WorkersHandle {
        WorkersHandle(Source::Live(Arc::clone(&self.shared)))
    }

    /// Reads `stat` of the processes whose turn it is into the table and lists those that need a group.
    fn walk(&mut self, shared: &mut Shared, now: Timestamp, trouble: &mut Trouble) -> io::Result<()> {
        self.newcomers.clear();
        shared.table.begin();
        for entry in std::fs::read_dir(&self.roots.proc)? {
            let Ok(entry) = entry else { break };
            let name = entry.file_name();
            let pid = number(name.as_encoded_bytes()).and_then(|pid| i32::try_from(pid).ok());
            let Some(pid) = pid else { continue };
            if shared.table.len() >= MAX_PROCESSES && shared.table.get(pid).is_none() {
                trouble.note(|| format!("more than {MAX_PROCESSES} processes: the rest is left out"));
                continue;
            }
            if shared.table.pass_over(pid) {
                continue;
            }
            self.path.push(&name);
            self.path.push("stat");
            let read = read_line(&self.path, &mut self.buffer);
            self.path.pop();
            self.path.pop();
            match read {
                Ok(()) => match PidStat::parse(&self.buffer) {
                    Some(stat) if needs_group(&mut shared.table, pid, &stat, now) => self.newcomers.push(pid),
                    Some(_) => {}
                    None => trouble.note(|| format!("/proc/{pid}/stat: expected a line of proc(5)")),
                },
                // It ended between the list and the read.
                Err(error) if is_gone(&error) => {}
                Err(error) => trouble.note(|| format!("/proc/{pid}/stat: {error}")),
            }
        }
        shared.table.end();
        Ok(())
    }

    /// Gives newcomers their group: by themselves first, then from their ancestors.
    fn classify(&mut self, shared: &mut Shared, trouble: &mut Trouble) {
        for pid in &self.newcomers {
            let Some(process) = shared.table.get(*pid) else { continue };
            let path = self.roots.proc.join(pid.to_string()).join("cmdline");
            if read_whole(&path, &mut self.buffer, MAX_CMDLINE_BYTES).is_err() {
                self.buffer.clear();
            }
            let (comm, parent) = (label(process.comm()), shared.table.get(process.parent));
            let parent_comm = parent.map(|parent| label(parent.comm()));
            let candidate =
                Candidate { pid: *pid, comm: &comm, cmdline: &self.buffer, parent_comm: parent_comm.as_deref() };
            let Some(found) = self.matchers.find(&candidate) else {
                leave(shared.table.get_mut(*pid));
                continue;
            };
            let index = shared.groups.index(&found.group);
            if found.declared {
                shared.groups.keep_longer(index);
            }
            if index.is_none() {
                Groups::note_refused(trouble, &found.group);
            }
            if let Some(process) = shared.table.get_mut(*pid) {
                // One that comes from elsewhere brings no past: the group's counter would jump.
                process.counted = process.ticks_seen > 1;
                (process.group, process.inherited) = (index, found.inherited);
            }
        }
        for pid in &self.newcomers {
            let parent = shared.table.get(*pid).filter(|process| process.group.is_none()).map(|process| process.parent);
            let Some(group) = parent.and_then(|parent| shared.table.inherited_group(parent)) else { continue };
            if let Some(process) = shared.table.get_mut(*pid) {
                process.counted = process.ticks_seen > 1;
                (process.group, process.inherited) = (Some(group), true);
            }
        }
    }
}

/// A process that no longer matches leaves a group that takes no descendants: it was a fork that went on to exec.
fn leave(process: Option<&mut Process>) {
    if let Some(process) = process.filter(|process| !process.inherited) {
        process.group = None;
    }
}

/// Notes a process in the table; true when it has to be matched now.
fn needs_group(table: &mut ProcessTable, pid: i32, stat: &PidStat<'_>, now: Timestamp) -> bool {
    match table.see(pid, stat, now) {
        Sight::New | Sight::Renamed => true,
        Sight::Known => {
            let again = |process: &Process| process.group.is_none() && REMATCH_TICKS.contains(&process.ticks_seen);
            table.get(pid).is_some_and(again)
        }
    }
}

impl Shared {
    /// Adds every member of a group up.
    fn sum(&mut self) {
        self.groups.begin();
        let hz = self.units.hz;
        for (pid, process) in self.table.iter_mut().filter(|(_, process)| process.group.is_some()) {
            let is_zombie = process.state == b'Z';
            process.open_fds = match is_zombie {
                true => Some(0),
                false => open_fds(&self.roots, pid),
            };
            let denied = process.open_fds.is_none();
            self.groups.add(process, denied, hz);
        }
    }
}

impl Collector for Workers {
    fn name(&self) -> &'static str {
        "worker"
    }

    fn collect(&mut self, now: Timestamp, intern: &dyn Intern, out: &mut Batch) -> Result<Reading, CollectError> {
        let mut trouble = Trouble::default();
        let shared = Arc::clone(&self.shared);
        let shared = &mut *shared.lock();
        if shared.units.boot_seconds.is_none() {
            shared.units.boot_seconds = boot_seconds(&self.roots);
        }
        if let Err(error) = self.walk(shared, now, &mut trouble) {
            return unread("worker", &self.roots.proc, &error);
        }
        self.classify(shared, &mut trouble);
        shared.sum();
        let units = shared.units;
        shared.groups.emit(&mut Emit::new("worker", intern, out), units);
        Ok(trouble.reading())
    }
}

impl WorkersHandle {
    /// The processes that the last tick saw, by pid. Open files of processes without a group are counted now.
    pub fn processes(&self) -> Vec<ProcessView> {
        let shared = match &self.0 {
            Source::Live(shared) => shared,
            Source::Fixed(views) => return views.lock().clone(),
        };
        let (mut views, roots) = {
            let shared = shared.lock();
            let views = shared.table.iter().map(|(pid, process)| shared.view(pid, process));
            (views.collect::<Vec<ProcessView>>(), shared.roots.clone())
        };
        for view in views.iter_mut().filter(|view| view.group.is_none() && view.state != 'Z') {
            view.open_fds = open_fds(&roots, view.pid);
        }
        views.sort_by_key(|view| view.pid);
        views
    }

    /// One process as the last tick saw it: what does not cost another reading.
    pub fn process(&self, pid: i32) -> Option<ProcessView> {
        match &self.0 {
            Source::Live(shared) => {
                let shared = shared.lock();
                Some(shared.view(pid, shared.table.get(pid)?))
            }
            Source::Fixed(views) => views.lock().iter().find(|view| view.pid == pid).cloned(),
        }
    }

    /// The group of a process, if it was there at the last tick and has one.
    pub fn group_of(&self, pid: i32) -> Option<String> {
        match &self.0 {
            Source::Live(shared) => {
                let shared = shared.lock();
                let group = shared.table.get(pid)?.group?;
                shared.groups.name(group).map(str::to_owned)
            }
            Source::Fixed(views) => views.lock().iter().find(|view| view.pid == pid)?.group.clone(),
        }
    }

    /// How many processes are remembered; none that has ended.
    pub fn remembered(&self) -> usize {
        match &self.0 {
            Source::Live(shared) => shared.lock().table.len(),
            Source::Fixed(views) => views.lock().len(),
        }
    }

    /// A handle whose processes are set by hand.
    pub(crate) fn fixed() -> Self {
        Self(Source::Fixed(Arc::default()))
    }

    /// Sets the processes of a handle made by [`WorkersHandle::fixed`].
    pub(crate) fn set_fixed(&self, processes: Vec<ProcessView>) {
        if let Source::Fixed(views) = &self.0 {
            *views.lock() = processes;
        }
    }
}

impl Shared {
    fn view(&self, pid: i32, process: &Process) -> ProcessView {
        let Units { hz, page_bytes, boot_seconds } = self.units;
        ProcessView {
            pid,
            parent: process.parent,
            name: label(process.comm()).into_owned(),
            cpu_percent: process.cores(hz).map(|cores| cores * 100.0),
            rss_bytes: process.resident_pages as f64 * page_bytes,
            threads: process.threads,
            open_fds: process.open_fds,
            start_time: boot_seconds.map(|boot| boot + process.start_ticks as f64 / hz),
            state: char::from(process.state),
            group: process.group.and_then(|group| self.groups.name(group)).map(str::to_owned),
        }
    }
}

fn open_fds(roots: &Roots, pid: i32) -> Option<u64> {
    count_entries(&roots.proc.join(pid.to_string()).join("fd")).map(|count| count as u64)
}

/// Reads a file of one short line with one call: reading on until the end would double the cost of a walk.
fn read_line(path: &std::path::Path, buffer: &mut Vec<u8>) -> io::Result<()> {
    buffer.resize(STAT_BYTES, 0);
    let length = File::open(path)?.read(buffer)?;
    buffer.truncate(length);
    Ok(())
}

fn read_whole(path: &std::path::Path, buffer: &mut Vec<u8>, limit: u64) -> io::Result<()> {
    buffer.clear();
    File::open(path)?.take(limit).read_to_end(buffer).map(|_| ())
}
