//! Numbers as Prometheus' world writes and reads them.

/// Formats a value as Go's `strconv.FormatFloat(v, 'g', -1, 64)` does: shortest digits that read back, `NaN`, `+Inf`, `-Inf`.
///
/// Exponents appear below 1e-4 and from 1e6 on; the API's plain `'f'` form is what [`f64`]'s `Display` gives.
pub fn format_float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-4..1e6).contains(&magnitude) {
        let text = format!("{value:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, digits) = match exponent.strip_prefix('-') {
            Some(digits) => ('-', digits),
            None => ('+', exponent),
        };
        return format!("{mantissa}e{sign}{digits:0>2}");
    }
    format!("{value}")
}

/// Integers up to here are exact in a float.
const EXACT: f64 = 1e15;
/// Below, the shortest form has an exponent.
const SMALLEST_PLAIN: f64 = 1e-5;

/// Appends a value that every text format of Prometheus' world writes alike: whole numbers without a point, others with the
/// shortest digits that read back, no exponent. Says false and writes nothing for those on which formats differ: magnitudes
/// below 1e-5 and from 1e15 on, negative zero, what is not finite.
pub fn push_plain(out: &mut Vec<u8>, value: f64) -> bool {
    let magnitude = value.abs();
    if magnitude < EXACT && value.trunc() == value && (value != 0.0 || value.is_sign_positive()) {
        out.extend_from_slice(itoa::Buffer::new().format(value as i64).as_bytes());
        return true;
    }
    let plain = (SMALLEST_PLAIN..EXACT).contains(&magnitude);
    if plain {
        out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    }
    plain
}

/// Reads a sample value: decimal, exponent, `NaN`, `Inf`, `+Inf`, `-Inf` in any case; hexadecimal floats and
/// underscores are the lexer's business, not this one's.
pub fn parse_float(text: &str) -> Option<f64> {
    let body = text.strip_prefix(['+', '-']).unwrap_or(text);
    let first = *body.as_bytes().first()?;
    if first.is_ascii_digit() || first == b'.' {
        return text.parse().ok();
    }
    let negative = text.starts_with('-');
    if body.eq_ignore_ascii_case("inf") || body.eq_ignore_ascii_case("infinity") {
        return Some(if negative { f64::NEG_INFINITY } else { f64::INFINITY });
    }
    body.eq_ignore_ascii_case("nan").then_some(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::{format_float, parse_float, push_plain};

    #[test]
    fn formats_as_go_does() {
        let cases: &[(f64, &str)] = &[
            (0.0, "0"),
            (-0.0, "-0"),
            (1.5, "1.5"),
            (100000.0, "100000"),
            (1234567.0, "1.234567e+06"),
            (1e20, "1e+20"),
            (1e21, "1e+21"),
            (1.25e-5, "1.25e-05"),
            (0.0001, "0.0001"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ];
        for (value, expected) in cases {
            assert_eq!(format_float(*value), *expected);
        }
    }

    #[test]
    fn plain_values_read_back_and_are_as_short_as_display() {
        let check = |value: f64| {
            let mut out = Vec::new();
            let plain = push_plain(&mut out, value);
            let text = String::from_utf8(out).expect("ascii");
            // Of two digits that are equally near, Go takes the even one, and Display the larger.
            assert_eq!(text.len(), if plain { value.to_string().len() } else { 0 }, "{text} for {value}");
            assert!(!plain || text.parse() == Ok(value), "{text} for {value}");
            plain
        };
        let plain = [0.0, 1.0, -17.0, 0.1, 1e-5, 123_456.654_321, 999_999_999_999_999.0, 999_999_999_999_999.9];
        assert!(plain.into_iter().all(check));
        let others = [-0.0, 9.999_999e-6, 1e15, 5e-324, f64::MAX, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
        assert!(!others.into_iter().any(check));
        let mut state = 7u64;
        for _ in 0..50_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            check(f64::from_bits(state));
            check((state >> 32) as f64 / 1e7 - 100.0);
        }
    }

    #[test]
    fn reads_every_spelling() {
        assert_eq!(parse_float("+Inf"), Some(f64::INFINITY));
        assert_eq!(parse_float("-inf"), Some(f64::NEG_INFINITY));
        assert!(parse_float("nan").is_some_and(f64::is_nan));
        assert_eq!(parse_float("1e3"), Some(1000.0));
        assert_eq!(parse_float("x"), None);
        assert_eq!(parse_float(""), None);
    }
}
