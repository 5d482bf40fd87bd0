//! One binary operator on two numbers, and on a vector with numbers.

use std::sync::Arc;

use crate::model::{absent, is_absent};
use crate::promql::parser::BinaryOp;

use super::Block;

/// What `lhs op rhs` gives: a value, and for comparisons whether it holds (the value is then the left side).
pub(super) fn apply(op: BinaryOp, lhs: f64, rhs: f64) -> (f64, bool) {
    match op {
        BinaryOp::Add => (lhs + rhs, true),
        BinaryOp::Sub => (lhs - rhs, true),
        BinaryOp::Mul => (lhs * rhs, true),
        BinaryOp::Div => (lhs / rhs, true),
        BinaryOp::Mod => (lhs % rhs, true),
        BinaryOp::Pow => (lhs.powf(rhs), true),
        BinaryOp::Atan2 => (lhs.atan2(rhs), true),
        BinaryOp::Eq => (lhs, lhs == rhs),
        BinaryOp::Ne => (lhs, lhs != rhs),
        BinaryOp::Lt => (lhs, lhs < rhs),
        BinaryOp::Le => (lhs, lhs <= rhs),
        BinaryOp::Gt => (lhs, lhs > rhs),
        BinaryOp::Ge => (lhs, lhs >= rhs),
        // Sets are not decided number by number, and floats have no buckets to trim.
        BinaryOp::And | BinaryOp::Or | BinaryOp::Unless | BinaryOp::TrimUpper | BinaryOp::TrimLower => (lhs, false),
    }
}

/// Whether the result is another metric than the operands: everything but comparisons and sets.
pub(super) fn makes_new_metric(op: BinaryOp) -> bool {
    !op.is_comparison() && !op.is_set()
}

/// As [`apply`], with `bool`: comparisons give 1 or 0 and always hold.
pub(super) fn apply_bool(op: BinaryOp, return_bool: bool, lhs: f64, rhs: f64) -> (f64, bool) {
    let (value, holds) = apply(op, lhs, rhs);
    if return_bool { (f64::from(u8::from(holds)), true) } else { (value, holds) }
}

/// The cells of a vector, each with the number of its step, which stands left or right of the operator. Comparisons keep
/// the cell or leave a hole; with `bool` they give 1 or 0. Histograms and labels stay as they are.
pub(super) fn with_scalars(
    op: BinaryOp,
    return_bool: bool,
    scalar_left: bool,
    block: Arc<Block>,
    scalars: &[f64],
) -> Block {
    /// The operator is chosen once, not for each cell: what is in the loop can then be done for several cells at once.
    macro_rules! value {
        ($apply:expr) => {
            if scalar_left {
                map_cells(block, scalars, |cell, scalar| $apply(scalar, cell))
            } else {
                map_cells(block, scalars, |cell, scalar| $apply(cell, scalar))
            }
        };
    }
    macro_rules! comparison {
        ($holds:expr) => {
            match (return_bool, scalar_left) {
                (true, _) => value!(|a: f64, b: f64| f64::from(u8::from($holds(&a, &b)))),
                (false, true) => map_cells(block, scalars, |cell, s| if $holds(&s, &cell) { cell } else { absent() }),
                (false, false) => map_cells(block, scalars, |cell, s| if $holds(&cell, &s) { cell } else { absent() }),
            }
        };
    }
    match op {
        BinaryOp::Add => value!(|a: f64, b: f64| a + b),
        BinaryOp::Sub => value!(|a: f64, b: f64| a - b),
        BinaryOp::Mul => value!(|a: f64, b: f64| a * b),
        BinaryOp::Div => value!(|a: f64, b: f64| a / b),
        BinaryOp::Mod => value!(|a: f64, b: f64| a % b),
        BinaryOp::Pow => value!(f64::powf),
        BinaryOp::Atan2 => value!(f64::atan2),
        BinaryOp::Eq => comparison!(f64::eq),
        BinaryOp::Ne => comparison!(f64::ne),
        BinaryOp::Lt => comparison!(f64::lt),
        BinaryOp::Le => comparison!(f64::le),
        BinaryOp::Gt => comparison!(f64::gt),
        BinaryOp::Ge => comparison!(f64::ge),
        BinaryOp::And | BinaryOp::Or | BinaryOp::Unless | BinaryOp::TrimUpper | BinaryOp::TrimLower => {
            map_cells(block, scalars, |_, _| absent())
        }
    }
}

