//! `status/…`, `features`, `notifications`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde_json::{Map, Value, json};

use crate::http::edge::Edge;
use crate::http::envelope::{run, success_value};
use crate::http::error::ApiError;
use crate::http::params::Params;
use crate::http::times::rfc3339;
use crate::model::{Labels, METRIC_NAME};
use crate::promql::parser::{AggregateOp, FUNCTIONS};
use crate::telemetry::BUILD;

/// Entries of each list of `status/tsdb` when nothing else is asked for, as Prometheus.
const TOP: usize = 10;

pub(in crate::http) async fn status_config(State(edge): State<Arc<Edge>>) -> Response {
    success_value(&json!({"yaml": edge.daemon.config_yaml()}))
}

pub(in crate::http) async fn status_flags(State(edge): State<Arc<Edge>>) -> Response {
    let flags: Map<String, Value> =
        edge.daemon.flags().into_iter().map(|(name, value)| (name, Value::from(value))).collect();
    success_value(&Value::Object(flags))
}

/// `goVersion` stands in the contract; it says which Rust built us.
pub(in crate::http) async fn status_buildinfo() -> Response {
    success_value(&json!({
        "version": BUILD.version,
        "revision": BUILD.revision,
        "branch": "",
        "buildUser": "",
        "buildDate": BUILD.date,
        "goVersion": format!("rust{}", BUILD.rust),
    }))
}

/// Fields named after Go's runtime have the nearest value that a Rust process has: tasks for goroutines, cores for
/// GOMAXPROCS, no memory limit, no garbage collector.
pub(in crate::http) async fn status_runtimeinfo(State(edge): State<Arc<Edge>>) -> Response {
    let facts = edge.daemon.runtime();
    let tasks: usize = edge.runtimes().iter().map(|runtime| runtime.handle.metrics().num_alive_tasks()).sum();
    let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let folder = std::env::current_dir().map(|path| path.display().to_string()).unwrap_or_default();
    success_value(&json!({
        "startTime": rfc3339(facts.started_at),
        "CWD": folder,
        "hostname": hostname.trim(),
        "serverTime": rfc3339(edge.clock.now()),
        "reloadConfigSuccess": facts.reload_ok,
        "lastConfigTime": rfc3339(facts.config_at),
        "corruptionCount": edge.daemon.storage().corruptions,
        "goroutineCount": tasks,
        "GOMAXPROCS": std::thread::available_parallelism().map_or(1, usize::from),
        "GOMEMLIMIT": i64::MAX,
        "GOGC": "",
        "GODEBUG": "",
        "storageRetention": facts.retention,
    }))
}

pub(in crate::http) async fn status_walreplay(State(edge): State<Arc<Edge>>) -> Response {
    let facts = edge.daemon.storage();
    success_value(&json!({"min": 0, "max": facts.replay_total, "current": facts.replay_done}))
}

/// Cardinality of the series with samples in the last hour.
pub(in crate::http) async fn status_tsdb(State(edge): State<Arc<Edge>>, params: Params) -> Result<Response, ApiError> {
    let limit = params.limit()?.unwrap_or(TOP);
    let now = edge.clock.now();
    run(&edge, edge.patience(), move |edge, asker| {
        asker.still_there()?;
        let series = edge.querier.series(&[], now - 3_600_000, now)?;
        let facts = edge.daemon.storage();
        let mut data = cardinality(&series, limit);
        if let Value::Object(map) = &mut data {
            let pairs: BTreeSet<(&str, &str)> = series.iter().flat_map(Labels::iter).collect();
            let head = json!({
                "numSeries": series.len(),
                "numLabelPairs": pairs.len(),
                "chunkCount": facts.segments,
                "minTime": facts.min_time.unwrap_or(0),
                "maxTime": facts.max_time.unwrap_or(0),
            });
            map.insert("headStats".to_owned(), head);
        }
        Ok(success_value(&data))
    })
    .await
}

fn cardinality(series: &[Labels], limit: usize) -> Value {
    let mut by_metric: BTreeMap<String, u64> = BTreeMap::new();
    let mut by_pair: BTreeMap<String, u64> = BTreeMap::new();
    let mut values: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for labels in series {
        for (name, value) in labels.iter() {
            values.entry(name).or_default().insert(value);
            *by_pair.entry(format!("{name}={value}")).or_default() += 1;
            if name == METRIC_NAME {
                *by_metric.entry(value.to_owned()).or_default() += 1;
            }
        }
    }
    let count = |(name, set): (&&str, &BTreeSet<&str>)| ((*name).to_owned(), set.len() as u64);
    let bytes = |(name, set): (&&str, &BTreeSet<&str>)| {
        ((*name).to_owned(), set.iter().map(|value| value.len() as u64).sum::<u64>())
    };
    json!({
        "seriesCountByMetricName": top(by_metric, limit),
        "labelValueCountByLabelName": top(values.iter().map(count), limit),
        "memoryInBytesByLabelName": top(values.iter().map(bytes), limit),
        "seriesCountByLabelValuePair": top(by_pair, limit),
    })
}

/// The `limit` largest, largest first.
fn top(counts: impl IntoIterator<Item = (String, u64)>, limit: usize) -> Vec<Value> {
    let mut counts: Vec<(String, u64)> = counts.into_iter().collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    counts.into_iter().take(limit).map(|(name, value)| json!({"name": name, "value": value})).collect()
}

/// What the language and the API can do; everything experimental is always on.
pub(in crate::http) async fn features() -> Response {
    let on = |names: Vec<&'static str>| -> Value {
        names.into_iter().map(|name| (name.to_owned(), Value::Bool(true))).collect::<Map<String, Value>>().into()
    };
    let functions = FUNCTIONS.iter().map(|function| function.name).collect();
    let aggregations = AggregateOp::ALL.iter().map(|op| op.as_str()).collect();
    success_value(&json!({
        "api": on(vec!["label_values_match", "query_stats", "query_warnings", "time_range_labels", "time_range_series"]),
        "promql": on(vec!["anchored", "at_modifier", "bool", "by", "fill", "group_left", "group_right", "ignoring",
            "negative_offset", "offset", "on", "per_query_lookback_delta", "smoothed", "subqueries", "without"]),
        "promql_functions": on(functions),
        "promql_operators": on(aggregations),
    }))
}

/// Notifications of the server to its page: none in this version.
pub(in crate::http) async fn notifications() -> Response {
    success_value(&json!([]))
}
