//! What the rules of one tick share.

use parking_lot::Mutex;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::model::{METRIC_NAME, MatchOp, Matcher, Timestamp};

use super::annotate::Note;
use super::eval::Out;
use super::parser::Expr;

/// Series that alerting rules write on their own account: never shared, because every rule changes them.
const ALERT_SERIES: [&str; 2] = ["ALERTS", "ALERTS_FOR_STATE"];

/// Series that one tick's cache holds in all: about 100 MB with their labels. A tick of a thousand different rules over
/// ten thousand series would otherwise keep all of their intermediate results; beyond this they are computed again.
const MAX_CACHED_ROWS: usize = 2_000_000;

/// Names of series that earlier rules of a group have written in this tick.
#[derive(Debug, Clone, Default)]
pub struct WrittenNames(FxHashSet<String>);

impl WrittenNames {
    /// Nothing has been written yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Remembers the name that a recording rule has just written.
    pub fn insert(&mut self, name: &str) {
        self.0.insert(name.to_owned());
    }

    /// Whether nothing has been written.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Whether no selector of `expr` can see a name in `written`, `ALERTS`, `ALERTS_FOR_STATE` or names beyond count: its
/// result is then the same for every rule of the tick.
pub fn shareable(expr: &Expr, written: &WrittenNames) -> bool {
    expr.walk().all(|node| match node {
        Expr::Vector(selector) => matchers_shareable(&selector.matchers, written),
        Expr::Matrix(matrix) => matchers_shareable(&matrix.selector.matchers, written),
        _ => true,
    })
}

/// The same for one selector's matchers.
pub(crate) fn matchers_shareable(matchers: &[Matcher], written: &WrittenNames) -> bool {
    let mut names = matchers.iter().filter(|matcher| matcher.name == METRIC_NAME).peekable();
    // A selector without a name, or with only negative conditions on it, may see anything.
    if names.peek().is_none() {
        return false;
    }
    let names: Vec<&Matcher> = names.collect();
    if names.iter().all(|matcher| matches!(matcher.op, MatchOp::NotEqual | MatchOp::NotRegex)) {
        return false;
    }
    let sees = |name: &str| names.iter().all(|matcher| matcher.matches(name));
    !ALERT_SERIES.iter().any(|name| sees(name)) && !written.0.iter().any(|name| sees(name))
}

/// Results of one tick, by what a subexpression computes and its time. Make a new one every tick; it may be shared by threads.
#[derive(Debug, Default)]
pub struct TickCache {
    state: Mutex<CacheState>,
}

#[derive(Debug, Default)]
struct CacheState {
    entries: FxHashMap<CacheKey, CacheEntry>,
    rows: usize,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct CacheKey {
    meaning: u64,
    ts: Timestamp,
    lookback: i64,
}

/// A finished subexpression with what it had to remark.
#[derive(Debug, Clone)]
pub(crate) struct CacheEntry {
    pub(crate) out: Out,
    pub(crate) notes: Vec<Note>,
}

impl TickCache {
    /// An empty cache for one tick.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many results it holds.
    pub fn len(&self) -> usize {
        self.state.lock().entries.len()
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn get(&self, meaning: u64, ts: Timestamp, lookback: i64) -> Option<CacheEntry> {
        self.state.lock().entries.get(&CacheKey { meaning, ts, lookback }).cloned()
    }

    pub(crate) fn put(&self, meaning: u64, ts: Timestamp, lookback: i64, entry: CacheEntry) {
        let rows = match &entry.out {
            Out::Vector(block) => block.rows(),
            Out::Scalar(_) | Out::Text(_) => 1,
        };
        let mut state = self.state.lock();
        if state.rows + rows <= MAX_CACHED_ROWS {
            state.rows += rows;
            state.entries.insert(CacheKey { meaning, ts, lookback }, entry);
        }
    }
}
