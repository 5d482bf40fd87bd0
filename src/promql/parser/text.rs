//! String literals: the escapes of Go, and how characters look in messages.

/// A character as Go's `%q` writes it; the end of the text is the replacement character there.
pub(super) fn quote_char(c: Option<char>) -> String {
    match c {
        None => "'\u{fffd}'".to_owned(),
        Some('\'') => r"'\''".to_owned(),
        Some(c) if c.is_control() || c == '\\' => format!("'{}'", c.escape_default()),
        Some(c) => format!("'{c}'"),
    }
}

/// The text of a literal with its quotes: `"…"` and `'…'` with escapes, back-quoted without any.
///
/// # Errors
/// A sentence that says which escape is wrong. Bytes that do not make valid UTF-8 are refused.
pub(in crate::promql) fn unquote(literal: &str) -> Result<String, String> {
    String::from_utf8(bytes(literal)?).map_err(|_| format!("invalid UTF-8 in string literal {literal}"))
}

/// Whether every escape of a literal is one of Go's.
///
/// # Errors
/// A sentence that says which is not.
pub(super) fn check_escapes(literal: &str) -> Result<(), String> {
    bytes(literal).map(drop)
}

fn bytes(literal: &str) -> Result<Vec<u8>, String> {
    let mut chars = literal.chars();
    let quote = chars.next().ok_or("empty string literal")?;
    let body = chars.as_str().strip_suffix(quote).ok_or("unterminated quoted string")?;
    if quote == '`' {
        return Ok(body.as_bytes().to_vec());
    }
    let mut out = Vec::with_capacity(body.len());
    let mut rest = body.chars();
    while let Some(c) = rest.next() {
        if c == '\\' {
            escape(&mut rest, quote, &mut out)?;
        } else {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    Ok(out)
}

/// Reads what follows a backslash.
fn escape(rest: &mut std::str::Chars<'_>, quote: char, out: &mut Vec<u8>) -> Result<(), String> {
    let c = rest.next().ok_or("escape sequence not terminated")?;
    let simple = match c {
        'a' => 0x07,
        'b' => 0x08,
        'f' => 0x0c,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 0x0b,
        '\\' => b'\\',
        c if c == quote => c as u8,
        'x' => digits(rest, 2, 16)? as u8,
        '0'..='7' => {
            let first = c.to_digit(8).unwrap_or(0);
            let code = first * 64 + digits(rest, 2, 8)?;
            u8::try_from(code).map_err(|_| "escape sequence is an invalid Unicode code point".to_owned())?
        }
        'u' | 'U' => {
            let code = digits(rest, if c == 'u' { 4 } else { 8 }, 16)?;
            let c = char::from_u32(code).ok_or("escape sequence is an invalid Unicode code point")?;
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            return Ok(());
        }
        c => return Err(format!("unknown escape sequence {}", code_point(c))),
    };
    out.push(simple);
    Ok(())
}

fn digits(rest: &mut std::str::Chars<'_>, count: usize, base: u32) -> Result<u32, String> {
    let mut value: u32 = 0;
    for _ in 0..count {
        let c = rest.next().ok_or("escape sequence not terminated")?;
        let digit =
            c.to_digit(base).ok_or_else(|| format!("illegal character {} in escape sequence", code_point(c)))?;
        value = value.wrapping_mul(base).wrapping_add(digit);
    }
    Ok(value)
}

/// A code point as Go's `%#U` writes it.
fn code_point(c: char) -> String {
    format!("U+{:04X} '{c}'", c as u32)
}
