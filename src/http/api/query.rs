//! `query` and `query_range`.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use super::encode::{Answer, respond};
use super::stats::{Stats, Wanted};
use crate::http::edge::Edge;
use crate::http::envelope::{Asker, Notes, run};
use crate::http::error::{ApiError, ErrorKind};
use crate::http::params::Params;
use crate::limits;
use crate::model::Timestamp;
use crate::promql::parser::{Expr, parse};
use crate::promql::{QueryError, QueryOptions, QueryResult, QueryValue, Refusal};

/// What both kinds of query share.
struct Common {
    text: Arc<str>,
    expr: Expr,
    timeout: Option<Duration>,
    lookback: Option<Duration>,
    limit: Option<usize>,
    stats: Wanted,
}

impl Common {
    fn read(edge: &Edge, params: &Params) -> Result<Self, ApiError> {
        let text = params.get("query").unwrap_or("");
        let counters = edge.engine.counters();
        if text.len() > limits::MAX_QUERY_BYTES {
            counters.refuse(Refusal::Length);
        }
        let expr = parse(text).map_err(|error| ApiError::parameter("query", error))?;
        let timeout = params.duration("timeout")?;
        if timeout == Some(Duration::ZERO) {
            counters.refuse(Refusal::Time);
            return Err(QueryError::Timeout("query execution: the request's timeout is 0".to_owned()).into());
        }
        Ok(Self {
            text: text.into(),
            expr,
            timeout,
            lookback: params.duration("lookback_delta")?.filter(|lookback| !lookback.is_zero()),
            limit: params.limit()?,
            stats: Wanted::of(params.get("stats")),
        })
    }

    fn patience(&self, edge: &Edge) -> Duration {
        self.timeout.map_or(edge.patience(), |timeout| timeout.min(edge.patience()))
    }

    fn options(&self, asker: &Asker) -> QueryOptions {
        QueryOptions {
            lookback: self.lookback,
            timeout: self.timeout,
            cancel: Some(asker.cancel.clone()),
            since: Some(asker.since),
            per_step: self.stats == Wanted::All,
            text: Some(Arc::clone(&self.text)),
            ..QueryOptions::default()
        }
    }

    fn answer(limit: Option<usize>, stats: Wanted, (start, step): (Timestamp, i64), mut result: QueryResult) -> Answer {
        let cut = limit.is_some_and(|limit| truncate(&mut result.value, limit));
        let mut notes = Notes::truncated(cut);
        notes.warnings.splice(0..0, shortened(result.annotations.warnings, "warning"));
        notes.infos = shortened(result.annotations.infos, "info");
        let stats = (stats != Wanted::Nothing).then_some(Stats { cost: result.stats, start, step });
        Answer { value: result.value, notes, stats }
    }
}

/// At most ten annotations of a kind, and how many more there are, as Prometheus' API answers.
fn shortened(mut annotations: Vec<String>, kind: &str) -> Vec<String> {
    const SHOWN: usize = 10;
    let omitted = annotations.len().saturating_sub(SHOWN);
    if omitted > 0 {
        annotations.truncate(SHOWN);
        annotations.push(format!("{omitted} more {kind} annotations omitted"));
    }
    annotations
}

/// Cuts a result to `limit` series; says whether that took something away.
fn truncate(value: &mut QueryValue, limit: usize) -> bool {
    match value {
        QueryValue::Vector(samples) if samples.len() > limit => samples.truncate(limit),
        QueryValue::Matrix(series) if series.len() > limit => series.truncate(limit),
        _ => return false,
    }
    true
}

/// An instant query.
pub(in crate::http) async fn query(
    State(edge): State<Arc<Edge>>,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, ApiError> {
    let common = Common::read(&edge, &params)?;
    let ts = params.time("time")?.unwrap_or_else(|| edge.clock.now());
    let (limit, stats) = (common.limit, common.stats);
    let result = run(&edge, common.patience(&edge), move |edge, asker| {
        Ok(edge.engine.instant(&*edge.querier, &common.expr, ts, &common.options(asker))?)
    })
    .await?;
    Ok(respond(Common::answer(limit, stats, (ts, 1), result), &headers))
}

/// A range query.
pub(in crate::http) async fn query_range(
    State(edge): State<Arc<Edge>>,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, ApiError> {
    let start = params.required_time("start")?;
    let end = params.required_time("end")?;
    if end < start {
        return Err(ApiError::parameter("end", "end timestamp must not be before start time"));
    }
    let step = read_step(&params)?;
    let step_ms = i64::try_from(step.as_millis()).unwrap_or(i64::MAX);
    let points = end.saturating_sub(start) / step_ms;
    if points > limits::MAX_RANGE_POINTS {
        edge.engine.counters().refuse(Refusal::Points);
        let message = format!(
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX): it asks for {points}, the limit is {} (MAX_RANGE_POINTS)",
            limits::MAX_RANGE_POINTS
        );
        return Err(ApiError::new(ErrorKind::BadData, message));
    }
    let common = Common::read(&edge, &params)?;
    let (limit, stats) = (common.limit, common.stats);
    let result = run(&edge, common.patience(&edge), move |edge, asker| {
        Ok(edge.engine.range(&*edge.querier, &common.expr, start, end, step, &common.options(asker))?)
    })
    .await?;
    Ok(respond(Common::answer(limit, stats, (start, step_ms), result), &headers))
}

/// At least a millisecond, because that is how finely time is counted.
fn read_step(params: &Params) -> Result<Duration, ApiError> {
    let message = "zero or negative query resolution step widths are not accepted. Try a positive integer";
    if params.get("step").is_some_and(|text| text.parse().is_ok_and(|seconds: f64| seconds < 0.0)) {
        return Err(ApiError::parameter("step", message));
    }
    let step =
        params.duration("step")?.ok_or_else(|| ApiError::parameter("step", "cannot parse \"\" to a valid duration"))?;
    if step < Duration::from_millis(1) {
        return Err(ApiError::parameter("step", message));
    }
    Ok(step)
}

#[cfg(test)]
mod tests {
    use super::shortened;

    #[test]
    fn many_annotations_are_counted() {
        let many = |count: usize| (0..count).map(|i| i.to_string()).collect::<Vec<_>>();
        assert_eq!(shortened(many(10), "info"), many(10));
        let found = shortened(many(12), "info");
        assert_eq!((found.len(), found[10].as_str()), (11, "2 more info annotations omitted"));
    }
}
