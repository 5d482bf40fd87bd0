//! A collector whose series are given back when it goes: a reload makes others in its place.

use std::sync::Arc;

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use crate::collect::{CollectError, Collector, Reading};
use crate::model::{Batch, Intern, Labels, SeriesKey, SeriesRef, SeriesRefusal, Timestamp};

/// See the module.
pub(super) struct Tracked {
    inner: Box<dyn Collector>,
    ledger: Ledger,
}

/// What a collector was given and has not given back. Touched when series come and go, not by a steady tick.
struct Ledger {
    table: Arc<dyn Intern>,
    held: Mutex<FxHashMap<SeriesRef, u32>>,
}

impl Tracked {
    pub(super) fn new(inner: Box<dyn Collector>, table: Arc<dyn Intern>) -> Self {
        Self { inner, ledger: Ledger { table, held: Mutex::default() } }
    }
}

impl Collector for Tracked {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn collect(&mut self, now: Timestamp, _: &dyn Intern, out: &mut Batch) -> Result<Reading, CollectError> {
        self.inner.collect(now, &self.ledger, out)
    }
}

impl Intern for Ledger {
    fn intern(&self, key: SeriesKey<'_>) -> Option<SeriesRef> {
        self.try_intern(key).ok()
    }

    fn try_intern(&self, key: SeriesKey<'_>) -> Result<SeriesRef, SeriesRefusal> {
        let series = self.table.try_intern(key)?;
        *self.held.lock().entry(series).or_default() += 1;
        Ok(series)
    }

    fn release(&self, refs: &[SeriesRef]) {
        let mut held = self.held.lock();
        for series in refs {
            if let Some(count) = held.get_mut(series) {
                *count -= 1;
                if *count == 0 {
                    held.remove(series);
                }
            }
        }
        drop(held);
        self.table.release(refs);
    }

    fn labels(&self, series: SeriesRef) -> Option<Labels> {
        self.table.labels(series)
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        let held = std::mem::take(&mut *self.held.lock());
        let refs: Vec<SeriesRef> =
            held.into_iter().flat_map(|(series, count)| std::iter::repeat_n(series, count as usize)).collect();
        self.table.release(&refs);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Tracked;
    use crate::collect::{CollectError, Collector, Reading};
    use crate::model::{Batch, Family, GroupId, Intern, Origin, SeriesKey, Timestamp};
    use crate::registry::{RegistryConfig, SeriesTable};

    /// Takes one more series a tick, and gives the first back in its third.
    #[derive(Default)]
    struct Hungry(Vec<crate::model::SeriesRef>);

    impl Collector for Hungry {
        fn name(&self) -> &'static str {
            "hungry"
        }

        fn collect(&mut self, _: Timestamp, intern: &dyn Intern, _: &mut Batch) -> Result<Reading, CollectError> {
            let family = Family { name: "a".into(), ..Family::default() };
            let number = self.0.len().to_string();
            let origin = Origin::Own { job: "node" };
            let labels = [("n", number.as_str())];
            self.0.extend(intern.intern(SeriesKey { family: &family, name: "a", labels: &labels, origin }));
            if self.0.len() == 3 {
                intern.release(&self.0[..1]);
            }
            Ok(Reading::Complete)
        }
    }

    #[test]
    fn what_it_held_is_given_back_once() {
        let table = Arc::new(SeriesTable::new(RegistryConfig::default()));
        let mut tracked = Tracked::new(Box::<Hungry>::default(), Arc::clone(&table) as _);
        for (tick, held) in [(1, 1), (2, 2), (3, 2), (4, 3)] {
            tracked.collect(tick, &*table, &mut Batch::new(GroupId(0), tick)).expect("numbers");
            assert_eq!(table.held(), held, "tick {tick}");
        }
        drop(tracked);
        assert_eq!(table.held(), 0);
    }
}
