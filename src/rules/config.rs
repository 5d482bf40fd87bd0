//! What the rules room is told by the configuration.

use std::path::PathBuf;
use std::time::Duration;

use crate::model::Labels;

/// Settings of rule evaluation; the defaults are Prometheus' except for the interval, which is the collectors' one.
#[derive(Debug, Clone, PartialEq)]
pub struct RulesConfig {
    /// Rule files: paths or patterns with `*`, `?`, `[…]`, relative to the working directory (the configuration room
    /// has joined them with the configuration file's folder).
    pub files: Vec<PathBuf>,
    /// Whether the rule files that watchfire ships are evaluated too.
    pub shipped: bool,
    /// Interval of groups that state none (`global.evaluation_interval`).
    pub evaluation_interval: Duration,
    /// `query_offset` of groups that state none (`global.rule_query_offset`).
    pub query_offset: Duration,
    /// `global.external_labels`, for templates.
    pub external_labels: Labels,
    /// The address under which people reach this watchfire, for templates and links.
    pub external_url: String,
    /// Least time between two notifications of an alert that goes on (`--rules.alert.resend-delay`).
    pub resend_delay: Duration,
    /// The longest outage after which `for` states are taken up again (`--rules.alert.for-outage-tolerance`).
    pub outage_tolerance: Duration,
    /// Least time between a restart and a restored alert that begins to fire (`--rules.alert.for-grace-period`).
    pub grace_period: Duration,
}

impl Default for RulesConfig {
    fn default() -> Self {
        Self {
            files: Vec::new(),
            shipped: true,
            evaluation_interval: Duration::from_secs(1),
            query_offset: Duration::ZERO,
            external_labels: Labels::empty(),
            external_url: "http://127.0.0.1:9480".to_owned(),
            resend_delay: Duration::from_secs(60),
            outage_tolerance: Duration::from_secs(3600),
            grace_period: Duration::from_secs(600),
        }
    }
}

/// Milliseconds of a duration, as timestamps count.
pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
