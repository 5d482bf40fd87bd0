//! Heartbeats from their bodies to samples, on a made-up machine and a hand-moved clock.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::body::read;
use super::{
    AgentRoom, Agents, AgentsConfig, BeatError, NoRunStore, ProcessReading, ProcessView, Processes, RunRecord,
    RunStatus, RunStore, Status, check_worker_id,
};
use crate::model::{Batch, GroupId, Intern, Timestamp};
use crate::registry::{RegistryConfig, SeriesTable};

const T0: Timestamp = 1_700_000_000_000;

/// Processes by number.
#[derive(Default)]
struct Machine(Mutex<BTreeMap<i32, Result<ProcessReading, String>>>);

impl Machine {
    fn set(&self, pid: i32, start: u64, state: char, cpu_seconds: f64) {
        let started_at = Some(T0 - 10_000 + start as i64);
        let reading = ProcessReading { start_ticks: start, started_at, state, cpu_seconds, rss_bytes: 4096.0 };
        self.0.lock().insert(pid, Ok(reading));
    }
}

impl Processes for Machine {
    fn read(&self, pid: i32) -> Result<ProcessReading, String> {
        self.0.lock().get(&pid).cloned().unwrap_or_else(|| Err(format!("no process {pid}")))
    }
}

/// A small table in memory.
#[derive(Default)]
struct Table(Mutex<BTreeMap<Vec<u8>, Vec<u8>>>);

impl RunStore for Table {
    fn load(&self) -> Result<Vec<RunRecord>, String> {
        Ok(self.0.lock().clone().into_iter().collect())
    }

    fn put(&self, key: &[u8], value: &[u8]) {
        self.0.lock().insert(key.to_vec(), value.to_vec());
    }

    fn delete(&self, key: &[u8]) {
        self.0.lock().remove(key);
    }
}

struct World {
    agents: Agents,
    machine: Arc<Machine>,
    table: Arc<SeriesTable>,
    runs: Arc<Table>,
}

impl World {
    fn new(config: AgentsConfig) -> Self {
        Self::on(config, Arc::default())
    }

    fn on(config: AgentsConfig, runs: Arc<Table>) -> Self {
        let machine = Arc::<Machine>::default();
        let table = Arc::new(SeriesTable::new(RegistryConfig::default()));
        let room = AgentRoom {
            intern: Arc::clone(&table) as _,
            processes: Arc::clone(&machine) as _,
            runs: Arc::clone(&runs) as _,
        };
        Self { agents: Agents::new(config, room), machine, table, runs }
    }

    fn beat(&self, id: &str, body: &str, second: f64) -> Arc<super::AgentView> {
        self.agents.beat(id, body.as_bytes(), at(second)).unwrap_or_else(|error| panic!("{body}: {error}"))
    }

    /// The samples of a tick as `name{labels} value`, without the names' common beginning and the labels' project and worker.
    fn tick(&self, second: f64) -> Vec<String> {
        let mut batch = Batch::new(GroupId(0), at(second));
        self.agents.tick(at(second), &mut batch);
        let mut lines: Vec<String> = batch
            .floats
            .iter()
            .map(|(series, value)| {
                let labels = self.table.labels(*series).expect("held");
                let name = labels.metric_name().trim_start_matches("worker_agent_").to_owned();
                let rest: Vec<String> = labels
                    .iter()
                    .filter(|(name, _)| !["__name__", "job", "instance", "project", "worker"].contains(name))
                    .map(|(name, value)| format!("{}={value}", name.trim_start_matches("worker_agent_")))
                    .collect();
                format!("{name}{{{}}} {value}", rest.join(","))
            })
            .collect();
        lines.sort();
        lines
    }

    fn value(&self, second: f64, name: &str) -> Option<f64> {
        let lines = self.tick(second);
        let line = lines.iter().find_map(|line| line.strip_prefix(&format!("{name}{{}} ")))?;
        Some(line.parse().expect("a number"))
    }
}

fn at(second: f64) -> Timestamp {
    T0 + (second * 1000.0) as i64
}

