//! Durations in ranges and offsets: literals, `step()`, `range()` and arithmetic over them.

use crate::limits::MAX_DURATION_PARTS;

use super::ast::{BinaryOp, DurationExpr, DurationLiteral, Pos};
use super::grammar::{Parsed, Parser, binding};
use super::token::Kind;

/// Seconds beyond which a duration does not fit Go's nanoseconds.
const MAX_SECONDS: f64 = 9_223_372_036.854_775;
const EXPECTED: &str = "number, duration, step(), or range()";

impl Parser<'_> {
    /// A duration in brackets; a plain one must be greater than 0.
    pub(super) fn positive_duration(&mut self, context: &'static str, expected: &'static str) -> Parsed<DurationExpr> {
        if !self.begins_duration() {
            return self.unexpected(context, expected);
        }
        self.duration_parts = 0;
        let duration = self.duration(0, context)?;
        if let DurationExpr::Literal(literal) = &duration
            && (literal.seconds <= 0.0 || literal.seconds.is_nan())
        {
            self.note(literal.pos, "duration must be greater than 0");
        }
        Ok(duration)
    }

    /// The duration after `offset`: one operand with at most one sign; arithmetic needs parentheses, because
    /// `x offset 2 ^ 2` is `(x offset 2) ^ 2`.
    pub(super) fn offset_duration(&mut self, context: &'static str, expected: &'static str) -> Parsed<DurationExpr> {
        let start = self.token().pos.start;
        let sign = match self.peek() {
            Kind::Op(BinaryOp::Sub) => Some(true),
            Kind::Op(BinaryOp::Add) => Some(false),
            _ => None,
        };
        if sign.is_some() {
            self.advance();
        }
        if !self.begins_duration() || matches!(self.peek(), Kind::Op(_)) {
            return self.unexpected(context, expected);
        }
        self.duration_parts = 0;
        let operand = self.duration_operand(context)?;
        Ok(match sign {
            Some(negative) => signed(negative, operand, start),
            None => operand,
        })
    }

    fn begins_duration(&self) -> bool {
        matches!(
            self.peek(),
            Kind::Number
                | Kind::Duration
                | Kind::LeftParen
                | Kind::Step
                | Kind::Range
                | Kind::MinOf
                | Kind::MaxOf
                | Kind::Op(BinaryOp::Add | BinaryOp::Sub)
        )
    }

    fn duration(&mut self, floor: u8, context: &'static str) -> Parsed<DurationExpr> {
        self.nested(|parser| {
            let mut lhs = parser.duration_operand(context)?;
            while let Kind::Op(op) = parser.peek() {
                let (power, rhs_floor) = binding(op);
                let arithmetic = matches!(
                    op,
                    BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul | BinaryOp::Div | BinaryOp::Mod | BinaryOp::Pow
                );
                if !arithmetic || power < floor {
                    break;
                }
                parser.advance();
                let rhs = parser.duration(rhs_floor, context)?;
                lhs = DurationExpr::Binary { op, lhs: Box::new(lhs), rhs: Box::new(rhs) };
            }
            Ok(lhs)
        })
    }

    fn duration_operand(&mut self, context: &'static str) -> Parsed<DurationExpr> {
        let token = self.token();
        self.duration_parts += 1;
        if self.duration_parts > MAX_DURATION_PARTS {
            let message = format!(
                "duration expression has more parts than the limit of {MAX_DURATION_PARTS} (MAX_DURATION_PARTS)"
            );
            return self.fail(token.pos, message);
        }
        match token.kind {
            Kind::Number | Kind::Duration => {
                let seconds = self.number_or_duration()?;
                if seconds.is_nan() || seconds.abs() > MAX_SECONDS {
                    return self.fail(token.pos, "duration out of range");
                }
                let is_duration = token.kind == Kind::Duration;
                Ok(DurationExpr::Literal(DurationLiteral { seconds, is_duration, pos: token.pos }))
            }
            Kind::Step | Kind::Range => {
                self.advance();
                self.expect(Kind::LeftParen, context, "\"(\"")?;
                self.expect(Kind::RightParen, context, "\")\"")?;
                Ok(if token.kind == Kind::Step { DurationExpr::Step } else { DurationExpr::Range })
            }
            Kind::MinOf | Kind::MaxOf => {
                self.advance();
                self.expect(Kind::LeftParen, context, "\"(\"")?;
                let first = Box::new(self.duration(0, context)?);
                self.expect(Kind::Comma, context, "\",\"")?;
                let second = Box::new(self.duration(0, context)?);
                self.expect(Kind::RightParen, context, "\")\"")?;
                Ok(match token.kind {
                    Kind::MinOf => DurationExpr::MinOf(first, second),
                    _ => DurationExpr::MaxOf(first, second),
                })
            }
            Kind::LeftParen => {
                self.advance();
                let inner = self.duration(0, context)?;
                self.expect(Kind::RightParen, context, "\")\"")?;
                Ok(DurationExpr::Paren(Box::new(inner)))
            }
            Kind::Op(op @ (BinaryOp::Add | BinaryOp::Sub)) => {
                self.advance();
                let operand = self.duration(binding(BinaryOp::Pow).0, context)?;
                Ok(signed(op == BinaryOp::Sub, operand, token.pos.start))
            }
            _ => self.unexpected(context, EXPECTED),
        }
    }
}

/// A sign melts into a literal.
fn signed(negative: bool, operand: DurationExpr, start: u32) -> DurationExpr {
    match operand {
        DurationExpr::Literal(literal) => DurationExpr::Literal(DurationLiteral {
            seconds: if negative { -literal.seconds } else { literal.seconds },
            pos: Pos { start, end: literal.pos.end },
            ..literal
        }),
        inner => DurationExpr::Unary { negative, inner: Box::new(inner) },
    }
}
