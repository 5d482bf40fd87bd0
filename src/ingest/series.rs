//! The totals of one event series.

use crate::model::{Family, Intern, MetricKind, Origin, SeriesKey, SeriesRef, SeriesRefusal, Timestamp, format_float};

/// The ring's job of these series.
const JOB: &str = "events";

/// What has been added up, and where it goes.
pub(super) struct EventSeries {
    pub(super) kind: MetricKind,
    /// One reference for counters and gauges; buckets with +Inf, then count and sum for histograms.
    refs: Vec<SeriesRef>,
    value: f64,
    /// Not cumulative; the last one is above all bounds.
    buckets: Vec<u64>,
    /// The newest time that an event stated: an older gauge does not replace a newer one.
    newest: Timestamp,
    /// When the last event came.
    pub(super) touched: Timestamp,
}

impl EventSeries {
    /// Interns everything that the series needs, or nothing.
    ///
    /// # Errors
    /// The limit that leaves no room.
    pub(super) fn new(
        family: &Family,
        labels: &[(&str, &str)],
        bounds: &[f64],
        intern: &dyn Intern,
    ) -> Result<Self, SeriesRefusal> {
        let mut refs = Vec::new();
        let mut intern_one = |suffix: &str, le: Option<&str>| {
            let mut all = labels.to_vec();
            all.extend(le.map(|bound| ("le", bound)));
            let name = format!("{}{suffix}", family.name);
            let key = SeriesKey { family, name: &name, labels: &all, origin: Origin::Own { job: JOB } };
            intern.try_intern(key).map(|series| refs.push(series))
        };
        let complete = match family.kind {
            MetricKind::Histogram => bounds
                .iter()
                .try_for_each(|bound| intern_one("_bucket", Some(&format_float(*bound))))
                .and_then(|()| intern_one("_bucket", Some("+Inf")))
                .and_then(|()| intern_one("_count", None))
                .and_then(|()| intern_one("_sum", None)),
            MetricKind::Counter => intern_one("_total", None),
            _ => intern_one("", None),
        };
        if let Err(refusal) = complete {
            intern.release(&refs);
            return Err(refusal);
        }
        let buckets = if family.kind == MetricKind::Histogram { vec![0; bounds.len() + 1] } else { Vec::new() };
        Ok(Self { kind: family.kind, refs, value: 0.0, buckets, newest: Timestamp::MIN, touched: 0 })
    }

    /// Takes an event.
    pub(super) fn take(&mut self, value: f64, ts: Timestamp, bounds: &[f64], now: Timestamp) {
        self.touched = now;
        match self.kind {
            MetricKind::Counter => self.value += value,
            MetricKind::Histogram => {
                self.value += value;
                let bucket = bounds.partition_point(|bound| *bound < value);
                if let Some(count) = self.buckets.get_mut(bucket) {
                    *count += 1;
                }
            }
            _ if ts >= self.newest => self.value = value,
            _ => {}
        }
        self.newest = self.newest.max(ts);
    }

    /// Appends the samples of a tick.
    pub(super) fn append(&self, floats: &mut Vec<(SeriesRef, f64)>) {
        if self.kind != MetricKind::Histogram {
            floats.extend(self.refs.first().map(|series| (*series, self.value)));
            return;
        }
        let mut total = 0u64;
        let cumulative = self.buckets.iter().map(|count| {
            total += count;
            total as f64
        });
        let mut numbers: Vec<f64> = cumulative.collect();
        numbers.extend([total as f64, self.value]);
        floats.extend(self.refs.iter().copied().zip(numbers));
    }

    pub(super) fn refs(&self) -> &[SeriesRef] {
        &self.refs
    }
}
