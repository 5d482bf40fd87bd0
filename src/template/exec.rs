//! Walks the tree and writes the output, within bounds.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Stopwatch;

use super::data::{QueryFunc, TemplateData};
use super::error::{Offset, TemplateError};
use super::functions::{Function, Kind};
use super::tree::{Branch, Command, Node, Operand, OperandKind, Pipe, Tree};
use super::value::Val;

/// Bytes of output, and of any value on the way: annotations are read by people.
pub(super) const MAX_OUTPUT_BYTES: usize = 1 << 20;
/// Bytes that all calls of one expansion may give together, used or not.
const MAX_PRODUCED_BYTES: usize = 64 << 20;
/// What a row of a query counts as.
const ROW_BYTES: usize = 128;
/// Nodes, loop rounds and calls of one expansion.
const MAX_STEPS: usize = 200_000;
/// Templates that call templates.
const MAX_DEPTH: usize = 50;
/// Wall time of one expansion, queries included.
const MAX_TIME: Duration = Duration::from_secs(10);
/// Steps between two looks at the clock.
const STEPS_PER_LOOK: usize = 256;

/// State of one expansion.
pub(super) struct Executor<'a> {
    tree: &'a Tree,
    pub(super) data: Arc<TemplateData>,
    pub(super) queries: &'a dyn QueryFunc,
    out: String,
    variables: Vec<(String, Val)>,
    steps: usize,
    produced: usize,
    depth: usize,
    watch: Stopwatch,
}

/// How a list of nodes ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    On,
    Break,
    Continue,
}

type Result<T> = std::result::Result<T, TemplateError>;

impl<'a> Executor<'a> {
    pub(super) fn new(tree: &'a Tree, data: &TemplateData, queries: &'a dyn QueryFunc) -> Self {
        let data = Arc::new(data.clone());
        let root = Val::Root(Arc::clone(&data));
        let variables = [
            ("$", root),
            ("$labels", Val::Labels(data.labels.clone())),
            ("$externalLabels", Val::Labels(data.external_labels.clone())),
            ("$externalURL", Val::text(data.external_url.as_str())),
            ("$value", Val::of_sample(&data.value)),
        ];
        Self {
            tree,
            queries,
            out: String::new(),
            variables: variables.map(|(name, value)| (name.to_owned(), value)).into(),
            steps: 0,
            produced: 0,
            depth: 0,
            watch: Stopwatch::start(),
            data,
        }
    }

    pub(super) fn run(mut self) -> Result<String> {
        let tree = self.tree;
        let root = Val::Root(Arc::clone(&self.data));
        self.list(&tree.body, &root)?;
        Ok(self.out)
    }

    fn error(&self, at: Offset, message: impl Into<String>) -> TemplateError {
        TemplateError::at(&self.tree.text, at, message)
    }

    fn fail<T>(&self, at: Offset, message: impl Into<String>) -> Result<T> {
        Err(self.error(at, message))
    }

