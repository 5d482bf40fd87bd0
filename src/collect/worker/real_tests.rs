//! Real processes on the real `/proc`. Each test starts its own, with arguments that no other run has, and ends them by number.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use regex::Regex;

use super::{WorkerConfig, WorkerExit, WorkerMatcher, Workers};
use crate::clock::Clock;
use crate::collect::system::Roots;
use crate::collect::testing::{Interner, Page, collect};

/// Ticks that a test waits for something at most; each lists all processes, so this is many seconds.
const PATIENCE: usize = 20_000;

struct Watch {
    workers: Workers,
    intern: Interner,
    exits: Arc<Mutex<Vec<WorkerExit>>>,
}

impl Watch {
    fn new(groups: Vec<WorkerMatcher>) -> Option<Self> {
        if !std::path::Path::new("/proc/self/stat").exists() {
            eprintln!("SKIPPED: no /proc");
            return None;
        }
        let config = WorkerConfig { scan_interval: Duration::ZERO, ..WorkerConfig::of(groups) };
        let exits = Arc::<Mutex<Vec<WorkerExit>>>::default();
        let told = Arc::clone(&exits);
        let workers = Workers::new(&Roots::default(), &config).on_exit(Box::new(move |exit| told.lock().push(exit)));
        Some(Self { workers, intern: Interner::default(), exits })
    }

    fn tick(&mut self) -> Page {
        collect(&mut self.workers, &self.intern, Clock::System.now()).0
    }

    /// Ticks until a reading of group `g` is `expected`.
    fn until(&mut self, family: &str, more: &str, expected: f64) -> Page {
        let series = format!("worker_group_{family}{{group=\"g\"{more}}}");
        let mut last = None;
        for _ in 0..PATIENCE {
            let page = self.tick();
            last = page.get(&series).copied();
            if last == Some(expected) {
                return page;
            }
            std::thread::yield_now();
        }
        panic!("{series} became {last:?}, not {expected}");
    }

    fn exit(&mut self) -> WorkerExit {
        for _ in 0..PATIENCE {
            if let Some(exit) = self.exits.lock().pop() {
                return exit;
            }
            self.tick();
        }
        panic!("no end was told");
    }
}

/// A number that only this test of this run has, as seconds to sleep for.
fn mark(test: u32) -> String {
    format!("8{test}97.{}", std::process::id())
}

fn by_cmdline(pattern: &str) -> WorkerMatcher {
    let cmdline = vec![Regex::new(pattern).unwrap()];
    WorkerMatcher { name: "g".into(), cmdline, children: true, declared: true, ..WorkerMatcher::default() }
}

fn sleeper(mark: &str) -> Child {
    Command::new("sleep").arg(mark).spawn().unwrap()
}

fn kernel_tells_exits() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut parts = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    (parts.next(), parts.next()) >= (Some(6), Some(15))
}

#[test]
fn a_killed_worker_and_its_successor() {
    let mark = mark(1);
    let Some(mut watch) = Watch::new(vec![by_cmdline(&format!("^sleep {mark}$"))]) else { return };
    watch.tick();
    let mut child = sleeper(&mark);
    let page = watch.until("procs", "", 1.0);
    assert!(page["worker_group_memory_bytes{group=\"g\", type=\"pss\"}"] > 0.0);
    assert!(page["worker_group_max_fd_usage_ratio{group=\"g\"}"] > 0.0);
    child.kill().unwrap();
    // Reaped before anybody looked: only a handle knows how it ended.
    child.wait().unwrap();
    let exit = watch.exit();
    assert_eq!((exit.pid, exit.group.as_str(), exit.name.as_str()), (child.id() as i32, "g", "sleep"));
    assert!(exit.lifetime_seconds.is_some_and(|lived| lived < 3600.0) && exit.last_rss_bytes > 0.0);
    if kernel_tells_exits() {
        assert_eq!((exit.reason(), exit.signal, exit.exit_code), ("signal", Some(9), None));
    }
    let mut second = sleeper(&mark);
    watch.until("restarts_total", "", 1.0);
    second.kill().unwrap();
    second.wait().unwrap();
    watch.until("procs", "", 0.0);
}

#[test]
fn exit_codes_of_somebody_elses_children() {
    let mark = mark(2);
    let script = format!("exec 3<&0; (read x <&3; exit 7) & read y; wait; exit 0 # {mark}");
    let Some(mut watch) = Watch::new(vec![by_cmdline(&mark)]) else { return };
    watch.tick();
    // Both shells read from the same pipe; closing it ends the inner one first, which the outer one collects.
    let mut shell = Command::new("sh").args(["-c", &script]).stdin(Stdio::piped()).spawn().unwrap();
    watch.until("procs", "", 2.0);
    drop(shell.stdin.take());
    shell.wait().unwrap();
    watch.until("procs", "", 0.0);
    let mut exits = std::mem::take(&mut *watch.exits.lock());
    exits.sort_by_key(|exit| exit.pid);
    assert_eq!(exits.len(), 2);
    if kernel_tells_exits() {
        let codes: Vec<_> = exits.iter().map(|exit| exit.exit_code).collect();
        assert_eq!(codes, [Some(0), Some(7)], "{exits:?}");
    }
}

