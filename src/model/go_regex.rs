//! Regular expressions in Go's syntax (RE2), said in the words of the `regex` crate.
//!
//! Source: <https://pkg.go.dev/regexp/syntax>. What differs: `\d`, `\w`, `\s` and `\b` know ASCII only; inside of brackets
//! `[`, `&&`, `--` and `~~` mean nothing; `\Q…\E`, octal escapes and braces that repeat nothing exist; repetitions neither
//! stack nor exceed 1000, also where one lies in another. What is refused is told as Go tells it: a reason, and the piece of
//! the pattern in back quotes.

use regex::Regex;

/// The most repetitions that `{n,m}` may ask for, those around it included.
const MAX_REPEAT: u32 = 1000;
const POSIX: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word",
    "xdigit",
];
/// Flags of groups.
const FLAGS: &str = "imsU";

const BAD_ESCAPE: &str = "invalid escape sequence";
const BAD_RANGE: &str = "invalid character class range";
const BAD_CAPTURE: &str = "invalid named capture";
const BAD_PERL: &str = "invalid or unsupported Perl syntax";
const NO_BRACKET: &str = "missing closing ]";
const NO_PAREN: &str = "missing closing )";
const TRAILING: &str = "trailing backslash at end of expression";

/// A pattern that may match anywhere.
///
/// # Errors
/// What Go refuses, in Go's words, and what is too large for the `regex` crate.
pub(crate) fn go_regex(pattern: &str) -> Result<Regex, String> {
    compile(&go_to_rust(pattern)?, pattern)
}

/// A pattern that has to match all of a text, and whose dot means new lines too: as everywhere in Prometheus' language
/// and configuration.
///
/// # Errors
/// As [`go_regex`].
pub(crate) fn go_regex_of_all(pattern: &str) -> Result<Regex, String> {
    compile(&format!("^(?s:{})$", go_to_rust(pattern)?), pattern)
}

/// Translates a pattern; the result still has to compile.
///
/// # Errors
/// What Go refuses, in Go's words.
fn go_to_rust(pattern: &str) -> Result<String, String> {
    // Nothing below differs for these, and they are most of what comes.
    if !pattern.contains(['\\', '[', '{', '(', ')', '*', '+', '?']) {
        return Ok(pattern.to_owned());
    }
    let out = String::with_capacity(pattern.len() + 16);
    let mut translation = Translation { pattern, rest: pattern, out, groups: Vec::new(), group: Group::default() };
    translation.run()?;
    Ok(translation.out)
}

fn compile(translated: &str, pattern: &str) -> Result<Regex, String> {
    Regex::new(translated).map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => refusal("expression too large", pattern),
        // What this translation let through although it should not have.
        other => first_line(&other),
    })
}

fn refusal(reason: &str, piece: &str) -> String {
    format!("{reason}: `{piece}`")
}

fn first_line(error: &regex::Error) -> String {
    let text = error.to_string();
    let said = text.lines().rev().find_map(|line| line.strip_prefix("error: "));
    said.or(text.lines().next()).unwrap_or("invalid").to_owned()
}

/// What is known of the innermost group that is open.
#[derive(Default)]
struct Group {
    /// How often the last item of the alternative repeats, what it holds included; `None`: there is no item.
    item: Option<u32>,
    /// The most of its items.
    most: u32,
}

impl Group {
    fn put(&mut self, repeats: u32) {
        self.item = Some(repeats);
        self.most = self.most.max(repeats);
    }
}

struct Translation<'a> {
    pattern: &'a str,
    rest: &'a str,
    out: String,
    /// Groups around the innermost one.
    groups: Vec<Group>,
    group: Group,
}

