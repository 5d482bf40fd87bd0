//! The samples of one series as plain columns, in place where possible.

use std::sync::Arc;

use crate::model::{Histogram, Labels, Timestamp, is_absent, is_stale};
use crate::storage::{Column, Run, SelectedSeries};

use super::Block;
use super::block::Dropped;
use super::selector::{RawValue, raw_samples};

/// Samples of one series in time order, without holes and stale markers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Samples<'a> {
    pub(crate) times: &'a [Timestamp],
    pub(crate) values: &'a [f64],
    /// Start timestamps parallel to `times`, or empty when none is known.
    pub(crate) starts: &'a [Timestamp],
    pub(crate) histogram_times: &'a [Timestamp],
    pub(crate) histograms: &'a [Arc<Histogram>],
}

/// Room for samples that must be copied out of their runs.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(crate) times: Vec<Timestamp>,
    pub(crate) values: Vec<f64>,
    pub(crate) starts: Vec<Timestamp>,
    pub(crate) histogram_times: Vec<Timestamp>,
    pub(crate) histograms: Vec<Arc<Histogram>>,
}

impl Scratch {
    fn clear(&mut self) {
        self.times.clear();
        self.values.clear();
        self.starts.clear();
        self.histogram_times.clear();
        self.histograms.clear();
    }

    pub(crate) fn samples(&self) -> Samples<'_> {
        Samples {
            times: &self.times,
            values: &self.values,
            starts: &self.starts,
            histogram_times: &self.histogram_times,
            histograms: &self.histograms,
        }
    }

    fn load(&mut self, series: &SelectedSeries) {
        self.clear();
        let known_starts = series.runs.iter().any(|run| run.start_times.is_some());
        for run in &series.runs {
            match plain_floats(run) {
                Some((times, values)) if !known_starts => {
                    self.times.extend_from_slice(times);
                    self.values.extend_from_slice(values);
                }
                _ => self.load_one_by_one(run, known_starts),
            }
        }
    }

    fn load_one_by_one(&mut self, run: &Run, known_starts: bool) {
        for sample in raw_samples(run).filter(|sample| !sample.value.is_stale()) {
            match sample.value {
                RawValue::Float(value) => {
                    self.times.push(sample.ts);
                    self.values.push(value);
                    if known_starts {
                        self.starts.push(sample.start);
                    }
                }
                RawValue::Histogram(histogram) => {
                    self.histogram_times.push(sample.ts);
                    self.histograms.push(Arc::clone(histogram));
                }
            }
        }
    }
}

/// The samples of a series: straight from storage when they lie in one run without holes, else copied to `scratch`.
pub(crate) fn samples_of<'a>(series: &'a SelectedSeries, scratch: &'a mut Scratch) -> Samples<'a> {
    if let [run] = series.runs.as_slice()
        && let Some((times, values)) = plain_floats(run)
    {
        let starts = run.start_times.as_ref().and_then(|starts| starts.get(run.from..run.to)).unwrap_or(&[]);
        return Samples { times, values, starts, histogram_times: &[], histograms: &[] };
    }
    scratch.load(series);
    scratch.samples()
}

/// The run's selection when it is all numbers: neither holes nor stale markers, which are NaN by their bits.
fn plain_floats(run: &Run) -> Option<(&[Timestamp], &[f64])> {
    let Column::Floats(column) = &run.values else { return None };
    let (times, values) = (run.times.get(run.from..run.to)?, column.get(run.from..run.to)?);
    // Written so that the compiler compares several at once.
    let any_nan = values.iter().fold(false, |any, value| any | value.is_nan());
    (!any_nan).then_some((times, values))
}

/// The series of a range, and what happens to their names.
pub(super) struct RangeSeries {
    pub(super) labels: Arc<Vec<Labels>>,
    pub(super) dropped: Dropped,
    pub(super) data: RangeData,
}

/// Where the samples lie.
pub(super) enum RangeData {
    Stored(Vec<SelectedSeries>),
    /// A subquery's block; times are those of its grid.
    Computed(Arc<Block>, Vec<Timestamp>),
}

impl RangeData {
    pub(super) fn row<'a>(&'a self, row: usize, scratch: &'a mut Scratch) -> Samples<'a> {
        match self {
            Self::Stored(series) => samples_of(&series[row], scratch),
            Self::Computed(block, times) => {
                scratch.clear();
                for (step, (ts, cell)) in times.iter().zip(block.row(row)).enumerate() {
                    if let Some(histogram) = block.histogram(row, step) {
                        scratch.histogram_times.push(*ts);
                        scratch.histograms.push(Arc::clone(histogram));
                    } else if !is_absent(*cell) && !is_stale(*cell) {
                        scratch.times.push(*ts);
                        scratch.values.push(*cell);
                    }
                }
                scratch.samples()
            }
        }
    }
}

/// The first index from `from` on whose time is after `bound`. Windows mostly move by a few samples: those are tried
/// one by one before the rest is searched with doubling steps.
#[inline]
pub(super) fn seek(times: &[Timestamp], from: usize, bound: Timestamp) -> usize {
    let rest = times.get(from..).unwrap_or(&[]);
    for (i, ts) in rest.iter().take(8).enumerate() {
        if *ts > bound {
            return from + i;
        }
    }
    if rest.last().is_none_or(|last| *last <= bound) { times.len() } else { from + gallop(rest, bound) }
}

fn gallop(rest: &[Timestamp], bound: Timestamp) -> usize {
    let mut width = 8;
    while width < rest.len() && rest[width - 1] <= bound {
        width *= 2;
    }
    let low = width / 2;
    let high = width.min(rest.len());
    low + rest[low..high].partition_point(|ts| *ts <= bound)
}

#[cfg(test)]
mod tests {
    use super::seek;

    #[test]
    fn finds_what_a_search_finds() {
        let times: Vec<i64> = (0..100).map(|i| i * 3).collect();
        for from in [0, 5, 50, 99, 100] {
            for bound in [-1, 0, 7, 150, 296, 297, 1_000] {
                let expected = from + times[from..].partition_point(|ts| *ts <= bound);
                assert_eq!(seek(&times, from, bound), expected, "from {from}, bound {bound}");
            }
        }
    }
}
