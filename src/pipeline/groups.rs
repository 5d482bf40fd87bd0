//! Which series each group had in its last tick, so that those that vanish are ended.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::model::{Batch, GroupId, SeriesRef, Timestamp, is_stale, stale_marker};

#[derive(Default)]
struct Group {
    name: String,
    floats: Vec<SeriesRef>,
    histograms: Vec<SeriesRef>,
    /// Series in the lists that the tick itself ended.
    stale: FxHashSet<SeriesRef>,
    ts: Timestamp,
}

/// All groups by id.
#[derive(Default)]
pub(super) struct Groups {
    groups: FxHashMap<GroupId, Group>,
}

impl Groups {
    pub(super) fn register(&mut self, id: GroupId, name: &str) {
        self.groups.insert(id, Group { name: name.to_owned(), ..Group::default() });
    }

    pub(super) fn name(&self, id: GroupId) -> Option<String> {
        self.groups.get(&id).map(|group| group.name.clone())
    }

    /// Series of the group's last tick that `batch` no longer has. Costs one comparison a series when the sequence is the same.
    pub(super) fn vanished(&mut self, batch: &Batch) -> Vec<SeriesRef> {
        let group = self.groups.entry(batch.group).or_default();
        group.ts = batch.ts;
        let ended = batch.floats.iter().filter(|(_, value)| is_stale(*value)).map(|(series, _)| *series);
        if same(&group.floats, &batch.floats) && same(&group.histograms, &batch.histograms) {
            group.stale.clear();
            group.stale.extend(ended);
            return Vec::new();
        }
        let now: FxHashSet<SeriesRef> = refs(&batch.floats).chain(refs(&batch.histograms)).collect();
        let gone = group.living().filter(|series| !now.contains(series)).collect();
        group.stale.clear();
        group.stale.extend(ended);
        group.floats.clear();
        group.floats.extend(refs(&batch.floats));
        group.histograms.clear();
        group.histograms.extend(refs(&batch.histograms));
        gone
    }

    /// Forgets the group and gives a batch that ends all its series; `None` when there is nothing to end.
    pub(super) fn end(&mut self, id: GroupId, ts: Timestamp) -> Option<Batch> {
        let group = self.groups.remove(&id)?;
        let mut batch = Batch::new(id, ts.max(group.ts + 1));
        batch.floats.extend(group.living().map(|series| (series, stale_marker())));
        (!batch.floats.is_empty()).then_some(batch)
    }
}

impl Group {
    fn living(&self) -> impl Iterator<Item = SeriesRef> + '_ {
        self.floats.iter().chain(&self.histograms).copied().filter(|series| !self.stale.contains(series))
    }
}

fn refs<T>(samples: &[(SeriesRef, T)]) -> impl Iterator<Item = SeriesRef> + '_ {
    samples.iter().map(|(series, _)| *series)
}

fn same<T>(known: &[SeriesRef], samples: &[(SeriesRef, T)]) -> bool {
    known.len() == samples.len() && known.iter().zip(samples).all(|(known, (series, _))| known == series)
}
