//! Calls and aggregations.

use super::ast::{AggregateExpr, AggregateOp, Call, Expr, NumberLiteral, Pos};
use super::functions::Function;
use super::grammar::{Parsed, Parser};
use super::token::Kind;

/// Labels of `by` or `without`, and which of the two it was.
struct Grouping {
    labels: Vec<String>,
    without: bool,
}

impl Parser<'_> {
    /// `name(args)`.
    pub(super) fn call(&mut self) -> Parsed<Expr> {
        let token = self.advance();
        let name = self.lexeme(token);
        let function = Function::by_name(name);
        if function.is_none() {
            self.note(token.pos, format!("unknown function with name {}", crate::model::quote(name)));
        }
        let args = self.arguments()?;
        let pos = Pos { start: token.pos.start, end: self.last_end() };
        Ok(match function {
            Some(func) => Expr::Call(Call { func, args, pos }),
            // The query is refused anyway; parsing goes on to find what else is wrong.
            None => Expr::Number(NumberLiteral { value: 0.0, is_duration: false, pos }),
        })
    }

    /// `(a, b, …)`; leaves the height of a node above the arguments.
    fn arguments(&mut self) -> Parsed<Vec<Expr>> {
        self.expect(Kind::LeftParen, "", "")?;
        let (mut args, mut highest) = (Vec::new(), 0);
        if self.accept(Kind::RightParen).is_none() {
            loop {
                args.push(self.expression(0)?);
                highest = highest.max(self.height);
                let Some(comma) = self.accept(Kind::Comma) else { break };
                if self.peek() == Kind::RightParen {
                    self.note(comma.pos, "trailing commas not allowed in function call args");
                    break;
                }
            }
            self.expect(Kind::RightParen, "", "")?;
        }
        self.grow(highest)?;
        Ok(args)
    }

    /// `sum by (a) (expr)`, `sum(expr) by (a)`, `sum(expr)`.
    pub(super) fn aggregation(&mut self, op: AggregateOp) -> Parsed<Expr> {
        let start = self.advance().pos.start;
        self.aggregations += 1;
        let before = self.grouping()?;
        let args = self.arguments()?;
        let grouping = if before.is_some() { before } else { self.grouping()? };
        self.aggregations -= 1;
        let pos = Pos { start, end: self.last_end() };
        self.aggregate(op, grouping, args, pos)
    }

    fn aggregate(
        &mut self,
        op: AggregateOp,
        grouping: Option<Grouping>,
        mut args: Vec<Expr>,
        pos: Pos,
    ) -> Parsed<Expr> {
        if args.is_empty() {
            return self.fail(pos, "no arguments for aggregate expression provided");
        }
        let wanted = if op.has_param() { 2 } else { 1 };
        if args.len() != wanted {
            let message = format!(
                "wrong number of arguments for aggregate expression provided, expected {wanted}, got {}",
                args.len()
            );
            return self.fail(pos, message);
        }
        let last = args.pop();
        let Some(expr) = last else { return self.fail(pos, "no arguments for aggregate expression provided") };
        let Grouping { labels, without } = grouping.unwrap_or(Grouping { labels: Vec::new(), without: false });
        let param = args.pop();
        Ok(Expr::Aggregate(Box::new(AggregateExpr { op, expr, param, grouping: labels, without, pos })))
    }

    fn grouping(&mut self) -> Parsed<Option<Grouping>> {
        let without = match self.peek() {
            Kind::By => false,
            Kind::Without => true,
            _ => return Ok(None),
        };
        self.advance();
        let labels = self.grouping_labels()?;
        Ok(Some(Grouping { labels, without }))
    }

    /// `(a, "b.c", …)`; a comma may follow the last label.
    pub(super) fn grouping_labels(&mut self) -> Parsed<Vec<String>> {
        const CONTEXT: &str = "grouping opts";
        self.expect(Kind::LeftParen, CONTEXT, "\"(\"")?;
        let mut labels = Vec::new();
        while self.accept(Kind::RightParen).is_none() {
            let token = self.token();
            let label = match token.kind {
                Kind::String => self.string()?,
                kind if kind.is_label_name() => {
                    self.advance();
                    self.lexeme(token).to_owned()
                }
                _ => return self.unexpected(CONTEXT, "label"),
            };
            if label.is_empty() {
                self.note(token.pos, "invalid label name for grouping: \"\"");
            }
            labels.push(label);
            if self.accept(Kind::Comma).is_none() && self.peek() != Kind::RightParen {
                return self.unexpected(CONTEXT, "\",\" or \")\"");
            }
        }
        Ok(labels)
    }
}
