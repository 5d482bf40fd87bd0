//! The Pratt parser: operands, signs, postfix modifiers and binary operators by precedence.

use crate::limits::{MAX_QUERY_BYTES, MAX_QUERY_DEPTH};
use crate::model::{DurationError, quote};
use crate::promql::deep;

use super::ast::{
    BinaryExpr, BinaryOp, Cardinality, Expr, NumberLiteral, ParenExpr, Pos, StringLiteral, UnaryExpr, ValueType,
    VectorMatching,
};
use super::check::check;
use super::error::{MAX_ERRORS, ParseError, ParseErrors};
use super::lexer::{Lexed, lex};
use super::number::parse_number;
use super::text::unquote;
use super::token::{Kind, Token};

/// Parses a query and checks its types.
///
/// # Errors
/// Every mistake with its place; nesting beyond [`MAX_QUERY_DEPTH`] and texts beyond [`MAX_QUERY_BYTES`] are mistakes too.
pub fn parse(text: &str) -> Result<Expr, ParseErrors> {
    if text.len() > MAX_QUERY_BYTES {
        let message = format!("query is {} bytes long, the limit is {MAX_QUERY_BYTES} (MAX_QUERY_BYTES)", text.len());
        return Err(ParseError::new("-", Pos::default(), message).into());
    }
    let mut parser = Parser::new(text);
    if parser.peek() == Kind::Eof {
        return Err(ParseError::new(text, Pos::default(), "no expression found in input".to_owned()).into());
    }
    let parsed = parser.expression(0).and_then(|expr| parser.end().map(|()| expr));
    match (parsed, ParseErrors::of(std::mem::take(&mut parser.errors))) {
        (_, Some(errors)) => Err(errors),
        (Ok(mut expr), None) => match ParseErrors::of(check(text, &mut expr)) {
            Some(errors) => Err(errors),
            None => Ok(expr),
        },
        (Err(Stop), None) => Err(ParseError::new(text, Pos::default(), "invalid expression".to_owned()).into()),
    }
}

/// The parser cannot go on; the reason is already in its list.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stop;

/// What a step of the parser gives.
pub(super) type Parsed<T> = Result<T, Stop>;

