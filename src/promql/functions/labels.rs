//! `label_replace` and `label_join`: new values from old ones.

use regex::{Captures, Regex};

use crate::model::anchored;
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
        let refusal = |_| QueryError::Execution(format!("invalid regular expression in label_replace(): {pattern}"));
        let regex = anchored(pattern).map_err(refusal)?;
        Ok(Self { regex, replacement: replacement.to_owned() })
    }

    /// The new value, or `None` when the pattern does not match all of `value`.
    pub(crate) fn apply(&self, value: &str) -> Option<String> {
        let captures = self.regex.captures(value)?;
        let mut out = String::new();
        let mut rest = self.replacement.as_str();
        while let Some((before, after)) = rest.split_once('$') {
            out.push_str(before);
            rest = after;
            if let Some(after) = rest.strip_prefix('$') {
                out.push('$');
                rest = after;
            } else if let Some((name, after)) = reference(rest) {
                out.push_str(group(&captures, name));
                rest = after;
            } else {
                out.push('$');
            }
        }
        out.push_str(rest);
        Some(out)
    }
}

/// The name at the start of what follows a dollar sign, `name` or `{name}`, and what comes after it.
fn reference(text: &str) -> Option<(&str, &str)> {
    let (body, braces) = text.strip_prefix('{').map_or((text, false), |body| (body, true));
    let end = body.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(body.len());
    let (name, after) = body.split_at(end);
    let after = if braces { after.strip_prefix('}')? } else { after };
    (!name.is_empty()).then_some((name, after))
}

/// What a group caught, by number or name; nothing when there is no such group.
fn group<'t>(captures: &Captures<'t>, name: &str) -> &'t str {
    let number = name.bytes().all(|b| b.is_ascii_digit()) && (name.len() == 1 || !name.starts_with('0'));
    let found = if number { name.parse().ok().and_then(|n| captures.get(n)) } else { captures.name(name) };
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
            ("(.).*", "$01|$é|${1|${a-b}|${}|$|$1", "ab", Some("||${1|${a-b}|${}|$|a")),
            (r"(\d*).*", "<$1>", "1٣", Some("<1>")),
        ];
        for (pattern, replacement, value, expected) in cases {
            let expansion = Expansion::new(pattern, replacement).expect("compiles");
            assert_eq!(expansion.apply(value).as_deref(), expected, "{pattern}");
        }
    }
}
