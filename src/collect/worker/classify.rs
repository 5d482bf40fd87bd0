//! Which group a newcomer belongs to: by itself, or through an ancestor.

use super::collector::{Shared, Workers};
use super::groups::{GroupIndex, Groups};
use super::matcher::{Candidate, Match};
use super::member::Member;
use super::reader::ProcReader;
use super::table::Process;
use crate::collect::proc_pid::PidStat;
use crate::collect::system::bytes::{label, lines, number, words};
use crate::collect::system::report::Trouble;

/// A command line that is looked at; the kernel allows megabytes.
const MAX_CMDLINE_BYTES: usize = 256 << 10;
/// Programs that start others one after the other: what they start anew is a restart, whoever else they are.
const SHELLS: [&[u8]; 7] = [b"sh", b"bash", b"dash", b"zsh", b"ksh", b"fish", b"busybox"];

impl Workers {
    /// Gives newcomers their group: by themselves first, then from their ancestors.
    pub(super) fn classify(&mut self, shared: &mut Shared, trouble: &mut Trouble) {
        self.newcomers.sort_unstable();
        self.newcomers.dedup();
        if self.newcomers.is_empty() {
            return;
        }
        self.users.refresh();
        let (mut handed_down, mut moved) = (false, false);
        let mut joined = Vec::new();
        let newcomers = std::mem::take(&mut self.newcomers);
        for &pid in &newcomers {
            let Some(found) = self.match_one(shared, pid, trouble) else {
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
            if let Some(member) = process.member.as_mut().filter(|member| member.group == index) {
                // One that inherited it, and matches by itself now, goes on as what it is.
                if !member.own {
                    joined.push((pid, index));
                }
                member.own = true;
                member.hands_down = found.inherited;
                continue;
            }
            moved |= process.member.is_some();
            join(&mut self.proc, process, pid, index, true, found.inherited);
            if !self.note_long_ended(process) {
                joined.push((pid, index));
            }
            handed_down |= found.inherited;
        }
        self.newcomers = newcomers;
        // Now that ancestors that came with them have their group, too.
        for (pid, index) in joined {
            let child = shared.table.get(pid).is_some_and(|process| works_for(shared, process, index));
            if let Some(member) = shared.table.get_mut(pid).and_then(|process| process.member.as_mut()) {
                member.child = child;
            }
            if !child {
                shared.groups.note_join(index);
            }
        }
        self.inherit(shared, handed_down, moved);
    }

    /// Strangers take the group of their nearest ancestor in one. Unless somebody joined, only the newest can have got
    /// such an ancestor. When somebody `moved`, those who had inherited with it or from it follow.
    fn inherit(&mut self, shared: &mut Shared, all: bool, moved: bool) {
        let is_candidate = |process: &Process| match &process.member {
            None => all || process.ticks_seen <= 1,
            Some(member) => moved && !member.own && !process.is_zombie() && !member.is_orphan(process),
        };
        let candidates = shared.table.iter().filter(|(_, process)| is_candidate(process));
        let heirs = candidates.filter_map(|(pid, process)| {
            let group = shared.table.inherited_group(process.parent)?;
            (process.group() != Some(group)).then_some((pid, group))
        });
        let heirs: Vec<_> = heirs.collect();
        for (pid, group) in heirs {
            if let Some(process) = shared.table.get_mut(pid) {
                join(&mut self.proc, process, pid, group, false, true);
                self.note_long_ended(process);
            }
        }
    }

    fn match_one(&mut self, shared: &Shared, pid: i32, trouble: &mut Trouble) -> Option<Match> {
        let process = shared.table.get(pid)?;
        if self.proc.whole(pid, "cmdline", MAX_CMDLINE_BYTES, &mut self.cmdline).is_err() {
            self.cmdline.clear();
        }
        if self.cmdline.len() >= MAX_CMDLINE_BYTES {
            trouble.note(|| format!("/proc/{pid}/cmdline: only the first {MAX_CMDLINE_BYTES} bytes were matched"));
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
}

/// Makes a process a member. The handle counts only if the same process is still there once it is open.
fn join(proc: &mut ProcReader, process: &mut Process, pid: i32, group: GroupIndex, own: bool, hands_down: bool) {
    let (kept, before) = match process.member.take() {
        Some(before) => (before.kept, Some((before.first_parent, before.last_pages))),
        None => (proc.keep(pid), None),
    };
    let start = process.start_ticks;
    let same = proc.stat(pid, Some(&kept)).ok().and_then(PidStat::parse).is_some_and(|stat| stat.start_ticks == start);
    let mut member = Box::new(Member::new(group, own, hands_down, process));
    if let Some((parent, pages)) = before {
        member.first_parent = parent;
        member.last_pages = member.last_pages.max(if process.virtual_bytes == 0 { pages } else { 0 });
    }
    if same {
        member.kept = kept;
    }
    process.member = Some(member);
}

/// A process that no longer matches leaves a group that takes no descendants: it was a fork that went on to exec. In another group
/// it is one of the descendants from now on.
fn leave(process: Option<&mut Process>) {
    let Some(process) = process else { return };
    match &mut process.member {
        Some(member) if !member.hands_down => process.member = None,
        Some(member) => member.own &= !member.child,
        None => {}
    }
}

/// Whether the nearest ancestor in a group is in this one, and has not ended: a pool's or a server's child comes and goes as it
/// likes. What a shell starts in a loop is started anew.
fn works_for(shared: &Shared, process: &Process, group: GroupIndex) -> bool {
    let ancestor = shared.table.nearest_member(process.parent);
    ancestor.is_some_and(|ancestor| ancestor.group() == Some(group) && !SHELLS.contains(&ancestor.comm()))
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
