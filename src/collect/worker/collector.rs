//! A tick: members are read, newcomers found and matched, groups added up.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use parking_lot::Mutex;

use super::around::{Pointers, Users};
use super::config::WorkerConfig;
use super::exits::WorkerExit;
use super::groups::{Groups, Units};
use super::listing::Listing;
use super::matcher::Matchers;
use super::member::Facts;
use super::pid::is_gone;
use super::reader::ProcReader;
use super::speaker::ask_others;
use super::steady::Steady;
use super::table::{Process, ProcessTable, Sight};
use super::view::WorkersHandle;
use crate::collect::emit::Emit;
use crate::collect::proc_pid::{PidStat, page_bytes};
use crate::collect::system::proc_stat::user_hz;
use crate::collect::system::report::{Trouble, unread};
use crate::collect::system::{BootTime, Roots};
use crate::collect::{CollectError, Collector, Reading};
use crate::model::{Batch, Intern, Timestamp};

/// Members that have a window for their slopes, of about 2 KB each.
const MAX_WINDOWS: usize = 1024;
/// Ends that are told in one tick; more wait for the next ones, because followers of the live stream have a queue of
/// [`LIVE_QUEUE`](crate::limits::LIVE_QUEUE) messages in which ticks must have their place.
pub(super) const EXITS_A_TICK: usize = 48;

/// Called with each end of a worker, on the collectors' thread: it must not wait.
pub type OnExit = Box<dyn Fn(WorkerExit) + Send>;

/// The collector.
pub struct Workers {
    pub(super) roots: Roots,
    pub(super) matchers: Matchers,
    shared: Arc<Mutex<Shared>>,
    pub(super) proc: ProcReader,
    pub(super) users: Users,
    pub(super) pointers: Pointers,
    boot: BootTime,
    pub(super) steady: Steady,
    pub(super) listing: Listing,
    pub(super) scan_ms: i64,
    pub(super) scanned_at: Option<Timestamp>,
    /// Listings for which strangers are still read more often, because somebody looked at them.
    pub(super) watched: u32,
    /// Whether a listing has come to its end: who is new in a later one began after it.
    pub(super) has_listed: bool,
    /// Whether the last listing was the first, or none before it came to its end.
    pub(super) is_first_list: bool,
    aliases: bool,
    pub(super) on_exit: Option<OnExit>,
    pub(super) counters: Arc<WorkerCounters>,
    turn: u64,
    pub(super) cmdline: Vec<u8>,
    members: Vec<i32>,
    pub(super) known: Vec<i32>,
    pub(super) newcomers: Vec<i32>,
    pub(super) exits: VecDeque<WorkerExit>,
}

/// What the collector counts of itself.
#[derive(Debug, Default)]
pub struct WorkerCounters {
    /// Ends that are in the sums only, because too many others waited to be told.
    pub untold_ends: AtomicU64,
}

