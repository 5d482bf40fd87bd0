//! Brings the daemon's own metrics into the ring, under `job="watchfire"`.

use std::collections::HashMap;

use super::{OwnMetrics, Reading};
use crate::model::{Batch, Intern, Origin, SeriesKey, SeriesRef};

/// The job label under which the ring knows the daemon's own metrics.
const JOB: &str = "watchfire";

/// Feeds ticks with the daemon's own metrics. They are foreign to the registry, because `/metrics` shows them already
/// through [`OwnMetrics::encode`].
#[derive(Debug)]
pub struct RingFeed {
    instance: String,
    refs: HashMap<(&'static str, Part, Vec<String>), SeriesRef>,
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
        Self { instance: instance.to_owned(), refs: HashMap::new() }
    }

    /// Appends the current values to a batch; a series that a cardinality limit refuses is left out.
    pub fn append(&mut self, own: &OwnMetrics, intern: &dyn Intern, out: &mut Batch) {
        for reading in own.as_samples() {
            let Some(histogram) = &reading.histogram else {
                self.push(&reading, Part::Whole, None, reading.value, intern, out);
                continue;
            };
            let mut below = 0;
            for (bound, count) in &histogram.buckets {
                below += count;
                let le = if bound.is_finite() { format!("{bound:?}") } else { "+Inf".to_owned() };
                self.push(&reading, Part::Bucket, Some(le), below as f64, intern, out);
            }
            self.push(&reading, Part::Sum, None, histogram.sum, intern, out);
            self.push(&reading, Part::Count, None, reading.value, intern, out);
        }
    }

    fn push(
        &mut self,
        reading: &Reading,
        part: Part,
        le: Option<String>,
        value: f64,
        intern: &dyn Intern,
        out: &mut Batch,
    ) {
        let mut values = reading.labels.clone();
        values.extend(le);
        let key = (reading.family.name, part, values);
        let series = match self.refs.get(&key) {
            Some(series) => *series,
            None => {
                let mut labels = vec![("job", JOB), ("instance", self.instance.as_str())];
                let names = reading.family.labels.iter().copied().chain(["le"]);
                labels.extend(names.zip(key.2.iter().map(String::as_str)));
                let family = reading.family.family();
                let name = format!("{}{}", key.0, part.suffix());
                let wanted = SeriesKey { family: &family, name: &name, labels: &labels, origin: Origin::Foreign };
                let Some(series) = intern.intern(wanted) else { return };
                self.refs.insert(key, series);
                series
            }
        };
        out.floats.push((series, value));
    }
}
