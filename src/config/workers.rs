//! The `workers` section, in process-exporter's words.

use std::path::PathBuf;

use crate::collect::worker::{MAX_EXPECTED, WorkerConfig, WorkerMatcher};
use crate::yaml::{Node, YamlErrors};

pub(super) fn workers(node: &Node<'_>, errors: &mut YamlErrors) -> Option<WorkerConfig> {
    let mut map = node.mapping(errors);
    let groups = map.optional("groups", errors, |node, errors| Some(node.list_of(errors, matcher)));
    let mut config = groups.map_or_else(WorkerConfig::default, WorkerConfig::of);
    if let Some(interval) = map.optional("scan_interval", errors, Node::positive_duration) {
        config.scan_interval = interval;
    }
    config.process_exporter_names = map.optional("process_exporter_names", errors, Node::boolean).unwrap_or(false);
    map.finish(errors);
    Some(config)
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
        user: map.optional("user", errors, names).unwrap_or_default(),
        cgroup: map.optional("cgroup", errors, names).unwrap_or_default(),
        unit: map.optional("unit", errors, names).unwrap_or_default(),
        pidfile: map.optional("pidfile", errors, names).unwrap_or_default().into_iter().map(PathBuf::from).collect(),
        port: map.optional("port", errors, ports).unwrap_or_default(),
        expected: map.optional("expected", errors, expected),
        children: map.optional("children", errors, Node::boolean).unwrap_or(true),
        declared: true,
    };
    map.finish(errors);
    let one = WorkerConfig::of(vec![matcher]);
    // What cannot be read has been said; a selector that is missing because of it is no second mistake.
    if errors.len() == before {
        for problem in one.problems() {
            errors.push(node.error(problem.to_string()));
        }
    }
    one.groups.into_iter().next()
}

/// One text, or several.
fn names(node: &Node<'_>, errors: &mut YamlErrors) -> Option<Vec<String>> {
    if node.is_list() {
        Some(node.list_of(errors, Node::nonempty_string))
    } else {
        Some(vec![node.nonempty_string(errors)?])
    }
}

/// One TCP port, or several.
fn ports(node: &Node<'_>, errors: &mut YamlErrors) -> Option<Vec<u16>> {
    if node.is_list() { Some(node.list_of(errors, port)) } else { Some(vec![port(node, errors)?]) }
}

fn port(node: &Node<'_>, errors: &mut YamlErrors) -> Option<u16> {
    let port = node.integer::<u16>(errors)?;
    if port == 0 {
        errors.push(node.error("port 0 is none").expected("1 to 65535"));
        return None;
    }
    Some(port)
}

fn expected(node: &Node<'_>, errors: &mut YamlErrors) -> Option<u32> {
    let count = node.integer::<u32>(errors)?;
    if count > MAX_EXPECTED {
        errors.push(node.error(format!("{count} processes are too many")).expected(format!("0 to {MAX_EXPECTED}")));
        return None;
    }
    Some(count)
}
