//! Annotations of alerts. Most are never read before the next evaluation replaces them, so they are worked out when
//! somebody looks; what they say is what they would have said in their evaluation.

use std::sync::Arc;

use crate::model::{Labels, Timestamp, Value};
use crate::template::{NoQueries, QueryFunc, TemplateData};

use super::config::RulesConfig;
use super::spec::RuleSpec;
use super::text::{Inputs, Text};

/// An alert's annotations, finished or not.
#[derive(Debug, Clone)]
pub enum Annotations {
    /// Finished.
    Ready(Labels),
    /// To be expanded.
    Late(LateAnnotations),
}

/// What one evaluation of a rule found, for its annotations to be expanded.
#[derive(Debug, Clone)]
pub struct LateAnnotations {
    pub(super) rule: Arc<RuleSpec>,
    pub(super) config: Arc<RulesConfig>,
    /// Labels of the result, before the rule's own.
    pub(super) result: Labels,
    pub(super) value: Value,
    pub(super) slot: Timestamp,
}

impl Annotations {
    /// The finished annotations.
    pub(super) fn expand(&self) -> Labels {
        let late = match self {
            Self::Ready(annotations) => return annotations.clone(),
            Self::Late(late) => late,
        };
        let Some(alert) = late.rule.alert() else { return Labels::empty() };
        let data = template_data(&late.config, &late.result, &late.value, late.slot);
        labels_of(&expand_all(&alert.annotation_texts, &data, &NoQueries))
    }
}

/// The worst that any of the texts depends on.
pub(super) fn inputs(texts: &[(String, Text)]) -> Inputs {
    texts.iter().map(|(_, text)| text.inputs()).max().unwrap_or(Inputs::Nothing)
}

pub(super) fn template_data(config: &RulesConfig, result: &Labels, value: &Value, now: Timestamp) -> TemplateData {
    TemplateData {
        labels: result.clone(),
        external_labels: config.external_labels.clone(),
        external_url: config.external_url.clone(),
        value: value.clone(),
        now,
    }
}

pub(super) fn expand_all<'a>(
    texts: &'a [(String, Text)],
    data: &TemplateData,
    queries: &dyn QueryFunc,
) -> Vec<(&'a str, String)> {
    texts.iter().map(|(name, text)| (name.as_str(), text.expand(data, queries))).collect()
}

pub(super) fn labels_of(pairs: &[(&str, String)]) -> Labels {
    let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Labels::from_pairs(&pairs)
}
