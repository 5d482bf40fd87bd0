//! Server-sent events and WebSockets.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;

use super::client::{get, request};
use super::fixture::{NOW, World};
use crate::limits::MAX_LIVE_SUBSCRIBERS;

const LIVE: &str = "/api/watchfire/v1/live?match[]=node_load1";

/// Reads until an event of that name; gives its data.
fn next_event(stream: &mut BufReader<TcpStream>, name: &str) -> serde_json::Value {
    let wanted = format!("event: {name}");
    let mut line = String::new();
    loop {
        line.clear();
        assert!(stream.read_line(&mut line).expect("in time") > 0, "the stream ended before {name}");
        if line.trim_end() == wanted {
            break;
        }
    }
    loop {
        line.clear();
        stream.read_line(&mut line).expect("in time");
        if let Some(data) = line.strip_prefix("data: ") {
            return serde_json::from_str(data.trim_end()).expect("JSON");
        }
    }
}

fn follow(world: &World, last_event: bool) -> BufReader<TcpStream> {
    let before = world.hub.counters().subscribers.load(std::sync::atomic::Ordering::SeqCst);
    let mut asked = request(world.addr, "GET", LIVE);
    if last_event {
        asked = asked.header("last-event-id", "7");
    }
    let stream = BufReader::new(asked.open());
    while world.hub.counters().subscribers.load(std::sync::atomic::Ordering::SeqCst) == before {
        std::thread::yield_now();
    }
    stream
}

#[test]
fn a_page_hears_of_series_and_ticks() {
    let world = World::new();
    let mut stream = follow(&world, false);
    let series = world.tick(NOW, 0.5);
    let members = next_event(&mut stream, "series");
    assert_eq!(members["series"][0]["id"], series.0);
    assert_eq!(members["series"][0]["labels"]["__name__"], "node_load1");
    let tick = next_event(&mut stream, "tick");
    assert_eq!(tick, serde_json::json!({"ts": NOW, "values": [[series.0, 0.5]]}));
    world.tick(NOW + 1000, f64::INFINITY);
    let tick = next_event(&mut stream, "tick");
    assert_eq!(tick["values"][0], serde_json::json!([series.0, null]));
}

#[test]
fn a_page_that_comes_back_reads_the_history_again() {
    let world = World::new();
    next_event(&mut follow(&world, true), "resync");
}

#[test]
fn streams_are_limited_and_need_a_selector() {
    let world = World::new();
    assert_eq!(get(world.addr, "/api/watchfire/v1/live").status, 400);
    assert_eq!(get(world.addr, "/api/watchfire/v1/live?match[]=sum(").status, 400);
    let all: Vec<_> = (0..MAX_LIVE_SUBSCRIBERS).map(|_| world.hub.subscribe().expect("room")).collect();
    assert_eq!(get(world.addr, LIVE).status, 503);
    drop(all);
    drop(follow(&world, false));
}

#[test]
fn a_project_gets_its_message() {
    let world = World::new();
    let stream = request(world.addr, "GET", "/ws/projects/demo")
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .open();
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).expect("a status");
    assert!(line.contains("101"), "{line}");
    while line.trim_end() != "" {
        line.clear();
        stream.read_line(&mut line).expect("headers");
    }
    // A text frame of 126 to 65,535 bytes: two bytes of head, two of length.
    let mut head = [0u8; 4];
    stream.read_exact(&mut head).expect("a frame");
    assert_eq!((head[0], head[1]), (0x81, 126));
    let mut text = vec![0; usize::from(u16::from_be_bytes([head[2], head[3]]))];
    stream.read_exact(&mut text).expect("a message");
    let message: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
    assert_eq!((message["type"].as_str(), message["project"].as_str()), (Some("perf_metrics"), Some("demo")));
    assert_eq!(message["timestamp"], "2023-11-14T22:13:20Z");
    for pointer in ["/run/status", "/run/pid", "/tokens/available", "/cpu/percent", "/memory/used_gb", "/gpu/percent"] {
        assert_eq!(message.pointer(pointer), Some(&serde_json::Value::Null), "{pointer}");
    }
    assert_eq!(message["gpu"]["available"], false);
}

#[test]
fn sockets_of_other_sites_are_refused() {
    let world = World::new();
    let answer = request(world.addr, "GET", "/ws/projects/demo").header("origin", "https://evil.example").send();
    assert_eq!(answer.status, 403);
}

#[test]
fn what_happened_is_listed_and_streamed() {
    let world = World::new();
    let mut stream = follow(&world, false);
    let log = &world.edge.log;
    for n in 0..3 {
        log.add("worker_exit", NOW + n * 1000, false, serde_json::json!({"pid": n}));
    }
    let told = next_event(&mut stream, "worker_exit");
    assert_eq!((&told["pid"], &told["type"], &told["id"]), (&0.into(), &"worker_exit".into(), &0.into()));
    assert_eq!(told["time"], "2023-11-14T22:13:20Z");
    let pids = |query: &str| {
        let answer = get(world.addr, &format!("/api/watchfire/v1/events?{query}"));
        assert_eq!(answer.status, 200, "{query}");
        let events = answer.json()["data"]["events"].as_array().expect("a list").clone();
        events.iter().map(|event| event["pid"].as_i64().expect("a number")).collect::<Vec<_>>()
    };
    let seconds = NOW / 1000;
    for (query, expected) in [
        (String::new(), &[2, 1, 0][..]),
        ("type=worker_exit&limit=1".into(), &[2]),
        ("type=other".into(), &[]),
        (format!("from={}&to={}", seconds + 1, seconds + 1), &[1]),
    ] {
        assert_eq!(pids(&query), expected, "{query}");
    }
    for bad in ["limit=x", "from=never", "from=5&to=4"] {
        assert_eq!(get(world.addr, &format!("/api/watchfire/v1/events?{bad}")).status, 400, "{bad}");
    }
}

#[test]
fn processes_in_the_order_that_is_asked_for() {
    let world = World::new();
    for (query, sort, descending, limit) in [
        ("", "Cpu", true, 20),
        ("sort=rss&limit=7", "Rss", true, 7),
        ("sort=name&limit=0", "Name", false, 1000),
        ("sort=name", "Name", false, 20),
        ("sort=fds&order=asc&limit=99999", "Fds", false, 1000),
    ] {
        let answer = get(world.addr, &format!("/api/watchfire/v1/processes?{query}"));
        let expected = serde_json::json!([{"sort": sort, "descending": descending, "limit": limit}]);
        assert_eq!(answer.json()["data"], expected, "{query}");
    }
    for bad in ["sort=height", "order=up", "limit=-1"] {
        assert_eq!(get(world.addr, &format!("/api/watchfire/v1/processes?{bad}")).status, 400, "{bad}");
    }
}
