//! Finds the cgroups: a walk over the folders of every hierarchy, level by level, so that a bound keeps the upper ones.

use std::collections::{BTreeMap, VecDeque};

use super::config::{CgroupConfig, MAX_CGROUPS, MAX_DEPTH};
use super::layout::Layout;
use super::name::{Kind, Name, classify, hides_others};

/// Folders that one walk looks into.
const MAX_FOLDERS: usize = 4 * MAX_CGROUPS;
/// Entries of one folder that a walk looks at: files of its controllers, and children.
const MAX_ENTRIES: usize = 16_384;
/// Longest path of a cgroup.
const MAX_PATH: usize = 1024;

/// What a walk found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Cgroups to watch by path, with their level, so that those nearer to the root can be told.
    pub(super) groups: Vec<(String, Name)>,
    /// How many more there are, by number or depth.
    pub(super) left_out: usize,
}

/// Walks all hierarchies of `layout`.
pub(super) fn walk(layout: &Layout, config: &CgroupConfig) -> Found {
    let limit = config.limit.min(MAX_CGROUPS);
    // By level and path: what two hierarchies both have is one cgroup.
    let mut all: BTreeMap<(usize, String), Option<Name>> = BTreeMap::new();
    let (mut left_out, mut looked_into) = (0, 0);
    for point in layout.walked() {
        let mut queue = VecDeque::from([(0, String::from("/"), false)]);
        while let Some((level, path, is_inside)) = queue.pop_front() {
            let folder = point.join(path.trim_start_matches('/'));
            let name = classify(&path);
            let kind = name.as_ref().map(|name| name.kind);
            let is_hidden = is_inside && kind == Some(Kind::Other);
            if !is_hidden && config.shows(&path) {
                all.entry((level, path.clone())).or_insert(name);
            }
            let is_inside = is_inside || kind.is_some_and(hides_others);
            looked_into += 1;
            for entry in std::fs::read_dir(&folder).into_iter().flatten().take(MAX_ENTRIES).flatten() {
                if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    continue;
                }
                let name = entry.file_name();
                let Some(name) = name.to_str().filter(|name| path.len() + name.len() < MAX_PATH) else {
                    left_out += 1;
                    continue;
                };
                if level >= config.depth.min(MAX_DEPTH) || looked_into + queue.len() >= MAX_FOLDERS {
                    left_out += 1;
                    continue;
                }
                queue.push_back((level + 1, format!("{}/{name}", path.trim_end_matches('/')), is_inside));
            }
        }
    }
    let named: Vec<(String, Name)> = all.into_iter().filter_map(|((_, path), name)| Some((path, name?))).collect();
    let beyond = named.len().saturating_sub(limit);
    Found { left_out: left_out + beyond, groups: named.into_iter().take(limit).collect() }
}
