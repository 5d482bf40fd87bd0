//! What rule evaluation needs from other rooms, as small traits: `app` plugs the real ones in, tests their own.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::model::{Alert, Batch, GroupId, Labels, Timestamp, Value};
use crate::promql::parser::Expr;
use crate::promql::{Prepared, QueryError, QueryResult, WrittenNames};
use crate::storage::StorageError;

use super::spec::{GroupSpec, RuleSpec};

/// Evaluates expressions, a tick at a time.
pub trait RuleQueries: Send + Sync {
    /// Begins a tick: whatever its evaluations have in common may be worked out once, until it is dropped.
    fn tick(&self) -> Box<dyn TickQueries + '_>;
}

/// The queries of one tick.
pub trait TickQueries {
    /// Evaluates an expression at one time. `earlier` is there when the expression may read what earlier rules of the
    /// group wrote in this tick; without it, all work may be shared with other expressions.
    ///
    /// # Errors
    /// As the engine says.
    fn eval(&self, expr: &Expr, ts: Timestamp, earlier: Option<Earlier<'_>>) -> Result<QueryResult, QueryError>;

    /// Evaluates a rule's expression, which comes back every tick: what was prepared for it may be kept in `plan`,
    /// which is the rule's own.
    ///
    /// # Errors
    /// As the engine says.
    fn eval_rule(
        &self,
        rule: &RuleSpec,
        plan: &RulePlan,
        ts: Timestamp,
        earlier: Option<Earlier<'_>>,
    ) -> Result<QueryResult, QueryError> {
        let _ = plan;
        self.eval(&rule.expr, ts, earlier)
    }
}

/// A rule's expression, prepared once for all its evaluations. A rule whose file changed gets a new one.
#[derive(Debug, Default)]
pub struct RulePlan(OnceLock<Prepared>);

impl RulePlan {
    /// What was prepared, by `prepare` when it is the first time.
    ///
    /// # Errors
    /// Those of `prepare`; it is asked again the next time.
    pub fn get_or_prepare(
        &self,
        prepare: impl FnOnce() -> Result<Prepared, QueryError>,
    ) -> Result<&Prepared, QueryError> {
        match self.0.get() {
            Some(prepared) => Ok(prepared),
            None => prepare().map(|prepared| self.0.get_or_init(|| prepared)),
        }
    }
}

/// What earlier rules of a group wrote in this tick.
#[derive(Debug, Clone, Copy)]
pub struct Earlier<'a> {
    /// The samples, which storage does not have yet.
    pub samples: &'a [Written],
    /// Names of all series that rules of the group record: selectors that may see one are not shared.
    pub names: &'a Arc<WrittenNames>,
}

/// A sample that a rule of this tick made, before it reaches storage.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    /// Labels of its series, the name included.
    pub labels: Labels,
    /// Its time.
    pub ts: Timestamp,
    /// Its value; the stale marker where a series ended.
    pub value: Value,
}

/// Where the samples of rules go. One batch a group and tick.
///
/// A series ends with a stale marker in the batch and with nothing else: one that is missing belongs to a rule that
/// failed, and nothing is known of it. So batches go to the store as they are, not through a door that ends what is
/// missing.
pub trait RuleSink: Send + Sync {
    /// A group begins to write.
    fn register_group(&self, file: &str, name: &str, interval: Duration) -> GroupId;

    /// A group will not write any more.
    fn retire_group(&self, group: GroupId);

    /// Writes a tick. It must be readable when [`RuleSink::settle`] returns; rules of the same group and tick do not
    /// depend on it.
    ///
    /// # Errors
    /// When the store refuses it.
    fn write(&self, batch: Batch) -> Result<(), StorageError>;

    /// The end of a tick: returns when everything that was written can be read. For stores that write at once there
    /// is nothing to do.
    fn settle(&self) {}
}

/// Alerts of one rule that receivers should hear of.
#[derive(Debug, Clone)]
pub struct Notice {
    /// The group.
    pub group: Arc<GroupSpec>,
    /// The rule.
    pub rule: Arc<RuleSpec>,
    /// Firing ones, and resolved ones (`resolved_at` is not 0), sorted by labels.
    pub alerts: Vec<Alert>,
}

/// Where alerts go. Must not block: evaluation waits for it.
pub trait NotifySink: Send + Sync {
    /// Hands over alerts that are due: new, resolved, or due to be sent again.
    fn notify(&self, notice: Notice);
}

/// Drops alerts: for runs without receivers.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoNotifications;

impl NotifySink for NoNotifications {
    fn notify(&self, _notice: Notice) {}
}
