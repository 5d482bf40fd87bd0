//! What matchers mean: remembered from query to query until a series that could match comes, goes or moves.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use crate::generations::Generations;
use crate::model::{Labels, Matcher};
use crate::storage::head::{Head, Sid};

/// Bytes of all selections that are kept.
const MAX_BYTES: usize = 20 << 20;
/// What a selection takes by itself, with its matchers.
const SELECTION_BYTES: usize = 1 << 10;
/// What a row takes: its number, labels, place in a group and column. What is worked out later for segments and for
/// smaller versions of a selection comes to as much again, mostly.
const ROW_BYTES: usize = 25;
/// Smaller versions of a selection that are kept: of the newest samples, of the last hour, of a day.
const MAX_COMPACT: usize = 4;
/// Selections up to this size are handed out whole, however few of them have samples.
const SMALL: usize = 64;
/// Series tables whose numbers are translated for a selection: queries reach back over so many days at once.
const MAX_EPOCHS: usize = 8;

/// The series of a selection and where they are.
#[derive(Debug)]
pub(crate) struct Resolved {
    generation: u64,
    pub(super) labels: Arc<Vec<Labels>>,
    /// Parallel to the labels.
    pub(super) sids: Vec<Sid>,
    /// Columns of the head.
    pub(super) groups: Vec<GroupRows>,
    /// Rows with irregular samples in the head, ascending.
    pub(super) loose: Vec<u32>,
    /// Rows that have columns in more than one group, ascending.
    pub(super) several: Vec<u32>,
    epochs: Mutex<VecDeque<EpochRows>>,
    compact: Mutex<VecDeque<Arc<Compact>>>,
}

/// The columns of a group that a selection reads.
#[derive(Debug)]
pub(super) struct GroupRows {
    pub(super) group: u32,
    /// Ascending.
    pub(super) rows: Arc<[u32]>,
    /// Parallel to the rows.
    pub(super) cols: Vec<u32>,
}

/// Which numbers of a series table are rows of a selection.
#[derive(Debug)]
struct EpochRows {
    epoch: u32,
    /// Numbers that the table had; it only grows.
    len: usize,
    pairs: Arc<[IdRow]>,
}

/// A number in a series table, and the row that has it.
pub(super) type IdRow = (u32, u32);

/// Part of a selection: the rows that have samples.
#[derive(Debug)]
pub(super) struct Compact {
    pub(super) labels: Arc<Vec<Labels>>,
    /// By row: the row in here, or `u32::MAX`.
    pub(super) place: Vec<u32>,
}

impl Resolved {
    fn of(head: &Head, matchers: &[Matcher], generation: u64, before: Option<&Self>) -> Self {
        let sids = head.series.matching(matchers);
        let mut labels = Vec::with_capacity(sids.len());
        let mut groups: FxHashMap<u32, (Vec<u32>, Vec<u32>)> = FxHashMap::default();
        let (mut loose, mut several) = (Vec::new(), Vec::new());
        for (row, sid) in sids.iter().enumerate() {
            let Some(series) = head.series.get(*sid) else { continue };
            let row = row as u32;
            labels.push(series.labels.clone());
            if series.places.len() > 1 {
                several.push(row);
            }
            if head.has_irregular(*sid) {
                loose.push(row);
            }
            for place in &series.places {
                let (rows, cols) = groups.entry(place.group).or_default();
                rows.push(row);
                cols.push(place.col);
            }
        }
        let mut groups: Vec<GroupRows> =
            groups.into_iter().map(|(group, (rows, cols))| GroupRows { group, rows: Arc::from(rows), cols }).collect();
        groups.sort_unstable_by_key(|g| g.group);
        let same = before.filter(|before| *before.labels == labels);
        let compact = same.map(|before| before.compact.lock().clone()).unwrap_or_default();
        let labels = same.map_or_else(|| Arc::new(labels), |before| Arc::clone(&before.labels));
        Self {
            generation,
            labels,
            sids,
            groups,
            loose,
            several,
            epochs: Mutex::default(),
            compact: Mutex::new(compact),
        }
    }

