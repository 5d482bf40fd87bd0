//! `watchfire query`: asks a running watchfire, or any Prometheus, over its API.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::clock::Clock;
use crate::model::quote;
use crate::net::{ClientConfig, HttpClient, HttpRequest};
use crate::promql::{Engine, EngineConfig};

use super::args::{QueryCommand, QueryFormat, QueryTarget};
use super::{Outcome, failed};

/// Longest wait for an answer: the server's own limit is two minutes.
const TIMEOUT: Duration = Duration::from_secs(130);
/// An hour, what a range query without a start shows.
const DEFAULT_RANGE_SECONDS: f64 = 3600.0;
/// Points of a range query without a step.
const DEFAULT_POINTS: f64 = 250.0;

pub(super) fn run(command: QueryCommand) -> Outcome {
    let (expr, path, params, target) = match command {
        QueryCommand::Instant { expr, time, target } => {
            let params = time.map(|time| vec![("time", time)]).unwrap_or_default();
            (expr, "query", params, target)
        }
        QueryCommand::Range { expr, start, end, step, target } => {
            let now = Clock::System.now() as f64 / 1000.0;
            let end = end.unwrap_or_else(|| format!("{now:.3}"));
            let start = start.unwrap_or_else(|| format!("{:.3}", now - DEFAULT_RANGE_SECONDS));
            let step = step.unwrap_or_else(|| format!("{:.0}", DEFAULT_RANGE_SECONDS / DEFAULT_POINTS));
            (expr, "query_range", vec![("start", start), ("end", end), ("step", step)], target)
        }
    };
    if target.explain {
        return explain(&expr);
    }
    let mut url = format!("{}/api/v1/{path}?query={}", target.url.trim_end_matches('/'), encode(&expr));
    for (name, value) in params {
        url.push_str(&format!("&{name}={}", encode(&value)));
    }
    match ask(&url, target.token_file.as_deref()) {
        Ok(answer) => print(&answer, &target),
        Err(error) => failed(error),
    }
}

fn explain(expr: &str) -> Outcome {
    let engine = Engine::new(EngineConfig::default());
    match engine.parse(expr).and_then(|parsed| engine.explain(&parsed, Clock::System.now())) {
        Ok(plan) => {
            println!("{plan}");
            Outcome::Ok
        }
        Err(error) => failed(error),
    }
}

fn ask(url: &str, token_file: Option<&Path>) -> Result<Value, String> {
    let mut request = HttpRequest::get(url).timeout(TIMEOUT);
    if let Some(path) = token_file {
        let token =
            std::fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let value = format!("Bearer {}", token.trim())
            .parse()
            .map_err(|_| "the token has characters that a header cannot carry")?;
        request = request.header(hyper::header::AUTHORIZATION, value);
    }
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    let answer = runtime
        .block_on(HttpClient::new(&ClientConfig::default()).send(request))
        .map_err(|error| format!("{error}: is watchfire running there? (--url)"))?;
    let json: Value =
        serde_json::from_slice(&answer.body).map_err(|_| format!("{url} answered {} and no JSON", answer.status))?;
    let word = |name: &str| json[name].as_str().unwrap_or("?");
    match word("status") {
        "success" => Ok(json),
        _ if answer.status == hyper::StatusCode::UNAUTHORIZED => Err(format!("{} (--token-file FILE)", word("error"))),
        _ => Err(format!("{}: {}", word("errorType"), word("error"))),
    }
}

fn print(answer: &Value, target: &QueryTarget) -> Outcome {
    for kind in ["warnings", "infos"] {
        for text in answer[kind].as_array().into_iter().flatten().filter_map(Value::as_str) {
            eprintln!("{text}");
        }
    }
    let data = &answer["data"];
    if target.format == QueryFormat::Json {
        println!("{data}");
        return Outcome::Ok;
    }
    match data["result"].as_array() {
        Some(rows) if matches!(data["resultType"].as_str(), Some("vector" | "matrix")) => {
            rows.iter().for_each(print_row)
        }
        // A scalar or a string: [time, "value"].
        _ => println!("{}", text(&data["result"][1])),
    }
    Outcome::Ok
}

/// One series: `name{labels} => value @[time]` a line, as promtool prints it.
fn print_row(row: &Value) {
    let labels = labels(&row["metric"]);
    let points = match row["values"].as_array() {
        Some(points) => points.as_slice(),
        None => std::slice::from_ref(&row["value"]),
    };
    for point in points {
        println!("{labels} => {} @[{}]", text(&point[1]), point[0]);
    }
}

fn labels(metric: &Value) -> String {
    let pairs: Vec<(&str, &str)> = metric
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.as_str(), value.as_str().unwrap_or("")))
        .collect();
    crate::model::Labels::from_pairs(&pairs).to_string()
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| quote(&value.to_string()), str::to_owned)
}

/// Percent-encodes a query parameter.
fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
