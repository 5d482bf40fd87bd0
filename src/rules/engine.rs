//! The PromQL engine as rules use it: one cache a tick, and an overlay for rules that read their group's own writes.

use std::sync::Arc;

use crate::model::Timestamp;
use crate::promql::parser::Expr;
use crate::promql::{Engine, QueryError, QueryOptions, QueryResult, TickCache};
use crate::storage::Querier;

use super::doors::{Earlier, RulePlan, RuleQueries, TickQueries};
use super::overlay::Overlay;
use super::spec::RuleSpec;

/// Evaluates rules with an [`Engine`] over a store.
#[derive(Clone)]
pub struct EngineQueries {
    engine: Arc<Engine>,
    querier: Arc<dyn Querier>,
}

impl EngineQueries {
    /// Rules share the engine with other queries, and its limits.
    pub fn new(engine: Arc<Engine>, querier: Arc<dyn Querier>) -> Self {
        Self { engine, querier }
    }
}

impl RuleQueries for EngineQueries {
    fn tick(&self) -> Box<dyn TickQueries + '_> {
        Box::new(EngineTick { queries: self, cache: TickCache::new(), plain: QueryOptions::default() })
    }
}

struct EngineTick<'a> {
    queries: &'a EngineQueries,
    cache: TickCache,
    /// Options of rules that read nothing of their group.
    plain: QueryOptions,
}

impl EngineTick<'_> {
    /// Runs a query over the store, and over what the rule's group wrote in this tick if the rule may read it.
    fn seeing<R>(&self, earlier: Option<Earlier<'_>>, query: impl FnOnce(&dyn Querier, &QueryOptions) -> R) -> R {
        let store = &*self.queries.querier;
        let Some(earlier) = earlier else { return query(store, &self.plain) };
        let options = QueryOptions { written: Some(Arc::clone(earlier.names)), ..QueryOptions::default() };
        query(&Overlay::new(store, earlier.samples), &options)
    }
}

impl TickQueries for EngineTick<'_> {
    fn eval(&self, expr: &Expr, ts: Timestamp, earlier: Option<Earlier<'_>>) -> Result<QueryResult, QueryError> {
        let engine = &self.queries.engine;
        self.seeing(earlier, |querier, options| engine.instant_cached(querier, expr, ts, options, &self.cache))
    }

    fn eval_rule(
        &self,
        rule: &RuleSpec,
        plan: &RulePlan,
        ts: Timestamp,
        earlier: Option<Earlier<'_>>,
    ) -> Result<QueryResult, QueryError> {
        let engine = &self.queries.engine;
        let prepared = plan.get_or_prepare(|| engine.prepare(&rule.expr, &rule.query))?;
        self.seeing(earlier, |querier, options| engine.instant_prepared(querier, prepared, ts, options, &self.cache))
    }
}