    /// The rows that a series table's numbers mean, ascending by number.
    pub(super) fn rows_of(&self, epoch: u32, ids: &[Option<Sid>]) -> Arc<[IdRow]> {
        let mut epochs = self.epochs.lock();
        if let Some(known) = epochs.iter().find(|known| known.epoch == epoch && known.len == ids.len()) {
            return Arc::clone(&known.pairs);
        }
        let mut by_sid: FxHashMap<Sid, u32> = FxHashMap::default();
        by_sid.extend(self.sids.iter().enumerate().map(|(row, sid)| (*sid, row as u32)));
        let row = |(id, sid): (usize, &Option<Sid>)| Some((id as u32, *by_sid.get(&(*sid)?)?));
        let pairs: Arc<[IdRow]> = ids.iter().enumerate().filter_map(row).collect();
        epochs.retain(|known| known.epoch != epoch);
        if epochs.len() == MAX_EPOCHS {
            epochs.pop_front();
        }
        epochs.push_back(EpochRows { epoch, len: ids.len(), pairs: Arc::clone(&pairs) });
        pairs
    }

    /// The part of the selection to hand out when only `alive` rows (ascending) have samples; `None`: all of it.
    pub(super) fn compact(&self, alive: &[u32]) -> Option<Arc<Compact>> {
        let rows = self.labels.len();
        if rows <= SMALL || alive.len() * 2 >= rows {
            return None;
        }
        let mut kept = self.compact.lock();
        let fits = |compact: &&Arc<Compact>| {
            alive.len() * 2 >= compact.labels.len()
                && alive.iter().all(|row| compact.place.get(*row as usize).is_some_and(|place| *place != u32::MAX))
        };
        if let Some(known) = kept.iter().find(fits) {
            return Some(Arc::clone(known));
        }
        let mut place = vec![u32::MAX; rows];
        let mut labels = Vec::with_capacity(alive.len());
        for row in alive {
            if let (Some(place), Some(found)) = (place.get_mut(*row as usize), self.labels.get(*row as usize)) {
                *place = labels.len() as u32;
                labels.push(found.clone());
            }
        }
        let compact = Arc::new(Compact { labels: Arc::new(labels), place });
        if kept.len() == MAX_COMPACT {
            kept.pop_front();
        }
        kept.push_back(Arc::clone(&compact));
        Some(compact)
    }
}

/// Selections that were asked for lately.
#[derive(Debug)]
pub(crate) struct Resolutions(Mutex<Generations<Vec<Matcher>, Arc<Resolved>>>);

impl Default for Resolutions {
    fn default() -> Self {
        Self(Mutex::new(Generations::new(MAX_BYTES)))
    }
}

impl Resolutions {
    /// The series that match now. The caller holds the lock on the head.
    pub(super) fn get(&self, head: &Head, matchers: &[Matcher]) -> Arc<Resolved> {
        let generation = head.series.generation(matchers);
        let (before, _) = self.0.lock().get(matchers, Arc::clone);
        if let Some(known) = before.as_ref().filter(|known| known.generation == generation) {
            return Arc::clone(known);
        }
        let resolved = Arc::new(Resolved::of(head, matchers, generation, before.as_deref()));
        let mut kept = self.0.lock();
        // Another query may have been faster; its labels are out already.
        if let (Some(known), _) = kept.get(matchers, Arc::clone)
            && known.generation == generation
        {
            return known;
        }
        let bytes = SELECTION_BYTES + resolved.sids.len() * ROW_BYTES;
        let outgrown = kept.put(matchers.to_vec(), Arc::clone(&resolved), bytes);
        drop(kept);
        drop(outgrown);
        resolved
    }

    /// Forgets what nobody asked for since the last time.
    pub(crate) fn age(&self) {
        let outgrown = self.0.lock().age();
        drop(outgrown);
    }
}
