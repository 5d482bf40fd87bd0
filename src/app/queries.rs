//! The engine as rules see it: one cache a tick, so that common subexpressions are evaluated once.

use std::sync::Arc;

use crate::model::Timestamp;
use crate::promql::parser::Expr;
use crate::promql::{Engine, QueryError, QueryOptions, QueryResult, TickCache};
use crate::rules::{Overlay, RuleQueries, TickQueries, Written};
use crate::storage::Querier;

/// Engine and store.
pub(super) struct EngineQueries {
    pub(super) engine: Arc<Engine>,
    pub(super) querier: Arc<dyn Querier>,
}

struct Tick<'a> {
    of: &'a EngineQueries,
    cache: TickCache,
    options: QueryOptions,
}

impl RuleQueries for EngineQueries {
    fn tick(&self) -> Box<dyn TickQueries + '_> {
        Box::new(Tick { of: self, cache: TickCache::new(), options: QueryOptions::default() })
    }
}

impl TickQueries for Tick<'_> {
    fn eval(&self, expr: &Expr, ts: Timestamp, written: &[Written]) -> Result<QueryResult, QueryError> {
        let (engine, querier) = (&self.of.engine, &*self.of.querier);
        if written.is_empty() {
            engine.instant_cached(querier, expr, ts, &self.options, &self.cache)
        } else {
            engine.instant(&Overlay::new(querier, written), expr, ts, &self.options)
        }
    }
}
