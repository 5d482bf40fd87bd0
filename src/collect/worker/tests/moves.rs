//! From group to group: ports that are bound late, titles that are set late, forks that call exec late.

use super::*;

fn titled(name: &str, pattern: &str) -> WorkerMatcher {
    WorkerMatcher {
        name: name.into(),
        cmdline: vec![Regex::new(pattern).unwrap()],
        declared: true,
        children: true,
        ..WorkerMatcher::default()
    }
}

fn procs<const N: usize>(page: &Page, names: [&str; N]) -> [Option<f64>; N] {
    names.map(|name| of(page, "procs", &format!("group={name:?}")))
}

#[test]
fn a_port_or_a_pid_file_takes_a_child_from_its_launchers_group() {
    let port =
        WorkerMatcher { name: "srv".into(), port: vec![8080], children: true, declared: true, ..Default::default() };
    let file = WorkerMatcher {
        name: "filed".into(),
        pidfile: vec!["/run/x.pid".into()],
        declared: true,
        ..Default::default()
    };
    let mut machine = Machine::new(vec![port, file, comm("launcher", true), comm("python", true)]);
    machine.run(10, "launcher", "launcher", 1, (0, 0), 5);
    machine.run(11, "server", "server", 10, (0, 0), 5);
    machine.run(12, "other", "other", 10, (0, 0), 5);
    machine.run(13, "helper", "helper", 11, (0, 0), 5);
    machine.run(20, "python", "python", 1, (0, 0), 5);
    machine.put("proc/net/tcp", "  sl  local\n");
    let names = ["srv", "filed", "launcher", "python"];
    assert_eq!(procs(&machine.tick(0), names), [0.0, 0.0, 4.0, 1.0].map(Some));
    let socket = |at: &str, inode: u32| format!("   {at}: 00000000:1F90 00000000:0000 0A 0:0 0:0 0 0 0 {inode} 1\n");
    machine.put("proc/net/tcp", &format!("  sl  local\n{}{}", socket("0", 4711), socket("1", 4712)));
    for (pid, inode) in [(11, 4711), (20, 4712)] {
        std::fs::create_dir_all(machine.root.path().join(format!("proc/{pid}/fd"))).unwrap();
        let link = machine.root.path().join(format!("proc/{pid}/fd/3"));
        std::os::unix::fs::symlink(format!("socket:[{inode}]"), link).unwrap();
    }
    machine.put("rootfs/run/x.pid", "12\n");
    let page = machine.tick(20_000);
    assert_eq!(procs(&page, names), [3.0, 1.0, 1.0, 0.0].map(Some), "its own children follow it");
    for now in 21..200 {
        assert_eq!(procs(&machine.tick(now * 1_000), names), [3.0, 1.0, 1.0, 0.0].map(Some), "at {now}");
    }
    assert!(machine.exits().is_empty());
}

#[test]
fn a_child_that_sets_its_title_late_comes_to_the_group_of_that_title() {
    let mut machine = Machine::new(vec![titled("titled", "^title"), comm("fork", true)]);
    machine.run(10, "fork", "fork", 1, (0, 0), 5);
    machine.run(11, "worker", "worker", 10, (0, 0), 5);
    let names = ["titled", "fork"];
    for now in 0..5 {
        assert_eq!(procs(&machine.tick(now * 1_000), names), [0.0, 2.0].map(Some));
    }
    // Its arguments change, its name does not.
    machine.run(11, "worker", "title: x", 10, (0, 0), 5);
    let moved = (5..40).find(|now| procs(&machine.tick(now * 1_000), names) == [Some(1.0), Some(1.0)]);
    assert!(moved.is_some_and(|at| at < 16), "{moved:?}");
    assert!(machine.exits().is_empty());
}

#[test]
fn forks_of_a_pool_are_no_restarts_and_those_of_a_shell_are() {
    for (parent, restarts, inherited) in [("python", 0.0, true), ("bash", 3.0, false)] {
        let mut machine = Machine::new(vec![titled("a", "task")]);
        machine.run(10, parent, "x task", 1, (0, 0), 5);
        machine.tick(0);
        for turn in 0..4_u32 {
            machine.run(20 + turn, "python", "x task", 10, (0, 0), 6);
            machine.tick(i64::from(turn) * 2_000 + 1_000);
            machine.end(20 + turn);
            let page = machine.tick(i64::from(turn) * 2_000 + 2_000);
            assert_eq!(of(&page, "procs", GROUP_A), Some(1.0));
        }
        let page = machine.tick(9_000);
        assert_eq!(of(&page, "restarts_total", GROUP_A), Some(restarts), "{parent}");
        let exits = machine.exits();
        assert_eq!(exits.len(), 4);
        assert!(exits.iter().all(|exit| exit.inherited == inherited), "{parent}");
        // The one that they all come from takes a place that it left.
        machine.end(10);
        machine.tick(10_000);
        machine.run(30, parent, "x task", 1, (0, 0), 9);
        let page = machine.tick(11_000);
        assert_eq!(of(&page, "restarts_total", GROUP_A), Some(restarts + 1.0), "{parent}");
    }
}

