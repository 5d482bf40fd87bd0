//! Our parser beside promql-parser, which others wrote from the same grammar: what both accept, they read alike. Its known
//! limits are listed with the place where ours follows Prometheus instead.

use promql_parser::parser as theirs;
use watchfire::promql::parser::{
    AtModifier, BinaryOp, Cardinality, DurationExpr, Expr, FUNCTIONS, Function, RangeMode, ValueType, VectorMatching,
    VectorSelector, parse,
};

use crate::support::shared;
use generate::{Generator, Signature, Style, Type};

#[allow(dead_code, reason = "the unit tests use more of it")]
#[path = "../../src/promql/tests/generate/mod.rs"]
mod generate;

const GENERATED: u64 = 10_000;
/// It parses long chains in quadratic time.
const LONGEST: usize = 2_000;

#[derive(Debug, Default)]
struct Counts {
    accepted: usize,
    refused: usize,
    misprinted: usize,
    /// What no exception explains.
    surprises: Vec<String>,
}

impl Counts {
    fn check(&mut self, text: &str) {
        let ours = parse(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        if text.len() > LONGEST {
            return;
        }
        let printed = match theirs::parse(text) {
            Ok(read) => read.to_string(),
            Err(error) => {
                self.refused += 1;
                if refuses(text, &ours).is_none() {
                    self.surprises.push(format!("refused, {error}: {text}"));
                }
                return;
            }
        };
        self.accepted += 1;
        if misprints(&ours).is_some() {
            self.misprinted += 1;
            return;
        }
        let again = parse(&printed).map(Expr::strip_positions);
        let ours = ours.strip_positions();
        // It keeps no note of how a number was written, and prints `1h` as 3600.
        let shape = |expr: &Expr| format!("{expr:?}").replace("is_duration: true", "is_duration: false");
        if again.as_ref().map(shape) != Ok(shape(&ours)) {
            self.surprises.push(format!("read differently: {text}\n  promql-parser: {printed}\n  ours: {ours}"));
        }
    }

    fn expect_no_surprise(&self) {
        let first: Vec<&String> = self.surprises.iter().take(10).collect();
        assert!(first.is_empty(), "{} surprises: {first:#?}", self.surprises.len());
        let compared = self.accepted - self.misprinted;
        assert!(compared > self.refused && compared > 1_000, "{compared} compared, {} refused", self.refused);
    }
}

/// Why promql-parser 0.11 does not take what Prometheus takes.
fn refuses(text: &str, expr: &Expr) -> Option<&'static str> {
    let is_trim = |op| matches!(op, BinaryOp::TrimUpper | BinaryOp::TrimLower);
    if text.contains('`') && text.contains('\\') {
        return Some("back-quoted strings are read with escapes");
    }
    if text.contains("\\x") || text.contains("\\'") || text.contains("\\U") {
        return Some("not all of Go's escapes are known");
    }
    if text.as_bytes().windows(3).any(|at| at[0].is_ascii_digit() && at[1] == b'_' && at[2].is_ascii_digit()) {
        return Some("no underscores in numbers");
    }
    if text.contains("a:b") {
        return Some("no colons in the labels of by, on and their like");
    }
    // Our tree shows neither: Prometheus drops a zero offset and parentheses around a number.
    let lower = text.to_ascii_lowercase();
    let mut offsets = lower.split("offset ").skip(1).map(|rest| rest.trim_start_matches(['+', '-']));
    if offsets.any(|rest| rest.starts_with(['(', '0'])) {
        return Some("no duration expressions, and no offset of 0");
    }
    if ["fill(5m", "fill_left (5m", "fill_right(5m"].iter().any(|word| lower.contains(word)) {
        return Some("no durations as values of fill");
    }
    if lower.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == "0s") {
        return Some("no duration of 0, not even as a number");
    }
    if text.contains("[(") || text.contains(":(") {
        return Some("no duration expressions");
    }
    expr.walk().find_map(|node| match node {
        Expr::Binary(node) if is_trim(node.op) => Some("no histogram trim operators"),
        Expr::Call(node) if node.func.name == "info" && node.args.len() > 1 => {
            Some("selectors that match everything are refused in info, too")
        }
        Expr::Vector(node) => selector_refused(node),
        Expr::Matrix(node) if !is_plain(&node.range) => Some("no duration expressions"),
        Expr::Matrix(node) => selector_refused(&node.selector),
        Expr::Subquery(node)
            if ![&node.step, &node.offset].into_iter().flatten().chain([&node.range]).all(is_plain) =>
        {
            Some("no duration expressions")
        }
        _ => None,
    })
}

