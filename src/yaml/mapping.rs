//! Reading a mapping key by key; what nobody asked for is an unknown key.

use super::document::Document;
use super::errors::{YamlError, YamlErrors};
use super::nearest::nearest;
use super::node::Node;
use super::tree::Entry;

/// A mapping that is being read. The keys that were asked for are the keys that it knows.
#[derive(Debug)]
pub struct Mapping<'d> {
    doc: &'d Document,
    node: Node<'d>,
    entries: &'d [Entry],
    known: Vec<&'static str>,
}

impl<'d> Mapping<'d> {
    pub(super) fn new(doc: &'d Document, node: Node<'d>, entries: &'d [Entry]) -> Self {
        Self { doc, node, entries, known: Vec::new() }
    }

    /// The node of the mapping itself.
    pub fn node(&self) -> &Node<'d> {
        &self.node
    }

    /// The value of `key`, also when it is null; the key counts as known from now on.
    pub fn get(&mut self, key: &'static str) -> Option<Node<'d>> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        self.entries.iter().find(|entry| &*entry.key == key).map(|entry| self.child(entry))
    }

    /// Reads the value of `key` with `read`; `None` when it is not there, null, or wrong (then it is reported).
    pub fn optional<T>(
        &mut self,
        key: &'static str,
        errors: &mut YamlErrors,
        read: impl FnOnce(&Node<'d>, &mut YamlErrors) -> Option<T>,
    ) -> Option<T> {
        self.get(key).filter(|node| !node.is_null()).and_then(|node| read(&node, errors))
    }

    /// As [`Mapping::optional`], but a key that is not there or null is an error at the mapping.
    pub fn required<T>(
        &mut self,
        key: &'static str,
        errors: &mut YamlErrors,
        read: impl FnOnce(&Node<'d>, &mut YamlErrors) -> Option<T>,
    ) -> Option<T> {
        match self.get(key) {
            Some(node) if !node.is_null() => read(&node, errors),
            _ => {
                let entry = self.entries.iter().find(|entry| &*entry.key == key);
                let at = entry.map_or(self.node.mark(), |entry| entry.key_mark);
                let path = child_path(self.node.path(), key);
                errors.push(YamlError { path, ..self.node.error_at(at, format!("the key {key:?} is missing here")) });
                None
            }
        }
    }

    /// All pairs, for mappings whose keys are free: key and value in the order of the file.
    pub fn pairs(&self) -> Vec<(&'d str, Node<'d>)> {
        self.entries.iter().map(|entry| (&*entry.key, self.child(entry))).collect()
    }

    /// Reports every key that was never asked for.
    pub fn finish(self, errors: &mut YamlErrors) {
        for entry in self.entries.iter().filter(|entry| !self.known.contains(&&*entry.key)) {
            let mut known = self.known.clone();
            known.sort_unstable();
            let error = YamlError {
                path: child_path(self.node.path(), &entry.key),
                ..self.node.error_at(entry.key_mark, "unknown key")
            };
            errors.push(
                error
                    .expected(format!("one of {}", known.join(", ")))
                    .suggest(nearest(&entry.key, self.known.iter().copied())),
            );
        }
    }

    fn child(&self, entry: &'d Entry) -> Node<'d> {
        Node::new(self.doc, &entry.value, child_path(self.node.path(), &entry.key))
    }
}

/// `parent.key`, with keys quoted that would read as something else.
pub(super) fn child_path(parent: &str, key: &str) -> String {
    let plain = !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || "_-/".contains(c));
    let key = if plain { key.to_owned() } else { format!("{key:?}") };
    if parent.is_empty() { key } else { format!("{parent}.{key}") }
}
