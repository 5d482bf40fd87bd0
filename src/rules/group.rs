//! One group: evaluates its rules in order at a slot and writes what they give as one batch.

use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use crate::clock::{Clock, Stopwatch};
use crate::model::{GroupId, Labels, Timestamp, Value};
use crate::promql::WrittenNames;
use crate::storage::Querier;

use super::alerting::AlertTiming;
use super::config::{RulesConfig, millis};
use super::counters::RuleCounters;
use super::doors::{Earlier, Notice, NotifySink, RulePlan, RuleSink, TickQueries};
use super::evaluate::{FoundAlerts, RuleError, RuleEval};
use super::kept::KeptLabels;
use super::reads;
use super::restore::{self, RestoreTimes};
use super::series::{RuleSeries, SeriesPool, TickWriter, WriteFaults};
use super::slots::Slots;
use super::spec::{AlertSpec, GroupSpec};
use super::state::{GroupShared, RuleShared, RuleState};
use super::view::RuleHealth;

/// What an evaluation needs beside the group.
pub(super) struct Env<'a> {
    pub(super) queries: &'a dyn TickQueries,
    pub(super) querier: &'a dyn Querier,
    pub(super) config: &'a Arc<RulesConfig>,
    pub(super) sink: &'a dyn RuleSink,
    pub(super) notify: &'a dyn NotifySink,
    pub(super) pool: &'a SeriesPool,
    pub(super) counters: &'a RuleCounters,
    pub(super) clock: &'a Clock,
}

/// A group that runs.
pub(super) struct Group {
    pub(super) shared: Arc<GroupShared>,
    pub(super) slots: Slots,
    pub(super) id: GroupId,
    /// What each rule keeps from one evaluation to the next.
    work: Vec<RuleWork>,
    /// Series of rules that an earlier version of the group had; they end with the next evaluation.
    leftovers: Vec<RuleSeries>,
    reads_earlier: Vec<bool>,
    shares_outputs: bool,
    /// Names that its recording rules write.
    recorded: Arc<WrittenNames>,
    /// Evaluations until `for` is restored; `None` when that is done.
    restore_in: Option<u32>,
    last_slot: Timestamp,
}

/// What only the evaluation of a rule sees of it.
#[derive(Default)]
struct RuleWork {
    plan: RulePlan,
    kept: KeptLabels,
    series: RuleSeries,
}

impl Group {
    /// A new group. With `restore`, `for` comes back after its second evaluation, when scrapes and recording rules
    /// have delivered again.
    pub(super) fn new(spec: Arc<GroupSpec>, config: &RulesConfig, id: GroupId, now: Timestamp, restore: bool) -> Self {
        let interval = spec.interval.unwrap_or(config.evaluation_interval);
        let state = RuleState { restored: !restore, ..RuleState::default() };
        let rules =
            spec.rules.iter().map(|rule| RuleShared { spec: Arc::clone(rule), state: Mutex::new(state.clone()) });
        let shared = GroupShared {
            interval,
            query_offset: spec.query_offset.unwrap_or(config.query_offset),
            stats: Mutex::default(),
            rules: rules.collect(),
            spec: Arc::clone(&spec),
        };
        Self {
            shared: Arc::new(shared),
            slots: Slots::starting(now, millis(interval)),
            id,
            work: spec.rules.iter().map(|_| RuleWork::default()).collect(),
            leftovers: Vec::new(),
            reads_earlier: reads::reads_earlier(&spec),
            shares_outputs: reads::share_outputs(&spec),
            recorded: Arc::new(reads::recorded_names(&spec)),
            restore_in: restore.then_some(2),
            last_slot: Timestamp::MIN,
        }
    }

    /// Whether a reload with this specification and configuration changes nothing.
    pub(super) fn is_same(&self, spec: &GroupSpec, config: &RulesConfig) -> bool {
        *self.shared.spec == *spec
            && self.shared.interval == spec.interval.unwrap_or(config.evaluation_interval)
            && self.shared.query_offset == spec.query_offset.unwrap_or(config.query_offset)
    }

