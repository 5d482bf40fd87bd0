//! `targets`, `targets/metadata`, `scrape_pools`.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::metadata;
use crate::http::edge::Edge;
use crate::http::envelope::{Notes, success};
use crate::http::error::ApiError;
use crate::http::json::Json;
use crate::http::params::Params;
use crate::http::ports::{Target, TargetHealth};
use crate::http::times::rfc3339;
use crate::model::{Labels, format_duration};
use crate::promql::parser::parse_selector;

/// Scrape targets with their health.
pub(in crate::http) async fn targets(State(edge): State<Arc<Edge>>, params: Params) -> Result<Response, ApiError> {
    let pool = params.get("scrapePool");
    let active = !matches!(params.get("state").map(str::to_ascii_lowercase).as_deref(), Some("dropped"));
    let mut targets = edge.targets.targets();
    targets.retain(|target| active && pool.is_none_or(|pool| pool == target.pool));
    Ok(success(&Notes::default(), |json| {
        json.raw("{\"activeTargets\":[");
        for (i, target) in targets.iter().enumerate() {
            json.raw(if i > 0 { "," } else { "" });
            write_target(json, target);
        }
        json.raw("],\"droppedTargets\":[],\"droppedTargetCounts\":{}}");
    }))
}

fn write_target(json: &mut Json, target: &Target) {
    json.raw("{\"discoveredLabels\":").labels(&target.discovered_labels);
    json.raw(",\"labels\":").labels(&target.labels);
    for (name, text) in [
        ("scrapePool", target.pool.as_str()),
        ("scrapeUrl", &target.url),
        ("globalUrl", &target.url),
        ("lastError", &target.last_error),
        ("lastScrape", &rfc3339(target.last_scrape)),
        ("health", health(target.health)),
        ("scrapeInterval", &format_duration(target.interval)),
        ("scrapeTimeout", &format_duration(target.timeout)),
    ] {
        json.raw(",\"").raw(name).raw("\":").text(text);
    }
    json.raw(",\"lastScrapeDuration\":").float(target.last_duration.as_secs_f64()).raw("}");
}

fn health(health: TargetHealth) -> &'static str {
    match health {
        TargetHealth::Unknown => "unknown",
        TargetHealth::Up => "up",
        TargetHealth::Down => "down",
    }
}

/// Names of the scrape pools.
pub(in crate::http) async fn scrape_pools(State(edge): State<Arc<Edge>>) -> Response {
    let targets = edge.targets.targets();
    let pools: BTreeSet<&str> = targets.iter().map(|target| target.pool.as_str()).collect();
    success(&Notes::default(), |json| {
        json.raw("{\"scrapePools\":").strings(pools).raw("}");
    })
}

/// Metadata by target. Only families that watchfire measures itself are known; their target is watchfire.
pub(in crate::http) async fn targets_metadata(
    State(edge): State<Arc<Edge>>,
    params: Params,
) -> Result<Response, ApiError> {
    let limit = params.limit()?.unwrap_or(usize::MAX);
    let wanted = params.get("metric");
    let own = Labels::from_pairs(&[("job", "watchfire")]);
    let matchers = match params.get("match_target") {
        Some(text) => parse_selector(text).map_err(|error| ApiError::parameter("match_target", error))?,
        None => Vec::new(),
    };
    let matches = matchers.iter().all(|matcher| matcher.matches(own.get(&matcher.name)));
    let families = if matches { metadata::known(&edge) } else { Default::default() };
    Ok(success(&Notes::default(), |json| {
        json.raw("[");
        let shown = families.iter().filter(|(name, _)| wanted.is_none_or(|wanted| wanted == name.as_str()));
        for (i, (name, family)) in shown.take(limit).enumerate() {
            json.raw(if i > 0 { ",{\"target\":" } else { "{\"target\":" }).labels(&own);
            json.raw(",\"metric\":").text(name).raw(",");
            metadata::write_fields(json, family);
            json.raw("}");
        }
        json.raw("]");
    }))
}
