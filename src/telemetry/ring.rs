//! Brings the daemon's own metrics into the ring, under `job="watchfire"`.

use std::collections::HashMap;

use super::{OwnMetrics, Reading, Readings};
use crate::model::{Batch, Intern, Origin, SeriesKey, SeriesRef};

/// The job label under which the ring knows the daemon's own metrics.
const JOB: &str = "watchfire";

/// Ticks after which series that a limit refused are tried again: others may have ended.
const TICKS_BEFORE_RETRY: u32 = 60;

/// Feeds ticks with the daemon's own metrics. They are foreign to the registry, because `/metrics` shows them already
/// through [`OwnMetrics::encode`].
#[derive(Debug)]
pub struct RingFeed {
    instance: String,
    readings: Readings,
    /// The series of all samples in their order; `None` for one that is refused, or told again later in the tick.
    series: Vec<Option<SeriesRef>>,
    /// Ticks until what was refused is tried again; `None` when nothing was.
    retry: Option<u32>,
    refs: HashMap<Key, SeriesRef>,
}

/// Which sample of its family a series is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Part {
    Whole,
    Sum,
    Count,
    /// `_bucket`; its bound is the last of the label values.
    Bucket,
}

impl Part {
    fn suffix(self) -> &'static str {
        match self {
            Self::Whole => "",
            Self::Sum => "_sum",
            Self::Count => "_count",
            Self::Bucket => "_bucket",
        }
    }
}

impl RingFeed {
    /// A feed whose series carry `instance`.
    pub fn new(instance: &str) -> Self {
        Self {
            instance: instance.to_owned(),
            readings: Readings::default(),
            series: Vec::new(),
            retry: None,
            refs: HashMap::new(),
        }
    }

    /// Appends the current values to a batch; a series that a cardinality limit refuses is left out.
    pub fn append(&mut self, own: &OwnMetrics, intern: &dyn Intern, out: &mut Batch) {
        let changed = own.read_again(&mut self.readings);
        self.retry = self.retry.map(|ticks| ticks.saturating_sub(1));
        if changed || self.retry == Some(0) {
            self.resolve(intern);
        }
        let mut series = self.series.iter();
        for reading in self.readings.as_told() {
            samples(reading, |_, _, value| {
                if let Some(Some(series)) = series.next() {
                    out.floats.push((*series, value));
                }
            });
        }
    }

    /// Finds the series of all samples anew.
    fn resolve(&mut self, intern: &dyn Intern) {
        let Self { instance, readings, series, retry, refs } = self;
        let mut places: HashMap<SeriesRef, usize> = HashMap::new();
        series.clear();
        *retry = None;
        for reading in readings.as_told() {
            samples(reading, |part, le, _| {
                let mut values = reading.labels.clone();
                values.extend(le.map(bound));
                let key = (reading.family.name, part, values);
                let known = refs.get(&key).copied();
                let found = known.or_else(|| {
                    let found = interned(reading, instance, &key, intern)?;
                    refs.insert(key, found);
                    Some(found)
                });
                if found.is_none() {
                    *retry = Some(TICKS_BEFORE_RETRY);
                }
                // Of two readings of one series the later counts.
                let earlier = found.and_then(|found| places.insert(found, series.len()));
                if let Some(place) = earlier.and_then(|place| series.get_mut(place)) {
                    *place = None;
                }
                series.push(found);
            });
        }
    }
}

