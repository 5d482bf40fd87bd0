//! The API against its contract, and its errors.

use super::client::{get, request};
use super::fixture::{NOW, World};
use super::schema::Contract;

#[test]
fn answers_follow_the_contract() {
    let world = World::new();
    let contract = Contract::load();
    let now = NOW / 1000;
    let start = now - 60;
    let range = format!("start={start}&end={now}&step=15");
    // Path in the contract, path and query asked, a JSON pointer, what stands there.
    let cases: Vec<(&str, String, &str, serde_json::Value)> = vec![
        ("/query", "query?query=up".into(), "/data/result/0/value", serde_json::json!([now, "0"])),
        (
            "/query",
            format!("query?query=up&limit=1&time={now}"),
            "/warnings/0",
            "results truncated due to limit".into(),
        ),
        ("/query", "query?query=1%2B1&stats=all".into(), "/data/resultType", "scalar".into()),
        ("/query", "query?query=%22a%22".into(), "/data/result/1", "a".into()),
        ("/query", "query?query=up[3s]&time=2023-11-14T22:13:20Z".into(), "/data/resultType", "matrix".into()),
        ("/query", "query?query=up&lookback_delta=1s&time=1700000100".into(), "/data/result", serde_json::json!([])),
        ("/query_range", format!("query_range?query=up&{range}"), "/data/result/1/values/4/1", "1".into()),
        (
            "/query_range",
            format!("query_range?query=rate(up[1m])&{range}&timeout=5s"),
            "/data/resultType",
            "matrix".into(),
        ),
        (
            "/query_exemplars",
            format!("query_exemplars?query=up&start={start}&end={now}"),
            "/data",
            serde_json::json!([]),
        ),
        ("/format_query", "format_query?query=sum(up)by(job)".into(), "/data", "sum by (job) (up)".into()),
        ("/parse_query", "parse_query?query=up".into(), "/data/type", "vectorSelector".into()),
        ("/series", "series?match[]=up&match[]=node_load1".into(), "/data/2/job", "node".into()),
        ("/series", "series?match[]=up&start=1&end=2".into(), "/data", serde_json::json!([])),
        ("/series", "series?match[]=up&start=2&end=1".into(), "/data", serde_json::json!([])),
        ("/labels", "labels?start=2&end=1".into(), "/data", serde_json::json!([])),
        ("/label/{name}/values", "label/job/values?start=2&end=1".into(), "/data", serde_json::json!([])),
        ("/query_exemplars", "query_exemplars?query=up".into(), "/data", serde_json::json!([])),
        ("/query", "query?query=up&lookback_delta=0".into(), "/data/result/0/value/1", "0".into()),
        ("/labels", "labels".into(), "/data/1", "http.status".into()),
        ("/labels", "labels?match[]=up".into(), "/data/2", "job".into()),
        ("/label/{name}/values", "label/job/values".into(), "/data", serde_json::json!(["app", "node"])),
        ("/label/{name}/values", "label/U__http_2e_status/values".into(), "/data/0", "ok".into()),
        ("/metadata", "metadata".into(), "/data/watchfire_demo/0/type", "gauge".into()),
        (
            "/metadata",
            "metadata?metric=app_requests_total".into(),
            "/data/app_requests_total/0/help",
            "Requests.".into(),
        ),
        ("/targets/metadata", "targets/metadata?match_target={job=%22app%22}".into(), "/data/0/type", "counter".into()),
        ("/metadata", "metadata?metric=nothing".into(), "/data", serde_json::json!({})),
        ("/rules", "rules".into(), "/data/groups/0/rules/0/state", "firing".into()),
        ("/rules", "rules?type=record".into(), "/data/groups/0/rules/0/type", "recording".into()),
        ("/rules", "rules?group_limit=1".into(), "/data/groupNextToken", "rules/a.yml;records".into()),
        ("/rules", "rules?exclude_alerts=true".into(), "/data/groups/0/rules/0/alerts", serde_json::json!([])),
        ("/alerts", "alerts".into(), "/data/alerts/0/activeAt", "2023-11-14T22:13:18Z".into()),
        ("/alertmanagers", "alertmanagers".into(), "/data/activeAlertmanagers", serde_json::json!([])),
        ("/targets", "targets".into(), "/data/activeTargets/0/health", "down".into()),
        ("/targets", "targets?state=Dropped".into(), "/data/activeTargets", serde_json::json!([])),
        ("/targets", "targets?state=dropped".into(), "/data/droppedTargets/0/scrapePool", "app".into()),
        ("/targets", "targets".into(), "/data/droppedTargetCounts", serde_json::json!({"app": 3})),
        ("/targets", "targets?state=active".into(), "/data/droppedTargets", serde_json::json!([])),
        ("/targets", "targets?scrapePool=none".into(), "/data/droppedTargets", serde_json::json!([])),
        ("/targets/metadata", "targets/metadata?limit=1".into(), "/data/0/target/job", "watchfire".into()),
        ("/scrape_pools", "scrape_pools".into(), "/data/scrapePools/0", "app".into()),
        ("/status/config", "status/config".into(), "/data/yaml", "global: {}\n".into()),
        ("/status/flags", "status/flags".into(), "/data/web.listen-address", "127.0.0.1:9480".into()),
        ("/status/buildinfo", "status/buildinfo".into(), "/data/version", env!("CARGO_PKG_VERSION").into()),
        ("/status/runtimeinfo", "status/runtimeinfo".into(), "/data/storageRetention", "15d".into()),
        ("/status/tsdb", "status/tsdb".into(), "/data/headStats/numSeries", 3.into()),
        ("/status/walreplay", "status/walreplay".into(), "/data/current", 0.into()),
        ("/features", "features".into(), "/data/promql_functions/rate", true.into()),
        ("/notifications", "notifications".into(), "/data", serde_json::json!([])),
    ];
    for (path, asked, pointer, expected) in cases {
        let answer = get(world.addr, &format!("/api/v1/{asked}"));
        assert_eq!(answer.status, 200, "{asked}: {}", answer.text());
        assert_eq!(answer.header("content-type"), "application/json");
        let json = answer.json();
        assert_eq!(json.pointer(pointer), Some(&expected), "{asked} at {pointer}: {json}");
        // The contract wants both items of a string result to be strings; Prometheus writes the time as a number.
        let is_string = json.pointer("/data/resultType").is_some_and(|kind| kind == "string");
        if let Some(contract) = contract.as_ref().filter(|_| !is_string) {
            contract.check(path, "get", 200, &json).unwrap_or_else(|error| panic!("{asked}: {error}\n{json}"));
        }
    }
}

