//! What the HTTP edge asks of rules, targets and events, answered by their rooms.

use std::sync::Arc;

use crate::collect::scrape::{Health, Scraper};
use crate::http::{
    AlertingRule, EventError, EventReceipt, EventSink, Rule, RuleGroup, RuleHealth, Rules, Target, TargetHealth, Targets,
};
use crate::ingest::Events;
use crate::model::Timestamp;
use crate::rules::{self, RuleKind, RuleManager, RuleView};

/// The rules.
pub(super) struct RulesPort(pub(super) RuleManager);

impl Rules for RulesPort {
    fn groups(&self) -> Vec<RuleGroup> {
        self.0
            .groups()
            .into_iter()
            .map(|group| RuleGroup {
                name: group.spec.name.clone(),
                file: group.spec.file.to_string(),
                interval: group.interval,
                limit: u64::from(group.spec.limit),
                evaluation_time: group.evaluation_time,
                last_evaluation: group.last_evaluation,
                rules: group.rules.iter().map(rule).collect(),
            })
            .collect()
    }
}

fn rule(view: &RuleView) -> Rule {
    let spec = &view.spec;
    Rule {
        name: spec.name.clone(),
        query: spec.query.clone(),
        labels: spec.labels.clone(),
        health: match view.health {
            rules::RuleHealth::Unknown => RuleHealth::Unknown,
            rules::RuleHealth::Ok => RuleHealth::Ok,
            rules::RuleHealth::Err => RuleHealth::Failed(view.last_error.clone().unwrap_or_default()),
        },
        evaluation_time: view.evaluation_time,
        last_evaluation: view.last_evaluation,
        line: spec.mark.line,
        alerting: match &spec.kind {
            RuleKind::Recording => None,
            RuleKind::Alerting(alert) => Some(AlertingRule {
                hold: alert.hold,
                keep_firing: alert.keep_firing_for,
                annotations: alert.annotations.clone(),
                alerts: view.alerts.clone(),
            }),
        },
    }
}

/// The scrape targets.
pub(super) struct TargetsPort(pub(super) Arc<Scraper>);

impl Targets for TargetsPort {
    fn targets(&self) -> Vec<Target> {
        let view = |target: crate::collect::scrape::TargetView| Target {
            pool: target.job,
            url: target.url,
            discovered_labels: target.discovered,
            labels: target.labels,
            health: match target.health {
                Health::Unknown => TargetHealth::Unknown,
                Health::Up => TargetHealth::Up,
                Health::Down => TargetHealth::Down,
            },
            last_error: target.last_error,
            last_scrape: target.last_scrape,
            last_duration: target.last_duration,
            interval: target.interval,
            timeout: target.timeout,
        };
        self.0.views().into_iter().map(view).collect()
    }
}

/// Pushed events.
pub(super) struct EventsPort(pub(super) Arc<Events>);

impl EventSink for EventsPort {
    fn push(&self, body: &[u8], now: Timestamp) -> Result<EventReceipt, EventError> {
        let report = self.0.ingest(body, now);
        Ok(EventReceipt {
            accepted: report.accepted as u64,
            rejected_total: report.rejected_total as u64,
            rejected: report.rejected.into_iter().map(|line| (line.line as u64, line.error)).collect(),
        })
    }
}
