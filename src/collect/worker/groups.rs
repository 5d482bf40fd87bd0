//! What groups of processes add up to, and the series that say so.

use super::table::Process;
use crate::collect::catalogue::{counter, gauge};
use crate::collect::emit::{Emit, Slot};
use crate::collect::system::report::Trouble;
use crate::model::FamilyDesc;

/// Groups that there may be; a template over a command line could make one per process.
pub(super) const MAX_GROUPS: usize = 256;
/// Ticks that a group of a built-in guess stays at zero before its series end: long enough for a restart, too short for
/// an alert on a group that is gone. A group that the user's template named stays longer.
const GUESSED_EMPTY_TICKS: u32 = 20;
const NAMED_EMPTY_TICKS: u32 = 600;

const GROUP: &[&str] = &["group"];
const MAX: u32 = MAX_GROUPS as u32;

pub(in crate::collect) static FAMILIES: [FamilyDesc; 9] = [
    gauge("worker_group_procs", "", "Processes of the group now, zombies included.", GROUP, MAX),
    counter(
        "worker_group_cpu_seconds_total",
        "seconds",
        "CPU time of the group's processes; that of ended ones stays in.",
        &["group", "mode"],
        MAX * 2,
    ),
    gauge(
        "worker_group_cpu_ratio",
        "ratio",
        "CPU time of the group per second between the last two ticks, 1 is one core.",
        GROUP,
        MAX,
    ),
    gauge(
        "worker_group_memory_bytes",
        "bytes",
        "Memory of the group's processes by type; rss counts shared pages once a process.",
        &["group", "type"],
        MAX,
    ),
    gauge("worker_group_threads", "", "Threads of the group's processes.", GROUP, MAX),
    gauge(
        "worker_group_open_fds",
        "",
        "Open files of the group's processes; absent when one of them may not be looked into.",
        GROUP,
        MAX,
    ),
    gauge(
        "worker_group_states",
        "",
        "Processes of the group by state of the kernel: R, S and I, D, Z, and all others.",
        &["group", "state"],
        MAX * 5,
    ),
    gauge(
        "worker_group_oldest_start_timestamp_seconds",
        "seconds",
        "When the group's oldest process started, in seconds since the epoch.",
        GROUP,
        MAX,
    ),
    gauge(
        "worker_group_scrape_permission_denied",
        "",
        "Processes of the group whose open files may not be counted by this user.",
        GROUP,
        MAX,
    ),
];

const MODES: [&str; 2] = ["user", "system"];
const STATES: [&str; 5] = ["running", "sleeping", "waiting", "zombie", "other"];
const SLOTS: usize = 9 + STATES.len();

/// A group's place in the list; stable while the process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GroupIndex(u16);

/// How long a group outlives its last process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Lasting {
    Guessed,
    Named,
    Declared,
}

impl Lasting {
    fn empty_ticks(self) -> Option<u32> {
        match self {
            Self::Guessed => Some(GUESSED_EMPTY_TICKS),
            Self::Named => Some(NAMED_EMPTY_TICKS),
            Self::Declared => None,
        }
    }
}

/// What one tick adds up.
#[derive(Debug, Clone, Default)]
struct Sums {
    processes: u64,
    pages: u64,
    threads: u64,
    open_fds: u64,
    denied: u64,
    states: [u64; 5],
    oldest_ticks: Option<u64>,
    /// Share of cores; `None` until one process has been seen twice.
    cores: Option<f64>,
}

#[derive(Debug)]
struct Group {
    name: String,
    lasting: Lasting,
    used: bool,
    empty_ticks: u32,
    user_ticks: u64,
    system_ticks: u64,
    sums: Sums,
    slots: [Slot; SLOTS],
}

/// All groups.
#[derive(Debug, Default)]
pub(super) struct Groups(Vec<Group>);

/// How the kernel's figures become base units.
#[derive(Debug, Clone, Copy)]
pub(super) struct Units {
    pub(super) hz: f64,
    pub(super) page_bytes: f64,
    pub(super) boot_seconds: Option<f64>,
}

impl Groups {
    /// A group that is shown even when nothing of it runs.
    pub(super) fn declare(&mut self, name: &str) {
        let index = self.index(name);
        self.last_as(index, Lasting::Declared);
    }

    /// A group whose name came from a matcher of the user.
    pub(super) fn keep_longer(&mut self, index: Option<GroupIndex>) {
        self.last_as(index, Lasting::Named);
    }

    fn last_as(&mut self, index: Option<GroupIndex>, lasting: Lasting) {
        if let Some(group) = index.and_then(|index| self.0.get_mut(usize::from(index.0))) {
            group.lasting = group.lasting.max(lasting);
        }
    }

    pub(super) fn name(&self, index: GroupIndex) -> Option<&str> {
        self.0.get(usize::from(index.0)).map(|group| group.name.as_str())
    }

