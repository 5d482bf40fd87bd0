//! Comparing trees without regard to where their nodes stood.

use crate::promql::deep;

use super::ast::{DurationExpr, Expr, Pos, VectorSelector};

impl Expr {
    /// The same tree with all positions at 0 and matchers in a canonical order: two queries that mean the same text
    /// compare equal.
    pub fn strip_positions(mut self) -> Self {
        strip(&mut self);
        self
    }
}

fn strip(expr: &mut Expr) {
    deep(|| level(expr));
}

fn level(expr: &mut Expr) {
    match expr {
        Expr::Number(node) => node.pos = Pos::default(),
        Expr::String(node) => node.pos = Pos::default(),
        Expr::Paren(node) => {
            node.pos = Pos::default();
            strip(&mut node.expr);
        }
        Expr::Unary(node) => {
            node.pos = Pos::default();
            strip(&mut node.expr);
        }
        Expr::Binary(node) => {
            node.pos = Pos::default();
            strip(&mut node.lhs);
            strip(&mut node.rhs);
        }
        Expr::Aggregate(node) => {
            node.pos = Pos::default();
            strip(&mut node.expr);
            node.param.iter_mut().for_each(strip);
        }
        Expr::Call(node) => {
            node.pos = Pos::default();
            node.args.iter_mut().for_each(strip);
        }
        Expr::Vector(node) => strip_selector(node),
        Expr::Matrix(node) => {
            node.pos = Pos::default();
            strip_selector(&mut node.selector);
            strip_duration(&mut node.range);
        }
        Expr::Subquery(node) => {
            node.pos = Pos::default();
            strip(&mut node.expr);
            strip_duration(&mut node.range);
            node.step.iter_mut().chain(&mut node.offset).for_each(strip_duration);
        }
    }
}

fn strip_selector(node: &mut VectorSelector) {
    node.pos = Pos::default();
    node.offset.iter_mut().for_each(strip_duration);
    node.matchers.sort_by_cached_key(ToString::to_string);
}

fn strip_duration(duration: &mut DurationExpr) {
    match duration {
        DurationExpr::Literal(literal) => literal.pos = Pos::default(),
        DurationExpr::Step | DurationExpr::Range => {}
        DurationExpr::Unary { inner, .. } | DurationExpr::Paren(inner) => strip_duration(inner),
        DurationExpr::Binary { lhs, rhs, .. } => {
            strip_duration(lhs);
            strip_duration(rhs);
        }
        DurationExpr::MinOf(a, b) | DurationExpr::MaxOf(a, b) => {
            strip_duration(a);
            strip_duration(b);
        }
    }
}
