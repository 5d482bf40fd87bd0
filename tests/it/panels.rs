//! What the page shows is data: every query of `dashboards/panels/` parses, and asks only for what watchfire measures.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use watchfire::collect::{catalogue, llm};
use watchfire::ingest::AGENT_FAMILIES;
use watchfire::model::{FamilyDesc, METRIC_NAME, MetricKind};
use watchfire::promql::parser::{Expr, VectorSelector, parse};
use watchfire::telemetry::OWN_FAMILIES;

/// Labels that the ring adds to each series, or a histogram to its buckets.
const ADDED: [&str; 3] = ["job", "instance", "le"];

/// Every text under `query`, and the facts of the header and the footer.
fn queries(json: &Value, out: &mut Vec<String>) {
    match json {
        Value::Array(items) => items.iter().for_each(|item| queries(item, out)),
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if name == "query" => out.push(text.clone()),
                    Value::Object(facts) if name == "facts" => {
                        out.extend(facts.values().filter_map(Value::as_str).map(str::to_owned));
                    }
                    _ => queries(value, out),
                }
            }
        }
        _ => {}
    }
}

fn selectors<'a>(expr: &'a Expr, out: &mut Vec<&'a VectorSelector>) {
    match expr {
        Expr::Number(_) | Expr::String(_) => {}
        Expr::Paren(inner) => selectors(&inner.expr, out),
        Expr::Unary(inner) => selectors(&inner.expr, out),
        Expr::Binary(both) => [&both.lhs, &both.rhs].into_iter().for_each(|side| selectors(side, out)),
        Expr::Aggregate(inner) => selectors(&inner.expr, out),
        Expr::Call(call) => call.args.iter().for_each(|arg| selectors(arg, out)),
        Expr::Vector(vector) => out.push(vector),
        Expr::Matrix(matrix) => out.push(&matrix.selector),
        Expr::Subquery(inner) => selectors(&inner.expr, out),
    }
}

/// Names that a query may use, each with the labels of its family.
fn declared() -> BTreeMap<String, &'static [&'static str]> {
    let all = catalogue::all().chain(llm::FAMILIES).chain(OWN_FAMILIES).chain(&AGENT_FAMILIES);
    all.flat_map(|desc: &FamilyDesc| {
        let suffixes: &[&str] = match desc.kind {
            MetricKind::Histogram => &["_bucket", "_sum", "_count"],
            _ => &[""],
        };
        suffixes.iter().map(|suffix| (format!("{}{suffix}", desc.name), desc.labels))
    })
    .collect()
}

/// What is wrong with a query, nothing when it is good.
fn fault(query: &str, declared: &BTreeMap<String, &[&str]>) -> Option<String> {
    let expr = match parse(query) {
        Ok(expr) => expr,
        Err(error) => return Some(error.to_string()),
    };
    let mut used = Vec::new();
    selectors(&expr, &mut used);
    used.iter().find_map(|selector| {
        let name = selector.name.as_str();
        let Some(labels) = declared.get(name) else { return Some(format!("nobody measures {name:?}")) };
        let unknown = selector
            .matchers
            .iter()
            .map(|matcher| matcher.name.as_str())
            .find(|label| *label != METRIC_NAME && !ADDED.contains(label) && !labels.contains(label));
        unknown.map(|label| format!("{name} has no label {label:?}"))
    })
}

#[test]
fn every_query_of_the_page_asks_for_what_is_measured() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards/panels");
    let declared = declared();
    let (mut faults, mut count) = (Vec::new(), 0);
    for entry in std::fs::read_dir(folder).expect("the panels are there") {
        let path = entry.expect("readable").path();
        let text = std::fs::read_to_string(&path).expect("readable");
        let json: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut found = Vec::new();
        queries(&json, &mut found);
        count += found.len();
        let wrong = found.iter().filter_map(|query| Some((query, fault(query, &declared)?)));
        faults.extend(wrong.map(|(query, why)| format!("{}: {query}: {why}", path.display())));
    }
    assert!(count > 50, "only {count} queries were found");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_bad_query_is_found() {
    let declared = declared();
    for (query, expected) in [
        ("node_load1", None),
        ("sum(rate(node_cpu_seconds_total{mode=\"idle\",job=\"node\"}[5s]))", None),
        ("llm_time_to_first_token_seconds_bucket{le=\"1\"}", None),
        ("1 - (node_load", Some("unclosed")),
        ("max(1 - node_laod1)", Some("nobody measures \"node_laod1\"")),
        ("rate(node_cpu_seconds_total{mod=\"idle\"}[5s])", Some("no label \"mod\"")),
    ] {
        let found = fault(query, &declared);
        assert_eq!(found.is_some(), expected.is_some(), "{query}: {found:?}");
        assert!(found.unwrap_or_default().contains(expected.unwrap_or("")), "{query}");
    }
}
