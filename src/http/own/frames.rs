//! `POST frames`: how long the frames of a page took, as the page measured them.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use crate::http::edge::Edge;
use crate::http::envelope::json_response;
use crate::http::error::{ApiError, ErrorKind};
use crate::http::params::read_body;

/// Bytes of a report: the most frames that one may carry, written long.
const MAX_BYTES: usize = 16 << 10;

/// What a page reports once a second while it draws the live view.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct Report {
    /// Seconds between two frames, each.
    seconds: Vec<f64>,
}

/// Takes `{"seconds":[0.0167,…]}` into the rolling windows.
pub(in crate::http) async fn frames(State(edge): State<Arc<Edge>>, body: Body) -> Result<Response, ApiError> {
    let body = read_body(body).await?;
    if body.len() > MAX_BYTES {
        let message = format!("expected at most {MAX_BYTES} bytes, found {}", body.len());
        return Err(ApiError::new(ErrorKind::BadData, message));
    }
    let bad = |text: String| ApiError::new(ErrorKind::BadData, text);
    let report: Report =
        serde_json::from_slice(&body).map_err(|error| bad(format!("expected {{\"seconds\":[number,…]}}: {error}")))?;
    edge.windows.frames(&report.seconds, edge.clock.now()).map_err(|error| bad(error.to_string()))?;
    Ok(json_response(r#"{"status":"success"}"#.to_owned()))
}
