//! A group's columns: one timestamp column, one value column a series, in blocks of a fixed number of ticks.

use std::collections::VecDeque;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::model::{Histogram, Timestamp, absent, is_absent};

use super::floats::{Floats, Packer};
use super::series::Sid;

/// Ticks of a full block: two minutes at 1 Hz. Full blocks are shared with queries, the open one is copied.
pub(crate) const BLOCK: usize = 120;
/// Columns of a block that are packed while the tick waits: that takes some hundred microseconds. Larger ones stay as they
/// are until maintenance packs them.
const PACKED_AT_ONCE: usize = if cfg!(test) { 2 } else { 128 };

/// The shape of a histogram column.
pub(crate) type HistogramColumn = Arc<[Option<Arc<Histogram>>]>;

/// A piece of a group that never changes again.
#[derive(Debug)]
pub(crate) struct Block {
    /// Start of the window that it belongs to.
    pub(crate) window: Timestamp,
    pub(crate) times: Arc<[Timestamp]>,
    pub(crate) floats: Floats,
    pub(crate) histograms: FxHashMap<u32, HistogramColumn>,
    pub(crate) starts: FxHashMap<u32, Arc<[Timestamp]>>,
}

/// The block that ticks are written to.
#[derive(Debug, Default)]
pub(super) struct Open {
    window: Timestamp,
    pub(super) times: Vec<Timestamp>,
    /// Column after column, [`BLOCK`] places each, of which those of ticks that came mean something.
    pub(super) floats: Vec<f64>,
    pub(super) histograms: FxHashMap<u32, Vec<Option<Arc<Histogram>>>>,
    pub(super) starts: FxHashMap<u32, Vec<Timestamp>>,
}

/// The columns of one group.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    /// The series of each column; `None` is free.
    cols: Vec<Option<Sid>>,
    free: Vec<u32>,
    col_of: FxHashMap<Sid, u32>,
    pub(super) blocks: VecDeque<Arc<Block>>,
    pub(super) open: Open,
    /// The places of a block that was packed, for the next open one: fresh memory costs its first tick milliseconds.
    spare: Vec<f64>,
}

impl Columns {
    pub(crate) fn len(&self) -> usize {
        self.cols.len()
    }

    /// Columns that have a series.
    pub(crate) fn live(&self) -> usize {
        self.col_of.len()
    }

    pub(crate) fn has(&self, sid: Sid) -> bool {
        self.col_of.contains_key(&sid)
    }

    pub(crate) fn sids(&self) -> &[Option<Sid>] {
        &self.cols
    }

    /// The column of a series and whether it is new.
    pub(crate) fn column(&mut self, sid: Sid) -> (u32, bool) {
        if let Some(col) = self.col_of.get(&sid) {
            return (*col, false);
        }
        let col = match self.free.pop() {
            Some(col) => col,
            None => {
                self.cols.push(None);
                let places = if self.open.times.is_empty() { 0 } else { self.cols.len() * BLOCK };
                if places > 0 {
                    self.open.floats.resize(places, absent());
                }
                self.cols.len() as u32 - 1
            }
        };
        self.cols[col as usize] = Some(sid);
        self.col_of.insert(sid, col);
        (col, true)
    }

    pub(crate) fn newest(&self) -> Option<Timestamp> {
        self.open.times.last().or_else(|| self.blocks.back()?.times.last()).copied()
    }

    pub(crate) fn oldest(&self) -> Option<Timestamp> {
        self.blocks.front().and_then(|b| b.times.first()).or_else(|| self.open.times.first()).copied()
    }

    /// Starts a tick, in a new block where the old one is full or belongs to another window. Returns its place, whose floats
    /// must be written with [`Self::put_all`].
    pub(crate) fn begin_tick(&mut self, window: Timestamp, ts: Timestamp) -> usize {
        if !self.open.times.is_empty() && (self.open.window != window || self.open.times.len() == BLOCK) {
            self.freeze();
        }
        if self.open.times.is_empty() {
            self.open.window = window;
            // Each tick writes all columns, so it does not matter what was there before.
            let places = self.cols.len() * BLOCK;
            self.open.floats = std::mem::take(&mut self.spare);
            if self.open.floats.capacity() < places {
                self.open.floats = vec![0.0; places];
            }
            self.open.floats.resize(places, 0.0);
        }
        self.open.times.push(ts);
        for column in self.open.histograms.values_mut() {
            column.push(None);
        }
        for column in self.open.starts.values_mut() {
            column.push(0);
        }
        self.open.times.len() - 1
    }

    /// Writes all values of the tick that was begun last, by column.
    pub(crate) fn put_all(&mut self, tick: usize, values: &[f64]) {
        for (column, value) in self.open.floats.chunks_exact_mut(BLOCK).zip(values) {
            column[tick] = *value;
        }
    }

    pub(crate) fn put_histogram(&mut self, tick: usize, col: u32, value: Arc<Histogram>) {
        let len = self.open.times.len();
        let column = self.open.histograms.entry(col).or_insert_with(|| vec![None; len]);
        if let Some(place) = column.get_mut(tick) {
            *place = Some(value);
        }
    }

    pub(crate) fn put_start(&mut self, tick: usize, col: u32, start: Timestamp) {
        let len = self.open.times.len();
        let column = self.open.starts.entry(col).or_insert_with(|| vec![0; len]);
        if let Some(place) = column.get_mut(tick) {
            *place = start;
        }
    }

