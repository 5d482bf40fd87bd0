//! The same query pinned to a time with `@`: evaluated at any other time it must give the same.

use crate::model::{Matcher, Timestamp};
use crate::promql::deep;
use crate::promql::parser::{AtModifier, Expr, FunctionId, VectorSelector};

/// The query with `@ ts` on every selector and outermost subquery that has no fixed time yet, or `None` when it
/// contains a function whose result depends on the evaluation time whatever its arguments are.
pub(super) fn pinned(expr: &Expr, ts: Timestamp) -> Option<Expr> {
    let mut expr = expr.clone();
    pin(&mut expr, ts).then_some(expr)
}

/// `false` when the expression depends on the evaluation time.
fn pin(expr: &mut Expr, ts: Timestamp) -> bool {
    deep(|| level(expr, ts))
}

fn level(expr: &mut Expr, ts: Timestamp) -> bool {
    match expr {
        Expr::Number(_) | Expr::String(_) => true,
        Expr::Paren(node) => pin(&mut node.expr, ts),
        Expr::Unary(node) => pin(&mut node.expr, ts),
        Expr::Binary(node) => pin(&mut node.lhs, ts) & pin(&mut node.rhs, ts),
        Expr::Aggregate(node) => pin(&mut node.expr, ts) & node.param.iter_mut().all(|param| pin(param, ts)),
        Expr::Call(node) => {
            !depends_on_time(node.func.id) & node.args.iter_mut().fold(true, |all, arg| all & pin(arg, ts))
        }
        Expr::Vector(node) => {
            pin_selector(node, ts);
            true
        }
        Expr::Matrix(node) => {
            pin_selector(&mut node.selector, ts);
            true
        }
        Expr::Subquery(node) => {
            fix(&mut node.at, ts);
            // What is inside is evaluated at the subquery's own, now fixed, steps: only the query's bounds still show.
            !asks_for_bounds(&node.expr)
        }
    }
}

fn pin_selector(node: &mut VectorSelector, ts: Timestamp) {
    fix(&mut node.at, ts);
}

/// `start()` and `end()` are the evaluation time of an instant query.
fn fix(at: &mut Option<AtModifier>, ts: Timestamp) {
    if !matches!(at, Some(AtModifier::At(_))) {
        *at = Some(AtModifier::At(ts));
    }
}

fn asks_for_bounds(expr: &Expr) -> bool {
    use FunctionId as F;
    let asks = |id| matches!(id, F::Start | F::End | F::Step | F::Range);
    expr.walk().any(|node| matches!(node, Expr::Call(call) if asks(call.func.id)))
}

fn depends_on_time(function: FunctionId) -> bool {
    use FunctionId as F;
    matches!(
        function,
        F::DaysInMonth
            | F::DayOfMonth
            | F::DayOfWeek
            | F::DayOfYear
            | F::Hour
            | F::Minute
            | F::Month
            | F::Year
            | F::PredictLinear
            | F::Time
            | F::Timestamp
            | F::Start
            | F::End
            | F::Step
            | F::Range
    )
}

/// The matchers of every selector of a query.
pub(super) fn selectors(expr: &Expr) -> Vec<Vec<Matcher>> {
    expr.walk()
        .filter_map(|node| match node {
            Expr::Vector(selector) => Some(selector.matchers.clone()),
            Expr::Matrix(matrix) => Some(matrix.selector.matchers.clone()),
            _ => None,
        })
        .collect()
}
