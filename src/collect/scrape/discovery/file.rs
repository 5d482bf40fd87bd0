//! `file_sd_configs`: files are read when they change, and again after the refresh interval.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::MAX_BYTES;
use super::group::{from_json, from_yaml};
use crate::clock::Stopwatch;
use crate::collect::scrape::{FileSd, TargetGroup};

/// Files that one pattern may name; further ones are left out and reported.
const MAX_FILES: usize = 1_000;
const META: &str = "__meta_filepath";

/// Tells one state of a file from another: device and inode (a file is often replaced), size, time of change in nanoseconds.
type Stamp = (u64, u64, u64, i64, i64);

struct Known {
    stamp: Option<Stamp>,
    /// Of the last good state.
    groups: Vec<TargetGroup>,
    problem: Option<String>,
}

/// The files of one entry, as they were last seen.
pub(in crate::collect::scrape) struct FileWatcher {
    config: FileSd,
    files: BTreeMap<PathBuf, Known>,
    read_at: Option<Stopwatch>,
    /// What is wrong with folders and patterns.
    problem: Option<String>,
}

impl FileWatcher {
    pub(in crate::collect::scrape) fn new(config: FileSd) -> Self {
        Self { config, files: BTreeMap::new(), read_at: None, problem: None }
    }

    /// Looks at the files, reads those that changed, and says whether anything is different. A file that cannot be read or is
    /// bad keeps its last good targets; one that is gone loses them.
    pub(in crate::collect::scrape) fn look(&mut self) -> bool {
        let all = self.read_at.is_none_or(|read_at| read_at.elapsed() >= self.config.refresh_interval);
        if all {
            self.read_at = Some(Stopwatch::start());
        }
        let mut changed = false;
        match self.paths() {
            Ok(paths) => {
                self.problem = None;
                let before = self.files.len();
                self.files.retain(|path, _| paths.contains(path));
                changed |= self.files.len() != before;
                for path in paths {
                    changed |= self.look_at(path, all);
                }
            }
            Err(problem) => {
                changed |= self.problem.as_ref() != Some(&problem);
                self.problem = Some(problem);
            }
        }
        changed
    }

    /// All groups, and everything that is wrong.
    pub(in crate::collect::scrape) fn found(&self) -> (Vec<TargetGroup>, Vec<String>) {
        let groups = self.files.values().flat_map(|file| file.groups.iter().cloned()).collect();
        let problems = self.files.values().filter_map(|file| file.problem.clone()).chain(self.problem.clone());
        (groups, problems.collect())
    }

    /// How many files are there.
    pub(in crate::collect::scrape) fn count(&self) -> usize {
        self.files.len()
    }

    fn look_at(&mut self, path: PathBuf, always: bool) -> bool {
        let stamp = stamp(&path);
        let known = self.files.get(&path);
        if !always && known.is_some_and(|known| known.stamp.is_some() && known.stamp == stamp) {
            return false;
        }
        let read = read(&path);
        let known = self.files.entry(path).or_insert(Known { stamp, groups: Vec::new(), problem: None });
        known.stamp = stamp;
        let (groups, problem) = match read {
            Ok(groups) => (groups, None),
            Err(problem) => (std::mem::take(&mut known.groups), Some(problem)),
        };
        let before = std::mem::replace(&mut known.groups, groups);
        let problem_before = std::mem::replace(&mut known.problem, problem);
        // A file that stays bad gives its groups back unchanged: `before` was taken out above.
        known.problem != problem_before || (known.problem.is_none() && known.groups != before)
    }

    fn paths(&self) -> Result<BTreeSet<PathBuf>, String> {
        let mut paths = BTreeSet::new();
        for pattern in &self.config.files {
            expand(pattern, &mut paths)?;
        }
        Ok(paths)
    }
}

/// Adds the files that a pattern names. One that is a plain name need not be there.
fn expand(pattern: &Path, paths: &mut BTreeSet<PathBuf>) -> Result<(), String> {
    let name = pattern.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if !name.contains(['*', '?', '[']) {
        if pattern.exists() {
            paths.insert(pattern.to_owned());
        }
        return Ok(());
    }
    let folder = pattern.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(format!("cannot look into {}: {error}", folder.display())),
    };
    let mut count = 0;
    for entry in entries {
        let entry = entry.map_err(|error| format!("cannot look into {}: {error}", folder.display()))?;
        if entry.file_name().to_str().is_some_and(|file| matches(name, file)) {
            count += 1;
            if count > MAX_FILES {
                return Err(format!("{} names more than {MAX_FILES} files: expected fewer", pattern.display()));
            }
            paths.insert(pattern.with_file_name(entry.file_name()));
        }
    }
    Ok(())
}

/// Whether a name matches a pattern as Go's filepath.Glob reads it: `*` is anything, `?` one character, `[a-c]` and `[^a-c]` one of or outside a
/// set, a backslash takes the next one as it is. A pattern that ends within a set matches nothing.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut rule, mut at) = (0, 0);
    // Where the last star is, and how far its text reaches so far.
    let mut star: Option<(usize, usize)> = None;
    loop {
        let rest = pattern.get(rule..).unwrap_or_default();
        if rest.first() == Some(&'*') {
            star = Some((rule + 1, at));
            rule += 1;
            continue;
        }
        let step = name.get(at).and_then(|letter| one(rest, *letter));
        if let Some(length) = step {
            (rule, at) = (rule + length, at + 1);
            continue;
        }
        if rest.is_empty() && at == name.len() {
            return true;
        }
        let Some((after, reached)) = star.filter(|(_, reached)| *reached < name.len()) else { return false };
        star = Some((after, reached + 1));
        (rule, at) = (after, reached + 1);
    }
}

