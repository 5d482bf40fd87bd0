//! What is kept of a process that belongs to a group, beside what the table knows of every process.

use std::io;

use super::groups::GroupIndex;
use super::reader::{Kept, ProcReader, field, files_limit};
use super::slope::{Slopes, Window};
use super::table::{Process, gained};
use crate::clock::Stopwatch;
use crate::model::Timestamp;

/// `status` costs as much as all else together, and has only swap and context switches: once in this many ticks.
const STATUS_TICKS: u64 = 5;
/// `smaps_rollup` walks all mappings: not more often than this.
const SMAPS_MS: i64 = 60_000;
/// A reading of `smaps_rollup` is repeated after this many times what it took at the earliest: at most a thousandth of a core.
const SMAPS_PAUSE: i64 = 1000;
/// The limit of open files hardly ever changes.
const LIMIT_MS: i64 = 60_000;

/// Counters that have grown and are not in the group's yet. Times are clock ticks, `waiting_ms` milliseconds.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Gains {
    pub(super) user: u64,
    pub(super) system: u64,
    pub(super) minor_faults: u64,
    pub(super) major_faults: u64,
    pub(super) read_bytes: u64,
    pub(super) write_bytes: u64,
    pub(super) voluntary: u64,
    pub(super) involuntary: u64,
    pub(super) waiting_ms: u64,
}

/// What this user may not read of a process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Denied {
    pub(super) io: bool,
    pub(super) smaps: bool,
    pub(super) fd: bool,
}

/// A pair of counters at the last reading.
type Pair = Option<(u64, u64)>;

#[derive(Debug)]
pub(super) struct Member {
    pub(super) group: GroupIndex,
    /// Matched by itself, not through an ancestor.
    pub(super) own: bool,
    /// Its nearest ancestor in a group is in the same one: a child that works for it, whatever it matches itself.
    pub(super) child: bool,
    /// Listings that it was in as a member.
    pub(super) listings: u32,
    /// Whether descendants may inherit the group from it.
    pub(super) hands_down: bool,
    /// Its whole life counts, not just what comes from now on.
    from_birth: bool,
    pub(super) kept: Kept,
    /// The parent when it became a member: another one means that this one has ended.
    pub(super) first_parent: i32,
    /// Its end has been told: it is a zombie that nobody has asked for.
    pub(super) ended: bool,
    pub(super) gains: Gains,
    io: Pair,
    switches: Pair,
    /// Open files, where they may be counted.
    pub(super) open_fds: Option<u64>,
    pub(super) fd_limit: Option<u64>,
    pub(super) swap_bytes: Option<u64>,
    pub(super) pss_bytes: Option<u64>,
    pub(super) swap_pss_bytes: Option<u64>,
    pub(super) denied: Denied,
    window: Option<Window>,
    pub(super) slopes: Slopes,
    status_read: bool,
    smaps_due: Timestamp,
    limit_due: Timestamp,
    /// Resident pages at the last reading that saw it run.
    pub(super) last_pages: u64,
    /// This user may read how it ends: `io` asks for the same permission.
    pub(super) may_know: bool,
}

impl Member {
    pub(super) fn new(group: GroupIndex, own: bool, hands_down: bool, process: &mut Process) -> Self {
        let from_birth = process.ticks_seen <= 1;
        let delta = process.delta.unwrap_or_default();
        let gains = match from_birth {
            true => Gains {
                user: process.user_ticks,
                system: process.system_ticks,
                minor_faults: process.minor_faults,
                major_faults: process.major_faults,
                ..Gains::default()
            },
            // One that comes from elsewhere brings no past: the group's counter would jump.
            false => Gains { user: delta.0, system: delta.1, ..Gains::default() },
        };
        Self {
            group,
            own,
            child: !own,
            listings: 1,
            hands_down,
            from_birth,
            kept: Kept::default(),
            first_parent: process.parent,
            ended: false,
            gains,
            io: None,
            switches: None,
            open_fds: None,
            fd_limit: None,
            swap_bytes: None,
            pss_bytes: None,
            swap_pss_bytes: None,
            denied: Denied::default(),
            window: None,
            slopes: Slopes::default(),
            status_read: false,
            smaps_due: Timestamp::MIN,
            limit_due: Timestamp::MIN,
            last_pages: process.resident_pages,
            may_know: false,
        }
    }

    /// Whether the parent that it had has ended: the kernel gives a living parent's child to nobody else.
    pub(super) fn is_orphan(&self, process: &Process) -> bool {
        !process.is_zombie() && process.parent != self.first_parent
    }

    /// Whether its group may turn out to be another one: only who stands on its own is what it is.
    pub(super) fn may_move(&self) -> bool {
        !self.own || self.child
    }

    pub(super) fn has_io(&self) -> bool {
        self.io.is_some()
    }

    /// Gives it a window for its slopes.
    pub(super) fn follow_slopes(&mut self) {
        self.window.get_or_insert_default();
    }

