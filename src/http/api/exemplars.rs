//! `query_exemplars`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};

use crate::http::edge::Edge;
use crate::http::envelope::{Notes, run, success};
use crate::http::error::ApiError;
use crate::http::json::Json;
use crate::http::params::Params;
use crate::model::{Labels, Matcher, Timestamp};
use crate::promql::parser::{Expr, parse};
use crate::storage::ExemplarSeries;

/// Exemplars of the series that the selectors of a query name; what the query makes of them does not matter.
pub(in crate::http) async fn query_exemplars(
    State(edge): State<Arc<Edge>>,
    params: Params,
) -> Result<Response, ApiError> {
    let start = params.time("start")?.unwrap_or(Timestamp::MIN / 4);
    let end = params.time("end")?.unwrap_or(Timestamp::MAX / 4);
    if end < start {
        return Err(ApiError::parameter("end", "end timestamp must not be before start timestamp"));
    }
    let query = parse(params.get("query").unwrap_or("")).map_err(|error| ApiError::parameter("query", error))?;
    let selectors = selectors(&query);
    if selectors.is_empty() {
        // As Prometheus: a query that reads nothing has no content.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    run(&edge, edge.patience(), move |edge, asker| {
        // A series that several selectors name has its exemplars once.
        let mut found: BTreeMap<Labels, ExemplarSeries> = BTreeMap::new();
        for matchers in &selectors {
            asker.still_there()?;
            for series in edge.querier.exemplars(matchers, start, end)? {
                found.insert(series.labels.clone(), series);
            }
        }
        Ok(success(&Notes::default(), |json| write(json, found.into_values())))
    })
    .await
}

/// The matchers of each selector, each set once.
fn selectors(query: &Expr) -> Vec<Vec<Matcher>> {
    let mut all: Vec<Vec<Matcher>> = Vec::new();
    for node in query.walk() {
        let selector = match node {
            Expr::Vector(selector) => selector,
            Expr::Matrix(matrix) => &matrix.selector,
            _ => continue,
        };
        if !all.contains(&selector.matchers) {
            all.push(selector.matchers.clone());
        }
    }
    all
}

fn write(json: &mut Json, found: impl Iterator<Item = ExemplarSeries>) {
    json.raw("[");
    for (i, series) in found.enumerate() {
        json.raw(if i > 0 { ",{\"seriesLabels\":" } else { "{\"seriesLabels\":" }).labels(&series.labels);
        json.raw(",\"exemplars\":[");
        for (i, (ts, exemplar)) in series.exemplars.iter().enumerate() {
            json.raw(if i > 0 { ",{\"labels\":" } else { "{\"labels\":" }).labels(&exemplar.labels);
            json.raw(",\"value\":").value(exemplar.value).raw(",\"timestamp\":").seconds(*ts).raw("}");
        }
        json.raw("]}");
    }
    json.raw("]");
}

#[cfg(test)]
mod tests {
    use super::{selectors, write};
    use crate::http::json::Json;
    use crate::model::{Exemplar, Labels};
    use crate::promql::parser::parse;
    use crate::storage::ExemplarSeries;

    #[test]
    fn every_selector_counts_once() {
        let cases = [
            ("1 + 2", ""),
            ("up", r#"__name__="up""#),
            (
                r#"histogram_quantile(0.9, sum by (le) (rate(x_bucket{job="a"}[5m]))) / up > bool up"#,
                r#"job="a",__name__="x_bucket" | __name__="up""#,
            ),
            ("max_over_time(rate(a[1m])[5m:1m]) or a offset 1h", r#"__name__="a""#),
        ];
        for (query, expected) in cases {
            let found = selectors(&parse(query).unwrap());
            let text = |set: &Vec<_>| set.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
            let mut found: Vec<String> = found.iter().map(text).collect();
            let mut expected: Vec<&str> = expected.split(" | ").filter(|text| !text.is_empty()).collect();
            found.sort();
            expected.sort_unstable();
            assert_eq!(found, expected, "{query}");
        }
    }

    #[test]
    fn exemplars_are_written_as_prometheus_does() {
        let exemplar =
            |ts, value, id| (ts, Exemplar { labels: Labels::from_pairs(&[("traceID", id)]), value, ts: Some(ts) });
        let series = ExemplarSeries {
            labels: Labels::from_pairs(&[("__name__", "a_bucket"), ("le", "+Inf")]),
            exemplars: vec![exemplar(1_600_096_945_479, 6.0, "Epo\"i"), exemplar(1_600_096_946_000, f64::NAN, "x")],
        };
        let mut json = Json::with_capacity(0);
        write(&mut json, [series].into_iter());
        let expected = r#"[{"seriesLabels":{"__name__":"a_bucket","le":"+Inf"},"exemplars":[{"labels":{"traceID":"Epo\"i"},"value":"6","timestamp":1600096945.479},{"labels":{"traceID":"x"},"value":"NaN","timestamp":1600096946}]}]"#;
        assert_eq!(String::from_utf8(json.finish()).unwrap(), expected);
    }
}
