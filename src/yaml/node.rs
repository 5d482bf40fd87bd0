//! One value of a document, with its path and its place.

use super::align;
use super::document::Document;
use super::errors::{Mark, YamlError, YamlErrors};
use super::mapping::Mapping;
use super::tree::{Kind, Tree};

/// A value: reads itself as what is asked for, or says where and why it cannot.
#[derive(Debug, Clone)]
pub struct Node<'d> {
    doc: &'d Document,
    tree: &'d Tree,
    path: String,
}

impl<'d> Node<'d> {
    pub(super) fn new(doc: &'d Document, tree: &'d Tree, path: String) -> Self {
        Self { doc, tree, path }
    }

    /// Where the value begins: its first character or quote; for a block (`|`, `>`) its first line of content.
    pub fn mark(&self) -> Mark {
        self.tree.mark
    }

    /// Path from the top: `groups[0].rules[2].expr`; empty for the top itself.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether nothing was written (`key:`), or `~` or `null`.
    pub fn is_null(&self) -> bool {
        self.tree.is_null()
    }

    /// Whether it is a list.
    pub fn is_list(&self) -> bool {
        matches!(self.tree.kind, Kind::List(_))
    }

    /// Whether it is a mapping.
    pub fn is_mapping(&self) -> bool {
        matches!(self.tree.kind, Kind::Map { .. })
    }

    /// An error about this value, at its place.
    pub fn error(&self, what: impl Into<String>) -> YamlError {
        self.error_at(self.mark(), what)
    }

    /// An error about this value at a place inside it.
    pub fn error_at(&self, mark: Mark, what: impl Into<String>) -> YamlError {
        YamlError {
            file: self.doc.file_name(),
            mark: Some(mark),
            path: self.path.clone(),
            what: what.into(),
            expected: None,
            suggestion: None,
        }
    }

    /// Where byte `offset` of the scalar's text stands in the file: inside quotes, on the right line of a block.
    pub fn place_in_text(&self, offset: usize) -> Mark {
        match &self.tree.kind {
            Kind::Scalar { text, style } => align::place(self.doc.text(), self.tree.mark, *style, text, offset),
            _ => self.mark(),
        }
    }

    /// Reads a mapping; nothing at all is an empty one. Another type is reported and reads as empty.
    pub fn mapping(&self, errors: &mut YamlErrors) -> Mapping<'d> {
        match &self.tree.kind {
            Kind::Map { entries, duplicates } => {
                for twice in duplicates {
                    let path = super::mapping::child_path(&self.path, &twice.key);
                    let what = format!("the key stands in this mapping already, on line {}", twice.first.line);
                    errors.push(YamlError { path, ..self.error_at(twice.mark, what) });
                }
                Mapping::new(self.doc, self.clone(), entries)
            }
            _ => {
                if !self.is_null() {
                    self.wrong_type("a mapping (key: value)", errors);
                }
                Mapping::new(self.doc, self.clone(), &[])
            }
        }
    }

    /// Reads a list; nothing at all is an empty one.
    pub fn list(&self, errors: &mut YamlErrors) -> Vec<Node<'d>> {
        match &self.tree.kind {
            Kind::List(items) => items
                .iter()
                .enumerate()
                .map(|(i, item)| Node::new(self.doc, item, format!("{}[{i}]", self.path)))
                .collect(),
            _ => {
                if !self.is_null() {
                    self.wrong_type("a list", errors);
                }
                Vec::new()
            }
        }
    }

    /// Reads every item of a list with `read`; items that cannot be read are reported and left out.
    pub fn list_of<T>(
        &self,
        errors: &mut YamlErrors,
        mut read: impl FnMut(&Node<'d>, &mut YamlErrors) -> Option<T>,
    ) -> Vec<T> {
        self.list(errors).iter().filter_map(|item| read(item, errors)).collect()
    }

    /// The text of a scalar, and nothing for `null`; another type is reported.
    pub(super) fn scalar(&self, expected: &str, errors: &mut YamlErrors) -> Option<&'d str> {
        match &self.tree.kind {
            Kind::Scalar { text, .. } if !self.is_null() => Some(text),
            _ => {
                self.wrong_type(expected, errors);
                None
            }
        }
    }

    pub(super) fn wrong_type(&self, expected: &str, errors: &mut YamlErrors) {
        errors.push(self.error(format!("found {}", self.tree.describe())).expected(expected));
    }
}