    /// Takes over what an earlier version of the group knows: alerts and series of rules with the same name and labels
    /// (the first with the first, the second with the second).
    pub(super) fn adopt(&mut self, mut old: Self) {
        let mut taken = vec![false; old.work.len()];
        for (i, rule) in self.shared.rules.iter().enumerate() {
            let free = |j: &usize| !taken[*j] && rule.spec.is_successor_of(&old.shared.rules[*j].spec);
            let Some(j) = (0..old.work.len()).find(free) else { continue };
            taken[j] = true;
            self.work[i].series = std::mem::take(&mut old.work[j].series);
            *rule.state.lock() = old.shared.rules[j].state.lock().clone();
        }
        self.leftovers = old.leftovers;
        self.leftovers.extend(old.work.into_iter().map(|work| work.series).filter(|series| !series.is_empty()));
        *self.shared.stats.lock() = *old.shared.stats.lock();
        self.restore_in = old.restore_in;
        self.last_slot = old.last_slot;
        // The slot that was just evaluated is not evaluated again.
        while self.slots.next() <= self.last_slot {
            self.slots.take(self.slots.next());
        }
    }

    /// The series of all its rules, for the group that ends.
    pub(super) fn into_series(self) -> Vec<RuleSeries> {
        self.work.into_iter().map(|work| work.series).chain(self.leftovers).collect()
    }

    /// Evaluates all rules at `slot`, writes their samples and hands over the alerts that are due.
    pub(super) fn evaluate(&mut self, slot: Timestamp, missed: i64, env: &Env<'_>) {
        let watch = Stopwatch::start();
        let started = env.clock.now();
        let at = slot - millis(self.shared.query_offset);
        let has_readers = self.reads_earlier.contains(&true);
        let mut out = TickWriter::new(self.id, at, self.shares_outputs, has_readers);
        let rules = self.shared.rules.len();
        let fine = (0..rules).filter(|i| self.evaluate_rule(*i, slot, at, &mut out, env)).count();
        RuleCounters::add(&env.counters.evaluations, rules);
        RuleCounters::add(&env.counters.evaluation_failures, rules - fine);
        for mut series in self.leftovers.drain(..) {
            series.end(env.pool, &mut out);
        }
        let samples = self.write(out, env);
        {
            let mut stats = self.shared.stats.lock();
            stats.evaluation_time = watch.elapsed();
            stats.last_evaluation = started;
            stats.missed += missed.unsigned_abs();
            stats.last_samples = samples as u64;
        }
        env.counters.add_time(watch.elapsed());
        self.last_slot = slot;
        self.restore_when_due(slot, env);
    }

    /// Whether the rule is fine.
    fn evaluate_rule(&mut self, i: usize, slot: Timestamp, at: Timestamp, out: &mut TickWriter, env: &Env<'_>) -> bool {
        let watch = Stopwatch::start();
        let started = env.clock.now();
        let (group, rule, work) = (&*self.shared, &self.shared.rules[i], &mut self.work[i]);
        let eval = RuleEval {
            queries: env.queries,
            config: env.config,
            slot,
            at,
            earlier: self.reads_earlier[i].then(|| Earlier { samples: out.written(), names: &self.recorded }),
            limit: group.spec.limit as usize,
        };
        let results = eval.results(&rule.spec, &work.plan);
        let outcome = match (results, rule.spec.alert()) {
            (Ok(results), None) => eval.record(&rule.spec, results, &mut work.kept).map(|samples| {
                let faults =
                    work.series.write(samples.iter().map(|(labels, value)| (labels, value.clone())), env.pool, out);
                (rule.state.lock(), faults)
            }),
            (Ok(results), Some(alert)) => {
                let found = eval.found(&rule.spec, alert, results, &mut work.kept);
                group.alert(rule, alert, found, slot, env).map(|state| {
                    let faults = work.series.write(alert_samples(&state), env.pool, out);
                    (state, faults)
                })
            }
            (Err(error), _) => Err(error),
        };
        let (mut state, error) = match outcome {
            Ok((state, faults)) => (state, describe(faults, env.counters)),
            // Nothing is known of the rule's series, so none of them ends.
            Err(error) => (rule.state.lock(), Some(error.to_string())),
        };
        let is_fine = error.is_none();
        state.health = if is_fine { RuleHealth::Ok } else { RuleHealth::Err };
        state.last_error = error;
        state.evaluation_time = watch.elapsed();
        state.last_evaluation = started;
        is_fine
    }

