use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::SeriesTable;
use crate::clock::{Clock, ManualClock};
use crate::model::{Family, Intern, Origin, SeriesKey, SeriesRef, SeriesRefusal};
use crate::registry::{RegistryConfig, SeriesLimits};

fn try_intern(
    table: &SeriesTable,
    name: &'static str,
    labels: &[(&str, &str)],
    origin: Origin<'_>,
) -> Result<SeriesRef, SeriesRefusal> {
    let family = Family { name: name.into(), ..Family::default() };
    table.try_intern(SeriesKey { family: &family, name, labels, origin })
}

fn intern(table: &SeriesTable, name: &'static str, x: &str) -> Result<SeriesRef, SeriesRefusal> {
    try_intern(table, name, &[("x", x)], Origin::Foreign)
}

/// A table that keeps series for ten seconds after their end.
fn setup(series: u32, series_per_family: u32) -> (SeriesTable, ManualClock) {
    let clock = ManualClock::new(1_000_000);
    let limits = SeriesLimits { series, series_per_family };
    let config = RegistryConfig { limits, keep: Duration::from_secs(10), ..RegistryConfig::default() };
    (SeriesTable::with_clock(config, Clock::Manual(clock.clone())), clock)
}

/// Lets some seconds pass and sweeps.
fn pass(table: &SeriesTable, clock: &ManualClock, seconds: u64) {
    clock.advance(Duration::from_secs(seconds));
    table.sweep();
}

