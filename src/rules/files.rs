//! From patterns to files.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

/// Files that the patterns name, sorted and without repetition. A pattern may have `*`, `?` and `[…]` in any of its
/// parts; a path without them is taken as it is, so that a missing file is reported and not passed over.
pub fn expand_patterns(patterns: &[PathBuf]) -> Vec<PathBuf> {
    let mut files = BTreeSet::new();
    for pattern in patterns {
        let mut found = vec![PathBuf::new()];
        for part in pattern.components() {
            found = step(found, part);
        }
        files.extend(found);
    }
    files.into_iter().collect()
}

fn step(bases: Vec<PathBuf>, part: Component<'_>) -> Vec<PathBuf> {
    let text = part.as_os_str().to_string_lossy();
    if !matches!(part, Component::Normal(_)) || !text.contains(['*', '?', '[']) {
        return bases.into_iter().map(|base| base.join(part)).collect();
    }
    let Some(name) = name_regex(&text) else { return Vec::new() };
    let mut found = Vec::new();
    for base in bases {
        let folder = if base.as_os_str().is_empty() { Path::new(".") } else { &base };
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        let names = entries.flatten().map(|entry| entry.file_name());
        let matching = names.filter(|file| {
            let file = file.to_string_lossy();
            // As in a shell, a leading dot must be written.
            (!file.starts_with('.') || text.starts_with('.')) && name.is_match(&file)
        });
        found.extend(matching.map(|file| base.join(file)));
    }
    found
}

fn name_regex(pattern: &str) -> Option<regex::Regex> {
    let mut out = String::from("^");
    let mut class = false;
    for c in pattern.chars() {
        match c {
            '*' if !class => out.push_str(".*"),
            '?' if !class => out.push('.'),
            '[' if !class => {
                class = true;
                out.push(c);
            }
            ']' if class => {
                class = false;
                out.push(c);
            }
            '^' | '-' if class => out.push(c),
            c => out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    out.push('$');
    regex::Regex::new(&out).ok()
}

#[cfg(test)]
mod tests {
    use super::expand_patterns;

    #[test]
    fn patterns_and_paths() {
        let dir = tempfile::tempdir().expect("a folder");
        for name in ["a.yml", "b.yml", ".hidden.yml", "c.yaml", "sub"] {
            std::fs::write(dir.path().join(name), "").expect("written");
        }
        let check = |pattern: &str, expected: &[&str]| {
            let found = expand_patterns(&[dir.path().join(pattern)]);
            let names: Vec<_> = found.iter().map(|path| path.file_name().expect("a name").to_string_lossy()).collect();
            assert_eq!(names, expected, "{pattern}");
        };
        check("*.yml", &["a.yml", "b.yml"]);
        check("[ab].y?l", &["a.yml", "b.yml"]);
        check("[[a&&].*", &["a.yml"]);
        check("*", &["a.yml", "b.yml", "c.yaml", "sub"]);
        check("missing.yml", &["missing.yml"]);
        check("missing*", &[]);
    }
}
