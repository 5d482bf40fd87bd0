//! One rule at one time: query → results → alerts or recorded series.

use parking_lot::Mutex;

use crate::model::{Labels, METRIC_NAME, Timestamp, Value};
use crate::promql::parser::parse;
use crate::promql::{QueryError, QueryResult, QueryValue, Sample};
use crate::template::{QueryFunc, QueryRow, TemplateData};

use super::alerting::{ALERT_NAME, AlertTiming, Found, StepError};
use super::config::{RulesConfig, millis};
use super::doors::{Earlier, TickQueries};
use super::recording::{RecordError, record};
use super::spec::{AlertSpec, RuleSpec};
use super::state::RuleState;
use super::text::Text;

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
    pub(super) config: &'a RulesConfig,
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
    /// Samples of a recording rule.
    pub(super) fn record(&self, rule: &RuleSpec) -> Result<Vec<(Labels, Value)>, RuleError> {
        let results = self.vector(rule)?;
        Ok(record(&rule.name, &rule.labels, results, self.limit)?)
    }

    /// Takes an alerting rule one step on.
    pub(super) fn alert(&self, rule: &RuleSpec, alert: &AlertSpec, state: &Mutex<RuleState>) -> Result<(), RuleError> {
        let results = self.vector(rule)?;
        let found = results.into_iter().map(|result| self.found(rule, alert, &result)).collect();
        let timing = AlertTiming {
            hold_ms: millis(alert.hold),
            keep_firing_ms: millis(alert.keep_firing_for),
            limit: self.limit,
        };
        Ok(state.lock().alerts.step(self.slot, found, &timing)?)
    }

    fn vector(&self, rule: &RuleSpec) -> Result<Vec<Sample>, RuleError> {
        vector_of(self.queries.eval_rule(rule, self.at, self.earlier)?).ok_or(RuleError::NoVector)
    }

    fn found(&self, rule: &RuleSpec, alert: &AlertSpec, result: &Sample) -> Found {
        let data = TemplateData {
            labels: result.labels.clone(),
            external_labels: self.config.external_labels.clone(),
            external_url: self.config.external_url.clone(),
            value: result.value.clone(),
            now: self.slot,
        };
        let expand = |texts: &[(String, Text)]| -> Vec<(String, String)> {
            texts.iter().map(|(name, text)| (name.clone(), text.expand(&data, self))).collect()
        };
        let rule_labels = expand(&alert.label_texts);
        let own = rule_labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let mut pairs: Vec<(&str, &str)> = result.labels.iter().filter(|(name, _)| *name != METRIC_NAME).collect();
        pairs.extend(own);
        pairs.push((ALERT_NAME, &rule.name));
        let annotations = expand(&alert.annotation_texts);
        let annotations: Vec<(&str, &str)> = annotations.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        Found {
            labels: Labels::from_pairs(&pairs),
            annotations: Labels::from_pairs(&annotations),
            // A histogram has no one value; Prometheus shows 0.
            value: result.value.as_float().unwrap_or(0.0),
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
