//! Label matchers. A regular expression that is only a literal, a prefix or a set of words never reaches a regex engine.

use std::fmt;

use regex::Regex;

use super::go_regex::go_regex_of_all;
use super::labels::{is_classic_label_name, quote};

/// How a matcher compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Regex,
    /// `!~`
    NotRegex,
}

impl fmt::Display for MatchOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Regex => "=~",
            Self::NotRegex => "!~",
        })
    }
}

/// A matcher that could not be made.
#[derive(Debug, Clone, thiserror::Error)]
#[error("error parsing regexp: {reason}")]
pub struct MatcherError {
    /// Label name.
    pub name: String,
    /// The expression.
    pub pattern: String,
    /// What is wrong with it, in Go's words: `missing closing ): `, then the piece in back quotes.
    pub reason: String,
}

/// One condition on one label. A label that is not there has the value `""`.
#[derive(Debug, Clone)]
pub struct Matcher {
    /// Label name.
    pub name: String,
    /// How to compare.
    pub op: MatchOp,
    /// Value or regular expression, as written.
    pub value: String,
    plan: Plan,
}

#[derive(Debug, Clone)]
enum Plan {
    Literal,
    Any,
    NotEmpty,
    Prefix(Box<str>),
    Set(Box<[Box<str>]>),
    Regex(Box<Regex>),
}

impl Matcher {
    /// Makes a matcher. Regular expressions are anchored on both sides and `.` matches newline, as in Prometheus 3.
    ///
    /// # Errors
    /// When the regular expression does not compile.
    pub fn new(op: MatchOp, name: &str, value: &str) -> Result<Self, MatcherError> {
        let plan = match op {
            MatchOp::Equal | MatchOp::NotEqual => Plan::Literal,
            MatchOp::Regex | MatchOp::NotRegex => Plan::of(value).map_err(|reason| MatcherError {
                name: name.to_owned(),
                pattern: value.to_owned(),
                reason,
            })?,
        };
        Ok(Self { name: name.to_owned(), op, value: value.to_owned(), plan })
    }

    /// A matcher `name="value"`.
    pub fn equal(name: &str, value: &str) -> Self {
        Self { name: name.to_owned(), op: MatchOp::Equal, value: value.to_owned(), plan: Plan::Literal }
    }

    /// Whether a label value satisfies this matcher.
    pub fn matches(&self, value: &str) -> bool {
        let positive = match &self.plan {
            Plan::Literal => value == self.value,
            Plan::Any => true,
            Plan::NotEmpty => !value.is_empty(),
            Plan::Prefix(prefix) => value.starts_with(&**prefix),
            Plan::Set(set) => set.iter().any(|item| &**item == value),
            Plan::Regex(regex) => regex.is_match(value),
        };
        positive == matches!(self.op, MatchOp::Equal | MatchOp::Regex)
    }

    /// Whether a series without this label satisfies the matcher.
    pub fn matches_empty(&self) -> bool {
        self.matches("")
    }

    /// The values that alone can satisfy this matcher, if they are few and known: lets an index look up instead of scan.
    pub fn literal_values(&self) -> Option<Vec<&str>> {
        match (&self.plan, self.op) {
            (Plan::Literal, MatchOp::Equal) => Some(vec![&self.value]),
            (Plan::Set(set), MatchOp::Regex) => Some(set.iter().map(|item| &**item).collect()),
            _ => None,
        }
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        (self.op, &self.name, &self.value) == (other.op, &other.name, &other.value)
    }
}

impl Eq for Matcher {}

impl std::hash::Hash for Matcher {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (self.op, &self.name, &self.value).hash(state);
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_classic_label_name(&self.name) {
            f.write_str(&self.name)?
        } else {
            f.write_str(&quote(&self.name))?
        }
        write!(f, "{}{}", self.op, quote(&self.value))
    }
}

impl Plan {
    fn of(pattern: &str) -> Result<Self, String> {
        // The engine has the last word on what is valid, also for patterns that it will not run.
        match pattern {
            ".*" => return Ok(Self::Any),
            ".+" => return Ok(Self::NotEmpty),
            _ => {}
        }
        if let Some(prefix) = pattern.strip_suffix(".*").filter(|prefix| is_plain(prefix)) {
            return Ok(Self::Prefix(prefix.into()));
        }
        let body = pattern.strip_prefix('(').and_then(|p| p.strip_suffix(')')).unwrap_or(pattern);
        if body.split('|').all(is_plain) {
            return Ok(Self::Set(body.split('|').map(Into::into).collect()));
        }
        go_regex_of_all(pattern).map(|regex| Self::Regex(Box::new(regex)))
    }
}

/// Only characters that mean themselves in every regex dialect.
fn is_plain(text: &str) -> bool {
    !text.chars().any(|c| r"\.+*?()|[]{}^$".contains(c))
}

#[cfg(test)]
mod tests {
    use super::{MatchOp, Matcher};

    #[test]
    fn matches_as_prometheus_does() {
        use MatchOp::{Equal, NotEqual, NotRegex, Regex};
        let cases: &[(MatchOp, &str, &str, bool)] = &[
            (Equal, "a", "a", true),
            (NotEqual, "a", "", true),
            (Regex, "a|b", "b", true),
            (Regex, "(a|b)", "b", true),
            (Regex, "a|b", "ab", false),
            (Regex, "ab.*", "ab\ncd", true),
            (Regex, "a.b", "a\nb", true),
            (Regex, ".*", "", true),
            (Regex, ".+", "", false),
            (NotRegex, ".+", "", true),
            (Regex, "(?i)ABC", "abc", true),
            (Regex, r"\Qa.b\E.", "a.bc", true),
            (Regex, r"\Qa.b\E.", "axbc", false),
            (Regex, r"\d+", "12", true),
            (Regex, "", "", true),
            (Regex, "", "x", false),
        ];
        for (op, pattern, value, expected) in cases {
            let matcher = Matcher::new(*op, "l", pattern).expect("compiles");
            assert_eq!(matcher.matches(value), *expected, "{matcher} on {value:?}");
        }
    }

    #[test]
    fn names_the_bad_expression() {
        let error = Matcher::new(MatchOp::Regex, "l", "a(b").expect_err("unclosed");
        assert_eq!(error.to_string(), "error parsing regexp: missing closing ): `a(b`");
    }
}
