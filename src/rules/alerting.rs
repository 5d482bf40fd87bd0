//! The life of alerts: pending → firing → resolved. Pure: time and results come in, states and samples come out.
//!
//! Follows `AlertingRule.Eval` of Prometheus 3 (rules/alerting.go) case by case.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::model::{Alert, AlertState, Labels, METRIC_NAME, Timestamp};

use super::annotations::Annotations;

/// Name of the series that says which alerts are active.
pub const ALERTS: &str = "ALERTS";
/// Name of the series that carries since when they are, in seconds; `for` is restored from it.
pub const ALERTS_FOR_STATE: &str = "ALERTS_FOR_STATE";
/// Label that carries the rule's name.
pub const ALERT_NAME: &str = "alertname";
/// Label of [`ALERTS`] that says pending or firing.
pub const ALERT_STATE: &str = "alertstate";

/// How long a resolved alert is kept, and sent again as resolved.
const RESOLVED_RETENTION_MS: i64 = 15 * 60 * 1000;

/// One result of an alerting rule's expression, its labels expanded.
#[derive(Debug, Clone)]
pub struct Found {
    /// Identity of the alert, `alertname` included.
    pub labels: Labels,
    /// Its annotations, finished or not.
    pub annotations: Annotations,
    /// The result's value.
    pub value: f64,
}

/// The times and bounds of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AlertTiming {
    /// `for`, in milliseconds.
    pub hold_ms: i64,
    /// `keep_firing_for`, in milliseconds.
    pub keep_firing_ms: i64,
    /// The group's limit; 0 = none.
    pub limit: usize,
}

/// Why an evaluation's results cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// Two results have the same labels once the rule's labels are applied.
    #[error("vector contains metrics with the same labelset after applying alert labels")]
    Duplicate,
    /// More alerts than the group allows; all of the rule's alerts are dropped.
    #[error("exceeded limit of {limit} with {found} alerts")]
    Limit {
        /// The limit.
        limit: usize,
        /// How many there were.
        found: usize,
    },
}

/// All alerts of one rule.
#[derive(Debug, Clone, Default)]
pub struct AlertStates {
    alerts: FxHashMap<Labels, Tracked>,
    /// Evaluations so far.
    round: u64,
}

#[derive(Debug, Clone)]
struct Tracked {
    /// Without annotations, which follow.
    alert: Alert,
    annotations: Annotations,
    /// Labels of its `ALERTS` series in the present state.
    series: Labels,
    for_state: Labels,
    /// The last evaluation that gave it.
    round: u64,
}

impl Tracked {
    fn new(found: Found, ts: Timestamp, round: u64) -> Self {
        let for_state = found.labels.with(METRIC_NAME, ALERTS_FOR_STATE);
        let alert = Alert {
            state: AlertState::Pending,
            labels: found.labels,
            annotations: Labels::empty(),
            value: found.value,
            active_at: ts,
            fired_at: 0,
            resolved_at: 0,
            last_sent_at: 0,
            valid_until: 0,
            keep_firing_since: 0,
        };
        let (annotations, series) = (found.annotations, Labels::empty());
        let mut tracked = Self { alert, annotations, series, for_state, round };
        tracked.enter(AlertState::Pending);
        tracked
    }

    fn enter(&mut self, state: AlertState) {
        self.alert.state = state;
        let word = state.to_string();
        self.series = self.alert.labels.with(METRIC_NAME, ALERTS).with(ALERT_STATE, &word);
    }

    /// The alert with its annotations.
    fn whole(&self) -> Alert {
        Alert { annotations: self.annotations.expand(), ..self.alert.clone() }
    }
}

impl AlertStates {
    /// Takes the results of one evaluation at `ts`.
    ///
    /// # Errors
    /// [`StepError::Duplicate`] leaves everything as it was; [`StepError::Limit`] drops all alerts of the rule.
    pub fn step(&mut self, ts: Timestamp, results: Vec<Found>, timing: &AlertTiming) -> Result<(), StepError> {
        if has_duplicates(&results) {
            return Err(StepError::Duplicate);
        }
        self.step_distinct(ts, results.into_iter(), timing)
    }

    /// The same for results of which no two have the same labels.
    pub(super) fn step_distinct(
        &mut self,
        ts: Timestamp,
        results: impl Iterator<Item = Found>,
        timing: &AlertTiming,
    ) -> Result<(), StepError> {
        self.round += 1;
        for result in results {
            self.found(ts, result);
        }
        let (mut active, round) = (0, self.round);
        self.alerts.retain(|_, tracked| {
            let keep = advance(tracked, tracked.round == round, ts, timing);
            active += usize::from(keep && tracked.alert.state != AlertState::Inactive);
            keep
        });
        if timing.limit > 0 && active > timing.limit {
            self.alerts.clear();
            return Err(StepError::Limit { limit: timing.limit, found: active });
        }
        Ok(())
    }

