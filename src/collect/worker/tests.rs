use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use regex::Regex;

use super::{ProcessQuery, ProcessSort, WorkerConfig, WorkerExit, WorkerMatcher, Workers};
use crate::collect::Reading;
use crate::collect::system::Roots;
use crate::collect::system::proc_stat::user_hz;
use crate::collect::testing::{Interner, Page, collect, put};

struct Machine {
    root: tempfile::TempDir,
    workers: Workers,
    intern: Interner,
    exits: Arc<Mutex<Vec<WorkerExit>>>,
}

/// A configuration whose listings come with every tick.
fn eager(groups: Vec<WorkerMatcher>) -> WorkerConfig {
    WorkerConfig { scan_interval: Duration::ZERO, ..WorkerConfig::of(groups) }
}

impl Machine {
    fn new(groups: Vec<WorkerMatcher>) -> Self {
        Self::with(&eager(groups))
    }

    fn with(config: &WorkerConfig) -> Self {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), "proc/stat", "btime 1000\n");
        let exits = Arc::<Mutex<Vec<WorkerExit>>>::default();
        let told = Arc::clone(&exits);
        let workers =
            Workers::new(&Roots::under(root.path()), config).on_exit(Box::new(move |exit| told.lock().push(exit)));
        Self { root, workers, intern: Interner::default(), exits }
    }

    fn put(&self, path: &str, text: &str) {
        put(self.root.path(), path, text);
    }

    fn exits(&self) -> Vec<WorkerExit> {
        std::mem::take(&mut self.exits.lock())
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
    assert_eq!(of(&page, "scrape_permission_denied", r#"group="a", kind="fd""#), Some(1.0));
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
        table.end(|_| {});
        assert_eq!(table.len(), 1000);
        assert!(table.capacity() < 8192, "room for {} processes", table.capacity());
    }
    table.begin();
    table.end(|_| {});
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
    assert_eq!(machine.intern.count(), 33, "no series per process");
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
    let mut workers = Workers::new(&Roots::default(), &eager(vec![matcher]));
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

const GROUP_A: &str = r#"group="a""#;

#[test]
fn details_and_their_gaps() {
    let mut machine = Machine::new(vec![WorkerMatcher { expected: Some(3), ..comm("a", false) }]);
    machine.run(10, "a", "a", 1, (0, 0), 5);
    machine.run(11, "a", "a", 1, (0, 0), 6);
    machine.files(10, 5);
    machine.files(11, 1);
    let limits = |files: &str| {
        format!(
            "Limit  Soft  Hard  Units\nMax open files            {files}                 4096                 files\n"
        )
    };
    machine.put("proc/10/limits", &limits("10"));
    machine.put("proc/11/limits", &limits("unlimited"));
    let io = |read: u64, write: u64| {
        format!("rchar: 9\nwchar: 9\nread_bytes: {read}\nwrite_bytes: {write}\ncancelled_write_bytes: 0\n")
    };
    machine.put("proc/10/io", &io(4096, 100));
    let status = "VmSwap:\t 2 kB\nvoluntary_ctxt_switches:\t7\nnonvoluntary_ctxt_switches:\t3\n";
    machine.put("proc/10/status", status);
    machine.put("proc/10/smaps_rollup", "0-0 ---p [rollup]\nPss:    3 kB\nSwapPss:   1 kB\n");
    let page = machine.tick(1_000);
    for (family, labels, expected) in [
        ("expected_procs", GROUP_A, Some(3.0)),
        ("open_fds", GROUP_A, Some(6.0)),
        ("max_fd_usage_ratio", GROUP_A, Some(0.5)),
        ("io_bytes_total", r#"group="a", op="read""#, Some(4096.0)),
        ("io_bytes_total", r#"group="a", op="write""#, Some(100.0)),
        ("memory_bytes", r#"group="a", type="swap""#, Some(2048.0)),
        ("memory_bytes", r#"group="a", type="pss""#, Some(3072.0)),
        ("memory_bytes", r#"group="a", type="virtual""#, Some(16384.0)),
        ("context_switches_total", r#"group="a", kind="voluntary""#, Some(7.0)),
        ("context_switches_total", r#"group="a", kind="involuntary""#, Some(3.0)),
        ("idle_seconds", GROUP_A, Some(0.0)),
        ("rss_slope_bytes_per_second", GROUP_A, None),
    ] {
        assert_eq!(of(&page, family, labels), expected, "{family} {labels}");
    }
    // A counter that stands at the end of its 64 bits, one that steps back, and one that is no number.
    let mut read = |text: &str, now: i64| {
        machine.put("proc/10/io", text);
        of(&machine.tick(now), "io_bytes_total", r#"group="a", op="read""#)
    };
    assert_eq!(read(&io(5096, 100), 2_000), Some(5096.0));
    assert_eq!(read(&io(3, 100), 3_000), Some(5096.0));
    assert_eq!(read("read_bytes: many\nwrite_bytes: 1\n", 4_000), Some(5096.0));
    assert_eq!(read("", 5_000), Some(5096.0));
    assert_eq!(read(&io(u64::MAX, 100), 6_000), Some(u64::MAX as f64));
    assert_eq!(of(&machine.tick(9_000), "idle_seconds", GROUP_A), Some(8.0));
}

#[test]
fn ends_restarts_and_what_stays() {
    let mut machine = Machine::new(vec![comm("a", true)]);
    let hz = user_hz() as u64;
    assert_eq!(of(&machine.tick(0), "restarts_total", GROUP_A), Some(0.0));
    machine.run(10, "a", "a", 1, (hz, 0), 5 * hz);
    machine.run(20, "child", "child", 10, (hz, 0), 6 * hz);
    machine.put("proc/10/io", "read_bytes: 700\nwrite_bytes: 0\n");
    let page = machine.tick(1_010_000);
    assert_eq!(of(&page, "restarts_total", GROUP_A), Some(0.0), "a first start takes nobody's place");
    machine.end(20);
    machine.end(10);
    let page = machine.tick(1_020_000);
    assert_eq!(of(&page, "procs", GROUP_A), Some(0.0));
    assert_eq!(of(&page, "idle_seconds", GROUP_A), None);
    assert_eq!(of(&page, "io_bytes_total", r#"group="a", op="read""#), Some(700.0), "what the dead read stays");
    assert_eq!(of(&page, "exits_total", r#"group="a", reason="unknown""#), Some(2.0));
    let mut exits = machine.exits();
    exits.sort_by_key(|exit| exit.pid);
    assert_eq!(
        (exits[0].pid, exits[0].group.as_str(), exits[0].name.as_str(), exits[0].inherited),
        (10, "a", "a", false)
    );
    assert_eq!((exits[0].start_time, exits[0].lifetime_seconds), (Some(1005.0), Some(15.0)));
    assert_eq!((exits[0].exit_code, exits[0].signal, exits[0].reason()), (None, None, "unknown"));
    assert!(exits[0].last_rss_bytes > 0.0 && exits[1].inherited);

    machine.run(11, "a", "a", 1, (0, 0), 30 * hz);
    machine.run(21, "child", "child", 11, (0, 0), 31 * hz);
    assert_eq!(of(&machine.tick(1_030_000), "restarts_total", GROUP_A), Some(1.0), "a child is no restart");
    // The same number, another process: one ended, one took its place.
    machine.run(11, "a", "a", 1, (0, 0), 40 * hz);
    let page = machine.tick(1_040_000);
    assert_eq!(of(&page, "restarts_total", GROUP_A), Some(2.0));
    assert_eq!(machine.exits().len(), 1);
    machine.run(12, "a", "a", 1, (0, 0), 41 * hz);
    assert_eq!(of(&machine.tick(1_041_000), "restarts_total", GROUP_A), Some(2.0), "one more is growth");
}

#[test]
fn zombies_belong_to_their_parent_and_end_once() {
    let mut machine = Machine::new(vec![comm("server", false), comm("tool", false)]);
    let zombie = |pid: u32, parent: u32, status: u32| {
        format!(
            "{pid} (tool) Z {parent} 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 50 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 {status}"
        )
    };
    machine.run(10, "server", "server", 1, (0, 0), 5);
    machine.run(11, "tool", "tool", 10, (0, 0), 50);
    machine.tick(1_000);
    machine.put("proc/11/stat", &zombie(11, 10, 9));
    machine.put("proc/12/stat", &zombie(12, 1, 0));
    for now in [2_000, 3_000] {
        let page = machine.tick(now);
        assert_eq!(of(&page, "zombies", r#"group="server""#), Some(1.0));
        assert_eq!(of(&page, "zombies", r#"group="tool""#), Some(1.0), "its parent has no group");
        assert_eq!(of(&page, "states", r#"group="tool", state="zombie""#), Some(2.0));
        assert_eq!(of(&page, "exits_total", r#"group="tool", reason="signal""#), Some(1.0));
    }
    let exits = machine.exits();
    let mut told: Vec<_> = exits.iter().map(|exit| (exit.pid, exit.signal, exit.exit_code)).collect();
    told.sort_unstable();
    // Whoever is met as a zombie ended before we were there to see it, but its end is told all the same at the next tick.
    assert_eq!(told, [(11, Some(9), None), (12, None, None)]);
    machine.end(11);
    machine.end(12);
    machine.tick(4_000);
    assert!(machine.exits().is_empty(), "an end is told once");
}

#[test]
fn orphans_waiting_and_slopes() {
    let mut machine = Machine::new(vec![comm("a", true)]);
    machine.run(9, "sh", "sh", 1, (0, 0), 4);
    machine.run(10, "a", "a", 9, (0, 0), 5);
    machine.run(11, "kid", "kid", 10, (0, 0), 6);
    assert_eq!(of(&machine.tick(0), "orphans", GROUP_A), Some(0.0));
    machine.end(9);
    machine.run(10, "a", "a", 1, (0, 0), 5);
    assert_eq!(of(&machine.tick(1_000), "orphans", GROUP_A), Some(1.0));
    let waiting = "10 (a) D 1 1 1 0 -1 0 3 0 4 0 0 0 0 0 20 0 2 0 5 8192 10 0 0 0";
    machine.put("proc/10/stat", waiting);
    let page = machine.tick(3_500);
    assert_eq!(of(&page, "uninterruptible_seconds_total", GROUP_A), Some(2.5));
    assert_eq!(of(&page, "page_faults_total", r#"group="a", kind="minor""#), Some(3.0));
    assert_eq!(of(&page, "page_faults_total", r#"group="a", kind="major""#), Some(4.0));
    machine.files(10, 1);
    machine.files(11, 1);
    let page_bytes = crate::collect::proc_pid::page_bytes();
    for step in 1..20 {
        let stat = waiting.replace(" D ", " S ").replace(" 10 0 0 0", &format!(" {} 0 0 0", 10 + step));
        machine.put("proc/10/stat", &stat);
        let page = machine.tick(3_500 + step * 10_000);
        let slope = of(&page, "rss_slope_bytes_per_second", GROUP_A);
        match step {
            1..11 => assert_eq!(slope, None, "{step}"),
            _ => {
                assert!(slope.is_some_and(|slope| (slope / (page_bytes / 10.0) - 1.0).abs() < 0.1), "{step}: {slope:?}")
            }
        }
    }
    assert!(of(&machine.tick(200_000), "open_fds_slope_per_second", GROUP_A).is_some_and(|slope| slope.abs() < 1e-9));
}

#[test]
fn newcomers_wait_for_a_listing_and_ends_do_not() {
    let mut machine =
        Machine::with(&WorkerConfig { scan_interval: Duration::from_secs(2), ..eager(vec![comm("a", false)]) });
    machine.tick(0);
    machine.run(10, "a", "a", 1, (0, 0), 5);
    let procs = |machine: &mut Machine, now| of(&machine.tick(now), "procs", GROUP_A);
    assert_eq!(procs(&mut machine, 1_000), Some(0.0));
    assert_eq!(procs(&mut machine, 2_000), Some(1.0), "the bound is the scan interval");
    machine.end(10);
    assert_eq!(procs(&mut machine, 3_000), Some(0.0), "an end is seen at the next tick");
    machine.run(11, "a", "a", 1, (0, 0), 5);
    assert_eq!(procs(&mut machine, 1_000), Some(1.0), "a clock that was set back lists again");
}

#[test]
fn files_ports_users_and_units_name_members() {
    let selects = |name: &str, matcher: WorkerMatcher| WorkerMatcher { name: name.into(), declared: true, ..matcher };
    let mut machine = Machine::new(vec![
        selects("filed", WorkerMatcher { pidfile: vec!["/run/x.pid".into()], ..Default::default() }),
        selects("listener", WorkerMatcher { port: vec![8080], ..Default::default() }),
        selects("bobs", WorkerMatcher { user: vec!["bob".into()], ..Default::default() }),
        selects("unit", WorkerMatcher { unit: vec!["llama".into()], ..Default::default() }),
    ]);
    for pid in 10..15 {
        machine.run(pid, "x", "x", 1, (0, 0), 5);
    }
    machine.put("rootfs/etc/passwd", "bob:x:1000:1::/:\n");
    machine.put("proc/12/status", "Uid:\t0\t1000\t0\t0\n");
    machine.put("proc/13/cgroup", "0::/system.slice/llama.service\n");
    machine.put("proc/net/tcp", "  sl  local\n   0: 00000000:1F90 00000000:0000 0A 0:0 0:0 0 0 0 4711 1\n");
    machine.put("rootfs/run/x.pid", "99\n");
    let procs =
        |page: &Page| ["filed", "listener", "bobs", "unit"].map(|name| of(page, "procs", &format!("group={name:?}")));
    assert_eq!(procs(&machine.tick(0)), [0.0, 0.0, 1.0, 1.0].map(Some), "neither the file nor the socket names one");
    // Both begin to name a process that has been there for long.
    machine.put("rootfs/run/x.pid", "10\n");
    std::fs::create_dir_all(machine.root.path().join("proc/11/fd")).unwrap();
    std::os::unix::fs::symlink("socket:[4711]", machine.root.path().join("proc/11/fd/3")).unwrap();
    assert_eq!(procs(&machine.tick(20_000)), [1.0, 1.0, 1.0, 1.0].map(Some));
}

#[test]
fn names_that_nobody_would_give() {
    let mut machine = Machine::new(vec![WorkerMatcher {
        name: "{{.Comm}}".into(),
        cmdline: vec![Regex::new("^odd").unwrap()],
        ..WorkerMatcher::default()
    }]);
    for (pid, comm) in [(10, "a b"), (11, "a)b (c"), (12, "a\nb"), (13, "é\u{1F600}"), (14, ") S 1 (")] {
        machine.run(pid, comm, "odd", 1, (0, 0), 5);
        machine.files(pid, 0);
    }
    let bytes = [&b"15 (\xff\xfe) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 2 0 5 8192 10 0 0 0"[..]].concat();
    std::fs::create_dir_all(machine.root.path().join("proc/15")).unwrap();
    std::fs::write(machine.root.path().join("proc/15/stat"), bytes).unwrap();
    machine.put("proc/15/cmdline", "odd");
    let page = machine.tick(0);
    let groups = page.keys().filter(|key| key.starts_with("worker_group_procs{")).count();
    assert_eq!(groups, 6, "{:?}", page.keys().filter(|key| key.contains("group_procs")).collect::<Vec<_>>());
    // Halves of a line, numbers beyond 64 bits, a folder without files, one that is a file.
    for (pid, stat) in
        [(20, "20 (x) S"), (21, "21 (x) S 1 1 1 0 -1 0 0 0 0 0 99999999999999999999 0"), (22, ""), (23, "((((")]
    {
        machine.put(&format!("proc/{pid}/stat"), stat);
    }
    std::fs::create_dir_all(machine.root.path().join("proc/24/stat")).unwrap();
    machine.put("proc/25", "no folder");
    let (page, result) = collect(&mut machine.workers, &machine.intern, 1_000);
    assert!(matches!(result, Ok(Reading::Degraded(_))), "{result:?}");
    assert_eq!(page.keys().filter(|key| key.starts_with("worker_group_procs{")).count(), 6);
}

#[test]
fn aliases_have_the_names_of_process_exporter() {
    let config = WorkerConfig { process_exporter_names: true, ..eager(vec![comm("a", false)]) };
    let mut machine = Machine::with(&config);
    machine.run(10, "a", "a", 1, (user_hz() as u64, 0), 5);
    machine.files(10, 2);
    let page = machine.tick(0);
    let aliases: Vec<_> = page.keys().filter(|key| key.starts_with("namedprocess_")).collect();
    for (series, expected) in [
        (r#"namedprocess_namegroup_num_procs{groupname="a"}"#, 1.0),
        (r#"namedprocess_namegroup_cpu_seconds_total{groupname="a", mode="user"}"#, 1.0),
        (r#"namedprocess_namegroup_open_filedesc{groupname="a"}"#, 2.0),
        (r#"namedprocess_namegroup_states{groupname="a", state="Sleeping"}"#, 1.0),
        (r#"namedprocess_namegroup_memory_bytes{groupname="a", memtype="virtual"}"#, 8192.0),
        (r#"namedprocess_namegroup_context_switches_total{ctxswitchtype="nonvoluntary", groupname="a"}"#, 0.0),
    ] {
        assert_eq!(page.get(series), Some(&expected), "{series} of {aliases:#?}");
    }
}

#[test]
fn the_heaviest_first() {
    let hz = user_hz() as u64;
    let mut machine = Machine::new(vec![comm("a", false)]);
    for (pid, name, user, files, read) in [(10, "a", 5, 3, 0), (11, "b", 1, 9, 800), (12, "c", 9, 1, 100)] {
        machine.run(pid, name, &format!("{name} --token xyz"), 1, (0, 0), 5 * hz);
        machine.put(&format!("proc/{pid}/status"), &format!("Uid:\t{user}\t{user}\t0\t0\n"));
        machine.put(&format!("proc/{pid}/io"), &format!("read_bytes: {read}\nwrite_bytes: 0\n"));
        machine.files(pid, files);
    }
    machine.tick(0);
    for (pid, ticks) in [(10, 1), (11, 2), (12, 3)] {
        machine.run(pid, ["a", "b", "c"][pid as usize - 10], "x --token xyz", 1, (ticks, 0), 5 * hz);
    }
    machine.tick(1_000);
    let handle = machine.workers.handle();
    let ask = |sort: ProcessSort, descending: bool, limit: usize, now: i64| {
        handle.heaviest(&ProcessQuery { sort, descending, limit }, now)
    };
    let pids = |sort, descending| ask(sort, descending, 9, 2_000_000).iter().map(|view| view.pid).collect::<Vec<_>>();
    for (sort, descending, expected) in [
        (ProcessSort::Cpu, true, [12, 11, 10]),
        (ProcessSort::Cpu, false, [10, 11, 12]),
        (ProcessSort::Fds, true, [11, 10, 12]),
        (ProcessSort::Io, true, [11, 12, 10]),
        (ProcessSort::User, false, [11, 10, 12]),
        (ProcessSort::Name, true, [12, 11, 10]),
        (ProcessSort::Group, true, [10, 11, 12]),
        (ProcessSort::Group, false, [10, 11, 12]),
        (ProcessSort::Rss, true, [10, 11, 12]),
    ] {
        assert_eq!(pids(sort, descending), expected, "{sort:?} {descending}");
    }
    let first = &ask(ProcessSort::Cpu, true, 1, 2_000_000)[0];
    assert_eq!((first.user.as_deref(), first.cmdline.as_deref()), (Some("9"), Some("x --token ***")));
    assert_eq!(first.read_bytes_per_second, None, "one reading has no rate");
    machine.put("proc/12/io", "read_bytes: 300\nwrite_bytes: 50\n");
    let first = &ask(ProcessSort::Io, true, 1, 2_002_000)[0];
    assert_eq!((first.pid, first.read_bytes_per_second, first.write_bytes_per_second), (12, Some(100.0), Some(25.0)));
    let again = &ask(ProcessSort::Io, true, 1, 2_002_010)[0];
    assert_eq!(again.read_bytes_per_second, Some(100.0), "too soon for another one");
}
