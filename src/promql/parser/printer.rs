//! Tree → text, as Prometheus' `String()` writes it: one line, canonical spacing, matchers sorted.

use std::fmt::{self, Display, Formatter, Write as _};
use std::time::Duration;

use crate::model::{METRIC_NAME, MatchOp, Matcher, format_duration, format_float, is_classic_label_name, quote};

use crate::promql::deep;

use super::ast::{
    AggregateExpr, AtModifier, BinaryExpr, BinaryOp, Cardinality, DurationExpr, Expr, MatrixSelector, NumberLiteral,
    RangeMode, SubqueryExpr, VectorMatching, VectorSelector,
};
use super::token::{Kind, keyword};

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        deep(|| match self {
            Self::Number(node) => number(node, f),
            Self::String(node) => f.write_str(&quote(&node.value)),
            Self::Paren(node) => write!(f, "({})", node.expr),
            Self::Unary(node) => write!(f, "{}{}", if node.negative { '-' } else { '+' }, node.expr),
            Self::Binary(node) => binary(node, f),
            Self::Aggregate(node) => aggregate(node, f),
            Self::Call(node) => {
                write!(f, "{}(", node.func.name)?;
                list(&node.args, f)?;
                f.write_char(')')
            }
            Self::Vector(node) => node.fmt(f),
            Self::Matrix(node) => node.fmt(f),
            Self::Subquery(node) => subquery(node, f),
        })
    }
}

/// A number without exponent, as Go's `'f'` format.
fn plain(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else {
        value.to_string()
    }
}

fn number(node: &NumberLiteral, f: &mut Formatter<'_>) -> fmt::Result {
    if node.is_duration { seconds(node.value, f) } else { f.write_str(&plain(node.value)) }
}

/// Seconds with units: `-1h30m`.
fn seconds(value: f64, f: &mut Formatter<'_>) -> fmt::Result {
    if value.is_sign_negative() {
        f.write_char('-')?;
    }
    let ms = (value.abs() * 1000.0).round();
    f.write_str(&format_duration(Duration::from_millis(ms as u64)))
}

fn list(items: &[Expr], f: &mut Formatter<'_>) -> fmt::Result {
    for (i, item) in items.iter().enumerate() {
        write!(f, "{}{item}", if i == 0 { "" } else { ", " })?;
    }
    Ok(())
}

/// `(a, "b.c")`.
fn labels(names: &[String], f: &mut Formatter<'_>) -> fmt::Result {
    f.write_char('(')?;
    for (i, name) in names.iter().enumerate() {
        f.write_str(if i == 0 { "" } else { ", " })?;
        if is_classic_label_name(name) && keyword(name).is_none_or(Kind::is_label_name) {
            f.write_str(name)?;
        } else {
            f.write_str(&quote(name))?;
        }
    }
    f.write_char(')')
}

/// The aggregation without its arguments.
pub(super) struct Aggregation<'a>(pub(super) &'a AggregateExpr);

impl Display for Aggregation<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self(node) = self;
        f.write_str(node.op.as_str())?;
        if node.without || !node.grouping.is_empty() {
            f.write_str(if node.without { " without " } else { " by " })?;
            labels(&node.grouping, f)?;
            f.write_char(' ')?;
        }
        Ok(())
    }
}

fn aggregate(node: &AggregateExpr, f: &mut Formatter<'_>) -> fmt::Result {
    write!(f, "{}(", Aggregation(node))?;
    if let Some(param) = &node.param {
        write!(f, "{param}, ")?;
    }
    write!(f, "{})", node.expr)
}

fn binary(node: &BinaryExpr, f: &mut Formatter<'_>) -> fmt::Result {
    match has_infinite_base(node) {
        true => f.write_str("Inf")?,
        false => node.lhs.fmt(f)?,
    }
    write!(f, " {} {}", Operator(node), node.rhs)
}

/// Whether it is a power of `Inf`, which must be written without its plus: that would apply to the power.
pub(super) fn has_infinite_base(node: &BinaryExpr) -> bool {
    node.op == BinaryOp::Pow && matches!(&node.lhs, Expr::Number(number) if number.value == f64::INFINITY)
}

/// The operator with its modifiers.
pub(super) struct Operator<'a>(pub(super) &'a BinaryExpr);

impl Display for Operator<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self(node) = self;
        f.write_str(node.op.as_str())?;
        if node.return_bool {
            f.write_str(" bool")?;
        }
        node.matching.as_ref().map_or(Ok(()), |matching| vector_matching(matching, f))
    }
}

