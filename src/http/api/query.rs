//! `query` and `query_range`.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;

use super::encode::{Answer, respond};
use crate::http::edge::Edge;
use crate::http::envelope::{Notes, run};
use crate::http::error::{ApiError, ErrorKind};
use crate::http::params::Params;
use crate::limits;
use crate::promql::parser::{Expr, parse};
use crate::promql::{CancelToken, QueryError, QueryOptions, QueryResult, QueryValue};

/// What both kinds of query share.
struct Common {
    text: Arc<str>,
    expr: Expr,
    timeout: Option<Duration>,
    lookback: Option<Duration>,
    limit: Option<usize>,
    stats: bool,
}

impl Common {
    fn read(params: &Params) -> Result<Self, ApiError> {
        let text = params.get("query").unwrap_or("");
        let expr = parse(text).map_err(|error| ApiError::parameter("query", error))?;
        let timeout = params.duration("timeout")?;
        if timeout == Some(Duration::ZERO) {
            return Err(QueryError::Timeout("query execution".to_owned()).into());
        }
        Ok(Self {
            text: text.into(),
            expr,
            timeout,
            lookback: params.duration("lookback_delta")?.filter(|lookback| !lookback.is_zero()),
            limit: params.limit()?,
            stats: params.get("stats").is_some(),
        })
    }

    fn patience(&self) -> Duration {
        self.timeout.map_or(limits::QUERY_TIMEOUT, |timeout| timeout.min(limits::QUERY_TIMEOUT))
    }

    fn options(&self, cancel: &CancelToken) -> QueryOptions {
        QueryOptions {
            lookback: self.lookback,
            timeout: self.timeout,
            cancel: Some(cancel.clone()),
            text: Some(Arc::clone(&self.text)),
            ..QueryOptions::default()
        }
    }

    fn answer(limit: Option<usize>, stats: bool, mut result: QueryResult) -> Answer {
        let cut = limit.is_some_and(|limit| truncate(&mut result.value, limit));
        let mut notes = Notes::truncated(cut);
        notes.warnings.splice(0..0, result.annotations.warnings);
        notes.infos = result.annotations.infos;
        Answer { value: result.value, notes, stats: stats.then_some(result.stats) }
    }
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
pub(in crate::http) async fn query(State(edge): State<Arc<Edge>>, params: Params) -> Result<Response, ApiError> {
    let common = Common::read(&params)?;
    let ts = params.time("time")?.unwrap_or_else(|| edge.clock.now());
    let (limit, stats) = (common.limit, common.stats);
    let result = run(&edge, common.patience(), move |edge, cancel| {
        Ok(edge.engine.instant(&*edge.querier, &common.expr, ts, &common.options(cancel))?)
    })
    .await?;
    Ok(respond(Common::answer(limit, stats, result)))
}

/// A range query.
pub(in crate::http) async fn query_range(State(edge): State<Arc<Edge>>, params: Params) -> Result<Response, ApiError> {
    let start = params.required_time("start")?;
    let end = params.required_time("end")?;
    if end < start {
        return Err(ApiError::parameter("end", "end timestamp must not be before start time"));
    }
    let step = read_step(&params)?;
    let step_ms = i64::try_from(step.as_millis()).unwrap_or(i64::MAX);
    if end.saturating_sub(start) / step_ms > limits::MAX_RANGE_POINTS {
        let message = "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)";
        return Err(ApiError::new(ErrorKind::BadData, message));
    }
    let common = Common::read(&params)?;
    let (limit, stats) = (common.limit, common.stats);
    let result = run(&edge, common.patience(), move |edge, cancel| {
        Ok(edge.engine.range(&*edge.querier, &common.expr, start, end, step, &common.options(cancel))?)
    })
    .await?;
    Ok(respond(Common::answer(limit, stats, result)))
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
