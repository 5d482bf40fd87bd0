//! The listing: who is there, who has come, and who of the strangers has gone.

use std::io;

use super::around::Began;
use super::collector::{Shared, Workers};
use super::listing::Extent;
use super::pid::is_gone;
use super::speaker::ask_others;
use super::table::{Process, REMATCH_SCANS, Sight};
use crate::collect::proc_pid::PidStat;
use crate::collect::system::report::Trouble;
use crate::limits::MAX_PROCESSES;
use crate::model::Timestamp;

/// Listings after somebody looked at the processes that are made as if somebody still did.
const WATCHED_SCANS: u32 = 8;

impl Workers {
    pub(super) fn is_scan_due(&self, now: Timestamp) -> bool {
        self.scanned_at.is_none_or(|at| now - at >= self.scan_ms || now < at)
    }

    /// Lists processes: reads those whose turn it is into the table and notes who needs a group.
    ///
    /// # Errors
    /// When there is no list.
    pub(super) fn scan(&mut self, shared: &mut Shared, now: Timestamp, trouble: &mut Trouble) -> io::Result<()> {
        self.watched = match std::mem::take(&mut shared.asked) {
            true => WATCHED_SCANS,
            false => self.watched.saturating_sub(1),
        };
        let (extent, broke_off) = self.listing.list(self.watched > 0)?;
        let newest = std::mem::take(&mut self.listing.numbers);
        if extent == Extent::Newest {
            // The others are there until a reading says otherwise.
            self.known.clear();
            self.known.extend(shared.table.iter().map(|(pid, _)| pid));
        }
        let known = std::mem::take(&mut self.known);
        let is_whole = self.list(shared, (&known, &newest), extent, broke_off, now, trouble);
        (self.known, self.listing.numbers) = (known, newest);
        self.is_first_list = !self.has_listed;
        self.has_listed |= is_whole;
        let units = shared.units;
        let began = |pid: i32| {
            let at = units.start_time(shared.table.get(pid)?.start_ticks)?;
            Some(Began { at, boot: units.boot_seconds? })
        };
        let pids = shared.table.iter().map(|(pid, _)| pid);
        self.pointers.refresh(&self.matchers, &self.roots, &self.proc, pids, began, now);
        // Who was in another group before the port was bound, or the file written, may be one's own now.
        let may_join = |(place, pid): &&(usize, i32)| {
            shared.table.get(*pid).is_some_and(|process| match &process.member {
                Some(member) if member.own => {
                    let (wanted, group) = (self.matchers.name_of(*place), shared.groups.name(member.group));
                    wanted.is_some() && wanted != group
                }
                _ => true,
            })
        };
        self.newcomers.extend(self.pointers.named.iter().filter(may_join).map(|(_, pid)| *pid));
        self.newcomers.append(&mut shared.table.rematch);
        shared.groups.unhide();
        for (name, hidden) in self.pointers.hidden(&self.matchers) {
            shared.groups.hide(name, hidden);
        }
        Ok(())
    }

    /// Takes a listing in: those that are `known` to be there, and the `newest`. Whether it tells who has gone: one that broke off
    /// says nothing about those it lacks.
    pub(super) fn list(
        &mut self,
        shared: &mut Shared,
        (known, newest): (&[i32], &[i32]),
        extent: Extent,
        broke_off: Option<io::Error>,
        now: Timestamp,
        trouble: &mut Trouble,
    ) -> bool {
        shared.table.begin();
        let watched = self.watched > 0;
        for &pid in known {
            if !shared.table.pass_over(pid, watched) {
                self.look_at(shared, pid, now, trouble);
            }
        }
        for &pid in newest {
            let process = shared.table.get(pid);
            if process.is_none() && shared.table.len() >= MAX_PROCESSES {
                trouble.note(|| format!("more than {MAX_PROCESSES} processes: the rest is left out"));
                continue;
            }
            let passes = match extent {
                // Its number was given out lately: whoever had it is somebody else, unless that was read just now.
                Extent::Newest => process.is_some_and(|process| process.member.is_some() || process.was_read_at(now)),
                Extent::Whole => shared.table.pass_over(pid, watched),
            };
            if !passes {
                self.look_at(shared, pid, now, trouble);
            }
        }
        if let Some(error) = broke_off {
            let proc = self.roots.proc.display();
            trouble.note(|| format!("{proc}: the list of processes broke off: {error}"));
            return false;
        }
        let mut ended = Vec::new();
        shared.table.end(|pid| ended.push(pid));
        for pid in ended {
            if let Some(process) = shared.table.remove(pid) {
                self.note_end(shared, pid, &process, now);
            }
        }
        true
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
            Sight::New => {
                self.listing.note_new(pid);
                true
            }
            Sight::Renamed => true,
            Sight::Known => {
                let again = |process: &Process| REMATCH_SCANS.contains(&process.ticks_seen);
                shared.table.get(pid).is_some_and(again)
            }
        };
        if let Some(process) = shared.table.get_mut(pid) {
            ask_others(&mut self.proc, pid, process);
        }
        if needs_group {
            self.newcomers.push(pid);
        }
    }
}
