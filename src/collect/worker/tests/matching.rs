//! Who belongs to which group.

use super::*;

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
fn templates_of_lists_are_declared_for_ever() {
    let exe = WorkerMatcher { exe: vec!["/opt/llama-server".into()], declared: true, ..Default::default() };
    let mut machine = Machine::new(vec![exe]);
    let procs = |page: &Page| of(page, "procs", r#"group="llama-server""#);
    for second in 0..700 {
        assert_eq!(procs(&machine.tick(second * 1000)), Some(0.0), "{second}");
    }
    machine.run(10, "llama-server", "/opt/llama-server -m x", 1, (0, 0), 5);
    assert_eq!(procs(&machine.tick(700_000)), Some(1.0));
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