#[test]
fn ring_labels_carry_job_and_instance_of_own_series_only() {
    let config = RegistryConfig { jobs: vec![("gpu".into(), "cards".into())], ..RegistryConfig::default() };
    let table = SeriesTable::new(config);
    type Case<'a> = (&'a [(&'a str, &'a str)], Origin<'a>, &'a str);
    let cases: &[Case<'_>] = &[
        (&[], Origin::Own { job: "node" }, r#"a{instance="localhost:9480", job="node"}"#),
        (&[("x", "1"), ("y", "")], Origin::Own { job: "gpu" }, r#"a{instance="localhost:9480", job="cards", x="1"}"#),
        (
            &[("job", "mine")],
            Origin::Own { job: "events" },
            r#"a{exported_job="mine", instance="localhost:9480", job="events"}"#,
        ),
        (&[("job", "app")], Origin::Foreign, r#"a{job="app"}"#),
    ];
    for (labels, origin, expected) in cases {
        let series = try_intern(&table, "a", labels, *origin).expect("below the limit");
        assert_eq!(table.labels(series).expect("known").to_string(), *expected);
        assert_eq!(try_intern(&table, "a", labels, *origin), Ok(series));
    }
}

#[test]
fn a_series_leaves_when_nobody_has_held_it_for_long_and_its_number_is_not_issued_again() {
    let (table, clock) = setup(100, 100);
    let first = intern(&table, "a", "1").expect("room");
    table.release(&[first]);
    assert_eq!((table.len(), table.held()), (1, 0));
    pass(&table, &clock, 9);
    assert!(table.labels(first).is_some(), "a queue may still have its sample, and storage does");
    assert_eq!(intern(&table, "a", "1"), Ok(first), "the same series under the same number");
    pass(&table, &clock, 20);
    assert!(table.labels(first).is_some(), "it is held");
    table.release(&[first]);
    pass(&table, &clock, 9);
    assert!(table.labels(first).is_some(), "its time begins anew");
    pass(&table, &clock, 1);
    assert!(table.labels(first).is_none() && table.is_empty());
    let second = intern(&table, "a", "1").expect("room");
    assert_ne!(first, second);
    table.release(&[first]);
    assert_eq!(table.held(), 1, "the old number means nobody");
}

#[test]
fn a_series_lives_as_long_as_one_of_its_holders() {
    let (table, clock) = setup(100, 100);
    let own = Origin::Own { job: "node" };
    let series = try_intern(&table, "a", &[], own).expect("room");
    assert_eq!(try_intern(&table, "a", &[], own), Ok(series));
    table.release(&[series]);
    pass(&table, &clock, 60);
    assert_eq!((table.held(), table.families().len()), (1, 1));
    table.release(&[series]);
    pass(&table, &clock, 60);
    assert_eq!((table.held(), table.len(), table.families().len()), (0, 0, 0));
}

#[test]
fn a_series_that_flaps_waits_in_the_list_once() {
    let (table, clock) = setup(100, 100);
    for _ in 0..1000 {
        let series = intern(&table, "a", "1").expect("room");
        table.release(&[series]);
        clock.advance(Duration::from_millis(100));
        table.sweep();
        assert!(table.inner.read().idle.len() == 1 && table.len() == 1);
    }
    pass(&table, &clock, 11);
    assert!(table.is_empty() && table.inner.read().idle.is_empty());
}

#[test]
fn a_clock_that_is_set_back_does_not_keep_series_for_ever() {
    let (table, clock) = setup(100, 100);
    let refs: Vec<SeriesRef> = ["1", "2"].iter().map(|x| intern(&table, "a", x).expect("room")).collect();
    table.release(&refs[..1]);
    pass(&table, &clock, 1);
    clock.set(0);
    table.sweep();
    table.release(&refs[1..]);
    pass(&table, &clock, 10);
    assert!(table.is_empty());
}

#[test]
fn limits_count_what_is_alive() {
    let (table, clock) = setup(4, 3);
    let own = Origin::Own { job: "node" };
    let refs = [
        try_intern(&table, "a", &[("x", "1")], own).expect("room"),
        intern(&table, "a", "2").expect("own and foreign series of one name count together"),
        intern(&table, "a", "3").expect("the limit itself is allowed"),
    ];
    let full = Err(SeriesRefusal::Family(3));
    assert_eq!(intern(&table, "a", "4"), full);
    assert_eq!(intern(&table, "a", "3"), Ok(refs[2]), "what is there stays");
    assert!(intern(&table, "b", "1").is_ok());
    assert_eq!(intern(&table, "c", "1"), Err(SeriesRefusal::Total(4)));
    assert_eq!(table.full_families(), [("a".to_owned(), 3)]);
    let counters = table.counters();
    assert_eq!(counters.refused_family_limit.load(Ordering::Relaxed), 1);
    assert_eq!(counters.refused_total_limit.load(Ordering::Relaxed), 1);
    table.release(&[refs[0]]);
    let counts = table.counts();
    assert_eq!((counts.held, counts.ending, counts.full_families), (3, 1, 1));
    assert_eq!(intern(&table, "a", "4"), full, "its samples are in memory still");
    pass(&table, &clock, 10);
    assert!(intern(&table, "a", "4").is_ok(), "there is room again");
    table.set_limits(SeriesLimits { series: 100, series_per_family: 2 });
    assert_eq!(intern(&table, "a", "5"), Err(SeriesRefusal::Family(2)));
    assert_eq!(intern(&table, "a", "4").map(|series| series.0), Ok(4), "a lower limit takes nothing away");
    table.set_limits(SeriesLimits { series: 100, series_per_family: 10 });
    assert!(intern(&table, "a", "5").is_ok() && table.full_families().is_empty());
}

#[test]
fn churn_leaves_nothing_behind() {
    let (table, clock) = setup(1_000_000, 1_000_000);
    // One of a thousand stays: it must not keep the memory of those that came with it.
    for round in 0..200 {
        let name = |i: u32| format!("{round}-{i}");
        let refs: Vec<SeriesRef> = (0..1000).map(|i| intern(&table, "a", &name(i)).expect("room")).collect();
        table.release(&refs[1..]);
        pass(&table, &clock, 1);
    }
    pass(&table, &clock, 10);
    assert_eq!((table.held(), table.len()), (200, 200));
    assert_eq!(table.counters().released.load(Ordering::Relaxed), 200 * 999);
    let inner = table.inner.read();
    assert!(inner.entries.capacity() < 5_000, "{}", inner.entries.capacity());
    assert_eq!((inner.by_labels.len(), inner.idle.len(), inner.names.series_of("a")), (200, 0, 200));
}

#[test]
fn holders_on_many_threads_agree_with_the_sweep() {
    let (table, clock) = setup(1_000, 1_000);
    let table = Arc::new(table);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for i in 0..2_000_u32 {
                    let x = (i % 7).to_string();
                    let series = intern(&table, "a", &x).expect("room");
                    // Held: neither a sweep nor the other threads may take it.
                    let labels = table.labels(series).expect("held series are known");
                    assert_eq!(labels.get("x"), x);
                    table.release(&[series]);
                }
            });
        }
        scope.spawn(|| {
            for _ in 0..500 {
                clock.advance(Duration::from_secs(11));
                table.sweep();
            }
        });
    });
    assert_eq!(table.held(), 0);
    pass(&table, &clock, 11);
    assert!(table.is_empty());
}
