//! `printf`, `print`, `println` as Go's fmt has them.

use super::exec::MAX_OUTPUT_BYTES;
use super::format::{go_exponent, significant, special};
use super::value::Val;

/// Widest field and most digits; Go's own limit is a million, which no annotation needs.
const MAX_WIDTH: usize = 1000;

/// Surplus arguments that the output names.
const MAX_EXTRA: usize = 10;

/// `fmt.Sprint` (all three stop somewhat beyond [`MAX_OUTPUT_BYTES`], which their caller refuses): blanks between operands when neither is a string.
pub(super) fn sprint(args: &[Val]) -> String {
    let mut out = String::new();
    for (i, arg) in args.iter().enumerate() {
        if out.len() > MAX_OUTPUT_BYTES {
            break;
        }
        let previous = i.checked_sub(1).and_then(|i| args.get(i));
        if previous.is_some_and(|previous| previous.as_text().is_none() && arg.as_text().is_none()) {
            out.push(' ');
        }
        out.push_str(&arg.to_text());
    }
    out
}

/// `fmt.Sprintln`: blanks between all operands and a newline.
pub(super) fn sprintln(args: &[Val]) -> String {
    let mut out = String::new();
    for (i, arg) in args.iter().enumerate() {
        if out.len() > MAX_OUTPUT_BYTES {
            break;
        }
        out.push_str(if i == 0 { "" } else { " " });
        out.push_str(&arg.to_text());
    }
    out.push('\n');
    out
}

