//! Counters that wrap, and clocks that are set.

use super::*;

fn stat(state: char, user: u64, system: u64, faults: u64) -> String {
    format!("10 (a) {state} 1 1 1 0 -1 0 {faults} 0 {faults} 0 {user} {system} 0 0 20 0 1 0 5 8192 10 0 0 0")
}

fn user_ticks(page: &Page) -> f64 {
    (of(page, "cpu_seconds_total", r#"group="a", mode="user""#).unwrap() * user_hz()).round()
}

#[test]
fn huge_counters_cost_nobody_their_place() {
    let mut machine = Machine::new(vec![comm("a", true)]);
    machine.put("proc/10/stat", &stat('S', 10, 10, 0));
    machine.tick(0);
    machine.put("proc/10/stat", &stat('S', u64::MAX, u64::MAX, u64::MAX));
    let page = machine.tick(1_000);
    assert!(of(&page, "cpu_ratio", GROUP_A).is_some_and(|ratio| ratio > 1e16));
    assert_eq!(of(&page, "procs", GROUP_A), Some(1.0));
    machine.end(10);
    machine.tick(2_000);
    assert_eq!(machine.exits().len(), 1, "its end is told");
}

#[test]
fn counters_that_wrap_begin_anew_and_never_go_back() {
    let mut machine = Machine::new(vec![comm("a", true)]);
    let mut sum = 0.0;
    // A reading, and what the group's counter has gained by it.
    for (now, (reading, gained)) in
        [(5_000, 5_000), (5_010, 10), (5_008, 0), (5_012, 2), (0, 0), (5_020, 8), (50, 50), (60, 10), (0, 0), (61, 1)]
            .into_iter()
            .enumerate()
    {
        machine.put("proc/10/stat", &stat('S', reading, 0, reading));
        let page = machine.tick(now as i64 * 1_000);
        sum += f64::from(gained);
        assert_eq!(user_ticks(&page), sum, "{reading}");
        assert_eq!(of(&page, "page_faults_total", r#"group="a", kind="minor""#), Some(sum), "{reading}");
    }
}

#[test]
fn a_clock_that_is_set_forward_makes_nobody_idle_or_stuck() {
    let mut machine = Machine::new(vec![comm("a", true)]);
    let hz = user_hz() as u64;
    machine.put("proc/10/stat", &stat('D', hz, 0, 0));
    machine.tick(1_000);
    machine.put("proc/10/stat", &stat('D', 2 * hz, 0, 0));
    let page = machine.tick(2_000);
    assert_eq!(of(&page, "cpu_ratio", GROUP_A), Some(1.0));
    assert_eq!(of(&page, "uninterruptible_seconds_total", GROUP_A), Some(1.0));
    machine.workers.steady.pin(3_600_000);
    machine.put("proc/10/stat", &stat('D', 2 * hz + hz / 2, 0, 0));
    let page = machine.tick(3_603_000);
    assert_eq!(of(&page, "cpu_ratio", GROUP_A), Some(0.5));
    assert_eq!(of(&page, "uninterruptible_seconds_total", GROUP_A), Some(2.0));
    let page = machine.tick(3_605_000);
    assert_eq!(of(&page, "idle_seconds", GROUP_A), Some(2.0));
    machine.workers.steady.pin(0);
    let page = machine.tick(6_000);
    assert_eq!(of(&page, "idle_seconds", GROUP_A), Some(3.0), "and back");
    machine.workers.steady.pin(3_600_000);
    machine.end(10);
    machine.tick(3_607_000);
    assert_eq!(machine.exits()[0].at, 3_607_000, "an end has the wall's time");
}

#[test]
fn of_none_the_ratios_are_nothing_too() {
    let config = WorkerConfig { process_exporter_names: true, ..eager(vec![comm("a", true)]) };
    let mut machine = Machine::with(&config);
    for _ in 0..2 {
        let page = machine.tick(0);
        for family in ["procs", "cpu_ratio", "max_fd_usage_ratio", "open_fds", "threads"] {
            assert_eq!(of(&page, family, GROUP_A), Some(0.0), "{family}");
        }
        assert_eq!(page.get(r#"namedprocess_namegroup_worst_fd_ratio{groupname="a"}"#), Some(&0.0));
        for family in ["oldest_start_timestamp_seconds", "idle_seconds", "rss_slope_bytes_per_second"] {
            assert_eq!(of(&page, family, GROUP_A), None, "{family}");
        }
    }
    machine.run(10, "a", "a", 1, (0, 0), 5);
    assert_eq!(of(&machine.tick(1_000), "cpu_ratio", GROUP_A), None, "of one that was seen once it is not known");
}
