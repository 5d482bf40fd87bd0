//! All groups: which are due, and what a reload changes. Time is a parameter; the manager has the clock.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::clock::Clock;
use crate::model::{GroupId, Intern, Timestamp};
use crate::storage::Querier;

use super::config::{RulesConfig, millis};
use super::counters::RuleCounters;
use super::doors::{NotifySink, RuleQueries, RuleSink};
use super::group::{Env, Group};
use super::series::{RuleSeries, SeriesPool, TickWriter};
use super::spec::RuleFile;
use super::state::GroupShared;
use super::view::GroupView;

/// The rooms that rules work with.
#[derive(Clone)]
pub struct RuleDeps {
    /// Evaluates expressions.
    pub queries: Arc<dyn RuleQueries>,
    /// Reads what was recorded before a restart.
    pub querier: Arc<dyn Querier>,
    /// Issues references of the series that rules write.
    pub intern: Arc<dyn Intern>,
    /// Takes the samples that rules make.
    pub sink: Arc<dyn RuleSink>,
    /// Takes the alerts that are due.
    pub notify: Arc<dyn NotifySink>,
    /// Wall time, for "last evaluation".
    pub clock: Clock,
}

/// The groups that views show; swapped whole by a reload.
pub(super) type SharedGroups = Arc<ArcSwap<Vec<Arc<GroupShared>>>>;

/// Groups, their series and their slots, without a clock of its own: [`super::RuleManager`] drives it in time, tests and
/// benchmarks as they like.
pub struct RuleRunner {
    deps: RuleDeps,
    config: Arc<RulesConfig>,
    counters: Arc<RuleCounters>,
    pool: SeriesPool,
    groups: Vec<Group>,
    orphans: Vec<Orphan>,
    shown: SharedGroups,
    loaded_before: bool,
}

/// The series of a group that is gone. They end two intervals later, so that a renamed group takes them over first.
struct Orphan {
    id: GroupId,
    series: Vec<RuleSeries>,
    due: Timestamp,
}

impl RuleRunner {
    /// A runner without rules.
    pub fn new(deps: RuleDeps) -> Self {
        Self::sharing(deps, Arc::default(), SharedGroups::new(ArcSwap::default()))
    }

    /// The first load restores nothing: there was no life before this one.
    pub fn without_restore(mut self) -> Self {
        self.loaded_before = true;
        self
    }

    pub(super) fn sharing(deps: RuleDeps, counters: Arc<RuleCounters>, shown: SharedGroups) -> Self {
        let pool = SeriesPool::new(Arc::clone(&deps.intern));
        let config = Arc::<RulesConfig>::default();
        Self { deps, config, counters, pool, groups: Vec::new(), orphans: Vec::new(), shown, loaded_before: false }
    }

    /// Replaces all groups. A group that did not change goes on untouched; of a changed one, rules with the same name
    /// and labels keep their alerts and series. The first load restores `for` from before a restart.
    pub fn load(&mut self, config: RulesConfig, files: &[RuleFile], now: Timestamp) {
        let restore = !std::mem::replace(&mut self.loaded_before, true);
        let name = |group: &Group| (Arc::clone(&group.shared.spec.file), group.shared.spec.name.clone());
        let mut old: HashMap<_, _> = self.groups.drain(..).map(|group| (name(&group), group)).collect();
        for spec in files.iter().flat_map(|file| &file.groups) {
            let group = match old.remove(&(Arc::clone(&spec.file), spec.name.clone())) {
                Some(group) if group.is_same(spec, &config) => group,
                Some(group) => {
                    let mut changed = Group::new(Arc::clone(spec), &config, group.id, now, false);
                    changed.adopt(group);
                    changed
                }
                None => {
                    let interval = spec.interval.unwrap_or(config.evaluation_interval);
                    let id = self.deps.sink.register_group(&spec.file, &spec.name, interval);
                    Group::new(Arc::clone(spec), &config, id, now, restore)
                }
            };
            self.groups.push(group);
        }
        for group in old.into_values() {
            let due = now + 2 * millis(group.shared.interval);
            self.orphans.push(Orphan { id: group.id, due, series: group.into_series() });
        }
        self.groups.sort_by(|a, b| {
            let (a, b) = (&a.shared.spec, &b.shared.spec);
            (&a.file, &a.name).cmp(&(&b.file, &b.name))
        });
        self.shown.store(Arc::new(self.groups.iter().map(|group| Arc::clone(&group.shared)).collect()));
        self.config = Arc::new(config);
    }

