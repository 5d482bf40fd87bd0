//! `/api/v1/admin/tsdb/…`: what changes or copies the history. Off unless `--web.enable-admin-api`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde_json::json;

use crate::http::edge::Edge;
use crate::http::envelope::success_value;
use crate::http::error::{ApiError, ErrorKind};

/// Copies the ring into a directory under `<storage.path>/snapshots` and answers its name.
pub(in crate::http) async fn snapshot(State(edge): State<Arc<Edge>>) -> Result<Response, ApiError> {
    if !edge.config.enable_admin {
        let reason = "admin APIs disabled: start with --web.enable-admin-api";
        return Err(ApiError::new(ErrorKind::Unavailable, reason));
    }
    let working = Arc::clone(&edge);
    // Not one of the places for queries: a copy may take a while.
    let done = tokio::task::spawn_blocking(move || working.daemon.snapshot());
    let name = done.await.map_err(|error| ApiError::new(ErrorKind::Internal, error.to_string()))??;
    Ok(success_value(&json!({ "name": name })))
}
