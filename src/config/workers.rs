//! The `workers` section, in process-exporter's words.

use crate::collect::worker::{WorkerConfig, WorkerMatcher};
use crate::yaml::{Node, YamlErrors};

pub(super) fn workers(node: &Node<'_>, errors: &mut YamlErrors) -> Option<WorkerConfig> {
    let mut map = node.mapping(errors);
    let groups = map.optional("groups", errors, |node, errors| Some(node.list_of(errors, matcher)));
    map.finish(errors);
    Some(groups.map_or_else(WorkerConfig::default, |groups| WorkerConfig { groups }))
}

fn matcher(node: &Node<'_>, errors: &mut YamlErrors) -> Option<WorkerMatcher> {
    let before = errors.len();
    let mut map = node.mapping(errors);
    let matcher = WorkerMatcher {
        name: map.optional("name", errors, Node::string).unwrap_or_default(),
        comm: map.optional("comm", errors, Node::strings).unwrap_or_default(),
        exe: map.optional("exe", errors, Node::strings).unwrap_or_default(),
        cmdline: map
            .optional("cmdline", errors, |node, errors| Some(node.list_of(errors, Node::regex)))
            .unwrap_or_default(),
        parent: map.optional("parent", errors, Node::strings).unwrap_or_default(),
        children: map.optional("children", errors, Node::boolean).unwrap_or(true),
        declared: true,
    };
    map.finish(errors);
    let one = WorkerConfig { groups: vec![matcher] };
    // What cannot be read has been said; a selector that is missing because of it is no second mistake.
    if errors.len() == before {
        for problem in one.problems() {
            errors.push(node.error(problem.to_string()));
        }
    }
    one.groups.into_iter().next()
}