/// Name, part and label values of a series.
type Key = (&'static str, Part, Vec<String>);

fn interned(reading: &Reading, instance: &str, (name, part, values): &Key, intern: &dyn Intern) -> Option<SeriesRef> {
    let mut labels = vec![("job", JOB), ("instance", instance)];
    let names = reading.family.labels.iter().copied().chain(["le"]);
    labels.extend(names.zip(values.iter().map(String::as_str)));
    let family = reading.family.family();
    let name = format!("{name}{}", part.suffix());
    intern.intern(SeriesKey { family: &family, name: &name, labels: &labels, origin: Origin::Foreign })
}

/// A bucket's bound as its label says it.
fn bound(le: f64) -> String {
    if le.is_finite() { format!("{le:?}") } else { "+Inf".to_owned() }
}

/// Calls `each` with part, bound and value of the samples that a reading is made of.
fn samples(reading: &Reading, mut each: impl FnMut(Part, Option<f64>, f64)) {
    let Some(histogram) = &reading.histogram else { return each(Part::Whole, None, reading.value) };
    let mut below = 0;
    for (bound, count) in &histogram.buckets {
        below += count;
        each(Part::Bucket, Some(*bound), below as f64);
    }
    each(Part::Sum, None, histogram.sum);
    each(Part::Count, None, reading.value);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::{OwnMetrics, RingFeed, TICKS_BEFORE_RETRY};
    use parking_lot::Mutex;

    use crate::model::{Batch, FamilyDesc, GroupId, Intern, Labels, MetricKind, SeriesKey, SeriesRef};
    use crate::telemetry::Readings;

    /// Remembers what it was asked for, and refuses it if told so.
    #[derive(Default)]
    struct Interner {
        refuses: bool,
        asked: Mutex<Vec<String>>,
    }

    impl Intern for Interner {
        fn intern(&self, key: SeriesKey<'_>) -> Option<SeriesRef> {
            let mut asked = self.asked.lock();
            asked.push(key.to_labels().to_string());
            (!self.refuses).then(|| SeriesRef(asked.len() as u32 - 1))
        }

        fn release(&self, _: &[SeriesRef]) {}

        fn labels(&self, _: SeriesRef) -> Option<Labels> {
            None
        }
    }

    impl Interner {
        fn count(&self) -> usize {
            self.asked.lock().len()
        }
    }

    static G: FamilyDesc =
        FamilyDesc { name: "watchfire_g", kind: MetricKind::Gauge, unit: "", help: "g", labels: &["a"], max_series: 9 };
    static H: FamilyDesc = FamilyDesc { name: "watchfire_h", kind: MetricKind::Histogram, labels: &[], ..G };

    fn tick(feed: &mut RingFeed, own: &OwnMetrics, intern: &Interner) -> Batch {
        let mut batch = Batch::new(GroupId(0), 0);
        feed.append(own, intern, &mut batch);
        batch
    }

    #[test]
    fn series_stay_where_they_are_and_the_later_of_two_counts() {
        let own = OwnMetrics::new(false);
        let turn = Arc::new(AtomicUsize::new(0));
        let now = Arc::clone(&turn);
        own.register(Arc::new(move |out: &mut Readings| {
            let turn = now.load(Ordering::Relaxed);
            out.add_with(&G, &["twice"], 1.0);
            if turn != 2 {
                out.add_with(&G, &["sometimes"], turn as f64);
            }
            out.add_with(&G, &["twice"], 2.0);
            out.add_histogram(&H, 1.5, &[0.5], &[1, turn as u64]);
        }));
        let (mut feed, intern) = (RingFeed::new("i"), Interner::default());
        let mut seen = Vec::new();
        for now in 0..4 {
            turn.store(now, Ordering::Relaxed);
            let batch = tick(&mut feed, &own, &intern);
            let names = intern.asked.lock().clone();
            let get = |part: &str| {
                batch.floats.iter().find(|(series, _)| names[series.0 as usize].contains(part)).map(|(_, value)| *value)
            };
            assert_eq!(get("twice"), Some(2.0), "{names:?}");
            assert_eq!(get("sometimes"), (now != 2).then_some(now as f64));
            assert_eq!((get("le=\"0.5\""), get("_sum")), (Some(1.0), Some(1.5)), "{names:?}");
            assert_eq!((get("+Inf"), get("_count")), (Some(1.0 + now as f64), Some(1.0 + now as f64)));
            let mut refs: Vec<_> = batch.floats.iter().map(|(series, _)| *series).collect();
            let count = refs.len();
            refs.sort_unstable();
            refs.dedup();
            assert_eq!(refs.len(), count, "no series twice in a tick");
            seen.push((refs, intern.count()));
        }
        assert!(seen[0] == seen[1] && seen[0].0 == seen[3].0 && seen[0].1 == seen[3].1, "{seen:?}");
    }

    #[test]
    fn what_is_refused_is_tried_again_once_in_a_while() {
        let (own, mut feed, intern) =
            (OwnMetrics::new(false), RingFeed::new("i"), Interner { refuses: true, ..Interner::default() });
        tick(&mut feed, &own, &intern);
        let first = intern.count();
        (1..TICKS_BEFORE_RETRY).for_each(|_| assert!(tick(&mut feed, &own, &intern).is_empty()));
        assert_eq!(intern.count(), first);
        tick(&mut feed, &own, &intern);
        assert!(intern.count() > first);
    }
}
