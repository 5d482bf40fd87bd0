//! Ends, restarts and zombies.

use super::*;

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
    // One that began after a listing and is met as a zombie in the next has just ended.
    assert_eq!(told, [(11, Some(9), None), (12, None, None)]);
    machine.end(11);
    machine.end(12);
    machine.tick(4_000);
    assert!(machine.exits().is_empty(), "an end is told once");
}

#[test]
fn old_zombies_are_no_news() {
    let zombie = |pid: u32, comm: &str, parent: u32| {
        format!("{pid} ({comm}) Z {parent} 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 50 0 0 0")
    };
    let mut machine = Machine::new(vec![comm("a", true)]);
    machine.put("proc/10/stat", &zombie(10, "a", 1));
    machine.run(20, "a", "a", 1, (0, 0), 5);
    machine.put("proc/21/stat", &zombie(21, "kid", 20));
    let check = |machine: &mut Machine, now: i64, procs: f64, restarts: f64| {
        let page = machine.tick(now);
        assert_eq!(of(&page, "procs", GROUP_A), Some(procs), "at {now}");
        assert_eq!(of(&page, "restarts_total", GROUP_A), Some(restarts), "at {now}");
        assert_eq!(of(&page, "exits_total", r#"group="a", reason="unknown""#), Some(0.0), "at {now}");
        assert!(machine.exits().is_empty(), "at {now}");
    };
    check(&mut machine, 1_000, 3.0, 0.0);
    check(&mut machine, 2_000, 3.0, 0.0);
    machine.run(11, "a", "a", 1, (0, 0), 60);
    check(&mut machine, 3_000, 4.0, 0.0);
    machine.end(10);
    machine.end(21);
    check(&mut machine, 4_000, 2.0, 0.0);
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
    let mut table = crate::collect::worker::table::ProcessTable::default();
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
    assert_eq!(machine.intern.count(), 33, "no series per process, and none of I/O that nobody told of");
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

#[test]
fn a_burst_of_ends_is_told_over_some_ticks() {
    use crate::collect::worker::collector::EXITS_A_TICK;
    use crate::collect::worker::ends::MAX_WAITING_EXITS;
    let mut machine = Machine::new(vec![comm("a", false)]);
    let count = MAX_WAITING_EXITS + EXITS_A_TICK + 3;
    // Two halves, so that some have been told before the list is full.
    for pid in 1..=count as u32 {
        machine.put(
            &format!("proc/{pid}/stat"),
            &format!("{pid} (a) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5 8192 10 0"),
        );
    }
    machine.tick(0);
    (1..=EXITS_A_TICK as u32 + 1).for_each(|pid| machine.end(pid));
    machine.tick(1_000);
    assert_eq!(machine.exits().len(), EXITS_A_TICK, "the live stream has a queue");
    (EXITS_A_TICK as u32 + 2..=count as u32).for_each(|pid| machine.end(pid));
    let page = machine.tick(2_000);
    let untold = machine.workers.counters().untold_ends.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(untold, 3, "those beyond the list are counted");
    assert_eq!(
        of(&page, "exits_total", r#"group="a", reason="unknown""#),
        Some(count as f64),
        "and all are in the sum"
    );
    let mut told = machine.exits();
    assert!(told.iter().filter(|exit| exit.at == 1_000).count() == 1 && told.len() == EXITS_A_TICK);
    for tick in 3..3 + MAX_WAITING_EXITS as i64 / EXITS_A_TICK as i64 + 1 {
        machine.tick(tick * 1_000);
        told.extend(machine.exits());
    }
    assert_eq!(told.len(), MAX_WAITING_EXITS, "none of those that waited is lost");
}
