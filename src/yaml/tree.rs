//! The marked tree that the loader builds and nodes read.

use std::sync::Arc;

use super::errors::Mark;

/// How a scalar was written; decides whether `null` and `~` mean nothing, and where its text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Single,
    Double,
    /// `|` or `>`.
    Block,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: Box<str>,
    pub(super) key_mark: Mark,
    pub(super) value: Arc<Tree>,
    /// Came from a merge key: an explicit key of the same name wins.
    pub(super) merged: bool,
}

/// A key that was written twice in one mapping.
#[derive(Debug, Clone)]
pub(super) struct Duplicate {
    pub(super) key: Box<str>,
    pub(super) mark: Mark,
    pub(super) first: Mark,
}

#[derive(Debug)]
pub(super) enum Kind {
    Scalar { text: Box<str>, style: Style },
    List(Vec<Arc<Tree>>),
    Map { entries: Vec<Entry>, duplicates: Vec<Duplicate> },
}

#[derive(Debug)]
pub(super) struct Tree {
    pub(super) mark: Mark,
    pub(super) kind: Kind,
    /// Nodes that a walk over this tree visits, aliases followed.
    pub(super) weight: u64,
}

impl Tree {
    pub(super) fn scalar(mark: Mark, text: &str, style: Style) -> Self {
        Self { mark, kind: Kind::Scalar { text: text.into(), style }, weight: 1 }
    }

    pub(super) fn list(mark: Mark, items: Vec<Arc<Self>>) -> Self {
        let weight = items.iter().fold(1u64, |sum, item| sum.saturating_add(item.weight));
        Self { mark, kind: Kind::List(items), weight }
    }

    pub(super) fn map(mark: Mark, entries: Vec<Entry>, duplicates: Vec<Duplicate>) -> Self {
        let weight = entries.iter().fold(1u64, |sum, entry| sum.saturating_add(entry.value.weight));
        Self { mark, kind: Kind::Map { entries, duplicates }, weight }
    }

    /// Whether nothing was written, or one of YAML's words for nothing.
    pub(super) fn is_null(&self) -> bool {
        match &self.kind {
            Kind::Scalar { text, style: Style::Plain } => matches!(&**text, "" | "~" | "null" | "Null" | "NULL"),
            _ => false,
        }
    }

    /// What it is, for "wrong type" messages.
    pub(super) fn describe(&self) -> String {
        match &self.kind {
            _ if self.is_null() => "nothing".to_owned(),
            Kind::Scalar { text, .. } => format!("{:?}", shorten(text)),
            Kind::List(_) => "a list".to_owned(),
            Kind::Map { .. } => "a mapping".to_owned(),
        }
    }
}

/// The first characters of a text that a message can carry.
fn shorten(text: &str) -> String {
    const SHOWN: usize = 40;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
