//! `POST events`: metric events as JSON lines.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::http::edge::Edge;
use crate::http::envelope::json_response;
use crate::http::error::{ApiError, ErrorKind};
use crate::http::params::read_body;

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