/// Reads tokens from left to right, with one token of lookahead (two for `fill`).
pub(super) struct Parser<'a> {
    pub(super) text: &'a str,
    tokens: Vec<Token>,
    lexer_error: String,
    at: usize,
    pub(super) errors: Vec<ParseError>,
    /// How deep the recursion is.
    depth: usize,
    /// Height of the tree that the last step gave: walkers recurse that deep, also over long operator chains.
    pub(super) height: usize,
    /// Parts of the duration expression under way.
    pub(super) duration_parts: usize,
    /// Aggregations whose arguments are being read.
    pub(super) aggregations: usize,
}

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let Lexed { tokens, error } = lex(text);
        Self {
            text,
            tokens,
            lexer_error: error,
            at: 0,
            errors: Vec::new(),
            depth: 0,
            height: 0,
            duration_parts: 0,
            aggregations: 0,
        }
    }

    /// The next token; the last one (end or error) repeats for ever.
    pub(super) fn token(&self) -> Token {
        let last = Token { kind: Kind::Eof, pos: Pos::default() };
        self.tokens.get(self.at).or(self.tokens.last()).copied().unwrap_or(last)
    }

    pub(super) fn peek(&self) -> Kind {
        self.token().kind
    }

    /// The kind after the next one.
    pub(super) fn peek_second(&self) -> Kind {
        self.tokens.get(self.at + 1).map_or(Kind::Eof, |token| token.kind)
    }

    pub(super) fn advance(&mut self) -> Token {
        let token = self.token();
        self.at += 1;
        token
    }

    pub(super) fn accept(&mut self, kind: Kind) -> Option<Token> {
        (self.peek() == kind).then(|| self.advance())
    }

    pub(super) fn expect(&mut self, kind: Kind, context: &str, expected: &str) -> Parsed<Token> {
        self.accept(kind).ok_or(Stop).or_else(|Stop| self.unexpected(context, expected))
    }

    /// The token as written.
    pub(super) fn lexeme(&self, token: Token) -> &'a str {
        self.text.get(token.pos.start as usize..token.pos.end as usize).unwrap_or("")
    }

    /// Where the last token that was taken ends.
    pub(super) fn last_end(&self) -> u32 {
        self.at.checked_sub(1).and_then(|at| self.tokens.get(at)).map_or(0, |token| token.pos.end)
    }

    /// Notes a mistake after which parsing can go on.
    pub(super) fn note(&mut self, pos: Pos, message: impl Into<String>) {
        if self.errors.len() < MAX_ERRORS {
            self.errors.push(ParseError::new(self.text, pos, message.into()));
        }
    }

    /// Stops because of a mistake.
    pub(super) fn fail<T>(&mut self, pos: Pos, message: impl Into<String>) -> Parsed<T> {
        self.note(pos, message);
        Err(Stop)
    }

    /// Stops because the next token does not fit.
    pub(super) fn unexpected<T>(&mut self, context: &str, expected: &str) -> Parsed<T> {
        let token = self.token();
        if token.kind == Kind::Error {
            let message = self.lexer_error.clone();
            return self.fail(token.pos, message);
        }
        // A mistake without a place of its own is one of the innermost aggregation around it.
        let context = if context.is_empty() && self.aggregations > 0 { "aggregation" } else { context };
        let mut message = format!("unexpected {}", token.kind.describe(self.lexeme(token)));
        if !context.is_empty() {
            message.push_str(" in ");
            message.push_str(context);
        }
        if !expected.is_empty() {
            message.push_str(", expected ");
            message.push_str(expected);
        }
        self.fail(token.pos, message)
    }

    fn end(&mut self) -> Parsed<()> {
        if self.peek() == Kind::Eof { Ok(()) } else { self.unexpected("", "") }
    }

    /// Runs a step one level deeper.
    pub(super) fn nested<T>(&mut self, step: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.depth += 1;
        if self.depth > MAX_QUERY_DEPTH {
            return self.too_deep();
        }
        let result = deep(|| step(self));
        self.depth -= 1;
        result
    }

    /// Notes that the tree under way is one node higher than `below`.
    pub(super) fn grow(&mut self, below: usize) -> Parsed<()> {
        self.height = below + 1;
        if self.height > MAX_QUERY_DEPTH { self.too_deep() } else { Ok(()) }
    }

    fn too_deep<T>(&mut self) -> Parsed<T> {
        let pos = self.token().pos;
        self.fail(pos, format!("expression nests deeper than the limit of {MAX_QUERY_DEPTH} levels (MAX_QUERY_DEPTH)"))
    }

    /// An expression whose binary operators all bind at least as strongly as `floor`.
    pub(super) fn expression(&mut self, floor: u8) -> Parsed<Expr> {
        self.nested(|parser| {
            let mut lhs = parser.operand()?;
            while let Kind::Op(op) = parser.peek() {
                let (power, rhs_floor) = binding(op);
                if power < floor {
                    break;
                }
                lhs = parser.binary(lhs, op, rhs_floor)?;
            }
            Ok(lhs)
        })
    }

    fn operand(&mut self) -> Parsed<Expr> {
        match self.peek() {
            Kind::Op(BinaryOp::Add | BinaryOp::Sub) => self.unary(),
            _ => {
                let expr = self.primary()?;
                self.postfix(expr)
            }
        }
    }

    /// A sign binds as `*` does: weaker than `^`. It melts into a number.
    fn unary(&mut self) -> Parsed<Expr> {
        let sign = self.advance();
        let negative = sign.kind == Kind::Op(BinaryOp::Sub);
        let mut expr = self.expression(POWER)?;
        if let Expr::Number(number) = &mut expr {
            number.pos.start = sign.pos.start;
            number.value = if negative { -number.value } else { number.value };
            return Ok(expr);
        }
        self.grow(self.height)?;
        let pos = Pos { start: sign.pos.start, end: expr.pos().end };
        Ok(Expr::Unary(UnaryExpr { negative, expr: Box::new(expr), pos }))
    }

    fn primary(&mut self) -> Parsed<Expr> {
        let token = self.token();
        self.height = 1;
        match token.kind {
            Kind::Number | Kind::Duration => {
                let value = self.number_or_duration()?;
                let is_duration = token.kind == Kind::Duration;
                Ok(Expr::Number(NumberLiteral { value, is_duration, pos: token.pos }))
            }
            Kind::String => {
                let value = self.string()?;
                Ok(Expr::String(StringLiteral { value, pos: token.pos }))
            }
            Kind::LeftParen => self.parenthesised(),
            Kind::Aggregate(op) if matches!(self.peek_second(), Kind::LeftParen | Kind::By | Kind::Without) => {
                self.aggregation(op)
            }
            kind if kind.is_function_name() && self.peek_second() == Kind::LeftParen => self.call(),
            kind if kind.is_metric_name() || kind == Kind::LeftBrace => self.vector_selector(),
            _ => self.unexpected("", ""),
        }
    }

    fn parenthesised(&mut self) -> Parsed<Expr> {
        let start = self.advance().pos.start;
        let expr = self.expression(0)?;
        let end = self.expect(Kind::RightParen, "", "")?.pos.end;
        self.grow(self.height)?;
        Ok(Expr::Paren(ParenExpr { expr: Box::new(expr), pos: Pos { start, end } }))
    }

    /// Value of the number or duration (in seconds) that comes next.
    pub(super) fn number_or_duration(&mut self) -> Parsed<f64> {
        let token = self.advance();
        let text = self.lexeme(token);
        if token.kind == Kind::Number {
            return match parse_number(text) {
                Ok(value) => Ok(value),
                Err(reason) => self.fail(token.pos, format!("error parsing number: {reason}")),
            };
        }
        match crate::model::parse_duration(text) {
            Ok(duration) => Ok(duration.as_secs_f64()),
            Err(DurationError::Range(_)) => self.fail(token.pos, "duration out of range"),
            Err(DurationError::Unit { unit, .. }) => {
                self.fail(token.pos, format!("unknown unit {} in duration {}", quote(&unit), quote(text)))
            }
            Err(_) => self.fail(token.pos, format!("not a valid duration string: {}", quote(text))),
        }
    }

    /// The string that comes next, unescaped.
    pub(super) fn string(&mut self) -> Parsed<String> {
        let token = self.advance();
        match unquote(self.lexeme(token)) {
            Ok(value) => Ok(value),
            Err(reason) => self.fail(token.pos, reason),
        }
    }

    fn binary(&mut self, lhs: Expr, op: BinaryOp, rhs_floor: u8) -> Parsed<Expr> {
        let below = self.height;
        self.advance();
        let return_bool = self.accept(Kind::Bool).is_some();
        let mut matching = VectorMatching::default();
        self.matching(&mut matching)?;
        self.fill(&mut matching)?;
        if op.is_set() && matching.cardinality == Cardinality::OneToOne {
            matching.cardinality = Cardinality::ManyToMany;
        }
        let rhs = self.expression(rhs_floor)?;
        self.grow(below.max(self.height))?;
        let pos = Pos { start: lhs.pos().start, end: rhs.pos().end };
        let gives = match (lhs.value_type(), rhs.value_type()) {
            (ValueType::Scalar, ValueType::Scalar) => ValueType::Scalar,
            _ => ValueType::Vector,
        };
        Ok(Expr::Binary(Box::new(BinaryExpr { op, lhs, rhs, matching: Some(matching), return_bool, gives, pos })))
    }

    /// `on (…)`, `ignoring (…)` and the `group_left (…)`, `group_right (…)` that may follow.
    fn matching(&mut self, matching: &mut VectorMatching) -> Parsed<()> {
        let kind = self.peek();
        if !matches!(kind, Kind::On | Kind::Ignoring) {
            return Ok(());
        }
        self.advance();
        matching.on = kind == Kind::On;
        matching.labels = self.grouping_labels()?;
        matching.cardinality = match self.peek() {
            Kind::GroupLeft => Cardinality::ManyToOne,
            Kind::GroupRight => Cardinality::OneToMany,
            _ => return Ok(()),
        };
        self.advance();
        if self.peek() == Kind::LeftParen {
            matching.include = self.grouping_labels()?;
        }
        Ok(())
    }

    /// `fill (v)`, or `fill_left (v)` and `fill_right (v)` in any order.
    fn fill(&mut self, matching: &mut VectorMatching) -> Parsed<()> {
        while self.peek_second() == Kind::LeftParen {
            let kind = self.peek();
            let taken = match kind {
                Kind::Fill => matching.fill_left.is_some() || matching.fill_right.is_some(),
                Kind::FillLeft => matching.fill_left.is_some(),
                Kind::FillRight => matching.fill_right.is_some(),
                _ => return Ok(()),
            };
            if taken {
                return self.unexpected("", "");
            }
            self.advance();
            self.advance();
            let value = self.signed_number("", "")?;
            self.expect(Kind::RightParen, "", "")?;
            if kind != Kind::FillRight {
                matching.fill_left = Some(value);
            }
            if kind != Kind::FillLeft {
                matching.fill_right = Some(value);
            }
        }
        Ok(())
    }

    /// A number or duration with an optional sign.
    pub(super) fn signed_number(&mut self, context: &str, expected: &str) -> Parsed<f64> {
        let negative = self.accept(Kind::Op(BinaryOp::Sub)).is_some();
        if !negative {
            self.accept(Kind::Op(BinaryOp::Add));
        }
        if !matches!(self.peek(), Kind::Number | Kind::Duration) {
            return self.unexpected(context, expected);
        }
        let value = self.number_or_duration()?;
        Ok(if negative { -value } else { value })
    }
}

/// The level of `^`, which signs leave to their operand.
const POWER: u8 = 6;

/// How strongly an operator binds, and what its right side must at least bind with: only `^` groups to the right.
pub(super) const fn binding(op: BinaryOp) -> (u8, u8) {
    match op {
        BinaryOp::Or => (1, 2),
        BinaryOp::And | BinaryOp::Unless => (2, 3),
        BinaryOp::Eq
        | BinaryOp::Ne
        | BinaryOp::Lt
        | BinaryOp::Le
        | BinaryOp::Gt
        | BinaryOp::Ge
        | BinaryOp::TrimUpper
        | BinaryOp::TrimLower => (3, 4),
        BinaryOp::Add | BinaryOp::Sub => (4, 5),
        BinaryOp::Mul | BinaryOp::Div | BinaryOp::Mod | BinaryOp::Atan2 => (5, 6),
        BinaryOp::Pow => (POWER, POWER),
    }
}
