//! Who is found when, and who is read how often.

use super::*;
use crate::collect::system::report::Trouble;
use crate::collect::worker::listing::Extent;

#[test]
fn strangers_are_read_in_turn() {
    let mut machine = Machine::new(vec![comm("a", false)]);
    machine.run(10, "sh", "sh", 1, (0, 0), 5);
    machine.run(11, "sh", "sh", 1, (0, 0), 5);
    for second in 0..70 {
        machine.tick(second * 1000);
    }
    assert_eq!(machine.workers.handle().remembered(), 2, "who is passed over is still there");
    machine.run(10, "a", "a", 1, (0, 0), 5);
    let mut found = (70..86).map(|second| of(&machine.tick(second * 1000), "procs", r#"group="a""#));
    assert!(found.any(|procs| procs == Some(1.0)), "an exec is seen within sixteen listings");
    machine.end(11);
    machine.tick(86_000);
    assert_eq!(machine.workers.handle().remembered(), 1, "an end is seen at once");
}

#[test]
fn a_listing_that_breaks_off_ends_nobody() {
    let mut machine = Machine::new(vec![comm("a", false)]);
    machine.run(10, "a", "a", 1, (0, 0), 5);
    machine.run(11, "b", "b", 1, (0, 0), 5);
    machine.tick(0);
    let mut list = |numbers: &[i32], broke_off: Option<i32>| {
        let mut trouble = Trouble::default();
        let (shared, broke_off) = (machine.workers.shared(), broke_off.map(std::io::Error::from_raw_os_error));
        let mut shared = shared.lock();
        let is_whole = machine.workers.list(&mut shared, (&[], numbers), Extent::Whole, broke_off, 1_000, &mut trouble);
        (is_whole, shared.table.len(), trouble.reading())
    };
    let (is_whole, left, reading) = list(&[11], Some(libc::EIO));
    assert_eq!((is_whole, left), (false, 2));
    assert!(matches!(reading, Reading::Degraded(text) if text.contains("broke off")));
    assert_eq!(list(&[11], None), (true, 1, Reading::Complete));
}

#[test]
fn a_listing_of_the_newest_ends_nobody_but_who_has_gone() {
    let mut machine = Machine::new(vec![comm("a", false)]);
    (10..14).for_each(|pid| machine.run(pid, "b", "b", 1, (0, 0), 5));
    machine.tick(0);
    machine.end(11);
    // The same number, another process; and one that has just come.
    machine.run(12, "a", "a", 1, (0, 0), 90);
    machine.run(20, "a", "a", 1, (0, 0), 91);
    let (mut trouble, shared) = (Trouble::default(), machine.workers.shared());
    {
        let mut shared = shared.lock();
        let lists = (&[10, 11, 12, 13][..], &[12, 20][..]);
        assert!(machine.workers.list(&mut shared, lists, Extent::Newest, None, 1_000, &mut trouble));
        let starts: Vec<_> =
            [10, 11, 12, 13, 20].map(|pid| shared.table.get(pid).map(|process| process.start_ticks)).into();
        assert_eq!(starts, [Some(5), None, Some(90), Some(5), Some(91)]);
        // Each was read once: a second reading at the same time would have no rates.
        assert!([10, 13].iter().all(|pid| shared.table.get(*pid).is_some_and(|process| process.elapsed_ms == 1_000)));
    }
    assert_eq!(trouble.reading(), Reading::Complete);
    assert_eq!(of(&machine.tick(2_000), "procs", GROUP_A), Some(2.0));
}

#[test]
fn who_is_looked_at_is_read_more_often() {
    let mut machine = Machine::new(vec![comm("a", false)]);
    machine.run(10, "sh", "sh", 1, (0, 0), 5);
    (0..100).for_each(|second| drop(machine.tick(second * 1000)));
    let handle = machine.workers.handle();
    let percent = |machine: &mut Machine, second: i64, ticks: u64| {
        machine.run(10, "sh", "sh", 1, (ticks, 0), 5);
        machine.tick(second * 1000);
        handle.process(10).unwrap().cpu_percent.unwrap()
    };
    let hz = user_hz() as u64;
    let mut unseen: Vec<_> = (100..108).map(|second| percent(&mut machine, second, second as u64 * hz)).collect();
    unseen.dedup();
    assert!(unseen.len() <= 2, "once in sixteen: {unseen:?}");
    handle.processes();
    let seen = (108..116).map(|second| percent(&mut machine, second, second as u64 * hz));
    assert_eq!(seen.last(), Some(100.0), "every fourth listing");
}

#[test]
fn newcomers_wait_for_a_listing_and_ends_do_not() {
    let mut machine =
        Machine::with(&WorkerConfig { scan_interval: Duration::from_secs(2), ..eager(vec![comm("a", false)]) });
    machine.tick(0);
    machine.run(10, "a", "a", 1, (0, 0), 5);
    let procs = |machine: &mut Machine, now| of(&machine.tick(now), "procs", GROUP_A);
    assert_eq!(procs(&mut machine, 1_000), Some(0.0));
    assert_eq!(procs(&mut machine, 2_000), Some(1.0), "the bound is the scan interval");
    machine.end(10);
    assert_eq!(procs(&mut machine, 3_000), Some(0.0), "an end is seen at the next tick");
    machine.run(11, "a", "a", 1, (0, 0), 5);
    assert_eq!(procs(&mut machine, 1_000), Some(1.0), "a clock that was set back lists again");
}
