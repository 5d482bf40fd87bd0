//! Regular expressions in Go's syntax (RE2), said in the words of the `regex` crate.
//!
//! Source: <https://pkg.go.dev/regexp/syntax>. What differs: `\d`, `\w`, `\s` and `\b` know ASCII only; inside of brackets
//! `[`, `&&`, `--` and `~~` mean nothing; `\Q…\E`, octal escapes and braces that repeat nothing exist; repetitions neither
//! stack nor exceed 1000.

use std::iter::Peekable;
use std::str::Chars;

use regex::Regex;

/// The most repetitions that `{n,m}` may ask for.
const MAX_REPEAT: u32 = 1000;
const POSIX: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word",
    "xdigit",
];

/// A pattern that may match anywhere.
///
/// # Errors
/// What is wrong with it, in one line.
pub(crate) fn go_regex(pattern: &str) -> Result<Regex, String> {
    compile(&go_to_rust(pattern)?)
}

/// A pattern that has to match all of a text, and whose dot means new lines too: as everywhere in Prometheus' language
/// and configuration.
///
/// # Errors
/// As [`go_regex`].
pub(crate) fn go_regex_of_all(pattern: &str) -> Result<Regex, String> {
    compile(&format!("^(?s:{})$", go_to_rust(pattern)?))
}

fn compile(translated: &str) -> Result<Regex, String> {
    Regex::new(translated).map_err(|error| {
        // The crate draws the pattern with a mark in it first.
        let text = error.to_string();
        let reason = text.lines().rev().find_map(|line| line.strip_prefix("error: "));
        reason.or(text.lines().next()).unwrap_or("invalid").to_owned()
    })
}

/// Translates a pattern; the result still has to compile.
///
/// # Errors
/// What Go refuses and the `regex` crate would take, in Go's words.
fn go_to_rust(pattern: &str) -> Result<String, String> {
    // Nothing below differs for these, and they are most of what comes.
    if !pattern.contains(['\\', '[', '{', '(', '*', '+', '?']) {
        return Ok(pattern.to_owned());
    }
    let mut translation =
        Translation { out: String::with_capacity(pattern.len() + 16), chars: pattern.chars().peekable() };
    translation.run()?;
    Ok(translation.out)
}

struct Translation<'a> {
    out: String,
    chars: Peekable<Chars<'a>>,
}

