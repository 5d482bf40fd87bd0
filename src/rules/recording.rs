//! Recording rules: results → samples of the recorded series. Pure.

use rustc_hash::FxHashSet;

use crate::model::{Labels, METRIC_NAME, Value};
use crate::promql::Sample;

use super::kept::KeptLabels;

/// Why results cannot be recorded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum RecordError {
    #[error("vector contains metrics with the same labelset after applying rule labels")]
    Duplicate,
    #[error("exceeded limit of {limit} with {found} series")]
    Limit { limit: usize, found: usize },
}

/// Gives each result the rule's name and labels (an empty label value removes the label).
pub(super) fn record(
    name: &str,
    labels: &Labels,
    results: Vec<Sample>,
    limit: usize,
    kept: &mut KeptLabels,
) -> Result<Vec<(Labels, Value)>, RecordError> {
    kept.begin();
    let found = results.len();
    let samples = results.into_iter().map(|result| {
        let made = kept.get(&result.labels, || apply(name, labels, &result.labels));
        (made, result.value)
    });
    let samples: Vec<(Labels, Value)> = samples.collect();
    if kept.may_collide() && has_duplicates(&samples) {
        return Err(RecordError::Duplicate);
    }
    if limit > 0 && found > limit {
        return Err(RecordError::Limit { limit, found });
    }
    Ok(samples)
}

fn has_duplicates(samples: &[(Labels, Value)]) -> bool {
    let mut seen = FxHashSet::with_capacity_and_hasher(samples.len(), Default::default());
    !samples.iter().all(|(labels, _)| seen.insert(labels))
}

fn apply(name: &str, labels: &Labels, result: &Labels) -> Labels {
    if labels.is_empty() && result.metric_name() == name {
        return result.clone();
    }
    let mut pairs: Vec<(&str, &str)> = Vec::with_capacity(result.len() + labels.len() + 1);
    pairs.extend(result.iter());
    pairs.push((METRIC_NAME, name));
    pairs.extend(labels.iter());
    Labels::from_pairs(&pairs)
}

#[cfg(test)]
mod tests {
    use super::{KeptLabels, RecordError, record};
    use crate::model::{Labels, Value};
    use crate::promql::Sample;

    fn sample(pairs: &[(&str, &str)], value: f64) -> Sample {
        Sample { labels: Labels::from_pairs(pairs), ts: 0, value: Value::Float(value) }
    }

    #[test]
    fn names_and_labels_are_applied() {
        let rule = Labels::from_pairs(&[("team", "a")]);
        let results =
            vec![sample(&[("__name__", "up"), ("job", "x"), ("team", "b")], 1.0), sample(&[("job", "y")], 2.0)];
        let recorded = record("job:up", &rule, results, 0, &mut KeptLabels::default()).expect("distinct");
        let printed: Vec<String> = recorded.iter().map(|(labels, _)| labels.to_string()).collect();
        assert_eq!(printed, [r#"job:up{job="x", team="a"}"#, r#"job:up{job="y", team="a"}"#]);
    }

    #[test]
    fn duplicates_and_limits_are_errors() {
        let rule = Labels::from_pairs(&[("job", "all")]);
        let two = || vec![sample(&[("job", "x")], 1.0), sample(&[("job", "y")], 2.0)];
        let record = |labels: &Labels, limit| record("r", labels, two(), limit, &mut KeptLabels::default());
        assert_eq!(record(&rule, 0), Err(RecordError::Duplicate));
        assert_eq!(record(&Labels::empty(), 1), Err(RecordError::Limit { limit: 1, found: 2 }));
        assert!(record(&Labels::empty(), 2).is_ok());
    }
}