    /// Whether the series of a column has a sample at exactly this time, and its float if it is one.
    pub(crate) fn at(&self, col: u32, ts: Timestamp) -> Option<Option<f64>> {
        let float = |value: f64| (!is_absent(value)).then_some(Some(value));
        if let Ok(i) = self.open.times.binary_search(&ts) {
            if self.open.histograms.get(&col).is_some_and(|h| h.get(i).is_some_and(Option::is_some)) {
                return Some(None);
            }
            return self.open.floats.get(col as usize * BLOCK + i).copied().and_then(float);
        }
        let at = self.blocks.partition_point(|b| b.times.last().is_some_and(|last| *last < ts));
        let block = self.blocks.get(at)?;
        let i = block.times.binary_search(&ts).ok()?;
        if block.histograms.get(&col).is_some_and(|h| h[i].is_some()) {
            return Some(None);
        }
        block.floats.column(col).and_then(|column| float(column[i]))
    }

    /// Closes the open block if it belongs to this window.
    pub(crate) fn freeze_window(&mut self, window: Timestamp) {
        if !self.open.times.is_empty() && self.open.window == window {
            self.freeze();
        }
    }

    fn freeze(&mut self) {
        let len = self.open.times.len();
        let mut floats = Floats::Wide(std::mem::take(&mut self.open.floats), len);
        if floats.columns() <= PACKED_AT_ONCE {
            let mut packer = Packer::default();
            packer.step(&floats, PACKED_AT_ONCE);
            self.spare = std::mem::replace(&mut floats, packer.finish()).into_places();
        }
        let block = Block {
            window: self.open.window,
            times: Arc::from(self.open.times.as_slice()),
            floats,
            histograms: self.open.histograms.drain().map(|(col, column)| (col, column.into())).collect(),
            starts: self.open.starts.drain().map(|(col, column)| (col, column.into())).collect(),
        };
        self.blocks.push_back(Arc::new(block));
        self.open.times.clear();
    }

    /// Blocks that wait to be packed, the oldest last.
    pub(super) fn wide_blocks(&self) -> impl Iterator<Item = &Arc<Block>> {
        self.blocks.iter().rev().filter(|block| block.floats.is_wide())
    }

    /// Puts a packed block in the place of the wide one, which is handed back; nothing when it has left.
    pub(super) fn replace(&mut self, wide: &Arc<Block>, packed: Arc<Block>) -> Option<Arc<Block>> {
        let place = self.blocks.iter_mut().find(|block| Arc::ptr_eq(block, wide))?;
        Some(std::mem::replace(place, packed))
    }

    /// Takes the places of a block that was packed back; returns those that are not needed.
    pub(super) fn keep_spare(&mut self, places: Vec<f64>) -> Vec<f64> {
        // After a growth or a cut they would be a waste.
        let fits = (self.cols.len()..2 * self.cols.len()).contains(&(places.len() / BLOCK));
        if fits { std::mem::replace(&mut self.spare, places) } else { places }
    }

    /// The blocks of a window; the open one must have been closed before.
    pub(crate) fn blocks_of(&self, window: Timestamp) -> Vec<Arc<Block>> {
        self.blocks.iter().filter(|b| b.window == window).cloned().collect()
    }

    /// The oldest window that has ticks here.
    pub(crate) fn first_window(&self, not_before: Timestamp) -> Option<Timestamp> {
        let open = (!self.open.times.is_empty()).then_some(self.open.window);
        self.blocks.iter().map(|b| b.window).chain(open).find(|w| *w >= not_before)
    }

    /// Moves blocks of windows before `floor` to `out`. Returns the series whose columns became free.
    pub(crate) fn evict(&mut self, floor: Timestamp, out: &mut Vec<Arc<Block>>) -> Vec<Sid> {
        let before = self.blocks.len();
        while let Some(block) = self.blocks.pop_front_if(|b| b.window < floor) {
            out.push(block);
        }
        if self.blocks.len() == before {
            return Vec::new();
        }
        let mut gone = Vec::new();
        for col in 0..self.cols.len() {
            let Some(sid) = self.cols[col] else { continue };
            if self.is_used(col) {
                continue;
            }
            self.cols[col] = None;
            self.col_of.remove(&sid);
            self.free.push(col as u32);
            gone.push(sid);
        }
        gone
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.blocks.is_empty() && self.open.times.is_empty()
    }

    fn is_used(&self, col: usize) -> bool {
        let key = col as u32;
        let open = || {
            let column = self.open.floats.get(col * BLOCK..col * BLOCK + self.open.times.len());
            column.is_some_and(|c| c.iter().any(|v| !is_absent(*v)))
                || self.open.histograms.contains_key(&key)
                || self.open.starts.contains_key(&key)
        };
        let sealed =
            |b: &Arc<Block>| b.floats.has(key) || b.histograms.contains_key(&key) || b.starts.contains_key(&key);
        self.blocks.iter().any(sealed) || open()
    }

    /// Approximate bytes of all columns.
    pub(crate) fn bytes(&self) -> usize {
        let block = |b: &Arc<Block>| b.floats.bytes() + b.times.len() * 8;
        self.blocks.iter().map(block).sum::<usize>() + (self.open.floats.capacity() + self.spare.capacity()) * 8
    }
}

/// Indices of the times within inclusive bounds.
pub(crate) fn bounds(times: &[Timestamp], start: Timestamp, end: Timestamp) -> (usize, usize) {
    (times.partition_point(|t| *t < start), times.partition_point(|t| *t <= end))
}
