//! What groups add up to, and what is absent.

use super::*;

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
    assert_eq!(read(&io(4000, 100), 3_000), Some(5096.0));
    assert_eq!(read("read_bytes: many\nwrite_bytes: 1\n", 4_000), Some(5096.0));
    assert_eq!(read("", 5_000), Some(5096.0));
    assert_eq!(read(&io(u64::MAX, 100), 6_000), Some(u64::MAX as f64));
    assert_eq!(of(&machine.tick(9_000), "idle_seconds", GROUP_A), Some(8.0));
}

#[test]
fn what_nobody_told_of_io_stays_absent() {
    let mut machine = Machine::new(vec![comm("a", false)]);
    let read = |machine: &mut Machine, now| of(&machine.tick(now), "io_bytes_total", r#"group="a", op="read""#);
    assert_eq!(read(&mut machine, 0), Some(0.0), "nobody ran");
    machine.run(10, "a", "a", 1, (0, 0), 5);
    assert_eq!(read(&mut machine, 1_000), None);
    machine.end(10);
    assert_eq!(read(&mut machine, 2_000), None, "it may have read");
    machine.run(11, "a", "a", 1, (0, 0), 6);
    machine.put("proc/11/io", "read_bytes: 7\nwrite_bytes: 0\n");
    assert_eq!(read(&mut machine, 3_000), Some(7.0));
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
fn a_clock_that_is_set_moves_starts() {
    let hz = user_hz() as u64;
    let mut machine = Machine::new(vec![comm("a", false)]);
    machine.put("proc/stat", "");
    machine.run(10, "a", "a", 1, (0, 0), 5 * hz);
    let start = |machine: &mut Machine, now| of(&machine.tick(now), "oldest_start_timestamp_seconds", GROUP_A);
    assert_eq!(start(&mut machine, 0), None);
    for (now, text, expected) in [(1_000, "btime 1000\n", 1005.0), (2_000, "btime 4600\n", 4605.0), (3_000, "", 4605.0)]
    {
        machine.put("proc/stat", text);
        assert_eq!(start(&mut machine, now), Some(expected), "{text}");
    }
}
