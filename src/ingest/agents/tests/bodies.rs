//! Bodies and ids, good and bad.

use super::super::body::read;
use super::super::{AgentsConfig, Status, check_worker_id};

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
