//! The processes as others see them: from the last tick, with what is read only because somebody asks.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::around::Users;
use super::classify::effective_user;
use super::cmdline::shown;
use super::collector::Shared;
use super::groups::Units;
use super::pid::is_gone;
use super::reader::{ProcReader, field};
use super::table::Process;
use crate::collect::proc_pid::PidStat;
use crate::collect::system::bytes::label;
use crate::collect::system::{Roots, count_entries};
use crate::model::Timestamp;

/// Bytes of a command line that a view reads.
const CMDLINE_BYTES: usize = 4096;
/// A rate needs this much time between two questions; the one before is answered again until then.
const MIN_RATE_MS: i64 = 250;
/// A question that lies further back says nothing about now.
const MAX_RATE_MS: i64 = 60_000;

/// One process as JSON shows it. What could not be read is `None`, never 0.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ProcessView {
    /// Its number.
    pub pid: i32,
    /// Its parent's number.
    pub parent: i32,
    /// Its name as the kernel has it, at most 15 bytes.
    pub name: String,
    /// Its effective user's name, or number where that has none.
    pub user: Option<String>,
    /// CPU time between its last two readings, or since the question before, 100 is one core; `None` at its first sight.
    pub cpu_percent: Option<f64>,
    /// Resident memory in bytes.
    pub rss_bytes: f64,
    /// Its share of memory in bytes, shared pages shared out; known of members of groups only, read once a minute.
    pub pss_bytes: Option<f64>,
    /// Threads.
    pub threads: u64,
    /// Open files, where this user may count them.
    pub open_fds: Option<u64>,
    /// Bytes a second read from storage since the question before; `None` at the first one, and where it may not be read.
    pub read_bytes_per_second: Option<f64>,
    /// Bytes a second written to storage, likewise.
    pub write_bytes_per_second: Option<f64>,
    /// When it started, in seconds since the epoch.
    pub start_time: Option<f64>,
    /// The kernel's letter: R, S, D, Z, T, I.
    pub state: char,
    /// The worker group that it belongs to.
    pub group: Option<String>,
    /// Its arguments, cut, with what looks like a secret left out; `None` of kernel threads and zombies.
    pub cmdline: Option<String>,
}

/// What a list of processes is sorted by. What is not known comes last, in either order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProcessSort {
    /// CPU time; until that is known, the average of its life.
    #[default]
    Cpu,
    /// Resident memory.
    Rss,
    /// Proportional memory.
    Pss,
    /// Open files.
    Fds,
    /// Bytes read and written a second; until that is known, the average of its life.
    Io,
    /// Bytes read a second.
    Read,
    /// Bytes written a second.
    Write,
    /// Threads.
    Threads,
    /// Number.
    Pid,
    /// Name.
    Name,
    /// User.
    User,
    /// Group.
    Group,
    /// State.
    State,
    /// Start.
    Start,
    /// Command line.
    Cmdline,
}

impl ProcessSort {
    /// All of them by the words that the API takes.
    pub const WORDS: [(&'static str, Self); 15] = [
        ("cpu", Self::Cpu),
        ("rss", Self::Rss),
        ("pss", Self::Pss),
        ("fds", Self::Fds),
        ("io", Self::Io),
        ("read", Self::Read),
        ("write", Self::Write),
        ("threads", Self::Threads),
        ("pid", Self::Pid),
        ("name", Self::Name),
        ("user", Self::User),
        ("group", Self::Group),
        ("state", Self::State),
        ("start", Self::Start),
        ("cmdline", Self::Cmdline),
    ];

    /// Whether the largest come first when nobody says otherwise: yes for what is counted, no for names.
    pub fn descends(self) -> bool {
        !matches!(self, Self::Pid | Self::Name | Self::User | Self::Group | Self::State | Self::Cmdline)
    }
}

/// Which processes are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessQuery {
    /// Sorted by what.
    pub sort: ProcessSort,
    /// Largest first.
    pub descending: bool,
    /// How many at most.
    pub limit: usize,
}

/// Reads the processes that the last tick saw.
#[derive(Clone)]
pub struct WorkersHandle(Source);

#[derive(Clone)]
enum Source {
    Live {
        shared: Arc<Mutex<Shared>>,
        asked: Arc<Mutex<Asked>>,
    },
    /// Processes that somebody else makes up: the demo.
    Fixed(Arc<Mutex<Vec<ProcessView>>>),
}

/// What questions leave behind for the next one.
struct Asked {
    proc: ProcReader,
    users: Users,
    io: HashMap<i32, IoBefore>,
    cpu: HashMap<i32, CpuBefore>,
}

