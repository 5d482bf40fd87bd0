//! The processes that are known. An entry's identity is (pid, start time): a pid that was given to another process starts
//! anew. Members of groups leave when reading them says that they have ended, others with the listing that lacks them.

use std::collections::HashMap;

use rustc_hash::FxBuildHasher;

use super::groups::GroupIndex;
use super::member::Member;
use super::speaker::Speaker;
use crate::collect::proc_pid::PidStat;
use crate::model::Timestamp;

/// Bytes of a process's name that count. Some kernel threads have longer ones; a configuration names them by these, too.
pub(super) const COMM_BYTES: usize = 15;
/// Ancestors that inheritance looks through: deeper trees have lost their group.
const MAX_ANCESTORS: usize = 64;

/// A process without a group is read at every listing until this age in listings: most call exec as soon as they are there.
const YOUNG_SCANS: u32 = 8;
/// From then on it is read in every fourth one, and from this age in every sixteenth unless somebody looks at the processes: it calls exec, or renames itself, unseen for
/// no longer than it has lived, and for 32 s at most. Most processes of a machine belong to no group and have been there for long,
/// and reading them all was two thirds of what a tick of the whole daemon cost.
const SETTLED_SCANS: u32 = 16;
const YOUTHS_SCANS: u64 = 4;
const STRANGER_SCANS: u64 = 16;

/// A process without a group is matched again at these ages in listings: a title may be set some time after exec.
pub(super) const REMATCH_SCANS: [u32; 6] = [2, 4, 8, 16, 32, 64];

/// One process.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) start_ticks: u64,
    comm: [u8; COMM_BYTES],
    comm_len: u8,
    pub(super) parent: i32,
    pub(super) state: u8,
    pub(super) user_ticks: u64,
    pub(super) system_ticks: u64,
    pub(super) minor_faults: u64,
    pub(super) major_faults: u64,
    pub(super) threads: u64,
    pub(super) virtual_bytes: u64,
    pub(super) resident_pages: u64,
    /// How a zombie ended, if the kernel told.
    pub(super) wait_status: u64,
    /// CPU time since the reading before, in ticks; `None` at the first sight.
    pub(super) delta: Option<(u64, u64)>,
    /// Milliseconds between its last two readings.
    pub(super) elapsed_ms: i64,
    /// Listings that it was in, and readings.
    pub(super) ticks_seen: u32,
    /// A thread that answers for it: its main thread has ended, others run.
    pub(super) speaker: Option<i32>,
    /// What is kept of it because it belongs to a group.
    pub(super) member: Option<Box<Member>>,
    generation: u64,
    at: Timestamp,
}

impl Process {
    pub(super) fn comm(&self) -> &[u8] {
        self.comm.get(..usize::from(self.comm_len)).unwrap_or_default()
    }

    pub(super) fn group(&self) -> Option<GroupIndex> {
        self.member.as_ref().map(|member| member.group)
    }

    pub(super) fn was_read_at(&self, now: Timestamp) -> bool {
        self.at == now
    }

    /// Whether it has ended. One whose main thread alone has ended looks like it, and goes on running in its others.
    pub(super) fn is_zombie(&self) -> bool {
        self.state == b'Z' && self.threads <= 1
    }

    pub(super) fn lost_its_main_thread(&self) -> bool {
        self.state == b'Z' && self.threads > 1
    }

    /// Takes what another thread says for a main thread that has ended.
    pub(super) fn hear(&mut self, speaker: &Speaker) {
        self.state = speaker.state;
        self.virtual_bytes = speaker.virtual_bytes;
        self.resident_pages = speaker.resident_pages;
        self.speaker = Some(speaker.tid);
    }

    /// Milliseconds since it was read.
    pub(super) fn read_before_ms(&self, now: Timestamp) -> i64 {
        now.saturating_sub(self.at)
    }

    /// Share of one core between its last two readings.
    pub(super) fn cores(&self, hz: f64) -> Option<f64> {
        let (user, system) = self.delta?;
        (self.elapsed_ms > 0).then(|| (user as f64 + system as f64) / hz / (self.elapsed_ms as f64 / 1e3))
    }
}

