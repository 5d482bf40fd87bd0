//! The door: bounds, clocks and cancellation around a plan's evaluation.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::clock::Stopwatch;
use crate::limits;
use crate::model::Timestamp;
use crate::storage::Querier;

use super::cache::{TickCache, WrittenNames};
use super::counters::{Counted, QueryCounters, Refusal};
use super::eval::{self, Budget, Grid, Memo, Patience, Settings, Surroundings};
use super::gate::{Gate, Place, queue_full};
use super::parser::{self, Expr};
use super::plan::{Meanings, Plan, QueryTimes};
use super::result::{QueryError, QueryResult};

/// Bounds of the engine. `Default` takes them from [`crate::limits`].
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// How far back an instant selector looks.
    pub lookback: Duration,
    /// Samples that one query may hold at once.
    pub max_samples: usize,
    /// Wall time of a query, waiting for a place included.
    pub timeout: Duration,
    /// Queries that run at once; others wait for a place. Rules do not count: their room bounds them.
    pub max_concurrent: usize,
    /// Resolution of subqueries that name none.
    pub default_subquery_step: Duration,
    /// Bytes of what operators remember about label sets, about; 0 remembers nothing.
    pub max_memo_bytes: usize,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            lookback: limits::LOOKBACK,
            max_samples: limits::MAX_QUERY_SAMPLES,
            timeout: limits::QUERY_TIMEOUT,
            max_concurrent: limits::MAX_CONCURRENT_QUERIES,
            default_subquery_step: Duration::from_secs(60),
            max_memo_bytes: limits::MAX_LABEL_MEMO_BYTES,
        }
    }
}

impl EngineConfig {
    /// What Prometheus' test scripts assume. Their 10,000 samples a query count one window at a time; here all samples
    /// that storage hands out count, so there is more room.
    pub fn for_scripts() -> Self {
        Self { max_samples: 100_000, ..Self::default() }
    }
}

/// Stops a query from another thread; clones share the wish.
#[derive(Debug, Clone, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl CancelToken {
    /// Nobody wishes to stop yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the query to stop; it answers [`QueryError::Canceled`] at its next check.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether somebody asked.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What one query may differ in from the engine's configuration.
#[derive(Debug, Clone, Default)]
pub struct QueryOptions {
    /// Instead of [`EngineConfig::lookback`].
    pub lookback: Option<Duration>,
    /// Instead of [`EngineConfig::timeout`], if it is shorter.
    pub timeout: Option<Duration>,
    /// Stops the query.
    pub cancel: Option<CancelToken>,
    /// When somebody began to wait for the answer, if that was before the engine was asked: counts against the timeout.
    pub since: Option<Stopwatch>,
    /// Whether [`QueryStats::samples_per_step`](super::QueryStats::samples_per_step) is wanted.
    pub per_step: bool,
    /// The query as it was written: gives annotations their line. Without it everything stands in line 1.
    pub text: Option<Arc<str>>,
    /// Names that earlier rules of the same group have written: [`Engine::instant_cached`] reads selectors that may
    /// match one of them afresh.
    pub written: Option<Arc<WrittenNames>>,
}

/// An expression with its plan, for [`Engine::instant_prepared`].
#[derive(Debug)]
pub struct Prepared {
    /// `None` when the plan depends on the evaluation time (`start()`, `@ end()`) and is made each time.
    plan: Option<Plan>,
    expr: Expr,
    text: Arc<str>,
}

/// Evaluates PromQL over a [`Querier`].
#[derive(Debug)]
pub struct Engine {
    config: EngineConfig,
    gate: Gate,
    meanings: Meanings,
    memo: Memo,
    counters: Arc<QueryCounters>,
}

impl Default for Engine {
    fn default() -> Self {
        Self::new(EngineConfig::default())
    }
}

impl Engine {
    /// An engine with these bounds.
    pub fn new(config: EngineConfig) -> Self {
        let gate = Gate::new(config.max_concurrent);
        let memo = Memo::new(config.max_memo_bytes);
        Self { config, gate, meanings: Meanings::default(), memo, counters: Arc::default() }
    }

