//! Templates become expressions: `$NAME = a ;; b` defines, every `$NAME` in a later line stands for each of its values.

use std::collections::{BTreeMap, BTreeSet};

/// What both servers must do with an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Must {
    /// Answer, alike, every time.
    Answer,
    /// Refuse, alike, at least once (`!`).
    Fail,
}

/// An expression and what is expected of it.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) expression: String,
    pub(super) must: Must,
}

/// All expressions of a template file, each once.
pub(super) fn expand(text: &str) -> Vec<Case> {
    let mut lists: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut cases = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        if let Some((name, values)) =
            line.split_once(" = ").filter(|(name, _)| variable(name).is_some_and(|v| v == *name))
        {
            lists.insert(name, values.split(" ;; ").map(|value| if value == "∅" { "" } else { value }).collect());
            continue;
        }
        let (must, template) = line.strip_prefix("! ").map_or((Must::Answer, line), |rest| (Must::Fail, rest));
        let mut expressions = Vec::new();
        fill(template.to_owned(), &lists, &mut expressions);
        for expression in expressions {
            if seen.insert(expression.clone()) {
                cases.push(Case { expression, must });
            }
        }
    }
    cases
}

/// Replaces the first variable by each of its values, and so on.
fn fill(template: String, lists: &BTreeMap<&str, Vec<&str>>, out: &mut Vec<String>) {
    let Some(name) = variable(&template) else { return out.push(template) };
    let values = lists.get(name).unwrap_or_else(|| panic!("{name} in {template:?} is not defined"));
    for value in values {
        fill(replace(&template, name, value), lists, out);
    }
}

/// The first variable of a template: a dollar sign and capitals.
fn variable(template: &str) -> Option<&str> {
    let dollars = template.match_indices('$');
    dollars.map(|(at, _)| name_at(template, at)).find(|name| name[1..].starts_with(|c: char| c.is_ascii_uppercase()))
}

fn name_at(template: &str, at: usize) -> &str {
    let rest = &template[at + 1..];
    let length = rest.find(|c: char| !c.is_ascii_uppercase() && c != '_').unwrap_or(rest.len());
    &template[at..at + 1 + length]
}

fn replace(template: &str, name: &str, value: &str) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some(at) = rest.find(name) {
        let whole = name_at(rest, at);
        out.push_str(&rest[..at]);
        out.push_str(if whole == name { value } else { whole });
        rest = &rest[at + whole.len()..];
    }
    out + rest
}

#[test]
fn templates_expand() {
    let text = "$A = 1 ;; 2 ;; ∅\n$AB = x[$A]\n# no\nf($A, $AB, \"$1\")\n! g($A$A)\n";
    let found: Vec<String> = expand(text).iter().map(|case| format!("{:?} {}", case.must, case.expression)).collect();
    assert_eq!(found.len(), 12);
    assert_eq!(found[0], "Answer f(1, x[1], \"$1\")");
    assert_eq!(found[11], "Fail g()");
}
