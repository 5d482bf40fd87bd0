//! Selectors and what may follow an operand: ranges, subqueries, `offset`, `@`, `anchored`, `smoothed`.

use crate::model::{METRIC_NAME, MatchOp, Matcher, format_float};

use super::ast::{
    AtModifier, BinaryOp, DurationExpr, Expr, MatrixSelector, Pos, RangeMode, SubqueryExpr, VectorSelector,
};
use super::duration::{DURATION, Place};
use super::grammar::{Parsed, Parser};
use super::token::Kind;

impl Parser<'_> {
    /// `name`, `name{…}`, `{…}`.
    pub(super) fn vector_selector(&mut self) -> Parsed<Expr> {
        let first = self.token();
        let mut selector = VectorSelector { pos: first.pos, ..VectorSelector::default() };
        if first.kind != Kind::LeftBrace {
            self.lexeme(first).clone_into(&mut selector.name);
            self.advance();
        }
        if self.peek() == Kind::LeftBrace {
            self.matchers(&mut selector)?;
        }
        if !selector.name.is_empty() {
            selector.matchers.push(Matcher::equal(METRIC_NAME, &selector.name));
        }
        selector.pos.end = self.last_end();
        Ok(Expr::Vector(selector))
    }

    fn matchers(&mut self, selector: &mut VectorSelector) -> Parsed<()> {
        const CONTEXT: &str = "label matching";
        self.advance();
        while self.accept(Kind::RightBrace).is_none() {
            self.matcher(selector)?;
            if self.accept(Kind::Comma).is_none() && self.peek() != Kind::RightBrace {
                return self.unexpected(CONTEXT, "\",\" or \"}\"");
            }
        }
        Ok(())
    }

    /// `label="value"`, `"quoted label"="value"`, or a quoted metric name.
    fn matcher(&mut self, selector: &mut VectorSelector) -> Parsed<()> {
        const CONTEXT: &str = "label matching";
        let first = self.token();
        let name = match first.kind {
            Kind::Identifier => {
                self.advance();
                self.lexeme(first).to_owned()
            }
            Kind::String => self.string()?,
            _ => return self.unexpected(CONTEXT, "identifier or \"}\""),
        };
        let op = match self.peek() {
            Kind::Equal => MatchOp::Equal,
            Kind::Op(BinaryOp::Ne) => MatchOp::NotEqual,
            Kind::RegexMatch => MatchOp::Regex,
            Kind::RegexNoMatch => MatchOp::NotRegex,
            // A quoted metric name is a matcher like any other; `check` finds a second one beside a name before the braces.
            _ if first.kind == Kind::String => {
                selector.matchers.push(Matcher::equal(METRIC_NAME, &name));
                return Ok(());
            }
            _ => return self.unexpected(CONTEXT, "label matching operator"),
        };
        self.advance();
        if self.peek() != Kind::String {
            return self.unexpected(CONTEXT, "string");
        }
        let value = self.string()?;
        match Matcher::new(op, &name, &value) {
            Ok(matcher) => selector.matchers.push(matcher),
            Err(error) => {
                let pos = Pos { start: first.pos.start, end: self.last_end() };
                self.note(pos, error.to_string());
            }
        }
        Ok(())
    }

    /// Applies every modifier that follows an operand.
    pub(super) fn postfix(&mut self, mut expr: Expr) -> Parsed<Expr> {
        loop {
            match self.peek() {
                Kind::LeftBracket => expr = self.range_or_subquery(expr)?,
                Kind::Offset => self.offset(&mut expr)?,
                Kind::At => self.at(&mut expr)?,
                Kind::Anchored => self.mode(&mut expr, RangeMode::Anchored),
                Kind::Smoothed => self.mode(&mut expr, RangeMode::Smoothed),
                _ => return Ok(expr),
            }
        }
    }

    fn range_or_subquery(&mut self, mut expr: Expr) -> Parsed<Expr> {
        let open = self.advance();
        let range = self.positive_duration(Place { context: "subquery or range selector", expected: DURATION })?;
        if self.accept(Kind::Colon).is_some() {
            return self.subquery(expr, range);
        }
        let close = self.expect(Kind::RightBracket, "subquery or range", "\":\" or \"]\"")?;
        let brackets = Pos { start: open.pos.start, end: close.pos.end };
        let Expr::Vector(selector) = &mut expr else {
            return self.fail(brackets, "ranges only allowed for vector selectors");
        };
        let selector = std::mem::take(selector);
        // What is not a plain time is overlooked by Prometheus, and moves behind the range.
        if matches!(selector.offset, Some(DurationExpr::Literal(_))) {
            self.note(brackets, "no offset modifiers allowed before range");
        } else if matches!(selector.at, Some(AtModifier::At(_))) {
            self.note(brackets, "no @ modifiers allowed before range");
        }
        let pos = Pos { start: selector.pos.start, end: close.pos.end };
        Ok(Expr::Matrix(MatrixSelector { selector, range, pos }))
    }

    fn subquery(&mut self, expr: Expr, range: DurationExpr) -> Parsed<Expr> {
        let below = self.height;
        let step = match self.peek() {
            Kind::RightBracket => None,
            _ => {
                const EXPECTED: &str = "number, duration, step(), range(), or \"]\"";
                Some(self.positive_duration(Place { context: "subquery selector", expected: EXPECTED })?)
            }
        };
        let close = self.expect(Kind::RightBracket, "subquery selector", "\"]\"")?;
        self.grow(below)?;
        let pos = Pos { start: expr.pos().start, end: close.pos.end };
        Ok(Expr::Subquery(Box::new(SubqueryExpr { expr, range, step, offset: None, at: None, pos })))
    }

    fn offset(&mut self, expr: &mut Expr) -> Parsed<()> {
        self.advance();
        let offset = self.offset_duration(Place { context: "offset", expected: DURATION })?;
        let (pos, end) = (expr.pos(), self.last_end());
        let slot = match expr {
            Expr::Vector(node) => {
                node.pos.end = end;
                &mut node.offset
            }
            Expr::Matrix(node) => {
                node.pos.end = end;
                &mut node.selector.offset
            }
            Expr::Subquery(node) => {
                node.pos.end = end;
                &mut node.offset
            }
            _ => {
                let message = "offset modifier must be preceded by an instant vector selector or range vector selector \
                               or a subquery";
                self.note(pos, message);
                return Ok(());
            }
        };
        match slot {
            Some(_) => self.note(pos, "offset may not be set multiple times"),
            None => *slot = offset,
        }
        Ok(())
    }

    fn at(&mut self, expr: &mut Expr) -> Parsed<()> {
        self.advance();
        let at = self.at_time(expr.pos())?;
        let (pos, end) = (expr.pos(), self.last_end());
        let slot = match expr {
            Expr::Vector(node) => {
                node.pos.end = end;
                &mut node.at
            }
            Expr::Matrix(node) => {
                node.pos.end = end;
                &mut node.selector.at
            }
            Expr::Subquery(node) => {
                node.pos.end = end;
                &mut node.at
            }
            _ => {
                let message =
                    "@ modifier must be preceded by an instant vector selector or range vector selector or a subquery";
                self.note(pos, message);
                return Ok(());
            }
        };
        match slot {
            Some(_) => self.note(pos, "@ <timestamp> may not be set multiple times"),
            None => *slot = Some(at),
        }
        Ok(())
    }

    /// What follows `@`: a time in seconds (also written as a duration), `start()` or `end()`.
    fn at_time(&mut self, pos: Pos) -> Parsed<AtModifier> {
        const CONTEXT: &str = "@";
        const EXPECTED: &str = "timestamp";
        let preprocessor = match self.peek() {
            Kind::Start => AtModifier::Start,
            Kind::End => AtModifier::End,
            _ => {
                let seconds = self.signed_number(CONTEXT, EXPECTED)?;
                // The bounds of Go's int64, although it counts milliseconds; NaN is outside too.
                if !(seconds > -9.223_372_036_854_776e18 && seconds < 9.223_372_036_854_776e18) {
                    let seconds = if seconds.is_finite() { format!("{seconds:.6}") } else { format_float(seconds) };
                    return self.fail(pos, format!("timestamp out of bounds for @ modifier: {seconds}"));
                }
                return Ok(AtModifier::At((seconds * 1000.0).round() as i64));
            }
        };
        self.advance();
        self.expect(Kind::LeftParen, CONTEXT, EXPECTED)?;
        self.expect(Kind::RightParen, CONTEXT, EXPECTED)?;
        Ok(preprocessor)
    }

    fn mode(&mut self, expr: &mut Expr, mode: RangeMode) {
        let word = if mode == RangeMode::Anchored { "anchored" } else { "smoothed" };
        let end = self.advance().pos.end;
        let pos = expr.pos();
        let selector = match expr {
            Expr::Vector(node) => node,
            Expr::Matrix(node) => {
                node.pos.end = end;
                &mut node.selector
            }
            Expr::Subquery(_) => return self.note(pos, format!("{word} modifier is not supported for subqueries")),
            _ => return self.note(pos, format!("{word} modifier not implemented")),
        };
        if selector.mode != RangeMode::Plain && selector.mode != mode {
            return self.note(pos, "anchored and smoothed modifiers cannot be used together");
        }
        selector.mode = mode;
        selector.pos.end = end;
    }
}
