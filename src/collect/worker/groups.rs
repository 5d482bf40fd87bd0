//! What groups of processes add up to.

use super::exits::{REASONS, WorkerExit};
use super::families::{
    ALIAS_MEMORY, ALIAS_STATES, ALIAS_SWITCHES, ALIASES, FAMILIES, FAULTS, GAPS, MEMORY, MODES, OPS, STATES, SWITCHES,
};
use super::member::{Gains, Member};
use super::table::Process;
use crate::collect::emit::{Emit, Slot};
use crate::collect::system::report::Trouble;
use crate::model::{FamilyDesc, Timestamp};

/// Groups that there may be; a template over a command line could make one per process.
pub(super) const MAX_GROUPS: usize = 256;
/// Ticks that a group of a built-in guess stays at zero before its series end: long enough for a restart, too short for
/// an alert on a group that is gone. A group that the user's template named stays longer.
const GUESSED_EMPTY_TICKS: u32 = 20;
const NAMED_EMPTY_TICKS: u32 = 600;

/// Series of one group, and of its aliases: room for one allocation.
const SLOTS: usize = 40;
const ALIAS_SLOTS: usize = 24;

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

/// A sum of readings that may be missing.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    sum: u64,
    count: u64,
}

impl Known {
    fn add(&mut self, value: Option<u64>) {
        if let Some(value) = value {
            self.sum = self.sum.saturating_add(value);
            self.count += 1;
        }
    }

    /// The sum when anything is known of `processes`; none of none is 0.
    fn of(self, processes: u64) -> Option<f64> {
        (self.count > 0 || processes == 0).then_some(self.sum as f64)
    }
}

/// What one tick adds up.
#[derive(Debug, Clone, Default)]
struct Sums {
    processes: u64,
    pages: u64,
    virtual_bytes: u64,
    swap: Known,
    pss: Known,
    swap_pss: Known,
    threads: u64,
    open_fds: u64,
    fd_ratio: Option<f64>,
    denied: [u64; 3],
    states: [u64; 5],
    zombies: u64,
    orphans: u64,
    oldest_ticks: Option<u64>,
    /// Share of cores; `None` until one process has been seen twice.
    cores: Option<f64>,
    memory_slope: Option<f64>,
    files_slope: Option<f64>,
}

#[derive(Debug)]
struct Group {
    name: String,
    lasting: Lasting,
    expected: Option<u32>,
    used: bool,
    empty_ticks: u32,
    totals: Gains,
    /// Whether the kernel ever told what one of its processes read and wrote.
    has_io: bool,
    /// Whether one ran of which it did not: what the group has read is not known to be 0 then.
    lacks_io: bool,
    exits: [u64; REASONS.len()],
    restarts: u64,
    /// Processes that ended and whose place nobody has taken yet.
    vacancies: u32,
    /// The last tick at which one of them had used CPU time.
    active_at: Option<Timestamp>,
    sums: Sums,
    /// Ports, and pid files, whose process this user may not find out; `None` where no matcher asks for any.
    hidden: [Option<u64>; 2],
    slots: Vec<Slot>,
    alias_slots: Vec<Slot>,
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

impl Units {
    /// A start in seconds since the epoch.
    pub(super) fn start_time(&self, ticks: u64) -> Option<f64> {
        self.boot_seconds.map(|boot| boot + ticks as f64 / self.hz)
    }
}

impl Groups {
    /// A group that is shown even when nothing of it runs.
    pub(super) fn declare(&mut self, name: &str, expected: Option<u32>) {
        let index = self.index(name);
        self.configure(index, true, expected);
        if let Some(group) = index.and_then(|index| self.get_mut(index)) {
            group.lasting = Lasting::Declared;
        }
    }

    /// What the matcher says that named the group.
    pub(super) fn configure(&mut self, index: Option<GroupIndex>, declared: bool, expected: Option<u32>) {
        if let Some(group) = index.and_then(|index| self.get_mut(index)) {
            let lasting = if declared { Lasting::Named } else { Lasting::Guessed };
            group.lasting = group.lasting.max(lasting);
            group.expected = group.expected.or(expected);
        }
    }

