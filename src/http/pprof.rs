//! `/debug/pprof/…`: the paths and parameters that `go tool pprof` knows.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{Method, Uri, header};
use axum::response::{Html, IntoResponse, Redirect, Response};

use super::edge::Edge;
use super::error::ApiError;
use super::params::{Params, parse_form, read_body};
use crate::profiling::{self, CpuRequest};

/// Relative links only: the page works under any prefix.
const INDEX: &str = "<!doctype html><meta charset=utf-8><title>watchfire: profiles</title>\
<style>body{font:15px sans-serif;margin:2em;max-width:44em}td{padding:.2em 1em .2em 0;vertical-align:top}</style>\
<h1>Profiles</h1><p>One at a time; a second one is answered 409. <code>go tool pprof</code> reads the first three.<table>\
<tr><td><a href=\"profile?seconds=10\">profile</a><td>CPU samples; <code>seconds</code> (30), <code>hz</code> (100)\
<tr><td><a href=\"heap\">heap</a><td>memory in use, sampled\
<tr><td><a href=\"allocs\">allocs</a><td>allocations, as far as the allocator counts them\
<tr><td><a href=\"flamegraph?seconds=10\">flamegraph</a><td>CPU samples as an SVG; <code>seconds</code>, <code>hz</code>\
<tr><td><a href=\"tasks\">tasks</a><td>runtimes and threads\
<tr><td><a href=\"trace?seconds=1\">trace</a><td>spans as Chrome trace JSON; <code>seconds</code> (1)\
<tr><td><a href=\"cmdline\">cmdline</a><td>the command line\
<tr><td><a href=\"symbol\">symbol</a><td>names of addresses</table>";

/// The index needs its slash for the relative links to work.
pub(super) async fn to_index(uri: Uri) -> Redirect {
    let last = uri.path().rsplit('/').next().unwrap_or("pprof");
    Redirect::temporary(&format!("{last}/"))
}

pub(super) async fn index() -> Html<&'static str> {
    Html(INDEX)
}

pub(super) async fn cpu(State(edge): State<Arc<Edge>>, params: Params) -> Result<Response, ApiError> {
    let profile = edge.profiler.cpu(CpuRequest::parse(params.get("seconds"), params.get("hz"))?).await?;
    Ok(attachment("profile.pb.gz", profile))
}

pub(super) async fn flamegraph(State(edge): State<Arc<Edge>>, params: Params) -> Result<Response, ApiError> {
    let svg = edge.profiler.flamegraph(CpuRequest::parse(params.get("seconds"), params.get("hz"))?).await?;
    Ok(([(header::CONTENT_TYPE, "image/svg+xml")], svg).into_response())
}

pub(super) async fn heap(State(edge): State<Arc<Edge>>) -> Result<Response, ApiError> {
    Ok(attachment("heap.pb.gz", edge.profiler.heap().await?))
}

pub(super) async fn allocs(State(edge): State<Arc<Edge>>) -> Result<Response, ApiError> {
    Ok(attachment("allocs.pb.gz", edge.profiler.allocs().await?))
}

fn attachment(name: &str, bytes: Vec<u8>) -> Response {
    let disposition = format!("attachment; filename=\"{name}\"");
    let kind = "application/octet-stream".to_owned();
    ([(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, disposition)], bytes).into_response()
}

pub(super) async fn cmdline() -> String {
    profiling::cmdline()
}

/// Addresses come as the query string (GET) or as the body (POST).
pub(super) async fn symbol(method: Method, uri: Uri, body: Body) -> Result<String, ApiError> {
    let request = match method {
        Method::POST => String::from_utf8_lossy(&read_body(body).await?).into_owned(),
        _ => parse_form(uri.query().unwrap_or("")).first().map(|(name, _)| name.clone()).unwrap_or_default(),
    };
    let names = tokio::task::spawn_blocking(move || profiling::symbol_names(&request)).await;
    Ok(names.unwrap_or_default())
}

pub(super) async fn tasks(State(edge): State<Arc<Edge>>) -> String {
    profiling::tasks_text(&edge.runtimes())
}

pub(super) async fn trace(State(edge): State<Arc<Edge>>, params: Params) -> Result<Response, ApiError> {
    let json = edge.profiler.trace(params.get("seconds")).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], json).into_response())
}
