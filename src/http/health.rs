//! `/-/…`: health, readiness, reload, quit.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::edge::Edge;

/// The process answers.
pub(super) async fn healthy() -> &'static str {
    "watchfire is healthy.\n"
}

/// The daemon can do its work; 503 with the reason while it cannot.
pub(super) async fn ready(State(edge): State<Arc<Edge>>) -> Response {
    match edge.daemon.ready() {
        Ok(()) => "watchfire is ready.\n".into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")).into_response(),
    }
}

/// Reads configuration, rules and token again.
pub(super) async fn reload(State(edge): State<Arc<Edge>>) -> Response {
    if let Some(refused) = lifecycle_off(&edge) {
        return refused;
    }
    let reloading = Arc::clone(&edge);
    let done = tokio::task::spawn_blocking(move || {
        reloading.reload_token().map_err(|error| error.to_string()).and_then(|()| reloading.daemon.reload())
    });
    match done.await {
        Ok(Ok(())) => StatusCode::OK.into_response(),
        Ok(Err(reason)) => failed(&reason),
        Err(error) => failed(&error.to_string()),
    }
}

fn failed(reason: &str) -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, format!("failed to reload config: {reason}\n")).into_response()
}

/// Begins to stop.
pub(super) async fn quit(State(edge): State<Arc<Edge>>) -> Response {
    if let Some(refused) = lifecycle_off(&edge) {
        return refused;
    }
    edge.daemon.quit();
    "Requesting termination... Goodbye!\n".into_response()
}

fn lifecycle_off(edge: &Edge) -> Option<Response> {
    let refused = || (StatusCode::FORBIDDEN, "Lifecycle API is not enabled: start with --web.enable-lifecycle.\n");
    (!edge.config.enable_lifecycle).then(|| refused().into_response())
}
