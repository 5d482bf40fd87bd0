//! The `global` section.

use std::time::Duration;

use crate::model::{Labels, is_classic_label_name};
use crate::yaml::{Mapping, Node, YamlErrors};

use super::scrape::Options;

/// Defaults of scrapes and rules.
#[derive(Debug, Clone, PartialEq)]
pub struct Global {
    /// Interval of scrape jobs that state none: a second, or `scrape_timeout` when that is longer and no interval is stated.
    pub scrape_interval: Duration,
    /// Whether `scrape_interval` is stated. Otherwise a job that states a longer timeout alone has that as its interval.
    pub states_interval: bool,
    /// Timeout of scrape jobs that state none; at most their interval.
    pub scrape_timeout: Duration,
    /// Interval of rule groups that state none.
    pub evaluation_interval: Duration,
    /// `query_offset` of rule groups that state none.
    pub rule_query_offset: Duration,
    /// Labels of this machine, for templates.
    pub external_labels: Labels,
    /// Limits and formats of scrape jobs that state none.
    pub scrape: Options,
}

impl Default for Global {
    fn default() -> Self {
        Self {
            scrape_interval: Duration::from_secs(1),
            states_interval: false,
            scrape_timeout: Duration::from_secs(1),
            evaluation_interval: Duration::from_secs(1),
            rule_query_offset: Duration::ZERO,
            external_labels: Labels::empty(),
            scrape: Options::default(),
        }
    }
}

pub(super) fn global(node: &Node<'_>, errors: &mut YamlErrors) -> Option<Global> {
    let mut map = node.mapping(errors);
    let defaults = Global::default();
    let stated = or_default(&mut map, "scrape_interval", errors);
    let timeout = or_default(&mut map, "scrape_timeout", errors);
    let scrape_interval = stated.unwrap_or_else(|| defaults.scrape_interval.max(timeout.unwrap_or_default()));
    if let (Some(timeout), Some(node)) = (timeout, map.get("scrape_timeout"))
        && timeout > scrape_interval
    {
        errors.push(node.error("the timeout is longer than the scrape interval").expected("at most scrape_interval"));
    }
    let global = Global {
        scrape_interval,
        states_interval: stated.is_some(),
        scrape_timeout: timeout.unwrap_or_else(|| scrape_interval.min(Duration::from_secs(10))),
        evaluation_interval: duration(&mut map, "evaluation_interval", errors).unwrap_or(defaults.evaluation_interval),
        rule_query_offset: map.optional("rule_query_offset", errors, Node::duration).unwrap_or_default(),
        external_labels: map.optional("external_labels", errors, labels).unwrap_or_default(),
        scrape: Options::read(&mut map, errors, &defaults.scrape),
    };
    map.finish(errors);
    Some(global)
}

fn duration(map: &mut Mapping<'_>, key: &'static str, errors: &mut YamlErrors) -> Option<Duration> {
    map.optional(key, errors, Node::positive_duration)
}

/// A duration; as in Prometheus 0 is as if it were not there.
pub(super) fn or_default(map: &mut Mapping<'_>, key: &'static str, errors: &mut YamlErrors) -> Option<Duration> {
    map.optional(key, errors, Node::duration).filter(|duration| !duration.is_zero())
}

/// A mapping of label names to values.
pub(super) fn labels(node: &Node<'_>, errors: &mut YamlErrors) -> Option<Labels> {
    let pairs = node.string_map(errors)?;
    for (name, value) in node.mapping(&mut YamlErrors::default()).pairs() {
        if !is_classic_label_name(name) && name.is_empty() {
            errors.push(value.error("a label has no name").expected("a name such as rack"));
        } else if name == "__name__" {
            errors.push(value.error("__name__ is the metric's name and cannot be set").expected("another label name"));
        }
    }
    let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    Some(Labels::from_pairs(&pairs))
}