fn vector_matching(matching: &VectorMatching, f: &mut Formatter<'_>) -> fmt::Result {
    let group = match matching.cardinality {
        Cardinality::ManyToOne => Some(" group_left "),
        Cardinality::OneToMany => Some(" group_right "),
        Cardinality::OneToOne | Cardinality::ManyToMany => None,
    };
    if !matching.labels.is_empty() || matching.on || group.is_some() {
        f.write_str(if matching.on { " on " } else { " ignoring " })?;
        labels(&matching.labels, f)?;
    }
    if let Some(group) = group {
        f.write_str(group)?;
        labels(&matching.include, f)?;
    }
    match (matching.fill_left, matching.fill_right) {
        (Some(left), Some(right)) if left.to_bits() == right.to_bits() => write!(f, " fill ({})", format_float(left)),
        (left, right) => {
            for (word, value) in [("fill_left", left), ("fill_right", right)] {
                if let Some(value) = value {
                    write!(f, " {word} ({})", format_float(value))?;
                }
            }
            Ok(())
        }
    }
}

impl Display for VectorSelector {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.name_and_matchers(f)?;
        at(self.at, f)?;
        mode(self.mode, f)?;
        offset(self.offset.as_ref(), f)
    }
}

impl VectorSelector {
    fn name_and_matchers(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let is_name = |matcher: &&Matcher| {
            matcher.name == METRIC_NAME && matcher.op == MatchOp::Equal && matcher.value == self.name
        };
        let mut inside: Vec<String> = self
            .matchers
            .iter()
            .filter(|matcher| self.name.is_empty() || !is_name(matcher))
            .map(ToString::to_string)
            .collect();
        inside.sort_unstable();
        f.write_str(&self.name)?;
        if !inside.is_empty() || self.name.is_empty() {
            write!(f, "{{{}}}", inside.join(","))?;
        }
        Ok(())
    }
}

fn mode(mode: RangeMode, f: &mut Formatter<'_>) -> fmt::Result {
    f.write_str(match mode {
        RangeMode::Plain => "",
        RangeMode::Anchored => " anchored",
        RangeMode::Smoothed => " smoothed",
    })
}

fn at(at: Option<AtModifier>, f: &mut Formatter<'_>) -> fmt::Result {
    match at {
        None => Ok(()),
        Some(AtModifier::Start) => f.write_str(" @ start()"),
        Some(AtModifier::End) => f.write_str(" @ end()"),
        Some(AtModifier::At(ms)) => {
            write!(f, " @ {:.3}", ms as f64 / 1000.0)
        }
    }
}

fn offset(offset: Option<&DurationExpr>, f: &mut Formatter<'_>) -> fmt::Result {
    match offset {
        None => Ok(()),
        Some(offset) => write!(f, " offset {offset}"),
    }
}

impl Display for MatrixSelector {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.selector.name_and_matchers(f)?;
        write!(f, "[{}]", self.range)?;
        mode(self.selector.mode, f)?;
        at(self.selector.at, f)?;
        offset(self.selector.offset.as_ref(), f)
    }
}

fn subquery(node: &SubqueryExpr, f: &mut Formatter<'_>) -> fmt::Result {
    write!(f, "{}{}", node.expr, SubqueryTimes(node))
}

/// What follows the expression of a subquery.
pub(super) struct SubqueryTimes<'a>(pub(super) &'a SubqueryExpr);

impl Display for SubqueryTimes<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self(node) = self;
        write!(f, "[{}:", node.range)?;
        node.step.as_ref().map_or(Ok(()), |step| step.fmt(f))?;
        f.write_char(']')?;
        at(node.at, f)?;
        offset(node.offset.as_ref(), f)
    }
}

impl Display for DurationExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(literal) if literal.is_duration => seconds(literal.seconds, f),
            Self::Literal(literal) => f.write_str(&plain(literal.seconds)),
            Self::Step => f.write_str("step()"),
            Self::Range => f.write_str("range()"),
            Self::Unary { negative, inner } => write!(f, "{}{inner}", if *negative { '-' } else { '+' }),
            Self::Binary { op, lhs, rhs } => write!(f, "{lhs} {} {rhs}", op.as_str()),
            Self::MinOf(a, b) => write!(f, "min_of({a}, {b})"),
            Self::MaxOf(a, b) => write!(f, "max_of({a}, {b})"),
            Self::Paren(inner) => write!(f, "({inner})"),
        }
    }
}
