//! `label_replace` and `label_join`: the new labels are the same as long as the old ones are.

use std::sync::Arc;

use rustc_hash::FxHashSet;

use crate::model::{Labels, METRIC_NAME};
use crate::promql::functions::{Expansion, is_valid_label_name, join};
use crate::promql::plan::Call;
use crate::promql::result::QueryError;

use super::block::Dropped;
use super::call::{arg, text};
use super::memo::{LABELS_BYTES, Learned, Recipe, SharedLabels, Task};
use super::{Block, Eval, Grid, Out, merge_rows, unshare};

/// The labels of a block after the change.
struct Relabeled {
    labels: SharedLabels,
    /// Whether they all differ.
    unique: bool,
    /// Rows that got another name: it stays, whatever was to be dropped.
    named: Option<Vec<bool>>,
}

impl Learned for Relabeled {
    fn bytes(&self) -> usize {
        self.labels.len() * LABELS_BYTES
    }
}

impl Eval<'_> {
    pub(super) fn label_replace(&mut self, call: &Call, grid: Grid) -> Result<Out, QueryError> {
        let [destination, replacement, source, pattern] =
            [text(arg(call, 1)?)?, text(arg(call, 2)?)?, text(arg(call, 3)?)?, text(arg(call, 4)?)?];
        let block = self.vector_arg(call, 0, grid)?;
        let recipe = Recipe::new(Task::Replace).texts(&[&destination, &replacement, &source, &pattern]);
        let relabeled = self.memo.try_recall(recipe, &[&block.labels], || {
            let expansion = Expansion::new(&pattern, &replacement)?;
            if !is_valid_label_name(&destination) {
                let text = format!("invalid destination label name in label_replace(): {destination}");
                return Err(QueryError::Execution(text));
            }
            Ok(Relabeled::of(&block.labels, &destination, |labels| expansion.apply(labels.get(&source))))
        })?;
        relabeled.put_on(block)
    }

    pub(super) fn label_join(&mut self, call: &Call, grid: Grid) -> Result<Out, QueryError> {
        let (destination, separator) = (text(arg(call, 1)?)?, text(arg(call, 2)?)?);
        let sources: Vec<Arc<str>> = call.args[3..].iter().map(text).collect::<Result<_, _>>()?;
        if let Some(bad) = sources.iter().find(|name| !is_valid_label_name(name)) {
            return Err(QueryError::Execution(format!("invalid source label name in label_join(): {bad}")));
        }
        if !is_valid_label_name(&destination) {
            let text = format!("invalid destination label name in label_join(): {destination}");
            return Err(QueryError::Execution(text));
        }
        let block = self.vector_arg(call, 0, grid)?;
        let recipe = Recipe::new(Task::Join).text(&destination).text(&separator).texts(&sources);
        let relabeled = self.memo.recall(recipe, &[&block.labels], || {
            Relabeled::of(&block.labels, &destination, |labels| {
                Some(join(sources.iter().map(|name| labels.get(name)), &separator))
            })
        });
        relabeled.put_on(block)
    }
}

impl Relabeled {
    /// Sets a label of each row to what `value` says.
    fn of(rows: &[Labels], destination: &str, value: impl Fn(&Labels) -> Option<String>) -> Self {
        let mut named = (destination == METRIC_NAME).then(|| vec![false; rows.len()]);
        let mut labels = Vec::with_capacity(rows.len());
        for (row, old) in rows.iter().enumerate() {
            let Some(value) = value(old) else {
                labels.push(old.clone());
                continue;
            };
            if let Some(named) = &mut named {
                named[row] = true;
            }
            labels.push(if old.get(destination) == value { old.clone() } else { old.with(destination, &value) });
        }
        let mut seen: FxHashSet<&Labels> = FxHashSet::default();
        seen.reserve(labels.len());
        let unique = labels.iter().all(|labels| seen.insert(labels));
        Self { labels: Arc::new(labels), unique, named }
    }

    fn put_on(&self, block: Arc<Block>) -> Result<Out, QueryError> {
        let mut block = unshare(block);
        if let Some(named) = self.named.as_ref().filter(|_| block.dropped != Dropped::None) {
            let rows = named.iter().enumerate().map(|(row, named)| !named && block.dropped.get(row));
            block.dropped = Dropped::from_rows(rows.collect());
        }
        block.labels = Arc::clone(&self.labels);
        if self.unique { Ok(Out::block(block)) } else { merge_rows(block).map(Out::block) }
    }
}
