//! What the tests of collectors share: an interner that remembers, and fake file trees.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::{CollectError, Collector, Reading};
use crate::model::{
    Batch, Family, GroupId, Intern, Irregular, Labels, Output, SeriesKey, SeriesRef, SourceId, Timestamp,
};

/// An interner without limits, or one that refuses everything.
#[derive(Default)]
pub(crate) struct Interner {
    refuses: bool,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    series: Vec<(Labels, Family)>,
    released: usize,
}

impl Interner {
    pub(crate) fn refusing() -> Self {
        Self { refuses: true, ..Self::default() }
    }

    pub(crate) fn released(&self) -> usize {
        self.inner.lock().released
    }

    pub(crate) fn count(&self) -> usize {
        self.inner.lock().series.len()
    }

    pub(crate) fn family(&self, series: SeriesRef) -> Family {
        self.inner.lock().series[series.0 as usize].1.clone()
    }
}

impl Intern for Interner {
    fn intern(&self, key: SeriesKey<'_>) -> Option<SeriesRef> {
        let mut inner = self.inner.lock();
        inner.series.push((key.to_labels(), key.family.clone()));
        (!self.refuses).then(|| SeriesRef(inner.series.len() as u32 - 1))
    }

    fn release(&self, refs: &[SeriesRef]) {
        self.inner.lock().released += refs.len();
    }

    fn labels(&self, series: SeriesRef) -> Option<Labels> {
        self.inner.lock().series.get(series.0 as usize).map(|(labels, _)| labels.clone())
    }
}

/// An output that keeps what it gets.
#[derive(Default)]
pub(crate) struct Kept {
    /// Batches, in order.
    pub(crate) batches: Mutex<Vec<Batch>>,
    /// Ended slots as `source slot`, in order.
    pub(crate) done: Mutex<Vec<String>>,
    /// Groups that ended.
    pub(crate) ended: Mutex<Vec<GroupId>>,
    /// Notified with every batch.
    pub(crate) pushed: Condvar,
    names: Mutex<Vec<String>>,
    sources: Mutex<u32>,
}

impl Output for Kept {
    fn register_group(&self, name: &str) -> GroupId {
        let mut names = self.names.lock();
        names.push(name.to_owned());
        GroupId(names.len() as u32 - 1)
    }

    fn push(&self, batch: Batch) {
        self.batches.lock().push(batch);
        self.pushed.notify_all();
    }

    fn push_irregular(&self, _: Vec<Irregular>) {}

    fn end_group(&self, group: GroupId, _: Timestamp) {
        self.ended.lock().push(group);
    }

    fn register_source(&self, _: Duration, _: Duration) -> SourceId {
        let mut sources = self.sources.lock();
        *sources += 1;
        SourceId(*sources - 1)
    }

    fn unregister_source(&self, _: SourceId) {}

    fn done(&self, source: SourceId, slot: Timestamp) {
        let name = self.names.lock()[source.0 as usize].clone();
        self.done.lock().push(format!("{name} {slot}"));
    }
}

/// One tick of a collector as `series → value`, with how it went.
pub(crate) type Page = BTreeMap<String, f64>;

/// A batch as `series → value`.
pub(crate) fn page(intern: &Interner, batch: &Batch) -> Page {
    let name = |series| intern.labels(series).expect("interned before").to_string();
    batch.floats.iter().map(|(series, value)| (name(*series), *value)).collect()
}

/// Runs a collector once.
pub(crate) fn collect(
    collector: &mut dyn Collector,
    intern: &Interner,
    now: Timestamp,
) -> (Page, Result<Reading, CollectError>) {
    let mut batch = Batch::new(GroupId(0), now);
    let result = collector.collect(now, intern, &mut batch);
    (page(intern, &batch), result)
}

/// Writes `text` to `root/path`, folders included.
pub(crate) fn put(root: &Path, path: &str, text: &str) {
    let full = root.join(path);
    std::fs::create_dir_all(full.parent().expect("below root")).expect("test folder");
    std::fs::write(full, text).expect("test file");
}
