//! Text → tokens. The lexer stops at the first mistake; the parser reports it if it gets that far.

use super::ast::{BinaryOp, Pos};
use super::text::{check_escapes, quote_char};
use super::token::{Kind, Token, keyword};

/// All tokens of a text, ended by [`Kind::Eof`] or [`Kind::Error`].
pub(super) struct Lexed {
    pub(super) tokens: Vec<Token>,
    /// Why the last token is [`Kind::Error`].
    pub(super) error: String,
}

struct Lexer<'a> {
    text: &'a str,
    start: usize,
    at: usize,
    parens: usize,
    in_braces: bool,
    in_brackets: bool,
    /// Whether a number was read since the bracket opened: from then on Prometheus' lexer takes any token and leaves the
    /// complaint to the parser.
    after_number: bool,
    tokens: Vec<Token>,
}

type Step = Result<(), String>;

/// Cuts `text` into tokens.
pub(super) fn lex(text: &str) -> Lexed {
    let mut lexer = Lexer {
        text,
        start: 0,
        at: 0,
        parens: 0,
        in_braces: false,
        in_brackets: false,
        after_number: false,
        tokens: Vec::with_capacity(text.len() / 4 + 2),
    };
    let mut error = String::new();
    if let Err(message) = lexer.run() {
        error = message;
        lexer.at = text.len();
        lexer.emit(Kind::Error);
    }
    Lexed { tokens: lexer.tokens, error }
}

