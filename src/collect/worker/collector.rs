//! A tick: members are read, newcomers found and matched, groups added up.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::around::{Pointers, Users};
use super::config::WorkerConfig;
use super::exits::{WorkerExit, decode};
use super::groups::{GroupIndex, Groups, Units};
use super::matcher::{Candidate, Match, Matchers};
use super::member::{Facts, Member};
use super::pid::is_gone;
use super::pidfd;
use super::reader::ProcReader;
use super::table::{Process, ProcessTable, REMATCH_SCANS, Sight};
use super::view::WorkersHandle;
use crate::collect::emit::Emit;
use crate::collect::proc_pid::{PidStat, page_bytes};
use crate::collect::system::bytes::{label, lines, number, words};
use crate::collect::system::proc_stat::user_hz;
use crate::collect::system::report::{Trouble, unread};
use crate::collect::system::{Roots, boot_seconds};
use crate::collect::{CollectError, Collector, Reading};
use crate::limits::MAX_PROCESSES;
use crate::model::{Batch, Intern, Timestamp};

/// A command line that is looked at; the kernel allows megabytes.
const MAX_CMDLINE_BYTES: usize = 16 << 10;
/// Members that have a window for their slopes, of about 2 KB each.
const MAX_WINDOWS: usize = 1024;
/// Ends of one tick that are told one by one; more are counted only.
const MAX_EXITS: usize = 256;

/// Called with each end of a worker, on the collectors' thread: it must not wait.
pub type OnExit = Box<dyn Fn(WorkerExit) + Send>;

/// The collector.
pub struct Workers {
    roots: Roots,
    matchers: Matchers,
    shared: Arc<Mutex<Shared>>,
    proc: ProcReader,
    users: Users,
    pointers: Pointers,
    scan_ms: i64,
    scanned_at: Option<Timestamp>,
    aliases: bool,
    on_exit: Option<OnExit>,
    turn: u64,
    cmdline: Vec<u8>,
    members: Vec<i32>,
    newcomers: Vec<i32>,
    exits: Vec<WorkerExit>,
}

/// What snapshots see too.
pub(super) struct Shared {
    pub(super) table: ProcessTable,
    pub(super) groups: Groups,
    pub(super) units: Units,
    pub(super) roots: Roots,
}

/// What reading a member told.
enum Found {
    There,
    Renamed,
    Gone,
    /// Its number belongs to another process now.
    Reused,
    Unreadable(String),
}

impl Workers {
    /// A collector over `roots`. Matchers with a problem ([`WorkerConfig::problems`]) are left out.
    pub fn new(roots: &Roots, config: &WorkerConfig) -> Self {
        let matchers = Matchers::new(config);
        let mut groups = Groups::default();
        matchers.declared().for_each(|(name, expected)| groups.declare(name, expected));
        let units = Units { hz: user_hz(), page_bytes: page_bytes(), boot_seconds: None };
        let shared = Shared { table: ProcessTable::default(), groups, units, roots: roots.clone() };
        Self {
            roots: roots.clone(),
            matchers,
            shared: Arc::new(Mutex::new(shared)),
            proc: ProcReader::new(roots),
            users: Users::new(roots),
            pointers: Pointers::default(),
            scan_ms: i64::try_from(config.scan_interval.as_millis()).unwrap_or(i64::MAX),
            scanned_at: None,
            aliases: config.process_exporter_names,
            on_exit: None,
            turn: 0,
            cmdline: Vec::new(),
            members: Vec::new(),
            newcomers: Vec::new(),
            exits: Vec::new(),
        }
    }

    /// Tells `on_exit` of each end from now on.
    #[must_use]
    pub fn on_exit(mut self, on_exit: OnExit) -> Self {
        self.on_exit = Some(on_exit);
        self
    }