#[test]
fn a_fork_that_calls_exec_is_a_descendant() {
    // By another name, and by the same one: what tells is the command line.
    for (name, cmdline) in [("sleep", "sleep 9"), ("fork", "fork other.py")] {
        let mut machine = Machine::new(vec![titled("a", "^fork$")]);
        machine.run(10, "fork", "fork", 1, (0, 0), 5);
        machine.run(11, "fork", "fork", 10, (0, 0), 6);
        machine.tick(0);
        machine.run(11, name, cmdline, 10, (0, 0), 6);
        for now in 1..9 {
            assert_eq!(of(&machine.tick(now * 1_000), "procs", GROUP_A), Some(2.0));
        }
        machine.end(11);
        machine.tick(9_000);
        let exits = machine.exits();
        assert_eq!((exits.len(), exits[0].inherited), (1, true), "{name}");
        machine.run(12, "fork", "fork", 1, (0, 0), 7);
        assert_eq!(of(&machine.tick(10_000), "restarts_total", GROUP_A), Some(0.0), "it left no place: {name}");
    }
    // Without descendants the group has nothing to do with it.
    let alone = WorkerMatcher { children: false, ..titled("a", "^fork$") };
    let mut machine = Machine::new(vec![alone]);
    machine.run(10, "fork", "fork", 1, (0, 0), 5);
    machine.run(11, "fork", "fork", 10, (0, 0), 6);
    assert_eq!(of(&machine.tick(0), "procs", GROUP_A), Some(2.0));
    machine.run(11, "fork", "fork other.py", 10, (0, 0), 6);
    assert!((1..9).any(|now| of(&machine.tick(now * 1_000), "procs", GROUP_A) == Some(1.0)));
}

#[test]
fn padded_and_long_command_lines_match_as_they_are_shown() {
    let long = format!("java -cp {} org.rw.Main", "x".repeat(27_000));
    let mut machine = Machine::new(vec![titled("title", "^rwtitle: worker$"), titled("java", r"org\.rw\.Main$")]);
    machine.run(10, "rw", "", 1, (0, 0), 5);
    machine.put("proc/10/cmdline", &format!("rwtitle: worker{}", "\0".repeat(60)));
    machine.run(11, "java", &long, 1, (0, 0), 5);
    assert_eq!(procs(&machine.tick(0), ["title", "java"]), [1.0, 1.0].map(Some));
    machine.run(12, "java", &format!("java {}", "x".repeat(300_000)), 1, (0, 0), 5);
    let result = collect(&mut machine.workers, &machine.intern, 1_000).1;
    assert!(matches!(result, Ok(Reading::Degraded(text)) if text.contains("/proc/12/cmdline")), "told when it was cut");
}

#[test]
fn programs_have_arguments() {
    let exe =
        |name: &str| WorkerMatcher { exe: vec![name.into()], children: true, declared: true, ..Default::default() };
    let mut machine = Machine::new(vec![exe("kthreadd"), exe("x")]);
    machine.run(2, "kthreadd", "", 0, (0, 0), 5);
    machine.run(3, "kworker/0:0", "", 2, (0, 0), 5);
    machine.run(4, "x", "/bin/x", 1, (0, 0), 5);
    machine.put("proc/5/stat", "5 (x) Z 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 50 0 0 0");
    assert_eq!(procs(&machine.tick(0), ["kthreadd", "x"]), [0.0, 1.0].map(Some));
}

#[test]
fn names_are_cut_where_the_kernel_cuts_them() {
    let named = |name: &str, comm: &str| WorkerMatcher { name: name.into(), comm: vec![comm.into()], ..titled("", "") };
    let no_cmdline = |matcher: WorkerMatcher| WorkerMatcher { cmdline: Vec::new(), ..matcher };
    let mut machine = Machine::new(vec![
        no_cmdline(named("kernel", "kworker/u8:1-events_unbound")),
        no_cmdline(named("cut", "fourteen-byteséx")),
    ]);
    machine.run(10, "kworker/u8:1-events_unbound", "", 2, (0, 0), 5);
    let bytes = [
        &b"11 ("[..],
        "fourteen-bytes\u{e9}x".as_bytes().get(..15).unwrap(),
        b") S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 2 0 5 8192 10 0 0 0",
    ];
    std::fs::create_dir_all(machine.root.path().join("proc/11")).unwrap();
    std::fs::write(machine.root.path().join("proc/11/stat"), bytes.concat()).unwrap();
    assert_eq!(procs(&machine.tick(0), ["kernel", "cut"]), [1.0, 1.0].map(Some));
}

#[test]
fn templates_of_process_exporters_users() {
    let mut machine = Machine::new(vec![WorkerMatcher {
        name: r#"{{.ExeBase}}:{{- index .Matches "Cfgfile" -}} "#.into(),
        ..titled("", r"--config.path\s+(?P<Cfgfile>\S+)")
    }]);
    machine.run(10, "exporter", "/bin/exporter --config.path /etc/a.yml", 1, (0, 0), 5);
    assert_eq!(of(&machine.tick(0), "procs", r#"group="exporter:/etc/a.yml""#), Some(1.0));
}

#[test]
fn a_zombie_below_a_member_is_seen_with_the_next_listing() {
    let mut machine = Machine::new(vec![comm("a", false)]);
    machine.run(10, "a", "a", 1, (0, 0), 5);
    machine.run(11, "child", "child", 10, (0, 0), 5);
    for now in 0..100 {
        machine.tick(now * 1_000);
    }
    machine.put("proc/11/stat", "11 (child) Z 10 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5 0 0 0");
    assert_eq!(of(&machine.tick(100_000), "zombies", GROUP_A), Some(1.0));
}