impl<'a> Translation<'a> {
    fn run(&mut self) -> Result<(), String> {
        // What follows the beginning of a repetition, when one comes right before.
        let mut repeated: Option<&'a str> = None;
        loop {
            let before = self.rest;
            let Some(c) = self.next() else { break };
            let bounds = match c {
                '*' | '+' | '?' => Some((1, 1)),
                '{' => self.bounds(before)?,
                _ => None,
            };
            if let Some((low, high)) = bounds {
                self.repeat(before, repeated, low, high)?;
                repeated = Some(before);
                continue;
            }
            repeated = None;
            match c {
                '(' => self.open(before)?,
                ')' => self.close()?,
                '|' => {
                    self.out.push(c);
                    self.group.item = None;
                }
                _ => self.item(c, before)?,
            }
        }
        if self.groups.is_empty() { Ok(()) } else { Err(refusal(NO_PAREN, self.pattern)) }
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    fn next_if(&mut self, text: &str) -> bool {
        let found = self.rest.strip_prefix(text);
        self.rest = found.unwrap_or(self.rest);
        found.is_some()
    }

    /// What was read since `from`.
    fn since(&self, from: &'a str) -> &'a str {
        &from[..from.len() - self.rest.len()]
    }

    /// Something that matches by itself.
    fn item(&mut self, c: char, before: &'a str) -> Result<(), String> {
        match c {
            '\\' => return self.escape(before),
            '[' => self.class(before)?,
            '{' => self.out.push_str("\\{"),
            _ => self.out.push(c),
        }
        self.group.put(1);
        Ok(())
    }

    /// The rest of `{n}`, `{n,}` or `{n,m}`; `None`, and nothing taken, when the brace means itself.
    fn bounds(&mut self, before: &'a str) -> Result<Option<(u32, u32)>, String> {
        let Some((inner, rest)) = self.rest.split_once('}') else { return Ok(None) };
        let (low, high) = inner.split_once(',').map_or((inner, None), |(low, high)| (low, Some(high)));
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            digits && (text.len() == 1 || !text.starts_with('0'))
        };
        if !number(low) || high.is_some_and(|high| !high.is_empty() && !number(high)) {
            return Ok(None);
        }
        self.rest = rest;
        let value = |text: &str| text.parse::<u32>().ok().filter(|n| *n <= MAX_REPEAT);
        let low = value(low);
        let high = match high {
            None | Some("") => low,
            Some(high) => value(high).filter(|high| low.is_some_and(|low| low <= *high)),
        };
        low.zip(high).map(Some).ok_or_else(|| refusal("invalid repeat count", self.since(before)))
    }

    /// A repetition that began at `before`, right after another one that began at `repeated`.
    fn repeat(&mut self, before: &'a str, repeated: Option<&'a str>, low: u32, high: u32) -> Result<(), String> {
        self.next_if("?");
        if let Some(first) = repeated {
            return Err(refusal("invalid nested repetition operator", self.since(first)));
        }
        let piece = self.since(before);
        let Some(inner) = self.group.item else {
            return Err(refusal("missing argument to repetition operator", piece));
        };
        let all = if high == 0 { 1 } else { inner * high };
        if low.max(high) > 1 && all > MAX_REPEAT {
            return Err(refusal("invalid repeat count", piece));
        }
        self.group.put(all);
        self.out.push_str(piece);
        Ok(())
    }

    /// What follows an opening parenthesis.
    fn open(&mut self, before: &'a str) -> Result<(), String> {
        if !self.next_if("?") {
            self.out.push('(');
        } else if (before.starts_with("(?P<") && before.len() > 4) || (before.starts_with("(?<") && before.len() > 3) {
            self.capture(before)?;
        } else if !self.flags(before)? {
            return Ok(());
        }
        self.groups.push(std::mem::take(&mut self.group));
        Ok(())
    }

    /// `(?P<name>` or `(?<name>`.
    fn capture(&mut self, before: &'a str) -> Result<(), String> {
        let Some((_, rest)) = self.rest.split_once('>') else { return Err(refusal(BAD_CAPTURE, before)) };
        let name = self.rest.trim_start_matches('P').strip_prefix('<').and_then(|name| name.split_once('>'));
        let name = name.map_or("", |(name, _)| name);
        self.rest = rest;
        if name.is_empty() || !name.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric()) {
            return Err(refusal(BAD_CAPTURE, self.since(before)));
        }
        self.out.push_str(&format!("(?P<{name}>"));
        Ok(())
    }

