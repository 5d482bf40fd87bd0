//! The syntax tree of PromQL as Prometheus 3.14 defines it, with the position of every node.

use crate::model::{Matcher, Timestamp};

use super::functions::Function;

/// Byte range of a node in the query text, end exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pos {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

/// What an expression gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ValueType {
    /// One number.
    Scalar,
    /// Any number of series with one sample each.
    Vector,
    /// Any number of series with a window of samples each.
    Matrix,
    /// A string literal.
    String,
}

impl ValueType {
    /// The word in error messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Vector => "instant vector",
            Self::Matrix => "range vector",
            Self::String => "string",
        }
    }
}

/// A node of the tree. Trees may be as high as [`crate::limits::MAX_QUERY_DEPTH`]: a walk uses [`Expr::walk`], or asks for
/// stack at each level.
#[derive(Debug)]
pub enum Expr {
    /// `1.5`, `0x1f`, `Inf`, `5m` (as seconds).
    Number(NumberLiteral),
    /// `"text"`.
    String(StringLiteral),
    /// `(expr)`.
    Paren(ParenExpr),
    /// `-expr`, `+expr`.
    Unary(UnaryExpr),
    /// `lhs op rhs`.
    Binary(Box<BinaryExpr>),
    /// `sum by (a) (expr)`.
    Aggregate(Box<AggregateExpr>),
    /// `rate(x[5m])`.
    Call(Call),
    /// `name{a="b"} offset 5m @ 10`.
    Vector(VectorSelector),
    /// `name[5m]`.
    Matrix(MatrixSelector),
    /// `expr[5m:1m]`.
    Subquery(Box<SubqueryExpr>),
}

/// A number.
#[derive(Debug, Clone, PartialEq)]
pub struct NumberLiteral {
    /// Its value; durations in seconds.
    pub value: f64,
    /// Whether it was written as a duration (prints as one).
    pub is_duration: bool,
    /// Where it stands.
    pub pos: Pos,
}

/// A string.
#[derive(Debug, Clone, PartialEq)]
pub struct StringLiteral {
    /// Its text, unescaped.
    pub value: String,
    /// Where it stands.
    pub pos: Pos,
}

/// Parentheses; kept, because the printer gives back what was written.
#[derive(Debug, Clone, PartialEq)]
pub struct ParenExpr {
    /// What is inside.
    pub expr: Box<Expr>,
    /// Where it stands.
    pub pos: Pos,
}

/// A sign.
#[derive(Debug, Clone, PartialEq)]
pub struct UnaryExpr {
    /// Whether the sign is minus.
    pub negative: bool,
    /// What it applies to.
    pub expr: Box<Expr>,
    /// Where it stands.
    pub pos: Pos,
}

/// Binary operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each variant is the operator that as_str gives")]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Atan2,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    And,
    Or,
    Unless,
    /// `</`: keep the histogram's observations below a bound.
    TrimUpper,
    /// `>/`: keep the histogram's observations above a bound.
    TrimLower,
}

impl BinaryOp {
    /// The operator as written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Mod => "%",
            Self::Pow => "^",
            Self::Atan2 => "atan2",
            Self::Eq => "==",
            Self::Ne => "!=",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
            Self::And => "and",
            Self::Or => "or",
            Self::Unless => "unless",
            Self::TrimUpper => "</",
            Self::TrimLower => ">/",
        }
    }

    /// Whether it is `== != < <= > >=`.
    pub const fn is_comparison(self) -> bool {
        matches!(self, Self::Eq | Self::Ne | Self::Lt | Self::Le | Self::Gt | Self::Ge)
    }

    /// Whether it is `and`, `or`, `unless`.
    pub const fn is_set(self) -> bool {
        matches!(self, Self::And | Self::Or | Self::Unless)
    }
}

/// How many series of each side may match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Cardinality {
    /// One to one.
    #[default]
    OneToOne,
    /// `group_left`.
    ManyToOne,
    /// `group_right`.
    OneToMany,
    /// Set operators.
    ManyToMany,
}