    fn get_mut(&mut self, index: GroupIndex) -> Option<&mut Group> {
        self.0.get_mut(usize::from(index.0))
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

    /// Counts an end, and keeps the place of one that matched by itself.
    pub(super) fn note_exit(&mut self, index: GroupIndex, exit: &WorkerExit) {
        let Some(group) = self.get_mut(index) else { return };
        if let Some(count) = group.exits.get_mut(exit.reason_index()) {
            *count += 1;
        }
        if !exit.inherited {
            group.vacancies = group.vacancies.saturating_add(1);
        }
    }

    /// A process joined that matches by itself: if one had ended, this is its successor.
    pub(super) fn note_join(&mut self, index: GroupIndex) {
        let Some(group) = self.get_mut(index) else { return };
        if group.vacancies > 0 {
            group.vacancies -= 1;
            group.restarts += 1;
        }
    }

    pub(super) fn begin(&mut self) {
        self.0.iter_mut().for_each(|group| group.sums = Sums::default());
    }

    /// Adds what a member has gained to its group's counters: what it used stays when it ends.
    pub(super) fn bank(&mut self, member: &mut Member, now: Timestamp) {
        let gains = std::mem::take(&mut member.gains);
        let has_io = member.has_io();
        let Some(group) = self.get_mut(member.group) else { return };
        group.has_io |= has_io;
        if gains.user | gains.system > 0 || group.active_at.is_none_or(|at| at > now) {
            group.active_at = Some(now);
        }
        group.totals.add(&gains);
    }

    /// Forgets what was hidden, before all matchers say it anew.
    pub(super) fn unhide(&mut self) {
        self.0.iter_mut().for_each(|group| group.hidden = [None; 2]);
    }

    /// Adds how many ports and pid files of one matcher of a group name somebody whom this user may not see.
    pub(super) fn hide(&mut self, name: &str, hidden: [Option<u64>; 2]) {
        let Some(group) = self.0.iter_mut().find(|group| group.used && group.name == name) else { return };
        for (sum, one) in group.hidden.iter_mut().zip(hidden) {
            *sum = one.map(|one| sum.unwrap_or(0) + one).or(*sum);
        }
    }

    /// Adds a member to its group's sums.
    pub(super) fn add(&mut self, process: &Process, units: Units) {
        let Some(member) = process.member.as_deref() else { return };
        let Some(group) = self.get_mut(member.group) else { return };
        group.lacks_io |= !member.has_io() && !process.is_zombie();
        let sums = &mut group.sums;
        sums.processes += 1;
        sums.pages = sums.pages.saturating_add(process.resident_pages);
        sums.virtual_bytes = sums.virtual_bytes.saturating_add(process.virtual_bytes);
        sums.swap.add(member.swap_bytes);
        sums.pss.add(member.pss_bytes);
        sums.swap_pss.add(member.swap_pss_bytes);
        sums.threads = sums.threads.saturating_add(process.threads);
        sums.open_fds = sums.open_fds.saturating_add(member.open_fds.unwrap_or(0));
        if let (Some(open), Some(limit)) = (member.open_fds, member.fd_limit.filter(|limit| *limit > 0)) {
            let ratio = open as f64 / limit as f64;
            sums.fd_ratio = Some(sums.fd_ratio.map_or(ratio, |worst| worst.max(ratio)));
        }
        let denied = [member.denied.io, member.denied.smaps, member.denied.fd];
        sums.denied.iter_mut().zip(denied).for_each(|(count, denied)| *count += u64::from(denied));
        sums.states[state_index(process.state)] += 1;
        sums.orphans += u64::from(member.is_orphan(process));
        let oldest = sums.oldest_ticks.map_or(process.start_ticks, |oldest| oldest.min(process.start_ticks));
        sums.oldest_ticks = Some(oldest);
        if let Some(cores) = process.cores(units.hz) {
            sums.cores = Some(sums.cores.unwrap_or(0.0) + cores);
        }
        let sum = |sum: Option<f64>, slope: Option<f64>| slope.map(|slope| sum.unwrap_or(0.0) + slope).or(sum);
        sums.memory_slope = sum(sums.memory_slope, member.slopes.memory);
        sums.files_slope = sum(sums.files_slope, member.slopes.files);
    }

    /// Counts a zombie for the group that has to ask for it.
    pub(super) fn add_zombie(&mut self, index: GroupIndex) {
        if let Some(group) = self.get_mut(index) {
            group.sums.zombies += 1;
        }
    }

    /// Writes the samples of all groups that are declared or have been seen.
    pub(super) fn emit(&mut self, emit: &mut Emit<'_>, units: Units, now: Timestamp, aliases: bool) {
        for group in self.0.iter_mut().filter(|group| group.used) {
            group.empty_ticks = if group.sums.processes == 0 { group.empty_ticks.saturating_add(1) } else { 0 };
            if group.sums.processes == 0 {
                group.active_at = None;
            }
            if group.lasting.empty_ticks().is_some_and(|ticks| group.empty_ticks > ticks) {
                group.used = false;
                emit.release(&group.slots);
                emit.release(&group.alias_slots);
                continue;
            }
            group.emit(emit, units, now);
            if aliases {
                group.emit_aliases(emit, units);
            }
        }
    }

    /// Tells about groups that found no place.
    pub(super) fn note_refused(trouble: &mut Trouble, name: &str) {
        trouble.note(|| format!("no place for group {name:?}: there are {MAX_GROUPS} already"));
    }
}

impl Gains {
    fn add(&mut self, gained: &Self) {
        for (sum, gained) in [
            (&mut self.user, gained.user),
            (&mut self.system, gained.system),
            (&mut self.minor_faults, gained.minor_faults),
            (&mut self.major_faults, gained.major_faults),
            (&mut self.read_bytes, gained.read_bytes),
            (&mut self.write_bytes, gained.write_bytes),
            (&mut self.voluntary, gained.voluntary),
            (&mut self.involuntary, gained.involuntary),
            (&mut self.waiting_ms, gained.waiting_ms),
        ] {
            *sum = sum.saturating_add(gained);
        }
    }
}

/// Writes one sample after the other into a group's slots, which are always asked for in the same order.
struct Row<'r, 'e> {
    emit: &'r mut Emit<'e>,
    slots: &'r mut Vec<Slot>,
    next: usize,
    name: &'r str,
}

impl Row<'_, '_> {
    fn put(&mut self, desc: &FamilyDesc, value: impl Into<Option<f64>>) {
        let name = self.name;
        self.write(desc, &[name], value.into());
    }

