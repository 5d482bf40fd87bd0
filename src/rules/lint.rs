//! What is legal but most likely a mistake.

use std::fmt;

use crate::model::Labels;

use super::spec::RuleFile;

/// Rules of one file with the same name and labels: the series or alerts that they give overwrite each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DuplicateRule {
    /// Metric or alert name.
    pub name: String,
    /// Labels that all of them set.
    pub labels: Labels,
    /// Lines of the rules.
    pub lines: Vec<u32>,
}

impl fmt::Display for DuplicateRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.lines.iter().map(u32::to_string).collect();
        write!(f, "{} with labels {} stands on lines {}", self.name, self.labels, lines.join(", "))
    }
}

/// Rules of the file that share name and labels, in the order of their first one.
pub fn duplicate_rules(file: &RuleFile) -> Vec<DuplicateRule> {
    let mut found: Vec<DuplicateRule> = Vec::new();
    let mut places = rustc_hash::FxHashMap::default();
    for rule in file.groups.iter().flat_map(|group| &group.rules) {
        let place = *places.entry((&rule.name, &rule.labels)).or_insert_with(|| {
            found.push(DuplicateRule { name: rule.name.clone(), labels: rule.labels.clone(), lines: Vec::new() });
            found.len() - 1
        });
        found[place].lines.push(rule.mark.line);
    }
    found.retain(|duplicate| duplicate.lines.len() > 1);
    found
}
