//! Scalars, vectors and the operators between them.

use super::{Generator, Type};

impl Generator {
    pub(super) fn scalar(&mut self, depth: u64) -> String {
        if depth == 0 {
            return self.number();
        }
        match self.random.below(if self.wild() { 9 } else { 7 }) {
            5 if self.wild() => self.chain(Type::Scalar),
            0 if self.wild() => format!("{}{}", self.random.pick(&["-", "+", "--", "-+ "]), self.scalar(depth - 1)),
            1 => self.call(Type::Scalar, depth),
            2 => {
                let (lhs, rhs) = (self.operand(Type::Scalar, depth), self.operand(Type::Scalar, depth));
                let op = self.random.pick(&["+", "-", "*", "/", "%", "^", "atan2", "== bool", "< bool", ">= bool"]);
                let (left, right) = (self.blank(), self.blank());
                format!("{lhs}{left}{op}{right}{rhs}")
            }
            3 if !self.wild() => self.random.pick(&["(time() % 3)", "scalar(sum(gauge))"]).to_owned(),
            4 if self.wild() => {
                let inner = self.scalar(depth - 1);
                self.parens(&inner)
            }
            _ => self.number(),
        }
    }

    /// An expression in parentheses unless it is one word: pieces must not group differently than their types allow.
    fn operand(&mut self, kind: Type, depth: u64) -> String {
        let text = self.expression(kind, depth - 1);
        let is_word = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if is_word { text } else { self.parens(&text) }
    }

    /// Operands of one type without parentheses, so that the operators decide how they group.
    fn chain(&mut self, kind: Type) -> String {
        let mut ops = vec!["+", "-", "*", "/", "%", "^", "atan2", "*", "^"];
        if kind == Type::Vector {
            ops.extend(["and", "or", "unless", "==", "<", "!="]);
        }
        let mut text = String::new();
        for i in 0..2 + self.random.below(4) {
            if i > 0 {
                let (left, op, right) = (self.blank(), self.random.pick(&ops), self.blank());
                text.push_str(&format!("{left}{op}{right}"));
            }
            text.push_str(self.random.pick(&["", "", "", "-", "+", "--"]));
            text.push_str(&if kind == Type::Vector { self.series() } else { self.number() });
        }
        text
    }

    pub(super) fn vector(&mut self, depth: u64) -> String {
        if depth == 0 {
            return self.selector();
        }
        match self.random.below(10) {
            0 => self.selector(),
            1..=3 => self.call(Type::Vector, depth),
            4 | 5 => self.aggregation(depth),
            6 => self.with_scalar(depth),
            7 | 8 => self.with_vector(depth),
            _ => {
                let inner = self.operand(Type::Vector, depth);
                format!("{}{inner}", if self.wild() { self.random.pick(&["-", "+", "- "]) } else { "-" })
            }
        }
    }

    fn with_scalar(&mut self, depth: u64) -> String {
        let (vector, scalar) = (self.operand(Type::Vector, depth), self.operand(Type::Scalar, depth.min(2)));
        let mut ops = vec!["+", "-", "*", "/", "%", "^", ">", "< bool", "==", "!=", "<=", ">= bool", "atan2"];
        if self.wild() {
            ops.extend(["</", ">/"]);
        }
        let (op, left, right) = (self.random.pick(&ops), self.blank(), self.blank());
        if self.random.one_in(4) {
            format!("{scalar}{left}{op}{right}{vector}")
        } else {
            format!("{vector}{left}{op}{right}{scalar}")
        }
    }

    fn with_vector(&mut self, depth: u64) -> String {
        if self.wild() && self.random.one_in(3) {
            return self.chain(Type::Vector);
        }
        let (lhs, rhs) = (self.operand(Type::Vector, depth), self.operand(Type::Vector, depth));
        let (left, right) = (self.blank(), self.blank());
        if self.random.one_in(3) {
            let op = self.random.pick(&["and", "or", "unless"]);
            let (op, matching) = (self.keyword(op), self.matching());
            return format!("{lhs}{left}{op}{matching}{right}{rhs}");
        }
        let op = self.random.pick(&["+", "-", "*", "/", "%", "^", ">", "==", "!=", "< bool", ">= bool", "atan2"]);
        if !self.wild() {
            let tail = self.random.pick(&[
                "",
                " on (a, b)",
                " on (a) group_left ()",
                " ignoring (b) group_right ()",
                " ignoring (le)",
                " on (a, b) fill (0)",
                " on (a, b) fill_left (1)",
            ]);
            return format!("{lhs} {op}{tail} {rhs}");
        }
        let mut tail = self.matching();
        if !tail.is_empty() && self.random.one_in(3) {
            let word = self.random.pick(&["group_left", "group_right"]);
            // Labels of `on` must not appear here.
            let include = self.random.pick(&["()", "(z)", "(z, \"y.z\",)"]);
            tail.push_str(&format!(" {word}{include}"));
        }
        if self.random.one_in(4) {
            let value = self.random.pick(&["0", "-1.5", "+Inf", "NaN", "1e6", "5m", "1e-7"]);
            tail.push_str(&match self.random.below(4) {
                0 => format!(" fill({value})"),
                1 => format!(" fill_left ({value})"),
                2 => format!(" FILL_RIGHT({value})"),
                _ => format!(" fill_right({value}) fill_left(3)"),
            });
        }
        format!("{lhs}{left}{op}{tail}{right}{rhs}")
    }

    fn matching(&mut self) -> String {
        if !self.wild() {
            return self.random.pick(&["", "", " on (a)", " on (a, b)", " ignoring (b)"]).to_owned();
        }
        if self.random.one_in(2) {
            return String::new();
        }
        let word = self.random.pick(&["on", "ignoring"]);
        format!(" {}{}", self.keyword(word), self.labels())
    }
}