    fn put_each<const N: usize>(&mut self, desc: &FamilyDesc, labels: [&str; N], values: [Option<f64>; N]) {
        let name = self.name;
        for (label, value) in labels.into_iter().zip(values) {
            self.write(desc, &[name, label], value);
        }
    }

    fn write(&mut self, desc: &FamilyDesc, labels: &[&str], value: Option<f64>) {
        if self.slots.len() <= self.next {
            self.slots.resize(self.next + 1, Slot::New);
        }
        if let Some(slot) = self.slots.get_mut(self.next) {
            self.emit.put_opt(slot, desc, labels, value);
        }
        self.next += 1;
    }
}

impl Group {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            lasting: Lasting::Guessed,
            expected: None,
            used: true,
            empty_ticks: 0,
            totals: Gains::default(),
            has_io: false,
            lacks_io: false,
            exits: [0; REASONS.len()],
            restarts: 0,
            vacancies: 0,
            active_at: None,
            sums: Sums::default(),
            hidden: [None; 2],
            slots: Vec::with_capacity(SLOTS),
            alias_slots: Vec::new(),
        }
    }

    fn cpu_seconds(&self, units: Units) -> [Option<f64>; 2] {
        [self.totals.user, self.totals.system].map(|ticks| Some(ticks as f64 / units.hz))
    }

    /// Bytes read and written; absent when the kernel tells of nobody, and when nobody it told of ever ran.
    fn io_bytes(&self) -> [Option<f64>; 2] {
        let known = self.has_io || (self.sums.processes == 0 && !self.lacks_io);
        [self.totals.read_bytes, self.totals.write_bytes].map(|bytes| known.then_some(bytes as f64))
    }

    /// Whether what runs is known: nothing to be seen of a process that hides is not nothing.
    fn is_seen(&self) -> bool {
        self.sums.processes > 0 || self.hidden.iter().flatten().all(|hidden| *hidden == 0)
    }

    /// A reading of those that run: 0 of none.
    fn of_all(&self, value: Option<f64>) -> Option<f64> {
        if self.sums.processes == 0 { Some(0.0) } else { value }
    }

    fn open_fds(&self) -> Option<f64> {
        (self.sums.denied[2] == 0).then_some(self.sums.open_fds as f64)
    }

    /// PSS of those that were asked, unless one may not be.
    fn pss(&self, known: Known) -> Option<f64> {
        if self.sums.denied[1] == 0 { known.of(self.sums.processes) } else { None }
    }

