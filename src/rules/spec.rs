//! A rule file as it was read: groups and rules, checked and parsed, without any state.

use std::sync::Arc;
use std::time::Duration;

use crate::model::Labels;
use crate::promql::parser::Expr;
use crate::yaml::{Mark, YamlError};

use super::text::Text;

/// One file.
#[derive(Debug, Clone)]
pub struct RuleFile {
    /// Its name as given, or `watchfire:NAME.yml` for a shipped one.
    pub name: Arc<str>,
    /// Its groups in the order of the file.
    pub groups: Vec<Arc<GroupSpec>>,
    /// What is odd but no error.
    pub warnings: Vec<YamlError>,
}

impl RuleFile {
    /// How many rules all groups have together.
    pub fn rule_count(&self) -> usize {
        self.groups.iter().map(|group| group.rules.len()).sum()
    }
}

/// One group.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupSpec {
    /// Name of the file.
    pub file: Arc<str>,
    /// Name, unique in its file.
    pub name: String,
    /// Evaluation interval; `None` takes the configuration's.
    pub interval: Option<Duration>,
    /// How far back queries are evaluated; `None` takes the configuration's.
    pub query_offset: Option<Duration>,
    /// The most alerts or series that one rule may give; 0 = any number.
    pub limit: u32,
    /// Rules in the order of evaluation.
    pub rules: Vec<Arc<RuleSpec>>,
}

/// One rule.
#[derive(Debug, Clone)]
pub struct RuleSpec {
    /// Metric name (`record`) or alert name (`alert`).
    pub name: String,
    /// The expression.
    pub expr: Expr,
    /// The expression as Prometheus prints it.
    pub query: String,
    /// Labels of group and rule, the rule's winning, as written (templates not expanded).
    pub labels: Labels,
    /// What the rule does with its results.
    pub kind: RuleKind,
    /// Where the rule stands in its file.
    pub mark: Mark,
}

/// Recording or alerting.
#[derive(Debug, Clone, PartialEq)]
pub enum RuleKind {
    /// Results become series named `name`.
    Recording,
    /// Results become alerts.
    Alerting(Box<AlertSpec>),
}

/// What an alerting rule has beside its expression.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertSpec {
    /// How long the expression must give a result before its alert fires.
    pub hold: Duration,
    /// How long an alert goes on firing without a result.
    pub keep_firing_for: Duration,
    /// Annotations as written.
    pub annotations: Labels,
    /// Labels of group and rule, ready to be expanded, sorted by name.
    pub label_texts: Vec<(String, Text)>,
    /// Annotations, ready to be expanded, sorted by name.
    pub annotation_texts: Vec<(String, Text)>,
}

impl RuleSpec {
    /// The alerting part, if it is an alerting rule.
    pub fn alert(&self) -> Option<&AlertSpec> {
        match &self.kind {
            RuleKind::Alerting(alert) => Some(alert),
            RuleKind::Recording => None,
        }
    }

    /// Whether `other` is the same rule after a reload: its state is taken over. The expression does not count, as in
    /// Prometheus.
    pub(super) fn is_successor_of(&self, other: &Self) -> bool {
        self.name == other.name && self.labels == other.labels && self.alert().is_some() == other.alert().is_some()
    }
}

/// Two rules are equal when they do the same; where they stand does not matter.
impl PartialEq for RuleSpec {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
            && self.query == other.query
            && self.labels == other.labels
            && match (self.alert(), other.alert()) {
                (None, None) => true,
                (Some(a), Some(b)) => {
                    (a.hold, a.keep_firing_for, &a.annotations) == (b.hold, b.keep_firing_for, &b.annotations)
                }
                _ => false,
            }
    }
}
