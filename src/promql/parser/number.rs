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

/// Hexadecimal digits of a number that fits 64 bits with a sign, as Go's `ParseInt`: longer ones would need an exponent,
/// which the lexer does not read.
fn hexadecimal(body: &str) -> Option<f64> {
    i64::from_str_radix(body, 16).ok().map(|value| value as f64)
}
