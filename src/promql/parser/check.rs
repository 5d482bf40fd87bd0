//! Type checks over a finished tree, with Prometheus' wording.

use crate::model::{METRIC_NAME, quote};
use crate::promql::deep;

use super::ast::{
    AggregateExpr, AggregateOp, BinaryExpr, Call, Cardinality, Expr, Pos, ValueType, VectorMatching, VectorSelector,
};
use super::error::{MAX_ERRORS, ParseError};
use super::functions::FunctionId;

/// Finds every type error and takes away vector matching where a side is a scalar.
pub(super) fn check(text: &str, expr: &mut Expr) -> Vec<ParseError> {
    let mut checker = Checker { text, errors: Vec::new() };
    checker.node(expr, false);
    checker.errors
}

struct Checker<'a> {
    text: &'a str,
    errors: Vec<ParseError>,
}

impl Checker<'_> {
    fn note(&mut self, pos: Pos, message: impl Into<String>) {
        if self.errors.len() < MAX_ERRORS {
            self.errors.push(ParseError::new(self.text, pos, message.into()));
        }
    }

    /// `any_matchers`: the selector may match everything, as the second argument of `info` may.
    fn node(&mut self, expr: &mut Expr, any_matchers: bool) {
        deep(|| self.level(expr, any_matchers));
    }

    fn level(&mut self, expr: &mut Expr, any_matchers: bool) {
        match expr {
            Expr::Number(_) | Expr::String(_) => {}
            Expr::Paren(node) => self.node(&mut node.expr, false),
            Expr::Unary(node) => {
                self.node(&mut node.expr, false);
                let found = node.expr.value_type();
                if !is_number(found) {
                    let message = format!(
                        "unary expression only allowed on expressions of type scalar or instant vector, got {}",
                        quote(found.as_str())
                    );
                    self.note(node.pos, message);
                }
            }
            Expr::Binary(node) => self.binary(node),
            Expr::Aggregate(node) => self.aggregate(node),
            Expr::Call(node) => self.call(node),
            Expr::Vector(node) => self.selector(node, any_matchers),
            Expr::Matrix(node) => self.selector(&node.selector, false),
            Expr::Subquery(node) => {
                self.node(&mut node.expr, false);
                let found = node.expr.value_type();
                if found != ValueType::Vector {
                    let word = if found == ValueType::Matrix { "matrix" } else { found.as_str() };
                    self.note(node.pos, format!("subquery is only allowed on instant vector, got {word} instead"));
                }
            }
        }
    }

    fn expect(&mut self, expr: &Expr, wanted: ValueType, context: &str) {
        let found = expr.value_type();
        if found != wanted {
            let message = format!("expected type {} in {context}, got {}", wanted.as_str(), found.as_str());
            self.note(expr.pos(), message);
        }
    }

    fn aggregate(&mut self, node: &mut AggregateExpr) {
        self.node(&mut node.expr, false);
        self.expect(&node.expr, ValueType::Vector, "aggregation expression");
        if let Some(param) = &mut node.param {
            self.node(param, false);
            let wanted = if node.op == AggregateOp::CountValues { ValueType::String } else { ValueType::Scalar };
            self.expect(param, wanted, "aggregation parameter");
        }
    }

    fn binary(&mut self, node: &mut BinaryExpr) {
        self.node(&mut node.lhs, false);
        self.node(&mut node.rhs, false);
        let (left, right) = (node.lhs.value_type(), node.rhs.value_type());
        let op_pos = self.operator_pos(node);
        if node.return_bool && !node.op.is_comparison() {
            self.note(op_pos, "bool modifier can only be used on comparison operators");
        }
        if node.op.is_comparison() && !node.return_bool && (left, right) == (ValueType::Scalar, ValueType::Scalar) {
            self.note(op_pos, "comparisons between scalars must use BOOL modifier");
        }
        let matching = node.matching.take().unwrap_or_default();
        if matching.on
            && let Some(label) = matching.labels.iter().find(|label| matching.include.contains(label))
        {
            self.note(op_pos, format!("label {} must not occur in ON and GROUP clause at once", quote(label)));
        }
        for (side, found) in [(&node.lhs, left), (&node.rhs, right)] {
            if !is_number(found) {
                self.note(side.pos(), "binary expression must contain only scalar and instant vector types");
            }
        }
        let vectors = (left, right) == (ValueType::Vector, ValueType::Vector);
        self.matching(node, &matching, vectors);
        if node.op.is_set() && (left == ValueType::Scalar || right == ValueType::Scalar) {
            let message = format!("set operator {} not allowed in binary scalar expression", quote(node.op.as_str()));
            self.note(node.pos, message);
        }
        node.matching = vectors.then_some(matching);
    }

    fn matching(&mut self, node: &BinaryExpr, matching: &VectorMatching, vectors: bool) {
        let fills = matching.fill_left.is_some() || matching.fill_right.is_some();
        if !vectors {
            if !matching.labels.is_empty() {
                self.note(node.pos, "vector matching only allowed between instant vectors");
            }
            if fills {
                self.note(node.pos, "filling in missing series only allowed between instant vectors");
            }
        } else if node.op.is_set() {
            if matching.cardinality != Cardinality::ManyToMany {
                self.note(node.pos, format!("no grouping allowed for {} operation", quote(node.op.as_str())));
            }
            if fills {
                self.note(node.pos, "filling in missing series not allowed for set operators");
            }
        }
    }

    /// Where the operator stands: after the left side's trailing blanks.
    fn operator_pos(&self, node: &BinaryExpr) -> Pos {
        let (start, end) = (node.lhs.pos().end, node.rhs.pos().start);
        let between = self.text.get(start as usize..end as usize).unwrap_or("");
        let blanks = between.len() - between.trim_start().len();
        Pos { start: start + blanks as u32, end: start + between.trim_end().len() as u32 }
    }

    fn call(&mut self, node: &mut Call) {
        self.argument_count(node);
        let is_info = node.func.id == FunctionId::Info;
        if is_info && let Some(selector) = node.args.get(1) {
            self.info_selector(selector, node.pos);
        }
        let context = format!("call to function {}", quote(node.func.name));
        for (i, arg) in node.args.iter_mut().enumerate() {
            let wanted = match node.func.args.get(i) {
                Some(wanted) => *wanted,
                None if node.func.variadic == 0 => break,
                None => node.func.args.last().copied().unwrap_or(ValueType::Scalar),
            };
            self.node(arg, is_info && i == 1);
            self.expect(arg, wanted, &context);
        }
    }

    /// The second argument of `info` only names labels.
    fn info_selector(&mut self, selector: &Expr, call: Pos) {
        let found = selector.value_type();
        if found != ValueType::Vector {
            let message = format!("expected type instant vector in call to function \"info\", got {}", found.as_str());
            self.note(call, message);
        }
        match selector {
            Expr::Vector(selector) if selector.name.is_empty() => {}
            Expr::Vector(selector) => {
                self.note(selector.pos, "expected label selectors only, got vector selector instead");
            }
            other => self.note(other.pos(), "expected label selectors only"),
        }
    }

    fn argument_count(&mut self, node: &Call) {
        let (wanted, got, name) = (node.func.args.len(), node.args.len(), quote(node.func.name));
        let Ok(repeats) = usize::try_from(node.func.variadic) else {
            // Negative: the last argument any number of times.
            if got + 1 < wanted {
                self.note(
                    node.pos,
                    format!("expected at least {} argument(s) in call to {name}, got {got}", wanted - 1),
                );
            }
            return;
        };
        if repeats == 0 {
            if got != wanted {
                self.note(node.pos, format!("expected {wanted} argument(s) in call to {name}, got {got}"));
            }
            return;
        }
        let (least, most) = (wanted.saturating_sub(1), wanted.saturating_sub(1) + repeats);
        if got < least {
            self.note(node.pos, format!("expected at least {least} argument(s) in call to {name}, got {got}"));
        } else if got > most {
            self.note(node.pos, format!("expected at most {most} argument(s) in call to {name}, got {got}"));
        }
    }

    fn selector(&mut self, node: &VectorSelector, any_matchers: bool) {
        if !node.name.is_empty() {
            let others = node.matchers.split_last().map_or(&[][..], |(_, others)| others);
            if let Some(second) = others.iter().find(|matcher| matcher.name == METRIC_NAME) {
                let message =
                    format!("metric name must not be set twice: {} or {}", quote(&node.name), quote(&second.value));
                self.note(node.pos, message);
            }
            return;
        }
        // A selector that matches everything is more often a mistake than a wish.
        if !any_matchers && node.matchers.iter().all(|matcher| matcher.matches_empty()) {
            self.note(node.pos, "vector selector must contain at least one non-empty matcher");
        }
    }
}

fn is_number(found: ValueType) -> bool {
    matches!(found, ValueType::Scalar | ValueType::Vector)
}