#[test]
fn bodies_are_strict_and_say_what_is_wrong() {
    let long = "x".repeat(300);
    let many = (0..17).map(|n| format!("\"l{n}\":\"v\"")).collect::<Vec<_>>().join(",");
    let deep = "[".repeat(200);
    for (body, expected) in [
        ("", "expected one JSON object, as schemas/heartbeat.json describes it"),
        ("nonsense", "expected one JSON object"),
        ("{\"status\":\"idle\"} x", "trailing characters"),
        (deep.as_str(), "recursion limit"),
        ("[]", "expected a JSON object with at least a status, found a list"),
        ("{}", "status: expected running, paused or idle, found nothing"),
        (r#"{"status":"Running"}"#, "status: expected running, paused or idle, found \"Running\""),
        (r#"{"status":"idle","statsu":1}"#, "statsu: unknown field; did you mean status?"),
        (
            r#"{"status":"idle","weather_report":1}"#,
            "weather_report: unknown field; expected one of pid, project, run_id",
        ),
        (r#"{"status":"idle","status":"idle"}"#, "status: stated twice"),
        (r#"{"status":"idle","pid":"7"}"#, "pid: expected a whole number from 1 to 2147483647, found \"7\""),
        (r#"{"status":"idle","pid":0}"#, "pid: expected a whole number from 1"),
        (r#"{"status":"idle","pid":-1}"#, "pid: expected a whole number from 1 to 2147483647, found -1"),
        (r#"{"status":"idle","pid":2147483648}"#, "pid: expected"),
        (r#"{"status":"idle","pid":1.5}"#, "found 1.5"),
        (r#"{"status":"idle","queue":-1}"#, "queue: expected a whole number from 0"),
        (r#"{"status":"idle","queue":1e300}"#, "queue: expected a whole number"),
        (
            r#"{"status":"idle","in_flight":true}"#,
            "in_flight: expected a whole number from 0 to 9007199254740992, found true",
        ),
        (
            r#"{"status":"idle","project":""}"#,
            "project: expected a text of 1 to 256 bytes without control characters, found \"\"",
        ),
        (r#"{"status":"idle","project":"a\nb"}"#, "without control characters"),
        (
            &format!(r#"{{"status":"idle","run_id":"{long}"}}"#),
            "run_id: expected a text of 1 to 128 bytes without control characters, found 300 bytes",
        ),
        (
            r#"{"status":"idle","tokens":7}"#,
            "tokens: expected an object with current_run, total_session and limit, found 7",
        ),
        (r#"{"status":"idle","tokens":{"limits":7}}"#, "tokens.limits: unknown field; did you mean tokens.limit?"),
        (r#"{"status":"idle","tokens":{"limit":-7}}"#, "tokens.limit: expected a whole number from 0"),
        (r#"{"status":"idle","ttl_seconds":0}"#, "ttl_seconds: expected a number above 0, at most 31536000, found 0"),
        (r#"{"status":"idle","ttl_seconds":1e99}"#, "ttl_seconds: expected"),
        (r#"{"status":"idle","labels":["a"]}"#, "labels: expected an object of texts, found a list"),
        (r#"{"status":"idle","labels":{"a b":"c"}}"#, "labels.a b: expected a name of letters"),
        (r#"{"status":"idle","labels":{"__a":"c"}}"#, "labels.__a: expected a name"),
        (r#"{"status":"idle","labels":{"pid":"c"}}"#, "labels.pid: expected another name, watchfire sets pid itself"),
        (
            r#"{"status":"idle","labels":{"group":"c"}}"#,
            "labels.group: expected another name, watchfire sets group itself",
        ),
        (r#"{"status":"idle","labels":{"a":1}}"#, "labels.a: expected a text of 1 to 256 bytes"),
        (r#"{"status":"idle","labels":{"a":"b","a":"c"}}"#, "labels.a: stated twice"),
        (
            &format!(r#"{{"status":"idle","labels":{{"a":"{long}"}}}}"#),
            "labels.a: expected a text of 1 to 256 bytes without control characters, found 300 bytes",
        ),
        (&format!(r#"{{"status":"idle","labels":{{{many}}}}}"#), "labels: expected at most 16, found 17"),
        (r#"{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1}"#, "; and 2 more"),
    ] {
        let error = read(body.as_bytes(), &AgentsConfig::default()).expect_err(body);
        assert!(error.contains(expected), "{body}\n gives {error}\n and lacks {expected}");
        assert!(error.len() < 1000, "{error}");
    }
    assert!(read(b"{\"status\":\"idle\",\"project\":\"\xff\"}", &AgentsConfig::default()).is_err());
}

#[test]
fn bodies_are_read() {
    let all = r#"{"pid":7,"project":"p","run_id":"r","status":"paused","tokens":{"current_run":5.0,"total_session":50,"limit":200},
        "queue":0,"in_flight":2,"labels":{"z":"1","a":"é"},"ttl_seconds":0.5}"#;
    let beat = read(all.as_bytes(), &AgentsConfig::default()).unwrap();
    assert_eq!((beat.pid, beat.project.as_deref(), beat.run_id.as_deref()), (Some(7), Some("p"), Some("r")));
    assert_eq!((beat.status, beat.queue, beat.in_flight), (Status::Paused, Some(0), Some(2)));
    assert_eq!(
        (beat.tokens.current_run, beat.tokens.available(), beat.tokens.usage_ratio()),
        (Some(5), Some(150), Some(0.25))
    );
    assert_eq!(beat.labels, [("a".to_owned(), "é".to_owned()), ("z".to_owned(), "1".to_owned())]);
    assert_eq!(beat.ttl.map(|ttl| ttl.as_millis()), Some(500));
    let least = read(br#"{"status":"idle","pid":null,"tokens":null,"labels":null}"#, &AgentsConfig::default()).unwrap();
    assert_eq!((least.pid, least.tokens.usage_ratio(), least.labels.len()), (None, None, 0));
    for (tokens, usage, available) in [
        (r#"{"limit":0,"current_run":5}"#, None, None),
        (r#"{"current_run":5}"#, None, None),
        (r#"{"limit":10}"#, None, None),
        (r#"{"limit":10,"current_run":5}"#, Some(0.5), Some(5)),
        (r#"{"limit":10,"current_run":50,"total_session":20}"#, Some(2.0), Some(0)),
    ] {
        let beat =
            read(format!(r#"{{"status":"idle","tokens":{tokens}}}"#).as_bytes(), &AgentsConfig::default()).unwrap();
        assert_eq!((beat.tokens.usage_ratio(), beat.tokens.available()), (usage, available), "{tokens}");
    }
}

#[test]
fn ids_are_plain() {
    for (id, good) in [
        ("w", true),
        ("Worker-1.a:b@c_d", true),
        ("", false),
        (".w", false),
        ("a b", false),
        ("a/b", false),
        ("é", false),
        (&"x".repeat(128), true),
        (&"x".repeat(129), false),
    ] {
        assert_eq!(check_worker_id(id).is_ok(), good, "{id}");
    }
}

#[test]
fn a_heartbeat_becomes_series_and_silence_ends_what_was_said() {
    let world = World::new(AgentsConfig::default());
    world.machine.set(7, 100, 'S', 1.0);
    let body = r#"{"pid":7,"project":"p","run_id":"r","status":"running","tokens":{"current_run":5,"total_session":50,"limit":200},
        "queue":3,"in_flight":2,"labels":{"team":"x"}}"#;
    world.beat("w", body, 0.0);
    world.machine.set(7, 100, 'S', 1.5);
    let expected = [
        "cpu_ratio{} 0.5",
        "heartbeats_total{} 1",
        "idle_seconds{} 0",
        "in_flight{} 2",
        "info{pid=7,run_id=r,team=x} 1",
        "last_heartbeat_timestamp_seconds{} 1700000000",
        "queue_length{} 3",
        "reapable{} 0",
        "resident_memory_bytes{} 4096",
        "run_start_timestamp_seconds{} 1700000000",
        "run_tokens{} 5",
        "session_tokens{} 50",
        "status{status=idle} 0",
        "status{status=paused} 0",
        "status{status=running} 1",
        "tokens_limit{} 200",
        "tokens_total{} 5",
        "tokens_usage_ratio{} 0.25",
        "zombie{} 0",
    ];
    assert_eq!(world.tick(1.0), expected);
    let silent = world.tick(31.0);
    for gone in ["status", "queue_length", "in_flight", "run_tokens", "tokens_limit", "idle_seconds"] {
        assert!(!silent.iter().any(|line| line.starts_with(gone)), "{gone}: {silent:?}");
    }
    for stays in ["tokens_total{} 5", "last_heartbeat", "cpu_ratio", "info{"] {
        assert!(silent.iter().any(|line| line.starts_with(stays)), "{stays}: {silent:?}");
    }
    assert_eq!(world.agents.views()[0].status(at(31.0)), None);
    // Forgotten after ten minutes, with everything that was held.
    assert!(!world.tick(600.0).is_empty());
    assert_eq!(world.tick(601.0), Vec::<String>::new());
    assert_eq!((world.agents.views().len(), world.table.counts().held), (0, 0));
    assert_eq!(world.agents.runs()[0].status, RunStatus::Lost);
    assert_eq!(world.agents.runs()[0].ended_at, Some(T0), "when it was last heard of");
}

#[test]
fn labels_follow_what_the_worker_says() {
    let world = World::new(AgentsConfig::default());
    world.beat("w", r#"{"status":"idle","project":"p","labels":{"team":"x"}}"#, 0.0);
    let held = |second| {
        world.tick(second);
        world.table.counts().held
    };
    let before = held(1.0);
    world.beat("w", r#"{"status":"idle","project":"p","labels":{"team":"y"},"run_id":"r"}"#, 1.0);
    assert_eq!(held(2.0), before, "one info for another");
    world.beat("w", r#"{"status":"idle","project":"q"}"#, 2.0);
    assert_eq!(held(3.0), before, "everything moves to the new project");
    assert!(world.tick(4.0).contains(&"info{} 1".to_owned()));
    assert!(world.agents.end("w", at(5.0)) && !world.agents.end("w", at(5.0)));
    assert_eq!(held(6.0), 0);
}

#[test]
fn tokens_never_fall_within_a_run_and_each_run_begins_anew() {
    let world = World::new(AgentsConfig::default());
    // Run, stated tokens; the run's tokens, the worker's total.
    for (second, (run, stated, of_run, total)) in [
        ("a", Some(10), Some(10.0), Some(10.0)),
        ("a", Some(15), Some(15.0), Some(15.0)),
        ("a", Some(3), Some(15.0), Some(15.0)),
        ("a", None, Some(15.0), Some(15.0)),
        ("a", Some(20), Some(20.0), Some(20.0)),
        ("b", None, None, Some(20.0)),
        ("b", Some(30), Some(30.0), Some(50.0)),
        ("c", Some(2), Some(2.0), Some(52.0)),
        // Back to the first: only what is new counts.
        ("a", Some(25), Some(25.0), Some(57.0)),
    ]
    .into_iter()
    .enumerate()
    {
        let tokens = stated.map(|n| format!(r#","tokens":{{"current_run":{n}}}"#)).unwrap_or_default();
        let second = second as f64;
        world.beat("w", &format!(r#"{{"status":"running","run_id":"{run}"{tokens}}}"#), second);
        assert_eq!(
            (world.value(second, "run_tokens"), world.value(second, "tokens_total")),
            (of_run, total),
            "{second}"
        );
    }
    let runs: Vec<_> = world.agents.runs().iter().map(|run| (run.run_id.clone(), run.status, run.tokens)).collect();
    let run = |id: &str, status, tokens| (id.to_owned(), status, Some(tokens));
    use RunStatus::{Ended, Running};
    assert_eq!(runs, [run("c", Ended, 2), run("b", Ended, 30), run("a", Running, 25)]);
}

#[test]
fn tokens_without_runs_begin_anew_with_the_process_and_the_work() {
    let world = World::new(AgentsConfig::default());
    // Status, pid, stated tokens; tokens as they are shown, the worker's total.
    for (second, (status, pid, stated, shown, total)) in [
        ("running", 7, Some(100), Some(100.0), 100.0),
        ("running", 7, Some(30), Some(100.0), 100.0),
        ("running", 8, Some(30), Some(30.0), 130.0),
        ("idle", 8, Some(40), Some(40.0), 140.0),
        ("idle", 8, Some(5), Some(40.0), 140.0),
        ("running", 8, Some(6), Some(6.0), 146.0),
        ("paused", 8, Some(2), Some(6.0), 146.0),
        ("running", 8, Some(2), Some(6.0), 146.0),
        ("idle", 8, Some(6), Some(6.0), 146.0),
        ("running", 8, None, None, 146.0),
        ("running", 8, Some(3), Some(3.0), 149.0),
        // One that goes on counting is not counted twice.
        ("idle", 8, Some(3), Some(3.0), 149.0),
        ("running", 8, Some(4), Some(4.0), 150.0),
    ]
    .into_iter()
    .enumerate()
    {
        let tokens = stated.map(|n| format!(r#","tokens":{{"current_run":{n}}}"#)).unwrap_or_default();
        let second = second as f64;
        let view = world.beat("w", &format!(r#"{{"status":"{status}","pid":{pid}{tokens}}}"#), second);
        let seen = view.beat.tokens.current_run.map(|tokens| tokens as f64);
        assert_eq!((seen, world.value(second, "tokens_total")), (shown, Some(total)), "{second}");
    }
}

#[test]
fn runs_begin_end_and_come_back() {
    let world = World::new(AgentsConfig::default());
    let state = |second: f64, body: &str| {
        world.beat("w", body, second);
        let runs = world.agents.runs();
        let first = runs.first().map(|run| (run.run_id.clone(), run.status.as_str(), run.ended_at.map(|at| at - T0)));
        (runs.len(), first.unwrap_or_default())
    };
    let one = |n, id: &str, status, ended: Option<i64>| (n, (id.to_owned(), status, ended));
    assert_eq!(state(0.0, r#"{"status":"idle","run_id":"old"}"#), one(0, "", "", None), "nothing is made up");
    assert_eq!(state(1.0, r#"{"status":"running","run_id":"a"}"#), one(1, "a", "running", None));
    assert_eq!(state(2.0, r#"{"status":"paused","run_id":"a"}"#), one(1, "a", "paused", None));
    assert_eq!(state(3.0, r#"{"status":"idle","run_id":"a"}"#), one(1, "a", "ended", Some(3000)));
    assert_eq!(state(4.0, r#"{"status":"running","run_id":"a"}"#), one(1, "a", "running", None));
    assert_eq!(state(5.0, r#"{"status":"running","run_id":"b"}"#), one(2, "b", "running", None));
    assert_eq!(world.agents.runs()[1].ended_at, Some(at(5.0)));
    assert_eq!(state(6.0, r#"{"status":"idle"}"#), one(2, "b", "ended", Some(6000)));
    assert_eq!(world.agents.views()[0].run_started_at, None);
}

#[test]
fn runs_survive_a_restart_and_are_bounded() {
    let config = AgentsConfig { max_runs: 3, ..AgentsConfig::default() };
    let world = World::new(config.clone());
    for run in 0..6 {
        world.beat(
            "w",
            &format!(r#"{{"status":"running","run_id":"r{run}","project":"p","tokens":{{"current_run":9}}}}"#),
            f64::from(run),
        );
        world.tick(f64::from(run));
    }
    let names = |world: &World| {
        world.agents.runs().iter().map(|run| format!("{}:{}", run.run_id, run.status.as_str())).collect::<Vec<_>>()
    };
    assert_eq!(names(&world), ["r5:running", "r4:ended", "r3:ended"]);
    assert_eq!(world.runs.0.lock().len(), 3);
    let again = World::on(config.clone(), Arc::clone(&world.runs));
    assert_eq!(names(&again), names(&world));
    // The worker goes on with its run; what it used before the restart is not counted twice.
    again.beat("w", r#"{"status":"running","run_id":"r5","project":"p","tokens":{"current_run":12}}"#, 7.0);
    assert_eq!(again.agents.runs().len(), 3);
    assert_eq!(again.agents.runs()[0].started_at, at(5.0));
    assert_eq!(again.value(8.0, "tokens_total"), Some(3.0));
    // Another one is never heard of again.
    let third = World::on(config.clone(), Arc::clone(&world.runs));
    third.tick(700.0);
    assert_eq!(names(&third)[0], "r5:lost");
    // Damaged records cost themselves.
    world.runs.0.lock().insert(vec![1], b"short key".to_vec());
    world.runs.0.lock().insert(99u64.to_be_bytes().to_vec(), br#"{"v":9}"#.to_vec());
    let fourth = World::on(config, Arc::clone(&world.runs));
    assert_eq!(fourth.agents.runs().len(), 3);
    assert_eq!(fourth.agents.counters().run_errors.load(std::sync::atomic::Ordering::Relaxed), 2);
}

#[test]
fn idle_past_the_ttl_is_reapable_and_a_busy_one_never_is() {
    let world = World::new(AgentsConfig::default());
    world.machine.set(7, 1, 'S', 0.0);
    let reapable = |second| world.agents.views()[0].reapable(at(second));
    for (beat, second, expected) in [
        (Some(r#"{"status":"idle","ttl_seconds":10}"#), 0.0, Some(false)),
        (None, 9.9, Some(false)),
        (None, 10.0, Some(true)),
        // Still idle: the clock goes on.
        (Some(r#"{"status":"idle","ttl_seconds":10}"#), 11.0, Some(true)),
        (Some(r#"{"status":"running","ttl_seconds":10}"#), 12.0, Some(false)),
        (None, 500.0, Some(false)),
        (Some(r#"{"status":"paused","ttl_seconds":10}"#), 501.0, Some(false)),
        (None, 10_000.0, Some(false)),
        (Some(r#"{"status":"idle","ttl_seconds":10}"#), 10_001.0, Some(false)),
        (None, 10_012.0, Some(true)),
        // Nobody said when it may be ended.
        (Some(r#"{"status":"idle"}"#), 10_013.0, Some(false)),
        (Some(r#"{"status":"idle","ttl_seconds":10,"pid":7}"#), 10_014.0, Some(true)),
        // Its process cannot be seen: nothing is known.
        (Some(r#"{"status":"idle","ttl_seconds":10,"pid":8}"#), 10_015.0, None),
    ] {
        if let Some(body) = beat {
            world.beat("w", body, second);
        }
        assert_eq!(reapable(second), expected, "{beat:?} at {second}");
    }
}

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
