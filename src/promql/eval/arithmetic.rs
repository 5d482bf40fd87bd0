//! One binary operator on two numbers.

use crate::promql::parser::BinaryOp;

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
