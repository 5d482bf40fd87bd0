//! What every tree can do whatever its height: be walked, cloned, compared and dropped.

use crate::promql::deep;

use super::ast::{Expr, NumberLiteral, Pos};

/// Every node below an expression, itself first; from left to right.
#[derive(Debug)]
pub struct Walk<'a>(Vec<&'a Expr>);

impl Expr {
    /// Every node of the tree, parents before their children, without recursion.
    pub fn walk(&self) -> Walk<'_> {
        Walk(vec![self])
    }

    /// Whether nothing hangs below the node.
    pub(super) const fn is_leaf(&self) -> bool {
        matches!(self, Self::Number(_) | Self::String(_) | Self::Vector(_) | Self::Matrix(_))
    }

    /// Calls `visit` on each child that is not a leaf, from left to right.
    fn inner_children(&mut self, visit: &mut dyn FnMut(&mut Self)) {
        let mut visit = |child: &mut Self| {
            if !child.is_leaf() {
                visit(child);
            }
        };
        match self {
            Self::Number(_) | Self::String(_) | Self::Vector(_) | Self::Matrix(_) => {}
            Self::Paren(node) => visit(&mut node.expr),
            Self::Unary(node) => visit(&mut node.expr),
            Self::Binary(node) => {
                visit(&mut node.lhs);
                visit(&mut node.rhs);
            }
            Self::Aggregate(node) => {
                node.param.iter_mut().for_each(&mut visit);
                visit(&mut node.expr);
            }
            Self::Call(node) => node.args.iter_mut().for_each(visit),
            Self::Subquery(node) => visit(&mut node.expr),
        }
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = &'a Expr;

    fn next(&mut self) -> Option<&'a Expr> {
        let node = self.0.pop()?;
        match node {
            Expr::Number(_) | Expr::String(_) | Expr::Vector(_) | Expr::Matrix(_) => {}
            Expr::Paren(node) => self.0.push(&node.expr),
            Expr::Unary(node) => self.0.push(&node.expr),
            Expr::Binary(node) => self.0.extend([&node.rhs, &node.lhs]),
            Expr::Aggregate(node) => {
                self.0.push(&node.expr);
                self.0.extend(&node.param);
            }
            Expr::Call(node) => self.0.extend(node.args.iter().rev()),
            Expr::Subquery(node) => self.0.push(&node.expr),
        }
        Some(node)
    }
}

/// Takes the tree apart node by node: the compiler's own way would need a stack as deep as the tree.
impl Drop for Expr {
    fn drop(&mut self) {
        let mut rest = Vec::new();
        let take = |child: &mut Self, rest: &mut Vec<Self>| rest.push(std::mem::replace(child, leaf()));
        self.inner_children(&mut |child| take(child, &mut rest));
        while let Some(mut node) = rest.pop() {
            node.inner_children(&mut |child| take(child, &mut rest));
        }
    }
}

/// Stands in for a node that was taken away.
fn leaf() -> Expr {
    Expr::Number(NumberLiteral { value: 0.0, is_duration: false, pos: Pos::default() })
}

impl Clone for Expr {
    fn clone(&self) -> Self {
        deep(|| match self {
            Self::Number(node) => Self::Number(node.clone()),
            Self::String(node) => Self::String(node.clone()),
            Self::Paren(node) => Self::Paren(node.clone()),
            Self::Unary(node) => Self::Unary(node.clone()),
            Self::Binary(node) => Self::Binary(node.clone()),
            Self::Aggregate(node) => Self::Aggregate(node.clone()),
            Self::Call(node) => Self::Call(node.clone()),
            Self::Vector(node) => Self::Vector(node.clone()),
            Self::Matrix(node) => Self::Matrix(node.clone()),
            Self::Subquery(node) => Self::Subquery(node.clone()),
        })
    }
}

impl PartialEq for Expr {
    fn eq(&self, other: &Self) -> bool {
        deep(|| match (self, other) {
            (Self::Number(a), Self::Number(b)) => a == b,
            (Self::String(a), Self::String(b)) => a == b,
            (Self::Paren(a), Self::Paren(b)) => a == b,
            (Self::Unary(a), Self::Unary(b)) => a == b,
            (Self::Binary(a), Self::Binary(b)) => a == b,
            (Self::Aggregate(a), Self::Aggregate(b)) => a == b,
            (Self::Call(a), Self::Call(b)) => a == b,
            (Self::Vector(a), Self::Vector(b)) => a == b,
            (Self::Matrix(a), Self::Matrix(b)) => a == b,
            (Self::Subquery(a), Self::Subquery(b)) => a == b,
            _ => false,
        })
    }
}
