//! Rows that share stretches of ticks: a group of the head, or a slice of a segment.

use std::borrow::Cow;
use std::sync::Arc;

use crate::model::Timestamp;
use crate::storage::head::Head;

use super::part::Part;
use super::resolve::Resolved;
use super::slices::SegmentSlices;

/// Some rows and their ticks. Every row has floats in here, or a histogram.
pub(super) struct Strip<'a> {
    /// Ascending, never empty.
    pub(super) rows: Arc<[u32]>,
    /// By row: the column in the group. Slices know their columns themselves.
    cols: Cow<'a, [u32]>,
    /// Ascending in time, never empty.
    pub(super) parts: Vec<Part<'a>>,
    pub(super) ticks: usize,
}

impl<'a> Strip<'a> {
    fn new(rows: Arc<[u32]>, cols: Cow<'a, [u32]>, parts: Vec<Part<'a>>) -> Self {
        let ticks = parts.iter().map(|part| part.times().len()).sum();
        Self { rows, cols, parts, ticks }
    }

    /// The groups of the head within the bounds; rows that have nothing there are left out.
    pub(super) fn of_head(head: &'a Head, resolved: &'a Resolved, start: Timestamp, end: Timestamp) -> Vec<Self> {
        let mut strips = Vec::with_capacity(resolved.groups.len());
        for group in &resolved.groups {
            let Some((blocks, open)) = head.columns(group.group).map(|columns| columns.within(start, end)) else {
                continue;
            };
            let blocks = blocks.into_iter().map(|(block, from, to)| Part::Block(block, from, to));
            let parts: Vec<Part<'a>> = blocks.chain(open.map(Part::Open)).collect();
            if !parts.is_empty() {
                Self::new(Arc::clone(&group.rows), Cow::Borrowed(&group.cols), parts).living(&mut strips);
            }
        }
        strips
    }

    /// The slices of a segment, which may be taken out of `found` once it is loaded.
    pub(super) fn of_segment(found: &mut SegmentSlices, strips: &mut Vec<Self>) {
        for (rows, slice) in found.slices.drain(..) {
            strips.push(Self::new(rows, Cow::Borrowed(&[]), vec![Part::Slice(slice)]));
        }
    }

    /// Adds this strip without the rows that have no sample in it; part by part where most of it would be holes.
    fn living(self, strips: &mut Vec<Self>) {
        let lives = |part: &Part<'_>, k: usize| {
            let col = self.cols[k];
            part.has_floats(k, col) || (part.has_histograms() && part.has_histogram(k, col))
        };
        let rows = self.rows.len();
        let present: Vec<usize> = self.parts.iter().map(|part| (0..rows).filter(|k| lives(part, *k)).count()).collect();
        if present.iter().all(|present| *present == rows) {
            strips.push(self);
            return;
        }
        let alive: Vec<usize> = (0..rows).filter(|k| self.parts.iter().any(|part| lives(part, *k))).collect();
        let filled: usize = self.parts.iter().zip(&present).map(|(part, n)| part.times().len() * n).sum();
        let choose = |alive: &[usize]| {
            let rows: Arc<[u32]> = alive.iter().map(|k| self.rows[*k]).collect();
            (rows, Cow::Owned(alive.iter().map(|k| self.cols[*k]).collect::<Vec<u32>>()))
        };
        if filled * 2 >= alive.len() * self.ticks {
            if !alive.is_empty() {
                let (rows, cols) = choose(&alive);
                strips.push(Self::new(rows, cols, self.parts));
            }
            return;
        }
        let chosen: Vec<_> = self
            .parts
            .iter()
            .map(|part| choose(&(0..rows).filter(|k| lives(part, *k)).collect::<Vec<usize>>()))
            .collect();
        for (part, (rows, cols)) in self.parts.into_iter().zip(chosen) {
            if !rows.is_empty() {
                strips.push(Self::new(rows, cols, vec![part]));
            }
        }
    }

    /// The same, independent of the lock on the head.
    pub(super) fn into_owned(self) -> Strip<'static> {
        let cols = self.cols;
        let own = |part| match part {
            Part::Block(block, from, to) => Part::Block(block, from, to),
            Part::Open(open) => Part::Open(open.to_owned(&cols)),
            Part::Slice(slice) => Part::Slice(slice),
        };
        let parts = self.parts.into_iter().map(own).collect();
        Strip { rows: self.rows, parts, ticks: self.ticks, cols: Cow::Owned(cols.into_owned()) }
    }

    /// The column of the `k`-th row.
    pub(super) fn col(&self, k: usize) -> u32 {
        self.cols.get(k).copied().unwrap_or(0)
    }

    /// Places of the dense piece that it would be.
    pub(super) fn cells(&self) -> usize {
        self.rows.len() * self.ticks
    }

    pub(super) fn first(&self) -> Timestamp {
        self.parts.first().and_then(|part| part.times().first()).copied().unwrap_or(Timestamp::MAX)
    }

    pub(super) fn last(&self) -> Timestamp {
        self.parts.last().and_then(|part| part.times().last()).copied().unwrap_or(Timestamp::MIN)
    }

    /// Ticks that must be decoded for each row.
    pub(super) fn decoded_ticks(&self) -> usize {
        let ticks = |part: &Part<'_>| if let Part::Slice(slice) = part { slice.decoded_ticks() } else { 0 };
        self.parts.iter().map(ticks).sum()
    }

    /// Rows that have histograms.
    pub(super) fn histogram_rows(&self, out: &mut Vec<u32>) {
        for part in self.parts.iter().filter(|part| part.has_histograms()) {
            out.extend((0..self.rows.len()).filter(|k| part.has_histogram(*k, self.col(*k))).map(|k| self.rows[k]));
        }
    }
}