struct CpuBefore {
    start_ticks: u64,
    at: Timestamp,
    ticks: u64,
    percent: Option<f64>,
}

struct IoBefore {
    start_ticks: u64,
    at: Timestamp,
    bytes: (u64, u64),
    rates: Option<(f64, f64)>,
}

/// A row on its way: the view, the identity, and what only sorting needs.
struct Row {
    view: ProcessView,
    start_ticks: u64,
    average_io: Option<f64>,
    average_cpu: Option<f64>,
    /// CPU time at the table's reading in ticks, and when that was.
    cpu: (u64, Timestamp),
    /// Whether the last tick read it.
    is_fresh: bool,
}

impl WorkersHandle {
    pub(super) fn live(shared: Arc<Mutex<Shared>>) -> Self {
        let roots = shared.lock().roots.clone();
        let asked =
            Asked { proc: ProcReader::new(&roots), users: Users::new(&roots), io: HashMap::new(), cpu: HashMap::new() };
        Self(Source::Live { shared, asked: Arc::new(Mutex::new(asked)) })
    }

    /// The processes that the last tick saw, by pid. Open files of processes without a group are counted now.
    pub fn processes(&self) -> Vec<ProcessView> {
        let (mut views, roots) = match &self.0 {
            Source::Live { shared, .. } => {
                let mut shared = shared.lock();
                shared.asked = true;
                let views: Vec<_> = shared.table.iter().map(|(pid, process)| shared.view(pid, process)).collect();
                (views, shared.roots.clone())
            }
            Source::Fixed(views) => return views.lock().clone(),
        };
        for view in views.iter_mut().filter(|view| view.group.is_none() && view.state != 'Z') {
            view.open_fds = open_fds(&roots, view.pid);
        }
        views.sort_by_key(|view| view.pid);
        views
    }

    /// The first processes of an order, with everything that can be told of them. Only what the order needs is read of the
    /// others.
    pub fn heaviest(&self, query: &ProcessQuery, now: Timestamp) -> Vec<ProcessView> {
        let (shared, asked) = match &self.0 {
            Source::Live { shared, asked } => (shared, asked),
            Source::Fixed(views) => {
                let row = |view: ProcessView| Row {
                    view,
                    start_ticks: 0,
                    average_io: None,
                    average_cpu: None,
                    cpu: (0, 0),
                    is_fresh: true,
                };
                let rows = views.lock().iter().cloned().map(row).collect();
                return first(rows, query).into_iter().map(|row| row.view).collect();
            }
        };
        let (rows, roots, units) = {
            let mut shared = shared.lock();
            shared.asked = true;
            let shared = &*shared;
            let row = |(pid, process): (i32, &Process)| Row {
                view: shared.view(pid, process),
                start_ticks: process.start_ticks,
                average_io: None,
                average_cpu: None,
                cpu: (
                    process.user_ticks.saturating_add(process.system_ticks),
                    now - process.read_before_ms(now.saturating_sub(shared.shift_ms)),
                ),
                is_fresh: process.member.is_some(),
            };
            (shared.table.iter().map(row).collect::<Vec<Row>>(), shared.roots.clone(), shared.units)
        };
        asked.lock().answer(rows, query, &roots, units, now)
    }

    /// One process as the last tick saw it: what does not cost another reading.
    pub fn process(&self, pid: i32) -> Option<ProcessView> {
        match &self.0 {
            Source::Live { shared, .. } => {
                let shared = shared.lock();
                Some(shared.view(pid, shared.table.get(pid)?))
            }
            Source::Fixed(views) => views.lock().iter().find(|view| view.pid == pid).cloned(),
        }
    }

    /// The group of a process, if it was there at the last tick and has one.
    pub fn group_of(&self, pid: i32) -> Option<String> {
        match &self.0 {
            Source::Live { shared, .. } => {
                let shared = shared.lock();
                let group = shared.table.get(pid)?.group()?;
                shared.groups.name(group).map(str::to_owned)
            }
            Source::Fixed(views) => views.lock().iter().find(|view| view.pid == pid)?.group.clone(),
        }
    }

    /// How many processes are remembered; none that has ended.
    pub fn remembered(&self) -> usize {
        match &self.0 {
            Source::Live { shared, .. } => shared.lock().table.len(),
            Source::Fixed(views) => views.lock().len(),
        }
    }

    /// A handle whose processes are set by hand.
    pub(crate) fn fixed() -> Self {
        Self(Source::Fixed(Arc::default()))
    }

