//! One rule at one time: query → results → alerts or recorded series.

use std::sync::Arc;

use crate::model::{Labels, METRIC_NAME, Timestamp, Value};
use crate::promql::parser::parse;
use crate::promql::{QueryError, QueryResult, QueryValue, Sample};
use crate::template::{QueryFunc, QueryRow};

use super::alerting::{ALERT_NAME, AlertStates, AlertTiming, Found, StepError};
use super::annotations::{Annotations, LateAnnotations, expand_all, inputs, labels_of, template_data};
use super::config::RulesConfig;
use super::doors::{Earlier, RulePlan, TickQueries};
use super::kept::KeptLabels;
use super::recording::{RecordError, record};
use super::spec::{AlertSpec, RuleSpec};
use super::text::Inputs;

/// Why a rule's evaluation gave nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum RuleError {
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error("rule result is not a vector or scalar")]
    NoVector,
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Alert(#[from] StepError),
}

/// Where and when a rule is evaluated.
pub(super) struct RuleEval<'a> {
    pub(super) queries: &'a dyn TickQueries,
    pub(super) config: &'a Arc<RulesConfig>,
    /// The group's slot: the time of alerts and of queries in templates.
    pub(super) slot: Timestamp,
    /// The slot less the query offset: the time of the expression and of the samples.
    pub(super) at: Timestamp,
    /// What earlier rules wrote, if this one may read it.
    pub(super) earlier: Option<Earlier<'a>>,
    /// The group's limit.
    pub(super) limit: usize,
}

impl RuleEval<'_> {
    /// What the rule's expression gives.
    pub(super) fn results(&self, rule: &RuleSpec, plan: &RulePlan) -> Result<Vec<Sample>, RuleError> {
        vector_of(self.queries.eval_rule(rule, plan, self.at, self.earlier)?).ok_or(RuleError::NoVector)
    }

    /// Samples of a recording rule.
    pub(super) fn record(
        &self,
        rule: &RuleSpec,
        results: Vec<Sample>,
        kept: &mut KeptLabels,
    ) -> Result<Vec<(Labels, Value)>, RuleError> {
        Ok(record(&rule.name, &rule.labels, results, self.limit, kept)?)
    }

    /// The alerts that results of an alerting rule stand for.
    pub(super) fn found(
        &self,
        rule: &Arc<RuleSpec>,
        alert: &AlertSpec,
        results: Vec<Sample>,
        kept: &mut KeptLabels,
    ) -> FoundAlerts {
        kept.begin();
        let of_labels = inputs(&alert.label_texts) <= Inputs::Labels;
        let late = inputs(&alert.annotation_texts);
        let found = results.into_iter().map(|result| {
            let labels = match of_labels {
                true => kept.get(&result.labels, || self.alert_labels(rule, alert, &result)),
                false => self.alert_labels(rule, alert, &result),
            };
            // A histogram has no one value; Prometheus shows 0.
            let value = result.value.as_float().unwrap_or(0.0);
            Found { labels, annotations: self.annotations(rule, alert, late, result), value }
        });
        let found = found.collect();
        FoundAlerts { found, distinct: of_labels && !kept.may_collide() }
    }

    fn annotations(&self, rule: &Arc<RuleSpec>, alert: &AlertSpec, inputs: Inputs, result: Sample) -> Annotations {
        match inputs {
            Inputs::Nothing => Annotations::Ready(alert.annotations.clone()),
            Inputs::Labels | Inputs::Evaluation => Annotations::Late(LateAnnotations {
                rule: Arc::clone(rule),
                config: Arc::clone(self.config),
                result: result.labels,
                value: result.value,
                slot: self.slot,
            }),
            Inputs::Queries => {
                let data = template_data(self.config, &result.labels, &result.value, self.slot);
                Annotations::Ready(labels_of(&expand_all(&alert.annotation_texts, &data, self)))
            }
        }
    }

    fn alert_labels(&self, rule: &RuleSpec, alert: &AlertSpec, result: &Sample) -> Labels {
        let data = template_data(self.config, &result.labels, &result.value, self.slot);
        let own = expand_all(&alert.label_texts, &data, self);
        let mut pairs: Vec<(&str, &str)> = result.labels.iter().filter(|(name, _)| *name != METRIC_NAME).collect();
        pairs.extend(own.iter().map(|(name, value)| (*name, value.as_str())));
        pairs.push((ALERT_NAME, &rule.name));
        Labels::from_pairs(&pairs)
    }
}

/// Alerts that an evaluation found.
pub(super) struct FoundAlerts {
    found: Vec<Found>,
    /// Whether they are known to have different labels.
    distinct: bool,
}

impl FoundAlerts {
    /// Takes the rule's alerts one step on.
    pub(super) fn step(self, slot: Timestamp, timing: &AlertTiming, alerts: &mut AlertStates) -> Result<(), StepError> {
        match self.distinct {
            true => alerts.step_distinct(slot, self.found.into_iter(), timing),
            false => alerts.step(slot, self.found, timing),
        }
    }
}

/// What `query` in a template asks.
impl QueryFunc for RuleEval<'_> {
    fn query(&self, text: &str, ts: Timestamp) -> Result<Vec<QueryRow>, String> {
        let expr = parse(text).map_err(|error| error.to_string())?;
        let result = self.queries.eval(&expr, ts, self.earlier).map_err(|error| error.to_string())?;
        let samples = vector_of(result).ok_or_else(|| RuleError::NoVector.to_string())?;
        let row = |sample: Sample| Some(QueryRow { value: sample.value.as_float()?, labels: sample.labels });
        Ok(samples.into_iter().filter_map(row).collect())
    }
}

/// A rule takes a vector, or a scalar as a vector of one result without labels.
fn vector_of(result: QueryResult) -> Option<Vec<Sample>> {
    match result.value {
        QueryValue::Vector(samples) => Some(samples),
        QueryValue::Scalar(ts, value) => Some(vec![Sample { labels: Labels::empty(), ts, value: value.into() }]),
        QueryValue::String(..) | QueryValue::Matrix(_) => None,
    }
}
