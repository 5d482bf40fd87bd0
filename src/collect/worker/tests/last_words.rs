//! What the kernel says of processes that are about to end, or seem to have ended.

use super::*;

/// A line of stat with what these tests change.
fn stat(pid: u32, state: char, threads: u32, virtual_bytes: u64, pages: u64, cpu: u64) -> String {
    format!("{pid} (a) {state} 1 1 1 0 -1 0 0 0 0 0 {cpu} 0 0 0 20 0 {threads} 0 5 {virtual_bytes} {pages} 0 0 0")
}

#[test]
fn memory_that_is_being_taken_apart_is_not_the_last_of_it() {
    let mut machine = Machine::new(vec![comm("a", true)]);
    machine.put("proc/10/stat", &stat(10, 'S', 2, 8192, 1000, 0));
    machine.tick(1_000);
    // Killed: the address space has gone, the process is not a zombie yet.
    machine.put("proc/10/stat", &stat(10, 'R', 2, 0, 0, 0));
    assert_eq!(of(&machine.tick(2_000), "memory_bytes", r#"group="a", type="rss""#), Some(0.0));
    machine.end(10);
    machine.tick(3_000);
    let page_bytes = crate::collect::proc_pid::page_bytes();
    assert_eq!(machine.exits()[0].last_rss_bytes, 1000.0 * page_bytes);
}

#[test]
fn a_main_thread_that_ended_is_no_end() {
    let mut machine = Machine::new(vec![comm("a", true)]);
    machine.put("proc/10/stat", &stat(10, 'S', 2, 8192, 10, 1));
    machine.files(10, 3);
    machine.tick(1_000);
    std::fs::remove_dir_all(machine.root.path().join("proc/10/fd")).unwrap();
    machine.put("proc/10/stat", &stat(10, 'Z', 3, 0, 0, 2));
    machine.put("proc/10/task/10/stat", &stat(10, 'Z', 3, 0, 0, 2));
    machine.put("proc/10/task/11/stat", &stat(11, 'Z', 3, 0, 0, 2));
    machine.put("proc/10/task/12/stat", &stat(12, 'R', 3, 4096, 7, 2));
    machine.put("proc/10/task/12/status", "VmSwap:\t 3 kB\nvoluntary_ctxt_switches:\t900\n");
    for fd in 0..4 {
        machine.put(&format!("proc/10/task/12/fd/{fd}"), "");
    }
    let page_bytes = crate::collect::proc_pid::page_bytes();
    for now in 2..9 {
        let page = machine.tick(now * 1_000);
        assert_eq!(of(&page, "zombies", GROUP_A), Some(0.0));
        assert_eq!(of(&page, "states", r#"group="a", state="running""#), Some(1.0));
        assert_eq!(of(&page, "exits_total", r#"group="a", reason="completed""#), Some(0.0));
        assert_eq!(of(&page, "memory_bytes", r#"group="a", type="rss""#), Some(7.0 * page_bytes));
        assert_eq!(of(&page, "memory_bytes", r#"group="a", type="pss""#), None, "not known, and not 0");
        assert_eq!(of(&page, "open_fds", GROUP_A), Some(4.0), "its other threads have them");
        assert_eq!(of(&page, "memory_bytes", r#"group="a", type="swap""#), Some(3.0 * 1024.0));
    }
    assert!(machine.exits().is_empty(), "it runs");
    assert_eq!(machine.workers.handle().processes()[0].state, 'R');
    // A true end, with what it gave to exit.
    let zombie = stat(10, 'Z', 1, 0, 0, 3);
    let fields = zombie.split(' ').count();
    machine.put("proc/10/stat", &format!("{zombie}{} {}", " 0".repeat(51 - fields), 3 << 8));
    machine.tick(9_000);
    let exits = machine.exits();
    assert_eq!((exits.len(), exits[0].exit_code, exits[0].reason()), (1, Some(3), "failed"));
    assert_eq!(exits[0].last_rss_bytes, 7.0 * page_bytes);
}

/// A real one: its main thread ends, another goes on.
#[test]
fn a_process_goes_on_without_its_main_thread() {
    let mark = format!("headless-{}", std::process::id());
    let script = format!(
        "import ctypes, threading, sys\n\
         threading.Thread(target=lambda: (sys.stdin.readline(), __import__('os')._exit(3))).start()\n\
         ctypes.CDLL(None).syscall(60, 0) # {mark}"
    );
    let python = std::process::Command::new("python3")
        .args(["-c", &script])
        .stdin(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn();
    let (Ok(mut python), true) = (python, cfg!(all(target_os = "linux", target_arch = "x86_64"))) else {
        eprintln!("SKIPPED: no python3");
        return;
    };
    let pid = python.id() as i32;
    let stat = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let is_headless = (0..1_000_000).any(|_| {
        std::thread::yield_now();
        stat().contains(") Z ") || python.try_wait().is_ok_and(|ended| ended.is_some())
    });
    if is_headless && stat().contains(") Z ") {
        let reader = crate::collect::worker::PidReader::new(&Roots::default());
        assert!(!reader.read(pid).unwrap().is_zombie());
        let matcher = WorkerMatcher { pidfile: vec!["/nowhere".into()], ..comm("a", true) };
        let mut workers = Workers::new(&Roots::default(), &eager(vec![WorkerMatcher { comm: vec![], ..matcher }]));
        let read = collect(&mut workers, &Interner::default(), 1_000).1;
        assert!(read.is_ok(), "{read:?}");
        let view = workers.handle().process(pid).unwrap();
        assert!(view.rss_bytes > 1e5 && view.state != 'Z' && view.threads >= 2, "{view:?}");
    } else {
        eprintln!("SKIPPED: python3 did not do as it was told");
    }
    python.kill().unwrap();
    python.wait().unwrap();
}
