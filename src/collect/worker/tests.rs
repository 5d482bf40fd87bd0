use std::path::Path;

use regex::Regex;

use super::{WorkerConfig, WorkerMatcher, Workers};
use crate::collect::Reading;
use crate::collect::system::Roots;
use crate::collect::system::proc_stat::user_hz;
use crate::collect::testing::{Interner, Page, collect, put};

struct Machine {
    root: tempfile::TempDir,
    workers: Workers,
    intern: Interner,
}

impl Machine {
    fn new(groups: Vec<WorkerMatcher>) -> Self {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), "proc/stat", "btime 1000\n");
        let workers = Workers::new(&Roots::under(root.path()), &WorkerConfig { groups });
        Self { root, workers, intern: Interner::default() }
    }

    fn run(&self, pid: u32, comm: &str, cmdline: &str, parent: u32, cpu: (u64, u64), start: u64) {
        let (user, system) = cpu;
        let stat =
            format!("{pid} ({comm}) S {parent} 1 1 0 -1 0 0 0 0 0 {user} {system} 0 0 20 0 2 0 {start} 8192 10 0 0 0");
        put(self.root.path(), &format!("proc/{pid}/stat"), &stat);
        put(self.root.path(), &format!("proc/{pid}/cmdline"), &cmdline.replace(' ', "\0"));
    }

    fn files(&self, pid: u32, count: usize) {
        (0..count).for_each(|fd| put(self.root.path(), &format!("proc/{pid}/fd/{fd}"), ""));
    }

    fn end(&self, pid: u32) {
        std::fs::remove_dir_all(self.root.path().join(format!("proc/{pid}"))).unwrap();
    }

    fn tick(&mut self, now: i64) -> Page {
        let (page, result) = collect(&mut self.workers, &self.intern, now);
        assert_eq!(result.unwrap(), Reading::Complete);
        page
    }
}

fn comm(name: &str, children: bool) -> WorkerMatcher {
    WorkerMatcher { name: name.into(), comm: vec![name.into()], children, declared: true, ..WorkerMatcher::default() }
}

fn of(page: &Page, family: &str, labels: &str) -> Option<f64> {
    page.get(&format!("worker_group_{family}{{{labels}}}")).copied()
}