impl Lexer<'_> {
    fn run(&mut self) -> Step {
        loop {
            self.skip_blank();
            self.start = self.at;
            let Some(c) = self.next() else { return self.end_of_input() };
            if self.in_braces {
                self.inside_braces(c)?;
            } else if self.in_brackets && !self.after_number {
                self.inside_brackets(c)?;
            } else {
                self.statement(c)?;
            }
        }
    }

    fn peek(&self) -> Option<char> {
        self.text.get(self.at..)?.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn accept(&mut self, c: char) -> bool {
        let found = self.peek() == Some(c);
        if found {
            self.at += c.len_utf8();
        }
        found
    }

    fn emit(&mut self, kind: Kind) {
        let pos = Pos { start: self.start as u32, end: self.at as u32 };
        self.tokens.push(Token { kind, pos });
        self.start = self.at;
    }

    fn skip_blank(&mut self) {
        while let Some(c) = self.peek() {
            match c {
                ' ' | '\t' | '\n' | '\r' => self.at += 1,
                '#' => {
                    let rest = self.text.get(self.at..).unwrap_or("");
                    self.at += rest.find('\n').unwrap_or(rest.len());
                }
                _ => return,
            }
        }
    }

    fn end_of_input(&mut self) -> Step {
        if self.in_braces {
            return Err("unexpected end of input inside braces".to_owned());
        }
        if self.in_brackets && !self.after_number {
            return Err("unexpected end of input in duration expression".to_owned());
        }
        if self.parens > 0 {
            return Err("unclosed left parenthesis".to_owned());
        }
        if self.in_brackets {
            return Err("unclosed left bracket".to_owned());
        }
        self.emit(Kind::Eof);
        Ok(())
    }

    fn statement(&mut self, c: char) -> Step {
        let kind = match c {
            ',' => Kind::Comma,
            '@' => Kind::At,
            '=' if self.accept('=') => Kind::Op(BinaryOp::Eq),
            '=' if self.peek() == Some('~') => return Err("unexpected character after '=': '~'".to_owned()),
            '=' => Kind::Equal,
            '!' if self.accept('=') => Kind::Op(BinaryOp::Ne),
            '!' => return Err(format!("unexpected character after '!': {}", quote_char(self.peek()))),
            '<' if self.accept('=') => Kind::Op(BinaryOp::Le),
            '<' if self.accept('/') => Kind::Op(BinaryOp::TrimUpper),
            '<' => Kind::Op(BinaryOp::Lt),
            '>' if self.accept('=') => Kind::Op(BinaryOp::Ge),
            '>' if self.accept('/') => Kind::Op(BinaryOp::TrimLower),
            '>' => Kind::Op(BinaryOp::Gt),
            '{' => {
                self.in_braces = true;
                Kind::LeftBrace
            }
            '[' if self.in_brackets => return Err("unexpected left bracket '['".to_owned()),
            '[' => {
                self.in_brackets = true;
                self.after_number = false;
                Kind::LeftBracket
            }
            ']' if self.in_brackets => {
                self.in_brackets = false;
                Kind::RightBracket
            }
            ']' => return Err("unexpected right bracket ']'".to_owned()),
            '}' => return Err(format!("unexpected character: {}", quote_char(Some(c)))),
            '"' | '\'' => return self.string(c),
            '`' => return self.raw_string(),
            ':' if self.in_brackets => Kind::Colon,
            c if is_alpha(c) && self.in_brackets => match self.duration_word() {
                Some(kind) => kind,
                None => return Err(format!("unexpected character: {}, expected ':'", quote_char(Some(c)))),
            },
            c if is_alpha(c) || c == ':' => return self.word(),
            c => return self.arithmetic(c, "unexpected character: "),
        };
        self.emit(kind);
        Ok(())
    }

    /// Operators, parentheses and numbers: what statements and durations share.
    fn arithmetic(&mut self, c: char, otherwise: &str) -> Step {
        let kind = match c {
            '+' => Kind::Op(BinaryOp::Add),
            '-' => Kind::Op(BinaryOp::Sub),
            '*' => Kind::Op(BinaryOp::Mul),
            '/' => Kind::Op(BinaryOp::Div),
            '%' => Kind::Op(BinaryOp::Mod),
            '^' => Kind::Op(BinaryOp::Pow),
            '(' => {
                self.parens += 1;
                Kind::LeftParen
            }
            ')' if self.parens == 0 => {
                self.start = self.at;
                return Err("unexpected right parenthesis ')'".to_owned());
            }
            ')' => {
                self.parens -= 1;
                Kind::RightParen
            }
            c if c.is_ascii_digit() || (c == '.' && self.peek().is_some_and(|d| d.is_ascii_digit())) => {
                return self.number();
            }
            c => return Err(format!("{otherwise}{}", quote_char(Some(c)))),
        };
        self.emit(kind);
        Ok(())
    }

    fn inside_brackets(&mut self, c: char) -> Step {
        let kind = match c {
            ']' => {
                self.in_brackets = false;
                Kind::RightBracket
            }
            ':' => Kind::Colon,
            ',' => Kind::Comma,
            '[' => return Err("unexpected left bracket '['".to_owned()),
            c if is_alpha(c) => match self.duration_word() {
                Some(kind) => kind,
                None => return Err(format!("unexpected character in duration expression: {}", quote_char(Some(c)))),
            },
            c => return self.arithmetic(c, "unexpected character in duration expression: "),
        };
        self.emit(kind);
        Ok(())
    }

    fn inside_braces(&mut self, c: char) -> Step {
        let kind = match c {
            ',' => Kind::Comma,
            '=' if self.accept('~') => Kind::RegexMatch,
            '=' => Kind::Equal,
            '!' if self.accept('~') => Kind::RegexNoMatch,
            '!' if self.accept('=') => Kind::Op(BinaryOp::Ne),
            '!' => return Err(format!("unexpected character after '!' inside braces: {}", quote_char(self.peek()))),
            '"' | '\'' => return self.string(c),
            '`' => return self.raw_string(),
            '{' => return Err("unexpected left brace '{'".to_owned()),
            '}' => {
                self.in_braces = false;
                Kind::RightBrace
            }
            c if is_alpha(c) => {
                self.skip_while(is_alphanumeric);
                Kind::Identifier
            }
            c => return Err(format!("unexpected character inside braces: {}", quote_char(Some(c)))),
        };
        self.emit(kind);
        Ok(())
    }

    /// The rest of one of the four words that a duration may hold.
    fn duration_word(&mut self) -> Option<Kind> {
        self.skip_while(is_alphanumeric);
        keyword(self.lexeme()).filter(|kind| matches!(kind, Kind::Step | Kind::Range | Kind::MinOf | Kind::MaxOf))
    }

    fn lexeme(&self) -> &str {
        self.text.get(self.start..self.at).unwrap_or("")
    }

    fn skip_while(&mut self, keep: impl Fn(char) -> bool) {
        while self.peek().is_some_and(&keep) {
            self.next();
        }
    }

    fn word(&mut self) -> Step {
        self.skip_while(|c| is_alphanumeric(c) || c == ':');
        let word = self.lexeme();
        let kind = keyword(word).unwrap_or(if word.contains(':') { Kind::MetricIdentifier } else { Kind::Identifier });
        self.emit(kind);
        Ok(())
    }

    /// A quoted string. The parser reads its escapes again: here they only have to be right.
    fn string(&mut self, quote: char) -> Step {
        let mut escapes = false;
        loop {
            match self.next() {
                Some('\\') => {
                    escapes = true;
                    self.next().ok_or("escape sequence not terminated")?;
                }
                Some('\n') | None => return Err("unterminated quoted string".to_owned()),
                Some(c) if c == quote => break,
                Some(_) => {}
            }
        }
        if escapes {
            check_escapes(self.lexeme())?;
        }
        self.emit(Kind::String);
        Ok(())
    }

    fn raw_string(&mut self) -> Step {
        while self.next().ok_or("unterminated raw string")? != '`' {}
        self.emit(Kind::String);
        Ok(())
    }

    /// A number, or a duration such as `1h30m`.
    fn number(&mut self) -> Step {
        self.at = self.start;
        self.after_number = true;
        if self.scan_number() {
            self.emit(Kind::Number);
            return Ok(());
        }
        if self.scan_units() {
            self.emit(Kind::Duration);
            return Ok(());
        }
        Err(format!("bad number or duration syntax: {}", crate::model::quote(self.lexeme())))
    }

    fn accept_any(&mut self, from: &str) -> bool {
        let found = self.peek().is_some_and(|c| from.contains(c));
        if found {
            self.next();
        }
        found
    }

    /// Whether a number ends here and nothing is glued to it. Stops behind the character that spoils it, which the
    /// message shows; what is no number after all (`1e+`) is for the parser to say.
    fn scan_number(&mut self) -> bool {
        let hex = self.accept('0') && self.accept_any("xX");
        if hex {
            self.accept('_');
        }
        let is_digit = |c: char| if hex { c.is_ascii_hexdigit() } else { c.is_ascii_digit() };
        self.accept('.');
        let (mut fraction, mut exponent) = (false, false);
        while let Some(c) = self.peek() {
            match c {
                c if is_digit(c) => self.skip_while(is_digit),
                '.' => {
                    self.next();
                    if fraction || hex || self.accept_any("_.") {
                        return false;
                    }
                    fraction = true;
                }
                'e' | 'E' => {
                    self.next();
                    if exponent {
                        return false;
                    }
                    exponent = true;
                    self.accept_any("+-");
                    if self.accept_any("._eE") || self.peek().is_none() {
                        return false;
                    }
                }
                '_' => {
                    self.next();
                    if self.accept_any("._eE") || self.peek().is_none() {
                        return false;
                    }
                }
                _ => break,
            }
        }
        !self.peek().is_some_and(is_alphanumeric)
    }

    /// Whether the units of a duration follow; whether they are in order is for the parser to say.
    fn scan_units(&mut self) -> bool {
        if !self.accept_any("smhdwy") {
            return false;
        }
        self.accept('s');
        while self.peek().is_some_and(|c| c.is_ascii_digit()) {
            self.skip_while(|c| c.is_ascii_digit());
            if !self.accept_any("smhdw") {
                return false;
            }
            self.accept('s');
        }
        let glued = self.peek().is_some_and(is_alphanumeric);
        if glued {
            self.next();
        }
        !glued
    }
}

fn is_alpha(c: char) -> bool {
    c == '_' || c.is_ascii_alphabetic()
}

fn is_alphanumeric(c: char) -> bool {
    is_alpha(c) || c.is_ascii_digit()
}
