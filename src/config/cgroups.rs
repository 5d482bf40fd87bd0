//! The `collectors.cgroups` section: which cgroups are watched.

use crate::collect::system::cgroup::{CgroupConfig, CgroupPattern, MAX_CGROUPS, MAX_DEPTH};
use crate::yaml::{Node, YamlErrors};

pub(super) fn cgroups(node: &Node<'_>, errors: &mut YamlErrors) -> Option<CgroupConfig> {
    let mut map = node.mapping(errors);
    let mut config = CgroupConfig {
        include: map.optional("include", errors, Node::regex).map(CgroupPattern),
        exclude: map.optional("exclude", errors, Node::regex).map(CgroupPattern),
        ..CgroupConfig::default()
    };
    if let Some(limit) = map.optional("limit", errors, |node, errors| at_most(node, errors, MAX_CGROUPS)) {
        config.limit = limit;
    }
    if let Some(depth) = map.optional("depth", errors, |node, errors| at_most(node, errors, MAX_DEPTH)) {
        config.depth = depth;
    }
    if let Some(interval) = map.optional("walk_interval", errors, Node::positive_duration) {
        config.walk_interval = interval;
    }
    map.finish(errors);
    Some(config)
}

fn at_most(node: &Node<'_>, errors: &mut YamlErrors, most: usize) -> Option<usize> {
    let number: usize = node.integer(errors)?;
    if number > most {
        errors.push(node.error(format!("must be at most {most}")));
        return None;
    }
    Some(number)
}
