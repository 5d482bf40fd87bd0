//! Which parts of a plan rules may share, and the text under which they meet.

use crate::promql::cache::{WrittenNames, matchers_shareable};
use crate::promql::deep;

use super::{Kind, Meanings, Node, Source};

/// Longest text of a node under which its result is shared. Each level of a chain repeats the text of the level below it,
/// so that ten thousand terms would take hundreds of megabytes; nothing that long stands in two rules.
const MAX_KEY_BYTES: usize = 8 << 10;

impl Node {
    /// Whether no selector below the node may see a series that this tick has written or will write.
    pub(crate) fn is_shareable(&self, written: &WrittenNames) -> bool {
        let mut all = self.selects_shareable(written);
        self.for_each_child(&mut |child| all = all && deep(|| child.is_shareable(written)));
        all
    }

    /// The same for the node without those below it.
    fn selects_shareable(&self, written: &WrittenNames) -> bool {
        let source_shareable = |source: &Source| match source {
            Source::Selector { selector, .. } => matchers_shareable(&selector.matchers, written),
            Source::Subquery { .. } => true,
        };
        match &self.kind {
            Kind::SampleTime { selector, .. } | Kind::Vector(selector) => {
                matchers_shareable(&selector.matchers, written)
            }
            Kind::Window(window) => source_shareable(&window.source),
            Kind::Matrix(source) => source_shareable(source),
            // The info series' matchers come from the base series: they may see anything.
            Kind::Info(_) => false,
            _ => true,
        }
    }

    /// Gives every node that is worth sharing the meaning that it shares with others.
    pub(super) fn set_keys(&mut self, meanings: &Meanings) {
        self.set_keys_below(meanings);
    }

    /// Bytes of the node's canonical text, or `None` when it must not be shared or is too long for it.
    fn set_keys_below(&mut self, meanings: &Meanings) -> Option<usize> {
        let mut below = Some(0);
        self.for_each_child_mut(&mut |child| {
            let size = deep(|| child.set_keys_below(meanings));
            below = below.zip(size).map(|(sum, size)| sum + size + 2);
        });
        below.filter(|size| *size < MAX_KEY_BYTES && self.selects_shareable(&WrittenNames::default()))?;
        let text = self.canonical();
        let size = text.len();
        if !matches!(self.kind, Kind::Number(_) | Kind::Text(_) | Kind::Matrix(_)) {
            self.key = Some(meanings.of(text));
        }
        Some(size)
    }

    /// Calls `visit` on every child.
    pub(super) fn for_each_child<'a>(&'a self, visit: &mut dyn FnMut(&'a Self)) {
        let source = |source: &'a Source, visit: &mut dyn FnMut(&'a Self)| match source {
            Source::Selector { .. } => {}
            Source::Subquery { expr, .. } => visit(expr),
        };
        match &self.kind {
            Kind::Number(_) | Kind::Text(_) | Kind::Vector(_) | Kind::SampleTime { .. } => {}
            Kind::Negate(inner) | Kind::Absent { arg: inner, .. } => visit(inner),
            Kind::Binary(binary) => {
                visit(&binary.lhs);
                visit(&binary.rhs);
            }
            Kind::Aggregate(aggregate) => {
                aggregate.param.iter().for_each(&mut *visit);
                visit(&aggregate.expr);
            }
            Kind::Call(call) => call.args.iter().for_each(visit),
            Kind::Info(info) => visit(&info.base),
            Kind::Window(window) => {
                window.args.iter().for_each(&mut *visit);
                source(&window.source, visit);
            }
            Kind::Matrix(matrix) => source(matrix, visit),
        }
    }

    /// The same for changing them.
    fn for_each_child_mut(&mut self, visit: &mut dyn FnMut(&mut Self)) {
        let source = |source: &mut Source, visit: &mut dyn FnMut(&mut Self)| match source {
            Source::Selector { .. } => {}
            Source::Subquery { expr, .. } => visit(expr),
        };
        match &mut self.kind {
            Kind::Number(_) | Kind::Text(_) | Kind::Vector(_) | Kind::SampleTime { .. } => {}
            Kind::Negate(inner) | Kind::Absent { arg: inner, .. } => visit(inner),
            Kind::Binary(binary) => {
                visit(&mut binary.lhs);
                visit(&mut binary.rhs);
            }
            Kind::Aggregate(aggregate) => {
                aggregate.param.iter_mut().for_each(&mut *visit);
                visit(&mut aggregate.expr);
            }
            Kind::Call(call) => call.args.iter_mut().for_each(visit),
            Kind::Info(info) => visit(&mut info.base),
            Kind::Window(window) => {
                window.args.iter_mut().for_each(&mut *visit);
                source(&mut window.source, visit);
            }
            Kind::Matrix(matrix) => source(matrix, visit),
        }
    }

    fn is_leaf(&self) -> bool {
        matches!(self.kind, Kind::Number(_) | Kind::Text(_) | Kind::Vector(_) | Kind::SampleTime { .. })
    }
}

/// Takes the plan apart node by node, however high it is.
impl Drop for Node {
    fn drop(&mut self) {
        let mut rest: Vec<Kind> = Vec::new();
        take_children(self, &mut rest);
        while let Some(kind) = rest.pop() {
            let mut node = Self { kind, pos: self.pos, invariant: false, key: None };
            take_children(&mut node, &mut rest);
        }
    }
}

fn take_children(node: &mut Node, into: &mut Vec<Kind>) {
    node.for_each_child_mut(&mut |child| {
        if !child.is_leaf() {
            into.push(std::mem::replace(&mut child.kind, Kind::Number(0.0)));
        }
    });
}
