//! The tree of a template.

use std::collections::HashMap;

use super::error::Offset;
use super::functions::Function;
use super::value::Val;

/// A whole template with what it defines.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    /// The text, for error places.
    pub(super) text: String,
    pub(super) body: Vec<Node>,
    /// `define` and `block`.
    pub(super) defined: HashMap<String, Vec<Node>>,
}

#[derive(Debug, Clone)]
pub(super) enum Node {
    Text(String),
    Action(Pipe),
    If(Branch),
    With(Branch),
    Range(Branch),
    Template { name: String, pipe: Option<Pipe>, at: Offset },
    Break,
    Continue,
}

/// `{{if pipe}} body {{else}} otherwise {{end}}`.
#[derive(Debug, Clone)]
pub(super) struct Branch {
    pub(super) pipe: Pipe,
    pub(super) body: Vec<Node>,
    pub(super) otherwise: Vec<Node>,
}

/// `$a, $b := command | command`.
#[derive(Debug, Clone)]
pub(super) struct Pipe {
    pub(super) variables: Vec<String>,
    /// `=` instead of `:=`.
    pub(super) assigns: bool,
    pub(super) commands: Vec<Command>,
    pub(super) at: Offset,
}

/// An operand with its arguments.
#[derive(Debug, Clone)]
pub(super) struct Command {
    pub(super) operands: Vec<Operand>,
}

#[derive(Debug, Clone)]
pub(super) struct Operand {
    pub(super) kind: OperandKind,
    /// `.a.b` after the operand.
    pub(super) fields: Vec<String>,
    pub(super) at: Offset,
}

#[derive(Debug, Clone)]
pub(super) enum OperandKind {
    Dot,
    Literal(Val),
    Variable(String),
    Function(&'static Function),
    Pipe(Box<Pipe>),
}
