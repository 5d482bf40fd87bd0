//! PromQL: text → tree ([`parser`]) → plan → columnar evaluation, behind [`Engine`].
//!
//! A selector becomes (series × step) columns once; operators are loops over columns; output labels are computed
//! once per operator. Nothing here knows where samples come from: a [`Querier`](crate::storage::Querier) gives them.

pub mod parser;
pub mod testlang;

mod annotate;
mod cache;
mod counters;
mod engine;
mod eval;
mod functions;
mod gate;
mod plan;
mod result;
mod script_engine;
mod stack;

#[cfg(test)]
mod tests;

pub use cache::{TickCache, WrittenNames, shareable};
pub use counters::{Counted, DURATION_BOUNDS, QueryCounters, Refusal};
pub use engine::{CancelToken, Engine, EngineConfig, Prepared, QueryOptions};
pub use result::{Annotations, QueryError, QueryResult, QueryStats, QueryValue, RollupUse, Sample, Series};
pub(crate) use stack::deep;
