//! The plan as text: one line as a sharing key, and as an indented tree for people.

use std::fmt::{self, Write as _};

use crate::model::Matcher;
use crate::promql::deep;
use crate::promql::parser::{Cardinality, RangeMode, VectorMatching};

use super::{Kind, Node, Plan, Selector, Source};

/// Columns beyond which deeper levels stand under each other: the text must not grow with the square of the depth.
const MAX_INDENT: usize = 200;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        tree(&self.root, 0, f)
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

fn tree(node: &Node, depth: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mark = if node.invariant && !matches!(node.kind, Kind::Number(_) | Kind::Text(_)) { " [once]" } else { "" };
    writeln!(f, "{:width$}{}{mark}", "", head(node), width = (depth * 2).min(MAX_INDENT))?;
    for child in children(node) {
        deep(|| tree(child, depth + 1, f))?;
    }
    Ok(())
}

fn children(node: &Node) -> Vec<&Node> {
    let mut children = Vec::new();
    node.for_each_child(&mut |child| children.push(child));
    children
}

/// What the node itself does, without its children.
fn head(node: &Node) -> String {
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
            format!("{} {}", if *start { "start_timestamp" } else { "timestamp" }, describe(selector))
        }
        Kind::Window(window) => format!("{} {}", window.func.name, describe_source(&window.source)),
        Kind::Vector(selector) => describe(selector),
        Kind::Matrix(source) => describe_source(source),
        Kind::Info(info) => format!("info {{{}}} {}ms {:?}", list(&info.matchers), info.offset, info.at),
    }
}

fn write_line(node: &Node, out: &mut String) {
    out.push_str(&head(node));
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

fn describe_source(source: &Source) -> String {
    match source {
        Source::Selector { selector, range, .. } => describe_with(selector, &format!("[{range}ms]")),
        Source::Subquery { range, step, offset, at, .. } => {
            format!("[{range}ms:{step}ms]{}", times(*offset, *at))
        }
    }
}

fn describe(selector: &Selector) -> String {
    describe_with(selector, "")
}

fn describe_with(selector: &Selector, range: &str) -> String {
    let mode = match selector.mode {
        RangeMode::Plain => "",
        RangeMode::Anchored => " anchored",
        RangeMode::Smoothed => " smoothed",
    };
    format!("{{{}}}{range}{mode}{}", list(&selector.matchers), times(selector.offset, selector.at))
}

fn times(offset: i64, at: Option<i64>) -> String {
    let mut out = String::new();
    if offset != 0 {
        let _ = write!(out, " offset {offset}ms");
    }
    if let Some(at) = at {
        let _ = write!(out, " @ {at}ms");
    }
    out
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