    #[cfg(test)]
    pub(super) fn set_scan_interval(&mut self, interval: std::time::Duration) {
        self.scan_ms = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX);
    }

    /// A handle for snapshots; it stays valid when the collector has gone.
    pub fn handle(&self) -> WorkersHandle {
        WorkersHandle::live(Arc::clone(&self.shared))
    }

    /// Reads `stat` of all members, and takes those out that have ended.
    fn read_members(&mut self, shared: &mut Shared, now: Timestamp, trouble: &mut Trouble) {
        self.members.clear();
        let members = shared.table.iter().filter(|(_, process)| process.member.is_some());
        self.members.extend(members.map(|(pid, _)| pid));
        for pid in std::mem::take(&mut self.members) {
            let Some(process) = shared.table.get_mut(pid) else { continue };
            match read_member(&mut self.proc, process, pid, now) {
                Found::There => {}
                Found::Renamed => self.newcomers.push(pid),
                Found::Gone | Found::Reused => {
                    if let Some(process) = shared.table.remove(pid) {
                        self.note_end(shared, pid, &process, now);
                    }
                    continue;
                }
                Found::Unreadable(why) => trouble.note(|| format!("/proc/{pid}/stat: {why}")),
            }
            self.note_zombie(shared, pid, now);
        }
    }

    /// A member that is a zombie has ended, though its parent has not asked how.
    fn note_zombie(&mut self, shared: &mut Shared, pid: i32, now: Timestamp) {
        let is_new = |process: &Process| process.is_zombie() && process.member.as_ref().is_some_and(|m| !m.ended);
        let Some(mut process) = shared.table.get(pid).is_some_and(is_new).then(|| shared.table.remove(pid)).flatten()
        else {
            return;
        };
        self.note_end(shared, pid, &process, now);
        if let Some(member) = &mut process.member {
            member.ended = true;
        }
        shared.table.put_back(pid, process);
    }

    /// Notes that a member has ended; once for each.
    fn note_end(&mut self, shared: &mut Shared, pid: i32, process: &Process, now: Timestamp) {
        let Some(member) = process.member.as_ref().filter(|member| !member.ended) else { return };
        let (exit_code, signal) = decode(wait_status(process, member));
        let start_time = shared.units.start_time(process.start_ticks);
        let exit = WorkerExit {
            at: now,
            group: shared.groups.name(member.group).unwrap_or_default().to_owned(),
            pid,
            name: label(process.comm()).into_owned(),
            inherited: !member.own,
            start_time,
            lifetime_seconds: start_time.map(|start| (now as f64 / 1e3 - start).max(0.0)),
            exit_code,
            signal,
            last_rss_bytes: member.last_pages as f64 * shared.units.page_bytes,
        };
        shared.groups.note_exit(member.group, &exit);
        if self.on_exit.is_some() && self.exits.len() < MAX_EXITS {
            self.exits.push(exit);
        }
    }

    /// Lists all processes: reads those whose turn it is into the table and notes who needs a group.
    fn scan(&mut self, shared: &mut Shared, now: Timestamp, trouble: &mut Trouble) -> io::Result<()> {
        let entries = std::fs::read_dir(&self.roots.proc)?;
        shared.table.begin();
        for entry in entries {
            let Ok(entry) = entry else { break };
            let name = entry.file_name();
            let pid = number(name.as_encoded_bytes()).and_then(|pid| i32::try_from(pid).ok());
            let Some(pid) = pid else { continue };
            if shared.table.len() >= MAX_PROCESSES && shared.table.get(pid).is_none() {
                trouble.note(|| format!("more than {MAX_PROCESSES} processes: the rest is left out"));
                continue;
            }
            if !shared.table.pass_over(pid) {
                self.look_at(shared, pid, now, trouble);
            }
        }
        let mut ended = Vec::new();
        shared.table.end(|pid| ended.push(pid));
        for pid in ended {
            if let Some(process) = shared.table.remove(pid) {
                self.note_end(shared, pid, &process, now);
            }
        }
        let pids: Vec<i32> = shared.table.iter().map(|(pid, _)| pid).collect();
        self.pointers.refresh(&self.matchers, &self.roots, &self.proc, pids.into_iter(), now);
        let named = self.pointers.named.iter().map(|(_, pid)| *pid);
        let is_stranger = |pid: &i32| shared.table.get(*pid).is_some_and(|process| process.member.is_none());
        self.newcomers.extend(named.filter(is_stranger));
        Ok(())
    }

    /// Reads one that is no member, or was not there.
    fn look_at(&mut self, shared: &mut Shared, pid: i32, now: Timestamp, trouble: &mut Trouble) {
        let read = self.proc.stat(pid, None);
        let stat = match read.as_ref().map(|bytes| PidStat::parse(bytes)) {
            Ok(Some(stat)) => stat,
            Ok(None) => return trouble.note(|| format!("/proc/{pid}/stat: expected a line of proc(5)")),
            // It ended between the list and the read.
            Err(error) if is_gone(error) => return,
            Err(error) => return trouble.note(|| format!("/proc/{pid}/stat: {error}")),
        };
        let needs_group = match shared.table.see(pid, &stat, now) {
            Sight::New | Sight::Renamed => true,
            Sight::Known => {
                let again = |process: &Process| REMATCH_SCANS.contains(&process.ticks_seen);
                shared.table.get(pid).is_some_and(again)
            }
        };
        if needs_group {
            self.newcomers.push(pid);
        }
    }

    /// Gives newcomers their group: by themselves first, then from their ancestors.
    fn classify(&mut self, shared: &mut Shared, trouble: &mut Trouble) {
        self.newcomers.sort_unstable();
        self.newcomers.dedup();
        if self.newcomers.is_empty() {
            return;
        }
        self.users.refresh();
        let mut joined = false;
        for pid in std::mem::take(&mut self.newcomers) {
            let Some(found) = self.match_one(shared, pid) else {
                leave(shared.table.get_mut(pid));
                continue;
            };
            let index = shared.groups.index(&found.group);
            shared.groups.configure(index, found.declared, found.expected);
            let Some(index) = index else {
                Groups::note_refused(trouble, &found.group);
                continue;
            };
            let Some(process) = shared.table.get_mut(pid) else { continue };
            let was_own = process.member.as_ref().is_some_and(|member| member.own && member.group == index);
            if was_own {
                continue;
            }
            join(&mut self.proc, process, pid, index, true, found.inherited);
            shared.groups.note_join(index);
            joined |= found.inherited;
        }
        self.inherit(shared, joined);
    }

    /// Strangers take the group of their nearest ancestor in one. Unless somebody joined, only the newest can have got
    /// such an ancestor.
    fn inherit(&mut self, shared: &mut Shared, all: bool) {
        let is_candidate = |process: &Process| process.member.is_none() && (all || process.ticks_seen <= 1);
        let strangers = shared.table.iter().filter(|(_, process)| is_candidate(process));
        let heirs = strangers.filter_map(|(pid, process)| Some((pid, shared.table.inherited_group(process.parent)?)));
        let heirs: Vec<_> = heirs.collect();
        for (pid, group) in heirs {
            if let Some(process) = shared.table.get_mut(pid) {
                join(&mut self.proc, process, pid, group, false, true);
            }
        }
    }

    fn match_one(&mut self, shared: &Shared, pid: i32) -> Option<Match> {
        let process = shared.table.get(pid)?;
        if self.proc.whole(pid, "cmdline", MAX_CMDLINE_BYTES, &mut self.cmdline).is_err() {
            self.cmdline.clear();
        }
        let uid = if self.matchers.needs_user { effective_user(&mut self.proc, pid) } else { None };
        let user = uid.map(|uid| (uid, self.users.name(uid)));
        let cgroups = if self.matchers.needs_cgroups { cgroups(&mut self.proc, pid) } else { Vec::new() };
        let comm = label(process.comm());
        let parent_comm = shared.table.get(process.parent).map(|parent| label(parent.comm()));
        self.matchers.find(&Candidate {
            pid,
            comm: &comm,
            cmdline: &self.cmdline,
            parent_comm: parent_comm.as_deref(),
            user: user.as_ref().map(|(uid, name)| (*uid, name.as_str())),
            cgroups: &cgroups,
            start_time: shared.units.start_time(process.start_ticks),
            named_by: &self.pointers.named,
        })
    }

    /// Reads the members' other files and adds everything up.
    fn add_up(&mut self, shared: &mut Shared, now: Timestamp) {
        let Shared { table, groups, units, .. } = shared;
        self.turn = self.turn.wrapping_add(1);
        groups.begin();
        let (mut windows, mut kept) = (0, 0);
        for (pid, process) in table.iter_mut() {
            let Some(mut member) = process.member.take() else { continue };
            if windows < MAX_WINDOWS {
                member.follow_slopes();
                windows += 1;
            }
            let facts = Facts {
                is_zombie: process.is_zombie(),
                resident_pages: process.resident_pages,
                page_bytes: units.page_bytes,
            };
            member.read(&mut self.proc, pid, &facts, self.turn, now);
            groups.bank(&mut member, now);
            groups.add(process, &member, *units);
            kept += usize::from(member.kept.is_open());
            process.member = Some(member);
        }
        self.proc.kept = kept;
        for (_, zombie) in table.iter().filter(|(_, process)| process.is_zombie()) {
            let parents = table.get(zombie.parent).and_then(Process::group);
            if let Some(group) = parents.or(zombie.group()) {
                groups.add_zombie(group);
            }
        }
    }

    fn is_scan_due(&self, now: Timestamp) -> bool {
        self.scanned_at.is_none_or(|at| now - at >= self.scan_ms || now < at)
    }
}