#[test]
fn a_zombie_is_its_parents_fault() {
    let mark = mark(3);
    // The outer shell becomes a program that never waits for the child it inherited from itself.
    let script = format!("sleep 0 & exec sleep {mark}");
    let Some(mut watch) = Watch::new(vec![by_cmdline(&format!("sleep {mark}$"))]) else { return };
    let mut parent = Command::new("sh").args(["-c", &script]).spawn().unwrap();
    let page = watch.until("zombies", "", 1.0);
    assert_eq!(page["worker_group_states{group=\"g\", state=\"zombie\"}"], 1.0);
    parent.kill().unwrap();
    parent.wait().unwrap();
    watch.until("zombies", "", 0.0);
}

#[test]
fn an_orphan_is_seen_when_its_parent_ends() {
    let mark = mark(4);
    let Some(mut watch) = Watch::new(vec![by_cmdline(&format!("^sleep {mark}$"))]) else { return };
    let script = format!("sleep {mark} & echo $!; read x");
    let mut shell =
        Command::new("sh").args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(shell.stdout.take().unwrap()), &mut said).unwrap();
    let pid: i32 = said.trim().parse().unwrap();
    let page = watch.until("procs", "", 1.0);
    assert_eq!(page["worker_group_orphans{group=\"g\"}"], 0.0);
    drop(shell.stdin.take());
    shell.wait().unwrap();
    watch.until("orphans", "", 1.0);
    // SAFETY: the number is of a process that this test started and that nobody has collected.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGKILL) }, 0);
    watch.until("orphans", "", 0.0);
}

#[test]
fn a_pid_file_and_a_listening_port() {
    let mark = mark(5);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.pid");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let matcher = |name: &str| WorkerMatcher { name: name.into(), declared: true, ..WorkerMatcher::default() };
    let groups = vec![
        WorkerMatcher { port: vec![port], ..matcher("listens") },
        WorkerMatcher { pidfile: vec![file.clone()], ..matcher("g") },
    ];
    let Some(mut watch) = Watch::new(groups) else { return };
    let page = watch.tick();
    assert_eq!(page["worker_group_procs{group=\"listens\"}"], 1.0, "this test listens itself");
    let mut child = sleeper(&mark);
    assert_eq!(watch.tick()["worker_group_procs{group=\"g\"}"], 0.0, "no file, no member");
    std::fs::write(&file, format!("{}\n", child.id())).unwrap();
    watch.until("procs", "", 1.0);
    child.kill().unwrap();
    child.wait().unwrap();
    watch.until("procs", "", 0.0);
}

/// A thousand processes, fifty of them matched: what a tick costs. Prints it; the bound here is for a build without
/// optimisation on a busy machine, `docs/performance.md` has the figure of an optimised one.
#[test]
fn a_thousand_processes() {
    const ALL: usize = 1000;
    const MATCHED: usize = 50;
    let (ours, others) = (mark(6), mark(7));
    let matcher = by_cmdline(&format!("^sleep {ours}$"));
    let Some(mut watch) = Watch::new(vec![matcher]) else { return };
    watch.workers.set_scan_interval(Duration::from_secs(2));
    struct Ended(Vec<Child>);
    impl Drop for Ended {
        fn drop(&mut self) {
            self.0.iter_mut().for_each(|child| drop(child.kill()));
            self.0.iter_mut().for_each(|child| drop(child.wait()));
        }
    }
    let mut children = Ended(Vec::new());
    for number in 0..ALL {
        match Command::new("sleep").arg(if number < MATCHED { &ours } else { &others }).spawn() {
            Ok(child) => children.0.push(child),
            Err(error) => {
                eprintln!("SKIPPED: {number} processes, then {error}");
                return;
            }
        }
    }
    let (mut now, ticks) = (Clock::System.now(), 60);
    let mut tick = |watch: &mut Watch| {
        now += 1000;
        collect(&mut watch.workers, &watch.intern, now).0
    };
    // Newcomers are read more often for their first listings.
    for _ in 0..20 {
        tick(&mut watch);
    }
    let before = thread_cpu();
    let mut page = Page::new();
    for _ in 0..ticks {
        page = tick(&mut watch);
    }
    let each = (thread_cpu() - before) / f64::from(ticks) * 1e3;
    assert_eq!(page["worker_group_procs{group=\"g\"}"], MATCHED as f64);
    assert!(watch.workers.handle().remembered() >= ALL);
    eprintln!(
        "a tick with {ALL} processes, {MATCHED} matched: {each:.2} ms of CPU (debug assertions: {})",
        cfg!(debug_assertions)
    );
    assert!(each < if cfg!(debug_assertions) { 40.0 } else { 3.0 }, "{each} ms a tick");
}

/// CPU time of this thread in seconds.
fn thread_cpu() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure is what the call writes to.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
