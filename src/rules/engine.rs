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

impl TickQueries for EngineTick<'_> {
    fn eval(&self, expr: &Expr, ts: Timestamp, earlier: Option<Earlier<'_>>) -> Result<QueryResult, QueryError> {
        let EngineQueries { engine, querier } = self.queries;
        match earlier {
            None => engine.instant_cached(&**querier, expr, ts, &self.plain, &self.cache),
            Some(earlier) => {
                let overlay = Overlay::new(&**querier, earlier.samples);
                engine.instant_cached(&overlay, expr, ts, &reading(earlier), &self.cache)
            }
        }
    }

    fn eval_rule(
        &self,
        rule: &RuleSpec,
        plan: &RulePlan,
        ts: Timestamp,
        earlier: Option<Earlier<'_>>,
    ) -> Result<QueryResult, QueryError> {
        let EngineQueries { engine, querier } = self.queries;
        let prepared = plan.get_or_prepare(|| engine.prepare(&rule.expr, &rule.query))?;
        match earlier {
            None => engine.instant_prepared(&**querier, prepared, ts, &self.plain, &self.cache),
            Some(earlier) => {
                let overlay = Overlay::new(&**querier, earlier.samples);
                engine.instant_prepared(&overlay, prepared, ts, &reading(earlier), &self.cache)
            }
        }
    }
}

/// Options of a rule that may read what its group wrote in this tick.
fn reading(earlier: Earlier<'_>) -> QueryOptions {
    QueryOptions { written: Some(Arc::clone(earlier.names)), ..QueryOptions::default() }
}
