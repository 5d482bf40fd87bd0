//! The value of a duration expression.

use crate::promql::parser::{BinaryOp, DurationExpr};
use crate::promql::result::QueryError;

use super::QueryTimes;

/// Milliseconds of a range or step: must be positive.
pub(super) fn positive(expr: &DurationExpr, times: QueryTimes) -> Result<i64, QueryError> {
    let seconds = seconds(expr, times)?;
    if seconds <= 0.0 {
        return Err(fail("duration must be greater than 0"));
    }
    millis(seconds)
}

/// Milliseconds of an offset: may be negative.
pub(super) fn signed(expr: Option<&DurationExpr>, times: QueryTimes) -> Result<i64, QueryError> {
    expr.map_or(Ok(0), |expr| millis(seconds(expr, times)?))
}

/// Go's `time.Duration` holds 292 years; beyond that a duration is refused.
const MAX_SECONDS: f64 = 9_223_372_036.0;

fn millis(seconds: f64) -> Result<i64, QueryError> {
    if !(-MAX_SECONDS..=MAX_SECONDS).contains(&seconds) {
        return Err(fail("duration is out of range"));
    }
    // Literals are whole milliseconds, but their seconds are not whole binary fractions.
    let ms = seconds * 1000.0;
    let nearest = ms.round();
    Ok(if (ms - nearest).abs() < 1e-6 { nearest } else { ms.trunc() } as i64)
}

fn seconds(expr: &DurationExpr, times: QueryTimes) -> Result<f64, QueryError> {
    Ok(match expr {
        DurationExpr::Literal(literal) => literal.seconds,
        DurationExpr::Step => times.step as f64 / 1000.0,
        DurationExpr::Range => times.end.saturating_sub(times.start) as f64 / 1000.0,
        DurationExpr::Unary { negative, inner } => {
            let value = seconds(inner, times)?;
            if *negative { -value } else { value }
        }
        DurationExpr::Binary { op, lhs, rhs } => binary(*op, seconds(lhs, times)?, seconds(rhs, times)?)?,
        DurationExpr::MinOf(a, b) => seconds(a, times)?.min(seconds(b, times)?),
        DurationExpr::MaxOf(a, b) => seconds(a, times)?.max(seconds(b, times)?),
        DurationExpr::Paren(inner) => seconds(inner, times)?,
    })
}

fn binary(op: BinaryOp, lhs: f64, rhs: f64) -> Result<f64, QueryError> {
    Ok(match op {
        BinaryOp::Add => lhs + rhs,
        BinaryOp::Sub => lhs - rhs,
        BinaryOp::Mul => lhs * rhs,
        BinaryOp::Div if rhs == 0.0 => return Err(fail("division by zero")),
        BinaryOp::Div => lhs / rhs,
        BinaryOp::Mod if rhs == 0.0 => return Err(fail("modulo by zero")),
        BinaryOp::Mod => lhs % rhs,
        BinaryOp::Pow => lhs.powf(rhs),
        other => return Err(fail(&format!("unexpected duration expression operator {:?}", other.as_str()))),
    })
}

fn fail(text: &str) -> QueryError {
    QueryError::BadData(text.to_owned())
}
