//! A command line as it may be shown: short, on one line, without what looks like a secret.

use super::matcher::without_padding;

/// Characters that are shown.
const MAX_CHARS: usize = 256;

/// Words in the name of an argument whose value is not for others.
const SECRETS: [&str; 8] = ["token", "secret", "passw", "api-key", "api_key", "apikey", "credential", "authorization"];

const HIDDEN: &str = "***";

/// The arguments with blanks between them; `None` when there are none.
pub(super) fn shown(cmdline: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(without_padding(cmdline));
    if text.is_empty() {
        return None;
    }
    let mut out = String::new();
    let mut hide_next = false;
    for argument in text.split('\0') {
        if !out.is_empty() {
            out.push(' ');
        }
        let hidden = std::mem::take(&mut hide_next);
        match hidden && !argument.starts_with('-') {
            true => out.push_str(HIDDEN),
            false => hide_next = push(&mut out, argument),
        }
    }
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let mut short: String = out.chars().map(clean).take(MAX_CHARS).collect();
    if out.chars().nth(MAX_CHARS).is_some() {
        short.push('…');
    }
    Some(short)
}

/// Appends one argument; says whether its value is the next one and a secret.
fn push(out: &mut String, argument: &str) -> bool {
    let separator =
        argument.find(['=', ':']).filter(|at| !argument.get(*at..).is_some_and(|rest| rest.starts_with("://")));
    let name = separator.map_or(argument, |at| argument.get(..at).unwrap_or(argument));
    let lower = name.to_ascii_lowercase();
    let is_secret = SECRETS.iter().any(|word| lower.contains(word));
    match separator {
        Some(at) if is_secret => {
            out.push_str(argument.get(..=at).unwrap_or_default());
            out.push_str(HIDDEN);
            false
        }
        _ => {
            out.push_str(&without_password(argument));
            is_secret && argument.starts_with('-')
        }
    }
}

/// A URL without the user's part: `https://me:word@host` → `https://***@host`.
fn without_password(argument: &str) -> String {
    let parts = argument.split_once("://").and_then(|(before, rest)| {
        let end = rest.find(['/', '?', ' ']).unwrap_or(rest.len());
        let at = rest.get(..end)?.rfind('@')?;
        Some((before, rest.get(at..)?))
    });
    parts.map_or_else(|| argument.to_owned(), |(before, rest)| format!("{before}://{HIDDEN}{rest}"))
}

#[cfg(test)]
mod tests {
    use super::{MAX_CHARS, shown};

    #[test]
    fn what_is_shown() {
        for (cmdline, expected) in [
            ("", None),
            ("ls\0-l\0", Some("ls -l")),
            ("x\0--api-key=abc\0--port=80", Some("x --api-key=*** --port=80")),
            ("x\0--token\0abc\0-v", Some("x --token *** -v")),
            ("x\0--token\0-v", Some("x --token -v")),
            ("env\0OPENAI_API_KEY=sk-1\0run", Some("env OPENAI_API_KEY=*** run")),
            ("curl\0-H\0Authorization: Bearer x", Some("curl -H Authorization:***")),
            ("git\0https://me:word@host/p", Some("git https://***@host/p")),
            ("a\nb\u{1b}[31m", Some("a b [31m")),
            ("mint\0tokenizer", Some("mint tokenizer")),
            ("title: x\0\0\0\0", Some("title: x")),
            ("\0\0", None),
        ] {
            assert_eq!(shown(cmdline.as_bytes()).as_deref(), expected, "{cmdline:?}");
        }
        let long = shown("é".repeat(9000).as_bytes()).unwrap();
        assert_eq!(long.chars().count(), MAX_CHARS + 1);
        assert_eq!(shown(b"\xff\xfe").unwrap(), "\u{fffd}\u{fffd}");
    }
}
