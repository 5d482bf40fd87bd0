//! The samples of one series as plain columns, in place where possible.

use std::sync::Arc;

use crate::model::{Histogram, Labels, Timestamp};
use crate::storage::Selection;

use super::Block;
use super::bands::{Band, RowRoom, bands};
use super::block::Dropped;

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

impl Samples<'_> {
    pub(crate) const EMPTY: Self = Self { times: &[], values: &[], starts: &[], histogram_times: &[], histograms: &[] };
}

/// Room for samples that must be copied out of their pieces.
#[derive(Default)]
pub(crate) struct Scratch {
    /// A row's cells, holes and all.
    pub(super) row: RowRoom,
    pub(crate) times: Vec<Timestamp>,
    pub(crate) values: Vec<f64>,
    pub(crate) starts: Vec<Timestamp>,
    pub(crate) histogram_times: Vec<Timestamp>,
    pub(crate) histograms: Vec<Arc<Histogram>>,
}

impl Scratch {
    pub(crate) fn clear(&mut self) {
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
}

/// The series of a range, and what happens to their names.
pub(super) struct RangeSeries {
    pub(super) labels: Arc<Vec<Labels>>,
    pub(super) dropped: Dropped,
    pub(super) data: RangeData,
}

/// Where the samples lie.
pub(super) enum RangeData {
    Stored(Selection),
    /// A subquery's block; times are those of its grid.
    Computed(Arc<Block>, Vec<Timestamp>),
}

impl RangeData {
    pub(super) fn bands(&self) -> Vec<Band<'_>> {
        match self {
            Self::Stored(selection) => bands(selection),
            Self::Computed(block, times) => vec![Band::of_block(block, times)],
        }
    }
}

/// The first index from `from` on whose time is after `bound`. Windows mostly move by a few samples: those are tried
/// one by one before the rest is searched with doubling steps.
#[inline]
pub(crate) fn seek(times: &[Timestamp], from: usize, bound: Timestamp) -> usize {
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
