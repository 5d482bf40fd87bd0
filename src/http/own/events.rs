//! `POST events`: metric events as JSON lines. `GET events`: what happened, the ends of workers.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::http::edge::Edge;
use crate::http::envelope::{Notes, json_response, success};
use crate::http::error::{ApiError, ErrorKind};
use crate::http::own::eventlog::EventQuery;
use crate::http::params::{Params, read_body};

/// Events of an answer when nobody says otherwise, and at most.
const LIMIT: usize = 100;
const MAX_LIMIT: usize = 1000;

/// The newest events, newest first: `{"events":[…]}`; `type`, `from`, `to` and `limit` choose.
pub(in crate::http) async fn list_events(State(edge): State<Arc<Edge>>, params: Params) -> Result<Response, ApiError> {
    let limit = params.limit()?.unwrap_or(LIMIT).min(MAX_LIMIT);
    let (from, to) = (params.time("from")?, params.time("to")?);
    if let (Some(from), Some(to)) = (from, to)
        && from > to
    {
        return Err(ApiError::parameter("to", "it is before from"));
    }
    let found = edge.log.find(EventQuery { kind: params.get("type"), from, to, limit });
    Ok(success(&Notes::default(), |json| {
        json.raw("{\"events\":[");
        for (i, event) in found.iter().enumerate() {
            json.raw(if i > 0 { "," } else { "" }).raw(&event.json);
        }
        json.raw("]}");
    }))
}

/// Takes a body of JSON lines. Good lines are taken even when others are bad; the answer names the bad ones.
pub(in crate::http) async fn events(State(edge): State<Arc<Edge>>, body: Body) -> Result<Response, ApiError> {
    let body = read_body(body).await?;
    let now = edge.clock.now();
    let receipt = tokio::task::spawn_blocking(move || edge.events.push(&body, now))
        .await
        .map_err(|error| ApiError::new(ErrorKind::Internal, error.to_string()))?
        .map_err(|error| ApiError::new(ErrorKind::Unavailable, error.to_string()))?;
    let status = if receipt.rejected_total > 0 { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    let bad: Vec<_> = receipt.rejected.iter().map(|(line, error)| json!({"line": line, "error": error})).collect();
    let mut answer = json!({
        "status": if bad.is_empty() { "success" } else { "error" },
        "data": {"accepted": receipt.accepted, "rejected": receipt.rejected_total, "overLimit": receipt.over_limit, "errors": bad},
    });
    if let Some((line, error)) = receipt.rejected.first() {
        answer["errorType"] = "bad_data".into();
        let refused = match receipt.over_limit {
            0 => String::new(),
            count => format!(" ({count} lines were refused by a limit of series)"),
        };
        answer["error"] = format!("line {line}: {error}{refused}").into();
    }
    Ok((status, json_response(answer.to_string())).into_response())
}
