//! The plan as text: one line as a sharing key, and as an indented tree for people.

use std::fmt::{self, Write as _};
use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::model::{METRIC_NAME, MatchOp, Matcher, format_duration, is_classic_metric_name as is_metric_name};
use crate::promql::deep;
use crate::promql::parser::{Cardinality, RangeMode, VectorMatching};

use super::{Kind, Node, Plan, Selector, Source};

/// Columns beyond which deeper levels stand under each other: the text must not grow with the square of the depth.
const MAX_INDENT: usize = 200;

/// For whom a node is described.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reader {
    /// Milliseconds and all matchers in one list: nothing is rounded or left out.
    Key,
    /// As one would write it in a query.
    Person,
}

impl fmt::Display for Plan {
    /// One node a line, operands below. `once`: the same at every step, computed once. `shared N`: rules of one tick
    /// that have it compute it once; equal numbers mean equal parts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        tree(&self.root, 0, &mut FxHashMap::default(), f)
    }
}

impl Node {
    /// One line that two nodes share exactly when they compute the same.
    pub(super) fn canonical(&self) -> String {
        let mut out = String::new();
        write_line(self, &mut out);
        out
    }
}

fn tree<'a>(
    node: &'a Node,
    depth: usize,
    numbers: &mut FxHashMap<&'a str, usize>,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    write!(f, "{:width$}{}", "", head(node, Reader::Person), width = (depth * 2).min(MAX_INDENT))?;
    let mut marks = Vec::new();
    if node.invariant && !matches!(node.kind, Kind::Number(_) | Kind::Text(_)) {
        marks.push("once".to_owned());
    }
    if let Some(key) = &node.key {
        let next = numbers.len() + 1;
        marks.push(format!("shared {}", numbers.entry(&key.text).or_insert(next)));
    }
    if !marks.is_empty() {
        write!(f, "  [{}]", marks.join(", "))?;
    }
    writeln!(f)?;
    for child in children(node) {
        deep(|| tree(child, depth + 1, numbers, f))?;
    }
    Ok(())
}

fn children(node: &Node) -> Vec<&Node> {
    let mut children = Vec::new();
    node.for_each_child(&mut |child| children.push(child));
    children
}

/// What the node itself does, without its children.
fn head(node: &Node, reader: Reader) -> String {
    match &node.kind {
        Kind::Number(value) => value.to_string(),
        Kind::Text(text) => format!("{text:?}"),
        Kind::Negate(_) => "-".to_owned(),
        Kind::Binary(binary) => {
            let word = if binary.return_bool { " bool" } else { "" };
            format!("{}{word}{}", binary.op.as_str(), matching(&binary.matching))
        }
        Kind::Aggregate(aggregate) => {
            let word = if aggregate.without { "without" } else { "by" };
            format!("{} {word} ({})", aggregate.op.as_str(), aggregate.grouping.join(", "))
        }
        Kind::Call(call) => call.func.name.to_owned(),
        Kind::Absent { labels, .. } => format!("absent {labels}"),
        Kind::SampleTime { selector, start } => {
            format!("{} {}", if *start { "start_timestamp" } else { "timestamp" }, describe(selector, reader))
        }
        Kind::Window(window) => format!("{} {}", window.func.name, describe_source(&window.source, reader)),
        Kind::Vector(selector) => describe(selector, reader),
        Kind::Matrix(source) => describe_source(source, reader),
        Kind::Info(info) => format!("info {{{}}}{}", list(&info.matchers), times(info.offset, info.at, reader)),
    }
}

fn write_line(node: &Node, out: &mut String) {
    out.push_str(&head(node, Reader::Key));
    let children = children(node);
    if children.is_empty() {
        return;
    }
    out.push('(');
    for (i, child) in children.into_iter().enumerate() {
        if i > 0 {
            out.push_str(", ");
        }
        match &child.key {
            Some(key) => out.push_str(&key.text),
            None => deep(|| write_line(child, out)),
        }
    }
    out.push(')');
}

fn describe_source(source: &Source, reader: Reader) -> String {
    match source {
        Source::Selector { selector, range, .. } => {
            describe_with(selector, &format!("[{}]", length(*range, reader)), reader)
        }
        Source::Subquery { range, step, offset, at, .. } => {
            format!("[{}:{}]{}", length(*range, reader), length(*step, reader), times(*offset, *at, reader))
        }
    }
}

fn describe(selector: &Selector, reader: Reader) -> String {
    describe_with(selector, "", reader)
}

fn describe_with(selector: &Selector, range: &str, reader: Reader) -> String {
    let mode = match selector.mode {
        RangeMode::Plain => "",
        RangeMode::Anchored => " anchored",
        RangeMode::Smoothed => " smoothed",
    };
    let times = times(selector.offset, selector.at, reader);
    let name = |matcher: &&Matcher| matcher.name == METRIC_NAME && matcher.op == MatchOp::Equal;
    let name = selector.matchers.iter().find(name).filter(|m| reader == Reader::Person && is_metric_name(&m.value));
    match name {
        Some(name) => {
            let others: Vec<Matcher> = selector.matchers.iter().filter(|m| *m != name).cloned().collect();
            let others = if others.is_empty() { String::new() } else { format!("{{{}}}", list(&others)) };
            format!("{}{others}{range}{mode}{times}", name.value)
        }
        None => format!("{{{}}}{range}{mode}{times}", list(&selector.matchers)),
    }
}

fn times(offset: i64, at: Option<i64>, reader: Reader) -> String {
    let mut out = String::new();
    if offset != 0 {
        let _ = write!(out, " offset {}", length(offset, reader));
    }
    match at {
        Some(at) if reader == Reader::Person => {
            let _ = write!(out, " @ {}", at as f64 / 1000.0);
        }
        Some(at) => {
            let _ = write!(out, " @ {at}ms");
        }
        None => {}
    }
    out
}

fn length(ms: i64, reader: Reader) -> String {
    if reader == Reader::Key {
        return format!("{ms}ms");
    }
    let sign = if ms < 0 { "-" } else { "" };
    format!("{sign}{}", format_duration(Duration::from_millis(ms.unsigned_abs())))
}

fn list(matchers: &[Matcher]) -> String {
    matchers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn matching(matching: &VectorMatching) -> String {
    let mut out = String::new();
    if matching.on || !matching.labels.is_empty() {
        let _ = write!(out, " {} ({})", if matching.on { "on" } else { "ignoring" }, matching.labels.join(", "));
    }
    match matching.cardinality {
        Cardinality::ManyToOne => {
            let _ = write!(out, " group_left ({})", matching.include.join(", "));
        }
        Cardinality::OneToMany => {
            let _ = write!(out, " group_right ({})", matching.include.join(", "));
        }
        Cardinality::OneToOne | Cardinality::ManyToMany => {}
    }
    for (word, value) in [("fill_left", matching.fill_left), ("fill_right", matching.fill_right)] {
        if let Some(value) = value {
            let _ = write!(out, " {word} ({value})");
        }
    }
    out
}
