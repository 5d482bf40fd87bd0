//! Numbers as Go writes them.

/// Exponent from which shortest digits are written with one.
const SHORTEST_THRESHOLD: i32 = 6;

/// A float as `%v`: shortest digits that read back, with an exponent below 1e-4 and from 1e6 on (`1e+06`).
pub(super) fn float(value: f64) -> String {
    significant(value, None)
}

/// NaN and the infinities.
pub(super) fn special(value: f64) -> Option<&'static str> {
    if value.is_nan() {
        Some("NaN")
    } else if value.is_infinite() {
        Some(if value > 0.0 { "+Inf" } else { "-Inf" })
    } else {
        None
    }
}

/// `%g`: shortest digits, or `precision` significant ones (strconv's `'g'`).
pub(super) fn significant(value: f64, precision: Option<usize>) -> String {
    if let Some(text) = special(value) {
        return text.to_owned();
    }
    let precision = precision.map(|precision| precision.max(1));
    let scientific = match precision {
        Some(precision) => format!("{value:.*e}", precision - 1),
        None => format!("{value:e}"),
    };
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (sign, digits) = match mantissa.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", mantissa),
    };
    let digits: String = digits.chars().filter(|c| *c != '.').collect();
    let digits = match digits.trim_end_matches('0') {
        "" => "0",
        digits => digits,
    };
    let threshold = precision.map_or(SHORTEST_THRESHOLD, |precision| precision as i32);
    if exponent < -4 || exponent >= threshold {
        return format!("{sign}{}", with_exponent(digits, exponent));
    }
    format!("{sign}{}", plain(digits, exponent))
}

fn with_exponent(digits: &str, exponent: i32) -> String {
    let (first, rest) = digits.split_at(1);
    let point = if rest.is_empty() { "" } else { "." };
    format!("{first}{point}{rest}e{}", go_exponent(exponent))
}

/// A sign and at least two digits.
pub(super) fn go_exponent(exponent: i32) -> String {
    format!("{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

/// Digits d₀.d₁d₂… × 10^exponent without an exponent.
fn plain(digits: &str, exponent: i32) -> String {
    if exponent < 0 {
        return format!("0.{}{digits}", "0".repeat((-exponent - 1) as usize));
    }
    let whole = exponent as usize + 1;
    if digits.len() <= whole {
        return format!("{digits}{}", "0".repeat(whole - digits.len()));
    }
    let (whole, fraction) = digits.split_at(whole);
    format!("{whole}.{fraction}")
}
