//! One rule on one set of labels.

use super::config::Action;
use super::md5::md5;
use super::rules::Rule;
use crate::model::{LabelsBuilder, go_expand};

impl Rule {
    /// `false` says that the labels are dropped.
    pub(super) fn apply(&self, labels: &mut LabelsBuilder) -> bool {
        let config = &self.config;
        let target = config.target_label.as_str();
        match config.action {
            Action::Keep => return self.regex.is_match(&self.source(labels)),
            Action::Drop => return !self.regex.is_match(&self.source(labels)),
            Action::KeepEqual => return labels.get(target) == self.source(labels),
            Action::DropEqual => return labels.get(target) != self.source(labels),
            Action::Replace => self.replace(labels),
            Action::Lowercase => {
                let text = self.source(labels).chars().map(|c| single(c.to_lowercase(), c)).collect::<String>();
                labels.put(target, &text);
            }
            Action::Uppercase => {
                let text = self.source(labels).chars().map(|c| single(c.to_uppercase(), c)).collect::<String>();
                labels.put(target, &text);
            }
            Action::HashMod => {
                // The check has seen that the modulus is above 0.
                let number = hash(&self.source(labels)).checked_rem(config.modulus).unwrap_or(0);
                labels.put(target, &number.to_string());
            }
            Action::LabelMap => self.map(labels),
            Action::LabelDrop => self.remove(labels, true),
            Action::LabelKeep => self.remove(labels, false),
        }
        true
    }

    /// Values of the source labels; one that is missing is empty.
    fn source(&self, labels: &LabelsBuilder) -> String {
        let names = self.config.source_labels.iter().flatten();
        names.map(|name| labels.get(name)).collect::<Vec<_>>().join(&self.config.separator)
    }

    fn replace(&self, labels: &mut LabelsBuilder) {
        let source = self.source(labels);
        let Some(captures) = self.regex.captures(&source) else { return };
        let (mut target, mut value) = (String::new(), String::new());
        go_expand(&captures, &self.config.target_label, &mut target);
        if self.config.is_name(&target) {
            go_expand(&captures, &self.config.replacement, &mut value);
            labels.put(&target, &value);
        }
    }

    fn map(&self, labels: &mut LabelsBuilder) {
        for (name, value) in labels.build().iter() {
            let Some(captures) = self.regex.captures(name) else { continue };
            let mut target = String::new();
            go_expand(&captures, &self.config.replacement, &mut target);
            // A series cannot have a label without a name.
            if !target.is_empty() {
                labels.put(&target, value);
            }
        }
    }

    fn remove(&self, labels: &mut LabelsBuilder, matching: bool) {
        for (name, _) in labels.build().iter() {
            if self.regex.is_match(name) == matching {
                labels.remove(name);
            }
        }
    }
}

/// Go maps letters one by one: what would become two letters stays.
fn single(mut mapped: impl ExactSizeIterator<Item = char>, c: char) -> char {
    if mapped.len() == 1 { mapped.next().unwrap_or(c) } else { c }
}

/// The last 8 bytes of the MD5 sum, as Prometheus has it.
fn hash(text: &str) -> u64 {
    let [.., a, b, c, d, e, f, g, h] = md5(text.as_bytes());
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}