/// `on(…) group_left(…) fill(…)`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct VectorMatching {
    /// How many of each side match.
    pub cardinality: Cardinality,
    /// Labels of `on` or `ignoring`.
    pub labels: Vec<String>,
    /// Whether `labels` came from `on` (else `ignoring`, or nothing).
    pub on: bool,
    /// Labels of `group_left`/`group_right`, taken from the one side.
    pub include: Vec<String>,
    /// `fill_left` or `fill`: value for a missing left side.
    pub fill_left: Option<f64>,
    /// `fill_right` or `fill`: value for a missing right side.
    pub fill_right: Option<f64>,
}

/// `lhs op rhs`.
#[derive(Debug, Clone, PartialEq)]
pub struct BinaryExpr {
    /// Operator.
    pub op: BinaryOp,
    /// Left side.
    pub lhs: Expr,
    /// Right side.
    pub rhs: Expr,
    /// Vector matching; `None` when a side is a scalar.
    pub matching: Option<VectorMatching>,
    /// `bool` modifier.
    pub return_bool: bool,
    /// What it gives: a scalar of two scalars, otherwise an instant vector.
    pub gives: ValueType,
    /// Where the whole expression stands.
    pub pos: Pos,
}

/// Aggregation operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each variant is the operator of that name")]
pub enum AggregateOp {
    Sum,
    Avg,
    Count,
    Min,
    Max,
    Group,
    Stddev,
    Stdvar,
    TopK,
    BottomK,
    CountValues,
    Quantile,
    LimitK,
    LimitRatio,
}

impl AggregateOp {
    /// Every operator, in the order of Prometheus' lexer.
    pub const ALL: [Self; 14] = [
        Self::Sum,
        Self::Avg,
        Self::Count,
        Self::Min,
        Self::Max,
        Self::Group,
        Self::Stddev,
        Self::Stdvar,
        Self::TopK,
        Self::BottomK,
        Self::CountValues,
        Self::Quantile,
        Self::LimitK,
        Self::LimitRatio,
    ];

    /// The operator's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Avg => "avg",
            Self::Count => "count",
            Self::Min => "min",
            Self::Max => "max",
            Self::Group => "group",
            Self::Stddev => "stddev",
            Self::Stdvar => "stdvar",
            Self::TopK => "topk",
            Self::BottomK => "bottomk",
            Self::CountValues => "count_values",
            Self::Quantile => "quantile",
            Self::LimitK => "limitk",
            Self::LimitRatio => "limit_ratio",
        }
    }

    /// Whether the operator takes a parameter before the vector.
    pub const fn has_param(self) -> bool {
        matches!(
            self,
            Self::TopK | Self::BottomK | Self::CountValues | Self::Quantile | Self::LimitK | Self::LimitRatio
        )
    }
}

/// `op by (labels) (param, expr)`.
#[derive(Debug, Clone, PartialEq)]
pub struct AggregateExpr {
    /// Operator.
    pub op: AggregateOp,
    /// What is aggregated.
    pub expr: Expr,
    /// First argument of topk, quantile, count_values and so on.
    pub param: Option<Expr>,
    /// Labels of `by` or `without`.
    pub grouping: Vec<String>,
    /// Whether `grouping` came from `without`.
    pub without: bool,
    /// Where the whole expression stands.
    pub pos: Pos,
}

/// A function call.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// Which function.
    pub func: &'static Function,
    /// Its arguments.
    pub args: Vec<Expr>,
    /// Where it stands.
    pub pos: Pos,
}

/// A time that `@` fixes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum AtModifier {
    /// `@ 1234.5`, in milliseconds.
    At(Timestamp),
    /// `@ start()`.
    Start,
    /// `@ end()`.
    End,
}