impl Translation<'_> {
    fn run(&mut self) -> Result<(), String> {
        let mut repeated = None;
        while let Some(c) = self.chars.next() {
            let repeat = match c {
                '*' | '+' | '?' => Some(c.to_string()),
                '{' => self.repeat()?,
                _ => None,
            };
            if let Some(repeat) = repeat {
                if let Some(before) = repeated {
                    return Err(format!("invalid nested repetition operator: `{before}{repeat}`"));
                }
                let lazy = self.chars.next_if_eq(&'?').map_or("", |_| "?");
                self.out.push_str(&repeat);
                self.out.push_str(lazy);
                repeated = Some(repeat + lazy);
                continue;
            }
            repeated = None;
            match c {
                '\\' => self.escape()?,
                '[' => self.class()?,
                '{' => self.out.push_str("\\{"),
                '(' => self.group()?,
                _ => self.out.push(c),
            }
        }
        Ok(())
    }

    /// The rest of `{n}`, `{n,}` or `{n,m}`; `None`, and nothing taken, when the brace means itself.
    fn repeat(&mut self) -> Result<Option<String>, String> {
        let rest: String = self.chars.clone().take_while(|c| *c != '}').collect();
        if self.chars.clone().nth(rest.chars().count()) != Some('}') {
            return Ok(None);
        }
        let (low, high) = rest.split_once(',').map_or((&*rest, None), |(low, high)| (low, Some(high)));
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            digits && (text.len() == 1 || !text.starts_with('0'))
        };
        if !number(low) || high.is_some_and(|high| !high.is_empty() && !number(high)) {
            return Ok(None);
        }
        let fits = |text: &str| text.parse::<u32>().is_ok_and(|n| n <= MAX_REPEAT);
        if !fits(low) || high.is_some_and(|high| !high.is_empty() && !fits(high)) {
            return Err(format!("invalid repeat count: `{{{rest}}}`"));
        }
        self.chars.nth(rest.chars().count());
        Ok(Some(format!("{{{rest}}}")))
    }

    /// What follows an opening parenthesis, when it is a question mark.
    fn group(&mut self) -> Result<(), String> {
        self.out.push('(');
        if self.chars.next_if_eq(&'?').is_none() {
            return Ok(());
        }
        self.out.push('?');
        let mut flags = String::new();
        for c in self.chars.by_ref() {
            self.out.push(c);
            match c {
                'i' | 'm' | 's' | 'U' | '-' => flags.push(c),
                ':' | ')' => return Ok(()),
                // A name.
                'P' | '<' if flags.is_empty() => return Ok(()),
                _ => return Err(format!("invalid or unsupported Perl syntax: `(?{flags}{c}`")),
            }
        }
        Err("missing closing )".to_owned())
    }

    /// What follows a backslash outside of brackets.
    fn escape(&mut self) -> Result<(), String> {
        match self.chars.peek() {
            Some('Q') => {
                self.chars.next();
                self.quoted();
            }
            Some(c @ ('b' | 'B')) => {
                self.out.push_str(if *c == 'b' { r"(?-u:\b)" } else { r"(?-u:\B)" });
                self.chars.next();
            }
            Some(c @ ('A' | 'z')) => {
                self.out.extend(['\\', *c]);
                self.chars.next();
            }
            _ => match self.set()? {
                Some(set) => self.out.push_str(&set),
                None => {
                    let c = self.escaped_char()?;
                    self.out.push_str(&c);
                }
            },
        }
        Ok(())
    }

    /// Everything up to `\E`, or all of it.
    fn quoted(&mut self) {
        while let Some(c) = self.chars.next() {
            if c == '\\' && self.chars.next_if_eq(&'E').is_some() {
                return;
            }
            self.out.push_str(&literal(c));
        }
    }

    /// After a backslash: a set of characters, if it is one.
    fn set(&mut self) -> Result<Option<String>, String> {
        let Some(c) = self.chars.peek().copied() else {
            return Err("trailing backslash at end of expression".to_owned());
        };
        let perl = match c {
            'd' => "[0-9]",
            'D' => "[^0-9]",
            'w' => "[0-9A-Za-z_]",
            'W' => "[^0-9A-Za-z_]",
            's' => r"[\t\n\f\r ]",
            'S' => r"[^\t\n\f\r ]",
            'p' | 'P' => {
                self.chars.next();
                return self.unicode(c == 'P').map(Some);
            }
            _ => return Ok(None),
        };
        self.chars.next();
        Ok(Some(perl.to_owned()))
    }

    /// What follows `\p` or `\P`.
    fn unicode(&mut self, mut negated: bool) -> Result<String, String> {
        let mut name = String::new();
        match self.chars.next() {
            Some('{') => {
                negated ^= self.chars.next_if_eq(&'^').is_some();
                name.extend(self.chars.by_ref().take_while(|c| *c != '}'));
            }
            Some(c) => name.push(c),
            None => return Err(r"invalid character class range: `\p`".to_owned()),
        }
        Ok(format!("\\{}{{{name}}}", if negated { 'P' } else { 'p' }))
    }

    /// After a backslash: one character.
    fn escaped_char(&mut self) -> Result<String, String> {
        let Some(c) = self.chars.next() else { return Err("trailing backslash at end of expression".to_owned()) };
        match c {
            'a' | 'f' | 't' | 'n' | 'r' | 'v' => Ok(format!("\\{c}")),
            'x' => {
                let braces = self.chars.peek() == Some(&'{');
                let mut digits: String = String::new();
                if braces {
                    digits.extend(self.chars.by_ref().skip(1).take_while(|c| *c != '}'));
                } else {
                    digits.extend(self.chars.by_ref().take(2));
                }
                let code = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
                code.map(literal).ok_or_else(|| format!("invalid escape sequence: `\\x{digits}`"))
            }
            // One digit alone would refer to a group, which RE2 cannot do.
            '0'..='7' if c == '0' || self.chars.peek().is_some_and(|next| ('0'..='7').contains(next)) => {
                let mut code = c.to_digit(8).unwrap_or(0);
                for _ in 0..2 {
                    let Some(digit) = self.chars.peek().and_then(|next| next.to_digit(8)) else { break };
                    code = code * 8 + digit;
                    self.chars.next();
                }
                Ok(char::from_u32(code).map(literal).unwrap_or_default())
            }
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => Ok(literal(c)),
            c => Err(format!("invalid escape sequence: `\\{c}`")),
        }
    }

    /// The rest of a class in brackets.
    fn class(&mut self) -> Result<(), String> {
        self.out.push('[');
        if self.chars.next_if_eq(&'^').is_some() {
            self.out.push('^');
        }
        let mut first = true;
        loop {
            if self.chars.peek() == Some(&']') && !first {
                self.chars.next();
                self.out.push(']');
                return Ok(());
            }
            first = false;
            if self.posix()? {
                continue;
            }
            let low = match self.class_char()? {
                Item::Set(set) => {
                    self.out.push_str(&set);
                    continue;
                }
                Item::Char(low) => low,
            };
            self.out.push_str(&low);
            let mut ahead = self.chars.clone();
            if ahead.next() == Some('-') && ahead.next().is_some_and(|c| c != ']') {
                self.chars.next();
                let Item::Char(high) = self.class_char()? else {
                    return Err("invalid character class range".to_owned());
                };
                self.out.push('-');
                self.out.push_str(&high);
            }
        }
    }

    fn class_char(&mut self) -> Result<Item, String> {
        match self.chars.next() {
            None => Err("missing closing ]".to_owned()),
            Some('\\') => match self.set()? {
                Some(set) => Ok(Item::Set(set)),
                None => self.escaped_char().map(Item::Char),
            },
            Some(c) => Ok(Item::Char(literal(c))),
        }
    }

    /// Takes `[:name:]`, if it stands here.
    fn posix(&mut self) -> Result<bool, String> {
        let mut ahead = self.chars.clone();
        if ahead.next() != Some('[') || ahead.next() != Some(':') {
            return Ok(false);
        }
        let name: String = ahead.clone().take_while(|c| *c != ':').collect();
        if ahead.nth(name.chars().count() + 1) != Some(']') {
            return Ok(false);
        }
        if !POSIX.contains(&name.strip_prefix('^').unwrap_or(&name)) {
            return Err(format!("invalid character class range: `[:{name}:]`"));
        }
        self.out.push_str(&format!("[:{name}:]"));
        self.chars = ahead;
        Ok(true)
    }
}

/// What stands in brackets.
enum Item {
    Char(String),
    Set(String),
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

    #[test]
    fn what_go_refuses_is_refused() {
        for pattern in [
            "a**",
            "a+*",
            "a{2}{3}",
            "a*?*",
            "a{1001}",
            "a{1,1001}",
            r"\8",
            r"\1",
            r"\C",
            r"\y",
            "(?x)a",
            "(?=a)",
            "(?<=a)",
            "[a",
            "[[:nope:]]",
            r"[\Q]",
            r"[\b]",
            "a\\",
            "[z-a]",
            r"[a-\d]",
            "a{2,1}",
            "*a",
            "(",
            ")",
            r"\é",
        ] {
            assert!(matches(pattern, "a").is_err(), "{pattern}");
        }
    }
}
