//! Parsing on bytes: kernel files need no UTF-8 and no allocation.

/// Lines without their ends; an empty last line is left out.
pub(crate) fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
}

/// Words between blanks.
pub(crate) fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty())
}

/// A decimal number without sign; `None` for anything else, beyond 64 bits too.
pub(crate) fn number(word: &[u8]) -> Option<u64> {
    if word.is_empty() {
        return None;
    }
    word.iter().try_fold(0u64, |value, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

/// A decimal number with an optional sign.
pub(crate) fn signed(word: &[u8]) -> Option<i64> {
    match word.strip_prefix(b"-") {
        Some(rest) => i64::try_from(number(rest)?).ok().map(|value| -value),
        None => i64::try_from(number(word)?).ok(),
    }
}

/// A number with `0x` before it.
pub(crate) fn hex(word: &[u8]) -> Option<u64> {
    u64::from_str_radix(text(word.strip_prefix(b"0x")?)?, 16).ok()
}

/// A float as kernel files write them (`0.61`).
pub(crate) fn float(word: &[u8]) -> Option<f64> {
    text(word)?.parse::<f64>().ok().filter(|value| value.is_finite())
}

/// The one number that a file of sysfs holds, as the kernel writes it: whole, signed or with a point.
pub(crate) fn decimal(bytes: &[u8]) -> Option<f64> {
    let word = bytes.trim_ascii();
    number(word).map(|value| value as f64).or_else(|| signed(word).map(|value| value as f64)).or_else(|| float(word))
}

/// As [`decimal`], also with `0x` before it.
pub(crate) fn decimal_or_hex(bytes: &[u8]) -> Option<f64> {
    hex(bytes.trim_ascii()).map(|value| value as f64).or_else(|| decimal(bytes))
}

/// A number to base 16 without a prefix, as `/proc/net` has them.
pub(crate) fn bare_hex(word: &[u8]) -> Option<u64> {
    let digits = text(word).filter(|word| word.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u64::from_str_radix(digits, 16).ok()
}

/// The bytes as text, if they are UTF-8.
pub(crate) fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// The bytes as text, bad ones replaced: for names that become label values.
pub(crate) fn label(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

#[cfg(test)]
mod tests {
    use super::{float, hex, lines, number, signed, words};

    #[test]
    fn numbers() {
        let cases: &[(&[u8], Option<u64>)] = &[
            (b"0", Some(0)),
            (b"18446744073709551615", Some(u64::MAX)),
            (b"18446744073709551616", None),
            (b"", None),
            (b"-1", None),
            (b"12x", None),
        ];
        for (word, expected) in cases {
            assert_eq!(number(word), *expected);
        }
        assert_eq!((signed(b"-40000"), signed(b"--1")), (Some(-40000), None));
        assert_eq!((hex(b"0x1003"), hex(b"1003")), (Some(0x1003), None));
        assert_eq!((float(b"0.61"), float(b"nan"), float(b"\xff")), (Some(0.61), None, None));
    }

    #[test]
    fn lines_and_words() {
        let found: Vec<Vec<&[u8]>> = lines(b"a  b\n\n\tc\n").map(|line| words(line).collect()).collect();
        assert_eq!(found, [vec![&b"a"[..], b"b"], vec![b"c"]]);
    }
}
