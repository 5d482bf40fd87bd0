//! Replacements in the notation of Go's regular expressions: `$1`, `$name`, `${name}`, `$$`.
//!
//! Source: <https://pkg.go.dev/regexp#Regexp.Expand>.

use regex::Captures;

/// Appends `template` with what its groups caught. A group that there is not gives nothing, a dollar sign without a name
/// means itself.
pub(crate) fn go_expand(captures: &Captures<'_>, template: &str, out: &mut String) {
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        rest = after;
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some((name, after)) = reference(rest) {
            out.push_str(group(captures, name));
            rest = after;
        } else {
            out.push('$');
        }
    }
    out.push_str(rest);
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

#[cfg(test)]
mod tests {
    use super::go_expand;
    use crate::model::go_regex;

    #[test]
    fn expands_groups() {
        let cases = [
            ("(.*)-(.*)", "$2/$1", "a-b", "b/a"),
            ("(?P<x>.+)", "${x}1$x", "v", "v1v"),
            ("a", "$$1", "a", "$1"),
            ("(.).*", "$01|$é|${1|${a-b}|${}|$|$1", "ab", "||${1|${a-b}|${}|$|a"),
            (r"(\d*).*", "<$1>$9", "1٣", "<1>"),
        ];
        for (pattern, template, text, expected) in cases {
            let regex = go_regex(pattern).expect("compiles");
            let mut out = String::new();
            go_expand(&regex.captures(text).expect("matches"), template, &mut out);
            assert_eq!(out, expected, "{pattern} {template}");
        }
    }
}