/// A duration that may be arithmetic (`[5m + step()]`). Literals are in milliseconds.
#[derive(Debug, Clone, PartialEq)]
pub enum DurationExpr {
    /// A duration, or a number of seconds.
    Literal(DurationLiteral),
    /// `step()`: the query's step, 0 for instant queries.
    Step,
    /// `range()`: end minus start of the query.
    Range,
    /// `+d`, `-d`.
    Unary {
        /// Whether the sign is minus.
        negative: bool,
        /// What it applies to.
        inner: Box<DurationExpr>,
    },
    /// `a + b`, and `- * / % ^`; the operands are in seconds, as in Prometheus.
    Binary {
        /// One of Add, Sub, Mul, Div, Mod, Pow.
        op: BinaryOp,
        /// Left side.
        lhs: Box<DurationExpr>,
        /// Right side.
        rhs: Box<DurationExpr>,
    },
    /// `min_of(a, b)`.
    MinOf(Box<DurationExpr>, Box<DurationExpr>),
    /// `max_of(a, b)`.
    MaxOf(Box<DurationExpr>, Box<DurationExpr>),
    /// `(a)`.
    Paren(Box<DurationExpr>),
}

/// A duration as written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DurationLiteral {
    /// Seconds.
    pub seconds: f64,
    /// Whether it was written with a unit (`5m`) and not as a number (`300`).
    pub is_duration: bool,
    /// Where it stands.
    pub pos: Pos,
}

/// `anchored` and `smoothed` selectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum RangeMode {
    /// As always.
    #[default]
    Plain,
    /// The sample before the window counts as its start.
    Anchored,
    /// Values at the window's ends are interpolated.
    Smoothed,
}

/// `name{matchers} anchored|smoothed offset d @ t`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct VectorSelector {
    /// The name as written before the braces, or the quoted one inside; empty if there is none.
    pub name: String,
    /// All matchers, the one for the name included (last, as Prometheus appends it).
    pub matchers: Vec<Matcher>,
    /// `offset`.
    pub offset: Option<DurationExpr>,
    /// `@`.
    pub at: Option<AtModifier>,
    /// `anchored`, `smoothed`.
    pub mode: RangeMode,
    /// Where it stands.
    pub pos: Pos,
}

/// `selector[range]`. Offset, `@` and mode stand in the inner selector.
#[derive(Debug, Clone, PartialEq)]
pub struct MatrixSelector {
    /// What is selected.
    pub selector: VectorSelector,
    /// How far back.
    pub range: DurationExpr,
    /// Where it stands.
    pub pos: Pos,
}

/// `expr[range:step] offset d @ t`.
#[derive(Debug, Clone, PartialEq)]
pub struct SubqueryExpr {
    /// What is evaluated at each step.
    pub expr: Expr,
    /// How far back.
    pub range: DurationExpr,
    /// Resolution; `None` takes the engine's default.
    pub step: Option<DurationExpr>,
    /// `offset`.
    pub offset: Option<DurationExpr>,
    /// `@`.
    pub at: Option<AtModifier>,
    /// Where it stands.
    pub pos: Pos,
}

impl Expr {
    /// Where the node stands in the query.
    pub fn pos(&self) -> Pos {
        match self {
            Self::Number(node) => node.pos,
            Self::String(node) => node.pos,
            Self::Paren(node) => node.pos,
            Self::Unary(node) => node.pos,
            Self::Binary(node) => node.pos,
            Self::Aggregate(node) => node.pos,
            Self::Call(node) => node.pos,
            Self::Vector(node) => node.pos,
            Self::Matrix(node) => node.pos,
            Self::Subquery(node) => node.pos,
        }
    }

    /// What the expression gives.
    pub fn value_type(&self) -> ValueType {
        match self.without_wraps() {
            Self::String(_) => ValueType::String,
            Self::Binary(node) => node.gives,
            Self::Call(node) => node.func.returns,
            Self::Aggregate(_) | Self::Vector(_) => ValueType::Vector,
            Self::Matrix(_) | Self::Subquery(_) => ValueType::Matrix,
            Self::Number(_) | Self::Paren(_) | Self::Unary(_) => ValueType::Scalar,
        }
    }

    /// The expression inside of all parentheses around it.
    pub fn without_parens(&self) -> &Self {
        let mut expr = self;
        while let Self::Paren(node) = expr {
            expr = &node.expr;
        }
        expr
    }

    /// What parentheses and signs stand around.
    fn without_wraps(&self) -> &Self {
        let mut expr = self;
        loop {
            expr = match expr {
                Self::Paren(node) => &node.expr,
                Self::Unary(node) => &node.expr,
                _ => return expr,
            };
        }
    }
}
