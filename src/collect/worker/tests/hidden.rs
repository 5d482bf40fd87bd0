//! What this user may not see, and what does not answer.

use std::os::unix::fs::PermissionsExt;

use super::*;

fn asking(name: &str, matcher: WorkerMatcher) -> WorkerMatcher {
    WorkerMatcher { name: name.into(), declared: true, ..matcher }
}

/// Runs `work` as a user whom files of mode 000 are closed to.
fn as_nobody<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let lower = || {
        // SAFETY: plain numbers; the bare call changes this thread only, which ends with `work`.
        let done = unsafe { libc::syscall(libc::SYS_setresuid, -1, 65_534, -1) };
        // SAFETY: takes and changes nothing. Whoever is not root has no rights to give up.
        let user = unsafe { libc::geteuid() };
        assert!(done == 0 || user != 0);
        work()
    };
    std::thread::scope(|scope| scope.spawn(lower).join().unwrap())
}

#[test]
fn what_may_not_be_seen_is_a_gap_and_not_nothing() {
    let mut machine = Machine::new(vec![
        asking("p", WorkerMatcher { port: vec![8080], ..Default::default() }),
        asking("q", WorkerMatcher { port: vec![9090], ..Default::default() }),
        asking("f", WorkerMatcher { pidfile: vec!["/run/x.pid".into()], ..Default::default() }),
        // Two matchers of one group: what one sees does not undo what is hidden from the other.
        asking("both", WorkerMatcher { port: vec![8080], ..Default::default() }),
        asking("both", WorkerMatcher { pidfile: vec!["/run/none.pid".into()], ..Default::default() }),
        asking("both", WorkerMatcher { port: vec![9090], ..Default::default() }),
    ]);
    machine.run(10, "x", "x", 1, (0, 0), 5);
    machine.files(10, 1);
    machine.put("rootfs/run/x.pid", "10\n");
    machine.put("proc/net/tcp", "  sl  local\n   0: 00000000:1F90 00000000:0000 0A 0:0 0:0 0 0 0 4711 1\n");
    let close = |path: &str, mode: u32| {
        std::fs::set_permissions(machine.root.path().join(path), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    close("", 0o755);
    close("proc/10/fd", 0);
    close("rootfs/run/x.pid", 0);
    let Machine { workers, intern, .. } = &mut machine;
    let (page, result) = as_nobody(|| collect(workers, intern, 0));
    let gap =
        |group: &str, kind: &str| of(&page, "scrape_permission_denied", &format!("group={group:?}, kind={kind:?}"));
    assert_eq!([gap("p", "port"), gap("q", "port"), gap("f", "pidfile")], [1.0, 0.0, 1.0].map(Some));
    assert_eq!([gap("p", "pidfile"), gap("f", "port")], [None, None], "nobody asked");
    assert_eq!([gap("both", "port"), gap("both", "pidfile")], [1.0, 0.0].map(Some));
    let procs = ["p", "q", "f", "both"].map(|group| of(&page, "procs", &format!("group={group:?}")));
    assert_eq!(procs, [None, Some(0.0), None, None], "what hides may run");
    assert!(matches!(result, Ok(Reading::Degraded(text)) if text.contains("\"p\"")));
    for path in ["proc/10/fd", "rootfs/run/x.pid"] {
        std::fs::set_permissions(machine.root.path().join(path), std::fs::Permissions::from_mode(0o700)).unwrap();
    }
    let page = machine.tick(20_000);
    let procs = ["p", "q", "f"].map(|group| of(&page, "procs", &format!("group={group:?}")));
    assert_eq!(procs, [0.0, 0.0, 1.0].map(Some));
}

#[test]
fn a_pid_file_names_who_was_there_when_it_was_written() {
    let hz = user_hz() as u64;
    // Seconds after the epoch: the machine's start, the process's after that, and when the file was written.
    for (start, written, expected) in [(500, 1_400, 0.0), (500, 1_495, 1.0), (500, 9_000, 1.0)] {
        let matcher = WorkerMatcher { pidfile: vec!["/run/x.pid".into()], ..Default::default() };
        let mut machine = Machine::new(vec![asking("f", matcher)]);
        machine.run(10, "x", "x", 1, (0, 0), start * hz);
        machine.put("rootfs/run/x.pid", "10\n");
        let path = machine.root.path().join("rootfs/run/x.pid");
        let file = std::fs::File::options().write(true).open(path).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(written)).unwrap();
        let procs = of(&machine.tick(0), "procs", r#"group="f""#);
        assert_eq!(procs, Some(expected), "began at {start}, written at {written}");
    }
}

#[test]
fn pipes_where_files_should_be_hold_nobody_up() {
    let mut machine = Machine::new(vec![comm("a", true)]);
    machine.run(10, "a", "a", 1, (0, 0), 5);
    machine.run(11, "a", "a", 1, (0, 0), 5);
    let pipe = |path: &str| {
        let path = machine.root.path().join(path);
        let _ = std::fs::remove_file(&path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let path = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
        // SAFETY: the path ends with NUL.
        assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
    };
    for file in ["11/cmdline", "11/io", "11/status", "11/smaps_rollup", "11/limits", "12/stat", "13/stat"] {
        pipe(&format!("proc/{file}"));
    }
    for now in [0, 1_000] {
        let (page, result) = collect(&mut machine.workers, &machine.intern, now);
        assert!(matches!(result, Ok(Reading::Degraded(text)) if text.contains("/stat")));
        assert_eq!(of(&page, "procs", GROUP_A), Some(2.0));
    }
    let reader = crate::collect::worker::PidReader::new(&Roots::under(machine.root.path()));
    assert!(reader.read(12).is_err());
}