#[test]
fn forms_are_read_too() {
    let world = World::new();
    for (path, form) in [
        ("query", "query=up%7Bjob%3D%22app%22%7D"),
        ("query_range", "query=up&start=1700000000&end=1700000000&step=1"),
        ("series", "match%5B%5D=up"),
        ("labels", ""),
        ("format_query", "query=up"),
        ("parse_query", "query=up"),
        ("query_exemplars", "query=up&start=1&end=2"),
    ] {
        let answer = request(world.addr, "POST", &format!("/api/v1/{path}"))
            .body("application/x-www-form-urlencoded", form)
            .send();
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    }
}

#[test]
fn errors_have_prometheus_words_and_codes() {
    let world = World::new();
    let contract = Contract::load();
    let cases = [
        ("query?query=sum(", 400, "bad_data", "1:5: parse error"),
        ("query", 400, "bad_data", "invalid parameter \"query\""),
        (
            "query?query=up&time=soon",
            400,
            "bad_data",
            "invalid parameter \"time\": Invalid time value for 'time': cannot parse \"soon\" to a valid timestamp",
        ),
        ("query?query=up&time=2015-07-01%2020:10:51Z", 400, "bad_data", "to a valid timestamp"),
        ("query?query=up&timeout=0", 503, "timeout", "query timed out in query execution"),
        ("query?query=up&timeout=1e100", 400, "bad_data", "to a valid duration. It overflows int64"),
        ("query?query=up&lookback_delta=-1s", 400, "bad_data", "cannot parse \"-1s\" to a valid duration"),
        ("query?query=up&limit=-1", 400, "bad_data", "limit must be non-negative"),
        ("query_range?query=up&start=x&end=2&step=1", 400, "bad_data", "\"start\": cannot parse \"x\" to a valid"),
        ("query_range?query=up&start=1&end=2&step=-1s", 400, "bad_data", "cannot parse \"-1s\" to a valid duration"),
        ("query_exemplars?query=up&start=2&end=1", 400, "bad_data", "end timestamp must not be before start"),
        ("series?match[]=up&start=x", 400, "bad_data", "Invalid time value for 'start'"),
        ("query?query=up&timeout=x", 400, "bad_data", "cannot parse \"x\" to a valid duration"),
        ("query?query=up&limit=x", 400, "bad_data", "limit must be a number"),
        ("query?query=up%2Bon()up", 422, "execution", "many-to-many"),
        ("query?query=broken", 500, "internal", "disk on fire"),
        ("query_range?query=up&start=1&end=2", 400, "bad_data", "invalid parameter \"step\""),
        ("query_range?query=up&start=2&end=1&step=1", 400, "bad_data", "end timestamp must not be before start time"),
        ("query_range?query=up&start=1&end=2&step=0", 400, "bad_data", "zero or negative query resolution"),
        ("query_range?query=up&start=1&end=2&step=-1", 400, "bad_data", "zero or negative query resolution"),
        (
            "query_range?query=up&start=0&end=11001&step=1",
            400,
            "bad_data",
            "exceeded maximum resolution of 11,000 points",
        ),
        ("series", 400, "bad_data", "no match[] parameter provided"),
        ("series?match[]={a=%22%22}", 400, "bad_data", "at least one non-empty matcher"),
        ("rules?type=x", 400, "bad_data", "expected alert or record"),
        ("nothing", 404, "not_found", "/api/v1/nothing"),
    ];
    for (asked, status, kind, text) in cases {
        let answer = get(world.addr, &format!("/api/v1/{asked}"));
        let json = answer.json();
        assert_eq!((answer.status, json["status"].as_str()), (status, Some("error")), "{asked}: {json}");
        assert_eq!(json["errorType"], kind, "{asked}");
        assert!(json["error"].as_str().is_some_and(|error| error.contains(text)), "{asked}: {json}");
        if let Some(contract) = contract.as_ref().filter(|_| status != 404) {
            let path = asked.split('?').next().unwrap_or(asked);
            contract
                .check(&format!("/{path}"), "get", status, &json)
                .unwrap_or_else(|error| panic!("{asked}: {error}"));
        }
    }
    for (method, path, status, body) in [
        ("DELETE", "/api/v1/query", 405, "Method Not Allowed\n"),
        ("POST", "/api/v1/targets", 405, "Method Not Allowed\n"),
        ("GET", "/-/reload", 405, "Method Not Allowed\n"),
        ("OPTIONS", "/api/v1/query", 204, ""),
        ("HEAD", "/api/v1/query?query=up", 200, ""),
    ] {
        let answer = request(world.addr, method, path).send();
        assert_eq!((answer.status, answer.text().as_str()), (status, body), "{method} {path}");
        assert_eq!(answer.header("allow").is_empty(), status == 200, "{method} {path}");
    }
}