    /// Sets the processes of a handle made by [`WorkersHandle::fixed`].
    pub(crate) fn set_fixed(&self, processes: Vec<ProcessView>) {
        if let Source::Fixed(views) = &self.0 {
            *views.lock() = processes;
        }
    }
}

impl Shared {
    fn view(&self, pid: i32, process: &Process) -> ProcessView {
        let member = process.member.as_ref();
        ProcessView {
            pid,
            parent: process.parent,
            name: label(process.comm()).into_owned(),
            user: None,
            cpu_percent: process.cores(self.units.hz).map(|cores| cores * 100.0),
            rss_bytes: process.resident_pages as f64 * self.units.page_bytes,
            pss_bytes: member.and_then(|member| member.pss_bytes).map(|bytes| bytes as f64),
            threads: process.threads,
            open_fds: member.and_then(|member| member.open_fds),
            read_bytes_per_second: None,
            write_bytes_per_second: None,
            start_time: self.units.start_time(process.start_ticks),
            state: char::from(process.state),
            group: process.group().and_then(|group| self.groups.name(group)).map(str::to_owned),
            cmdline: None,
        }
    }
}

impl Asked {
    fn answer(
        &mut self,
        mut rows: Vec<Row>,
        query: &ProcessQuery,
        roots: &Roots,
        units: Units,
        now: Timestamp,
    ) -> Vec<ProcessView> {
        self.users.refresh();
        rows.retain_mut(|row| self.read_anew(row, units, now));
        // Numbers that were given away, or whose process is gone.
        let known: HashMap<i32, u64> = rows.iter().map(|row| (row.view.pid, row.start_ticks)).collect();
        self.io.retain(|pid, before| known.get(pid) == Some(&before.start_ticks));
        self.cpu.retain(|pid, before| known.get(pid) == Some(&before.start_ticks));
        for row in &mut rows {
            match query.sort {
                ProcessSort::Fds => self.fill_files(row, roots),
                ProcessSort::Io | ProcessSort::Read | ProcessSort::Write => self.fill_io(row, now),
                ProcessSort::User => self.fill_user(row),
                ProcessSort::Cmdline => self.fill_cmdline(row),
                _ => {}
            }
        }
        let mut rows = first(rows, query);
        for row in &mut rows {
            self.fill_files(row, roots);
            self.fill_io(row, now);
            self.fill_user(row);
            self.fill_cmdline(row);
        }
        rows.into_iter().map(|row| row.view).collect()
    }

    /// Reads one that the table has not read just now: it may be seconds old. False when it is not there any more.
    fn read_anew(&mut self, row: &mut Row, units: Units, now: Timestamp) -> bool {
        let lived = row.view.start_time.map(|start| now as f64 / 1e3 - start).filter(|lived| *lived > 0.0);
        if !row.is_fresh {
            let stat = match self.proc.stat(row.view.pid, None).map(PidStat::parse) {
                Ok(Some(stat)) if stat.start_ticks == row.start_ticks => stat,
                Ok(Some(_)) => return false,
                Ok(None) => return true,
                Err(error) => return !is_gone(&error),
            };
            let ticks = stat.user_ticks.saturating_add(stat.system_ticks);
            let has_thread = stat.state != b'Z' || stat.threads <= 1;
            row.view.parent = stat.parent;
            row.view.threads = stat.threads;
            if has_thread {
                row.view.state = char::from(stat.state);
                row.view.rss_bytes = stat.resident_pages as f64 * units.page_bytes;
            }
            row.view.cpu_percent = self.cpu_percent(row, ticks, units, now);
            row.cpu = (ticks, now);
        }
        row.average_cpu = lived.map(|lived| row.cpu.0 as f64 / units.hz / lived * 100.0);
        true
    }

    /// CPU time since the question before, or since the table's reading when that is the only one.
    fn cpu_percent(&mut self, row: &Row, ticks: u64, units: Units, now: Timestamp) -> Option<f64> {
        let before = self.cpu.get(&row.view.pid).filter(|before| before.start_ticks == row.start_ticks);
        let before = before.filter(|before| (0..=MAX_RATE_MS).contains(&(now - before.at)));
        let (then, at, known) = match before {
            Some(before) => (before.ticks, before.at, before.percent),
            None => (row.cpu.0, row.cpu.1, row.view.cpu_percent),
        };
        let elapsed = now - at;
        let percent = match elapsed {
            MIN_RATE_MS..=MAX_RATE_MS => {
                Some(ticks.saturating_sub(then) as f64 / units.hz / (elapsed as f64 / 1e3) * 100.0)
            }
            _ => known,
        };
        if before.is_none_or(|before| now - before.at >= MIN_RATE_MS) {
            let before = CpuBefore { start_ticks: row.start_ticks, at: now, ticks, percent };
            self.cpu.insert(row.view.pid, before);
        }
        percent
    }

