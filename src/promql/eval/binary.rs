//! Binary operators: which kinds of operands meet.

use std::sync::Arc;

use crate::model::is_absent;
use crate::promql::annotate;
use crate::promql::parser::{BinaryOp, Pos};
use crate::promql::plan::Binary;
use crate::promql::result::QueryError;

use super::arithmetic::{apply, makes_new_metric, with_scalars};
use super::block::Dropped;
use super::{Block, Eval, Grid, Out, unexpected, unshare, unsupported};

impl Eval<'_> {
    pub(super) fn binary(&mut self, binary: &Binary, pos: Pos, grid: Grid) -> Result<Out, QueryError> {
        let lhs = self.eval(&binary.lhs, grid)?;
        let rhs = self.eval(&binary.rhs, grid)?;
        match (lhs, rhs) {
            (Out::Scalar(lhs), Out::Scalar(rhs)) => Ok(Out::Scalar(scalars(binary, lhs, &rhs))),
            (Out::Vector(lhs), Out::Scalar(rhs)) => self.with_scalar(binary, lhs, &rhs, false, pos),
            (Out::Scalar(lhs), Out::Vector(rhs)) => self.with_scalar(binary, rhs, &lhs, true, pos),
            (Out::Vector(lhs), Out::Vector(rhs)) if binary.op.is_set() => {
                self.set_operation(binary, lhs, rhs).map(Out::block)
            }
            (Out::Vector(lhs), Out::Vector(rhs)) => self.join(binary, &lhs, &rhs, pos).map(Out::block),
            (Out::Text(_), _) | (_, Out::Text(_)) => Err(unexpected("string")),
        }
    }

    /// A vector with a number a step, on either side.
    fn with_scalar(
        &mut self,
        binary: &Binary,
        block: Arc<Block>,
        scalars: &[f64],
        scalar_left: bool,
        pos: Pos,
    ) -> Result<Out, QueryError> {
        self.budget.work(block.cells.len())?;
        let op = binary.op;
        let mut block = block;
        if block.histograms.is_some() {
            let mut own = unshare(block);
            self.histogram_with_scalar(op, &mut own, scalar_left, pos)?;
            block = Arc::new(own);
        }
        if matches!(op, BinaryOp::TrimUpper | BinaryOp::TrimLower) && block.cells.iter().any(|cell| !is_absent(*cell)) {
            self.notes.info(pos, annotate::incompatible_types("float", op.as_str(), "float"));
        }
        let mut block = with_scalars(op, binary.return_bool, scalar_left, block, scalars);
        if makes_new_metric(op) || binary.return_bool {
            block.dropped = Dropped::All;
        }
        Ok(Out::block(block))
    }

    /// Histograms scale by numbers (for later); nothing else is defined, which is an info and no result.
    fn histogram_with_scalar(
        &mut self,
        op: BinaryOp,
        block: &mut Block,
        scalar_left: bool,
        pos: Pos,
    ) -> Result<(), QueryError> {
        let any = block.histograms.take().is_some_and(|cells| cells.iter().any(Option::is_some));
        if !any {
            return Ok(());
        }
        let defined = op == BinaryOp::Mul
            || (!scalar_left && matches!(op, BinaryOp::Div | BinaryOp::TrimUpper | BinaryOp::TrimLower));
        if defined {
            return Err(unsupported("arithmetic"));
        }
        let (left, right) = if scalar_left { ("float", "histogram") } else { ("histogram", "float") };
        self.notes.info(pos, annotate::incompatible_types(left, op.as_str(), right));
        Ok(())
    }
}

/// Two numbers a step. Comparisons of scalars always carry `bool`.
fn scalars(binary: &Binary, mut lhs: Vec<f64>, rhs: &[f64]) -> Vec<f64> {
    for (left, right) in lhs.iter_mut().zip(rhs) {
        let (value, holds) = apply(binary.op, *left, *right);
        *left = if binary.op.is_comparison() { f64::from(u8::from(holds)) } else { value };
    }
    lhs
}