/// How many characters the pattern's first rule has, when the letter is as it says.
fn one(pattern: &[char], letter: char) -> Option<usize> {
    match pattern {
        ['?', ..] => Some(1),
        ['\\', plain, ..] => (*plain == letter).then_some(2),
        ['[', set @ ..] => {
            let negated = set.first() == Some(&'^');
            let mut at = usize::from(negated);
            let (start, mut found) = (at, false);
            while set.get(at) != Some(&']') || at == start {
                let (low, next) = member(set, at)?;
                let (high, next) = if set.get(next) == Some(&'-') { member(set, next + 1)? } else { (low, next) };
                found |= (low..=high).contains(&letter);
                at = next;
            }
            (found != negated).then_some(at + 2)
        }
        [plain, ..] => (*plain == letter).then_some(1),
        [] => None,
    }
}

/// A letter of a set, and where the next one stands.
fn member(set: &[char], at: usize) -> Option<(char, usize)> {
    match (set.get(at)?, set.get(at + 1)) {
        ('\\', Some(letter)) => Some((*letter, at + 2)),
        (letter, _) => Some((*letter, at + 1)),
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.dev(), meta.ino(), meta.size(), meta.mtime(), meta.mtime_nsec()))
}

fn read(path: &Path) -> Result<Vec<TargetGroup>, String> {
    let place = path.display().to_string();
    let cannot = |error: std::io::Error| format!("cannot read {place}: {error}");
    let file = std::fs::File::open(path).map_err(cannot)?;
    // A pipe would be waited for.
    if !file.metadata().map_err(cannot)?.is_file() {
        return Err(format!("{place} is no plain file"));
    }
    let mut text = Vec::new();
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut text).map_err(cannot)?;
    if text.len() > MAX_BYTES {
        return Err(format!("{place} is larger than {MAX_BYTES} bytes"));
    }
    let is_json = path.extension().is_some_and(|ext| ext.eq_ignore_ascii_case("json"));
    let meta = (META, place.as_str());
    if is_json {
        from_json(&text, &place, meta).map_err(|problem| format!("{place}: {problem}"))
    } else {
        from_yaml(&text, &place, meta)
    }
}

/// How often files are looked at.
pub(in crate::collect::scrape) const LOOK_EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::{FileWatcher, matches};
    use crate::collect::scrape::FileSd;
    use std::path::Path;
    use std::time::Duration;

    #[test]
    fn patterns() {
        let cases = [
            ("a*.yml", "ab.yml", true),
            ("a*.yml", "a.yml", true),
            ("a*.yml", "b.yml", false),
            ("*", "", true),
            ("*.json", ".json", true),
            ("a*b*c", "a--b--c", true),
            ("a*b*c", "ac", false),
            ("ab*bc", "abc", false),
            ("plain", "plain", true),
            ("*-?.yml", "a-b-c.yml", true),
            ("?.yml", ".yml", false),
            ("x[ab]*.yml", "xb1.yml", true),
            ("x[a-c].yml", "xd.yml", false),
            ("x[^a-c].yml", "xd.yml", true),
            ("x[^a-c].yml", "xb.yml", false),
            ("x[ab", "xa", false),
            ("\\*.yml", "a.yml", false),
            ("\\*.yml", "*.yml", true),
            ("*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    /// Addresses that the watcher has now.
    fn addresses(watcher: &FileWatcher) -> String {
        let (groups, _) = watcher.found();
        groups.into_iter().flat_map(|group| group.addresses).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn changes_are_seen_and_bad_files_keep_their_targets() {
        let dir = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            // As programs do it that care: a new file in the place of the old one.
            let fresh = dir.path().join("fresh");
            std::fs::write(&fresh, text).expect("written");
            std::fs::rename(&fresh, dir.path().join(name)).expect("renamed");
        };
        let files = vec![dir.path().join("*.yml"), dir.path().join("one.json")];
        let mut watcher = FileWatcher::new(FileSd { files, refresh_interval: Duration::from_secs(300) });
        assert!(!watcher.look(), "nothing there is no change");
        write("a.yml", "- targets: [a:1]\n");
        write("one.json", r#"[{"targets": ["j:1"]}]"#);
        assert!(watcher.look());
        assert!(!watcher.look(), "nothing changed");
        assert_eq!(addresses(&watcher), "a:1 j:1");
        let (groups, problems) = watcher.found();
        assert_eq!(problems, [""; 0]);
        assert!(groups[0].labels[0].1.ends_with("a.yml"), "{groups:?}");
        write("a.yml", "- targets: [a:1, a:2]\n");
        assert!(watcher.look());
        assert_eq!(addresses(&watcher), "a:1 a:2 j:1");
        write("a.yml", "- target: [a:3]\n");
        assert!(watcher.look(), "a problem is news");
        assert_eq!(addresses(&watcher), "a:1 a:2 j:1", "the last good targets stay");
        let (_, problems) = watcher.found();
        assert!(problems[0].contains("a.yml:1:3") && problems[0].contains("targets"), "{problems:?}");
        assert!(!watcher.look(), "the same problem is none");
        write("b.yml", "- targets: [b:1]\n");
        assert!(watcher.look());
        std::fs::remove_file(dir.path().join("a.yml")).expect("removed");
        assert!(watcher.look());
        assert_eq!(addresses(&watcher), "b:1 j:1");
        assert_eq!(watcher.found().1, [""; 0]);
        std::fs::create_dir(dir.path().join("c.yml")).expect("made");
        assert!(watcher.look());
        assert!(watcher.found().1[0].contains("no plain file"));
        assert!(
            !FileWatcher::new(FileSd {
                files: vec![Path::new("/none/*.yml").into()],
                refresh_interval: Duration::ZERO
            })
            .look()
        );
    }
}
