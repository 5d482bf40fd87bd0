//! What is read because somebody asks.

use super::*;

fn stat(pid: u32, state: char, ticks: u64, pages: u64, start: u64) -> String {
    format!("{pid} (x) {state} 1 1 1 0 -1 0 0 0 0 0 {ticks} 0 0 0 20 0 1 0 {start} 8192 {pages} 0 0 0")
}

#[test]
fn an_answer_is_of_now() {
    let hz = user_hz() as u64;
    let mut machine = Machine::new(vec![comm("a", false)]);
    for pid in [10, 11, 12] {
        machine.put(&format!("proc/{pid}/stat"), &stat(pid, 'S', 0, 10, hz));
    }
    // Old enough to be read in turn only.
    let last = 1_100_000;
    for now in (1_010_000..=last).step_by(1_000) {
        machine.tick(now);
    }
    machine.put("proc/10/stat", &stat(10, 'R', 2 * hz, 500, hz));
    machine.end(11);
    machine.put("proc/12/stat", &stat(12, 'S', 0, 10, 90 * hz));
    let handle = machine.workers.handle();
    let ask = |now: i64| handle.heaviest(&ProcessQuery { sort: ProcessSort::Cpu, descending: true, limit: 9 }, now);
    let first = ask(last + 1_000);
    let page_bytes = crate::collect::proc_pid::page_bytes();
    assert_eq!(first.iter().map(|view| view.pid).collect::<Vec<_>>(), [10], "the others are gone, or somebody else");
    assert_eq!((first[0].state, first[0].rss_bytes), ('R', 500.0 * page_bytes));
    assert!(first[0].cpu_percent.is_some_and(|percent| percent > 10.0), "{:?}", first[0].cpu_percent);
    machine.put("proc/10/stat", &stat(10, 'S', 3 * hz, 500, hz));
    let second = ask(last + 3_000);
    assert_eq!(second[0].cpu_percent, Some(50.0), "since the question before");
    assert_eq!(ask(last + 3_100)[0].cpu_percent, Some(50.0), "too soon for another");
    assert_eq!(ask(last + 4_000)[0].cpu_percent, Some(0.0));
}

#[test]
fn a_new_hog_comes_first() {
    let hz = user_hz() as u64;
    let mut machine = Machine::new(vec![comm("a", false)]);
    machine.put("proc/10/stat", &stat(10, 'S', 0, 10, hz));
    machine.tick(1_009_000);
    // It began three seconds ago and used all of them.
    machine.put("proc/11/stat", &stat(11, 'R', 3 * hz, 10, 7 * hz));
    machine.tick(1_010_000);
    let query = ProcessQuery { sort: ProcessSort::Cpu, descending: true, limit: 9 };
    let views = machine.workers.handle().heaviest(&query, 1_010_100);
    assert_eq!(views.iter().map(|view| view.pid).collect::<Vec<_>>(), [11, 10]);
    assert_eq!(views[0].cpu_percent, None, "which is no reading of it");
}
