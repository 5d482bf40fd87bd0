//! Regular expressions in the dialect of Go (RE2), rewritten for the regex crate.
//!
//! Source of the rules: Go's `regexp/syntax` package documentation.

use std::iter::Peekable;
use std::str::Chars;

/// Most repetitions that Go allows: `x{1000}`.
const MAX_REPEAT: u32 = 1000;

/// The same expression for the regex crate: `\Q…\E` is escaped, `\d`, `\w`, `\s` and `\b` are ASCII as in Go, braces and
/// brackets that mean nothing in Go stand for themselves.
///
/// # Errors
/// A sentence about what Go would not take and the regex crate would.
pub fn go_regex(pattern: &str) -> Result<String, String> {
    let mut rewriter = Rewriter { out: String::with_capacity(pattern.len() + 8), repeated: Repeated::No };
    let mut rest = pattern.chars().peekable();
    while let Some(c) = rest.next() {
        rewriter.take(c, &mut rest)?;
    }
    Ok(rewriter.out)
}

/// Whether the last item was a repetition: another one must not follow.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Repeated {
    No,
    Greedy,
    Lazy,
}

struct Rewriter {
    out: String,
    repeated: Repeated,
}

impl Rewriter {
    fn take(&mut self, c: char, rest: &mut Peekable<Chars<'_>>) -> Result<(), String> {
        match c {
            '*' | '+' | '?' => return self.repetition(c),
            '{' => {
                if let Some(counted) = counted(rest)? {
                    self.repetition('{')?;
                    self.out.push_str(&counted);
                    self.repeated = Repeated::Greedy;
                    return Ok(());
                }
                self.out.push_str(r"\{");
            }
            '}' => self.out.push_str(r"\}"),
            '\\' => self.escape(rest)?,
            '[' => class(rest, &mut self.out)?,
            '(' => {
                self.out.push('(');
                self.group(rest)?;
            }
            c => self.out.push(c),
        }
        self.repeated = Repeated::No;
        Ok(())
    }

    fn repetition(&mut self, c: char) -> Result<(), String> {
        self.repeated = match (self.repeated, c) {
            (Repeated::No, _) => Repeated::Greedy,
            (Repeated::Greedy, '?') => Repeated::Lazy,
            _ => return Err("invalid nested repetition operator".to_owned()),
        };
        if c != '{' {
            self.out.push(c);
        }
        Ok(())
    }

    /// `(?flags)`: only those that Go knows.
    fn group(&mut self, rest: &mut Peekable<Chars<'_>>) -> Result<(), String> {
        let mut ahead = rest.clone();
        if ahead.next() != Some('?') {
            return Ok(());
        }
        let flags: String = ahead.take_while(|c| c.is_ascii_alphabetic() || *c == '-').collect();
        if !flags.starts_with('P') && flags.contains(['x', 'u', 'R']) {
            return Err(format!("invalid or unsupported Perl syntax (?{flags}"));
        }
        // The question mark is no repetition.
        rest.next();
        self.out.push('?');
        Ok(())
    }

    fn escape(&mut self, rest: &mut Peekable<Chars<'_>>) -> Result<(), String> {
        match rest.next() {
            None => return Err("trailing backslash at end of expression".to_owned()),
            Some('Q') => self.quoted(rest),
            Some('d') => self.out.push_str("[0-9]"),
            Some('D') => self.out.push_str("[^0-9]"),
            Some('w') => self.out.push_str("[0-9A-Za-z_]"),
            Some('W') => self.out.push_str("[^0-9A-Za-z_]"),
            Some('s') => self.out.push_str(r"[\t\n\x0C\r ]"),
            Some('S') => self.out.push_str(r"[^\t\n\x0C\r ]"),
            Some('b') => self.out.push_str(r"(?-u:\b)"),
            Some('B') => self.out.push_str(r"\B"),
            Some(c @ ('A' | 'z')) => self.out.extend(['\\', c]),
            Some(c) => literal_escape(c, rest, &mut self.out)?,
        }
        Ok(())
    }

    /// Everything up to `\E`, or to the end.
    fn quoted(&mut self, rest: &mut Peekable<Chars<'_>>) {
        let mut body = String::new();
        while let Some(c) = rest.next() {
            if c == '\\' && rest.peek() == Some(&'E') {
                rest.next();
                break;
            }
            body.push(c);
        }
        self.out.push_str(&regex::escape(&body));
    }
}

/// An escape that means one character or a Unicode class, inside and outside of brackets.
fn literal_escape(c: char, rest: &mut Peekable<Chars<'_>>, out: &mut String) -> Result<(), String> {
    match c {
        'a' | 'f' | 'n' | 'r' | 't' | 'v' | 'x' => {
            out.extend(['\\', c]);
            copy_braces(c == 'x', rest, out);
        }
        'p' | 'P' => {
            out.extend(['\\', c]);
            copy_braces(true, rest, out);
        }
        '1'..='7' if !rest.peek().is_some_and(|next| ('0'..='7').contains(next)) => {
            return Err(format!("invalid escape sequence: \\{c} (there are no back references)"));
        }
        '0'..='7' => {
            let mut code = c.to_digit(8).unwrap_or(0);
            for _ in 0..2 {
                let Some(digit) = rest.peek().and_then(|next| next.to_digit(8)) else { break };
                rest.next();
                code = code * 8 + digit;
            }
            out.push_str(&format!("\\x{{{code:X}}}"));
        }
        c if c.is_ascii_alphanumeric() || !c.is_ascii() => return Err(format!("invalid escape sequence: \\{c}")),
        c => out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
    }
    Ok(())
}

