//! Subqueries: an expression evaluated on a grid of its own, aligned to multiples of its step.

use std::sync::Arc;

use crate::model::Labels;
use crate::promql::plan::{Node, Source};
use crate::promql::result::QueryError;

use super::block::Dropped;
use super::{Block, Eval, Grid, Out, unexpected};

/// The grid of a subquery that serves every step of the outer one: the first multiple of `step` after the first
/// window's (open) start up to the last window's end.
pub(super) fn subquery_grid(source: &Source, range: i64, step: i64, outer: Grid) -> Grid {
    if outer.len == 0 {
        return Grid { start: 0, step, len: 0 };
    }
    let open_start = source.reference(outer.start).saturating_sub(range);
    let end = source.reference(outer.end());
    let start = open_start.div_euclid(step).saturating_add(1).saturating_mul(step);
    Grid::span(start, end, step)
}

impl Eval<'_> {
    /// The inner expression as a vector; a scalar becomes one series without labels.
    pub(super) fn eval_subquery(&mut self, expr: &Node, grid: Grid) -> Result<Arc<Block>, QueryError> {
        if grid.len == 0 {
            return Ok(Arc::new(Block::empty(0)));
        }
        match self.eval(expr, grid)? {
            Out::Vector(block) => Ok(block),
            Out::Scalar(values) => {
                let labels = Arc::new(vec![Labels::empty()]);
                Ok(Arc::new(Block::floats(labels, Dropped::None, grid.len, values)))
            }
            Out::Text(_) => Err(unexpected("string")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Grid, subquery_grid};
    use crate::promql::parser::Pos;
    use crate::promql::plan::{Kind, Node, Source};

    #[test]
    fn aligned_and_left_open() {
        let cases = [
            // range, step, ts → first, count
            (50_000, 10_000, 10_000, -30_000, 5),
            (60_000, 10_000, 359_000, 300_000, 6),
            (60_000, 300_000, 720_000, 900_000, 0),
        ];
        for (range, step, ts, first, count) in cases {
            let expr = Node { kind: Kind::Number(1.0), pos: Pos::default(), invariant: true, key: None };
            let source = Source::Subquery { expr, range, step, offset: 0, at: None, pos: Pos::default() };
            let grid = subquery_grid(&source, range, step, Grid::single(ts));
            assert_eq!((grid.start, grid.len), (first, count));
        }
    }
}
