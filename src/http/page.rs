//! Serves the page's files.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Redirect, Response};

use super::assets::{ASSETS, Asset};
use super::edge::Edge;
use super::error::{ApiError, ErrorKind};
use crate::exposition::accepts_gzip;

/// Charts and editors set inline styles; nothing else comes from anywhere but us.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                                       object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'";

/// The page itself.
pub(super) async fn index(headers: HeaderMap) -> Response {
    serve("index.html", &headers)
}

/// One of the page's files.
pub(super) async fn asset(
    State(edge): State<Arc<Edge>>,
    uri: Uri,
    Path(_): Path<String>,
    headers: HeaderMap,
) -> Response {
    serve(edge.unprefixed(uri.path()).trim_start_matches('/'), &headers)
}

/// What nobody else answers: Prometheus' plain 404; the page's address without its slash is sent on.
pub(super) async fn not_found(State(edge): State<Arc<Edge>>, uri: Uri) -> Response {
    let prefix = edge.config.route_prefix.as_str();
    if !prefix.is_empty() && (uri.path() == prefix || uri.path() == "/") {
        return Redirect::temporary(&format!("{prefix}/")).into_response();
    }
    if edge.unprefixed(uri.path()).starts_with("/api/") {
        return ApiError::new(ErrorKind::NotFound, format!("there is no {}", uri.path())).into_response();
    }
    (StatusCode::NOT_FOUND, "404 page not found\n").into_response()
}

/// The answer to a method that the path does not have; the router adds the `Allow` header.
pub(super) async fn wrong_method(method: Method) -> Response {
    if method == Method::OPTIONS {
        return StatusCode::NO_CONTENT.into_response();
    }
    (StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n").into_response()
}

fn serve(path: &str, headers: &HeaderMap) -> Response {
    let Some(asset) = ASSETS.iter().find(|asset| asset.path == path) else {
        return (StatusCode::NOT_FOUND, "404 page not found\n").into_response();
    };
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
    let fresh = text(header::IF_NONE_MATCH).split(',').any(|tag| tag.trim().trim_start_matches("W/") == asset.etag);
    let gzip = asset.gzip.filter(|_| accepts_gzip(text(header::ACCEPT_ENCODING)));
    let mut response = match (fresh, gzip) {
        (true, _) => StatusCode::NOT_MODIFIED.into_response(),
        (false, Some(packed)) => ([(header::CONTENT_ENCODING, "gzip")], packed).into_response(),
        (false, None) => asset.bytes.into_response(),
    };
    describe(asset, response.headers_mut());
    response
}

fn describe(asset: &Asset, headers: &mut HeaderMap) {
    let caching = if asset.hashed { "public, max-age=31536000, immutable" } else { "no-cache" };
    for (name, value) in [
        (header::CONTENT_TYPE, asset.content_type),
        (header::ETAG, asset.etag),
        (header::CACHE_CONTROL, caching),
        (header::VARY, "accept-encoding"),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}