/// A verb with its flags.
#[derive(Debug, Default, Clone, Copy)]
struct Spec {
    minus: bool,
    plus: bool,
    sharp: bool,
    zero: bool,
    space: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// `fmt.Sprintf`; mistakes show in the output, as in Go.
pub(super) fn sprintf(format: &str, args: &[Val]) -> String {
    let (mut out, mut next) = (String::new(), 0);
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next().filter(|_| out.len() <= MAX_OUTPUT_BYTES) {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut spec = Spec::default();
        while let Some(flag) = chars.next_if(|c| "-+# 0".contains(*c)) {
            match flag {
                '-' => spec.minus = true,
                '+' => spec.plus = true,
                '#' => spec.sharp = true,
                '0' => spec.zero = true,
                _ => spec.space = true,
            }
        }
        spec.width = number(&mut chars, args, &mut next);
        if chars.next_if_eq(&'.').is_some() {
            spec.precision = Some(number(&mut chars, args, &mut next).unwrap_or(0));
        }
        let Some(verb) = chars.next() else {
            out.push_str("%!(NOVERB)");
            break;
        };
        if verb == '%' {
            out.push('%');
            continue;
        }
        match args.get(next) {
            Some(arg) => out.push_str(&format_one(spec, verb, arg)),
            None => out.push_str(&format!("%!{verb}(MISSING)")),
        }
        next += 1;
    }
    if let Some(extra) = args.get(next..).filter(|extra| !extra.is_empty()) {
        let extra: Vec<String> =
            extra.iter().take(MAX_EXTRA).map(|arg| format!("{}={}", arg.type_name(), arg.to_text())).collect();
        out.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    out
}

/// A width or precision: digits, or `*` for the next argument.
fn number(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, args: &[Val], next: &mut usize) -> Option<usize> {
    if chars.next_if_eq(&'*').is_some() {
        let value = args.get(*next);
        *next += 1;
        return match value {
            Some(Val::Int(value)) => usize::try_from(*value).ok().map(|value| value.min(MAX_WIDTH)),
            _ => None,
        };
    }
    let mut value = None;
    while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
        chars.next();
        value = Some((value.unwrap_or(0) * 10 + digit as usize).min(MAX_WIDTH));
    }
    value
}

fn format_one(spec: Spec, verb: char, arg: &Val) -> String {
    let text = match (verb, arg) {
        ('T', arg) => Some(arg.type_name().to_owned()),
        ('v', Val::Float(value)) => return signed(spec, significant(*value, spec.precision)),
        ('v', Val::Int(value)) => return signed(spec, value.to_string()),
        ('v', Val::Text(text)) if spec.sharp => Some(crate::model::quote(text)),
        ('v', arg) => Some(arg.to_text()),
        ('t', Val::Bool(value)) => Some(value.to_string()),
        (_, Val::Float(value)) => match float_verb(spec, verb, *value) {
            Some(text) => return signed(spec, text),
            None => None,
        },
        (_, Val::Int(value) | Val::Duration(value)) if verb != 's' => match int_verb(spec, verb, *value) {
            Some(text) if matches!(verb, 'c' | 'q' | 'U') => Some(text),
            Some(text) => return signed(spec, text),
            None => None,
        },
        (_, Val::List(items)) => {
            let items: Vec<String> = items.iter().map(|item| format_one(spec, verb, item)).collect();
            return format!("[{}]", items.join(" "));
        }
        (_, arg) => text_verb(spec, verb, arg),
    };
    match text {
        Some(text) => pad(spec, &text),
        None if matches!(arg, Val::Nil) => format!("%!{verb}(<nil>)"),
        None => format!("%!{verb}({}={})", arg.type_name(), arg.to_text()),
    }
}

fn text_verb(spec: Spec, verb: char, arg: &Val) -> Option<String> {
    let text = match arg {
        Val::Text(_) | Val::Histogram(_) | Val::Time(_) | Val::Duration(_) | Val::Labels(_) => arg.to_text(),
        _ => return None,
    };
    let text = match spec.precision {
        Some(precision) => text.chars().take(precision).collect(),
        None => text,
    };
    match verb {
        's' => Some(text),
        'q' if spec.sharp && !text.contains('`') => Some(format!("`{text}`")),
        'q' => Some(crate::model::quote(&text)),
        'x' => Some(text.bytes().map(|byte| format!("{byte:02x}")).collect()),
        'X' => Some(text.bytes().map(|byte| format!("{byte:02X}")).collect()),
        _ => None,
    }
}

fn int_verb(spec: Spec, verb: char, value: i64) -> Option<String> {
    let (sign, abs) = (if value < 0 { "-" } else { "" }, value.unsigned_abs());
    let prefix = |prefix| if spec.sharp { prefix } else { "" };
    let rune = || u32::try_from(value).ok().and_then(char::from_u32).unwrap_or('\u{fffd}');
    Some(match verb {
        'd' => value.to_string(),
        'b' => format!("{sign}{}{abs:b}", prefix("0b")),
        'o' => format!("{sign}{}{abs:o}", prefix("0")),
        'O' => format!("{sign}0o{abs:o}"),
        'x' => format!("{sign}{}{abs:x}", prefix("0x")),
        'X' => format!("{sign}{}{abs:X}", prefix("0X")),
        'c' => rune().to_string(),
        'q' => format!("'{}'", rune()),
        'U' => format!("U+{value:04X}"),
        _ => return None,
    })
}

fn float_verb(spec: Spec, verb: char, value: f64) -> Option<String> {
    let precision = spec.precision.unwrap_or(6);
    if !"eEfFgG".contains(verb) {
        return None;
    }
    if let Some(text) = special(value) {
        return Some(text.to_owned());
    }
    Some(match verb {
        'e' => exponential(value, precision),
        'E' => exponential(value, precision).to_uppercase(),
        'f' | 'F' => format!("{value:.precision$}"),
        'g' => significant(value, spec.precision),
        _ => significant(value, spec.precision).to_uppercase(),
    })
}

fn exponential(value: f64, precision: usize) -> String {
    let text = format!("{value:.precision$e}");
    match text.split_once('e') {
        Some((mantissa, exponent)) => format!("{mantissa}e{}", go_exponent(exponent.parse().unwrap_or(0))),
        None => text,
    }
}

/// Adds the plus or blank that the flags ask for, and pads; zeros go between sign and digits.
fn signed(spec: Spec, text: String) -> String {
    let (sign, digits) = match text.strip_prefix(['-', '+']) {
        Some(digits) if text.starts_with('-') => ("-", digits),
        Some(digits) => ("+", digits),
        None if spec.plus => ("+", text.as_str()),
        None if spec.space => (" ", text.as_str()),
        None => ("", text.as_str()),
    };
    let is_number = digits.starts_with(|c: char| c.is_ascii_digit());
    let zeros = match spec.width {
        Some(width) if spec.zero && !spec.minus && is_number => {
            width.saturating_sub(sign.len() + digits.chars().count())
        }
        _ => 0,
    };
    pad(spec, &format!("{sign}{}{digits}", "0".repeat(zeros)))
}

fn pad(spec: Spec, text: &str) -> String {
    match spec.width {
        Some(width) if spec.minus => format!("{text:<width$}"),
        Some(width) => format!("{text:>width$}"),
        None => text.to_owned(),
    }
}
