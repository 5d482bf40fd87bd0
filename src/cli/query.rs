//! `watchfire query`: asks a running watchfire, or any Prometheus, over its API.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::clock::Clock;
use crate::model::{Timestamp, format_duration, parse_duration, quote};
use crate::net::{HttpClient, HttpRequest};
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
    let now = Clock::System.now();
    let (expr, path, params, target) = match command {
        QueryCommand::Instant { expr, time, target } => {
            if target.explain {
                return print_plan(explain_instant(&expr, time.as_deref(), now));
            }
            let params = time.map(|time| vec![("time", time)]).unwrap_or_default();
            (expr, "query", params, target)
        }
        QueryCommand::Range { expr, start, end, step, target } => {
            let now = now as f64 / 1000.0;
            let end = end.unwrap_or_else(|| format!("{now:.3}"));
            let start = start.unwrap_or_else(|| format!("{:.3}", now - DEFAULT_RANGE_SECONDS));
            let step = step.unwrap_or_else(|| format!("{:.0}", DEFAULT_RANGE_SECONDS / DEFAULT_POINTS));
            if target.explain {
                return print_plan(explain_range(&expr, &start, &end, &step));
            }
            (expr, "query_range", vec![("start", start), ("end", end), ("step", step)], target)
        }
    };
    let mut url = format!("{}/api/v1/{path}?query={}", target.url.trim_end_matches('/'), encode(&expr));
    for (name, value) in params {
        url.push_str(&format!("&{name}={}", encode(&value)));
    }
    match ask(&url, target.token_file.as_deref()) {
        Ok(answer) => print(&answer, &target),
        Err(error) => failed(error),
    }
}

fn explain_instant(expr: &str, time: Option<&str>, now: Timestamp) -> Result<String, String> {
    let engine = Engine::new(EngineConfig::default());
    let ts = time.map_or(Ok(now), |time| read_time("--time", time))?;
    engine.parse(expr).and_then(|parsed| engine.explain(&parsed, ts)).map_err(|error| error.to_string())
}

fn explain_range(expr: &str, start: &str, end: &str, step: &str) -> Result<String, String> {
    let engine = Engine::new(EngineConfig::default());
    let (start, end) = (read_time("--start", start)?, read_time("--end", end)?);
    let seconds = step.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let step = match seconds {
        Some(step) => step,
        None => parse_duration(step).map_err(|error| format!("--step: {error}"))?,
    };
    let plan = engine.parse(expr).and_then(|parsed| engine.explain_range(&parsed, start, end, step));
    let plan = plan.map_err(|error| error.to_string())?;
    let steps = end.saturating_sub(start) / i64::try_from(step.as_millis()).unwrap_or(i64::MAX).max(1) + 1;
    Ok(format!("{steps} steps of {}\n{plan}", format_duration(step)))
}

/// Unix seconds or RFC 3339, as the API takes them.
pub(super) fn read_time(flag: &str, text: &str) -> Result<Timestamp, String> {
    if let Ok(seconds) = text.parse::<f64>()
        && seconds.abs() < 1e15
    {
        return Ok((seconds * 1000.0).round() as Timestamp);
    }
    let time = text.parse::<jiff::Timestamp>();
    time.map(|time| time.as_millisecond()).map_err(|error| format!("{flag}: cannot read the time {text:?}: {error}"))
}

fn print_plan(plan: Result<String, String>) -> Outcome {
    match plan {
        Ok(plan) => {
            print!("{plan}");
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
        .block_on(HttpClient::default().send(request))
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
