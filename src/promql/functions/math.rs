//! Functions of one number.

use crate::promql::parser::FunctionId;

/// The code of a function that maps each float by itself.
pub(crate) fn math_fn(id: FunctionId) -> Option<fn(f64) -> f64> {
    Some(match id {
        FunctionId::Abs => f64::abs,
        FunctionId::Ceil => f64::ceil,
        FunctionId::Floor => f64::floor,
        FunctionId::Exp => f64::exp,
        FunctionId::Ln => f64::ln,
        FunctionId::Log2 => f64::log2,
        FunctionId::Log10 => f64::log10,
        FunctionId::Sqrt => f64::sqrt,
        FunctionId::Sgn => sgn,
        FunctionId::Sin => f64::sin,
        FunctionId::Cos => f64::cos,
        FunctionId::Tan => f64::tan,
        FunctionId::Asin => f64::asin,
        FunctionId::Acos => f64::acos,
        FunctionId::Atan => f64::atan,
        FunctionId::Sinh => f64::sinh,
        FunctionId::Cosh => f64::cosh,
        FunctionId::Tanh => f64::tanh,
        FunctionId::Asinh => asinh,
        FunctionId::Acosh => acosh,
        FunctionId::Atanh => f64::atanh,
        FunctionId::Rad => |v| v * std::f64::consts::PI / 180.0,
        FunctionId::Deg => |v| v * 180.0 / std::f64::consts::PI,
        _ => return None,
    })
}

/// Beyond this, one more or less under the root makes no difference, but the sum may overflow.
const LARGE: f64 = (1_u64 << 28) as f64;

fn asinh(value: f64) -> f64 {
    if value.abs() > LARGE { (value.abs().ln() + std::f64::consts::LN_2).copysign(value) } else { value.asinh() }
}

fn acosh(value: f64) -> f64 {
    if value > LARGE { value.ln() + std::f64::consts::LN_2 } else { value.acosh() }
}

fn sgn(value: f64) -> f64 {
    if value < 0.0 {
        -1.0
    } else if value > 0.0 {
        1.0
    } else {
        value
    }
}

/// `value` within the bounds; as Go's `Max(min, Min(max, value))`.
pub(crate) fn clamp(value: f64, min: f64, max: f64) -> f64 {
    go_max(min, go_min(max, value))
}

/// `value` to the nearest multiple, halves upward.
pub(crate) fn round(value: f64, nearest: f64) -> f64 {
    // The inverse loses less: 0.1 has no exact form, 10 has.
    let inverse = 1.0 / nearest;
    (value * inverse + 0.5).floor() / inverse
}

/// Go's `math.Max`: `+Inf` when either is, else NaN when either is, and 0 above -0.
pub(crate) fn go_max(a: f64, b: f64) -> f64 {
    match (a == f64::INFINITY || b == f64::INFINITY, a.is_nan() || b.is_nan()) {
        (true, _) => f64::INFINITY,
        (_, true) => f64::NAN,
        _ if a == 0.0 && b == 0.0 => a + b,
        _ => a.max(b),
    }
}

/// Go's `math.Min`: `-Inf` when either is, else NaN when either is, and -0 below 0.
pub(crate) fn go_min(a: f64, b: f64) -> f64 {
    -go_max(-a, -b)
}

/// The φ-quantile by linear interpolation; NaN samples count as the smallest. Sorts `values`.
pub(crate) fn quantile_of(q: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    let rank = q * (values.len() - 1) as f64;
    let lower = rank.floor() as usize;
    let upper = (lower + 1).min(values.len() - 1);
    let (_, low, rest) = values.select_nth_unstable_by(lower, nan_first);
    let low = *low;
    let high = if upper == lower { low } else { rest.iter().copied().min_by(nan_first).unwrap_or(low) };
    let weight = rank - rank.floor();
    low * (1.0 - weight) + high * weight
}

/// As [`quantile_of`] for values in order and a `q` from 0 to 1.
pub(crate) fn quantile_of_sorted(q: f64, sorted: &[f64]) -> f64 {
    let rank = q * (sorted.len() - 1) as f64;
    let lower = rank.floor() as usize;
    let upper = (lower + 1).min(sorted.len() - 1);
    let weight = rank - rank.floor();
    sorted[lower] * (1.0 - weight) + sorted[upper] * weight
}

/// A total order with NaN below everything.
pub(crate) fn nan_first(a: &f64, b: &f64) -> std::cmp::Ordering {
    b.is_nan().cmp(&a.is_nan()).then(a.total_cmp(b))
}

#[cfg(test)]
mod tests {
    use super::{acosh, asinh, clamp, go_max, go_min, quantile_of, round};

    #[test]
    fn quantiles_interpolate() {
        let cases: [(f64, &[f64], f64); 5] = [
            (0.5, &[0.0, 1.0], 0.5),
            (0.75, &[4.0, 0.0, 1.0], 2.5),
            (1.0, &[2.0, 1.0], 2.0),
            (2.0, &[1.0], f64::INFINITY),
            (0.8, &[0.0, 1.0, f64::NAN], 0.6),
        ];
        for (q, values, expected) in cases {
            let found = quantile_of(q, &mut values.to_vec());
            assert!((found - expected).abs() < 1e-12 || found == expected, "{q} {values:?} {found}");
        }
    }

    #[test]
    fn large_numbers_do_not_overflow() {
        for large in [f64::MAX, 1e300, 3e8, 2e8] {
            let expected = large.ln() + std::f64::consts::LN_2;
            for found in [asinh(large), -asinh(-large), acosh(large)] {
                assert!((found - expected).abs() < 1e-9, "{large}: {found}");
            }
        }
        assert!(acosh(f64::INFINITY).is_infinite() && asinh(f64::NEG_INFINITY).is_infinite() && acosh(0.5).is_nan());
    }

    #[test]
    fn rounds_and_clamps() {
        assert_eq!(round(-0.5, 1.0), 0.0);
        assert_eq!(round(5.25, 0.1), 5.3);
        assert_eq!(clamp(3.0, 0.0, 2.0), 2.0);
        assert!(clamp(3.0, f64::NAN, 2.0).is_nan());
        assert_eq!(clamp(f64::NEG_INFINITY, 0.0, f64::NAN), 0.0);
        assert_eq!(clamp(f64::NAN, f64::INFINITY, f64::INFINITY), f64::INFINITY);
        assert!(go_min(0.0, -0.0).is_sign_negative() && go_max(-0.0, 0.0).is_sign_positive());
    }
}
