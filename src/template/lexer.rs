//! Template text → pieces: plain text, and actions cut into tokens. Trim markers and comments end here.

use super::error::{Offset, TemplateError};
use super::value::Val;

/// A word inside an action.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Tok {
    Word(String),
    /// `.name`
    Field(String),
    Dot,
    /// `$name`, or `$` alone.
    Variable(String),
    Literal(Val),
    Declare,
    Assign,
    Pipe,
    Comma,
    Open,
    Close,
}

/// A token with its place and whether a blank stands before it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub(super) tok: Tok,
    pub(super) at: Offset,
    pub(super) spaced: bool,
}

/// A stretch of the template.
#[derive(Debug, Clone)]
pub(super) enum Piece {
    Text(String),
    Action { tokens: Vec<Token>, at: Offset },
}

/// Cuts a template into pieces.
pub(super) fn split(text: &str) -> Result<Vec<Piece>, TemplateError> {
    let (mut pieces, mut rest_at, mut trim) = (Vec::new(), 0, false);
    loop {
        let rest = text.get(rest_at..).unwrap_or("");
        let Some(open) = rest.find("{{") else {
            push_text(&mut pieces, rest, trim, false);
            return Ok(pieces);
        };
        let at = rest_at + open;
        let mut scanner = Scanner { text, at: at + 2, open: at };
        let trim_before = scanner.trim_marker();
        push_text(&mut pieces, rest.get(..open).unwrap_or(""), trim, trim_before);
        scanner.at += if trim_before { 1 } else { 0 };
        let tokens = if scanner.at_comment() { scanner.comment()? } else { scanner.action()? };
        trim = tokens.trim_after;
        if let Some(tokens) = tokens.tokens {
            pieces.push(Piece::Action { tokens, at });
        }
        rest_at = scanner.at;
    }
}

fn push_text(pieces: &mut Vec<Piece>, text: &str, trim_start: bool, trim_end: bool) {
    const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];
    let text = if trim_start { text.trim_start_matches(BLANKS) } else { text };
    let text = if trim_end { text.trim_end_matches(BLANKS) } else { text };
    if !text.is_empty() {
        pieces.push(Piece::Text(text.to_owned()));
    }
}

struct Scanner<'a> {
    text: &'a str,
    at: Offset,
    /// Where the action began.
    open: Offset,
}

/// An action's tokens, or `None` for a comment.
struct Scanned {
    tokens: Option<Vec<Token>>,
    trim_after: bool,
}

impl<'a> Scanner<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn fail<T>(&self, message: impl Into<String>) -> Result<T, TemplateError> {
        Err(TemplateError::at(self.text, self.at, message))
    }

    /// `- ` right after `{{`.
    fn trim_marker(&self) -> bool {
        let mut chars = self.rest().chars();
        chars.next() == Some('-') && chars.next().is_some_and(is_blank)
    }

    fn at_comment(&self) -> bool {
        self.rest().trim_start_matches(is_blank).starts_with("/*")
    }

    fn comment(&mut self) -> Result<Scanned, TemplateError> {
        let Some(end) = self.rest().find("*/") else { return self.fail("unclosed comment") };
        self.at += end + 2;
        let rest = self.rest();
        if let Some(body) = rest.strip_prefix("}}") {
            self.at = self.text.len() - body.len();
            return Ok(Scanned { tokens: None, trim_after: false });
        }
        let blanks = rest.trim_start_matches(is_blank);
        match blanks.strip_prefix("-}}") {
            Some(body) if blanks.len() < rest.len() => {
                self.at = self.text.len() - body.len();
                Ok(Scanned { tokens: None, trim_after: true })
            }
            _ => self.fail("comment ends before closing delimiter"),
        }
    }

    fn action(&mut self) -> Result<Scanned, TemplateError> {
        let mut tokens = Vec::new();
        loop {
            let before = self.at;
            self.at = self.text.len() - self.rest().trim_start_matches(is_blank).len();
            let spaced = self.at > before;
            let rest = self.rest();
            if rest.starts_with("}}") {
                self.at += 2;
                return Ok(Scanned { tokens: Some(tokens), trim_after: false });
            }
            if spaced && rest.starts_with("-}}") {
                self.at += 3;
                return Ok(Scanned { tokens: Some(tokens), trim_after: true });
            }
            let at = self.at;
            let tok = self.token()?;
            tokens.push(Token { tok, at, spaced });
        }
    }

    fn token(&mut self) -> Result<Tok, TemplateError> {
        let rest = self.rest();
        let Some(c) = rest.chars().next() else {
            self.at = self.open;
            return self.fail("unclosed action: expected \"}}\"");
        };
        let after = rest.get(c.len_utf8()..).unwrap_or("");
        let tok = match c {
            '"' => return self.quoted('"'),
            '\'' => return self.quoted('\''),
            '`' => return self.raw(),
            '.' if !after.starts_with(|c: char| c.is_ascii_digit()) => {
                let name = self.word_after(1);
                return Ok(if name.is_empty() { Tok::Dot } else { Tok::Field(name) });
            }
            '$' => return Ok(Tok::Variable(format!("${}", self.word_after(1)))),
            '0'..='9' | '.' | '+' | '-' => return self.number(),
            c if c == '_' || c.is_alphabetic() => return Ok(word(self.word_after(0))),
            ':' if after.starts_with('=') => {
                self.at += 1;
                Tok::Declare
            }
            '=' => Tok::Assign,
            '|' => Tok::Pipe,
            ',' => Tok::Comma,
            '(' => Tok::Open,
            ')' => Tok::Close,
            c => return self.fail(format!("unexpected {c:?} in action")),
        };
        self.at += 1;
        Ok(tok)
    }

    /// Skips `skip` bytes and takes the letters, digits and underscores that follow.
    fn word_after(&mut self, skip: usize) -> String {
        self.at += skip;
        let rest = self.rest();
        let end = rest.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or("").to_owned()
    }

    fn quoted(&mut self, quote: char) -> Result<Tok, TemplateError> {
        let rest = self.rest();
        let mut escaped = false;
        for (i, c) in rest.char_indices().skip(1) {
            match c {
                '\n' => break,
                c if c == quote && !escaped => {
                    let literal = rest.get(1..i).unwrap_or("");
                    let value = match unescape(literal, quote) {
                        Ok(value) => value,
                        Err(reason) => return self.fail(reason),
                    };
                    self.at += i + 1;
                    return Ok(Tok::Literal(if quote == '"' { Val::text(value) } else { rune(&value) }));
                }
                c => escaped = c == '\\' && !escaped,
            }
        }
        self.fail(if quote == '"' { "unterminated quoted string" } else { "unterminated character constant" })
    }

    fn raw(&mut self) -> Result<Tok, TemplateError> {
        let body = self.rest().get(1..).unwrap_or("");
        let Some(end) = body.find('`') else { return self.fail("unterminated raw quoted string") };
        self.at += end + 2;
        Ok(Tok::Literal(Val::text(body.get(..end).unwrap_or(""))))
    }

    fn number(&mut self) -> Result<Tok, TemplateError> {
        let rest = self.rest();
        let body = rest.strip_prefix(['+', '-']).unwrap_or(rest);
        let mut exponent = false;
        let end = body.find(|c: char| {
            let signed = exponent && matches!(c, '+' | '-');
            exponent = matches!(c, 'e' | 'E' | 'p' | 'P') && !body.starts_with("0x") || (exponent && signed);
            !(c.is_alphanumeric() || c == '.' || c == '_' || signed)
        });
        let length = rest.len() - body.len() + end.unwrap_or(body.len());
        let text = rest.get(..length).unwrap_or("");
        match parse_number(text) {
            Some(value) => {
                self.at += length;
                Ok(Tok::Literal(value))
            }
            None => self.fail(format!("bad number syntax: {text:?}")),
        }
    }
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn word(word: String) -> Tok {
    match word.as_str() {
        "true" => Tok::Literal(Val::Bool(true)),
        "false" => Tok::Literal(Val::Bool(false)),
        "nil" => Tok::Literal(Val::Nil),
        _ => Tok::Word(word),
    }
}

