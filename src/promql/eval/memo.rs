//! What operators worked out of label sets, kept for the next query over the same ones.
//!
//! A store hands out the same `Arc` of label sets while the series that match do not change, so groups, match pairs and
//! output labels are the same from tick to tick and from refresh to refresh. They are found again by what the operator
//! does ([`Recipe`]) and by the address of its inputs. An entry holds its inputs, so an address cannot come to mean
//! something else while the entry is there. Outputs are the same `Arc` again: chains of operators hit all the way.

use std::any::Any;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use crate::generations::Generations;
use crate::model::Labels;

/// Label sets of a block's rows.
pub(crate) type SharedLabels = Arc<Vec<Labels>>;

/// What a label set of average size takes with its allocation, in bytes.
pub(super) const LABELS_BYTES: usize = 160;

/// Entries between two looks for stale ones, at least; more when there are more entries, so that each costs its share only.
const SWEEP_EVERY: usize = 64;

/// What an entry takes besides what it says itself.
const ENTRY_BYTES: usize = 256;

/// Which operator asks. Each kind remembers one type.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
pub(super) enum Task {
    Group,
    Match,
    Pair,
    Union,
    Buckets,
    Mark,
    Replace,
    Join,
    Answer,
    Sample,
}

/// What an operator does with labels, written out: two recipes are equal exactly when they give the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Recipe(SmallVec<[u8; 64]>);

impl Recipe {
    pub(super) fn new(task: Task) -> Self {
        Self(SmallVec::from_slice(&[task as u8]))
    }

    pub(super) fn flag(mut self, flag: bool) -> Self {
        self.0.push(u8::from(flag));
        self
    }

    pub(super) fn text(mut self, text: &str) -> Self {
        // The length tells where one text ends; four bytes hold that of any query.
        self.0.extend_from_slice(&(text.len() as u32).to_le_bytes());
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    pub(super) fn texts(mut self, texts: &[impl AsRef<str>]) -> Self {
        self.0.extend_from_slice(&(texts.len() as u32).to_le_bytes());
        texts.iter().fold(self, |recipe, text| recipe.text(text.as_ref()))
    }
}

/// Something worked out of labels. It must not hold its own inputs: they would never look unused.
pub(super) trait Learned: Any + Send + Sync {
    /// Bytes that it takes, about.
    fn bytes(&self) -> usize;
}

/// The memory of an engine, shared by all of its queries.
#[derive(Debug)]
pub(crate) struct Memo {
    state: Mutex<State>,
    max_bytes: usize,
    hits: AtomicU64,
    misses: AtomicU64,
}

#[derive(Debug)]
struct State {
    entries: Generations<Key, Entry>,
    since_sweep: usize,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    recipe: Recipe,
    /// Addresses of the inputs, zero for none.
    inputs: [usize; 2],
}

#[derive(Debug)]
struct Entry {
    inputs: SmallVec<[SharedLabels; 2]>,
    learned: Arc<dyn Any + Send + Sync>,
}

impl Memo {
    /// `max_bytes` bounds both generations together; 0 remembers nothing.
    pub(crate) fn new(max_bytes: usize) -> Self {
        let state = State { entries: Generations::new(max_bytes), since_sweep: 0 };
        Self { state: Mutex::new(state), max_bytes, hits: AtomicU64::new(0), misses: AtomicU64::new(0) }
    }

    /// What `recipe` makes of `inputs` (one or two), remembered or made now.
    pub(super) fn recall<T: Learned>(
        &self,
        recipe: Recipe,
        inputs: &[&SharedLabels],
        make: impl FnOnce() -> T,
    ) -> Arc<T> {
        let Ok(learned) = self.try_recall(recipe, inputs, || Ok::<T, Infallible>(make()));
        learned
    }

    /// As [`Memo::recall`] for what may fail; a failure is not remembered.
    pub(super) fn try_recall<T: Learned, E>(
        &self,
        recipe: Recipe,
        inputs: &[&SharedLabels],
        make: impl FnOnce() -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        // Labels that only their block holds were made for this query: nobody will come with them again.
        if self.max_bytes == 0 || inputs.iter().any(|labels| Arc::strong_count(labels) == 1) {
            return make().map(Arc::new);
        }
        let address = |at: usize| inputs.get(at).map_or(0, |labels| Arc::as_ptr(labels) as usize);
        let key = Key { recipe, inputs: [address(0), address(1)] };
        let (found, outgrown) = self.state.lock().entries.get(&key, |entry| Arc::clone(&entry.learned));
        drop(outgrown);
        if let Some(found) = found.and_then(|found| found.downcast::<T>().ok()) {
            self.hits.fetch_add(1, Ordering::Relaxed);
            return Ok(found);
        }
        self.misses.fetch_add(1, Ordering::Relaxed);
        let made = Arc::new(make()?);
        let bytes = ENTRY_BYTES + made.bytes() + inputs.iter().map(|labels| labels.len() * 8).sum::<usize>();
        let inputs = inputs.iter().map(|labels| Arc::clone(labels)).collect();
        let learned = Arc::clone(&made) as Arc<dyn Any + Send + Sync>;
        if bytes <= self.max_bytes / 8 {
            self.keep(key, Entry { inputs, learned }, bytes);
        }
        Ok(made)
    }

