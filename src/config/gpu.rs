//! The `collectors.gpu` section: other exporters' names, and where NVIDIA's library is.

use std::ffi::OsString;

use crate::collect::gpu::{Aliases, GpuConfig};
use crate::yaml::{Node, YamlErrors};

pub(super) fn gpu(node: &Node<'_>, errors: &mut YamlErrors) -> Option<GpuConfig> {
    let mut map = node.mapping(errors);
    let aliases = map.optional("aliases", errors, |node, errors| {
        Some(node.list_of(errors, |item, errors| item.word(&Aliases::WORDS, errors)))
    });
    let libraries = map.optional("libraries", errors, |node, errors| {
        Some(node.list_of(errors, |item, errors| item.string(errors).map(OsString::from)))
    });
    map.finish(errors);
    let usual = GpuConfig::default();
    Some(GpuConfig {
        aliases: aliases.unwrap_or_default(),
        nvml_libraries: libraries.unwrap_or(usual.nvml_libraries),
        roots: usual.roots,
    })
}
