//! Tree → text over several lines, as Prometheus' formatter lays it out: what does not fit a line is split at its operator
//! or its arguments, each level two columns further in.

use std::fmt::{self, Display, Write as _};

use crate::promql::deep;

use super::ast::Expr;
use super::printer::{Aggregation, Operator, SubqueryTimes, has_infinite_base};

/// Characters of a line; longer expressions are split.
const LINE: usize = 100;
/// Levels that are still moved in. Prometheus has no such limit; without it the text of a chain would grow with the square
/// of its length.
const MAX_LEVELS: usize = 50;

/// The expression over as many lines as it needs. Comments are not part of the tree and get lost.
pub fn pretty(expr: &Expr) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = write(expr, 0, Start::Indented, &mut out);
    out
}

/// Whether a node begins its line or continues one.
#[derive(Clone, Copy, PartialEq)]
enum Start {
    Indented,
    Continued,
}

fn write(expr: &Expr, level: usize, start: Start, out: &mut String) -> fmt::Result {
    deep(|| split(expr, level, start, out))
}

fn split(expr: &Expr, level: usize, start: Start, out: &mut String) -> fmt::Result {
    match expr {
        Expr::Unary(node) => {
            indent(level, start, out);
            out.push(if node.negative { '-' } else { '+' });
            return write(&node.expr, level, Start::Continued, out);
        }
        // In Prometheus a short subquery is not moved in, because its expression would be.
        Expr::Subquery(_) if fits(expr) => return write!(out, "{expr}"),
        _ if expr.is_leaf() || fits(expr) => {
            indent(level, start, out);
            return write!(out, "{expr}");
        }
        Expr::Binary(node) => {
            if has_infinite_base(node) {
                indent(level + 1, start, out);
                out.push_str("Inf");
            } else {
                write(&node.lhs, level + 1, start, out)?;
            }
            out.push('\n');
            indent(level, Start::Indented, out);
            writeln!(out, "{}", Operator(node))?;
            return write(&node.rhs, level + 1, Start::Indented, out);
        }
        Expr::Subquery(node) => {
            write(&node.expr, level, start, out)?;
            return write!(out, "{}", SubqueryTimes(node));
        }
        _ => indent(level, start, out),
    }
    match expr {
        Expr::Aggregate(node) => {
            write!(out, "{}", Aggregation(node))?;
            arguments(node.param.iter().chain([&node.expr]), level, out)
        }
        Expr::Call(node) => {
            out.push_str(node.func.name);
            arguments(node.args.iter(), level, out)
        }
        Expr::Paren(node) => arguments([&*node.expr].into_iter(), level, out),
        _ => Ok(()),
    }
}

/// `(`, each argument on lines of its own, `)`.
fn arguments<'a>(args: impl Iterator<Item = &'a Expr>, level: usize, out: &mut String) -> fmt::Result {
    out.push('(');
    for (i, arg) in args.enumerate() {
        out.push_str(if i == 0 { "\n" } else { ",\n" });
        write(arg, level + 1, Start::Indented, out)?;
    }
    out.push('\n');
    indent(level, Start::Indented, out);
    out.push(')');
    Ok(())
}

fn indent(level: usize, start: Start, out: &mut String) {
    if start == Start::Indented {
        out.extend(std::iter::repeat_n("  ", level.min(MAX_LEVELS)));
    }
}

/// Whether the expression fits one line. Looks at no more of it than a line holds.
fn fits(expr: &Expr) -> bool {
    !leans_left(expr) && write!(Line(0), "{}", expr as &dyn Display).is_ok()
}

/// Whether more nodes begin at the expression's first character than a line has characters: each prints at least one, but
/// only after all those below it.
fn leans_left(expr: &Expr) -> bool {
    let mut expr = expr;
    for _ in 0..LINE {
        expr = match expr {
            Expr::Binary(node) => &node.lhs,
            Expr::Subquery(node) => &node.expr,
            _ => return false,
        };
    }
    true
}

/// Counts what is written, and refuses what does not fit.
struct Line(usize);

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        if self.0 > LINE { Err(fmt::Error) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::pretty;
    use crate::promql::parser::parse;

    /// Names are shortened to keep lines readable: `L` stands for one that fills a line by itself.
    fn check(input: &str, expected: &str) {
        let long = "l".repeat(101);
        let expr = parse(&input.replace('L', &long)).unwrap_or_else(|error| panic!("{input}: {error}"));
        let text = pretty(&expr);
        assert_eq!(text.replace(&long, "L"), expected, "{input}");
        assert!(parse(&text).expect("parses").strip_positions() == expr.strip_positions(), "{input}");
    }

    #[test]
    fn splits_what_is_too_long() {
        check("sum ( a )", "sum(a)");
        check("L", "L");
        check("-L", "-L");
        check("sum by(a)(L)", "sum by (a) (\n  L\n)");
        check("sum(L) without(a,b)", "sum without (a, b) (\n  L\n)");
        check("topk(5, L)", "topk(\n  5,\n  L\n)");
        check("rate(L[1m] offset 5m)", "rate(\n  L[1m] offset 5m\n)");
        check("a + L * b", "  a\n+\n    L\n  *\n    b");
        check("a + b + L", "  a + b\n+\n  L");
        check("a == bool on(x) group_left(y) L", "  a\n== bool on (x) group_left (y)\n  L");
        check("Inf ^ L", "  Inf\n^\n  L");
        check("(L)", "(\n  L\n)");
        check("((a + L))", "(\n  (\n      a\n    +\n      L\n  )\n)");
        check("-(a + L)", "-(\n    a\n  +\n    L\n)");
        check("-sum(L) / -2", "  -sum(\n    L\n  )\n/\n  -2");
        check("max_over_time(rate(L[1m])[1h:1m] @ end())", "max_over_time(\n  rate(\n    L[1m]\n  )[1h:1m] @ end()\n)");
        check("max_over_time(a[1h:]) + L", "  max_over_time(a[1h:])\n+\n  L");
        check("label_replace(L, 'a', 'b', 'c', 'd')", "label_replace(\n  L,\n  \"a\",\n  \"b\",\n  \"c\",\n  \"d\"\n)");
        check("sum(max_over_time(a[5m:1m]) + L)", "sum(\n    max_over_time(a[5m:1m])\n  +\n    L\n)");
    }

    #[test]
    fn long_chains_stay_small() {
        let chain = format!("x{}", " + x".repeat(1_000));
        let text = pretty(&parse(&chain).expect("valid"));
        assert!(text.len() < 2_000 * 103, "{}", text.len());
        assert!(parse(&text).expect("parses").strip_positions() == parse(&chain).expect("valid").strip_positions());
    }
}
