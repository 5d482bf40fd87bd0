//! Escapes of label values and help texts, and names beyond the classic characters.

use std::borrow::Cow;

use crate::model::{Labels, is_classic_label_name, is_classic_metric_name};

/// Appends `text` with `\`, newline and, when `quotes`, `"` escaped.
pub fn push_escaped(out: &mut Vec<u8>, text: &str, quotes: bool) {
    let bytes = text.as_bytes();
    // What needs no escape is copied as it lies: most texts as a whole.
    let mut copied = 0;
    for (at, byte) in bytes.iter().enumerate() {
        let escape: &[u8] = match byte {
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'"' if quotes => b"\\\"",
            _ => continue,
        };
        out.extend_from_slice(bytes.get(copied..at).unwrap_or_default());
        out.extend_from_slice(escape);
        copied = at + 1;
    }
    out.extend_from_slice(bytes.get(copied..).unwrap_or_default());
}

/// Appends a metric name as a metadata line has it: quoted when it is not classic.
pub fn push_name(out: &mut Vec<u8>, name: &str) {
    if is_classic_metric_name(name) {
        out.extend_from_slice(name.as_bytes());
    } else {
        push_quoted(out, name);
    }
}

/// Appends `name{labels} `, everything of a sample line that stands before the value.
pub fn push_series(out: &mut Vec<u8>, name: &str, labels: &Labels) {
    push_series_of(out, name, labels.iter());
    out.push(b' ');
}

/// Appends `name{labels}`, the labels in their order.
pub fn push_series_of<'l>(out: &mut Vec<u8>, name: &str, labels: impl Iterator<Item = (&'l str, &'l str)>) {
    let classic = is_classic_metric_name(name);
    let mut open = false;
    if classic {
        out.extend_from_slice(name.as_bytes());
    } else {
        out.push(b'{');
        push_quoted(out, name);
        open = true;
    }
    for (label, value) in labels {
        out.push(if open { b',' } else { b'{' });
        open = true;
        if is_classic_label_name(label) {
            out.extend_from_slice(label.as_bytes());
        } else {
            push_quoted(out, label);
        }
        out.push(b'=');
        push_quoted(out, value);
    }
    if open {
        out.push(b'}');
    }
}

fn push_quoted(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    push_escaped(out, text, true);
    out.push(b'"');
}

/// A help text of text 0.0.4 as it is meant: `\\` and `\n` undone.
pub fn unescape_help(help: &str) -> String {
    let mut out = String::with_capacity(help.len());
    let mut chars = help.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('\\', Some('\\')) => {
                chars.next();
                out.push('\\');
            }
            ('\\', Some('n')) => {
                chars.next();
                out.push('\n');
            }
            _ => out.push(c),
        }
    }
    out
}

/// Undoes `\\`, `\n` and `\"`; any other backslash stands for itself, as Prometheus reads it.
pub(super) fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('\\') => out.push('\\'),
            Some('"') => out.push('"'),
            Some(other) => {
                out.push('\\');
                out.push(other);
            }
            None => out.push('\\'),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::{push_series, unescape};
    use crate::model::Labels;

    #[test]
    fn series_are_written_and_escapes_undone() {
        type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);
        let cases: &[Case<'_>] = &[
            ("up", &[], "up "),
            ("up", &[("b", "x\ny"), ("a", "\\\"")], r#"up{a="\\\"",b="x\ny"} "#),
            ("my.metric", &[], r#"{"my.metric"} "#),
            ("my.metric", &[("a.b", "1")], r#"{"my.metric","a.b"="1"} "#),
        ];
        for (name, labels, expected) in cases {
            let mut out = Vec::new();
            push_series(&mut out, name, &Labels::from_pairs(labels));
            assert_eq!(String::from_utf8(out).expect("text"), *expected);
        }
        for (raw, plain) in [("a", "a"), (r"a\nb\\\x\", "a\nb\\\\x\\"), (r#"\""#, "\"")] {
            assert_eq!(unescape(raw), plain);
        }
    }
}
