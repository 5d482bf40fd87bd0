//! Durations as Prometheus writes them: `1h30m`, `15d`, `500ms`.

use std::time::Duration;

const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Why a duration could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Nothing was written.
    #[error("empty duration: expected a number with a unit, for example 30s, 5m or 1h30m")]
    Empty,
    /// It is not number-unit pairs from large to small.
    #[error(
        "bad duration {0:?}: expected numbers with the units y, w, d, h, m, s, ms from large to small, for example 1h30m"
    )]
    Syntax(String),
    /// A unit is none of Prometheus'.
    #[error("unknown unit {unit:?} in duration {text:?}: expected y, w, d, h, m, s or ms")]
    Unit {
        /// What stands for the unit.
        unit: String,
        /// The whole duration.
        text: String,
    },
    /// It does not fit into 292 years.
    #[error("duration {0:?} is out of range")]
    Range(String),
}

/// Reads a Prometheus duration (`model.ParseDuration`): each unit at most once, from large to small; `0` alone is allowed.
///
/// # Errors
/// [`DurationError`] says what is wrong and what was expected.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    if text.is_empty() {
        return Err(DurationError::Empty);
    }
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let syntax = || DurationError::Syntax(text.to_owned());
    let range = || DurationError::Range(text.to_owned());
    let (mut rest, mut total, mut next_unit) = (text, 0u64, 0usize);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(syntax)?;
        if digits == 0 {
            return Err(syntax());
        }
        let number: u64 = rest[..digits].parse().map_err(|_| syntax())?;
        let letters = &rest[digits..];
        let end = letters.find(|c: char| c.is_ascii_digit()).unwrap_or(letters.len());
        let unit = &letters[..end];
        let unknown = || DurationError::Unit { unit: unit.to_owned(), text: text.to_owned() };
        let found = UNITS.iter().position(|(known, _)| *known == unit).ok_or_else(unknown)?;
        if found < next_unit {
            return Err(syntax());
        }
        next_unit = found + 1;
        total = number.checked_mul(UNITS[found].1).and_then(|ms| total.checked_add(ms)).ok_or_else(range)?;
        rest = &letters[end..];
    }
    if total > i64::MAX as u64 / 1_000_000 {
        return Err(range());
    }
    Ok(Duration::from_millis(total))
}

/// Writes a duration as Prometheus does (`model.Duration.String`): years and weeks only when they divide it exactly.
pub fn format_duration(duration: Duration) -> String {
    let mut ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if ms == 0 {
        return "0s".to_owned();
    }
    let mut out = String::new();
    for (unit, size) in UNITS {
        let exact_only = matches!(unit, "y" | "w" | "d");
        if exact_only && ms % size != 0 {
            continue;
        }
        let count = ms / size;
        if count > 0 {
            out.push_str(&format!("{count}{unit}"));
            ms -= count * size;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{format_duration, parse_duration};
    use std::time::Duration;

    #[test]
    fn reads_and_writes() {
        let cases: &[(&str, u64, &str)] = &[
            ("0", 0, "0s"),
            ("5m", 300_000, "5m"),
            ("1h30m", 5_400_000, "1h30m"),
            ("324ms", 324, "324ms"),
            ("4d1h", 349_200_000, "97h"),
            ("3w", 1_814_400_000, "3w"),
            ("10y", 315_360_000_000, "10y"),
        ];
        for (text, ms, printed) in cases {
            let duration = parse_duration(text).expect("valid");
            assert_eq!(duration, Duration::from_millis(*ms), "{text}");
            assert_eq!(format_duration(duration), *printed);
        }
    }

    #[test]
    fn refuses_what_prometheus_refuses() {
        for text in ["", "5", "m", "1m1h", "1s1s", "-5m", "1.5h", "5mm", "99999999999y"] {
            assert!(parse_duration(text).is_err(), "{text:?}");
        }
    }
}
