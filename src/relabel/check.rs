//! Which keys an action needs and which it cannot use.

use super::config::{Action, RelabelConfig};
use super::rules::RelabelError;
use crate::model::is_classic_label_name;

impl RelabelConfig {
    pub(super) fn check(&self) -> Result<(), RelabelError> {
        self.problem().map_or(Ok(()), |problem| Err(RelabelError::Action { action: self.action.name(), problem }))
    }

    fn problem(&self) -> Option<String> {
        use Action::{DropEqual, HashMod, KeepEqual, LabelDrop, LabelKeep, LabelMap, Lowercase, Replace, Uppercase};
        let defaults = Self::default();
        let (target, action) = (self.target_label.as_str(), self.action);
        let bad = |key: &str, text: &str| Some(format!("{key} {text:?} cannot be a label's name"));
        if action == HashMod && self.modulus == 0 {
            return Some("modulus is 0 or missing: expected a number above 0".to_owned());
        }
        let sets = matches!(action, Replace | HashMod | Lowercase | Uppercase | KeepEqual | DropEqual);
        if sets && target.is_empty() {
            return Some("target_label is missing".to_owned());
        }
        // Only `replace` knows templates there.
        let name_is_good = match action {
            Replace if target.contains('$') => self.is_template(target),
            _ => self.is_name(target),
        };
        if sets && !name_is_good {
            return bad("target_label", target);
        }
        if matches!(action, Lowercase | Uppercase | KeepEqual | DropEqual) && self.replacement != defaults.replacement {
            return Some("it has no use for a replacement".to_owned());
        }
        if action == LabelMap && !self.is_template(&self.replacement) {
            return bad("replacement", &self.replacement);
        }
        let same_rest = self.modulus == defaults.modulus
            && self.separator == defaults.separator
            && self.replacement == defaults.replacement;
        if matches!(action, KeepEqual | DropEqual) && !(same_rest && self.regex == defaults.regex) {
            return Some("expected source_labels and target_label, and no other key".to_owned());
        }
        let only_regex = same_rest && self.source_labels.is_none() && target.is_empty();
        if matches!(action, LabelDrop | LabelKeep) && !only_regex {
            return Some("expected regex and no other key".to_owned());
        }
        None
    }

    /// Whether a label may have this name.
    pub(super) fn is_name(&self, name: &str) -> bool {
        if self.legacy_names { is_classic_label_name(name) } else { !name.is_empty() }
    }

    /// Whether the template can give a label's name. With names of any characters every text can.
    fn is_template(&self, text: &str) -> bool {
        !text.is_empty() && (!self.legacy_names || is_legacy_template(text))
    }
}

/// Letters, digits, `_` and references to groups, a digit never first.
fn is_legacy_template(text: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut rest = text;
    let mut first = true;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        rest = if c == '$' {
            let (body, braces) = after.strip_prefix('{').map_or((after, false), |body| (body, true));
            let end = body.find(|c| !is_word(c)).unwrap_or(body.len());
            let tail = &body[end..];
            match (end, braces, tail.strip_prefix('}')) {
                (0, ..) | (_, true, None) => return false,
                (_, true, Some(tail)) => tail,
                (_, false, _) => tail,
            }
        } else if is_word(c) && !(first && c.is_ascii_digit()) {
            after
        } else {
            return false;
        };
        first = false;
    }
    true
}