    /// Reads what `stat` does not say. `turn` spreads the dear files over ticks.
    pub(super) fn read(&mut self, proc: &mut ProcReader, pid: i32, process: &Facts, turn: u64, now: Timestamp) {
        if process.is_zombie {
            (self.open_fds, self.swap_bytes, self.pss_bytes, self.swap_pss_bytes) =
                (Some(0), Some(0), Some(0), Some(0));
            self.denied = Denied::default();
            self.slopes = Slopes::default();
            return;
        }
        // While the kernel takes the memory apart it tells 0, for seconds when there is much: what was there before counts.
        if process.virtual_bytes > 0 {
            self.last_pages = process.resident_pages;
        }
        self.read_io(proc, pid);
        self.read_files(proc, pid, process.speaker, now);
        if !self.status_read || turn.wrapping_add(u64::from(pid.unsigned_abs())).is_multiple_of(STATUS_TICKS) {
            self.read_status(proc, pid, process.speaker);
        }
        if process.speaker.is_some() {
            // The kernel has this of the main thread only.
            (self.pss_bytes, self.swap_pss_bytes) = (None, None);
        } else if now >= self.smaps_due || now < self.smaps_due.saturating_sub(SMAPS_MS * SMAPS_PAUSE) {
            self.read_smaps(proc, pid, now);
        }
        let memory = process.resident_pages as f64 * process.page_bytes;
        let files = self.open_fds.map(|files| files as f64);
        if let Some(slopes) = self.window.as_mut().and_then(|window| window.push(now, memory, files)) {
            self.slopes = slopes;
        }
    }

    fn read_io(&mut self, proc: &mut ProcReader, pid: i32) {
        let read =
            proc.io(pid, Some(&self.kept)).map(|bytes| field(bytes, b"read_bytes:").zip(field(bytes, b"write_bytes:")));
        self.denied.io = matches!(&read, Err(error) if is_denied(error));
        self.may_know = read.is_ok();
        if let Ok(Some(now)) = read {
            let gained = gain(&mut self.io, now, self.from_birth);
            self.gains.read_bytes = self.gains.read_bytes.saturating_add(gained.0);
            self.gains.write_bytes = self.gains.write_bytes.saturating_add(gained.1);
        }
    }

    fn read_files(&mut self, proc: &mut ProcReader, pid: i32, speaker: Option<i32>, now: Timestamp) {
        self.open_fds = match speaker {
            None => proc.open_files(pid, &self.kept),
            Some(tid) => proc.open_files_of(pid, &format!("task/{tid}/fd")),
        };
        // One that has just ended is no gap.
        self.denied.fd = self.open_fds.is_none() && proc.is_there(pid);
        if now >= self.limit_due || now < self.limit_due.saturating_sub(LIMIT_MS) {
            self.limit_due = now.saturating_add(LIMIT_MS);
            self.fd_limit = proc.file(pid, "limits").ok().and_then(files_limit);
        }
    }

    fn read_status(&mut self, proc: &mut ProcReader, pid: i32, speaker: Option<i32>) {
        if let Some(tid) = speaker {
            // Its switches are another thread's.
            let status = proc.file(pid, &format!("task/{tid}/status"));
            self.swap_bytes =
                status.ok().and_then(|bytes| field(bytes, b"VmSwap:")).map(|kib| kib.saturating_mul(1024));
            return;
        }
        let Ok(bytes) = proc.file(pid, "status") else { return };
        self.status_read = true;
        // Kernel threads have no memory of their own, and no line about it.
        self.swap_bytes = Some(field(bytes, b"VmSwap:").unwrap_or(0).saturating_mul(1024));
        let switches = field(bytes, b"voluntary_ctxt_switches:").zip(field(bytes, b"nonvoluntary_ctxt_switches:"));
        if let Some(now) = switches {
            let gained = gain(&mut self.switches, now, self.from_birth);
            self.gains.voluntary = self.gains.voluntary.saturating_add(gained.0);
            self.gains.involuntary = self.gains.involuntary.saturating_add(gained.1);
        }
    }

    fn read_smaps(&mut self, proc: &mut ProcReader, pid: i32, now: Timestamp) {
        let watch = Stopwatch::start();
        let read = proc.file(pid, "smaps_rollup").map(|bytes| (field(bytes, b"Pss:"), field(bytes, b"SwapPss:")));
        self.denied.smaps = matches!(&read, Err(error) if is_denied(error));
        if let Ok((pss, swap)) = read {
            self.pss_bytes = pss.map(|kib| kib.saturating_mul(1024));
            self.swap_pss_bytes = swap.map(|kib| kib.saturating_mul(1024));
        }
        let took = i64::try_from(watch.elapsed().as_millis()).unwrap_or(0).saturating_mul(SMAPS_PAUSE);
        self.smaps_due = now.saturating_add(SMAPS_MS.max(took));
    }
}

/// What details need of the table's reading.
pub(super) struct Facts {
    pub(super) is_zombie: bool,
    pub(super) resident_pages: u64,
    pub(super) virtual_bytes: u64,
    pub(super) page_bytes: f64,
    /// A thread that answers because the main one has ended.
    pub(super) speaker: Option<i32>,
}

/// What two counters have gained since `last`. All of it when nothing was read before.
fn gain(last: &mut Pair, now: (u64, u64), from_birth: bool) -> (u64, u64) {
    let before = last.get_or_insert(if from_birth { (0, 0) } else { now });
    (gained(&mut before.0, now.0), gained(&mut before.1, now.1))
}

fn is_denied(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

#[cfg(test)]
mod tests {
    use super::gain;

    #[test]
    fn counters_never_run_backwards() {
        let mut last = None;
        for (now, expected) in
            [((5, 7), (5, 7)), ((6, 7), (1, 0)), ((0, 9), (0, 2)), ((6, 9), (0, 0)), ((u64::MAX, 9), (u64::MAX - 6, 0))]
        {
            assert_eq!(gain(&mut last, now, true), expected, "{now:?}");
        }
        assert_eq!(gain(&mut None, (5, 7), false), (0, 0), "it brings no past");
    }
}
