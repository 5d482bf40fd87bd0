//! Samples that no column takes: pushes with timestamps of their own, and ticks that came too late for their group.

use std::sync::atomic::Ordering::Relaxed;

use crate::model::{Batch, Intern, Irregular, IrregularSample, SeriesRef, Timestamp, Value, is_absent};
use crate::storage::config::RingCounters;
use crate::storage::rows::write_irregular;

use super::{Head, Limits, MAX_IRREGULAR, Sid, announce};

impl Head {
    /// A tick that its group has passed already, or whose window is sealed.
    pub(super) fn append_late(&mut self, batch: &Batch, intern: &dyn Intern, counters: &RingCounters) {
        let start =
            |series: &SeriesRef| batch.start_ts.iter().find(|(s, _)| s == series).map_or(0, |(_, start)| *start);
        let floats = batch.floats.iter().map(|(series, v)| (*series, start(series), Value::Float(*v)));
        let histograms = batch.histograms.iter().map(|(s, h)| (*s, start(s), Value::Histogram(h.clone())));
        for (series, start_ts, value) in floats.chain(histograms) {
            let Some(sid) = self.sid_of(series, intern) else {
                counters.unknown_series.fetch_add(1, Relaxed);
                continue;
            };
            if self.insert_irregular(sid, &[IrregularSample { ts: batch.ts, start_ts, value }], counters) {
                counters.out_of_order.fetch_add(1, Relaxed);
            }
        }
    }

    /// Takes samples that carry their own timestamps.
    pub(crate) fn append_irregular(
        &mut self,
        irregular: &Irregular,
        intern: &dyn Intern,
        limits: Limits,
        counters: &RingCounters,
    ) {
        let Some(sid) = self.sid_of(irregular.series, intern) else {
            counters.unknown_series.fetch_add(irregular.samples.len() as u64, Relaxed);
            return;
        };
        let (mut old, mut ahead) = (0, 0);
        let mut within: Vec<IrregularSample> = Vec::with_capacity(irregular.samples.len());
        for sample in &irregular.samples {
            if sample.ts < limits.oldest {
                old += 1;
            } else if sample.ts > limits.newest {
                ahead += 1;
            } else {
                within.push(sample.clone());
            }
        }
        counters.too_old.fetch_add(old, Relaxed);
        counters.too_far_ahead.fetch_add(ahead, Relaxed);
        self.insert_irregular(sid, &within, counters);
    }

    /// Keeps samples whose times are free, and writes their rows. Says whether any was kept.
    fn insert_irregular(&mut self, sid: Sid, samples: &[IrregularSample], counters: &RingCounters) -> bool {
        let mut kept: Vec<(Timestamp, IrregularSample)> = Vec::with_capacity(samples.len());
        for sample in samples {
            let mut sample = sample.clone();
            if let Value::Float(value) = &mut sample.value
                && is_absent(*value)
            {
                *value = f64::NAN;
            }
            match self.sample_at(sid, sample.ts) {
                Some(same) => counters.duplicates.fetch_add(u64::from(!same(&sample.value)), Relaxed),
                None if self.irregular_samples >= MAX_IRREGULAR => counters.over_limit.fetch_add(1, Relaxed),
                None => {
                    let window = self.window_for(sample.ts);
                    self.keep_irregular(sid, window, sample.clone());
                    kept.push((window, sample));
                    0
                }
            };
        }
        self.series_rows(sid, &kept);
        // A series that nothing was kept of leaves no trace.
        self.series.release_if_unused(sid);
        counters.samples.fetch_add(kept.len() as u64, Relaxed);
        !kept.is_empty()
    }

    fn series_rows(&mut self, sid: Sid, kept: &[(Timestamp, IrregularSample)]) {
        for run in kept.chunk_by(|a, b| a.0 == b.0) {
            let window = run[0].0;
            let samples: Vec<IrregularSample> = run.iter().map(|(_, sample)| sample.clone()).collect();
            let labels = announce(&mut self.series, sid, window);
            self.log.add(window, |out| write_irregular(window, sid.0, labels.as_ref(), &samples, out));
        }
    }

    /// Puts a sample into memory only; its time must be free.
    pub(crate) fn keep_irregular(&mut self, sid: Sid, window: Timestamp, sample: IrregularSample) {
        let list = self.irregular.entry(sid).or_default();
        if list.is_empty()
            && let Some(entry) = self.series.get_mut(sid)
        {
            entry.uses += 1;
            self.series.touch(sid);
        }
        list.insert(window, sample);
        self.irregular_samples += 1;
    }

    /// A test for equality with the sample that the head has at this time, if it has one.
    pub(crate) fn sample_at(&self, sid: Sid, ts: Timestamp) -> Option<impl Fn(&Value) -> bool + use<>> {
        let dense = self.series.get(sid).and_then(|entry| {
            entry.places.iter().find_map(|p| self.groups.get(p.group as usize)?.as_ref()?.columns.at(p.col, ts))
        });
        let found = dense.or_else(|| self.irregular.get(&sid)?.at(ts).map(|s| s.value.as_float()))?;
        // Histograms at one time count as equal: the first one stays either way.
        Some(move |value: &Value| match (found, value) {
            (Some(a), Value::Float(b)) => a.to_bits() == b.to_bits(),
            (None, Value::Histogram(_)) => true,
            _ => false,
        })
    }
}