/// What became of a process that was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight {
    /// It was not there before.
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
    /// Members that the listing found at an age at which they are matched again.
    pub(super) rematch: Vec<i32>,
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

    /// Starts a listing.
    pub(super) fn begin(&mut self) {
        self.generation += 1;
        self.rematch.clear();
    }

    /// Whether `pid`, which a listing names, need not be read for it: members are read at every tick, strangers when their
    /// turn comes, more often while somebody looks at them (`watched`). It stays in the table.
    pub(super) fn pass_over(&mut self, pid: i32, watched: bool) -> bool {
        let generation = self.generation;
        let Some(process) = self.processes.get_mut(&pid) else { return false };
        let is_running = !process.is_zombie() && process.virtual_bytes > 0;
        if let Some(member) = &mut process.member {
            process.generation = generation;
            member.listings = member.listings.saturating_add(1);
            // A port is bound and a title set some time after the group was inherited, and a fork calls exec.
            if is_running && member.may_move() && REMATCH_SCANS.contains(&member.listings) {
                self.rematch.push(pid);
            }
            return true;
        }
        let age = process.ticks_seen.saturating_add(1);
        let scans = if age <= YOUNG_SCANS {
            1
        } else if watched || age <= SETTLED_SCANS {
            YOUTHS_SCANS
        } else {
            STRANGER_SCANS
        };
        let is_its_turn = (generation + u64::from(pid.unsigned_abs())).is_multiple_of(scans);
        let parent = process.parent;
        // A zombie among them is its parent's group's to tell.
        let is_members_child = || self.processes.get(&parent).is_some_and(|parent| parent.member.is_some());
        if is_its_turn || REMATCH_SCANS.contains(&age) || is_members_child() {
            return false;
        }
        let Some(process) = self.processes.get_mut(&pid) else { return false };
        process.generation = generation;
        process.ticks_seen = age;
        true
    }

    /// Notes that `pid`, which is no member, was seen at `now`.
    pub(super) fn see(&mut self, pid: i32, stat: &PidStat<'_>, now: Timestamp) -> Sight {
        let generation = self.generation;
        let known = self.processes.get_mut(&pid).filter(|process| process.start_ticks == stat.start_ticks);
        let Some(process) = known else {
            self.processes.insert(pid, Process::new(stat, generation, now));
            return Sight::New;
        };
        process.generation = generation;
        process.update(stat, now)
    }

    /// Puts an entry back that was taken out for a moment.
    pub(super) fn put_back(&mut self, pid: i32, process: Process) {
        self.processes.insert(pid, process);
    }

    pub(super) fn remove(&mut self, pid: i32) -> Option<Process> {
        self.processes.remove(&pid)
    }

    /// Ends a listing: whoever was not in it leaves; members among them are named to `ended`, and stay for that.
    pub(super) fn end(&mut self, mut ended: impl FnMut(i32)) {
        let generation = self.generation;
        self.processes.retain(|pid, process| {
            let is_there = process.generation == generation;
            if !is_there && process.member.is_some() {
                ended(*pid);
            }
            is_there || process.member.is_some()
        });
        // A burst of processes must not hold its memory for ever.
        if self.processes.capacity() > 1024 && self.processes.capacity() / 8 > self.processes.len() {
            self.processes.shrink_to(self.processes.len() * 2);
        }
    }

    /// The group that the nearest ancestor with a group of its own hands down.
    pub(super) fn inherited_group(&self, pid: i32) -> Option<GroupIndex> {
        let member = self.nearest_member(pid)?.member.as_ref()?;
        member.hands_down.then_some(member.group)
    }

    /// The process itself or its nearest ancestor that belongs to a group.
    pub(super) fn nearest_member(&self, mut pid: i32) -> Option<&Process> {
        for _ in 0..MAX_ANCESTORS {
            let process = self.processes.get(&pid)?;
            if process.member.is_some() {
                return Some(process);
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
            user_ticks: stat.user_ticks,
            system_ticks: stat.system_ticks,
            minor_faults: stat.minor_faults,
            major_faults: stat.major_faults,
            threads: 0,
            virtual_bytes: 0,
            resident_pages: 0,
            wait_status: 0,
            delta: None,
            elapsed_ms: 0,
            ticks_seen: 1,
            speaker: None,
            member: None,
            generation,
            at: now,
        };
        process.take(stat);
        process
    }

    /// Takes another reading of the same process.
    pub(super) fn update(&mut self, stat: &PidStat<'_>, now: Timestamp) -> Sight {
        let renamed = self.comm() != stat.comm.get(..stat.comm.len().min(COMM_BYTES)).unwrap_or_default();
        self.elapsed_ms = now - self.at;
        self.at = now;
        let user = gained(&mut self.user_ticks, stat.user_ticks);
        let system = gained(&mut self.system_ticks, stat.system_ticks);
        let minor = gained(&mut self.minor_faults, stat.minor_faults);
        let major = gained(&mut self.major_faults, stat.major_faults);
        self.delta = Some((user, system));
        if let Some(member) = &mut self.member {
            let gains = &mut member.gains;
            gains.user = gains.user.saturating_add(user);
            gains.system = gains.system.saturating_add(system);
            gains.minor_faults = gains.minor_faults.saturating_add(minor);
            gains.major_faults = gains.major_faults.saturating_add(major);
            if stat.state == b'D' {
                gains.waiting_ms = gains.waiting_ms.saturating_add(u64::try_from(self.elapsed_ms).unwrap_or(0));
            }
        }
        self.ticks_seen = self.ticks_seen.saturating_add(1);
        self.take(stat);
        if renamed { Sight::Renamed } else { Sight::Known }
    }

    fn take(&mut self, stat: &PidStat<'_>) {
        let length = stat.comm.len().min(COMM_BYTES);
        if let (Some(to), Some(from)) = (self.comm.get_mut(..length), stat.comm.get(..length)) {
            to.copy_from_slice(from);
            self.comm_len = length as u8;
        }
        self.parent = stat.parent;
        self.state = stat.state;
        self.threads = stat.threads;
        self.virtual_bytes = stat.virtual_bytes;
        self.resident_pages = stat.resident_pages;
        self.wait_status = stat.wait_status;
        self.speaker = None;
    }
}

/// What a counter has gained since `last`, which moves on. A small step back is the kernel's rounding: the counter waits until it is
/// there again. Less than half of it is a new start, after a wrap or a reset; 0 is what the kernel says of one that is going.
pub(super) fn gained(last: &mut u64, now: u64) -> u64 {
    let from = match now {
        _ if now >= *last => *last,
        1.. if now < *last / 2 => 0,
        _ => return 0,
    };
    *last = now;
    now - from
}
