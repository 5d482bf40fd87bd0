//! The processes that the last tick saw. An entry's identity is (pid, start time): a pid that was given to another
//! process starts anew, and an entry leaves in the tick that no longer sees its process.

use std::collections::HashMap;

use rustc_hash::FxBuildHasher;

use super::groups::GroupIndex;
use crate::collect::proc_pid::PidStat;
use crate::model::Timestamp;

/// Bytes of a process's name.
const COMM_BYTES: usize = 16;
/// Ancestors that inheritance looks through: deeper trees have lost their group.
const MAX_ANCESTORS: usize = 64;

/// A process without a group is read at every tick until this age in ticks, and then once in [`STRANGER_TICKS`]: most
/// processes of a machine belong to no group and have been there for long, and reading them all was two thirds of what
/// a tick of the whole daemon cost.
const YOUNG_TICKS: u32 = 8;

/// A process without a group is matched again at these ages in ticks: a title may be set some time after exec.
pub(super) const REMATCH_TICKS: [u32; 6] = [2, 4, 8, 16, 32, 64];

/// Ticks between two readings of such a process. It calls exec, or gives its pid away, unseen for that long at most.
const STRANGER_TICKS: u64 = 4;

/// One process.
#[derive(Debug, Clone)]
pub(super) struct Process {
    pub(super) start_ticks: u64,
    comm: [u8; COMM_BYTES],
    comm_len: u8,
    pub(super) parent: i32,
    pub(super) state: u8,
    pub(super) user_ticks: u64,
    pub(super) system_ticks: u64,
    pub(super) threads: u64,
    pub(super) resident_pages: u64,
    /// Open files, where they may be counted; read for members of groups only.
    pub(super) open_fds: Option<u64>,
    /// CPU time since the reading before, in ticks; `None` at the first sight.
    pub(super) delta: Option<(u64, u64)>,
    /// Milliseconds between its last two readings.
    pub(super) elapsed_ms: i64,
    pub(super) group: Option<GroupIndex>,
    /// Whether it got its group by itself, and so descendants may inherit it.
    pub(super) inherited: bool,
    pub(super) ticks_seen: u32,
    /// Whether its counters are in its group's already.
    pub(super) counted: bool,
    generation: u64,
    at: Timestamp,
}

impl Process {
    pub(super) fn comm(&self) -> &[u8] {
        self.comm.get(..usize::from(self.comm_len)).unwrap_or_default()
    }

    /// Share of one core between its last two readings.
    pub(super) fn cores(&self, hz: f64) -> Option<f64> {
        let (user, system) = self.delta?;
        (self.elapsed_ms > 0).then(|| (user + system) as f64 / hz / (self.elapsed_ms as f64 / 1e3))
    }
}

/// What became of a process that was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight {
    /// It was not there in the tick before.
    New,
    /// It was there under another name: it called exec, or renamed itself.
    Renamed,
    /// It was there.
    Known,
}

/// All processes by pid.
#[derive(Debug, Default)]
pub(super) struct ProcessTable {
    processes: HashMap<i32, Process, FxBuildHasher>,
    generation: u64,
}

impl ProcessTable {
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.processes.capacity()
    }

    pub(super) fn len(&self) -> usize {
        self.processes.len()
    }

    pub(super) fn get_mut(&mut self, pid: i32) -> Option<&mut Process> {
        self.processes.get_mut(&pid)
    }

    pub(super) fn get(&self, pid: i32) -> Option<&Process> {
        self.processes.get(&pid)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (i32, &Process)> {
        self.processes.iter().map(|(pid, process)| (*pid, process))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (i32, &mut Process)> {
        self.processes.iter_mut().map(|(pid, process)| (*pid, process))
    }

    /// Starts a tick.
    pub(super) fn begin(&mut self) {
        self.generation += 1;
    }

    /// Whether `pid` need not be read in this tick: it belongs to no group, is no newcomer, and its turn comes later.
    /// It stays in the table.
    pub(super) fn pass_over(&mut self, pid: i32) -> bool {
        let generation = self.generation;
        let Some(process) = self.processes.get_mut(&pid) else { return false };
        let age = process.ticks_seen.saturating_add(1);
        let is_its_turn = (generation + u64::from(pid.unsigned_abs())).is_multiple_of(STRANGER_TICKS);
        if process.group.is_some() || age <= YOUNG_TICKS || is_its_turn || REMATCH_TICKS.contains(&age) {
            return false;
        }
        process.generation = generation;
        process.ticks_seen = age;
        true
    }

    /// Notes that `pid` was seen at `now`.
    pub(super) fn see(&mut self, pid: i32, stat: &PidStat<'_>, now: Timestamp) -> Sight {
        let generation = self.generation;
        let known = self.processes.get_mut(&pid).filter(|process| process.start_ticks == stat.start_ticks);
        let Some(process) = known else {
            self.processes.insert(pid, Process::new(stat, generation, now));
            return Sight::New;
        };
        let renamed = process.comm() != stat.comm.get(..stat.comm.len().min(COMM_BYTES)).unwrap_or_default();
        process.elapsed_ms = now - process.at;
        let user = stat.user_ticks.saturating_sub(process.user_ticks);
        let system = stat.system_ticks.saturating_sub(process.system_ticks);
        process.delta = Some((user, system));
        process.take(stat);
        process.at = now;
        process.generation = generation;
        process.ticks_seen = process.ticks_seen.saturating_add(1);
        if renamed { Sight::Renamed } else { Sight::Known }
    }

    /// Ends a tick: whoever was not seen leaves.
    pub(super) fn end(&mut self) {
        let generation = self.generation;
        self.processes.retain(|_, process| process.generation == generation);
        // A burst of processes must not hold its memory for ever.
        if self.processes.capacity() > 1024 && self.processes.capacity() / 8 > self.processes.len() {
            self.processes.shrink_to(self.processes.len() * 2);
        }
    }

    /// The group that the nearest ancestor with a group of its own hands down.
    pub(super) fn inherited_group(&self, mut pid: i32) -> Option<GroupIndex> {
        for _ in 0..MAX_ANCESTORS {
            let process = self.processes.get(&pid)?;
            if process.group.is_some() {
                return process.group.filter(|_| process.inherited);
            }
            pid = process.parent;
        }
        None
    }
}

impl Process {
    fn new(stat: &PidStat<'_>, generation: u64, now: Timestamp) -> Self {
        let mut process = Self {
            start_ticks: stat.start_ticks,
            comm: [0; COMM_BYTES],
            comm_len: 0,
            parent: 0,
            state: 0,
            user_ticks: 0,
            system_ticks: 0,
            threads: 0,
            resident_pages: 0,
            open_fds: None,
            delta: None,
            elapsed_ms: 0,
            group: None,
            inherited: false,
            ticks_seen: 1,
            counted: false,
            generation,
            at: now,
        };
        process.take(stat);
        process
    }

    fn take(&mut self, stat: &PidStat<'_>) {
        let length = stat.comm.len().min(COMM_BYTES);
        if let (Some(to), Some(from)) = (self.comm.get_mut(..length), stat.comm.get(..length)) {
            to.copy_from_slice(from);
            self.comm_len = length as u8;
        }
        self.parent = stat.parent;
        self.state = stat.state;
        self.user_ticks = self.user_ticks.max(stat.user_ticks);
        self.system_ticks = self.system_ticks.max(stat.system_ticks);
        self.threads = stat.threads;
        self.resident_pages = stat.resident_pages;
    }
}
