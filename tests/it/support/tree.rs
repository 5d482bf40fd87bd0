//! The synthetic machine of `tests/fixtures/node_tree.txt`: files of `/proc` and `/sys` that few machines have.

use std::path::Path;

const TREE: &str = include_str!("../../fixtures/node_tree.txt");

/// Writes the tree below `root`: `proc`, `sys` and `rootfs`.
pub(crate) fn unpack(root: &Path) {
    for (kind, path, text) in entries() {
        let full = root.join(path);
        std::fs::create_dir_all(full.parent().expect("below root")).expect("writable");
        match kind {
            "@file" => std::fs::write(full, text).expect("writable"),
            "@dir" => std::fs::create_dir_all(full).expect("writable"),
            _ => std::os::unix::fs::symlink(text, full).expect("writable"),
        }
    }
}

/// Kind, path, and a file's lines or a link's target.
fn entries() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    TREE.split_inclusive('\n')
        .scan(0, |at, line| {
            let start = *at;
            *at += line.len();
            Some((start, line))
        })
        .filter(|(_, line)| line.starts_with("@file ") || line.starts_with("@link ") || line.starts_with("@dir "))
        .map(|(start, line)| {
            let head = line.trim_end();
            let (kind, rest) = head.split_once(' ').expect("a kind and a path");
            match rest.split_once(' ') {
                Some((path, target)) if kind == "@link" => (kind, path, target),
                _ => (kind, rest, lines_of(start + line.len())),
            }
        })
}

fn lines_of(start: usize) -> &'static str {
    let rest = &TREE[start..];
    let end = rest.find("\n@").map_or(rest.len(), |end| end + 1);
    if rest.starts_with('@') { "" } else { &rest[..end] }
}
