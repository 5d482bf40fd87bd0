//! `label_replace` and `label_join`: new values from old ones.

use regex::{Captures, Regex};

use crate::model::go_regex;
use crate::promql::result::QueryError;

/// A compiled `label_replace`: the pattern, and the replacement in Go's `$1`, `${name}` notation.
#[derive(Debug)]
pub(crate) struct Expansion {
    regex: Regex,
    replacement: String,
}

impl Expansion {
    /// # Errors
    /// When the pattern does not compile.
    pub(crate) fn new(pattern: &str, replacement: &str) -> Result<Self, QueryError> {
        let compiled = go_regex(pattern).ok().and_then(|pattern| Regex::new(&format!("^(?s:{pattern})$")).ok());
        let regex = compiled.ok_or_else(|| {
            QueryError::Execution(format!("invalid regular expression in label_replace(): {pattern}"))
        })?;
        Ok(Self { regex, replacement: replacement.to_owned() })
    }

    /// The new value, or `None` when the pattern does not match all of `value`.
    pub(crate) fn apply(&self, value: &str) -> Option<String> {
        let captures = self.regex.captures(value)?;
        Some(expand(&self.replacement, &captures))
    }
}

/// Go's `Regexp.Expand`: `$name` reaches as far as letters, digits and underscores do, `${name}` ends at its brace, `$$` is
/// a dollar; any other dollar stands for itself, and a group that is not there for nothing.
fn expand(template: &str, captures: &Captures<'_>) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        match reference(after) {
            Some((name, after)) => {
                out.push_str(group(name, captures));
                rest = after;
            }
            None => {
                out.push('$');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

/// The name at the start of `text`, with or without braces, and what follows it.
fn reference(text: &str) -> Option<(&str, &str)> {
    let braced = text.strip_prefix('{');
    let body = braced.unwrap_or(text);
    let end = body.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(body.len());
    let (name, after) = body.split_at(end);
    let after = if braced.is_some() { after.strip_prefix('}')? } else { after };
    (!name.is_empty()).then_some((name, after))
}

/// What a numbered (without leading zeros) or named group has matched.
fn group<'a>(name: &str, captures: &Captures<'a>) -> &'a str {
    let number = name.bytes().all(|byte| byte.is_ascii_digit()) && (name == "0" || !name.starts_with('0'));
    let found = if number { name.parse().ok().and_then(|i| captures.get(i)) } else { captures.name(name) };
    found.map_or("", |found| found.as_str())
}

/// Values with a separator between them.
pub(crate) fn join<'a>(values: impl Iterator<Item = &'a str>, separator: &str) -> String {
    values.collect::<Vec<_>>().join(separator)
}

/// Prometheus 3 takes any non-empty UTF-8 name.
pub(crate) fn is_valid_label_name(name: &str) -> bool {
    !name.is_empty()
}

#[cfg(test)]
mod tests {
    use super::Expansion;

    #[test]
    fn expands_groups() {
        let cases = [
            ("(.*)-(.*)", "$2/$1", "a-b", Some("b/a")),
            ("(?P<x>.+)", "${x}1", "v", Some("v1")),
            ("a", "$$1", "a", Some("$1")),
            ("a", "b", "aa", None),
            (".*", "x", "", Some("x")),
            ("(a)(b)?", "$1x", "a", Some("")),
            ("(a)(b)?", "${1}x$2", "a", Some("ax")),
            ("(a)", "$01-$1", "a", Some("-a")),
            ("(a)", "${1", "a", Some("${1")),
            ("(a)", "${1-}$-$", "a", Some("${1-}$-$")),
            ("(a)", "$9$x", "a", Some("")),
            ("(a)", "$1é", "a", Some("")),
            (r"(\w+) .*", "$1", "aé b", None),
            ("(.+)\n(.+)", "$2", "a\nb", Some("b")),
        ];
        for (pattern, replacement, value, expected) in cases {
            let expansion = Expansion::new(pattern, replacement).expect("compiles");
            assert_eq!(expansion.apply(value).as_deref(), expected, "{pattern}");
        }
    }
}