    /// The engine's bounds.
    pub fn config(&self) -> &EngineConfig {
        &self.config
    }

    #[cfg(test)]
    pub(crate) fn memo(&self) -> &Memo {
        &self.memo
    }

    /// What was asked so far.
    pub fn counters(&self) -> &Arc<QueryCounters> {
        &self.counters
    }

    /// The refusal of a query that waited for a place elsewhere (HTTP waits without holding a thread); counts it.
    pub fn queue_full(&self) -> QueryError {
        self.counters.refuse(Refusal::Queue);
        queue_full(self.config.max_concurrent)
    }

    /// Reads a query.
    ///
    /// # Errors
    /// [`QueryError::BadData`] with line, column and what was expected.
    pub fn parse(&self, text: &str) -> Result<Expr, QueryError> {
        Ok(parser::parse(text)?)
    }

    /// Evaluates at one time. Matrices (`x[5m]`) and strings are results too.
    ///
    /// # Errors
    /// [`QueryError`] says which kind of failure it was.
    pub fn instant(
        &self,
        querier: &dyn Querier,
        expr: &Expr,
        ts: Timestamp,
        options: &QueryOptions,
    ) -> Result<QueryResult, QueryError> {
        self.build_and_run(querier, expr, QueryTimes::instant(ts), options, None)
    }

    /// Evaluates at `start`, `start + step` and so on up to `end`. The result is always a matrix, sorted by labels.
    ///
    /// # Errors
    /// [`QueryError::BadData`] when `end` lies before `start`, `step` is not positive or the expression is a string or a
    /// range vector; otherwise as [`Engine::instant`].
    pub fn range(
        &self,
        querier: &dyn Querier,
        expr: &Expr,
        start: Timestamp,
        end: Timestamp,
        step: Duration,
        options: &QueryOptions,
    ) -> Result<QueryResult, QueryError> {
        let times = QueryTimes::range(start, end, step)?;
        self.build_and_run(querier, expr, times, options, None)
    }

    /// As [`Engine::instant`], but takes and leaves results of subexpressions in `cache`: the rules of one tick
    /// share selectors, rates and aggregations. They meet by what a subexpression computes and the evaluation time, so
    /// rules with another `query_offset` do not.
    ///
    /// # Errors
    /// As [`Engine::instant`].
    pub fn instant_cached(
        &self,
        querier: &dyn Querier,
        expr: &Expr,
        ts: Timestamp,
        options: &QueryOptions,
        cache: &TickCache,
    ) -> Result<QueryResult, QueryError> {
        self.build_and_run(querier, expr, QueryTimes::instant(ts), options, Some(cache))
    }

    /// The plan of an instant query at `ts`, one node a line.
    ///
    /// # Errors
    /// When a duration expression has no valid value.
    pub fn explain(&self, expr: &Expr, ts: Timestamp) -> Result<String, QueryError> {
        self.explain_at(expr, QueryTimes::instant(ts))
    }

    /// The plan of a range query, one node a line.
    ///
    /// # Errors
    /// As [`Engine::range`], for what is wrong before anything is read.
    pub fn explain_range(
        &self,
        expr: &Expr,
        start: Timestamp,
        end: Timestamp,
        step: Duration,
    ) -> Result<String, QueryError> {
        self.explain_at(expr, QueryTimes::range(start, end, step)?)
    }

    fn explain_at(&self, expr: &Expr, times: QueryTimes) -> Result<String, QueryError> {
        let mut plan = Plan::build(expr, times, self.config.default_subquery_step)?;
        plan.prepare_sharing(&self.meanings);
        Ok(plan.to_string())
    }

    /// Plans an expression once for many instant evaluations, as rules need it.
    ///
    /// # Errors
    /// When a duration expression has no valid value.
    pub fn prepare(&self, expr: &Expr, text: &str) -> Result<Prepared, QueryError> {
        let mut plan = Plan::build(expr, QueryTimes::instant(0), self.config.default_subquery_step)?;
        plan.prepare_sharing(&self.meanings);
        plan.stays = true;
        Ok(Prepared { plan: (!plan.bound_to_times).then_some(plan), expr: expr.clone(), text: Arc::from(text) })
    }

