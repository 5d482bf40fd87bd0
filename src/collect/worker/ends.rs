//! A member's end: told once, whether it is seen as a zombie, by a listing that lacks it, or because its files say so.

use std::sync::atomic::Ordering;

use super::collector::{Shared, Workers};
use super::exits::{WorkerExit, decode};
use super::member::Member;
use super::pidfd;
use super::table::Process;
use crate::collect::system::bytes::label;
use crate::model::Timestamp;

/// Ends that wait to be told, of some 200 bytes each: a burst of more is in the groups' sums, and counted as not told.
pub(super) const MAX_WAITING_EXITS: usize = 4096;

impl Workers {
    /// A member that is a zombie has ended, though its parent has not asked how.
    pub(super) fn note_zombie(&mut self, shared: &mut Shared, pid: i32, now: Timestamp) {
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

    /// Whether one that has just joined was a zombie before anybody looked, or before it belonged to a group: its end is no
    /// news, and it takes nobody's place. One that began and ended between two listings is news.
    pub(super) fn note_long_ended(&self, process: &mut Process) -> bool {
        let is_news = !self.is_first_list && process.ticks_seen <= 1;
        let has_ended = process.is_zombie() && !is_news;
        if let Some(member) = process.member.as_mut().filter(|_| has_ended) {
            member.ended = true;
        }
        has_ended
    }

    /// Notes that a member has ended; once for each.
    pub(super) fn note_end(&mut self, shared: &mut Shared, pid: i32, process: &Process, now: Timestamp) {
        let Some(member) = process.member.as_ref().filter(|member| !member.ended) else { return };
        let (exit_code, signal) = decode(wait_status(process, member));
        let start_time = shared.units.start_time(process.start_ticks);
        let at = now.saturating_add(shared.shift_ms);
        let exit = WorkerExit {
            at,
            group: shared.groups.name(member.group).unwrap_or_default().to_owned(),
            pid,
            name: label(process.comm()).into_owned(),
            inherited: member.child,
            start_time,
            lifetime_seconds: start_time.map(|start| (at as f64 / 1e3 - start).max(0.0)),
            exit_code,
            signal,
            last_rss_bytes: member.last_pages as f64 * shared.units.page_bytes,
        };
        shared.groups.note_exit(member.group, &exit);
        if self.on_exit.is_none() {
            return;
        }
        if self.exits.len() < MAX_WAITING_EXITS {
            self.exits.push_back(exit);
        } else {
            self.counters.untold_ends.fetch_add(1, Ordering::Relaxed);
        }
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