    fn write(&self, out: TickWriter, env: &Env<'_>) -> usize {
        let (batch, ended) = out.finish();
        let samples = batch.len();
        if samples > 0 {
            RuleCounters::add(&env.counters.samples, samples);
            if let Err(error) = env.sink.write(batch) {
                RuleCounters::add(&env.counters.write_failures, 1);
                for rule in &self.shared.rules {
                    let mut state = rule.state.lock();
                    state.health = RuleHealth::Err;
                    state.last_error = Some(error.to_string());
                }
            }
        }
        env.pool.release(&ended);
        samples
    }

    fn restore_when_due(&mut self, slot: Timestamp, env: &Env<'_>) {
        let Some(left) = self.restore_in else { return };
        self.restore_in = left.checked_sub(1).filter(|left| *left > 0);
        if self.restore_in.is_none() {
            for rule in &self.shared.rules {
                restore_rule(rule, slot, env);
            }
        }
    }
}

impl GroupShared {
    /// Takes an alerting rule one step on and hands over what is due. Alerts go out before their series are written:
    /// nobody should wait for the store. The rule's state comes back locked, so that the rest needs no second lock.
    fn alert<'a>(
        &self,
        rule: &'a RuleShared,
        alert: &AlertSpec,
        found: FoundAlerts,
        slot: Timestamp,
        env: &Env<'_>,
    ) -> Result<MutexGuard<'a, RuleState>, RuleError> {
        let timing = AlertTiming {
            hold_ms: millis(alert.hold),
            keep_firing_ms: millis(alert.keep_firing_for),
            limit: self.spec.limit as usize,
        };
        let mut state = rule.state.lock();
        found.step(slot, &timing, &mut state.alerts)?;
        let due = state.alerts.take_due(slot, millis(env.config.resend_delay), millis(self.interval));
        if !due.is_empty() {
            RuleCounters::add(&env.counters.alerts_sent, due.len());
            let notice = Notice { group: Arc::clone(&self.spec), rule: Arc::clone(&rule.spec), alerts: due };
            MutexGuard::unlocked(&mut state, || env.notify.notify(notice));
        }
        Ok(state)
    }
}

/// What an alerting rule writes: nothing before its `for` is restored, for that would hide what is to be restored.
fn alert_samples(state: &RuleState) -> impl Iterator<Item = (&Labels, Value)> {
    let alerts = state.restored.then(|| state.alerts.samples()).into_iter().flatten();
    alerts.map(|(labels, value)| (labels, Value::Float(value)))
}

/// What the rule's health says of samples that could not be written.
fn describe(faults: WriteFaults, counters: &RuleCounters) -> Option<String> {
    if faults == WriteFaults::default() {
        return None;
    }
    RuleCounters::add(&counters.samples_refused, faults.refused);
    RuleCounters::add(&counters.samples_duplicate, faults.duplicates);
    match (faults.refused, faults.duplicates) {
        (0, n) => {
            Some(format!("duplicate sample for timestamp: another rule of the group writes to {n} of its series"))
        }
        (n, _) => Some(format!("{n} series were left out: a limit of series refuses them (storage.limits)")),
    }
}

/// Looks up since when the rule's alerts are active. An alert with a `for` shorter than the grace period simply waits
/// for its `for` again.
fn restore_rule(rule: &RuleShared, now: Timestamp, env: &Env<'_>) {
    let Some(alert) = rule.spec.alert() else { return };
    let times = RestoreTimes { now, hold_ms: millis(alert.hold), grace_ms: millis(env.config.grace_period) };
    let has_alerts = !rule.state.lock().alerts.is_empty();
    let last = match times.hold_ms >= times.grace_ms && has_alerts {
        true => restore::last_samples(env.querier, &rule.spec.name, now, millis(env.config.outage_tolerance)),
        false => Ok(Default::default()),
    };
    let mut state = rule.state.lock();
    // A store that cannot be read does not hold alerts back: they wait for their whole `for` again.
    if let Ok(last) = last {
        state.alerts.restore(|labels| restore::active_at(*last.get(labels)?, times));
    }
    state.restored = true;
}