/// Takes another reading of a member.
fn read_member(proc: &mut ProcReader, process: &mut Process, pid: i32, now: Timestamp) -> Found {
    let kept = process.member.as_ref().map(|member| &member.kept);
    match proc.stat(pid, kept) {
        Ok(bytes) => match PidStat::parse(bytes) {
            Some(stat) if stat.start_ticks != process.start_ticks => Found::Reused,
            Some(stat) if process.update(&stat, now) == Sight::Renamed => Found::Renamed,
            Some(_) => Found::There,
            None => Found::Unreadable("expected a line of proc(5)".to_owned()),
        },
        Err(error) if is_gone(&error) => Found::Gone,
        Err(error) => Found::Unreadable(error.to_string()),
    }
}

/// Makes a process a member. The handle counts only if the same process is still there once it is open.
fn join(proc: &mut ProcReader, process: &mut Process, pid: i32, group: GroupIndex, own: bool, hands_down: bool) {
    let (kept, first_parent) = match process.member.take() {
        Some(before) => (before.kept, Some(before.first_parent)),
        None => (proc.keep(pid), None),
    };
    let start = process.start_ticks;
    let same = proc.stat(pid, Some(&kept)).ok().and_then(PidStat::parse).is_some_and(|stat| stat.start_ticks == start);
    let mut member = Box::new(Member::new(group, own, hands_down, process));
    if let Some(parent) = first_parent {
        member.first_parent = parent;
    }
    if same {
        member.kept = kept;
    }
    process.member = Some(member);
}

