//! From text to tree and back: lexer, Pratt parser with positions, printer, series descriptions.

mod ast;
mod functions;

pub use ast::{
    AggregateExpr, AggregateOp, AtModifier, BinaryExpr, BinaryOp, Call, Cardinality, DurationExpr, DurationLiteral,
    Expr, MatrixSelector, NumberLiteral, ParenExpr, Pos, RangeMode, StringLiteral, SubqueryExpr, UnaryExpr, ValueType,
    VectorMatching, VectorSelector,
};
pub use functions::{FUNCTIONS, Function, FunctionId};
