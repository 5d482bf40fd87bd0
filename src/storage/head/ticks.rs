//! Reading a group's columns in place: the ticks within bounds, and the newest tick.

use std::borrow::Cow;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::model::{Histogram, IrregularSample, Timestamp, Value, absent, is_absent};

use super::group::{BLOCK, Block, Columns, Open, bounds};
use super::{Head, Sid};

/// The ticks of an open block within bounds: in place while the head is locked, or a copy of the columns that matter.
#[derive(Debug)]
pub(crate) struct OpenTicks<'a> {
    times: Cow<'a, [Timestamp]>,
    floats: Cow<'a, [f64]>,
    /// Places of a column in `floats`, and the first one that matters.
    stride: usize,
    from: usize,
    /// Whether `floats` has only the columns of the selection, in its order.
    packed: bool,
    /// The whole columns, by their number in the group.
    histograms: Cow<'a, FxHashMap<u32, Vec<Option<Arc<Histogram>>>>>,
    starts: Cow<'a, FxHashMap<u32, Vec<Timestamp>>>,
    /// The first tick of those that matters.
    first: usize,
}

impl OpenTicks<'_> {
    pub(crate) fn times(&self) -> &[Timestamp] {
        &self.times
    }

    /// The floats of a column, which is the `k`-th of the selection; `None` when the column is younger than the block.
    pub(crate) fn floats(&self, k: usize, col: u32) -> Option<&[f64]> {
        let at = if self.packed { k } else { col as usize } * self.stride + self.from;
        self.floats.get(at..at + self.times.len())
    }

    pub(crate) fn histograms(&self, col: u32) -> Option<&[Option<Arc<Histogram>>]> {
        if self.histograms.is_empty() {
            return None;
        }
        self.histograms.get(&col)?.get(self.first..self.first + self.times.len())
    }

    pub(crate) fn starts(&self, col: u32) -> Option<&[Timestamp]> {
        if self.starts.is_empty() {
            return None;
        }
        self.starts.get(&col)?.get(self.first..self.first + self.times.len())
    }

    pub(crate) fn has_histograms(&self) -> bool {
        !self.histograms.is_empty()
    }

    pub(crate) fn has_starts(&self) -> bool {
        !self.starts.is_empty()
    }

    /// A copy that outlives the lock.
    pub(crate) fn to_owned(&self, cols: &[u32]) -> OpenTicks<'static> {
        let n = self.times.len();
        let mut floats = Vec::with_capacity(cols.len() * n);
        for (k, col) in cols.iter().enumerate() {
            match self.floats(k, *col) {
                Some(column) => floats.extend_from_slice(column),
                None => floats.resize(floats.len() + n, absent()),
            }
        }
        OpenTicks {
            times: Cow::Owned(self.times.to_vec()),
            floats: Cow::Owned(floats),
            stride: n,
            from: 0,
            packed: true,
            histograms: Cow::Owned(self.histograms.clone().into_owned()),
            starts: Cow::Owned(self.starts.clone().into_owned()),
            first: self.first,
        }
    }
}

/// The newest tick of a group within bounds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewestTick<'a> {
    pub(crate) ts: Timestamp,
    at: usize,
    place: TickPlace<'a>,
}

#[derive(Debug, Clone, Copy)]
enum TickPlace<'a> {
    Open(&'a Open),
    Block(&'a Block),
}

impl NewestTick<'_> {
    /// Appends the floats of columns, [`absent`] where there is none.
    pub(crate) fn floats(&self, cols: &[u32], out: &mut Vec<f64>) {
        match self.place {
            TickPlace::Open(open) => {
                let value = |col: &u32| open.floats.get(*col as usize * BLOCK + self.at).copied().unwrap_or(absent());
                out.extend(cols.iter().map(value));
            }
            TickPlace::Block(block) => {
                let value = |col: &u32| block.floats.column(*col)?.get(self.at).copied();
                out.extend(cols.iter().map(|col| value(col).unwrap_or(absent())));
            }
        }
    }

    pub(crate) fn has_histograms(&self) -> bool {
        match self.place {
            TickPlace::Open(open) => !open.histograms.is_empty(),
            TickPlace::Block(block) => !block.histograms.is_empty(),
        }
    }

    pub(crate) fn has_histogram(&self, col: u32) -> bool {
        let found = match self.place {
            TickPlace::Open(open) => open.histograms.get(&col).and_then(|h| h.get(self.at)),
            TickPlace::Block(block) => block.histograms.get(&col).and_then(|h| h.get(self.at)),
        };
        found.is_some_and(Option::is_some)
    }

    pub(crate) fn has_starts(&self) -> bool {
        match self.place {
            TickPlace::Open(open) => !open.starts.is_empty(),
            TickPlace::Block(block) => !block.starts.is_empty(),
        }
    }

    /// Start timestamp of the sample of a column, 0 when it is not known.
    pub(crate) fn start(&self, col: u32) -> Timestamp {
        let found = match self.place {
            TickPlace::Open(open) => open.starts.get(&col).and_then(|s| s.get(self.at)),
            TickPlace::Block(block) => block.starts.get(&col).and_then(|s| s.get(self.at)),
        };
        found.copied().unwrap_or(0)
    }
}

