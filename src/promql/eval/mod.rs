//! The evaluator: one operator a file, all of them loops over the columns of a [`Block`].

mod absent;
mod aggregate;
mod aggregate_rows;
mod arithmetic;
mod bands;
mod binary;
mod block;
mod buckets;
mod budget;
mod call;
mod count_values;
mod extend;
mod finish;
mod fold;
mod grid;
mod grouping;
mod info;
mod join;
mod label_index;
mod matching;
mod memo;
mod merge;
mod newest;
mod pairs;
mod range_source;
mod relabel;
mod rolled;
mod samples;
mod selector;
mod series_hash;
mod set_ops;
mod split;
mod stream;
mod target;
mod window;
mod window_rows;

use std::sync::Arc;

use crate::model::Timestamp;
use crate::storage::Querier;

use super::annotate::{Note, Notes};
use super::cache::{CacheEntry, TickCache, WrittenNames};
use super::deep;
use super::parser::Pos;
use super::plan::{Kind, Meaning, Node, Plan, QueryTimes, uses};
use super::result::{QueryError, QueryResult};

pub(crate) use block::{Block, Dropped, unshare, without_metadata};
pub(crate) use budget::{Budget, Patience};
pub(crate) use extend::Ends;
pub(crate) use grid::Grid;
pub(crate) use memo::Memo;
pub(crate) use merge::{merge_rows, same_labelset};
pub(crate) use samples::{Samples, seek};

/// What does not change during a query.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    /// Milliseconds that an instant selector looks back.
    pub(crate) lookback: i64,
    pub(crate) max_samples: usize,
}

/// The value of a node over its grid.
#[derive(Debug, Clone)]
pub(crate) enum Out {
    /// One number a step.
    Scalar(Vec<f64>),
    Vector(Arc<Block>),
    Text(Arc<str>),
}

/// One query being evaluated.
pub(crate) struct Eval<'a> {
    pub(crate) querier: &'a dyn Querier,
    pub(crate) settings: Settings,
    pub(crate) notes: Notes,
    pub(crate) budget: Budget,
    /// Whether this is a range query (sorting has no effect there).
    pub(crate) is_range: bool,
    memo: &'a Memo,
    sharing: Option<Sharing<'a>>,
}

/// What a query finds and does not change, and how it was written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Surroundings<'a> {
    pub(crate) memo: &'a Memo,
    /// Results of the tick, for rules.
    pub(crate) cache: Option<&'a TickCache>,
    /// Names that the cache may not be asked for.
    pub(crate) written: Option<&'a WrittenNames>,
    /// Gives annotations their line.
    pub(crate) text: Option<&'a str>,
}

struct Sharing<'a> {
    cache: &'a TickCache,
    written: Option<&'a WrittenNames>,
    /// Whether the plan stays for later ticks.
    stays: bool,
    /// How many plans hold the innermost node around this one that is computed for the cache.
    around: usize,
}

/// Runs a plan.
///
/// # Errors
/// [`QueryError`] says which kind of failure it was.
pub(crate) fn run(
    querier: &dyn Querier,
    plan: &Plan,
    times: QueryTimes,
    settings: Settings,
    budget: Budget,
    Surroundings { memo, cache, written, text }: Surroundings<'_>,
) -> Result<QueryResult, QueryError> {
    let written = written.filter(|written| !written.is_empty());
    let sharing = cache.map(|cache| Sharing { cache, written, stays: plan.stays, around: 0 });
    let is_range = times.is_range();
    let mut eval = Eval { querier, settings, notes: Notes::default(), budget, is_range, memo, sharing };
    let value = eval.finish(plan, times)?;
    // Rows that storage was lending when the query was stopped are holes.
    eval.budget.check()?;
    let stats = eval.budget.stats();
    Ok(QueryResult { value, annotations: eval.notes.finish(text), stats })
}