    /// `(?flags)` or `(?flags:`, where a group begins.
    fn flags(&mut self, before: &'a str) -> Result<bool, String> {
        let (mut on, mut off) = (String::new(), String::new());
        let (mut negative, mut seen) = (false, false);
        while let Some(c) = self.next() {
            match c {
                _ if FLAGS.contains(c) => {
                    let (to, from) = if negative { (&mut off, &mut on) } else { (&mut on, &mut off) };
                    to.retain(|other| other != c);
                    from.retain(|other| other != c);
                    to.push(c);
                    seen = true;
                }
                '-' if !negative => (negative, seen) = (true, false),
                ':' | ')' if seen || !negative => {
                    let minus = if off.is_empty() { "" } else { "-" };
                    if c == ':' || !(on.is_empty() && off.is_empty()) {
                        self.out.push_str(&format!("(?{on}{minus}{off}{c}"));
                    }
                    return Ok(c == ':');
                }
                _ => break,
            }
        }
        Err(refusal(BAD_PERL, self.since(before)))
    }

    fn close(&mut self) -> Result<(), String> {
        let Some(outer) = self.groups.pop() else { return Err(refusal("unexpected )", self.pattern)) };
        let inner = std::mem::replace(&mut self.group, outer);
        self.group.put(inner.most.max(1));
        self.out.push(')');
        Ok(())
    }

    /// What follows a backslash outside of brackets.
    fn escape(&mut self, before: &'a str) -> Result<(), String> {
        match self.peek() {
            Some('Q') => {
                self.next();
                self.quoted();
                return Ok(());
            }
            Some(c @ ('b' | 'B')) => {
                self.next();
                self.out.push_str(if c == 'b' { r"(?-u:\b)" } else { r"(?-u:\B)" });
            }
            Some(c @ ('A' | 'z')) => {
                self.next();
                self.out.extend(['\\', c]);
            }
            _ => match self.set(before)? {
                Some(set) => self.out.push_str(&set),
                None => {
                    let c = self.escaped_char(before)?;
                    self.out.push_str(&literal(c));
                }
            },
        }
        self.group.put(1);
        Ok(())
    }

    /// Everything up to `\E`, or all of it.
    fn quoted(&mut self) {
        let (text, rest) = self.rest.split_once("\\E").unwrap_or((self.rest, ""));
        self.rest = rest;
        for c in text.chars() {
            self.out.push_str(&literal(c));
            self.group.put(1);
        }
    }

    /// After the backslash at `before`: a set of characters, if it is one.
    fn set(&mut self, before: &'a str) -> Result<Option<String>, String> {
        let Some(c) = self.peek() else { return Err(refusal(TRAILING, "")) };
        let perl = match c {
            'd' => "[0-9]",
            'D' => "[^0-9]",
            'w' => "[0-9A-Za-z_]",
            'W' => "[^0-9A-Za-z_]",
            's' => r"[\t\n\f\r ]",
            'S' => r"[^\t\n\f\r ]",
            'p' | 'P' => {
                self.next();
                return self.unicode(before, c == 'P').map(Some);
            }
            _ => return Ok(None),
        };
        self.next();
        Ok(Some(perl.to_owned()))
    }

    /// What follows `\p` or `\P`.
    fn unicode(&mut self, before: &'a str, mut negated: bool) -> Result<String, String> {
        let name = if self.next_if("{") {
            let Some((name, rest)) = self.rest.split_once('}') else { return Err(refusal(BAD_RANGE, before)) };
            self.rest = rest;
            name
        } else {
            let from = self.rest;
            self.next();
            self.since(from)
        };
        let bare = name.strip_prefix('^').unwrap_or(name);
        negated ^= bare.len() < name.len();
        let set = format!("\\{}{{{bare}}}", if negated { 'P' } else { 'p' });
        let known = bare.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') && Regex::new(&set).is_ok();
        if known { Ok(set) } else { Err(refusal(BAD_RANGE, self.since(before))) }
    }

