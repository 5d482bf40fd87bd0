//! The `storage` section.

use std::path::PathBuf;

use crate::storage::{Config, Durability};
use crate::yaml::{Node, YamlErrors};

/// What the file says of storage; the path is a choice that a flag may override.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StorageSection {
    /// Directory of the history, when stated.
    pub path: Option<PathBuf>,
    /// Everything else; its own path is not meant.
    pub ring: Config,
}

pub(super) fn storage(node: &Node<'_>, errors: &mut YamlErrors) -> Option<StorageSection> {
    let mut map = node.mapping(errors);
    let path = map.optional("path", errors, Node::nonempty_string).map(PathBuf::from);
    let mut section = StorageSection { path, ..StorageSection::default() };
    let durability = [("immediate", Durability::Immediate), ("relaxed", Durability::Relaxed)];
    if let Some(found) = map.optional("durability", errors, |node, errors| node.word(&durability, errors)) {
        section.ring.durability = found;
    }
    if let Some(interval) = map.optional("relaxed_interval", errors, Node::positive_duration) {
        section.ring.relaxed_interval = interval;
    }
    map.optional("retention", errors, |node, errors| {
        let mut retention = node.mapping(errors);
        if let Some(bytes) = retention.optional("size", errors, size) {
            section.ring.retention_size_bytes = bytes;
        }
        if let Some(time) = retention.optional("time", errors, Node::positive_duration) {
            section.ring.retention_time = time;
        }
        retention.finish(errors);
        Some(())
    });
    map.finish(errors);
    Some(section)
}

/// Redb keeps a fixed megabyte, and a ring needs room for two segments.
const MIN_SIZE: u64 = 8 << 20;

fn size(node: &Node<'_>, errors: &mut YamlErrors) -> Option<u64> {
    let bytes = node.size(errors)?;
    if bytes < MIN_SIZE {
        errors.push(node.error("too small for a ring").expected("at least 8MB"));
    }
    Some(bytes)
}
