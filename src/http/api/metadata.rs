//! `metadata`: type, unit and help of the metrics that watchfire itself measures.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use crate::http::edge::Edge;
use crate::http::envelope::{Notes, success};
use crate::http::error::ApiError;
use crate::http::json::Json;
use crate::http::params::Params;
use crate::model::{Family, MetricKind};

/// The families known now, by the name that a query uses.
pub(super) fn known(edge: &Edge) -> BTreeMap<String, Family> {
    let mut families: BTreeMap<String, Family> =
        edge.table.families().into_iter().map(|family| (queried_name(&family), family)).collect();
    for reading in edge.metrics.own_readings() {
        families.entry(reading.family.name.to_owned()).or_insert_with(|| reading.family.family());
    }
    families
}

/// Counters and infos are queried with the suffix that their family's name lacks.
fn queried_name(family: &Family) -> String {
    match family.kind {
        MetricKind::Counter if !family.name.ends_with("_total") => format!("{}_total", family.name),
        MetricKind::Info if !family.name.ends_with("_info") => format!("{}_info", family.name),
        _ => family.name.to_string(),
    }
}

/// `"type":…,"help":…,"unit":…`
pub(super) fn write_fields(json: &mut Json, family: &Family) {
    json.raw("\"type\":").text(family.kind.as_str());
    json.raw(",\"help\":").text(&family.help);
    json.raw(",\"unit\":").text(&family.unit);
}

/// Metadata by metric name.
pub(in crate::http) async fn metadata(State(edge): State<Arc<Edge>>, params: Params) -> Result<Response, ApiError> {
    let limit = params.limit()?.unwrap_or(usize::MAX);
    params.count("limit_per_metric")?;
    let wanted = params.get("metric");
    let families = known(&edge);
    Ok(success(&Notes::default(), |json| {
        json.raw("{");
        let shown = families.iter().filter(|(name, _)| wanted.is_none_or(|wanted| wanted == name.as_str()));
        for (i, (name, family)) in shown.take(limit).enumerate() {
            json.raw(if i > 0 { "," } else { "" }).text(name).raw(":[{");
            write_fields(json, family);
            json.raw("}]");
        }
        json.raw("}");
    }))
}
