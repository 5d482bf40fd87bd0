//! Prometheus' envelope around an answer, and the way from a request to a blocking thread and back.

use std::sync::Arc;
use std::time::Duration;

use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::edge::Edge;
use super::error::{ApiError, ErrorKind};
use super::json::Json;
use crate::clock::Stopwatch;
use crate::promql::{CancelToken, Counted, QueryError};

/// What is said beside the data.
#[derive(Debug, Clone, Default)]
pub(super) struct Notes {
    pub(super) warnings: Vec<String>,
    pub(super) infos: Vec<String>,
}

impl Notes {
    /// A note when a list was cut.
    pub(super) fn truncated(cut: bool) -> Self {
        let warnings = if cut { vec!["results truncated due to limit".to_owned()] } else { Vec::new() };
        Self { warnings, infos: Vec::new() }
    }
}

/// The end of the envelope, from the comma after the data on.
pub(super) fn close_envelope(json: &mut Json, notes: &Notes) {
    for (name, list) in [("warnings", &notes.warnings), ("infos", &notes.infos)] {
        if !list.is_empty() {
            json.raw(",\"").raw(name).raw("\":").strings(list.iter().map(String::as_str));
        }
    }
    json.raw("}");
}

/// A whole answer; `data` writes what stands behind `"data":`.
pub(super) fn success(notes: &Notes, data: impl FnOnce(&mut Json)) -> Response {
    let mut json = Json::default();
    json.raw("{\"status\":\"success\",\"data\":");
    data(&mut json);
    close_envelope(&mut json, notes);
    json_response(json.finish())
}

/// An answer whose data is small enough to be a tree of values.
pub(super) fn success_value(data: &serde_json::Value) -> Response {
    success(&Notes::default(), |json| {
        json.number(data);
    })
}

/// A body of JSON.
pub(super) fn json_response(body: impl IntoResponse) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// Somebody who waits for an answer.
#[derive(Debug, Clone)]
pub(super) struct Asker {
    /// Set when the client has gone.
    pub(super) cancel: CancelToken,
    /// When the wait began.
    pub(super) since: Stopwatch,
}

impl Asker {
    /// # Errors
    /// [`QueryError::Canceled`] when nobody waits any more.
    pub(super) fn still_there(&self) -> Result<(), ApiError> {
        if self.cancel.is_cancelled() { Err(QueryError::Canceled("reading".to_owned()).into()) } else { Ok(()) }
    }
}

/// Cancels the query when the client has gone: the handler's future is dropped then.
struct CancelOnDrop(CancelToken);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Runs reading work on a blocking thread, once one of the places for queries is free. Waiting holds no thread; a
/// client that goes gives its place in the queue back.
///
/// # Errors
/// Timeout when no place becomes free in `patience`; otherwise what the work says.
pub(super) async fn run<T: Send + 'static>(
    edge: &Arc<Edge>,
    patience: Duration,
    work: impl FnOnce(&Edge, &Asker) -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let asker = Asker { cancel: CancelToken::new(), since: Stopwatch::start() };
    let place = {
        let _waiting = Counted::new(&edge.engine.counters().waiting);
        let free = Arc::clone(&edge.query_places).acquire_owned();
        match tokio::time::timeout(patience, free).await {
            Ok(Ok(place)) => place,
            _ => return Err(edge.engine.queue_full().into()),
        }
    };
    let _cancel_on_drop = CancelOnDrop(asker.cancel.clone());
    let edge = Arc::clone(edge);
    let done = tokio::task::spawn_blocking(move || {
        let _span = tracing::debug_span!("query").entered();
        let result = work(&edge, &asker);
        drop(place);
        result
    });
    done.await.map_err(|error| ApiError::new(ErrorKind::Internal, format!("the query broke: {error}")))?
}
