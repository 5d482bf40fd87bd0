//! Checked rules.

use std::sync::Arc;

use regex::Regex;

use super::config::RelabelConfig;
use crate::model::{LabelsBuilder, go_regex_of_all};

/// What is wrong with a rule: what was expected instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RelabelError {
    /// The regular expression.
    #[error("bad regular expression {text:?}: {reason}")]
    Regex {
        /// As written.
        text: String,
        /// In Go's words.
        reason: String,
    },
    /// A key that the action needs, or cannot use.
    #[error("action {action}: {problem}")]
    Action {
        /// Its name.
        action: &'static str,
        /// The problem with the key, and what was expected.
        problem: String,
    },
}

#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) config: RelabelConfig,
    pub(super) regex: Regex,
}

/// Rules in their order. Clones share them; equal are those that were written equally.
#[derive(Debug, Clone, Default)]
pub struct RelabelRules(Arc<[Rule]>);

impl RelabelRules {
    /// Checks the rules.
    ///
    /// # Errors
    /// The first rule that cannot work, as Prometheus refuses it.
    pub fn new(configs: Vec<RelabelConfig>) -> Result<Self, RelabelError> {
        configs.into_iter().map(Rule::new).collect::<Result<Vec<_>, _>>().map(|rules| Self(rules.into()))
    }

    /// Whether there is no rule.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The rules as they were written.
    pub fn configs(&self) -> impl Iterator<Item = &RelabelConfig> {
        self.0.iter().map(|rule| &rule.config)
    }

    /// Applies the rules in their order; `false` says that one of them dropped the labels.
    pub fn apply(&self, labels: &mut LabelsBuilder) -> bool {
        self.0.iter().all(|rule| rule.apply(labels))
    }
}

impl PartialEq for RelabelRules {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.configs().eq(other.configs())
    }
}

impl Eq for RelabelRules {}

impl Rule {
    fn new(config: RelabelConfig) -> Result<Self, RelabelError> {
        config.check()?;
        let regex = go_regex_of_all(&config.regex)
            .map_err(|reason| RelabelError::Regex { text: config.regex.clone(), reason })?;
        Ok(Self { config, regex })
    }
}
