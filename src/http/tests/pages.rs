//! The page, `/metrics`, health, events, profiles, prefixes.

use std::io::Read;

use super::client::{get, request};
use super::fixture::{NOW, World, config};
use crate::http::HttpConfig;
use crate::profiling::Kind;

#[test]
fn the_page_has_its_headers() {
    let world = World::new();
    let page = get(world.addr, "/");
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    assert!(page.header("content-security-policy").starts_with("default-src 'self'"));
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    assert_eq!(page.header("cache-control"), "no-cache");
    let again = request(world.addr, "GET", "/").header("if-none-match", page.header("etag")).send();
    assert_eq!((again.status, again.body.len()), (304, 0));
    for missing in ["/assets/nothing.js", "/nothing.svg", "/deep/nothing"] {
        assert_eq!(get(world.addr, missing).status, 404, "{missing}");
    }
}

#[test]
fn readiness_says_why_not() {
    let world = World::new();
    assert_eq!(get(world.addr, "/-/ready").status, 200);
    *world.daemon.ready.lock() = Some("storage failed: disk full".to_owned());
    let answer = get(world.addr, "/-/ready");
    assert_eq!((answer.status, answer.text().contains("disk full")), (503, true));
    assert_eq!(get(world.addr, "/-/healthy").status, 200);
}

#[test]
fn metrics_in_both_formats_and_compressed() {
    let world = World::new();
    world.tick(NOW, 0.5);
    let open = get(world.addr, "/metrics");
    assert_eq!(open.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(open.text().contains("\nnode_load1 0.5\n"), "{}", open.text());
    assert!(open.text().contains("watchfire_build_info{"), "{}", open.text());
    assert!(open.text().ends_with("# EOF\n"));
    let problems = crate::exposition::check_openmetrics(&open.text());
    assert!(problems.is_empty(), "{problems:?}");
    let text = request(world.addr, "GET", "/metrics").header("accept", "text/plain;version=0.0.4").send();
    assert_eq!(text.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    assert!(!text.text().contains("# EOF"));
    world.tick(NOW + 1, 0.75);
    let packed = request(world.addr, "GET", "/metrics").header("accept-encoding", "gzip").send();
    assert_eq!(packed.header("content-encoding"), "gzip");
    let mut unpacked = String::new();
    flate2::read::GzDecoder::new(&packed.body[..]).read_to_string(&mut unpacked).expect("gzip");
    assert!(unpacked.contains("\nnode_load1 0.75\n"), "a new value is a new body: {unpacked}");
    let counted = "watchfire_http_requests_total{handler=\"/metrics\",code=\"200\"}";
    assert!(unpacked.contains(counted), "{unpacked}");
}

#[test]
fn events_are_taken_and_bad_lines_named() {
    let world = World::new();
    let post =
        |body: &str| request(world.addr, "POST", "/api/watchfire/v1/events").body("application/x-ndjson", body).send();
    let good = post("{}\n{}\n");
    assert_eq!((good.status, good.json()["data"]["accepted"].as_u64()), (200, Some(2)));
    let bad = post("bad\n{}\n");
    assert_eq!((bad.status, bad.json()["error"].as_str()), (400, Some("line 1: no JSON")));
    assert_eq!(bad.json()["data"]["accepted"], 1);
    assert_eq!(post("full").status, 503);
    let large = "x".repeat(crate::limits::MAX_BODY_BYTES + 1);
    let refused = post(&large);
    assert_eq!(refused.status, 413);
    assert!(refused.text().contains("16777216 bytes (MAX_BODY_BYTES)"), "{}", refused.text());
}

#[test]
fn profiles_exclude_each_other_and_check_their_bounds() {
    let world = World::new();
    let index = get(world.addr, "/debug/pprof/").text();
    for name in ["profile", "heap", "allocs", "cmdline", "symbol", "flamegraph", "tasks", "trace"] {
        assert!(index.contains(&format!("href=\"{name}")), "{name}");
    }
    assert!(get(world.addr, "/api/debug/pprof/tasks").text().contains("runtime http"));
    assert_eq!(get(world.addr, "/debug/pprof/profile?seconds=100000").status, 400);
    let turn = world.profiler.begin(Kind::Cpu).expect("nothing runs");
    for name in ["profile?seconds=1", "heap", "flamegraph?seconds=1", "trace?seconds=1"] {
        let refused = get(world.addr, &format!("/debug/pprof/{name}"));
        assert_eq!(refused.status, 409, "{name}");
        assert!(refused.text().contains("a CPU profile has been running"), "{}", refused.text());
    }
    drop(turn);
    let trace = get(world.addr, "/debug/pprof/trace?seconds=0.01");
    assert!(trace.json()["traceEvents"].is_array());
    let function = profiles_exclude_each_other_and_check_their_bounds as *const ();
    let address = format!("/debug/pprof/symbol?{:#x}", function as usize + 8);
    assert!(get(world.addr, &address).text().contains("profiles_exclude_each_other"));
}

#[test]
fn everything_lives_under_the_prefix() {
    let world = World::with(HttpConfig { route_prefix: "/fire".to_owned(), ..config() });
    for (path, status) in [
        ("/fire/", 200),
        ("/fire", 307),
        ("/", 307),
        ("/fire/-/healthy", 200),
        ("/-/healthy", 404),
        ("/fire/api/v1/labels", 200),
        ("/fire/api/v1/nothing", 404),
        ("/fire/debug/pprof", 307),
        ("/fire/debug/pprof/", 200),
    ] {
        let answer = get(world.addr, path);
        assert_eq!(answer.status, status, "{path}");
        if status == 307 && path.ends_with("pprof") {
            assert_eq!(answer.header("location"), "pprof/");
        } else if status == 307 {
            assert_eq!(answer.header("location"), "/fire/");
        }
    }
}