/// What snapshots see too.
pub(super) struct Shared {
    pub(super) table: ProcessTable,
    pub(super) groups: Groups,
    pub(super) units: Units,
    pub(super) roots: Roots,
    /// Milliseconds by which the clock was set: times in the table are without them.
    pub(super) shift_ms: i64,
    /// Somebody looked at the processes since the last listing.
    pub(super) asked: bool,
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
        matchers.declared().for_each(|(name, expected)| groups.declare(&name, expected));
        let units = Units { hz: user_hz(), page_bytes: page_bytes(), boot_seconds: None };
        let table = ProcessTable::default();
        let shared = Shared { table, groups, units, roots: roots.clone(), shift_ms: 0, asked: false };
        let proc = ProcReader::new(roots);
        Self {
            roots: roots.clone(),
            matchers,
            shared: Arc::new(Mutex::new(shared)),
            listing: proc.listing(),
            proc,
            boot: BootTime::new(roots),
            steady: Steady::new(),
            watched: 0,
            counters: Arc::default(),
            users: Users::new(roots),
            pointers: Pointers::default(),
            scan_ms: i64::try_from(config.scan_interval.as_millis()).unwrap_or(i64::MAX),
            scanned_at: None,
            has_listed: false,
            is_first_list: true,
            aliases: config.process_exporter_names,
            on_exit: None,
            turn: 0,
            cmdline: Vec::new(),
            members: Vec::new(),
            known: Vec::new(),
            newcomers: Vec::new(),
            exits: VecDeque::new(),
        }
    }

    /// Tells `on_exit` of each end from now on.
    #[must_use]
    pub fn on_exit(mut self, on_exit: OnExit) -> Self {
        self.on_exit = Some(on_exit);
        self
    }

    /// What it counts of itself, for as long as somebody wants to know.
    pub fn counters(&self) -> Arc<WorkerCounters> {
        Arc::clone(&self.counters)
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
        let members = std::mem::take(&mut self.members);
        for &pid in &members {
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
        self.members = members;
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
                virtual_bytes: process.virtual_bytes,
                page_bytes: units.page_bytes,
                speaker: process.speaker,
            };
            member.read(&mut self.proc, pid, &facts, self.turn, now);
            groups.bank(&mut member, now);
            kept += usize::from(member.kept.is_open());
            process.member = Some(member);
            groups.add(process, *units);
        }
        self.proc.kept = kept;
        for (_, zombie) in table.iter().filter(|(_, process)| process.is_zombie()) {
            let parents = table.get(zombie.parent).and_then(Process::group);
            if let Some(group) = parents.or(zombie.group()) {
                groups.add_zombie(group);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn shared(&self) -> Arc<Mutex<Shared>> {
        Arc::clone(&self.shared)
    }
}

/// Takes another reading of a member.
fn read_member(proc: &mut ProcReader, process: &mut Process, pid: i32, now: Timestamp) -> Found {
    let kept = process.member.as_ref().map(|member| &member.kept);
    match proc.stat(pid, kept) {
        Ok(bytes) => match PidStat::parse(bytes) {
            Some(stat) if stat.start_ticks != process.start_ticks => Found::Reused,
            Some(stat) => {
                let sight = process.update(&stat, now);
                ask_others(proc, pid, process);
                if sight == Sight::Renamed { Found::Renamed } else { Found::There }
            }
            None => Found::Unreadable("expected a line of proc(5)".to_owned()),
        },
        Err(error) if is_gone(&error) => Found::Gone,
        Err(error) => Found::Unreadable(error.to_string()),
    }
}

impl Collector for Workers {
    fn name(&self) -> &'static str {
        "worker"
    }

    fn collect(&mut self, now: Timestamp, intern: &dyn Intern, out: &mut Batch) -> Result<Reading, CollectError> {
        let mut trouble = Trouble::default();
        let shared = Arc::clone(&self.shared);
        let mut shared = shared.lock();
        shared.shift_ms = self.steady.shift_ms();
        let now = now.saturating_sub(shared.shift_ms);
        shared.units.boot_seconds = self.boot.seconds();
        self.newcomers.clear();
        self.read_members(&mut shared, now, &mut trouble);
        if self.is_scan_due(now) {
            if let Err(error) = self.scan(&mut shared, now, &mut trouble) {
                return unread("worker", &self.roots.proc, &error);
            }
            self.scanned_at = Some(now);
        }
        self.pointers.note_hidden(&self.matchers, &mut trouble);
        self.classify(&mut shared, &mut trouble);
        self.add_up(&mut shared, now);
        let units = shared.units;
        shared.groups.emit(&mut Emit::new("worker", intern, out), units, now, self.aliases);
        drop(shared);
        if let Some(on_exit) = &self.on_exit {
            self.exits.drain(..self.exits.len().min(EXITS_A_TICK)).for_each(on_exit);
        }
        Ok(trouble.reading())
    }
}
