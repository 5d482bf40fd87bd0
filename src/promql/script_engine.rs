//! The engine behind the test language's [`Evaluator`].

use std::sync::Arc;
use std::time::Duration;

use crate::model::Timestamp;
use crate::storage::Querier;

use super::testlang::Evaluator;
use super::{Engine, QueryError, QueryOptions, QueryResult};

impl Evaluator for Engine {
    fn instant(&self, querier: &dyn Querier, query: &str, ts: Timestamp) -> Result<QueryResult, QueryError> {
        let expr = self.parse(query)?;
        Engine::instant(self, querier, &expr, ts, &options(query))
    }

    fn range(
        &self,
        querier: &dyn Querier,
        query: &str,
        start: Timestamp,
        end: Timestamp,
        step_ms: i64,
    ) -> Result<QueryResult, QueryError> {
        let expr = self.parse(query)?;
        let step = Duration::from_millis(u64::try_from(step_ms).unwrap_or(0));
        Engine::range(self, querier, &expr, start, end, step, &options(query))
    }
}

fn options(query: &str) -> QueryOptions {
    QueryOptions { text: Some(Arc::from(query)), ..QueryOptions::default() }
}
