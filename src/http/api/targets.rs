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
use crate::model::{Labels, format_duration};
use crate::promql::parser::parse_selector;

/// Scrape targets with their health.
pub(in crate::http) async fn targets(State(edge): State<Arc<Edge>>, params: Params) -> Result<Response, ApiError> {
    let pool = params.get("scrapePool");
    let active = !matches!(params.get("state").map(str::to_ascii_lowercase).as_deref(), Some("dropped"));
    let mut targets = edge.targets.targets();
    targets.retain(|target| active && pool.is_none_or(|pool| pool == target.job));
    Ok(success(&Notes::default(), |json| {
        json.raw("{\"activeTargets\":[");
        for (i, target) in targets.iter().enumerate() {
            json.raw(if i > 0 { "," } else { "" });
            write_target(json, target);
        }
        json.raw("],\"droppedTargets\":[],\"droppedTargetCounts\":{}}");
    }))
}

fn write_target(json: &mut Json, target: &TargetView) {
    json.raw("{\"discoveredLabels\":").labels(&target.discovered);
    json.raw(",\"labels\":").labels(&target.labels);
    for (name, text) in [
        ("scrapePool", target.job.as_str()),
        ("scrapeUrl", &target.url),
        ("globalUrl", &target.url),
        ("lastError", &target.last_error),
        ("lastScrape", &rfc3339(target.last_scrape)),
        ("health", target.health.as_str()),
        ("scrapeInterval", &format_duration(target.interval)),
        ("scrapeTimeout", &format_duration(target.timeout)),
    ] {
        json.raw(",\"").raw(name).raw("\":").text(text);
    }
    json.raw(",\"lastScrapeDuration\":").float(target.last_duration.as_secs_f64()).raw("}");
}

/// Names of the scrape pools.
pub(in crate::http) async fn scrape_pools(State(edge): State<Arc<Edge>>) -> Response {
    let targets = edge.targets.targets();
    let pools: BTreeSet<&str> = targets.iter().map(|target| target.job.as_str()).collect();
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
