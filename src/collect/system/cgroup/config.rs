//! What can be chosen about cgroups.

use std::time::Duration;

use regex::Regex;

/// Most cgroups that may be watched, whatever the configuration says.
pub const MAX_CGROUPS: usize = 4096;
/// Deepest level that may be looked at, whatever the configuration says.
pub const MAX_DEPTH: usize = 32;

/// A pattern over a cgroup's path; not anchored.
#[derive(Debug, Clone)]
pub struct CgroupPattern(pub Regex);

impl PartialEq for CgroupPattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for CgroupPattern {}

/// Configuration of the cgroup collector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CgroupConfig {
    /// Only cgroups whose path matches are shown; `None` shows all.
    pub include: Option<CgroupPattern>,
    /// Cgroups whose path matches are left out, even when the other pattern matches too.
    pub exclude: Option<CgroupPattern>,
    /// Cgroups that are watched at most, at most [`MAX_CGROUPS`]; those nearer to the root come first.
    pub limit: usize,
    /// Levels below the root that are looked at, at most [`MAX_DEPTH`].
    pub depth: usize,
    /// Time between two walks over the folders: for so long a new cgroup may be unseen.
    pub walk_interval: Duration,
}

impl Default for CgroupConfig {
    fn default() -> Self {
        Self { include: None, exclude: None, limit: 512, depth: 8, walk_interval: Duration::from_secs(10) }
    }
}

impl CgroupConfig {
    pub(super) fn shows(&self, path: &str) -> bool {
        self.include.as_ref().is_none_or(|include| include.0.is_match(path))
            && !self.exclude.as_ref().is_some_and(|exclude| exclude.0.is_match(path))
    }
}