    /// After the backslash at `before`: one character.
    fn escaped_char(&mut self, before: &'a str) -> Result<char, String> {
        let Some(c) = self.next() else { return Err(refusal(TRAILING, "")) };
        let code = match c {
            'a' => Some(0x07),
            'f' => Some(0x0c),
            't' => Some(0x09),
            'n' => Some(0x0a),
            'r' => Some(0x0d),
            'v' => Some(0x0b),
            'x' => self.hexadecimal(),
            // One digit alone would refer to a group, which RE2 cannot do.
            '0'..='7' if c == '0' || self.peek().is_some_and(|next| next.is_digit(8)) => {
                let mut code = u32::from(c) - u32::from('0');
                for _ in 0..2 {
                    let Some(digit) = self.peek().and_then(|next| next.to_digit(8)) else { break };
                    code = code * 8 + digit;
                    self.next();
                }
                Some(code)
            }
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => Some(u32::from(c)),
            _ => None,
        };
        // Go takes halves of surrogate pairs, which stand in no text; nor does the replacement character, mostly.
        let code = code.ok_or_else(|| refusal(BAD_ESCAPE, self.since(before)))?;
        Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    /// What follows `\x`: two digits, or any number of them in braces.
    fn hexadecimal(&mut self) -> Option<u32> {
        if self.peek()? != '{' {
            let (first, second) = (self.next()?, self.next());
            return Some(first.to_digit(16)? * 16 + second?.to_digit(16)?);
        }
        self.next();
        let mut code: Option<u32> = None;
        loop {
            let c = self.next()?;
            if c == '}' {
                return code;
            }
            let next = code.unwrap_or(0) * 16 + c.to_digit(16)?;
            if next > u32::from(char::MAX) {
                return None;
            }
            code = Some(next);
        }
    }

    /// The rest of a class in brackets that began at `before`.
    fn class(&mut self, before: &'a str) -> Result<(), String> {
        self.out.push('[');
        if self.next_if("^") {
            self.out.push('^');
        }
        let mut first = true;
        while first || !self.next_if("]") {
            first = false;
            if self.posix()? {
                continue;
            }
            let from = self.rest;
            if self.next_if("\\") {
                if let Some(set) = self.set(from)? {
                    self.out.push_str(&set);
                    continue;
                }
                self.rest = from;
            }
            let low = self.class_char(before)?;
            self.out.push_str(&literal(low));
            if self.rest.len() > 1 && self.rest.starts_with('-') && !self.rest.starts_with("-]") {
                self.next();
                let high = self.class_char(before)?;
                if high < low {
                    return Err(refusal(BAD_RANGE, self.since(from)));
                }
                self.out.push('-');
                self.out.push_str(&literal(high));
            }
        }
        self.out.push(']');
        Ok(())
    }

    fn class_char(&mut self, class: &'a str) -> Result<char, String> {
        let before = self.rest;
        match self.next() {
            None => Err(refusal(NO_BRACKET, class)),
            Some('\\') => self.escaped_char(before),
            Some(c) => Ok(c),
        }
    }

    /// Takes `[:name:]`, if it stands here.
    fn posix(&mut self) -> Result<bool, String> {
        let before = self.rest;
        let Some((name, rest)) = before.strip_prefix("[:").and_then(|inner| inner.split_once(":]")) else {
            return Ok(false);
        };
        self.rest = rest;
        if !POSIX.contains(&name.strip_prefix('^').unwrap_or(name)) {
            return Err(refusal(BAD_RANGE, self.since(before)));
        }
        self.out.push_str(&format!("[:{name}:]"));
        Ok(true)
    }
}

/// A character that means itself, inside and outside of brackets.
fn literal(c: char) -> String {
    match c {
        // Not every version escapes these two, and with a backslash they would be the ends of words.
        '<' | '>' => c.to_string(),
        _ => regex::escape(c.encode_utf8(&mut [0; 4])),
    }
}

#[cfg(test)]
mod tests {
    use super::go_regex_of_all;

    /// Whether all of `text` matches, or what is wrong with the pattern.
    fn matches(pattern: &str, text: &str) -> Result<bool, String> {
        go_regex_of_all(pattern).map(|regex| regex.is_match(text))
    }

