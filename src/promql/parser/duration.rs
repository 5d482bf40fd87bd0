//! Durations in ranges and offsets: literals, `step()`, `range()` and arithmetic over them.

use crate::limits::MAX_DURATION_PARTS;

use super::ast::{BinaryOp, DurationExpr, DurationLiteral, Pos};
use super::grammar::{Parsed, Parser, binding};
use super::token::{Kind, Token};

/// Seconds beyond which a duration does not fit Go's nanoseconds.
const MAX_SECONDS: f64 = 9_223_372_036.854_775;

/// What may stand in a duration.
pub(super) const DURATION: &str = "number, duration, step(), or range()";

/// How a mistake in a duration is told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) context: &'static str,
    pub(super) expected: &'static str,
}

impl Parser<'_> {
    /// A duration in brackets; a plain one must be greater than 0.
    pub(super) fn positive_duration(&mut self, place: Place) -> Parsed<DurationExpr> {
        if !self.begins_duration() {
            return self.misplaced(place);
        }
        self.duration_parts = 0;
        let duration = whole(self.duration(0, place)?);
        if let DurationExpr::Literal(literal) = &duration
            && literal.seconds <= 0.0
        {
            self.note(literal.pos, "duration must be greater than 0");
        }
        Ok(duration)
    }

    /// The duration after `offset`: one operand with at most one sign; arithmetic needs parentheses, because
    /// `x offset 2 ^ 2` is `(x offset 2) ^ 2`. `None` for a plain 0, which Prometheus takes for no offset.
    pub(super) fn offset_duration(&mut self, place: Place) -> Parsed<Option<DurationExpr>> {
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
            return self.misplaced(place);
        }
        self.duration_parts = 0;
        let operand = self.duration_operand(place)?;
        let duration = whole(match sign {
            Some(negative) => signed(negative, operand, start),
            None => operand,
        });
        let is_zero = matches!(&duration, DurationExpr::Literal(literal) if literal.seconds == 0.0);
        Ok((!is_zero).then_some(duration))
    }

    fn misplaced<T>(&mut self, place: Place) -> Parsed<T> {
        self.unexpected(place.context, place.expected)
    }

    fn expect_here(&mut self, kind: Kind, place: Place) -> Parsed<Token> {
        self.expect(kind, place.context, place.expected)
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

    fn duration(&mut self, floor: u8, place: Place) -> Parsed<DurationExpr> {
        self.nested(|parser| {
            let mut lhs = parser.duration_operand(place)?;
            while let Kind::Op(op) = parser.peek() {
                let (power, rhs_floor) = binding(op);
                let arithmetic = matches!(
                    op,
                    BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul | BinaryOp::Div | BinaryOp::Mod | BinaryOp::Pow
                );
                if !arithmetic || power < floor {
                    break;
                }
                let sign = parser.advance();
                let rhs = parser.duration(rhs_floor, place)?;
                if matches!(op, BinaryOp::Div | BinaryOp::Mod) && is_zero(&rhs) {
                    let what = if op == BinaryOp::Div { "division" } else { "modulo" };
                    parser.note(sign.pos, format!("{what} by zero"));
                }
                lhs = DurationExpr::Binary { op, lhs: Box::new(lhs), rhs: Box::new(rhs) };
            }
            Ok(lhs)
        })
    }

    fn duration_operand(&mut self, place: Place) -> Parsed<DurationExpr> {
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
                self.expect_here(Kind::LeftParen, place)?;
                self.expect_here(Kind::RightParen, place)?;
                Ok(if token.kind == Kind::Step { DurationExpr::Step } else { DurationExpr::Range })
            }
            Kind::MinOf | Kind::MaxOf => {
                self.advance();
                self.expect_here(Kind::LeftParen, place)?;
                let first = Box::new(self.duration(0, place)?);
                self.expect_here(Kind::Comma, place)?;
                let second = Box::new(self.duration(0, place)?);
                self.expect_here(Kind::RightParen, place)?;
                Ok(match token.kind {
                    Kind::MinOf => DurationExpr::MinOf(first, second),
                    _ => DurationExpr::MaxOf(first, second),
                })
            }
            Kind::LeftParen => {
                self.advance();
                let inner = self.duration(0, place)?;
                self.expect_here(Kind::RightParen, place)?;
                Ok(match inner {
                    // A second pair says no more than the first, and a number needs none unless a sign would get lost:
                    // `(-2) ^ 2` is not `-2 ^ 2`.
                    DurationExpr::Paren(_) => inner,
                    DurationExpr::Literal(literal) if !literal.seconds.is_sign_negative() => inner,
                    inner => DurationExpr::Paren(Box::new(inner)),
                })
            }
            Kind::Op(op @ (BinaryOp::Add | BinaryOp::Sub)) => {
                self.advance();
                let operand = self.duration(binding(BinaryOp::Pow).0, place)?;
                Ok(signed(op == BinaryOp::Sub, operand, token.pos.start))
            }
            _ => self.misplaced(place),
        }
    }
}

/// A sign melts into a literal; a plus says nothing.
fn signed(negative: bool, operand: DurationExpr, start: u32) -> DurationExpr {
    match without_parens(operand) {
        DurationExpr::Literal(literal) => DurationExpr::Literal(DurationLiteral {
            seconds: if negative { -literal.seconds } else { literal.seconds },
            pos: Pos { start, end: literal.pos.end },
            ..literal
        }),
        inner if negative => DurationExpr::Unary { negative, inner: Box::new(inner) },
        inner => inner,
    }
}

/// The number in parentheses, if it is no more than that.
fn without_parens(duration: DurationExpr) -> DurationExpr {
    match duration {
        DurationExpr::Paren(inner) => match *inner {
            DurationExpr::Literal(literal) => DurationExpr::Literal(literal),
            inner => DurationExpr::Paren(Box::new(inner)),
        },
        duration => duration,
    }
}

fn is_zero(duration: &DurationExpr) -> bool {
    match duration {
        DurationExpr::Paren(inner) => is_zero(inner),
        DurationExpr::Literal(literal) => literal.seconds == 0.0,
        _ => false,
    }
}

/// A whole range, step or offset: what is a plain number of milliseconds prints as a duration, however it was written.
fn whole(duration: DurationExpr) -> DurationExpr {
    match without_parens(duration) {
        DurationExpr::Literal(literal) => {
            let seconds = (literal.seconds * 1e9).round() / 1e9;
            let ms = seconds * 1e3;
            let is_duration = literal.is_duration || (ms - ms.round()).abs() < 1e-6;
            DurationExpr::Literal(DurationLiteral { seconds, is_duration, ..literal })
        }
        duration => duration,
    }
}
