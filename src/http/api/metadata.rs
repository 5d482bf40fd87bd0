//! `metadata`: type, unit and help of metrics, as watchfire and its targets state them.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use crate::collect::scrape::MetricMetadata;
use crate::http::edge::Edge;
use crate::http::envelope::{Notes, success};
use crate::http::error::ApiError;
use crate::http::json::Json;
use crate::http::params::Params;
use crate::model::{Family, Labels, MetricKind};

/// What watchfire measures itself, by the name that a query uses.
pub(super) fn own(edge: &Edge) -> BTreeMap<String, MetricMetadata> {
    let families = edge.table.families();
    let mut facts: BTreeMap<String, MetricMetadata> =
        families.iter().map(|family| (queried_name(&family.name, family.kind), fact(family))).collect();
    for reading in edge.metrics.own_readings() {
        facts.entry(reading.family.name.to_owned()).or_insert_with(|| fact(&reading.family.family()));
    }
    facts
}

/// What each target says, by the name that a query uses.
pub(super) fn scraped(edge: &Edge) -> impl Iterator<Item = (Labels, BTreeMap<String, MetricMetadata>)> {
    edge.targets.metadata().into_iter().map(|target| (target.labels, target.metrics.into_iter().collect()))
}

fn fact(family: &Family) -> MetricMetadata {
    MetricMetadata { kind: family.kind, help: family.help.to_string(), unit: family.unit.to_string() }
}

/// Our counters and infos are queried with the suffix that their family's name may lack.
fn queried_name(name: &str, kind: MetricKind) -> String {
    match kind {
        MetricKind::Counter if !name.ends_with("_total") => format!("{name}_total"),
        MetricKind::Info if !name.ends_with("_info") => format!("{name}_info"),
        _ => name.to_owned(),
    }
}

/// `"type":…,"help":…,"unit":…`
pub(super) fn write_fact(json: &mut Json, fact: &MetricMetadata) {
    json.raw("\"type\":").text(fact.kind.as_str());
    json.raw(",\"help\":").text(&fact.help);
    json.raw(",\"unit\":").text(&fact.unit);
}

/// Metadata by metric name; a metric of several sources has an entry for each different statement.
pub(in crate::http) async fn metadata(State(edge): State<Arc<Edge>>, params: Params) -> Result<Response, ApiError> {
    let limit = params.limit()?.unwrap_or(usize::MAX);
    let per_metric = params.count("limit_per_metric")?.unwrap_or(usize::MAX);
    let wanted = params.get("metric");
    let mut merged: BTreeMap<String, Vec<MetricMetadata>> = BTreeMap::new();
    let sources = std::iter::once(own(&edge)).chain(scraped(&edge).map(|(_, facts)| facts));
    for (name, fact) in sources.flatten().filter(|(name, _)| wanted.is_none_or(|wanted| wanted == name)) {
        let known = merged.entry(name).or_default();
        if known.len() < per_metric && !known.contains(&fact) {
            known.push(fact);
        }
    }
    Ok(success(&Notes::default(), |json| {
        json.raw("{");
        for (i, (name, facts)) in merged.iter().take(limit).enumerate() {
            json.raw(if i > 0 { "," } else { "" }).text(name).raw(":[");
            for (i, fact) in facts.iter().enumerate() {
                json.raw(if i > 0 { ",{" } else { "{" });
                write_fact(json, fact);
                json.raw("}");
            }
            json.raw("]");
        }
        json.raw("}");
    }))
}
