//! `label_replace` and `label_join`: new values from old ones.

use regex::Regex;

use crate::model::{go_expand, go_regex_of_all};
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
        let refusal = || QueryError::Execution(format!("invalid regular expression in label_replace(): {pattern}"));
        let regex = go_regex_of_all(pattern).map_err(|_| refusal())?;
        Ok(Self { regex, replacement: replacement.to_owned() })
    }

    /// The new value, or `None` when the pattern does not match all of `value`.
    pub(crate) fn apply(&self, value: &str) -> Option<String> {
        let captures = self.regex.captures(value)?;
        let mut out = String::new();
        go_expand(&captures, &self.replacement, &mut out);
        Some(out)
    }
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
        let cases = [("(.*)-(.*)", "$2/$1", "a-b", Some("b/a")), ("a", "b", "aa", None), (".*", "x", "", Some("x"))];
        for (pattern, replacement, value, expected) in cases {
            let expansion = Expansion::new(pattern, replacement).expect("compiles");
            assert_eq!(expansion.apply(value).as_deref(), expected, "{pattern}");
        }
    }
}
