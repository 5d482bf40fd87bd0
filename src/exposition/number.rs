//! Numbers of the text formats, to bytes and back.

use crate::model::{format_float, push_plain};

/// Below, Go writes an exponent.
const SMALLEST_PLAIN: f64 = 1e-4;

/// Appends a sample value with the shortest digits that read back, as Go's `strconv` writes it (`1.5e-07`, `NaN`, `+Inf`, `-Inf`), except that numbers from
/// 1e6 to 1e15 have no exponent: they are shorter so, and cheaper to write and to read.
pub fn push_value(out: &mut Vec<u8>, value: f64) {
    if (value == 0.0 || value.abs() >= SMALLEST_PLAIN) && push_plain(out, value) {
        return;
    }
    out.extend_from_slice(format_float(value).as_bytes());
}

/// Appends a number as OpenMetrics' canonical form has it: as Go writes it, with a point (`1.0`, `0.5`, `1e+06`, `+Inf`). Bounds of
/// buckets and quantiles are labels, so their spelling matters.
pub fn push_bound(out: &mut Vec<u8>, bound: f64) {
    // Both zeros are `0.0`, as the clients and Prometheus write them.
    let text = format_float(if bound == 0.0 { 0.0 } else { bound });
    out.extend_from_slice(text.as_bytes());
    if bound.is_finite() && !text.contains(['.', 'e']) {
        out.extend_from_slice(b".0");
    }
}

/// A bound or quantile as [`push_bound`] spells it; `None` when it is no number, which stays as it is.
pub fn canonical_bound(text: &str) -> Option<String> {
    let bound = parse_value(text)?;
    let mut out = Vec::with_capacity(text.len() + 2);
    push_bound(&mut out, bound);
    String::from_utf8(out).ok()
}

const POWERS: [f64; 16] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// Characters of the numbers that [`parse_plain`] takes: a sign, a point and 15 digits.
pub(super) const PLAIN: usize = 17;

/// Reads a sample value or a bound; `None` when it is no number, or one that no float holds.
pub fn parse_value(text: &str) -> Option<f64> {
    parse_plain(text.as_bytes()).or_else(|| slow(text))
}

/// Reads up to 15 digits with an optional sign and point, which is exact in a short way: both the digits and the power of ten are whole floats, so
/// one division rounds once. `None` says nothing about other texts.
#[inline]
pub(super) fn parse_plain(bytes: &[u8]) -> Option<f64> {
    let (negative, digits) = match bytes.split_first() {
        Some((b'-', rest)) => (true, rest),
        _ => (false, bytes),
    };
    if digits.len() >= PLAIN {
        return None;
    }
    let (mut mantissa, mut scale, mut count, mut past_point) = (0u64, 0usize, 0usize, false);
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit < 10 {
            mantissa = mantissa * 10 + u64::from(digit);
            count += 1;
            scale += usize::from(past_point);
        } else if *byte == b'.' && !past_point {
            past_point = true;
        } else {
            return None;
        }
    }
    if count == 0 || count > 15 {
        return None;
    }
    let value = if scale == 0 { mantissa as f64 } else { mantissa as f64 / POWERS.get(scale)? };
    Some(if negative { -value } else { value })
}

/// Everything else; hexadecimal floats, underscores and digits too large for a float are refused, as Prometheus does.
fn slow(text: &str) -> Option<f64> {
    // Anything with digits is no infinity.
    crate::model::parse_float(text).filter(|value| !value.is_infinite() || !text.contains(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::{canonical_bound, parse_value, push_bound, push_value};

    fn print(value: f64) -> String {
        let mut out = Vec::new();
        push_value(&mut out, value);
        String::from_utf8(out).expect("ascii")
    }

    #[test]
    fn prints() {
        let cases = [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-17.0, "-17"),
            (1_234_567.0, "1234567"),
            (0.1, "0.1"),
            (1.5e-7, "1.5e-07"),
            (0.000_012, "1.2e-05"),
            (0.0001, "0.0001"),
            (1_234_567.5, "1234567.5"),
            (1e15, "1e+15"),
            (1e16, "1e+16"),
            (1e300, "1e+300"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ];
        for (value, expected) in cases {
            assert_eq!(print(value), expected);
        }
    }

    #[test]
    fn bounds_of_others() {
        // As Prometheus 3 has them.
        let cases = [
            ("1", "1.0"),
            ("1.0", "1.0"),
            ("1.00", "1.0"),
            ("0", "0.0"),
            ("-1", "-1.0"),
            ("-0", "0.0"),
            (".5", "0.5"),
            ("0.10", "0.1"),
            ("10000000", "1e+07"),
            ("1e7", "1e+07"),
            ("100000", "100000.0"),
            ("1000000", "1e+06"),
            ("0.00001", "1e-05"),
            ("+Inf", "+Inf"),
            ("Inf", "+Inf"),
            ("inf", "+Inf"),
            ("-Inf", "-Inf"),
            ("+infinity", "+Inf"),
            ("NaN", "NaN"),
            ("1e999", ""),
            ("", ""),
            ("x", ""),
            ("1 ", ""),
            ("1_0", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(canonical_bound(text).unwrap_or_default(), expected, "{text}");
        }
    }

    #[test]
    fn bounds() {
        for (bound, expected) in [
            (1.0, "1.0"),
            (0.005, "0.005"),
            (1e6, "1e+06"),
            (1e-5, "1e-05"),
            (100_000.0, "100000.0"),
            (f64::INFINITY, "+Inf"),
            (-2.5, "-2.5"),
        ] {
            let mut out = Vec::new();
            push_bound(&mut out, bound);
            assert_eq!(String::from_utf8_lossy(&out), expected);
        }
    }

    #[test]
    fn the_short_way_reads_what_the_long_way_reads() {
        let cases = [
            "0",
            "1",
            "-1",
            "1.",
            ".5",
            "-.25",
            "0.1",
            "123456789.12345",
            "999999999999999",
            "0.000000000000001",
            "0.00002235",
            "1e5",
            "1.5E-3",
            "9999999999999999",
            "+1",
            "1.7976931348623157e308",
            "123456.654321",
        ];
        for text in cases {
            let expected: f64 = text.parse().expect("a float");
            assert_eq!(parse_value(text).map(f64::to_bits), Some(expected.to_bits()), "{text}");
        }
        for text in ["", ".", "-", "1e999", "-1e999", "1.2.3", "1_2", "0x1p-3", "0x1", "1e", "abc", "--1", "1 2"] {
            assert_eq!(parse_value(text), None, "{text}");
        }
        assert_eq!(parse_value("-0").map(f64::to_bits), Some((-0.0f64).to_bits()));
        assert!(parse_value("NaN").is_some_and(f64::is_nan));
        assert_eq!(parse_value("+Inf"), Some(f64::INFINITY));
    }

    #[test]
    fn what_is_printed_reads_back() {
        let mut state = 7u64;
        for _ in 0..20_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let value = f64::from_bits(state);
            if value.is_finite() {
                assert_eq!(parse_value(&print(value)), Some(value));
            }
            let short = ((state >> 40) as f64) / 1000.0;
            assert_eq!(parse_value(&print(short)), Some(short));
        }
    }
}
