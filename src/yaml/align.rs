//! Where a byte of a scalar's text stands in the file.
//!
//! The text of a scalar is not a slice of the file: quotes, escapes, folding and indentation stand between. Walking
//! both together, with any run of blanks in one matching any run in the other, finds the place for every style.

use super::errors::Mark;
use super::tree::Style;

/// The place of byte `offset` of `text`, the value of the scalar that begins at `start` of `file`. When the two do not
/// match (a rare escape), the scalar's beginning.
pub(super) fn place(file: &str, start: Mark, style: Style, text: &str, offset: usize) -> Mark {
    let Some(from) = byte_of(file, start) else { return start };
    let source = &file[from..];
    let body = match style {
        // The parser marks a block where its first line of content begins, not at its `|`.
        Style::Plain | Style::Block => 0,
        Style::Single | Style::Double => 1,
    };
    match walk(source, body, style, text, offset) {
        Some(at) => mark_of(file, from + at),
        None => start,
    }
}

/// Byte offset in `source` that corresponds to `offset` in `text`.
fn walk(source: &str, body: usize, style: Style, text: &str, offset: usize) -> Option<usize> {
    let mut at = body;
    for (i, wanted) in text.char_indices() {
        let rest = source.get(at..)?;
        let blanks = rest.len() - rest.trim_start().len();
        if wanted.is_whitespace() {
            // Stay before the run; the next visible character jumps over it.
            if i >= offset {
                return Some(at);
            }
            continue;
        }
        let visible = &rest[blanks..];
        let width = step(visible, wanted, style)?;
        at += blanks;
        if i >= offset {
            return Some(at);
        }
        at += width;
    }
    Some(at)
}

/// Bytes that `wanted` takes in the source, an escape included; `None` when something else stands there.
fn step(source: &str, wanted: char, style: Style) -> Option<usize> {
    let mut chars = source.chars();
    let first = chars.next()?;
    let second = chars.next();
    match (style, first) {
        (Style::Single, '\'') if wanted == '\'' => Some(2),
        (Style::Double, '\\') => match second? {
            '"' | '\\' | '/' if second == Some(wanted) => Some(2),
            _ => None,
        },
        (_, first) if first == wanted => Some(first.len_utf8()),
        _ => None,
    }
}

fn byte_of(file: &str, mark: Mark) -> Option<usize> {
    let mut from = 0;
    for _ in 1..mark.line {
        from += file[from..].find('\n')? + 1;
    }
    let column = usize::try_from(mark.col).ok()?.checked_sub(1)?;
    let line = file[from..].split('\n').next().unwrap_or_default();
    let inside = line.char_indices().nth(column).map_or(line.len(), |(byte, _)| byte);
    Some(from + inside)
}

fn mark_of(file: &str, byte: usize) -> Mark {
    let before = &file[..byte];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    Mark { line: number(before.matches('\n').count() + 1), col: number(before[line_start..].chars().count() + 1) }
}
