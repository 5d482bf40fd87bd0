//! Who is there: processes, a full house, many at once.

use std::sync::Arc;

use super::super::{AgentRoom, Agents, AgentsConfig, BeatError, NoRunStore, ProcessView};
use super::{Machine, World, at};
use crate::model::{Batch, GroupId};
use crate::registry::{RegistryConfig, SeriesTable};

#[test]
fn a_process_is_known_by_its_start() {
    let world = World::new(AgentsConfig::default());
    let body = r#"{"status":"running","pid":7}"#;
    let error = |second| {
        world.tick(second);
        match &world.agents.views()[0].process {
            ProcessView::Failed(error) => Some(error.to_string()),
            _ => None,
        }
    };
    world.machine.set(7, 100, 'S', 10.0);
    world.beat("w", body, 0.0);
    assert_eq!((error(1.0), world.agents.views()[0].uptime_seconds(at(1.0))), (None, Some(10.9)));
    assert_eq!(world.agents.views()[0].cpu_percent(), Some(0.0));
    world.machine.set(7, 100, 'Z', 10.0);
    assert_eq!((error(2.0), world.agents.views()[0].zombie()), (None, Some(true)));
    // It ends; later its number is another process's.
    world.machine.0.lock().clear();
    assert_eq!(error(3.0), Some("no process 7".to_owned()));
    let view = &world.agents.views()[0];
    assert_eq!(
        (view.zombie(), view.cpu_percent(), view.rss_bytes(), view.uptime_seconds(at(3.0))),
        (None, None, None, None)
    );
    world.machine.set(7, 13_500, 'S', 0.0);
    let foreign = Some("process 7 has ended; its number belongs to another one".to_owned());
    assert_eq!((error(4.0), error(4.5)), (foreign.clone(), foreign), "the number alone proves nothing");
    // The worker speaks: it was begun anew under the same number.
    let view = world.beat("w", body, 5.0);
    assert_eq!((view.uptime_seconds(at(5.0)), view.cpu_percent()), (Some(1.5), None));
    world.machine.set(7, 13_500, 'S', 0.5);
    assert_eq!((error(6.0), world.agents.views()[0].cpu_percent()), (None, Some(50.0)));
    // Gone and not back: heartbeats alone make no process.
    world.machine.0.lock().clear();
    assert_eq!(error(6.2), Some("no process 7".to_owned()));
    world.beat("w", body, 6.5);
    assert_eq!(error(6.7), Some("no process 7".to_owned()));
    // Another pid is another process; one that began after it was named is not the one that was meant.
    world.machine.set(8, 900_000, 'S', 0.0);
    world.beat("w", r#"{"status":"running","pid":8}"#, 7.0);
    assert_eq!(error(8.0), Some("process 8 has ended; its number belongs to another one".to_owned()));
    world.machine.set(9, 10, 'R', 1.0);
    world.beat("w", r#"{"status":"running","pid":9}"#, 9.0);
    assert_eq!(error(10.0), None);
}

#[test]
fn a_full_house_lets_go_who_is_gone_or_long_idle() {
    let config = AgentsConfig { max_workers: 3, ..AgentsConfig::default() };
    let world = World::new(config);
    let ids = || world.agents.views().iter().map(|view| view.id.to_string()).collect::<Vec<_>>();
    let try_beat = |id: &str, second| world.agents.beat(id, br#"{"status":"running"}"#, at(second)).map(|_| ());
    world.beat("idle", r#"{"status":"idle"}"#, 0.0);
    world.beat("silent", r#"{"status":"running"}"#, 0.0);
    world.beat("busy", r#"{"status":"running"}"#, 0.0);
    assert_eq!(try_beat("new", 1.0), Err(BeatError::Full(3)));
    assert!(BeatError::Full(3).to_string().contains("end one with DELETE"));
    for second in [20.0, 40.0, 59.0] {
        world.beat("idle", r#"{"status":"idle"}"#, second);
        world.beat("busy", r#"{"status":"running"}"#, second);
    }
    assert_eq!(try_beat("new", 59.0), Ok(()));
    assert_eq!(ids(), ["busy", "idle", "new"], "the silent one went");
    assert_eq!(try_beat("newer", 59.5), Err(BeatError::Full(3)), "idle, but not for long");
    assert_eq!(try_beat("newer", 60.0), Ok(()));
    assert_eq!(ids(), ["busy", "new", "newer"]);
    assert_eq!(try_beat("last", 61.0), Err(BeatError::Full(3)), "the others work");
    let counters = world.agents.counters();
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!((count(&counters.evicted), count(&counters.rejected)), (2, 3));
}

#[test]
fn readers_and_heartbeats_meet_ticks() {
    let table = Arc::new(SeriesTable::new(RegistryConfig::default()));
    let processes = Arc::new(Machine::default());
    let room = AgentRoom { intern: table as _, processes: processes as _, runs: Arc::new(NoRunStore) };
    let agents = Agents::new(AgentsConfig::default(), room);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let agents = &agents;
            scope.spawn(move || {
                for n in 0..250 {
                    let body = format!(r#"{{"status":"running","run_id":"r{n}","pid":{}}}"#, n + 1);
                    agents.beat(&format!("w{thread}-{n}"), body.as_bytes(), at(f64::from(n) / 10.0)).expect("room");
                }
            });
        }
        scope.spawn(|| {
            (0..20).for_each(|n| agents.tick(at(f64::from(n)), &mut Batch::new(GroupId(0), at(f64::from(n)))))
        });
        scope.spawn(|| {
            let mut most = 0;
            for _ in 0..200 {
                let views = agents.views();
                assert!(views.len() >= most && views.is_sorted_by_key(|view| Arc::clone(&view.id)));
                most = views.len();
            }
        });
    });
    assert_eq!((agents.views().len(), agents.runs().len()), (1000, 1000));
    assert_eq!(agents.beat("one-more", br#"{"status":"idle"}"#, at(25.0)), Err(BeatError::Full(1000)));
}

#[test]
fn a_sleep_or_a_set_clock_forgets_nobody() {
    let world = World::new(AgentsConfig::default());
    let body = r#"{"status":"idle","run_id":"r","ttl_seconds":5}"#;
    let silent = |second: f64| world.agents.views().first().map(|view| view.is_silent(at(second)));
    world.beat("w", body, 0.0);
    world.tick(1.0);
    // The machine slept for an hour: nobody could be heard.
    world.tick(3600.0);
    assert_eq!(silent(3600.0), Some(true));
    (3601..4200).step_by(20).for_each(|second| drop(world.tick(f64::from(second))));
    assert_eq!(silent(4190.0), Some(true), "ten minutes of being awake are not over");
    world.tick(4201.0);
    assert_eq!(silent(4201.0), None, "now they are");
    // The clock is set back by an hour: what was heard then is not heard for another hour.
    world.beat("w", body, 7200.0);
    world.tick(7201.0);
    world.tick(3600.0);
    let view = world.agents.views()[0].clone();
    assert_eq!((view.last_heartbeat, view.idle_seconds(at(3600.0))), (at(3600.0), 0.0));
    assert_eq!((view.reapable(at(3604.0)), view.reapable(at(3605.0))), (Some(false), Some(true)));
    (3610..3640).step_by(10).for_each(|second| drop(world.tick(f64::from(second))));
    assert_eq!(silent(3631.0), Some(true));
    // A heartbeat before the first tick of the new time is as good as any.
    world.beat("w", body, 3500.0);
    world.tick(3500.0);
    assert_eq!(silent(3500.0), Some(false));
}
