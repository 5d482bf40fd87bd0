use std::sync::Arc;
use std::time::Duration;

use super::{Events, EventsConfig};
use crate::model::{GroupId, Intern};
use crate::registry::{Latest, RegistryConfig, SeriesLimits, SeriesTable};

const NOW: i64 = 1_763_000_000_000;

fn events(config: EventsConfig) -> (Arc<SeriesTable>, Events) {
    let table = Arc::new(SeriesTable::new(RegistryConfig::default()));
    let intern = Arc::clone(&table) as Arc<dyn Intern>;
    (table, Events::new(config, intern, GroupId(0)))
}

fn lines(table: &SeriesTable, events: &Events, now: i64) -> Vec<String> {
    let batch = events.tick(now);
    let line = |(series, value): &(_, f64)| {
        let labels = table.labels(*series).expect("living");
        assert_eq!(labels.get("job"), "events");
        format!("{} {value}", labels.without(&["job", "instance"]))
    };
    batch.floats.iter().map(line).collect()
}

#[test]
fn events_add_up() {
    let (table, events) = events(EventsConfig { buckets: vec![0.1, 1.0], ..EventsConfig::default() });
    let body = r#"
        {"name":"requests_total","type":"counter","value":1,"labels":{"route":"/","empty":""}}
        {"name":"requests","type":"counter","value":2.5,"labels":{"route":"/"},"help":"Requests."}
        {"name":"depth","type":"gauge","value":5,"ts":1763000000000}
        {"name":"depth","type":"gauge","value":4,"ts":1762999999000}
        {"name":"took_seconds","type":"histogram","value":0.1,"ts":"2025-11-13T02:13:20Z"}
        {"name":"took_seconds","type":"histogram","value":3}
    "#;
    let report = events.ingest(body.as_bytes(), NOW);
    assert_eq!((report.accepted, report.rejected), (6, vec![]));
    let expected = [
        r#"requests_total{route="/"} 3.5"#,
        "depth 5",
        r#"took_seconds_bucket{le="0.1"} 1"#,
        r#"took_seconds_bucket{le="1"} 1"#,
        r#"took_seconds_bucket{le="+Inf"} 2"#,
        "took_seconds_count 2",
        "took_seconds_sum 3.1",
    ];
    assert_eq!(lines(&table, &events, NOW + 1000), expected);
    events.ingest(br#"{"name":"requests","type":"counter","value":1,"labels":{"route":"/"}}"#, NOW + 1500);
    assert_eq!(lines(&table, &events, NOW + 2000)[0], r#"requests_total{route="/"} 4.5"#);
}

#[test]
fn bad_lines_are_answered_and_good_ones_kept() {
    let (_, events) = events(EventsConfig { max_series: 2, max_labels: 1, ..EventsConfig::default() });
    let good = r#"{"name":"a","type":"gauge","value":1}"#;
    let cases = [
        ("nonsense", "expected {\"name\":…"),
        ("null", "expected an object"),
        (r#"{"name":"a","type":"gauge"}"#, "missing field `value`"),
        (r#"{"name":"a","type":"gauge","value":1,"x":1}"#, "unknown field `x`"),
        (r#"{"name":"a","type":"gauge","value":"1"}"#, "invalid type: string"),
        (r#"{"name":"a","type":"gauge","value":1,"labels":{"b":1}}"#, "expected a string"),
        (
            r#"{"name":"a","type":"summary","value":1}"#,
            "expected the type counter, gauge or histogram, found \"summary\"",
        ),
        (r#"{"name":"a","type":"counter","value":1}"#, "expected \"a\" to stay a gauge, found a counter"),
        (r#"{"name":"b","type":"counter","value":-1}"#, "expected a counter to grow"),
        (r#"{"name":"a-b","type":"gauge","value":1}"#, "expected a name of at most 200 letters"),
        (r#"{"name":"up","type":"gauge","value":1}"#, "does not start with up"),
        (r#"{"name":"node_load1","type":"gauge","value":1}"#, "does not start with node_"),
        (r#"{"name":"b_total","type":"gauge","value":1}"#, "a gauge without _total"),
        (r#"{"name":"a","type":"gauge","value":1,"labels":{"__x":"1"}}"#, "expected a label name"),
        (r#"{"name":"h","type":"histogram","value":1,"labels":{"le":"1"}}"#, "expected no label le"),
        (r#"{"name":"a","type":"gauge","value":1,"labels":{"b":"1","c":"2"}}"#, "at most 1 labels, found 2"),
        (r#"{"name":"a","type":"gauge","value":1,"ts":1763000000}"#, "expected ts (milliseconds"),
        (r#"{"name":"a","type":"gauge","value":1,"ts":"yesterday"}"#, "expected ts as milliseconds"),
        (r#"{"name":"a","type":"gauge","value":1,"labels":{"b":"2"}}"#, ""),
        (r#"{"name":"a","type":"gauge","value":1,"labels":{"b":"3"}}"#, "expected at most 2 event series"),
        (r#"{"name":"upper","type":"gauge","value":1}"#, "expected at most 2 event series"),
    ];
    for (line, expected) in cases {
        let report = events.ingest(format!("{good}\n{line}\n").as_bytes(), NOW);
        if expected.is_empty() {
            assert_eq!((report.accepted, report.rejected_total), (2, 0), "{line}");
            continue;
        }
        assert_eq!((report.accepted, report.rejected_total), (1, 1), "{line}: {report:?}");
        assert!(report.rejected[0].line == 2 && report.rejected[0].error.contains(expected), "{line}: {report:?}");
    }
    let report = events.ingest(&b"x\n".repeat(500), NOW);
    assert_eq!((report.rejected.len(), report.rejected_total), (100, 500));
    assert_eq!(events.ingest(b"\xff\xfe\n\r\n\n", NOW).rejected_total, 1);
}

#[test]
fn what_is_fresh_is_shown_once() {
    let (table, events) = events(EventsConfig::default());
    let body = br#"{"name":"a","type":"counter","value":2}
        {"name":"b","type":"gauge","value":5}
        {"name":"a","type":"counter","value":1}"#;
    events.ingest(body, NOW);
    let names = |batch: &crate::model::Batch| {
        let name =
            |(series, value): &(_, f64)| format!("{} {value}", table.labels(*series).expect("living").metric_name());
        let mut names: Vec<String> = batch.floats.iter().map(name).collect();
        names.sort();
        names
    };
    assert_eq!(names(&events.fresh(NOW)), ["a_total 3", "b 5"]);
    assert!(events.fresh(NOW).is_empty());
    events.ingest(br#"{"name":"b","type":"gauge","value":6}"#, NOW);
    assert_eq!(names(&events.fresh(NOW)), ["b 6"]);
    assert_eq!(events.tick(NOW).len(), 2, "a tick has everything all the same");
}

#[test]
fn idle_series_end() {
    let (table, events) = events(EventsConfig { expire_after: Duration::from_secs(10), ..EventsConfig::default() });
    let latest = Latest::new(Arc::clone(&table));
    events.ingest(br#"{"name":"a","type":"histogram","value":1}"#, NOW);
    events.ingest(br#"{"name":"b","type":"gauge","value":1}"#, NOW + 5_000);
    latest.update(&events.tick(NOW + 10_000));
    assert_eq!(table.held(), EventsConfig::default().buckets.len() + 4);
    assert_eq!(lines(&table, &events, NOW + 10_001), ["b 1"]);
    assert_eq!(table.held(), 1);
    events.ingest(br#"{"name":"a","type":"histogram","value":1}"#, NOW + 11_000);
    assert_eq!(table.held(), EventsConfig::default().buckets.len() + 4);
}

#[test]
fn limits_of_series_refuse_new_series_and_keep_the_known_ones() {
    let limits = SeriesLimits { series: 100, series_per_family: 2 };
    let table = Arc::new(SeriesTable::new(RegistryConfig { limits, ..RegistryConfig::default() }));
    let events = Events::new(EventsConfig::default(), Arc::clone(&table) as Arc<dyn Intern>, GroupId(0));
    let line =
        |run: u32| format!("{{\"name\":\"a\",\"type\":\"gauge\",\"value\":{run},\"labels\":{{\"run\":\"{run}\"}}}}\n");
    let body: String = (0..5).chain(0..2).map(line).collect();
    let report = events.ingest(body.as_bytes(), NOW);
    assert_eq!((report.accepted, report.rejected_total, report.over_limit), (4, 3, 3));
    let error = &report.rejected[0].error;
    assert!(error.contains("the metric has 2 series") && error.contains("series_per_family"), "{error}");
    // A histogram takes all of its series or none.
    let histogram = br#"{"name":"h","type":"histogram","value":1}"#;
    assert_eq!(events.ingest(histogram, NOW).over_limit, 1);
    assert_eq!(table.held(), 2);
    assert_eq!(lines(&table, &events, NOW), [r#"a{run="0"} 0"#, r#"a{run="1"} 1"#]);
    assert_eq!(events.counters().over_limit.load(std::sync::atomic::Ordering::Relaxed), 4);
}
