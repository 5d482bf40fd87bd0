//! The newest readings by model, and what the daemon says about itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};

use super::snapshot::Snapshot;
use crate::collect::worker::{ProcessQuery, ProcessSort};
use crate::http::edge::Edge;
use crate::http::envelope::{Notes, success, success_value};
use crate::http::error::{ApiError, ErrorKind};
use crate::http::json::Json;
use crate::http::params::Params;
use crate::model::Labels;

/// A thing's own labels, then its readings.
type Things<'a> = BTreeMap<Vec<&'a str>, Vec<(&'a str, &'a Labels, f64)>>;

/// Full families that an answer names; the largest come first.
const MAX_FULL: usize = 100;

/// The newest readings of each model.
pub(in crate::http) async fn models(State(edge): State<Arc<Edge>>) -> Response {
    grouped(&edge, "models", "llm_", &["target", "runtime", "model"])
}

/// `{"models":[{"model":"x","metrics":[{"name":…,"labels":{…},"value":…}]}]}`: readings by the labels that name a thing.
fn grouped(edge: &Edge, list: &str, prefix: &str, keys: &[&str]) -> Response {
    let snapshot = Snapshot::read(&edge.latest);
    let mut things: Things<'_> = BTreeMap::new();
    for (name, labels, value) in snapshot.starting_with(prefix) {
        things.entry(keys.iter().map(|key| labels.get(key)).collect()).or_default().push((name, labels, value));
    }
    let now = edge.clock.now();
    success(&Notes::default(), |json| {
        json.raw("{\"timestamp\":").text(&crate::http::times::rfc3339(now)).raw(",\"").raw(list).raw("\":[");
        for (i, (names, readings)) in things.iter().enumerate() {
            json.raw(if i > 0 { ",{" } else { "{" });
            for (key, value) in keys.iter().zip(names) {
                json.text(key).raw(":").text(value).raw(",");
            }
            json.raw("\"metrics\":[");
            for (i, reading) in readings.iter().enumerate() {
                json.raw(if i > 0 { "," } else { "" });
                write_reading(json, reading, keys);
            }
            json.raw("]}");
        }
        json.raw("]}");
    })
}

fn write_reading(json: &mut Json, (name, labels, value): &(&str, &Labels, f64), keys: &[&str]) {
    json.raw("{\"name\":").text(name).raw(",\"labels\":").labels(&labels.without(keys));
    json.raw(",\"value\":").float(*value).raw("}");
}

/// Processes of an answer when nobody says otherwise, and at most.
const PROCESSES: usize = 20;
const MAX_PROCESSES: usize = 1000;

/// The heaviest processes, or the first of another order: `sort`, `order` (asc, desc) and `limit`.
pub(in crate::http) async fn processes(State(edge): State<Arc<Edge>>, params: Params) -> Result<Response, ApiError> {
    let words = ProcessSort::WORDS;
    let sort = match params.get("sort") {
        None => ProcessSort::default(),
        Some(word) => words.iter().find(|(known, _)| *known == word).map(|(_, sort)| *sort).ok_or_else(|| {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            ApiError::parameter("sort", format!("expected one of {}, not {word:?}", known.join(", ")))
        })?,
    };
    let descending = match params.get("order") {
        None => sort.descends(),
        Some("asc") => false,
        Some("desc") => true,
        Some(word) => return Err(ApiError::parameter("order", format!("expected asc or desc, not {word:?}"))),
    };
    // As elsewhere in the API, 0 is no limit.
    let limit = match params.limit()? {
        None if params.get("limit").is_none() => PROCESSES,
        None => MAX_PROCESSES,
        Some(limit) => limit.min(MAX_PROCESSES),
    };
    let query = ProcessQuery { sort, descending, limit };
    asked(edge, move |edge| edge.daemon.processes(&query)).await
}

/// What was detected and what was not.
pub(in crate::http) async fn doctor(State(edge): State<Arc<Edge>>) -> Result<Response, ApiError> {
    asked(edge, |edge| edge.daemon.doctor()).await
}

/// Collectors with their last outcome.
pub(in crate::http) async fn collectors(State(edge): State<Arc<Edge>>) -> Result<Response, ApiError> {
    asked(edge, |edge| edge.daemon.collectors()).await
}

/// How many series are alive, how many may be, and which families were refused more.
pub(in crate::http) async fn series(State(edge): State<Arc<Edge>>) -> Result<Response, ApiError> {
    asked(edge, |edge| {
        let (counts, counters) = (edge.table.counts(), edge.table.counters());
        let full = edge.table.full_families().into_iter().take(MAX_FULL);
        json!({
            "held": counts.held,
            "ending": counts.ending,
            "limit": counts.limits.series,
            "limitPerFamily": counts.limits.series_per_family,
            "refusedByLimit": counters.refused_total_limit.load(Ordering::Relaxed),
            "refusedByLimitPerFamily": counters.refused_family_limit.load(Ordering::Relaxed),
            "fullFamilies": full.map(|(name, series)| json!({"name": name, "value": series})).collect::<Vec<_>>(),
        })
    })
    .await
}

/// Asks on a blocking thread: the answer may need a look at the system.
async fn asked(edge: Arc<Edge>, ask: impl FnOnce(&Edge) -> Value + Send + 'static) -> Result<Response, ApiError> {
    let value = tokio::task::spawn_blocking(move || ask(&edge))
        .await
        .map_err(|error| ApiError::new(ErrorKind::Internal, error.to_string()))?;
    Ok(success_value(&value))
}
