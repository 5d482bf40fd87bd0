//! PromQL: text → tree ([`parser`]) → plan → columnar evaluation, behind [`Engine`](self).

pub mod parser;
pub mod testlang;

mod result;

pub use result::{Annotations, QueryError, QueryResult, QueryStats, QueryValue, Sample, Series};
