//! Ticks of an earlier run of the process, as their rows tell them.

use std::sync::Arc;

use crate::model::{Histogram, Timestamp, absent};

use super::{Head, Sid};

/// A tick as its row tells it: columns are the row's, `cols` says what they are in the head.
#[derive(Debug)]
pub(crate) struct ReplayedTick<'a> {
    pub(crate) ts: Timestamp,
    pub(crate) cols: &'a [Option<u32>],
    pub(crate) floats: &'a [f64],
    pub(crate) histograms: &'a [(u32, Arc<Histogram>)],
    pub(crate) starts: &'a [(u32, Timestamp)],
}

impl Head {
    /// The columns of series in a group of an earlier run.
    pub(crate) fn replay_columns(&mut self, index: u32, sids: &[Option<Sid>]) -> Vec<Option<u32>> {
        let Some(mut group) = self.groups.get_mut(index as usize).and_then(Option::take) else { return Vec::new() };
        let cols = sids.iter().map(|sid| sid.map(|sid| self.column_of(&mut group, index, sid))).collect();
        self.groups[index as usize] = Some(group);
        cols
    }

    /// Writes a replayed tick of an earlier run; `cols` has the column of each value.
    pub(crate) fn replay_tick(&mut self, index: u32, tick: &ReplayedTick<'_>) {
        let window = self.window_for(tick.ts);
        let Some(Some(group)) = self.groups.get_mut(index as usize) else { return };
        if group.columns.newest().is_some_and(|newest| newest >= tick.ts) {
            return;
        }
        let at = group.columns.begin_tick(window, tick.ts);
        self.scratch.clear();
        self.scratch.resize(group.columns.len(), absent());
        for (value, col) in tick.floats.iter().zip(tick.cols) {
            if let Some(place) = col.and_then(|col| self.scratch.get_mut(col as usize)) {
                *place = *value;
            }
        }
        group.columns.put_all(at, &self.scratch);
        let col_of = |col: u32| tick.cols.get(col as usize).copied().flatten();
        for (col, histogram) in tick.histograms {
            if let Some(col) = col_of(*col) {
                group.columns.put_histogram(at, col, histogram.clone());
            }
        }
        for (col, start) in tick.starts {
            if let Some(col) = col_of(*col) {
                group.columns.put_start(at, col, *start);
            }
        }
    }
}