    fn fill_files(&mut self, row: &mut Row, roots: &Roots) {
        if row.view.open_fds.is_none() && row.view.state != 'Z' {
            row.view.open_fds = open_fds(roots, row.view.pid);
        }
    }

    fn fill_user(&mut self, row: &mut Row) {
        if row.view.user.is_none() {
            let uid = effective_user(&mut self.proc, row.view.pid);
            row.view.user = uid.map(|uid| self.users.name(uid));
        }
    }

    fn fill_cmdline(&mut self, row: &mut Row) {
        let mut bytes = Vec::new();
        if row.view.cmdline.is_none() && self.proc.whole(row.view.pid, "cmdline", CMDLINE_BYTES, &mut bytes).is_ok() {
            row.view.cmdline = shown(&bytes);
        }
    }

    fn fill_io(&mut self, row: &mut Row, now: Timestamp) {
        let pid = row.view.pid;
        let counters = |bytes: &[u8]| field(bytes, b"read_bytes:").zip(field(bytes, b"write_bytes:"));
        let Some(bytes) = self.proc.io(pid, None).ok().and_then(counters) else { return };
        let lived = row.view.start_time.map(|start| now as f64 / 1e3 - start).filter(|lived| *lived > 0.0);
        row.average_io = lived.map(|lived| (bytes.0 as f64 + bytes.1 as f64) / lived);
        let before = self.io.get(&pid).filter(|before| now >= before.at);
        let rates = match before {
            Some(before) if now - before.at < MIN_RATE_MS => before.rates,
            Some(before) if now - before.at <= MAX_RATE_MS => {
                let seconds = (now - before.at) as f64 / 1e3;
                let rate = |now: u64, then: u64| now.saturating_sub(then) as f64 / seconds;
                Some((rate(bytes.0, before.bytes.0), rate(bytes.1, before.bytes.1)))
            }
            _ => None,
        };
        if before.is_none_or(|before| now - before.at >= MIN_RATE_MS) {
            self.io.insert(pid, IoBefore { start_ticks: row.start_ticks, at: now, bytes, rates });
        }
        (row.view.read_bytes_per_second, row.view.write_bytes_per_second) = rates.unzip();
    }
}

/// The first rows of an order; equal ones by number.
fn first(mut rows: Vec<Row>, query: &ProcessQuery) -> Vec<Row> {
    rows.sort_by_cached_key(|row| {
        let key = Key::of(row, query.sort);
        (key.is_none(), if query.descending { Err(std::cmp::Reverse(key)) } else { Ok(key) }, row.view.pid)
    });
    rows.truncate(query.limit);
    rows
}

/// A value that rows are ordered by.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    /// Bits of a float that is not negative: they order as the float does.
    Number(u64),
    Text(String),
}

impl Key {
    fn of(row: &Row, sort: ProcessSort) -> Option<Self> {
        let view = &row.view;
        let number = |value: f64| Self::Number(value.max(0.0).to_bits());
        let io = || Some(view.read_bytes_per_second? + view.write_bytes_per_second?);
        match sort {
            ProcessSort::Cpu => view.cpu_percent.or(row.average_cpu).map(number),
            ProcessSort::Rss => Some(number(view.rss_bytes)),
            ProcessSort::Pss => view.pss_bytes.map(number),
            ProcessSort::Fds => view.open_fds.map(Self::Number),
            ProcessSort::Io => io().or(row.average_io).map(number),
            ProcessSort::Read => view.read_bytes_per_second.map(number),
            ProcessSort::Write => view.write_bytes_per_second.map(number),
            ProcessSort::Threads => Some(Self::Number(view.threads)),
            ProcessSort::Pid => Some(Self::Number(u64::try_from(view.pid).unwrap_or(0))),
            ProcessSort::Name => Some(Self::Text(view.name.clone())),
            ProcessSort::User => view.user.clone().map(Self::Text),
            ProcessSort::Group => view.group.clone().map(Self::Text),
            ProcessSort::State => Some(Self::Text(view.state.to_string())),
            ProcessSort::Start => view.start_time.map(number),
            ProcessSort::Cmdline => view.cmdline.clone().map(Self::Text),
        }
    }
}

fn open_fds(roots: &Roots, pid: i32) -> Option<u64> {
    count_entries(&roots.proc.join(pid.to_string()).join("fd")).map(|count| count as u64)
}