fn selector_refused(node: &VectorSelector) -> Option<&'static str> {
    let later_words = ["anchored", "smoothed", "fill", "fill_left", "fill_right", "step", "range", "min_of", "max_of"];
    if node.mode != RangeMode::Plain {
        Some("no anchored and smoothed selectors")
    } else if node.offset.as_ref().is_some_and(|offset| !is_plain(offset)) {
        Some("no duration expressions")
    } else if later_words.contains(&node.name.to_ascii_lowercase().as_str()) {
        Some("later keywords are no names")
    } else {
        None
    }
}

fn is_plain(duration: &DurationExpr) -> bool {
    matches!(duration, DurationExpr::Literal(_))
}

fn groups_without_labels(matching: &VectorMatching) -> bool {
    let groups = matches!(matching.cardinality, Cardinality::ManyToOne | Cardinality::OneToMany);
    groups && !matching.on && matching.labels.is_empty()
}

/// Where what promql-parser prints is known not to be what it read.
fn misprints(expr: &Expr) -> Option<&'static str> {
    let before_1970 = |at| matches!(at, Some(AtModifier::At(ts)) if ts < 0);
    expr.walk().find_map(|node| match node {
        Expr::Unary(node) if !node.negative => Some("unary plus is dropped"),
        Expr::Binary(node) if node.matching.as_ref().is_some_and(groups_without_labels) => {
            Some("an empty ignoring before group_left is dropped, although it must stand there")
        }
        Expr::Vector(node) if before_1970(node.at) => Some("a negative @ prints as 0"),
        Expr::Matrix(node) if before_1970(node.selector.at) => Some("a negative @ prints as 0"),
        Expr::Subquery(node) if before_1970(node.at) => Some("a negative @ prints as 0"),
        _ => None,
    })
}

#[test]
fn both_parsers_read_the_shared_expressions_alike() {
    let Some(shared) = shared() else {
        return crate::support::skip("both_parsers_read_the_shared_expressions_alike", "the shared folder");
    };
    let mut counts = Counts::default();
    for entry in std::fs::read_dir(shared.join("promqltest")).expect("a folder").flatten() {
        let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
        for expr in text.lines().filter_map(|line| evaluated(line.trim())).filter(|expr| parse(expr).is_ok()) {
            counts.check(expr);
        }
    }
    counts.expect_no_surprise();
}

/// The expression of an `eval` line.
fn evaluated(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("eval")?;
    let (kind, rest) =
        rest.trim_start_matches(|c: char| c == '_' || c.is_ascii_alphabetic()).trim_start().split_once(' ')?;
    let after = |words: usize, rest: &'_ str| rest.splitn(words + 1, char::is_whitespace).nth(words).map(str::len);
    let skipped = match (kind, rest.split_whitespace().next()?) {
        ("range", _) => 6,
        (_, "at") => 2,
        _ => 0,
    };
    let length = after(skipped, rest)?;
    rest.get(rest.len() - length..)
}

#[test]
fn both_parsers_read_random_expressions_alike() {
    let functions: Vec<Signature> = FUNCTIONS.iter().map(signature).collect();
    let mut counts = Counts::default();
    for seed in 0..GENERATED {
        let style = if seed % 2 == 0 { Style::Wild } else { Style::Tame };
        let mut generator = Generator::new(seed, style, &functions);
        let depth = generator.random.below(4);
        counts.check(&generator.expression(Type::Vector, depth));
    }
    counts.expect_no_surprise();
}

fn signature(function: &Function) -> Signature {
    let kind = |kind: &ValueType| match kind {
        ValueType::Scalar => Type::Scalar,
        ValueType::Vector => Type::Vector,
        ValueType::Matrix => Type::Matrix,
        ValueType::String => Type::String,
    };
    Signature {
        name: function.name,
        args: function.args.iter().map(kind).collect(),
        variadic: function.variadic,
        returns: kind(&function.returns),
    }
}
