//! Brings the daemon's own metrics into the ring, under `job="watchfire"`.

use std::collections::HashMap;

use super::OwnMetrics;
use crate::model::{Batch, Intern, Origin, SeriesKey, SeriesRef};

/// The job label under which the ring knows the daemon's own metrics.
const JOB: &str = "watchfire";

/// Feeds ticks with the daemon's own metrics. They are foreign to the registry, because `/metrics` shows them already
/// through [`OwnMetrics::encode`].
#[derive(Debug)]
pub struct RingFeed {
    instance: String,
    refs: HashMap<(&'static str, Vec<String>), SeriesRef>,
}

impl RingFeed {
    /// A feed whose series carry `instance`.
    pub fn new(instance: &str) -> Self {
        Self { instance: instance.to_owned(), refs: HashMap::new() }
    }

    /// Appends the current values to a batch; a series that a cardinality limit refuses is left out.
    pub fn append(&mut self, own: &OwnMetrics, intern: &dyn Intern, out: &mut Batch) {
        for reading in own.as_samples() {
            let key = (reading.family.name, reading.labels);
            let series = match self.refs.get(&key) {
                Some(series) => *series,
                None => {
                    let mut labels = vec![("job", JOB), ("instance", self.instance.as_str())];
                    labels.extend(reading.family.labels.iter().copied().zip(key.1.iter().map(String::as_str)));
                    let family = reading.family.family();
                    let wanted = SeriesKey { family: &family, name: key.0, labels: &labels, origin: Origin::Foreign };
                    let Some(series) = intern.intern(wanted) else { continue };
                    self.refs.insert(key, series);
                    series
                }
            };
            out.floats.push((series, reading.value));
        }
    }
}
