//! Reads the table of rooms in ARCHITECTURE.md and `src/**`, and fails for a room that uses what its line does not name.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

struct Room {
    layer: u32,
    uses: Vec<String>,
}

fn table() -> BTreeMap<String, Room> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md is there");
    let row = Regex::new(r"^\| L(\d) \| `(\w+)` \| .* \| ([^|]*) \|$").expect("valid");
    text.lines()
        .filter_map(|line| row.captures(line))
        .map(|found| {
            let uses = found[3].split([',', ' ']).filter(|w| !w.is_empty() && *w != "–").map(str::to_owned).collect();
            (found[2].to_owned(), Room { layer: found[1].parse().expect("digit"), uses })
        })
        .collect()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("readable").map(|entry| entry.expect("readable").path()) {
        if entry.is_dir() {
            sources(&entry, out);
        } else if entry.extension().is_some_and(|ext| ext == "rs") {
            out.push(entry);
        }
    }
}

/// Rooms that a source text names through `crate::room` or `use crate::{room::…, other::…}`; comments do not count.
fn rooms_named(text: &str) -> BTreeSet<String> {
    let code: String = text.lines().map(|line| line.split("//").next().unwrap_or("")).collect::<Vec<_>>().join("\n");
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        if at > 0 && code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => found.extend(top_level_names(group)),
            None => found.extend(first_word(rest)),
        }
    }
    found
}

fn first_word(text: &str) -> Option<String> {
    let word: String = text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!word.is_empty()).then_some(word)
}

/// First words of the comma-separated items up to the brace that closes the group.
fn top_level_names(group: &str) -> Vec<String> {
    let (mut depth, mut start, mut names) = (0, 0, Vec::new());
    for (i, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                names.extend(first_word(&group[start..i]));
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                names.extend(first_word(&group[start..i]));
                start = i + 1;
            }
            _ => {}
        }
    }
    names
}

/// A source file without its tests: they may look at a room together with its neighbours.
fn without_tests(file: &Path) -> String {
    let name = file.file_name().expect("a file").to_string_lossy();
    if name == "tests.rs"
        || name.ends_with("_tests.rs")
        || name == "testing.rs"
        || file.iter().any(|part| part == "tests")
    {
        return String::new();
    }
    let text = fs::read_to_string(file).expect("readable");
    text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or("").to_owned()
}

fn room_of(path: &Path) -> String {
    let relative = path.strip_prefix(root().join("src")).expect("under src");
    let first = relative.components().next().expect("not empty").as_os_str().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

#[test]
fn rooms_use_only_what_their_line_names() {
    let table = table();
    assert!(table.len() > 15, "the table was not found in ARCHITECTURE.md");
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    let mut complaints = Vec::new();
    for file in files {
        let room = room_of(&file);
        if matches!(room.as_str(), "lib" | "main") {
            continue;
        }
        let Some(line) = table.get(&room) else {
            complaints.push(format!("{}: room `{room}` has no line in ARCHITECTURE.md", file.display()));
            continue;
        };
        let text = without_tests(&file);
        for used in rooms_named(&text) {
            let allowed = used == room
                || table.get(&used).is_none_or(|other| other.layer == 0)
                || line.uses.iter().any(|name| *name == used || name == "*");
            if !allowed {
                complaints.push(format!("{}: `{room}` uses `{used}`, which its line does not name", file.display()));
            }
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn a_line_names_lower_layers_or_its_own() {
    let table = table();
    for (name, room) in &table {
        for used in room.uses.iter().filter(|used| *used != "*") {
            let other = table.get(used).unwrap_or_else(|| panic!("{name} names {used}, which has no line"));
            assert!(other.layer <= room.layer, "{name} (L{}) names {used} (L{})", room.layer, other.layer);
        }
    }
}

#[test]
fn only_the_named_rooms_name_their_crates() {
    let owners =
        [("redb", "storage"), ("serde_yaml", "yaml"), ("saphyr_parser", "yaml"), ("prometheus_client", "telemetry")];
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    for file in files {
        let text = without_tests(&file);
        for (name, owner) in owners {
            let named =
                text.lines().any(|line| !line.trim_start().starts_with("//") && line.contains(&format!("{name}::")));
            assert!(!named || room_of(&file) == owner, "{} names {name}, which belongs to {owner}", file.display());
        }
    }
}

#[test]
fn names_are_found_in_every_form() {
    let cases: &[(&str, &[&str])] = &[
        ("use crate::model::Labels;", &["model"]),
        ("use crate::{clock::Clock, storage::{Querier, Run}, rules};", &["clock", "rules", "storage"]),
        ("// crate::http is not meant", &[]),
        ("let x = crate::net::get();", &["net"]),
        ("$crate::y", &[]),
    ];
    for (text, expected) in cases {
        assert_eq!(rooms_named(text).into_iter().collect::<Vec<_>>(), *expected, "{text}");
    }
}
