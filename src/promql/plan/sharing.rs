//! Which parts of a plan rules may share.

use crate::promql::cache::{WrittenNames, matchers_shareable};

use super::{Kind, Node, Source};

impl Node {
    /// Whether no selector below the node may see a series that this tick has written or will write.
    pub(crate) fn is_shareable(&self, written: &WrittenNames) -> bool {
        let source_shareable = |source: &Source| match source {
            Source::Selector { selector, .. } => matchers_shareable(&selector.matchers, written),
            Source::Subquery { expr, .. } => expr.is_shareable(written),
        };
        let both = |a: &Self, b: &Self| a.is_shareable(written) && b.is_shareable(written);
        match &self.kind {
            Kind::Number(_) | Kind::Text(_) => true,
            Kind::Negate(inner) | Kind::Absent { arg: inner, .. } => inner.is_shareable(written),
            Kind::Binary(binary) => both(&binary.lhs, &binary.rhs),
            Kind::Aggregate(aggregate) => {
                aggregate.expr.is_shareable(written) && aggregate.param.iter().all(|param| param.is_shareable(written))
            }
            Kind::Call(call) => call.args.iter().all(|arg| arg.is_shareable(written)),
            Kind::SampleTime { selector, .. } | Kind::Vector(selector) => {
                matchers_shareable(&selector.matchers, written)
            }
            Kind::Window(window) => {
                source_shareable(&window.source) && window.args.iter().all(|arg| arg.is_shareable(written))
            }
            Kind::Matrix(source) => source_shareable(source),
            // The info series' matchers come from the base series: they may see anything.
            Kind::Info(_) => false,
        }
    }
}
