//! `targets`, `targets/metadata`, `scrape_pools`.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::metadata;
use crate::collect::scrape::TargetView;
use crate::http::edge::Edge;
use crate::http::envelope::{Notes, success};
use crate::http::error::ApiError;
use crate::http::json::Json;
use crate::http::params::Params;
use crate::http::times::rfc3339;
use crate::model::Labels;
use crate::promql::parser::parse_selector;

/// Scrape targets with their health, and those that relabeling dropped.
pub(in crate::http) async fn targets(State(edge): State<Arc<Edge>>, params: Params) -> Result<Response, ApiError> {
    let pool = params.get("scrapePool").filter(|pool| !pool.is_empty());
    let state = params.get("state").map(str::to_ascii_lowercase).unwrap_or_default();
    let (active, dropped) = match state.as_str() {
        "active" => (true, false),
        "dropped" => (false, true),
        "" | "any" => (true, true),
        // As Prometheus has it: a state that is none has no targets.
        _ => (false, false),
    };
    let is_wanted = |job: &str| pool.is_none_or(|pool| pool == job);
    let mut targets = if active { edge.targets.targets() } else { Vec::new() };
    targets.retain(|target| is_wanted(&target.job));
    let mut pools = if dropped { edge.targets.pools() } else { Vec::new() };
    pools.sort_by(|a, b| a.job.cmp(&b.job));
    Ok(success(&Notes::default(), |json| {
        json.raw("{\"activeTargets\":[");
        for (i, target) in targets.iter().enumerate() {
            json.raw(if i > 0 { "," } else { "" });
            write_target(json, target, edge.config.external_url.as_deref());
        }
        json.raw("],\"droppedTargets\":[");
        let shown = pools.iter().filter(|pool| is_wanted(&pool.job));
        for (i, (labels, job)) in shown.flat_map(|pool| pool.dropped.iter().map(|one| (one, &pool.job))).enumerate() {
            json.raw(if i > 0 { ",{\"discoveredLabels\":" } else { "{\"discoveredLabels\":" }).labels(labels);
            json.raw(",\"scrapePool\":").text(job).raw("}");
        }
        json.raw("],\"droppedTargetCounts\":{");
        for (i, pool) in pools.iter().enumerate() {
            json.raw(if i > 0 { "," } else { "" }).text(&pool.job).raw(":").number(pool.dropped_count);
        }
        json.raw("}}");
    }))
}

/// The URL for people: a page on this machine under the name that others know the machine by.
fn global_url(url: &str, external: Option<&str>) -> String {
    let same = || url.to_owned();
    let host = |url: &str| url.parse::<axum::http::Uri>().ok().and_then(|uri| uri.host().map(str::to_owned));
    let (Some(ours), Some(theirs)) = (external.and_then(host), host(url)) else { return same() };
    if !matches!(theirs.as_str(), "localhost" | "127.0.0.1" | "[::1]") {
        return same();
    }
    url.replacen(&theirs, &ours, 1)
}

fn write_target(json: &mut Json, target: &TargetView, external: Option<&str>) {
    json.raw("{\"discoveredLabels\":").labels(&target.discovered);
    json.raw(",\"labels\":").labels(&target.labels);
    for (name, text) in [
        ("scrapePool", target.job.as_str()),
        ("scrapeUrl", &target.url),
        ("globalUrl", &global_url(&target.url, external)),
        ("lastError", &target.last_error),
        ("lastScrape", &rfc3339(target.last_scrape)),
        ("health", target.health.as_str()),
        ("scrapeInterval", &target.written.0),
        ("scrapeTimeout", &target.written.1),
    ] {
        json.raw(",\"").raw(name).raw("\":").text(text);
    }
    json.raw(",\"lastScrapeDuration\":").float(target.last_duration.as_secs_f64()).raw("}");
}

/// Names of the scrape pools.
pub(in crate::http) async fn scrape_pools(State(edge): State<Arc<Edge>>) -> Response {
    let pools = edge.targets.pools();
    let pools: BTreeSet<&str> = pools.iter().map(|pool| pool.job.as_str()).collect();
    success(&Notes::default(), |json| {
        json.raw("{\"scrapePools\":").strings(pools).raw("}");
    })
}

/// Metadata by target: what scraped targets say about their metrics, and what watchfire measures itself.
pub(in crate::http) async fn targets_metadata(
    State(edge): State<Arc<Edge>>,
    params: Params,
) -> Result<Response, ApiError> {
    let limit = params.limit()?.unwrap_or(usize::MAX);
    let wanted = params.get("metric");
    let matchers = match params.get("match_target") {
        Some(text) => parse_selector(text).map_err(|error| ApiError::parameter("match_target", error))?,
        None => Vec::new(),
    };
    let own = Labels::from_pairs(&[("job", "watchfire")]);
    let sources = std::iter::once((own, metadata::own(&edge))).chain(metadata::scraped(&edge));
    let rows = sources
        .filter(|(target, _)| matchers.iter().all(|matcher| matcher.matches(target.get(&matcher.name))))
        .flat_map(|(target, facts)| facts.into_iter().map(move |(name, fact)| (target.clone(), name, fact)))
        .filter(|(_, name, _)| wanted.is_none_or(|wanted| wanted == name));
    Ok(success(&Notes::default(), |json| {
        json.raw("[");
        for (i, (target, name, fact)) in rows.take(limit).enumerate() {
            json.raw(if i > 0 { ",{\"target\":" } else { "{\"target\":" }).labels(&target);
            json.raw(",\"metric\":").text(&name).raw(",");
            metadata::write_fact(json, &fact);
            json.raw("}");
        }
        json.raw("]");
    }))
}