/// Maps each cell that is no hole with the number of its step: in place when nobody else holds the block.
fn map_cells(block: Arc<Block>, scalars: &[f64], apply: impl Fn(f64, f64) -> f64) -> Block {
    let apply = |cell: f64, scalar: f64| if is_absent(cell) { cell } else { apply(cell, scalar) };
    let one = scalars.first().copied().unwrap_or(f64::NAN);
    let same = scalars.iter().all(|scalar| scalar.to_bits() == one.to_bits());
    let steps = scalars.len().max(1);
    match Arc::try_unwrap(block) {
        Ok(mut own) if same => {
            own.cells.iter_mut().for_each(|cell| *cell = apply(*cell, one));
            own
        }
        Ok(mut own) => {
            for row in own.cells.chunks_mut(steps) {
                row.iter_mut().zip(scalars).for_each(|(cell, scalar)| *cell = apply(*cell, *scalar));
            }
            own
        }
        Err(shared) => {
            let cells = if same {
                shared.cells.iter().map(|cell| apply(*cell, one)).collect()
            } else {
                let rows = shared.cells.chunks(steps);
                rows.flat_map(|row| row.iter().zip(scalars)).map(|(cell, scalar)| apply(*cell, *scalar)).collect()
            };
            Block {
                labels: Arc::clone(&shared.labels),
                dropped: shared.dropped.clone(),
                steps: shared.steps,
                cells,
                histograms: shared.histograms.clone(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{apply_bool, makes_new_metric, with_scalars};
    use crate::model::{Labels, absent, is_absent};
    use crate::promql::eval::{Block, Dropped};
    use crate::promql::parser::BinaryOp as B;
    use std::sync::Arc;

    #[test]
    fn vectors_meet_numbers_as_numbers_do() {
        let cells = vec![1.0, -2.5, absent(), f64::NAN, 0.0, 7.0];
        let block = Arc::new(Block::floats(Arc::new(vec![Labels::empty(); 2]), Dropped::None, 3, cells.clone()));
        for scalars in [[2.0, 2.0, 2.0], [0.0, -2.5, 7.0]] {
            for op in
                [B::Add, B::Sub, B::Mul, B::Div, B::Mod, B::Pow, B::Atan2, B::Eq, B::Ne, B::Lt, B::Le, B::Gt, B::Ge]
            {
                for (left, bool) in
                    [(false, false), (true, false), (false, op.is_comparison()), (true, op.is_comparison())]
                {
                    let expected: Vec<u64> = cells
                        .iter()
                        .zip(scalars.iter().cycle())
                        .map(|(cell, scalar)| {
                            let (a, b) = if left { (*scalar, *cell) } else { (*cell, *scalar) };
                            let (value, holds) = apply_bool(op, bool, a, b);
                            let value = if makes_new_metric(op) || bool { value } else { *cell };
                            if is_absent(*cell) || !holds { absent() } else { value }
                        })
                        .map(|value| if value.is_nan() && !is_absent(value) { f64::NAN } else { value }.to_bits())
                        .collect();
                    for block in [Arc::clone(&block), Arc::new((*block).clone())] {
                        let found = with_scalars(op, bool, left, block, &scalars).cells;
                        let quiet = |v: &f64| if v.is_nan() && !is_absent(*v) { f64::NAN } else { *v }.to_bits();
                        assert_eq!(found.iter().map(quiet).collect::<Vec<_>>(), expected, "{op:?} {left} {bool}");
                    }
                }
            }
        }
    }
}
