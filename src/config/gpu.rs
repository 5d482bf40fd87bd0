//! The `collectors.gpu` section: other exporters' names.

use crate::collect::gpu::{Aliases, GpuConfig};
use crate::yaml::{Node, YamlErrors};

pub(super) fn gpu(node: &Node<'_>, errors: &mut YamlErrors) -> Option<GpuConfig> {
    let mut map = node.mapping(errors);
    let aliases = map.optional("aliases", errors, |node, errors| {
        Some(node.list_of(errors, |item, errors| item.word(&Aliases::WORDS, errors)))
    });
    map.finish(errors);
    Some(GpuConfig { aliases: aliases.unwrap_or_default(), ..GpuConfig::default() })
}