#[test]
fn heavy_queries_starve_neither_health_nor_metrics() {
    let world = World::new();
    let gate = world.memory.block();
    let stuck: Vec<_> = (0..30).map(|_| request(world.addr, "GET", "/api/v1/query?query=stuck").open()).collect();
    while world.memory.waiting() == 0 {
        std::thread::yield_now();
    }
    assert_eq!(get(world.addr, "/-/healthy").status, 200);
    assert_eq!(get(world.addr, "/metrics").status, 200);
    let timely = get(world.addr, "/api/v1/query?query=up&timeout=50ms");
    assert_eq!((timely.status, timely.json()["errorType"].as_str()), (503, Some("timeout")), "{}", timely.text());
    drop(gate);
    drop(stuck);
}

#[tokio::test]
async fn a_client_that_goes_away_stops_its_query() {
    let world = World::new();
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let edge = std::sync::Arc::clone(&world.edge);
    let asked = tokio::spawn(async move {
        crate::http::envelope::run(&edge, std::time::Duration::from_secs(9), move |_, asker| {
            while !asker.cancel.is_cancelled() {
                std::thread::yield_now();
            }
            let _ = sender.send(());
            Ok(())
        })
        .await
    });
    while world.edge.query_places.available_permits() == crate::limits::MAX_CONCURRENT_QUERIES {
        tokio::task::yield_now().await;
    }
    asked.abort();
    receiver.await.expect("the query saw that nobody waits for it");
    // The server's own runtime is a blocking affair to stop.
    tokio::task::spawn_blocking(move || drop(world)).await.expect("stops");
}