    fn emit(&mut self, emit: &mut Emit<'_>, units: Units, now: Timestamp) {
        let mut slots = std::mem::take(&mut self.slots);
        let (sums, totals) = (&self.sums, &self.totals);
        let count = |value: u64| Some(value as f64);
        let [
            procs,
            expected,
            restarts,
            exits,
            cpu,
            ratio,
            memory,
            io,
            faults,
            switches,
            threads,
            fds,
            fd_ratio,
            states,
            oldest,
            zombies,
            orphans,
            idle,
            memory_slope,
            files_slope,
            waiting,
            denied,
        ] = &FAMILIES;
        let mut row = Row { emit, slots: &mut slots, next: 0, name: &self.name };
        let seen = |value: Option<f64>| value.filter(|_| self.is_seen());
        row.put(procs, seen(count(sums.processes)));
        row.put(expected, self.expected.map(f64::from));
        row.put(restarts, self.restarts as f64);
        row.put_each(exits, REASONS, self.exits.map(count));
        row.put_each(cpu, MODES, self.cpu_seconds(units));
        row.put(ratio, seen(self.of_all(sums.cores)));
        let (swap, pss) = (sums.swap.of(sums.processes), self.pss(sums.pss));
        let rss = sums.pages as f64 * units.page_bytes;
        row.put_each(memory, MEMORY, [Some(rss), Some(sums.virtual_bytes as f64), swap, pss].map(seen));
        row.put_each(io, OPS, self.io_bytes());
        row.put_each(faults, FAULTS, [totals.minor_faults, totals.major_faults].map(count));
        row.put_each(switches, SWITCHES, [totals.voluntary, totals.involuntary].map(count));
        row.put(threads, seen(count(sums.threads)));
        row.put(fds, seen(self.open_fds()));
        row.put(fd_ratio, seen(self.of_all(sums.fd_ratio)));
        row.put_each(states, STATES, sums.states.map(count).map(seen));
        row.put(oldest, sums.oldest_ticks.and_then(|ticks| units.start_time(ticks)));
        row.put(zombies, sums.zombies as f64);
        row.put(orphans, sums.orphans as f64);
        row.put(idle, self.active_at.map(|at| (now - at).max(0) as f64 / 1e3));
        row.put(memory_slope, sums.memory_slope);
        row.put(files_slope, sums.files_slope);
        row.put(waiting, totals.waiting_ms as f64 / 1e3);
        let [io_gaps, smaps_gaps, fd_gaps] = sums.denied.map(count);
        let [ports, pidfiles] = self.hidden.map(|hidden| hidden.and_then(count));
        row.put_each(denied, GAPS, [io_gaps, smaps_gaps, fd_gaps, ports, pidfiles]);
        self.slots = slots;
    }

    /// The same under process-exporter's names.
    fn emit_aliases(&mut self, emit: &mut Emit<'_>, units: Units) {
        let mut slots = std::mem::take(&mut self.alias_slots);
        slots.reserve(ALIAS_SLOTS.saturating_sub(slots.len()));
        let (sums, totals) = (&self.sums, &self.totals);
        let [procs, cpu, read, write, major, minor, switches, memory, fds, fd_ratio, oldest, threads, states] =
            &ALIASES;
        let mut row = Row { emit, slots: &mut slots, next: 0, name: &self.name };
        row.put(procs, Some(sums.processes as f64).filter(|_| self.is_seen()));
        row.put_each(cpu, MODES, self.cpu_seconds(units));
        let [read_bytes, write_bytes] = self.io_bytes();
        row.put(read, read_bytes);
        row.put(write, write_bytes);
        row.put(major, totals.major_faults as f64);
        row.put(minor, totals.minor_faults as f64);
        let count = |value: u64| Some(value as f64);
        row.put_each(switches, ALIAS_SWITCHES, [totals.voluntary, totals.involuntary].map(count));
        let memories = [
            Some(sums.pages as f64 * units.page_bytes),
            Some(sums.virtual_bytes as f64),
            sums.swap.of(sums.processes),
            self.pss(sums.pss),
            self.pss(sums.swap_pss),
        ];
        row.put_each(memory, ALIAS_MEMORY, memories);
        row.put(fds, self.open_fds());
        row.put(fd_ratio, self.of_all(sums.fd_ratio));
        row.put(oldest, sums.oldest_ticks.and_then(|ticks| units.start_time(ticks)));
        row.put(threads, sums.threads as f64);
        row.put_each(states, ALIAS_STATES, sums.states.map(count));
        self.alias_slots = slots;
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
