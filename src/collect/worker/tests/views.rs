//! What others see of the processes.

use super::*;

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