    /// When the next group is due; `None` without groups.
    pub fn next_due(&self) -> Option<Timestamp> {
        let groups = self.groups.iter().map(|group| group.slots.next());
        groups.chain(self.orphans.iter().map(|orphan| orphan.due)).min()
    }

    /// The longest time that the evaluation of `slot` waits for late sources: half a second, or a fifth of the
    /// shortest interval that is due.
    pub(super) fn patience_ms(&self, slot: Timestamp) -> i64 {
        let due = self.groups.iter().filter(|group| group.slots.next() <= slot);
        due.map(|group| millis(group.shared.interval) / 5).min().unwrap_or(0).min(500)
    }

    /// Evaluates every group that is due at `now`, in the order of their slots; groups of one slot share their queries.
    pub fn run_due(&mut self, now: Timestamp) {
        let mut due: Vec<(Timestamp, i64, usize)> = Vec::new();
        for (i, group) in self.groups.iter_mut().enumerate() {
            if let Some(taken) = group.slots.take(now) {
                due.push((taken.slot, taken.missed, i));
            }
        }
        due.sort_unstable();
        for same_slot in due.chunk_by(|a, b| a.0 == b.0) {
            self.run_slot(same_slot);
        }
        self.end_orphans(now);
        if !due.is_empty() {
            self.deps.sink.settle();
        }
    }

    /// Evaluates every group at `now`, whatever its slots: those that `order` names first, then the others.
    pub fn run_all(&mut self, now: Timestamp, order: &[String]) {
        let place = |i: &usize| {
            let name = &self.groups[*i].shared.spec.name;
            order.iter().position(|first| first == name).unwrap_or(order.len())
        };
        let mut all: Vec<usize> = (0..self.groups.len()).collect();
        all.sort_by_key(place);
        // Groups that are ordered may read each other: nothing is shared between them.
        for i in all {
            self.run_slot(&[(now, 0, i)]);
        }
    }

    /// All groups with their rules and alerts, sorted by file and name.
    pub fn groups(&self) -> Vec<GroupView> {
        self.groups.iter().map(|group| group.shared.view()).collect()
    }

    fn run_slot(&mut self, due: &[(Timestamp, i64, usize)]) {
        let tick = self.deps.queries.tick();
        let env = Env {
            queries: &*tick,
            querier: &*self.deps.querier,
            config: &self.config,
            sink: &*self.deps.sink,
            notify: &*self.deps.notify,
            pool: &self.pool,
            counters: &self.counters,
            clock: &self.deps.clock,
        };
        for (slot, missed, i) in due {
            RuleCounters::add(&self.counters.iterations, 1 + missed.unsigned_abs() as usize);
            RuleCounters::add(&self.counters.iterations_missed, missed.unsigned_abs() as usize);
            self.groups[*i].evaluate(*slot, *missed, &env);
        }
    }

    fn end_orphans(&mut self, now: Timestamp) {
        for orphan in self.orphans.extract_if(.., |orphan| orphan.due <= now) {
            let mut out = TickWriter::new(orphan.id, orphan.due, false, false);
            for mut series in orphan.series {
                series.end(&self.pool, &mut out);
            }
            let (batch, ended) = out.finish();
            if !batch.is_empty() && self.deps.sink.write(batch).is_err() {
                RuleCounters::add(&self.counters.write_failures, 1);
            }
            self.pool.release(&ended);
            self.deps.sink.retire_group(orphan.id);
        }
    }
}