impl Eval<'_> {
    /// The node's value at every step of the grid.
    pub(crate) fn eval(&mut self, node: &Node, grid: Grid) -> Result<Out, QueryError> {
        deep(|| self.level(node, grid))
    }

    fn level(&mut self, node: &Node, grid: Grid) -> Result<Out, QueryError> {
        self.budget.work(64)?;
        self.budget.room_for(1, grid.len)?;
        let before = self.budget.held();
        let out = self.eval_once_or_shared(node, grid)?;
        self.budget.settle(before, out.cells(), || out.samples())?;
        Ok(out)
    }

    fn eval_once_or_shared(&mut self, node: &Node, grid: Grid) -> Result<Out, QueryError> {
        if node.invariant && grid.len > 1 && !matches!(node.kind, Kind::Number(_) | Kind::Text(_)) {
            let outer = self.budget.count_apart();
            let once = self.eval(node, Grid::single(grid.start));
            let read = self.budget.count_on(outer);
            self.budget.read_every_step(grid.len, read);
            let once = once?;
            self.budget.room_for(once.cells(), grid.len)?;
            return Ok(repeat(once, grid.len));
        }
        match self.shared(node, grid) {
            Some(meaning) => self.eval_shared(node, grid, meaning),
            None => self.compute(node, grid),
        }
    }

    fn compute(&mut self, node: &Node, grid: Grid) -> Result<Out, QueryError> {
        match &node.kind {
            Kind::Number(value) => Ok(Out::Scalar(vec![*value; grid.len])),
            Kind::Text(text) => Ok(Out::Text(Arc::clone(text))),
            Kind::Negate(inner) => self.negate(inner, grid),
            Kind::Binary(binary) => self.binary(binary, node.pos, grid),
            Kind::Aggregate(aggregate) => self.aggregate(aggregate, grid).map(Out::block),
            Kind::Call(call) => self.call(call, node.pos, grid),
            Kind::Absent { arg, labels } => self.absent(arg, labels, grid).map(Out::block),
            Kind::SampleTime { selector, start } => self.sample_time(selector, *start, node.pos, grid).map(Out::block),
            Kind::Window(window) => self.window(window, grid).map(Out::block),
            Kind::Vector(selector) => self.vector_selector(selector, node.pos, grid).map(Out::block),
            Kind::Info(info) => self.info(info, grid).map(Out::block),
            Kind::Matrix(_) => Err(unexpected("range vector")),
        }
    }

    /// The node's value, which must be an instant vector.
    pub(crate) fn eval_vector(&mut self, node: &Node, grid: Grid) -> Result<Arc<Block>, QueryError> {
        match self.eval(node, grid)? {
            Out::Vector(block) => Ok(block),
            Out::Scalar(_) => Err(unexpected("scalar")),
            Out::Text(_) => Err(unexpected("string")),
        }
    }

    /// The node's value, which must be a number a step.
    pub(crate) fn eval_scalar(&mut self, node: &Node, grid: Grid) -> Result<Vec<f64>, QueryError> {
        match self.eval(node, grid)? {
            Out::Scalar(values) => Ok(values),
            Out::Vector(_) => Err(unexpected("instant vector")),
            Out::Text(_) => Err(unexpected("string")),
        }
    }

    fn negate(&mut self, inner: &Node, grid: Grid) -> Result<Out, QueryError> {
        match self.eval(inner, grid)? {
            Out::Scalar(mut values) => {
                values.iter_mut().for_each(|value| *value = -*value);
                Ok(Out::Scalar(values))
            }
            Out::Vector(block) => {
                refuse_histograms(&block, "negation")?;
                Ok(Out::block(unshare(block).map_floats(|value| -value)))
            }
            Out::Text(_) => Err(unexpected("string")),
        }
    }

    /// Under which meaning the node's result may be shared, if it may and somebody else may want it.
    fn shared<'n>(&self, node: &'n Node, grid: Grid) -> Option<&'n Arc<Meaning>> {
        let sharing = self.sharing.as_ref().filter(|_| grid.len == 1)?;
        let meaning = node.key.as_ref()?;
        // What occurs in plans as often as something around it that is shared is never asked for again.
        let wanted = !sharing.stays || uses(meaning) > sharing.around.max(1);
        let untouched = sharing.written.is_none_or(|written| node.is_shareable(written));
        (wanted && untouched).then_some(meaning)
    }

    fn eval_shared(&mut self, node: &Node, grid: Grid, meaning: &Arc<Meaning>) -> Result<Out, QueryError> {
        let Some(sharing) = &mut self.sharing else { return self.compute(node, grid) };
        let (cache, lookback) = (sharing.cache, self.settings.lookback);
        if let Some(entry) = cache.get(meaning.id, grid.start, lookback) {
            entry.notes.into_iter().for_each(|note| self.notes.add(shifted(note, node.pos.start as i64)));
            return Ok(entry.out);
        }
        let around = std::mem::replace(&mut sharing.around, uses(meaning));
        let before = self.notes.take();
        let out = self.compute(node, grid);
        if let Some(sharing) = &mut self.sharing {
            sharing.around = around;
        }
        let (out, notes) = (out?, self.notes.take());
        let relative = notes.iter().cloned().map(|note| shifted(note, -i64::from(node.pos.start))).collect();
        before.into_iter().chain(notes).for_each(|note| self.notes.add(note));
        self.budget.check()?;
        cache.put(meaning.id, grid.start, lookback, CacheEntry { out: out.clone(), notes: relative });
        Ok(out)
    }
}

/// The note, moved along the query.
fn shifted(note: Note, by: i64) -> Note {
    let shift = |at: u32| u32::try_from(i64::from(at) + by).unwrap_or(0);
    Note { pos: Pos { start: shift(note.pos.start), end: shift(note.pos.end) }, ..note }
}

impl Out {
    pub(crate) fn block(block: Block) -> Self {
        Self::Vector(Arc::new(block))
    }

    /// Places for samples, holes included.
    fn cells(&self) -> usize {
        match self {
            Self::Scalar(values) => values.len(),
            Self::Vector(block) => block.cells.len(),
            Self::Text(_) => 0,
        }
    }

    /// Places that hold a sample.
    fn samples(&self) -> usize {
        match self {
            Self::Scalar(values) => values.len(),
            Self::Vector(block) => block.samples(),
            Self::Text(_) => 0,
        }
    }
}

fn repeat(once: Out, steps: usize) -> Out {
    match once {
        Out::Scalar(values) => Out::Scalar(vec![values.first().copied().unwrap_or(f64::NAN); steps]),
        Out::Vector(block) => Out::block(block.repeat(steps)),
        Out::Text(text) => Out::Text(text),
    }
}

/// An operand of a type that the parser should have refused.
pub(crate) fn unexpected(found: &str) -> QueryError {
    QueryError::BadData(format!("unexpected operand of type {found}"))
}

/// Native histograms come in an issue of their own.
pub(crate) fn unsupported(what: &str) -> QueryError {
    QueryError::Unsupported(format!("native histograms in {what}"))
}

pub(crate) fn refuse_histograms(block: &Block, what: &str) -> Result<(), QueryError> {
    if block.histograms.as_ref().is_some_and(|cells| cells.iter().any(Option::is_some)) {
        return Err(unsupported(what));
    }
    Ok(())
}

/// Milliseconds as PromQL's seconds.
pub(crate) fn seconds(ts: Timestamp) -> f64 {
    ts as f64 / 1000.0
}
