//! Every route of watchfire with its scope. The router is built from this table and from nothing else.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::handler::Handler;
use axum::http::Method;
use axum::routing::{MethodFilter, MethodRouter, on};

use super::edge::Edge;
use super::{api, health, metrics, own, page, pprof};

/// Who may use a route. Without a token file everybody who may speak to us has all scopes; with one, everything but
/// `Public` needs the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Says nothing about the machine: the page's files, health.
    Public,
    /// `/metrics`.
    Metrics,
    /// Reads data.
    Read,
    /// Adds data.
    Write,
    /// Takes profiles: costs CPU and shows how the program works inside.
    Profile,
    /// Steers the daemon.
    Admin,
}

/// A row of the table, for documentation and tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteFact {
    /// Methods; HEAD comes with GET.
    pub methods: &'static [Method],
    /// Path with `{parameters}`, without the route prefix.
    pub path: &'static str,
    /// Who may use it.
    pub scope: Scope,
}

const GET: &[Method] = &[Method::GET];
const POST: &[Method] = &[Method::POST];
const DELETE: &[Method] = &[Method::DELETE];
const BOTH: &[Method] = &[Method::GET, Method::POST];
const COMMAND: &[Method] = &[Method::POST, Method::PUT];

struct Route {
    methods: &'static [Method],
    paths: &'static [&'static str],
    scope: Scope,
    handler: MethodRouter<Arc<Edge>>,
}