    fn found(&mut self, ts: Timestamp, result: Found) {
        match self.alerts.get_mut(&result.labels) {
            Some(tracked) if tracked.alert.state != AlertState::Inactive => {
                tracked.alert.value = result.value;
                tracked.annotations = result.annotations;
                tracked.round = self.round;
            }
            _ => {
                self.alerts.insert(result.labels.clone(), Tracked::new(result, ts, self.round));
            }
        }
    }

    /// Samples of the active alerts: `ALERTS` with value 1 and `ALERTS_FOR_STATE` with the second since when.
    pub fn samples(&self) -> impl Iterator<Item = (&Labels, f64)> {
        let active = self.alerts.values().filter(|tracked| tracked.alert.state != AlertState::Inactive);
        active.flat_map(|tracked| {
            let since = tracked.alert.active_at.div_euclid(1000) as f64;
            [(&tracked.series, 1.0), (&tracked.for_state, since)]
        })
    }

    /// The alerts that must be sent at `ts`: firing or resolved, never sent, resolved since, or due again. They are
    /// marked as sent, and valid for four times the longer of interval and resend delay.
    pub fn take_due(&mut self, ts: Timestamp, resend_delay_ms: i64, interval_ms: i64) -> Vec<Alert> {
        let mut due = Vec::new();
        for tracked in self.alerts.values_mut() {
            if needs_sending(&tracked.alert, ts, resend_delay_ms) {
                tracked.alert.last_sent_at = ts;
                tracked.alert.valid_until = ts + 4 * resend_delay_ms.max(interval_ms);
                due.push(tracked.whole());
            }
        }
        due.sort_by(|a, b| a.labels.cmp(&b.labels));
        due
    }

    /// Pending and firing alerts, sorted by labels.
    pub fn active(&self) -> Vec<Alert> {
        let active = self.alerts.values().filter(|tracked| tracked.alert.resolved_at == 0);
        let mut list: Vec<Alert> = active.map(Tracked::whole).collect();
        list.sort_by(|a, b| a.labels.cmp(&b.labels));
        list
    }

    /// How many are pending, and how many firing.
    pub(super) fn counts(&self) -> (usize, usize) {
        let count = |state| {
            self.alerts
                .values()
                .filter(|tracked| tracked.alert.resolved_at == 0 && tracked.alert.state == state)
                .count()
        };
        (count(AlertState::Pending), count(AlertState::Firing))
    }

    /// The worst state of all alerts.
    pub fn state(&self) -> AlertState {
        self.alerts.values().map(|tracked| tracked.alert.state).max().unwrap_or(AlertState::Inactive)
    }

    /// Whether there is no alert, resolved ones included.
    pub fn is_empty(&self) -> bool {
        self.alerts.is_empty()
    }

    /// Lets `restore` change since when each alert is active; it gets the alert's labels.
    pub(super) fn restore(&mut self, mut restore: impl FnMut(&Labels) -> Option<Timestamp>) {
        for tracked in self.alerts.values_mut() {
            if let Some(active_at) = restore(&tracked.alert.labels) {
                tracked.alert.active_at = active_at;
            }
        }
    }
}

fn has_duplicates(results: &[Found]) -> bool {
    if results.len() < 2 {
        return false;
    }
    let mut seen = FxHashSet::with_capacity_and_hasher(results.len(), Default::default());
    !results.iter().all(|result| seen.insert(&result.labels))
}

/// Moves one alert on to `ts`; `false` when it is to be forgotten.
fn advance(tracked: &mut Tracked, found: bool, ts: Timestamp, timing: &AlertTiming) -> bool {
    if found {
        tracked.alert.keep_firing_since = 0;
    } else if !keeps_firing(&mut tracked.alert, ts, timing) {
        return end(&mut tracked.alert, ts);
    }
    if tracked.alert.state == AlertState::Pending && ts - tracked.alert.active_at >= timing.hold_ms {
        tracked.enter(AlertState::Firing);
        tracked.alert.fired_at = ts;
    }
    true
}

fn keeps_firing(alert: &mut Alert, ts: Timestamp, timing: &AlertTiming) -> bool {
    if alert.state != AlertState::Firing || timing.keep_firing_ms == 0 {
        return false;
    }
    if alert.keep_firing_since == 0 {
        alert.keep_firing_since = ts;
    }
    ts - alert.keep_firing_since < timing.keep_firing_ms
}

/// The expression gives the alert no more: a pending one is forgotten, a firing one resolves and stays for a while, so
/// that receivers hear of its end even after a lost message.
fn end(alert: &mut Alert, ts: Timestamp) -> bool {
    match alert.state {
        AlertState::Pending => false,
        AlertState::Firing => {
            alert.state = AlertState::Inactive;
            alert.resolved_at = ts;
            true
        }
        AlertState::Inactive => ts - alert.resolved_at <= RESOLVED_RETENTION_MS,
    }
}

fn needs_sending(alert: &Alert, ts: Timestamp, resend_delay_ms: i64) -> bool {
    match alert.state {
        AlertState::Pending => false,
        _ if alert.last_sent_at == 0 || alert.resolved_at > alert.last_sent_at => true,
        _ => alert.last_sent_at + resend_delay_ms < ts,
    }
}

#[cfg(test)]
mod tests;