/// A character constant is its code point.
fn rune(text: &str) -> Val {
    Val::Int(text.chars().next().map_or(0, |c| i64::from(c as u32)))
}

/// Whole numbers are ints, what has a point or an exponent is a float, as Go's constants.
fn parse_number(text: &str) -> Option<Val> {
    let (sign, body) = match text.strip_prefix('-') {
        Some(body) => (-1, body),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let digits = body.replace('_', "");
    let lower = digits.to_ascii_lowercase();
    for (prefix, radix) in [("0x", 16), ("0b", 2), ("0o", 8)] {
        if let Some(digits) = lower.strip_prefix(prefix) {
            return i64::from_str_radix(digits, radix).ok().map(|value| Val::Int(sign * value));
        }
    }
    if lower.contains(['.', 'e']) {
        let valid = lower.bytes().all(|b| b.is_ascii_digit() || b".e+-".contains(&b));
        return lower.parse::<f64>().ok().filter(|_| valid).map(|value| Val::Float(sign as f64 * value));
    }
    let octal = lower.len() > 1 && lower.starts_with('0');
    i64::from_str_radix(&lower, if octal { 8 } else { 10 }).ok().map(|value| Val::Int(sign * value))
}

/// Go's escapes.
fn unescape(body: &str, quote: char) -> Result<String, String> {
    let mut out = Vec::with_capacity(body.len());
    let mut chars = body.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        let escape = chars.next().ok_or("escape sequence not terminated")?;
        let byte = match escape {
            'a' => 7,
            'b' => 8,
            'f' => 12,
            'n' => b'\n',
            'r' => b'\r',
            't' => b'\t',
            'v' => 11,
            '\\' => b'\\',
            c if c == quote => c as u8,
            'x' => code(&mut chars, 2, 16)? as u8,
            'u' | 'U' => {
                let code = code(&mut chars, if escape == 'u' { 4 } else { 8 }, 16)?;
                let c = char::from_u32(code).ok_or("escape sequence is an invalid Unicode code point")?;
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            c @ '0'..='7' => (c.to_digit(8).unwrap_or(0) * 64 + code(&mut chars, 2, 8)?) as u8,
            c => return Err(format!("unknown escape sequence \\{c}")),
        };
        out.push(byte);
    }
    String::from_utf8(out).map_err(|_| "string is no valid UTF-8".to_owned())
}

fn code(chars: &mut std::str::Chars<'_>, count: usize, base: u32) -> Result<u32, String> {
    (0..count).try_fold(0u32, |value, _| {
        let digit = chars.next().and_then(|c| c.to_digit(base)).ok_or("bad escape sequence")?;
        Ok(value.wrapping_mul(base).wrapping_add(digit))
    })
}
