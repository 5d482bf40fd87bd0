//! The PromQL engine as rules use it: one cache a tick, and an overlay for rules that read their group's own writes.

use std::sync::Arc;

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use crate::model::Timestamp;
use crate::promql::parser::Expr;
use crate::promql::{Engine, Prepared, QueryError, QueryOptions, QueryResult, TickCache};
use crate::storage::Querier;

use super::doors::{Earlier, RuleQueries, TickQueries};
use super::overlay::Overlay;
use super::spec::RuleSpec;

/// Plans that are kept, some kilobytes each. Reloads leave old ones behind; when there are so many, all go and those in
/// use are made again.
const MAX_PLANS: usize = 8192;

/// Evaluates rules with an [`Engine`] over a store.
#[derive(Clone)]
pub struct EngineQueries {
    engine: Arc<Engine>,
    querier: Arc<dyn Querier>,
    /// By the expression as it is printed.
    plans: Arc<Mutex<FxHashMap<String, Arc<Prepared>>>>,
}

impl EngineQueries {
    /// Rules share the engine with other queries, and its limits.
    pub fn new(engine: Arc<Engine>, querier: Arc<dyn Querier>) -> Self {
        Self { engine, querier, plans: Arc::default() }
    }

    fn plan(&self, rule: &RuleSpec) -> Result<Arc<Prepared>, QueryError> {
        let mut plans = self.plans.lock();
        if let Some(plan) = plans.get(&rule.query) {
            return Ok(Arc::clone(plan));
        }
        let plan = Arc::new(self.engine.prepare(&rule.expr, &rule.query)?);
        if plans.len() >= MAX_PLANS {
            plans.clear();
        }
        plans.insert(rule.query.clone(), Arc::clone(&plan));
        Ok(plan)
    }
}

impl RuleQueries for EngineQueries {
    fn tick(&self) -> Box<dyn TickQueries + '_> {
        Box::new(EngineTick { queries: self, cache: TickCache::new() })
    }
}

struct EngineTick<'a> {
    queries: &'a EngineQueries,
    cache: TickCache,
}

impl TickQueries for EngineTick<'_> {
    fn eval(&self, expr: &Expr, ts: Timestamp, earlier: Option<Earlier<'_>>) -> Result<QueryResult, QueryError> {
        let EngineQueries { engine, querier, .. } = self.queries;
        match earlier {
            None => engine.instant_cached(&**querier, expr, ts, &QueryOptions::default(), &self.cache),
            Some(earlier) => {
                let options = QueryOptions { written: Some(Arc::clone(earlier.names)), ..QueryOptions::default() };
                let overlay = Overlay::new(&**querier, earlier.samples);
                engine.instant_cached(&overlay, expr, ts, &options, &self.cache)
            }
        }
    }
    fn eval_rule(
        &self,
        rule: &RuleSpec,
        ts: Timestamp,
        earlier: Option<Earlier<'_>>,
    ) -> Result<QueryResult, QueryError> {
        let EngineQueries { engine, querier, .. } = self.queries;
        let plan = self.queries.plan(rule)?;
        match earlier {
            None => engine.instant_prepared(&**querier, &plan, ts, &QueryOptions::default(), &self.cache),
            Some(earlier) => {
                let options = QueryOptions { written: Some(Arc::clone(earlier.names)), ..QueryOptions::default() };
                let overlay = Overlay::new(&**querier, earlier.samples);
                engine.instant_prepared(&overlay, &plan, ts, &options, &self.cache)
            }
        }
    }
}