    /// As [`Engine::instant_cached`], with a plan made before. `options.text` is not needed.
    ///
    /// # Errors
    /// As [`Engine::instant`].
    pub fn instant_prepared(
        &self,
        querier: &dyn Querier,
        query: &Prepared,
        ts: Timestamp,
        options: &QueryOptions,
        cache: &TickCache,
    ) -> Result<QueryResult, QueryError> {
        match &query.plan {
            Some(plan) => self.run(querier, plan, QueryTimes::instant(ts), options, Some(&query.text), Some(cache)),
            None => {
                let options = QueryOptions { text: Some(Arc::clone(&query.text)), ..options.clone() };
                self.build_and_run(querier, &query.expr, QueryTimes::instant(ts), &options, Some(cache))
            }
        }
    }

    fn build_and_run(
        &self,
        querier: &dyn Querier,
        expr: &Expr,
        times: QueryTimes,
        options: &QueryOptions,
        cache: Option<&TickCache>,
    ) -> Result<QueryResult, QueryError> {
        let watch = Stopwatch::start();
        let mut plan = Plan::build(expr, times, self.config.default_subquery_step)?;
        if cache.is_some() {
            plan.prepare_sharing(&self.meanings);
        }
        let prepared = watch.elapsed();
        let mut result = self.run(querier, &plan, times, options, options.text.as_deref(), cache)?;
        result.stats.prepared = prepared;
        Ok(result)
    }

    fn run(
        &self,
        querier: &dyn Querier,
        plan: &Plan,
        times: QueryTimes,
        options: &QueryOptions,
        text: Option<&str>,
        cache: Option<&TickCache>,
    ) -> Result<QueryResult, QueryError> {
        let watch = options.since.unwrap_or_else(Stopwatch::start);
        let patience = Patience::new(options.timeout, self.config.timeout);
        // Rules must be evaluated whatever people ask; their room has few threads.
        let _inside = match cache {
            None => Some(self.enter(watch, patience, options)?),
            Some(_) => None,
        };
        let queued = cache.map_or_else(|| watch.elapsed(), |_| Duration::ZERO);
        let settings = Settings {
            lookback: millis(options.lookback.unwrap_or(self.config.lookback)),
            max_samples: self.config.max_samples,
        };
        let mut budget = Budget::new(watch, patience, options.cancel.clone(), self.config.max_samples);
        if options.per_step {
            budget.count_steps(Grid::of(times).len);
        }
        let surroundings = Surroundings { memo: &self.memo, cache, written: options.written.as_deref(), text };
        let mut result = eval::run(querier, plan, times, settings, budget, surroundings);
        match &mut result {
            Ok(result) => result.stats.queued = queued,
            Err(QueryError::TooManySamples { limit, .. }) => *limit = self.config.max_samples,
            Err(_) => {}
        }
        if cache.is_none() {
            let took = watch.elapsed().saturating_sub(queued);
            self.counters.finished(took, result.as_ref().map(|result| result.stats.total_samples));
        }
        result
    }

    /// Waits for a place and counts the query as running while it has it.
    fn enter(
        &self,
        watch: Stopwatch,
        patience: Patience,
        options: &QueryOptions,
    ) -> Result<(Place<'_>, Counted<'_>), QueryError> {
        let waiting = Counted::new(&self.counters.waiting);
        let place = self.gate.enter(watch, patience.allowed, options.cancel.as_ref()).inspect_err(|error| {
            let gone = matches!(error, QueryError::Canceled(_));
            self.counters.refuse(if gone { Refusal::Canceled } else { Refusal::Queue });
        })?;
        drop(waiting);
        Ok((place, Counted::new(&self.counters.running)))
    }
}

/// Whole milliseconds, as the engine counts time.
fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}
