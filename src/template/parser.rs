//! Pieces → tree. Functions and variables must be known, as in Go.

use std::collections::HashMap;

use super::error::{Offset, TemplateError};
use super::functions::Function;
use super::lexer::{Piece, Tok, Token, split};
use super::tree::{Branch, Command, Node, Operand, OperandKind, Pipe, Tree};
use super::value::Val;

/// Bytes of a template.
const MAX_TEMPLATE_BYTES: usize = 1 << 20;
/// Nesting of blocks and parentheses.
const MAX_NESTING: usize = 100;
/// What every template of a rule may use beside `$`.
pub(super) const ROOT_VARIABLES: [&str; 4] = ["$labels", "$externalLabels", "$externalURL", "$value"];

/// Reads a template.
pub(super) fn parse(text: &str) -> Result<Tree, TemplateError> {
    if text.len() > MAX_TEMPLATE_BYTES {
        let message = format!("template is {} bytes long, the limit is {MAX_TEMPLATE_BYTES}", text.len());
        return Err(TemplateError { line: 1, column: 1, message });
    }
    let mut parser = Parser {
        text,
        pieces: split(text)?.into_iter(),
        defined: HashMap::new(),
        variables: std::iter::once("$").chain(ROOT_VARIABLES).map(str::to_owned).collect(),
        loops: 0,
        depth: 0,
    };
    let (body, end) = parser.list()?;
    match end {
        Stop::Input => Ok(Tree { text: text.to_owned(), body, defined: parser.defined }),
        Stop::End(at) => Err(TemplateError::at(text, at, "unexpected {{end}}")),
        Stop::Else(_, at) => Err(TemplateError::at(text, at, "unexpected {{else}}")),
    }
}

/// What ended a list of nodes.
enum Stop {
    Input,
    End(Offset),
    /// What follows `else`.
    Else(Tokens, Offset),
}

struct Parser<'a> {
    text: &'a str,
    pieces: std::vec::IntoIter<Piece>,
    defined: HashMap<String, Vec<Node>>,
    /// Variables in scope.
    variables: Vec<String>,
    /// How many `range` bodies we are in.
    loops: usize,
    depth: usize,
}

/// The tokens of one action.
struct Tokens {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
    /// Where the action began: the place of errors at its end.
    at: Offset,
}

impl Tokens {
    fn peek(&mut self) -> Option<&Tok> {
        self.tokens.peek().map(|token| &token.tok)
    }

    fn place(&mut self) -> Offset {
        let end = self.at;
        self.tokens.peek().map_or(end, |token| token.at)
    }

    fn accept(&mut self, tok: &Tok) -> bool {
        self.tokens.next_if(|token| token.tok == *tok).is_some()
    }
}

type Parsed<T> = Result<T, TemplateError>;

