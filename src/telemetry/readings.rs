//! How a room's counters reach the daemon's own metrics: read at the moment of a scrape, from atomics.

use crate::model::{FamilyDesc, MetricKind};

/// Something that has counters of its own. Called at every scrape and every second for the ring: it must not block.
pub trait OwnSource: Send + Sync {
    /// Adds the current values.
    fn read(&self, out: &mut Readings);
}

impl<F: Fn(&mut Readings) + Send + Sync> OwnSource for F {
    fn read(&self, out: &mut Readings) {
        self(out);
    }
}

/// One value with its labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The family, declared once.
    pub family: &'static FamilyDesc,
    /// Label values in the order of `family.labels`.
    pub labels: Vec<String>,
    /// The value; 1 for an info, the number of observations for a histogram.
    pub value: f64,
    /// The rest of a histogram.
    pub histogram: Option<HistogramReading>,
}

/// Sum and buckets of a histogram.
#[derive(Debug, Clone, PartialEq)]
pub struct HistogramReading {
    /// Sum of the observations.
    pub sum: f64,
    /// Upper bounds, ascending, with the observations above the bound before; the last bound is infinite.
    pub buckets: Vec<(f64, u64)>,
}

/// The values of one scrape. Read again into the same, they cost no allocation: sources tell the same in the same order, so each
/// place is compared, and only its value is new.
#[derive(Debug, Default)]
pub struct Readings {
    items: Vec<Reading>,
    used: usize,
    changed: bool,
}

impl Readings {
    /// Adds a counter, gauge or info without labels.
    pub fn add(&mut self, family: &'static FamilyDesc, value: f64) {
        self.add_with(family, &[], value);
    }

    /// Adds a counter, gauge or info; `labels` are the values in the order of `family.labels`.
    ///
    /// Only these three kinds exist here beside histograms, and a reading with another number of labels would make an invalid page: both
    /// are mistakes of the caller, refused in debug builds and left out in others.
    pub fn add_with(&mut self, family: &'static FamilyDesc, labels: &[&str], value: f64) {
        let kind = matches!(family.kind, MetricKind::Counter | MetricKind::Gauge | MetricKind::Info);
        let fits = kind && labels.len() == family.labels.len();
        debug_assert!(fits, "{} with {} labels", family.name, labels.len());
        if fits && !self.again(family, labels, |reading| reading.value = value) {
            let labels = labels.iter().map(|label| (*label).to_owned()).collect();
            self.items.push(Reading { family, labels, value, histogram: None });
        }
    }

    /// Adds a histogram without labels: `bounds` ascend, `counts` has one place more, for what lies beyond them.
    ///
    /// A family of another kind is a mistake of the caller, refused in debug builds and left out in others.
    pub fn add_histogram(&mut self, family: &'static FamilyDesc, sum: f64, bounds: &[f64], counts: &[u64]) {
        let fits = family.kind == MetricKind::Histogram && family.labels.is_empty() && counts.len() == bounds.len() + 1;
        debug_assert!(fits, "{} with {} counts", family.name, counts.len());
        if !fits {
            return;
        }
        let buckets = || bounds.iter().copied().chain([f64::INFINITY]).zip(counts.iter().copied());
        let value = counts.iter().sum::<u64>() as f64;
        let known = self.again(family, &[], |reading| {
            reading.value = value;
            if let Some(histogram) = &mut reading.histogram {
                histogram.sum = sum;
                histogram.buckets.clear();
                histogram.buckets.extend(buckets());
            }
        });
        if !known {
            let histogram = Some(HistogramReading { sum, buckets: buckets().collect() });
            self.items.push(Reading { family, labels: Vec::new(), value, histogram });
        }
    }

    /// Starts anew; what was read before is what is expected.
    pub(super) fn begin(&mut self) {
        (self.used, self.changed) = (0, false);
    }

    /// Ends a reading. Whether it told other series than the one before, or in another order.
    pub(super) fn end(&mut self) -> bool {
        self.changed |= self.used < self.items.len();
        self.items.truncate(self.used);
        self.changed
    }

    /// The values in the order in which sources told them.
    pub(super) fn as_told(&self) -> &[Reading] {
        &self.items
    }

    /// Changes the reading at the next place if it is the same series; if not, that place and all behind it are told anew.
    fn again(&mut self, family: &'static FamilyDesc, labels: &[&str], change: impl FnOnce(&mut Reading)) -> bool {
        let same = |reading: &&mut Reading| std::ptr::eq(reading.family, family) && reading.labels == labels;
        let known = self.items.get_mut(self.used).filter(same);
        let found = known.is_some();
        match known {
            Some(reading) => change(reading),
            None => {
                self.items.truncate(self.used);
                self.changed = true;
            }
        }
        self.used += 1;
        found
    }

    /// All values, families together and in the order of their names; of two readings of one series the later counts.
    pub fn into_sorted(mut self) -> Vec<Reading> {
        let key = |reading: &Reading| (reading.family.name, reading.labels.clone());
        self.items.reverse();
        self.items.sort_by_cached_key(key);
        self.items.dedup_by_key(|reading| key(reading));
        self.items
    }
}

#[cfg(test)]
mod tests {
    use super::Readings;
    use crate::model::{FamilyDesc, MetricKind};

    #[test]
    fn the_later_reading_of_a_series_counts() {
        static GAUGE: FamilyDesc = FamilyDesc {
            name: "watchfire_g",
            kind: MetricKind::Gauge,
            unit: "",
            help: "g",
            labels: &["a"],
            max_series: 2,
        };
        let mut readings = Readings::default();
        readings.add_with(&GAUGE, &["y"], 1.0);
        readings.add_with(&GAUGE, &["x"], 2.0);
        readings.add_with(&GAUGE, &["y"], 3.0);
        let values: Vec<f64> = readings.into_sorted().iter().map(|reading| reading.value).collect();
        assert_eq!(values, [2.0, 3.0]);
    }

    #[test]
    fn the_same_is_read_again_in_place() {
        static GAUGE: FamilyDesc = FamilyDesc {
            name: "watchfire_g",
            kind: MetricKind::Gauge,
            unit: "",
            help: "g",
            labels: &["a"],
            max_series: 2,
        };
        static TOOK: FamilyDesc = FamilyDesc { name: "watchfire_t", kind: MetricKind::Histogram, labels: &[], ..GAUGE };
        let mut readings = Readings::default();
        for (labels, value, expected) in [
            (&["x", "y"][..], 1.0, true),
            (&["x", "y"], 2.0, false),
            (&["y"], 3.0, true),
            (&["y"], 4.0, false),
            (&["z", "y"], 5.0, true),
            (&["z"], 6.0, true),
            (&[], 7.0, true),
        ] {
            readings.begin();
            labels.iter().for_each(|label| readings.add_with(&GAUGE, &[label], value));
            readings.add_histogram(&TOOK, value, &[1.0], &[2, value as u64]);
            assert_eq!(readings.end(), expected, "{labels:?}");
            let told: Vec<&str> = readings.as_told().iter().flat_map(|reading| &reading.labels).map(|x| &**x).collect();
            assert_eq!(told, labels);
            let (last, gauges) = readings.as_told().split_last().unwrap();
            assert!(gauges.iter().all(|reading| reading.value == value));
            let histogram = last.histogram.as_ref().unwrap();
            assert_eq!((last.value, histogram.sum, histogram.buckets[1].1 as f64), (2.0 + value, value, value));
        }
    }
}
