//! `watchfire check rules`: what each file holds, or everything that is wrong with it.

use std::fmt;
use std::path::Path;

use crate::yaml::{YamlError, YamlErrors};

use super::lint::{DuplicateRule, duplicate_rules};
use super::shipped::{SHIPPED, ShippedFile};
use super::spec::RuleFile;

/// What checking found.
#[derive(Debug, Clone)]
pub struct CheckReport {
    /// One entry a file, in the order given.
    pub files: Vec<FileReport>,
}

/// One file.
#[derive(Debug, Clone)]
pub struct FileReport {
    /// Its name.
    pub file: String,
    /// How many groups and rules it holds, or its errors.
    pub outcome: Result<FileCounts, YamlErrors>,
    /// What is odd but no error.
    pub warnings: Vec<YamlError>,
    /// Rules that stand twice.
    pub duplicates: Vec<DuplicateRule>,
}

/// What a good file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileCounts {
    /// Groups.
    pub groups: usize,
    /// Rules of all groups.
    pub rules: usize,
}

/// Checks rule files.
pub fn check_files<P: AsRef<Path>>(files: &[P]) -> CheckReport {
    let check = |path: &P| report(path.as_ref().display().to_string(), RuleFile::load(path.as_ref()));
    CheckReport { files: files.iter().map(check).collect() }
}

/// Checks the rule files that the binary carries.
pub fn check_shipped() -> CheckReport {
    let read = |file: &ShippedFile| report(file.display_name(), RuleFile::parse(&file.display_name(), file.text));
    CheckReport { files: SHIPPED.iter().map(read).collect() }
}

fn report(file: String, read: Result<RuleFile, YamlErrors>) -> FileReport {
    match read {
        Ok(rules) => FileReport {
            file,
            outcome: Ok(FileCounts { groups: rules.groups.len(), rules: rules.rule_count() }),
            duplicates: duplicate_rules(&rules),
            warnings: rules.warnings,
        },
        Err(errors) => FileReport { file, outcome: Err(errors), warnings: Vec::new(), duplicates: Vec::new() },
    }
}

impl CheckReport {
    /// Whether a file has an error (exit code 1).
    pub fn failed(&self) -> bool {
        self.files.iter().any(|file| file.outcome.is_err())
    }

    /// Whether a file has rules that stand twice (exit code 3).
    pub fn has_lint(&self) -> bool {
        self.files.iter().any(|file| !file.duplicates.is_empty())
    }
}

impl fmt::Display for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for report in &self.files {
            writeln!(f, "{report}")?;
        }
        Ok(())
    }
}

impl fmt::Display for FileReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Checking {}", self.file)?;
        match &self.outcome {
            Ok(counts) => write!(f, "\n  SUCCESS: {} rules in {} groups found", counts.rules, counts.groups)?,
            Err(errors) => {
                write!(f, "\n  FAILED: {} errors", errors.len())?;
                for line in errors.to_string().lines() {
                    write!(f, "\n  {line}")?;
                }
            }
        }
        for warning in &self.warnings {
            write!(f, "\n  warning: {warning}")?;
        }
        if !self.duplicates.is_empty() {
            write!(f, "\n  {} duplicate rules found:", self.duplicates.len())?;
            for duplicate in &self.duplicates {
                write!(f, "\n    {duplicate}")?;
            }
            f.write_str("\n  They might write to the same series.")?;
        }
        Ok(())
    }
}