#[test]
fn sums_deltas_and_what_is_absent() {
    let hz = user_hz() as u64;
    let mut machine = Machine::new(vec![comm("a", true), comm("gone", false)]);
    machine.run(10, "a", "a", 1, (2 * hz, 0), 5 * hz);
    machine.run(11, "helper", "helper", 10, (hz, hz), 6 * hz);
    machine.run(12, "other", "other", 1, (hz, hz), 6 * hz);
    machine.files(10, 3);
    machine.files(12, 2);
    let page = machine.tick(1_000);
    assert_eq!(of(&page, "procs", r#"group="a""#), Some(2.0));
    assert_eq!(of(&page, "cpu_seconds_total", r#"group="a", mode="user""#), Some(3.0));
    assert_eq!(of(&page, "cpu_ratio", r#"group="a""#), None, "a first reading has no ratio");
    assert_eq!(of(&page, "threads", r#"group="a""#), Some(4.0));
    assert_eq!(of(&page, "open_fds", r#"group="a""#), None, "one may not be counted");
    assert_eq!(of(&page, "scrape_permission_denied", r#"group="a""#), Some(1.0));
    assert_eq!(of(&page, "states", r#"group="a", state="sleeping""#), Some(2.0));
    assert_eq!(of(&page, "oldest_start_timestamp_seconds", r#"group="a""#), Some(1005.0));
    assert_eq!(of(&page, "procs", r#"group="gone""#), Some(0.0));
    assert_eq!(of(&page, "oldest_start_timestamp_seconds", r#"group="gone""#), None);

    machine.files(11, 1);
    machine.run(10, "a", "a", 1, (2 * hz + hz / 2, 0), 5 * hz);
    let page = machine.tick(2_000);
    assert_eq!(of(&page, "cpu_ratio", r#"group="a""#), Some(0.5));
    assert_eq!(of(&page, "open_fds", r#"group="a""#), Some(4.0));
    let page = machine.tick(2_000);
    assert_eq!(of(&page, "cpu_ratio", r#"group="a""#), None, "a zero-length interval has none");

    machine.end(10);
    let page = machine.tick(3_000);
    assert_eq!(of(&page, "procs", r#"group="a""#), Some(1.0), "the child keeps its group");
    assert_eq!(of(&page, "cpu_seconds_total", r#"group="a", mode="user""#), Some(3.5), "the counter keeps the dead");
    machine.run(10, "a", "a", 1, (hz / 4, 0), 99 * hz);
    let page = machine.tick(4_000);
    assert_eq!(
        of(&page, "cpu_seconds_total", r#"group="a", mode="user""#),
        Some(3.75),
        "a pid that is used again is new"
    );
}

#[test]
fn the_snapshot_tells_every_process() {
    let hz = user_hz() as u64;
    let mut machine = Machine::new(vec![comm("a", false)]);
    machine.run(10, "a", "a", 1, (0, 0), 5 * hz);
    machine.run(12, "other", "other", 10, (0, 0), 6 * hz);
    machine.files(12, 2);
    machine.tick(1_000);
    machine.run(12, "other", "other", 10, (hz, hz), 6 * hz);
    machine.tick(3_000);
    let views = machine.workers.handle().processes();
    assert_eq!((views[0].group.as_deref(), views[0].open_fds, views[0].cpu_percent), (Some("a"), None, Some(0.0)));
    assert_eq!((views[1].group.as_deref(), views[1].open_fds, views[1].cpu_percent), (None, Some(2), Some(100.0)));
    assert_eq!((views[1].name.as_str(), views[1].start_time, views[1].state), ("other", Some(1006.0), 'S'));
}

#[test]
fn strangers_are_read_in_turn() {
    let mut machine = Machine::new(vec![comm("a", false)]);
    machine.run(10, "sh", "sh", 1, (0, 0), 5);
    machine.run(11, "sh", "sh", 1, (0, 0), 5);
    for second in 0..70 {
        machine.tick(second * 1000);
    }
    assert_eq!(machine.workers.handle().remembered(), 2, "who is passed over is still there");
    machine.run(10, "a", "a", 1, (0, 0), 5);
    let mut found = (70..74).map(|second| of(&machine.tick(second * 1000), "procs", r#"group="a""#));
    assert!(found.any(|procs| procs == Some(1.0)), "an exec is seen within four ticks");
    machine.end(11);
    machine.tick(74_000);
    assert_eq!(machine.workers.handle().remembered(), 1, "an end is seen at once");
}

#[test]
fn exec_and_late_titles_are_matched_again() {
    let regex = WorkerMatcher {
        name: "titled".into(),
        cmdline: vec![Regex::new("^title").unwrap()],
        ..WorkerMatcher::default()
    };
    let mut machine = Machine::new(vec![comm("a", false), regex]);
    machine.run(10, "sh", "sh -c a", 1, (700, 0), 5);
    machine.run(11, "python", "python x", 1, (0, 0), 5);
    assert!(of(&machine.tick(1_000), "procs", r#"group="titled""#).is_none(), "not declared, not seen");
    machine.run(10, "a", "a", 1, (701, 0), 5);
    machine.run(11, "python", "title: x", 1, (0, 0), 5);
    let page = machine.tick(2_000);
    assert_eq!(of(&page, "procs", r#"group="a""#), Some(1.0));
    assert_eq!(
        of(&page, "cpu_seconds_total", r#"group="a", mode="user""#),
        Some(1.0 / user_hz()),
        "its past stays out"
    );
    assert_eq!(of(&page, "procs", r#"group="titled""#), Some(1.0));
    machine.run(10, "ls", "ls", 1, (702, 0), 5);
    assert_eq!(of(&machine.tick(3_000), "procs", r#"group="a""#), Some(0.0), "it became something else");
}

#[test]
fn a_zombie_and_garbage() {
    let mut machine = Machine::new(vec![comm("a", false)]);
    put(machine.root.path(), "proc/9/stat", "9 (a) Z 1 9 9 0 -1 0 0 0 0 0 1 1 0 0 20 0 1 0 5 0 0 0");
    let page = machine.tick(0);
    assert_eq!(of(&page, "states", r#"group="a", state="zombie""#), Some(1.0));
    assert_eq!(of(&page, "open_fds", r#"group="a""#), Some(0.0));
    put(machine.root.path(), "proc/8/stat", "rubbish");
    std::fs::create_dir_all(machine.root.path().join("proc/7")).unwrap();
    let (page, result) = collect(&mut machine.workers, &machine.intern, 1);
    assert!(matches!(result, Ok(Reading::Degraded(text)) if text.contains("/proc/8/stat")));
    assert_eq!(of(&page, "procs", r#"group="a""#), Some(1.0));
    let mut nowhere = Workers::new(&Roots::under(Path::new("/nowhere")), &WorkerConfig::default());
    assert!(matches!(collect(&mut nowhere, &machine.intern, 1).1, Ok(Reading::Unavailable(_))));
}

/// 100,000 processes, each seen once: the walk itself is what the other tests cover, so this drives the table.
#[test]
fn short_lived_processes_leave_nothing_behind() {
    let line = |pid: i32| format!("{pid} (x) R 1 1 1 0 -1 0 0 0 0 0 1 1 0 0 20 0 1 0 {pid} 8192 10 0");
    let mut table = super::table::ProcessTable::default();
    for tick in 0..100 {
        table.begin();
        for pid in tick * 1000..(tick + 1) * 1000 {
            let line = line(pid);
            table.see(pid, &crate::collect::proc_pid::PidStat::parse(line.as_bytes()).unwrap(), i64::from(tick));
        }
        table.end();
        assert_eq!(table.len(), 1000);
        assert!(table.capacity() < 8192, "room for {} processes", table.capacity());
    }
    table.begin();
    table.end();
    assert_eq!(table.len(), 0);
    let mut machine = Machine::new(vec![comm("x", true)]);
    for pid in 0..300 {
        machine.run(pid + 1, "x", "x", 1, (1, 1), u64::from(pid));
        machine.tick(i64::from(pid));
        machine.end(pid + 1);
    }
    let page = machine.tick(1000);
    assert_eq!(machine.workers.handle().remembered(), 0);
    let cpu = of(&page, "cpu_seconds_total", r#"group="x", mode="user""#).unwrap();
    assert!((cpu - 300.0 / user_hz()).abs() < 1e-9, "{cpu}");
    assert_eq!(machine.intern.count(), 13, "no series per process");
}

/// A real child on the real `/proc`: alive, then a zombie because nobody waits for it, then gone.
#[test]
fn a_real_process_lives_and_dies() {
    if !Path::new("/proc/self/stat").exists() {
        eprintln!("SKIPPED: no /proc");
        return;
    }
    // A name that no other run of this test has.
    let time = format!("86397.{}", std::process::id());
    let matcher = WorkerMatcher {
        name: "sleeper".into(),
        cmdline: vec![Regex::new(&format!("^sleep {time}$")).unwrap()],
        declared: true,
        ..WorkerMatcher::default()
    };
    let mut workers = Workers::new(&Roots::default(), &WorkerConfig { groups: vec![matcher] });
    let intern = Interner::default();
    let mut tick = |now: i64| collect(&mut workers, &intern, now).0;
    assert_eq!(of(&tick(0), "procs", r#"group="sleeper""#), Some(0.0));
    let mut child = std::process::Command::new("sleep").arg(&time).spawn().unwrap();
    // Between fork and exec it still has our own command line.
    let page = (1..1_000).map(&mut tick).find(|page| of(page, "procs", r#"group="sleeper""#) == Some(1.0)).unwrap();
    assert!(of(&page, "memory_bytes", r#"group="sleeper", type="rss""#).is_some());
    assert!(of(&page, "open_fds", r#"group="sleeper""#).is_some_and(|fds| fds >= 3.0));
    child.kill().unwrap();
    let zombie = |page: &Page| of(page, "states", r#"group="sleeper", state="zombie""#) == Some(1.0);
    assert!((1_000..100_000).map(&mut tick).any(|page| zombie(&page)));
    child.wait().unwrap();
    assert_eq!(of(&tick(100_000), "procs", r#"group="sleeper""#), Some(0.0));
}