impl Parser<'_> {
    fn fail<T>(&self, at: Offset, message: impl Into<String>) -> Parsed<T> {
        Err(TemplateError::at(self.text, at, message))
    }

    fn list(&mut self) -> Parsed<(Vec<Node>, Stop)> {
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.next() {
            let (tokens, at) = match piece {
                Piece::Text(text) => {
                    nodes.push(Node::Text(text));
                    continue;
                }
                Piece::Action { tokens, at } => (tokens, at),
            };
            let mut tokens = Tokens { tokens: tokens.into_iter().peekable(), at };
            let keyword = match tokens.peek() {
                Some(Tok::Word(word)) if is_keyword(word) => word.clone(),
                _ => {
                    let pipe = self.pipe(&mut tokens, "command")?;
                    self.no_more(&mut tokens, "command")?;
                    nodes.push(Node::Action(pipe));
                    continue;
                }
            };
            tokens.tokens.next();
            match keyword.as_str() {
                "end" => {
                    self.no_more(&mut tokens, "end")?;
                    return Ok((nodes, Stop::End(at)));
                }
                "else" => return Ok((nodes, Stop::Else(tokens, at))),
                "define" => self.define(&mut tokens)?,
                keyword => nodes.push(self.keyword(keyword, tokens)?),
            }
        }
        Ok((nodes, Stop::Input))
    }

    fn keyword(&mut self, keyword: &str, mut tokens: Tokens) -> Parsed<Node> {
        let at = tokens.at;
        match keyword {
            "if" => Ok(Node::If(self.branch("if", tokens)?)),
            "with" => Ok(Node::With(self.branch("with", tokens)?)),
            "range" => Ok(Node::Range(self.branch("range", tokens)?)),
            "template" => {
                let name = self.name(&mut tokens, "template")?;
                let pipe = if tokens.peek().is_some() { Some(self.pipe(&mut tokens, "template")?) } else { None };
                self.no_more(&mut tokens, "template")?;
                Ok(Node::Template { name, pipe, at })
            }
            "block" => {
                let name = self.name(&mut tokens, "block")?;
                let pipe = self.pipe(&mut tokens, "block")?;
                self.no_more(&mut tokens, "block")?;
                self.definition(name.clone(), at)?;
                Ok(Node::Template { name, pipe: Some(pipe), at })
            }
            "break" | "continue" => {
                self.no_more(&mut tokens, keyword)?;
                if self.loops == 0 {
                    return self.fail(at, format!("{{{{{keyword}}}}} outside {{{{range}}}}"));
                }
                Ok(if keyword == "break" { Node::Break } else { Node::Continue })
            }
            other => self.fail(at, format!("unexpected {{{{{other}}}}}")),
        }
    }

    /// `if`, `with`, `range` with their `else`, up to `end`. `else if` and `else with` nest.
    fn branch(&mut self, keyword: &str, mut tokens: Tokens) -> Parsed<Branch> {
        let (at, scope) = (tokens.at, self.variables.len());
        self.deeper(at)?;
        let pipe = self.pipe(&mut tokens, keyword)?;
        self.no_more(&mut tokens, keyword)?;
        let is_loop = usize::from(keyword == "range");
        self.loops += is_loop;
        let (body, end) = self.list()?;
        self.loops -= is_loop;
        let otherwise = match end {
            Stop::End(_) => Vec::new(),
            Stop::Input => return self.fail(at, format!("unclosed {{{{{keyword}}}}}: expected {{{{end}}}}")),
            Stop::Else(tokens, else_at) => self.otherwise(keyword, tokens, at, else_at)?,
        };
        self.variables.truncate(scope);
        self.depth -= 1;
        Ok(Branch { pipe, body, otherwise })
    }

    fn otherwise(&mut self, keyword: &str, mut tokens: Tokens, at: Offset, else_at: Offset) -> Parsed<Vec<Node>> {
        if let Some(Tok::Word(word)) = tokens.peek()
            && word == keyword
            && matches!(keyword, "if" | "with")
        {
            tokens.tokens.next();
            // The nested branch takes the {{end}} of the whole chain.
            let branch = self.branch(keyword, tokens)?;
            return Ok(vec![if keyword == "if" { Node::If(branch) } else { Node::With(branch) }]);
        }
        self.no_more(&mut tokens, "else")?;
        match self.list()? {
            (nodes, Stop::End(_)) => Ok(nodes),
            (_, Stop::Else(_, again)) => self.fail(again, "expected {{end}}, found a second {{else}}"),
            (_, Stop::Input) => {
                let place = if at == else_at { at } else { else_at };
                self.fail(place, "unclosed {{else}}: expected {{end}}")
            }
        }
    }

    fn define(&mut self, tokens: &mut Tokens) -> Parsed<()> {
        let name = self.name(tokens, "define")?;
        self.no_more(tokens, "define")?;
        if self.depth > 0 {
            return self.fail(tokens.at, "unexpected {{define}} inside a block");
        }
        self.definition(name, tokens.at)
    }

    /// A body that `template` can name. It sees only `$`.
    fn definition(&mut self, name: String, at: Offset) -> Parsed<()> {
        self.deeper(at)?;
        let outer = std::mem::replace(&mut self.variables, vec!["$".to_owned()]);
        let loops = std::mem::take(&mut self.loops);
        let (body, end) = self.list()?;
        self.variables = outer;
        self.loops = loops;
        self.depth -= 1;
        match end {
            Stop::End(_) => {
                self.defined.insert(name, body);
                Ok(())
            }
            Stop::Else(_, at) => self.fail(at, "unexpected {{else}}"),
            Stop::Input => self.fail(at, format!("unclosed definition of {name:?}: expected {{{{end}}}}")),
        }
    }

    fn deeper(&mut self, at: Offset) -> Parsed<()> {
        self.depth += 1;
        if self.depth > MAX_NESTING {
            return self.fail(at, format!("template nests deeper than the limit of {MAX_NESTING} levels"));
        }
        Ok(())
    }

    fn name(&mut self, tokens: &mut Tokens, context: &str) -> Parsed<String> {
        let at = tokens.place();
        if let Some(Tok::Literal(value)) = tokens.peek()
            && let Some(name) = value.as_text()
        {
            let name = name.to_owned();
            tokens.tokens.next();
            return Ok(name);
        }
        self.fail(at, format!("expected a quoted name in {context} clause"))
    }

    fn no_more(&mut self, tokens: &mut Tokens, context: &str) -> Parsed<()> {
        let at = tokens.place();
        match tokens.peek() {
            None => Ok(()),
            Some(tok) => {
                let message = format!("unexpected {} in {context}, expected \"}}}}\"", describe(tok));
                self.fail(at, message)
            }
        }
    }

    fn pipe(&mut self, tokens: &mut Tokens, context: &str) -> Parsed<Pipe> {
        let at = tokens.place();
        let (variables, assigns) = self.declaration(tokens, context)?;
        let mut commands = Vec::new();
        loop {
            commands.push(self.command(tokens, context)?);
            if !tokens.accept(&Tok::Pipe) {
                break;
            }
        }
        for command in commands.iter().skip(1) {
            let first = command.operands.first();
            if let Some(Operand { kind: OperandKind::Literal(_) | OperandKind::Dot, fields, at }) = first
                && fields.is_empty()
            {
                return self.fail(*at, "non executable command in pipeline: expected a function");
            }
        }
        if !assigns {
            self.variables.extend(variables.iter().cloned());
        }
        Ok(Pipe { variables, assigns, commands, at })
    }

    /// `$a :=`, `$a, $b :=` (in range), `$a =`.
    fn declaration(&mut self, tokens: &mut Tokens, context: &str) -> Parsed<(Vec<String>, bool)> {
        let mut ahead = tokens.tokens.clone();
        let mut names = Vec::new();
        let assigns = loop {
            let Some(Token { tok: Tok::Variable(name), .. }) = ahead.next() else { return Ok((Vec::new(), false)) };
            names.push(name);
            match ahead.next().map(|token| token.tok) {
                Some(Tok::Declare) => break false,
                Some(Tok::Assign) => break true,
                Some(Tok::Comma) if context == "range" && names.len() < 2 => {}
                _ => return Ok((Vec::new(), false)),
            }
        };
        let at = tokens.place();
        tokens.tokens = ahead;
        if names.len() > 1 && context != "range" {
            return self.fail(at, format!("too many declarations in {context}"));
        }
        if let Some(unknown) = names.iter().find(|name| assigns && !self.variables.contains(name)) {
            return self.fail(at, format!("undefined variable {unknown:?}"));
        }
        Ok((names, assigns))
    }

    fn command(&mut self, tokens: &mut Tokens, context: &str) -> Parsed<Command> {
        let mut operands = Vec::new();
        while !matches!(tokens.peek(), None | Some(Tok::Pipe | Tok::Close)) {
            let (at, spaced) = tokens.tokens.peek().map_or((tokens.at, true), |token| (token.at, token.spaced));
            if !operands.is_empty() && !spaced {
                return self.fail(at, "expected a blank between operands");
            }
            operands.push(self.operand(tokens, context)?);
        }
        if operands.is_empty() {
            let at = tokens.place();
            return self.fail(at, format!("missing value for {context}"));
        }
        if let Some(Operand { kind: OperandKind::Literal(Val::Nil), at, .. }) = operands.first() {
            return self.fail(*at, "nil is not a command");
        }
        Ok(Command { operands })
    }

    fn operand(&mut self, tokens: &mut Tokens, context: &str) -> Parsed<Operand> {
        let Some(Token { tok, at, .. }) = tokens.tokens.next() else {
            return self.fail(tokens.at, format!("missing value for {context}"));
        };
        let mut fields = Vec::new();
        let kind = match tok {
            Tok::Dot => OperandKind::Dot,
            Tok::Field(name) => {
                fields.push(name);
                OperandKind::Dot
            }
            Tok::Literal(value) => OperandKind::Literal(value),
            Tok::Variable(name) if self.variables.contains(&name) => OperandKind::Variable(name),
            Tok::Variable(name) => return self.fail(at, format!("undefined variable {name:?}")),
            Tok::Word(name) => match Function::by_name(&name) {
                Some(function) => OperandKind::Function(function),
                None => return self.fail(at, format!("function {name:?} not defined")),
            },
            Tok::Open => {
                self.deeper(at)?;
                let pipe = self.pipe(tokens, "parenthesized pipeline")?;
                if !tokens.accept(&Tok::Close) {
                    return self.fail(at, "unclosed left paren");
                }
                self.depth -= 1;
                OperandKind::Pipe(Box::new(pipe))
            }
            other => return self.fail(at, format!("unexpected {} in operand", describe(&other))),
        };
        while let Some(Token { tok: Tok::Field(name), at: field_at, .. }) =
            tokens.tokens.next_if(|token| !token.spaced && matches!(token.tok, Tok::Field(_)))
        {
            if matches!(kind, OperandKind::Literal(_)) {
                return self.fail(field_at, format!("unexpected .{name} after a literal"));
            }
            fields.push(name);
        }
        Ok(Operand { kind, fields, at })
    }
}

fn is_keyword(word: &str) -> bool {
    matches!(word, "if" | "else" | "end" | "range" | "with" | "define" | "template" | "block" | "break" | "continue")
}

fn describe(tok: &Tok) -> String {
    match tok {
        Tok::Word(word) => format!("{word:?}"),
        Tok::Field(name) => format!("\".{name}\""),
        Tok::Dot => "\".\"".to_owned(),
        Tok::Variable(name) => format!("{name:?}"),
        Tok::Literal(value) => format!("{:?}", value.to_text()),
        Tok::Declare => "\":=\"".to_owned(),
        Tok::Assign => "\"=\"".to_owned(),
        Tok::Pipe => "\"|\"".to_owned(),
        Tok::Comma => "\",\"".to_owned(),
        Tok::Open => "\"(\"".to_owned(),
        Tok::Close => "\")\"".to_owned(),
    }
}
