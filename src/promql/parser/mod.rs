//! From text to tree and back: lexer, Pratt parser with positions, printer, series descriptions.
//!
//! ```
//! use watchfire::promql::parser::parse;
//! let expr = parse("SUM(rate(x{a='b'}[5m])) BY (job)").unwrap();
//! assert_eq!(expr.to_string(), r#"sum by (job) (rate(x{a="b"}[5m]))"#);
//! let error = parse("sum(").unwrap_err();
//! assert_eq!(error.to_string(), "1:5: parse error: unclosed left parenthesis");
//! ```

mod ast;
mod calls;
mod check;
mod duration;
mod error;
mod functions;
mod grammar;
mod lexer;
mod number;
mod pretty;
mod printer;
mod selector;
mod series;
mod series_histogram;
mod strip;
mod text;
mod token;
mod tree;

#[cfg(test)]
mod tests;

pub use ast::{
    AggregateExpr, AggregateOp, AtModifier, BinaryExpr, BinaryOp, Call, Cardinality, DurationExpr, DurationLiteral,
    Expr, MatrixSelector, NumberLiteral, ParenExpr, Pos, RangeMode, StringLiteral, SubqueryExpr, UnaryExpr, ValueType,
    VectorMatching, VectorSelector,
};
pub use error::{ParseError, ParseErrors};
pub use functions::{FUNCTIONS, Function, FunctionId};
pub use grammar::parse;
pub(in crate::promql) use number::parse_literal_number;
pub use pretty::pretty;
pub use series::{SequenceValue, SeriesStart, parse_metric, parse_selector, parse_series, parse_start_times};
pub(in crate::promql) use text::unquote;
pub use tree::Walk;