    fn step(&mut self, at: Offset) -> Result<()> {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            return self.fail(at, format!("template takes more than the limit of {MAX_STEPS} steps"));
        }
        if self.steps.is_multiple_of(STEPS_PER_LOOK) && self.watch.elapsed() > MAX_TIME {
            return self.fail(at, format!("template takes longer than the limit of {} s", MAX_TIME.as_secs()));
        }
        Ok(())
    }

    fn write(&mut self, text: &str, at: Offset) -> Result<()> {
        if self.out.len() + text.len() > MAX_OUTPUT_BYTES {
            return self.fail(at, format!("output is larger than the limit of {MAX_OUTPUT_BYTES} bytes"));
        }
        self.out.push_str(text);
        Ok(())
    }

    fn list(&mut self, nodes: &[Node], dot: &Val) -> Result<Flow> {
        for node in nodes {
            let flow = self.node(node, dot)?;
            if flow != Flow::On {
                return Ok(flow);
            }
        }
        Ok(Flow::On)
    }

    fn node(&mut self, node: &Node, dot: &Val) -> Result<Flow> {
        match node {
            Node::Text(text) => self.write(text, 0)?,
            Node::Action(pipe) => {
                let value = self.pipe(pipe, dot)?;
                if pipe.variables.is_empty() {
                    let text = if matches!(value, Val::Nil) { "<no value>".to_owned() } else { value.to_text() };
                    self.write(&text, pipe.at)?;
                }
            }
            Node::If(branch) => return self.scoped(|exec| exec.choose(branch, dot, false)),
            Node::With(branch) => return self.scoped(|exec| exec.choose(branch, dot, true)),
            Node::Range(branch) => return self.scoped(|exec| exec.range(branch, dot)),
            Node::Template { name, pipe, at } => self.template(name, pipe.as_ref(), *at, dot)?,
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::On)
    }

    /// Runs `f` and forgets the variables that it declared.
    fn scoped<T>(&mut self, f: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let before = self.variables.len();
        let result = f(self);
        self.variables.truncate(before);
        result
    }

    fn choose(&mut self, branch: &Branch, dot: &Val, rebind: bool) -> Result<Flow> {
        let value = self.pipe(&branch.pipe, dot)?;
        match value.is_true() {
            true if rebind => self.list(&branch.body, &value),
            true => self.list(&branch.body, dot),
            false => self.list(&branch.otherwise, dot),
        }
    }

    fn range(&mut self, branch: &Branch, dot: &Val) -> Result<Flow> {
        let at = branch.pipe.at;
        let value = self.pipe_value(&branch.pipe, dot)?;
        let items: Box<dyn Iterator<Item = (Val, Val)>> = match value {
            Val::List(items) => {
                let count = items.len();
                Box::new((0..count).filter_map(move |i| Some((Val::Int(i as i64), items.get(i)?.clone()))))
            }
            Val::Map(map) => {
                let pairs: Vec<_> =
                    map.entries.iter().map(|(key, value)| (Val::text(key.as_str()), value.clone())).collect();
                Box::new(pairs.into_iter())
            }
            Val::Labels(labels) => {
                let pairs: Vec<_> = labels.iter().map(|(name, value)| (Val::text(name), Val::text(value))).collect();
                Box::new(pairs.into_iter())
            }
            Val::Int(count) => Box::new((0..count).map(|i| (Val::Int(i), Val::Int(i)))),
            Val::Nil => Box::new(std::iter::empty()),
            other => return self.fail(at, format!("range can't iterate over {}", other.type_name())),
        };
        let (mut any, declared) = (false, self.variables.len());
        for (key, value) in items {
            any = true;
            self.step(at)?;
            self.variables.truncate(declared);
            self.bind_loop(&branch.pipe, key, &value);
            if self.list(&branch.body, &value)? == Flow::Break {
                break;
            }
        }
        self.variables.truncate(declared);
        if any { Ok(Flow::On) } else { self.list(&branch.otherwise, dot) }
    }

    /// One variable takes the element, two take index and element.
    fn bind_loop(&mut self, pipe: &Pipe, key: Val, value: &Val) {
        let values = if pipe.variables.len() > 1 { vec![key, value.clone()] } else { vec![value.clone()] };
        for (name, value) in pipe.variables.iter().zip(values) {
            self.bind(name, value, pipe.assigns);
        }
    }

    fn bind(&mut self, name: &str, value: Val, assigns: bool) {
        match self.variables.iter_mut().rev().find(|(known, _)| known == name) {
            Some(variable) if assigns => variable.1 = value,
            _ => self.variables.push((name.to_owned(), value)),
        }
    }

    fn template(&mut self, name: &str, pipe: Option<&Pipe>, at: Offset, dot: &Val) -> Result<()> {
        let tree = self.tree;
        let Some(body) = tree.defined.get(name) else {
            return self.fail(at, format!("template {name:?} not defined"));
        };
        let value = match pipe {
            Some(pipe) => self.scoped(|exec| exec.pipe(pipe, dot))?,
            None => Val::Nil,
        };
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return self.fail(at, format!("templates call each other deeper than the limit of {MAX_DEPTH}"));
        }
        let outer = std::mem::replace(&mut self.variables, vec![("$".to_owned(), value.clone())]);
        let result = self.list(body, &value);
        self.variables = outer;
        self.depth -= 1;
        result.map(|_| ())
    }

    /// The value of a pipeline; its variables are bound.
    fn pipe(&mut self, pipe: &Pipe, dot: &Val) -> Result<Val> {
        let value = self.pipe_value(pipe, dot)?;
        for name in &pipe.variables {
            self.bind(name, value.clone(), pipe.assigns);
        }
        Ok(value)
    }

    fn pipe_value(&mut self, pipe: &Pipe, dot: &Val) -> Result<Val> {
        let mut last = None;
        for command in &pipe.commands {
            last = Some(self.command(command, dot, last)?);
        }
        Ok(last.unwrap_or(Val::Nil))
    }

    fn command(&mut self, command: &Command, dot: &Val, last: Option<Val>) -> Result<Val> {
        let Some((first, args)) = command.operands.split_first() else { return Ok(Val::Nil) };
        self.step(first.at)?;
        if let OperandKind::Function(function) = first.kind {
            let value = self.call(function, args, first.at, dot, last)?;
            return self.fields(value, first);
        }
        if args.is_empty() && last.is_none() {
            return self.operand(first, dot);
        }
        self.method(first, args, dot, last)
    }

    /// What takes arguments without being a function: methods of times.
    fn method(&mut self, first: &Operand, args: &[Operand], dot: &Val, last: Option<Val>) -> Result<Val> {
        let mut receiver = first.clone();
        let name = receiver.fields.pop();
        let target = self.operand(&receiver, dot)?;
        let mut values = args.iter().map(|arg| self.operand(arg, dot)).collect::<Result<Vec<_>>>()?;
        values.extend(last);
        match (&target, name.as_deref(), values.as_slice()) {
            (Val::Time(ms), Some("Format"), [Val::Text(layout)]) => {
                Ok(Val::text(super::time::format_layout(*ms, layout)))
            }
            _ => self.fail(first.at, format!("can't give argument to non-function {}", describe(first))),
        }
    }

    fn operand(&mut self, operand: &Operand, dot: &Val) -> Result<Val> {
        let value = match &operand.kind {
            OperandKind::Dot => dot.clone(),
            OperandKind::Literal(value) => value.clone(),
            OperandKind::Variable(name) => self.variable(name, operand.at)?,
            OperandKind::Function(function) => self.call(function, &[], operand.at, dot, None)?,
            OperandKind::Pipe(pipe) => self.pipe(pipe, dot)?,
        };
        self.fields(value, operand)
    }

    fn variable(&self, name: &str, at: Offset) -> Result<Val> {
        let found = self.variables.iter().rev().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone()).ok_or_else(|| self.error(at, format!("undefined variable {name:?}")))
    }

    fn fields(&self, value: Val, operand: &Operand) -> Result<Val> {
        operand
            .fields
            .iter()
            .try_fold(value, |value, name| value.field(name))
            .map_err(|message| self.error(operand.at, message))
    }

    fn call(
        &mut self,
        function: &'static Function,
        args: &[Operand],
        at: Offset,
        dot: &Val,
        last: Option<Val>,
    ) -> Result<Val> {
        if let Kind::And | Kind::Or = function.kind {
            return self.short_circuit(function, args, at, dot, last);
        }
        let mut values = Vec::with_capacity(args.len() + 1);
        for arg in args {
            self.step(arg.at)?;
            values.push(self.operand(arg, dot)?);
        }
        values.extend(last);
        function.check_count(values.len()).map_err(|message| self.error(at, message))?;
        let result = match function.kind {
            Kind::Plain(f) => f(&values),
            Kind::Context(f) => f(self, &values),
            Kind::And | Kind::Or => Ok(Val::Nil),
        };
        let value = result.map_err(|message| self.error(at, format!("error calling {}: {message}", function.name)))?;
        self.account(function, &value, at)?;
        Ok(value)
    }

    fn account(&mut self, function: &Function, value: &Val, at: Offset) -> Result<()> {
        let size = match value {
            Val::Text(text) => text.len(),
            Val::List(items) => items.len() * ROW_BYTES,
            _ => 0,
        };
        self.produced += size;
        if self.produced > MAX_PRODUCED_BYTES {
            return self.fail(at, format!("functions give more than the limit of {MAX_PRODUCED_BYTES} bytes in all"));
        }
        if size > MAX_OUTPUT_BYTES && matches!(value, Val::Text(_)) {
            let name = function.name;
            return self.fail(at, format!("{name} gives more than the limit of {MAX_OUTPUT_BYTES} bytes"));
        }
        Ok(())
    }

    /// `and` gives its first false argument, `or` its first true one; what follows is not evaluated.
    fn short_circuit(
        &mut self,
        function: &Function,
        args: &[Operand],
        at: Offset,
        dot: &Val,
        last: Option<Val>,
    ) -> Result<Val> {
        let stop_at = matches!(function.kind, Kind::Or);
        let mut value = None;
        for arg in args {
            let found = self.operand(arg, dot)?;
            let done = found.is_true() == stop_at;
            value = Some(found);
            if done {
                return Ok(value.unwrap_or(Val::Nil));
            }
        }
        match last.or(value) {
            Some(value) => Ok(value),
            None => self.fail(at, format!("wrong number of args for {}: want at least 1 got 0", function.name)),
        }
    }
}

fn describe(operand: &Operand) -> String {
    let head = match &operand.kind {
        OperandKind::Dot => String::new(),
        OperandKind::Literal(value) => value.to_text(),
        OperandKind::Variable(name) => name.clone(),
        OperandKind::Function(function) => function.name.to_owned(),
        OperandKind::Pipe(_) => "(…)".to_owned(),
    };
    let fields: String = operand.fields.iter().map(|field| format!(".{field}")).collect();
    format!("{:?}", if head.is_empty() && fields.is_empty() { ".".to_owned() } else { head + &fields })
}