    /// The group of that name, a new one if need be; `None` when there are too many. A slot that an ended group left
    /// is taken before the list grows.
    pub(super) fn index(&mut self, name: &str) -> Option<GroupIndex> {
        let found = self.0.iter().position(|group| group.used && group.name == name);
        let free = || self.0.iter().position(|group| !group.used);
        let index = match found {
            Some(index) => return u16::try_from(index).ok().map(GroupIndex),
            None => free().unwrap_or(self.0.len()),
        };
        if index >= MAX_GROUPS {
            return None;
        }
        let group = Group::new(name);
        match self.0.get_mut(index) {
            Some(old) => *old = group,
            None => self.0.push(group),
        }
        u16::try_from(index).ok().map(GroupIndex)
    }

    pub(super) fn begin(&mut self) {
        self.0.iter_mut().for_each(|group| group.sums = Sums::default());
    }

    /// Adds a process to its group. A process counts with its whole life when it is new, and from now on when it was
    /// known before under another group.
    pub(super) fn add(&mut self, process: &mut Process, denied: bool, hz: f64) {
        let Some(group) = process.group.and_then(|index| self.0.get_mut(usize::from(index.0))) else { return };
        let (user, system) = match (process.counted, process.delta) {
            (false, _) => (process.user_ticks, process.system_ticks),
            (true, delta) => delta.unwrap_or((0, 0)),
        };
        process.counted = true;
        group.user_ticks = group.user_ticks.saturating_add(user);
        group.system_ticks = group.system_ticks.saturating_add(system);
        let sums = &mut group.sums;
        sums.processes += 1;
        sums.pages = sums.pages.saturating_add(process.resident_pages);
        sums.threads = sums.threads.saturating_add(process.threads);
        sums.open_fds = sums.open_fds.saturating_add(process.open_fds.unwrap_or(0));
        sums.denied += u64::from(denied);
        sums.states[state_index(process.state)] += 1;
        let oldest = sums.oldest_ticks.map_or(process.start_ticks, |oldest| oldest.min(process.start_ticks));
        sums.oldest_ticks = Some(oldest);
        if let Some(cores) = process.cores(hz) {
            sums.cores = Some(sums.cores.unwrap_or(0.0) + cores);
        }
    }

    /// Writes the samples of all groups that are declared or have been seen.
    pub(super) fn emit(&mut self, emit: &mut Emit<'_>, units: Units) {
        for group in self.0.iter_mut().filter(|group| group.used) {
            group.empty_ticks = if group.sums.processes == 0 { group.empty_ticks + 1 } else { 0 };
            if group.lasting.empty_ticks().is_some_and(|ticks| group.empty_ticks > ticks) {
                group.used = false;
                emit.release(&group.slots);
                continue;
            }
            group.emit(emit, units);
        }
    }

    /// Tells about groups that found no place.
    pub(super) fn note_refused(trouble: &mut Trouble, name: &str) {
        trouble.note(|| format!("no place for group {name:?}: there are {MAX_GROUPS} already"));
    }
}

impl Group {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            lasting: Lasting::Guessed,
            used: true,
            empty_ticks: 0,
            user_ticks: 0,
            system_ticks: 0,
            sums: Sums::default(),
            slots: [Slot::New; SLOTS],
        }
    }

    fn emit(&mut self, emit: &mut Emit<'_>, units: Units) {
        let (name, sums) = (self.name.as_str(), &self.sums);
        let [procs, cpu, ratio, memory, threads, fds, states, oldest, denied] = &FAMILIES;
        let [s_procs, s_user, s_system, s_ratio, s_memory, s_threads, s_fds, s_oldest, s_denied, s_states @ ..] =
            &mut self.slots;
        emit.put(s_procs, procs, &[name], sums.processes as f64);
        emit.put(s_user, cpu, &[name, MODES[0]], self.user_ticks as f64 / units.hz);
        emit.put(s_system, cpu, &[name, MODES[1]], self.system_ticks as f64 / units.hz);
        emit.put_opt(s_ratio, ratio, &[name], sums.cores);
        emit.put(s_memory, memory, &[name, "rss"], sums.pages as f64 * units.page_bytes);
        emit.put(s_threads, threads, &[name], sums.threads as f64);
        emit.put_opt(s_fds, fds, &[name], (sums.denied == 0).then_some(sums.open_fds as f64));
        let started = |ticks: u64| Some(units.boot_seconds? + ticks as f64 / units.hz);
        emit.put_opt(s_oldest, oldest, &[name], sums.oldest_ticks.and_then(started));
        emit.put(s_denied, denied, &[name], sums.denied as f64);
        for ((slot, state), count) in s_states.iter_mut().zip(STATES).zip(sums.states) {
            emit.put(slot, states, &[name, state], count as f64);
        }
    }
}

/// process-exporter's five states.
fn state_index(state: u8) -> usize {
    match state {
        b'R' => 0,
        b'S' | b'I' => 1,
        b'D' => 2,
        b'Z' => 3,
        _ => 4,
    }
}
