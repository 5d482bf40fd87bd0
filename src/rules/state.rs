//! What changes while rules run: shared between the evaluation, which writes it, and views, which copy it.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::model::{Alert, Timestamp};

use super::alerting::AlertStates;
use super::spec::{GroupSpec, RuleSpec};
use super::view::{AlertView, GroupView, RuleHealth, RuleView};

/// A group with what is known of it. Locks are held for a copy or a step, never while a query runs.
pub(super) struct GroupShared {
    pub(super) spec: Arc<GroupSpec>,
    pub(super) interval: Duration,
    pub(super) query_offset: Duration,
    pub(super) stats: Mutex<GroupStats>,
    pub(super) rules: Vec<RuleShared>,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct GroupStats {
    pub(super) evaluation_time: Duration,
    pub(super) last_evaluation: Timestamp,
    pub(super) missed: u64,
    pub(super) last_samples: u64,
}

pub(super) struct RuleShared {
    pub(super) spec: Arc<RuleSpec>,
    pub(super) state: Mutex<RuleState>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct RuleState {
    pub(super) health: RuleHealth,
    pub(super) last_error: Option<String>,
    pub(super) evaluation_time: Duration,
    pub(super) last_evaluation: Timestamp,
    pub(super) alerts: AlertStates,
    /// Whether `for` was restored; before, alerts write no series that would hide what is to be restored.
    pub(super) restored: bool,
}

impl GroupShared {
    pub(super) fn view(&self) -> GroupView {
        let stats = *self.stats.lock();
        GroupView {
            spec: Arc::clone(&self.spec),
            interval: self.interval,
            query_offset: self.query_offset,
            evaluation_time: stats.evaluation_time,
            last_evaluation: stats.last_evaluation,
            missed: stats.missed,
            last_samples: stats.last_samples,
            rules: self.rules.iter().map(RuleShared::view).collect(),
        }
    }

    /// How many alerts are pending, and how many firing.
    pub(super) fn alert_counts(&self) -> (usize, usize) {
        let alerting = self.rules.iter().filter(|rule| rule.spec.alert().is_some());
        let counts = alerting.map(|rule| rule.state.lock().alerts.counts());
        counts.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }

    pub(super) fn alerts(&self) -> impl Iterator<Item = AlertView> {
        let alerting = self.rules.iter().filter(|rule| rule.spec.alert().is_some());
        alerting.flat_map(|rule| {
            let alerts: Vec<Alert> = rule.state.lock().alerts.active();
            alerts.into_iter().map(|alert| AlertView {
                alert,
                rule: Arc::clone(&rule.spec),
                group: Arc::clone(&self.spec),
            })
        })
    }
}

impl RuleShared {
    fn view(&self) -> RuleView {
        let state = self.state.lock();
        let evaluated = self.spec.alert().is_some() && state.last_evaluation != 0;
        RuleView {
            spec: Arc::clone(&self.spec),
            health: state.health,
            last_error: state.last_error.clone(),
            evaluation_time: state.evaluation_time,
            last_evaluation: state.last_evaluation,
            state: evaluated.then(|| state.alerts.state()),
            alerts: state.alerts.active(),
        }
    }
}
