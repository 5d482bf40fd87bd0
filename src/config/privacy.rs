//! The `privacy` section: what exports must not show.

use crate::archive::{MIN_GROUP, Privacy};
use crate::yaml::{Node, YamlErrors};

pub(super) fn privacy(node: &Node<'_>, errors: &mut YamlErrors) -> Option<Privacy> {
    let mut map = node.mapping(errors);
    let redact = map.optional("redact", errors, |node, errors| Some(node.list_of(errors, pattern)));
    let min_group = map.optional("min_group", errors, |node, errors| node.integer::<u32>(errors));
    map.finish(errors);
    // Each pattern has been read alone, so together they are right.
    Privacy::new(&redact.unwrap_or_default(), min_group.map_or(MIN_GROUP, |k| k as usize)).ok()
}

fn pattern(node: &Node<'_>, errors: &mut YamlErrors) -> Option<String> {
    let pattern = node.nonempty_string(errors)?;
    if let Err(error) = Privacy::new(std::slice::from_ref(&pattern), 0) {
        errors.push(node.error(format!("bad regular expression {pattern:?}: {}", error.reason)));
        return None;
    }
    Some(pattern)
}