/// A process that no longer matches leaves a group that takes no descendants: it was a fork that went on to exec.
fn leave(process: Option<&mut Process>) {
    if let Some(process) = process
        && process.member.as_ref().is_some_and(|member| !member.hands_down)
    {
        process.member = None;
    }
}

/// How a member ended, if anybody can know: the kernel tells holders of a handle, and shows a zombie's status to its user.
fn wait_status(process: &Process, member: &Member) -> Option<i32> {
    if process.is_zombie() {
        let status = i32::try_from(process.wait_status).ok()?;
        // 0 is "well done", or "not yours to know".
        return (status != 0 || member.may_know).then_some(status);
    }
    member.kept.pidfd.as_ref().and_then(pidfd::wait_status)
}

/// The number of a process's effective user.
pub(super) fn effective_user(proc: &mut ProcReader, pid: i32) -> Option<u32> {
    let status = proc.file(pid, "status").ok()?;
    let line = lines(status).find_map(|line| line.strip_prefix(b"Uid:"))?;
    let uid = words(line).nth(1).and_then(number)?;
    u32::try_from(uid).ok()
}

fn cgroups(proc: &mut ProcReader, pid: i32) -> Vec<String> {
    let Ok(bytes) = proc.file(pid, "cgroup") else { return Vec::new() };
    // Hierarchy, controllers, path; version 1 has a line for each hierarchy.
    let path = |line: &[u8]| line.splitn(3, |byte| *byte == b':').nth(2).map(|path| label(path).into_owned());
    let mut paths: Vec<String> = lines(bytes).filter_map(path).collect();
    paths.dedup();
    paths
}

impl Collector for Workers {
    fn name(&self) -> &'static str {
        "worker"
    }

    fn collect(&mut self, now: Timestamp, intern: &dyn Intern, out: &mut Batch) -> Result<Reading, CollectError> {
        let mut trouble = Trouble::default();
        let shared = Arc::clone(&self.shared);
        let mut shared = shared.lock();
        if shared.units.boot_seconds.is_none() {
            shared.units.boot_seconds = boot_seconds(&self.roots);
        }
        self.newcomers.clear();
        self.read_members(&mut shared, now, &mut trouble);
        if self.is_scan_due(now) {
            if let Err(error) = self.scan(&mut shared, now, &mut trouble) {
                return unread("worker", &self.roots.proc, &error);
            }
            self.scanned_at = Some(now);
        }
        self.classify(&mut shared, &mut trouble);
        self.add_up(&mut shared, now);
        let units = shared.units;
        shared.groups.emit(&mut Emit::new("worker", intern, out), units, now, self.aliases);
        drop(shared);
        if let Some(on_exit) = &self.on_exit {
            self.exits.drain(..).for_each(on_exit);
        }
        Ok(trouble.reading())
    }
}
