//! Number literals as Go reads them: decimal, octal with a leading zero, hexadecimal, underscores between digits.

/// The value of a number literal of the lexer.
///
/// # Errors
/// A sentence that ends Prometheus' `error parsing number: …`.
pub(super) fn parse_number(text: &str) -> Result<f64, String> {
    let lower = text.to_ascii_lowercase();
    match lower.as_str() {
        "inf" => return Ok(f64::INFINITY),
        "nan" => return Ok(f64::NAN),
        _ => {}
    }
    if let Some(body) = lower.strip_prefix("0x") {
        let body = body.strip_prefix('_').unwrap_or(body);
        return hexadecimal(&plain_digits(body, text)?).ok_or_else(|| invalid(text));
    }
    let digits = plain_digits(&lower, text)?;
    if digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|b| (b'0'..=b'7').contains(&b)) {
        return Ok(i64::from_str_radix(&digits, 8).map_or_else(|_| digits.parse().unwrap_or(0.0), |octal| octal as f64));
    }
    let value: f64 = digits.parse().map_err(|_| invalid(text))?;
    if value.is_infinite() {
        return Err(format!("strconv.ParseFloat: parsing {}: value out of range", crate::model::quote(text)));
    }
    Ok(value)
}

/// A whole text that is one number, with an optional sign.
pub(in crate::promql) fn parse_literal_number(text: &str) -> Option<f64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let value = parse_number(digits).ok()?;
    Some(if negative { -value } else { value })
}

fn invalid(text: &str) -> String {
    format!("strconv.ParseFloat: parsing {}: invalid syntax", crate::model::quote(text))
}

/// The digits without underscores, each of which must stand between two digits.
fn plain_digits(body: &str, text: &str) -> Result<String, String> {
    let bytes = body.as_bytes();
    for (i, byte) in bytes.iter().enumerate() {
        let digit_at = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_hexdigit);
        if *byte == b'_' && !(digit_at(i.checked_sub(1)) && digit_at(Some(i + 1))) {
            return Err(invalid(text));
        }
    }
    Ok(body.replace('_', ""))
}

/// `1f`, `1.8p-3`: hexadecimal digits with a binary exponent. Without one they are a whole number that fits 64 bits, as
/// for Go; the lexer reads no other, but bounds of buckets may be written so.
fn hexadecimal(body: &str) -> Option<f64> {
    let Some((mantissa, exponent)) = body.split_once('p') else {
        return i64::from_str_radix(body, 16).ok().map(|value| value as f64);
    };
    let exponent = exponent.parse::<i32>().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut value = 0.0f64;
    for c in whole.chars().chain(fraction.chars()) {
        value = value * 16.0 + f64::from(c.to_digit(16)?);
    }
    let scale = exponent.saturating_sub(i32::try_from(fraction.len()).ok()?.saturating_mul(4));
    Some(value * 2f64.powi(scale))
}

#[cfg(test)]
mod tests {
    use super::parse_literal_number;

    #[test]
    fn reads_numbers_as_go_does() {
        let cases = [
            ("0x1p0", Some(1.0)),
            ("-0X1.8P-3", Some(-0.1875)),
            ("+0x1F", Some(31.0)),
            ("0x_1f", Some(31.0)),
            ("0xfffffffffffffffff", None),
            ("0x", None),
            ("0x.p1", None),
            ("0755", Some(493.0)),
            ("089", Some(89.0)),
            ("1_0.5", Some(10.5)),
            ("1__0", None),
            ("1e309", None),
            ("x", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_literal_number(text), expected, "{text}");
        }
    }
}