/// Blocks within bounds, with the first and one past the last index that matter.
pub(crate) type BlockTicks = (Arc<Block>, usize, usize);

impl Columns {
    /// The ticks within the bounds.
    pub(crate) fn within(&self, start: Timestamp, end: Timestamp) -> (Vec<BlockTicks>, Option<OpenTicks<'_>>) {
        let first = self.blocks.partition_point(|b| b.times.last().is_some_and(|last| *last < start));
        let mut blocks = Vec::new();
        for block in self.blocks.iter().skip(first) {
            let (from, to) = bounds(&block.times, start, end);
            if from >= to {
                break;
            }
            blocks.push((Arc::clone(block), from, to));
        }
        let open = &self.open;
        let (from, to) = bounds(&open.times, start, end);
        let ticks = (from < to).then(|| OpenTicks {
            times: Cow::Borrowed(&open.times[from..to]),
            floats: Cow::Borrowed(&open.floats),
            stride: BLOCK,
            from,
            packed: false,
            histograms: Cow::Borrowed(&open.histograms),
            starts: Cow::Borrowed(&open.starts),
            first: from,
        });
        (blocks, ticks)
    }

    /// The newest tick within the bounds.
    pub(crate) fn newest_tick(&self, start: Timestamp, end: Timestamp) -> Option<NewestTick<'_>> {
        let (from, to) = bounds(&self.open.times, start, end);
        if from < to {
            return Some(NewestTick { ts: self.open.times[to - 1], at: to - 1, place: TickPlace::Open(&self.open) });
        }
        let after = self.blocks.partition_point(|b| b.times.first().is_some_and(|first| *first <= end));
        let block = self.blocks.get(after.checked_sub(1)?)?;
        let (from, to) = bounds(&block.times, start, end);
        (from < to).then(|| NewestTick { ts: block.times[to - 1], at: to - 1, place: TickPlace::Block(block) })
    }

    /// The newest sample of a column within the bounds.
    pub(crate) fn newest_sample(&self, col: u32, start: Timestamp, end: Timestamp) -> Option<IrregularSample> {
        let open = &self.open;
        let (from, to) = bounds(&open.times, start, end);
        if from < to {
            let base = col as usize * BLOCK;
            let floats = open.floats.get(base + from..base + to).unwrap_or_default();
            let histograms = open.histograms.get(&col).and_then(|h| h.get(from..to)).unwrap_or_default();
            if let Some((i, value)) = newest_of(floats, histograms) {
                let start_ts = open.starts.get(&col).and_then(|s| s.get(from + i)).copied().unwrap_or(0);
                return Some(IrregularSample { ts: open.times[from + i], start_ts, value });
            }
        }
        for block in self.blocks.iter().rev() {
            if block.times.last().is_none_or(|last| *last < start) {
                return None;
            }
            let (from, to) = bounds(&block.times, start, end);
            if from >= to {
                continue;
            }
            let floats = block.floats.column(col).map_or(&[][..], |c| &c[from..to]);
            let histograms = block.histograms.get(&col).map_or(&[][..], |c| &c[from..to]);
            if let Some((i, value)) = newest_of(floats, histograms) {
                let start_ts = block.starts.get(&col).map_or(0, |s| s[from + i]);
                return Some(IrregularSample { ts: block.times[from + i], start_ts, value });
            }
        }
        None
    }
}

/// The last sample of parallel columns, either of which may be empty.
fn newest_of(floats: &[f64], histograms: &[Option<Arc<Histogram>>]) -> Option<(usize, Value)> {
    let float = floats.iter().rposition(|v| !is_absent(*v));
    let histogram = histograms.iter().rposition(Option::is_some);
    match histogram.filter(|h| float.is_none_or(|f| *h >= f)) {
        Some(i) => Some((i, Value::Histogram(histograms[i].clone()?))),
        None => float.map(|i| (i, Value::Float(floats[i]))),
    }
}

impl Head {
    /// The columns of a group.
    pub(crate) fn columns(&self, group: u32) -> Option<&Columns> {
        Some(&self.groups.get(group as usize)?.as_ref()?.columns)
    }

    /// Whether a series has samples that no column took.
    pub(crate) fn has_irregular(&self, sid: Sid) -> bool {
        !self.irregular.is_empty() && self.irregular.contains_key(&sid)
    }

    /// Those of its samples that lie within the bounds, ascending.
    pub(crate) fn irregular_within(&self, sid: Sid, start: Timestamp, end: Timestamp) -> Vec<IrregularSample> {
        self.irregular.get(&sid).map_or_else(Vec::new, |series| series.within(start, end))
    }

    /// The newest sample of a series within the bounds; of several at one time the first source's.
    pub(crate) fn newest_sample(&self, sid: Sid, start: Timestamp, end: Timestamp) -> Option<IrregularSample> {
        let mut newest: Option<IrregularSample> = None;
        let dense = self.series.get(sid)?.places.iter();
        let dense = dense.filter_map(|p| self.columns(p.group)?.newest_sample(p.col, start, end));
        let irregular = self.irregular.get(&sid).and_then(|series| series.newest_within(start, end));
        for sample in dense.chain(irregular) {
            if newest.as_ref().is_none_or(|newest| newest.ts < sample.ts) {
                newest = Some(sample);
            }
        }
        newest
    }
}