fn row<H, T>(methods: &'static [Method], paths: &'static [&'static str], scope: Scope, handler: H) -> Route
where
    H: Handler<T, Arc<Edge>>,
    T: 'static,
{
    let filter = methods
        .iter()
        .filter_map(|method| MethodFilter::try_from(method.clone()).ok())
        .reduce(MethodFilter::or)
        .unwrap_or(MethodFilter::GET);
    Route { methods, paths, scope, handler: on(filter, handler) }
}

#[rustfmt::skip]
fn table() -> Vec<Route> {
    use Scope::{Admin, Metrics, Profile, Public, Read, Write};
    vec![
        row(GET, &["/"], Public, page::index),
        row(GET, &["/assets/{*path}", "/{file}"], Public, page::asset),
        row(GET, &["/-/healthy"], Public, health::healthy),
        row(GET, &["/-/ready"], Public, health::ready),
        row(COMMAND, &["/-/reload"], Admin, health::reload),
        row(COMMAND, &["/-/quit"], Admin, health::quit),
        row(GET, &["/metrics"], Metrics, metrics::page),

        row(BOTH, &["/api/v1/query"], Read, api::query),
        row(BOTH, &["/api/v1/query_range"], Read, api::query_range),
        row(BOTH, &["/api/v1/query_exemplars"], Read, api::query_exemplars),
        row(BOTH, &["/api/v1/format_query"], Read, api::format_query),
        row(BOTH, &["/api/v1/parse_query"], Read, api::parse_query),
        row(BOTH, &["/api/v1/series"], Read, api::series),
        row(BOTH, &["/api/v1/labels"], Read, api::labels),
        row(GET, &["/api/v1/label/{name}/values"], Read, api::label_values),
        row(GET, &["/api/v1/metadata"], Read, api::metadata),
        row(GET, &["/api/v1/targets"], Read, api::targets),
        row(GET, &["/api/v1/targets/metadata"], Read, api::targets_metadata),
        row(GET, &["/api/v1/scrape_pools"], Read, api::scrape_pools),
        row(GET, &["/api/v1/rules"], Read, api::rules),
        row(GET, &["/api/v1/alerts"], Read, api::alerts),
        row(GET, &["/api/v1/alertmanagers"], Read, api::alertmanagers),
        row(GET, &["/api/v1/features"], Read, api::features),
        row(GET, &["/api/v1/notifications"], Read, api::notifications),
        row(GET, &["/api/v1/status/config"], Read, api::status_config),
        row(GET, &["/api/v1/status/flags"], Read, api::status_flags),
        row(GET, &["/api/v1/status/buildinfo"], Read, api::status_buildinfo),
        row(GET, &["/api/v1/status/runtimeinfo"], Read, api::status_runtimeinfo),
        row(GET, &["/api/v1/status/tsdb"], Read, api::status_tsdb),
        row(GET, &["/api/v1/status/walreplay"], Read, api::status_walreplay),
        row(COMMAND, &["/api/v1/admin/tsdb/snapshot"], Admin, api::snapshot),

        row(POST, &["/api/watchfire/v1/events"], Write, own::events),
        row(GET, &["/api/watchfire/v1/events"], Read, own::list_events),
        row(GET, &["/api/watchfire/v1/live"], Read, own::live),
        row(POST, &["/api/watchfire/v1/frames"], Write, own::frames),
        row(GET, &["/api/watchfire/v1/workers", "/api/metrics"], Read, own::workers),
        row(POST, &["/api/watchfire/v1/workers/{id}"], Write, own::heartbeat),
        row(DELETE, &["/api/watchfire/v1/workers/{id}"], Write, own::end_worker),
        row(GET, &["/api/watchfire/v1/runs"], Read, own::runs),
        row(GET, &["/api/watchfire/v1/processes"], Read, own::processes),
        row(GET, &["/api/watchfire/v1/models"], Read, own::models),
        row(GET, &["/api/watchfire/v1/series"], Read, own::series),
        row(GET, &["/api/watchfire/v1/doctor"], Read, own::doctor),
        row(GET, &["/api/watchfire/v1/collectors"], Read, own::collectors),
        row(GET, &["/ws/projects/{project}"], Read, own::project_socket),

        row(GET, &["/debug/pprof", "/api/debug/pprof"], Profile, pprof::to_index),
        row(GET, &["/debug/pprof/", "/api/debug/pprof/"], Profile, pprof::index),
        row(GET, &["/debug/pprof/profile", "/api/debug/pprof/profile"], Profile, pprof::cpu),
        row(GET, &["/debug/pprof/flamegraph", "/api/debug/pprof/flamegraph"], Profile, pprof::flamegraph),
        row(GET, &["/debug/pprof/heap", "/api/debug/pprof/heap"], Profile, pprof::heap),
        row(GET, &["/debug/pprof/allocs", "/api/debug/pprof/allocs"], Profile, pprof::allocs),
        row(GET, &["/debug/pprof/cmdline", "/api/debug/pprof/cmdline"], Profile, pprof::cmdline),
        row(BOTH, &["/debug/pprof/symbol", "/api/debug/pprof/symbol"], Profile, pprof::symbol),
        row(GET, &["/debug/pprof/tasks", "/api/debug/pprof/tasks"], Profile, pprof::tasks),
        row(GET, &["/debug/pprof/trace", "/api/debug/pprof/trace"], Profile, pprof::trace),
    ]
}

/// The table as facts.
pub fn route_facts() -> Vec<RouteFact> {
    table()
        .iter()
        .flat_map(|route| route.paths.iter().map(|path| RouteFact { methods: route.methods, path, scope: route.scope }))
        .collect()
}

/// The scope of each path and method, under the route prefix.
pub(super) fn scopes(prefix: &str) -> HashMap<(String, Method), Scope> {
    let mut scopes = HashMap::new();
    for RouteFact { methods, path, scope } in route_facts() {
        for method in methods {
            scopes.insert((full_path(prefix, path), method.clone()), scope);
        }
    }
    scopes
}

fn full_path(prefix: &str, path: &str) -> String {
    format!("{prefix}{path}")
}

/// The router of the whole table.
pub(super) fn router(prefix: &str) -> Router<Arc<Edge>> {
    let mut router = Router::new();
    for route in table() {
        for path in route.paths {
            router = router.route(&full_path(prefix, path), route.handler.clone());
        }
    }
    router.method_not_allowed_fallback(page::wrong_method).fallback(page::not_found)
}