    #[test]
    fn classes_are_ascii_and_brackets_are_plain() {
        let cases: &[(&str, &str, bool)] = &[
            (r"\d", "3", true),
            (r"\d", "٣", false),
            (r"\D", "٣", true),
            (r"[\d]", "٣", false),
            (r"[^\d]", "٣", true),
            (r"[x\D]", "٣", true),
            (r"\w+", "größe", false),
            (r"\w+", "gr_3", true),
            (r"gr\Wße", "größe", true),
            (r"a\sb", "a\u{a0}b", false),
            (r"a\sb", "a\u{b}b", false),
            (r"a\sb", "a\tb", true),
            (r".*\b", "ſ", false),
            (r".*\b", "s", true),
            (r"é\Bé", "éé", true),
            (r"(?i)k", "\u{212a}", true),
            (r"[[a]+", "[a[", true),
            (r"[a&&b]+", "a&b", true),
            (r"[+--]+", "+,-", true),
            (r"[a~~b]", "~", true),
            (r"[a-]+", "a-", true),
            (r"[]a]+", "]a", true),
            (r"[^]a]", "b", true),
            (r"[[:alpha:]-]+", "a-b", true),
            (r"[[:^alpha:]]", "1", true),
            (r"[\]\-\\]+", r"]-\", true),
            (r"\Qa.b\E.", "a.bc", true),
            (r"\Qa.b\E.", "axbc", false),
            (r"\Qa.b", "a.b", true),
            (r"\\Qa", r"\Qa", true),
            (r"\101\x42\x{43}", "ABC", true),
            (r"a{,2}", "a{,2}", true),
            (r"a{", "a{", true),
            (r"a{2}", "aa", true),
            (r"a{2,}?", "aaa", true),
            (r"a{01}", "a{01}", true),
            (r"\<a\>", "<a>", true),
            (r"\_\-\/", "_-/", true),
            (r"\pN\p{Greek}\p{^Greek}\PN", "٣αaa", true),
            (r"(?P<n>a)(?i:B)(?U)c*", "abc", true),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(matches(pattern, text), Ok(*expected), "{pattern} on {text:?}");
        }
    }

    /// Patterns and what Go 1.26 says of them.
    #[test]
    fn refuses_in_the_words_of_go() {
        let cases = [
            ("a(b", "missing closing ): `a(b`"),
            ("a)", "unexpected ): `a)`"),
            ("a)(b", "unexpected ): `a)(b`"),
            ("*a", "missing argument to repetition operator: `*`"),
            ("(*)", "missing argument to repetition operator: `*`"),
            ("a|*", "missing argument to repetition operator: `*`"),
            ("a**", "invalid nested repetition operator: `**`"),
            ("a*?*", "invalid nested repetition operator: `*?*`"),
            ("a+{2}?", "invalid nested repetition operator: `+{2}?`"),
            ("a{1001}", "invalid repeat count: `{1001}`"),
            ("a{3,2}", "invalid repeat count: `{3,2}`"),
            ("(a{500}){3}", "invalid repeat count: `{3}`"),
            ("[a", "missing closing ]: `[a`"),
            ("[z-a]", "invalid character class range: `z-a`"),
            ("[a-\\d]", "invalid escape sequence: `\\d`"),
            ("[[:nope:]]", "invalid character class range: `[:nope:]`"),
            ("[\\Q]", "invalid escape sequence: `\\Q`"),
            ("[\\b]", "invalid escape sequence: `\\b`"),
            ("\\p{Nope}", "invalid character class range: `\\p{Nope}`"),
            ("\\pé", "invalid character class range: `\\pé`"),
            ("\\p{Greek", "invalid character class range: `\\p{Greek`"),
            ("\\8", "invalid escape sequence: `\\8`"),
            ("\\1", "invalid escape sequence: `\\1`"),
            ("\\y", "invalid escape sequence: `\\y`"),
            ("\\é", "invalid escape sequence: `\\é`"),
            ("\\x", "invalid escape sequence: `\\x`"),
            ("\\x1", "invalid escape sequence: `\\x1`"),
            ("\\xg1", "invalid escape sequence: `\\xg1`"),
            ("\\x{}", "invalid escape sequence: `\\x{}`"),
            ("\\x{110000}", "invalid escape sequence: `\\x{110000`"),
            ("a\\", "trailing backslash at end of expression: ``"),
            ("(?x)a", "invalid or unsupported Perl syntax: `(?x`"),
            ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
            ("(?<=a)", "invalid named capture: `(?<=a)`"),
            ("(?P=n)", "invalid or unsupported Perl syntax: `(?P`"),
            ("(?P<n", "invalid named capture: `(?P<n`"),
            ("(?P<a-b>c)", "invalid named capture: `(?P<a-b>`"),
            ("(?", "invalid or unsupported Perl syntax: `(?`"),
            ("(?i", "invalid or unsupported Perl syntax: `(?i`"),
            ("(?i-)", "invalid or unsupported Perl syntax: `(?i-)`"),
            ("(?'n'a)", "invalid or unsupported Perl syntax: `(?'`"),
        ];
        for (pattern, expected) in cases {
            assert_eq!(matches(pattern, "a"), Err(expected.to_owned()), "{pattern}");
        }
    }
}