    fn keep(&self, key: Key, entry: Entry, bytes: usize) {
        let mut state = self.state.lock();
        // There may be many labels to free: not under the lock.
        let outgrown = state.entries.put(key, entry, bytes);
        state.since_sweep += 1;
        let sweep = state.since_sweep >= SWEEP_EVERY.max(state.entries.len() / 2);
        if sweep {
            state.since_sweep = 0;
        }
        drop(state);
        drop(outgrown);
        if sweep {
            self.sweep();
        }
    }

    /// Forgets what was made of labels that nobody holds any more, then what was made of its outputs, and so on.
    fn sweep(&self) {
        loop {
            let stale = take_stale(&mut self.state.lock().entries);
            if stale.is_empty() {
                return;
            }
        }
    }

    /// How often something was remembered, and how often it had to be made although its inputs will come again.
    #[cfg(test)]
    pub(crate) fn hits_and_misses(&self) -> (u64, u64) {
        (self.hits.load(Ordering::Relaxed), self.misses.load(Ordering::Relaxed))
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.state.lock().entries.len()
    }
}

/// Takes out the entries of which an input is held by inputs of entries only.
fn take_stale(entries: &mut Generations<Key, Entry>) -> Vec<Entry> {
    let mut held: FxHashMap<usize, usize> = FxHashMap::default();
    for labels in entries.values().flat_map(|entry| &entry.inputs) {
        *held.entry(Arc::as_ptr(labels) as usize).or_default() += 1;
    }
    entries.take(|entry| {
        entry.inputs.iter().any(|labels| {
            held.get(&(Arc::as_ptr(labels) as usize)).is_some_and(|here| *here >= Arc::strong_count(labels))
        })
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{LABELS_BYTES, Learned, Memo, Recipe, SharedLabels, Task};
    use crate::model::Labels;

    struct Renamed(SharedLabels);

    impl Learned for Renamed {
        fn bytes(&self) -> usize {
            self.0.len() * LABELS_BYTES
        }
    }

    fn labels(rows: usize) -> SharedLabels {
        Arc::new((0..rows).map(|i| Labels::from_pairs(&[("i", &i.to_string())])).collect())
    }

    fn rename(memo: &Memo, to: &str, input: &SharedLabels) -> SharedLabels {
        let make = || Renamed(Arc::new(input.iter().map(|labels| labels.with("i", to)).collect()));
        Arc::clone(&memo.recall(Recipe::new(Task::Mark).text(to), &[input], make).0)
    }

    #[test]
    fn chains_hit_and_fresh_labels_pass() {
        let memo = Memo::new(1 << 20);
        let fresh = labels(3);
        rename(&memo, "a", &fresh);
        assert_eq!((memo.len(), memo.hits_and_misses()), (0, (0, 0)), "labels that only the caller holds");
        let kept = Arc::clone(&fresh);
        for round in 0..3 {
            let once = rename(&memo, "a", &kept);
            let twice = rename(&memo, "b", &once);
            assert_eq!(twice[0].get("i"), "b");
            assert_eq!(memo.hits_and_misses(), (2 * round, 2));
        }
        assert_ne!(rename(&memo, "b", &kept), rename(&memo, "a", &kept));
        let off = Memo::new(0);
        rename(&off, "a", &kept);
        assert_eq!(off.hits_and_misses(), (0, 0));
    }

    /// Labels come and go, each at an address that may have been another's: every answer is that of its own labels.
    #[test]
    fn stale_entries_leave_and_addresses_stay_safe() {
        let memo = Memo::new(1 << 20);
        for round in 0..1_000_usize {
            let input = Arc::new(vec![Labels::from_pairs(&[("round", &round.to_string())])]);
            let holder = Arc::clone(&input);
            let once = rename(&memo, "a", &input);
            let twice = rename(&memo, "b", &once);
            assert_eq!(twice[0].get("round"), round.to_string());
            drop((input, holder));
        }
        assert!(memo.len() <= 4 * super::SWEEP_EVERY, "{} entries", memo.len());
        memo.sweep();
        assert_eq!(memo.len(), 0);
    }

    #[test]
    fn bounds_hold() {
        let max = 1 << 16;
        let memo = Memo::new(max);
        let inputs: Vec<SharedLabels> = (0..500).map(|_| labels(10)).collect();
        let holders = inputs.clone();
        for input in &inputs {
            rename(&memo, "a", input);
        }
        let size = super::ENTRY_BYTES + 10 * LABELS_BYTES + 10 * 8;
        assert!(memo.len() > 2 && memo.len() * size <= max, "{} entries", memo.len());
        let before = memo.len();
        let large = labels(1_000);
        let held = Arc::clone(&large);
        assert_eq!(rename(&memo, "a", &large).len(), 1_000);
        assert_eq!(memo.len(), before, "what would fill the memory alone is not kept");
        drop((holders, held));
    }
}