/// `{…}` after `\x` or `\p`, as it stands.
fn copy_braces(allowed: bool, rest: &mut Peekable<Chars<'_>>, out: &mut String) {
    if !allowed || rest.peek() != Some(&'{') {
        return;
    }
    for c in rest.by_ref() {
        out.push(c);
        if c == '}' {
            return;
        }
    }
}

/// `{n}`, `{n,}`, `{n,m}` after its opening brace; `None` when the brace stands for itself.
fn counted(rest: &mut Peekable<Chars<'_>>) -> Result<Option<String>, String> {
    let body: String = rest.clone().take_while(|c| *c != '}').collect();
    let closed = rest.clone().nth(body.chars().count()) == Some('}');
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (least, most) = body.split_once(',').unwrap_or((&body, ""));
    if !closed || !digits(least) || !(most.is_empty() || digits(most)) {
        return Ok(None);
    }
    if [least, most].iter().any(|count| !count.is_empty() && !count.parse().is_ok_and(|n: u32| n <= MAX_REPEAT)) {
        return Err(format!("invalid repeat count: {{{body}}}"));
    }
    for _ in 0..=body.len() {
        rest.next();
    }
    Ok(Some(format!("{{{body}}}")))
}

/// A bracket class after its opening bracket.
fn class(rest: &mut Peekable<Chars<'_>>, out: &mut String) -> Result<(), String> {
    out.push('[');
    if rest.peek() == Some(&'^') {
        rest.next();
        out.push('^');
    }
    let mut first = true;
    loop {
        match rest.next() {
            None => return Err("missing closing ]".to_owned()),
            Some(']') if !first => break,
            Some('[') => match posix_class(rest) {
                Some(name) => out.push_str(&name),
                None => out.push_str(r"\["),
            },
            Some('\\') => match rest.next() {
                None => return Err("trailing backslash at end of expression".to_owned()),
                Some('d') => out.push_str("0-9"),
                Some('D') => out.push_str("[^0-9]"),
                Some('w') => out.push_str("0-9A-Za-z_"),
                Some('W') => out.push_str("[^0-9A-Za-z_]"),
                Some('s') => out.push_str(r"\t\n\x0C\r "),
                Some('S') => out.push_str(r"[^\t\n\x0C\r ]"),
                Some(c) => literal_escape(c, rest, out)?,
            },
            // What the regex crate reads as set operations are characters in Go.
            Some(c @ (']' | '&' | '~')) => out.extend(['\\', c]),
            Some('-') if first => out.push_str(r"\-"),
            Some('-') => {
                out.push('-');
                if rest.peek() == Some(&'-') {
                    rest.next();
                    out.push_str(r"\-");
                }
            }
            Some(c) => out.push(c),
        }
        first = false;
    }
    out.push(']');
    Ok(())
}

/// `[:alpha:]` after its opening bracket.
fn posix_class(rest: &mut Peekable<Chars<'_>>) -> Option<String> {
    let mut ahead = rest.clone();
    if ahead.next() != Some(':') {
        return None;
    }
    let name: String = ahead.take_while(|c| c.is_ascii_alphabetic() || *c == '^').collect();
    let text = format!(":{name}:]");
    let found = !name.is_empty() && rest.clone().take(text.len()).eq(text.chars());
    found.then(|| {
        for _ in 0..text.len() {
            rest.next();
        }
        format!("[{text}")
    })
}

#[cfg(test)]
mod tests {
    use super::go_regex;
    use regex::Regex;

    fn matches(pattern: &str, text: &str) -> bool {
        let rewritten = go_regex(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
        Regex::new(&format!("^(?s:{rewritten})$")).unwrap_or_else(|error| panic!("{pattern}: {error}")).is_match(text)
    }

    #[test]
    fn means_what_go_means() {
        let cases: &[(&str, &str, bool)] = &[
            (r"\Qa.b\E.", "a.bc", true),
            (r"\Qa.b\E.", "axbc", false),
            (r"\Qa[b", "a[b", true),
            (r"\\Q.", r"\Qx", true),
            (r"\d+", "12", true),
            (r"\d+", "١٢", false),
            (r"\w", "é", false),
            (r"[\w-]+", "a-b", true),
            (r"[^\d]", "é", true),
            (r"\s", "\u{a0}", false),
            (r"\bfoo\b.*", "foo bar", true),
            ("a{b", "a{b", true),
            ("{a}", "{a}", true),
            ("a{,2}", "a{,2}", true),
            ("a{2}", "aa", true),
            ("a{2,}b", "aaab", true),
            ("a{2,3}?", "aaa", true),
            ("[[]", "[", true),
            ("[]a]+", "]a", true),
            ("[^]]", "]", false),
            ("[a&&b]+", "a&b", true),
            ("[+--]", ",", true),
            ("[--/]", ".", true),
            ("[a-]", "-", true),
            ("[[:alpha:]_]+", "a_b", true),
            ("[[:^alpha:]]", "1", true),
            (r"\101", "A", true),
            (r"\x41\x{42}", "AB", true),
            (r"\pL\p{Greek}", "aα", true),
            (r"\<a\>", "<a>", true),
            (r"a\_b\-c\/", "a_b-c/", true),
            ("(?i)abc", "ABC", true),
            ("(?i:a)b", "Ab", true),
            ("(?P<x>a)(?:b)", "ab", true),
            ("a.c", "a\nc", true),
            ("a*?b+?c??", "aabbc", true),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(matches(pattern, text), *expected, "{pattern} on {text:?}");
        }
    }

    #[test]
    fn refuses_what_go_refuses() {
        for pattern in
            ["a**", "a+*", "a{2}{3}", "a???", r"\1", r"\u0041", r"\h", "a{1001}", "(?x)a", "[a", r"a\", r"\Z"]
        {
            let rewritten = go_regex(pattern);
            assert!(rewritten.is_err(), "{pattern}: {rewritten:?}");
        }
    }
}
