//! Recent time, uncompressed: groups of columns, irregular samples, and the rows that make them durable.

mod exemplars;
mod group;
mod irregular;
mod late;
mod log;
mod read;
mod replayed;
mod series;
mod ticks;
mod window;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use rustc_hash::FxHashMap;

use crate::model::{Batch, GroupId, Histogram, Intern, Labels, SeriesRef, Timestamp, absent, is_absent};

use super::config::RingCounters;
use super::rows::{Member, RowState, Tick};

pub(crate) use exemplars::is_same;
pub(crate) use group::{BLOCK, Block, bounds};
pub(crate) use irregular::IrregularSeries;
pub(crate) use log::{Log, Record};
pub(crate) use replayed::ReplayedTick;
pub(crate) use series::{Place, SeriesTable, Sid};
pub(crate) use ticks::{NewestTick, OpenTicks};
pub(crate) use window::WindowData;

use exemplars::Exemplars;
use group::Columns;

/// Columns of one group: with a block open each takes a kilobyte. Pages that change their labels each time end here.
const MAX_COLUMNS: usize = 1 << 16;
/// Irregular samples in memory, some 60 bytes each.
const MAX_IRREGULAR: usize = 4 << 20;

/// One group of series that tick together.
#[derive(Debug, Default)]
struct Group {
    /// `None` for a group of an earlier run of the process.
    id: Option<GroupId>,
    columns: Columns,
    /// The references of the last tick, in its order, with their columns: the steady path compares, nothing else.
    order: Vec<(SeriesRef, u32)>,
    rows: RowState,
}

/// The bounds that the clock and the settings put on one call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Older samples are dropped.
    pub(crate) oldest: Timestamp,
    /// Later samples are dropped.
    pub(crate) newest: Timestamp,
    /// Exemplars that memory may hold in all.
    pub(crate) exemplars: usize,
}

/// The head. Everything is in memory; the ring guards it with a lock.
#[derive(Debug)]
pub(crate) struct Head {
    window_ms: i64,
    pub(crate) series: SeriesTable,
    groups: Vec<Option<Group>>,
    free_groups: Vec<u32>,
    group_of: FxHashMap<GroupId, u32>,
    irregular: FxHashMap<Sid, IrregularSeries>,
    irregular_samples: usize,
    exemplars: Exemplars,
    /// Samples of windows before this one have been or are being sealed: late ones go into the next segment.
    pub(crate) sealing: Timestamp,
    /// Windows before this one are no longer in memory.
    pub(crate) floor: Timestamp,
    pub(crate) log: Log,
    /// Values of the tick at hand, by column.
    scratch: Vec<f64>,
}

impl Head {
    pub(crate) fn new(window_ms: i64) -> Self {
        Self {
            window_ms,
            series: SeriesTable::default(),
            groups: Vec::new(),
            free_groups: Vec::new(),
            group_of: FxHashMap::default(),
            irregular: FxHashMap::default(),
            irregular_samples: 0,
            exemplars: Exemplars::default(),
            sealing: Timestamp::MIN,
            floor: Timestamp::MIN,
            log: Log::default(),
            scratch: Vec::new(),
        }
    }

    /// The start of the window on the grid that a time belongs to.
    pub(crate) fn window_of(&self, ts: Timestamp) -> Timestamp {
        ts.div_euclid(self.window_ms).saturating_mul(self.window_ms)
    }

    /// The window that takes a sample: where sealing has come into the middle of one of the grid, what is left of it.
    pub(crate) fn window_for(&self, ts: Timestamp) -> Timestamp {
        self.window_of(ts).max(self.sealing)
    }

    /// Where a window ends: on the grid.
    pub(crate) fn window_end(&self, window: Timestamp) -> Timestamp {
        self.window_of(window).saturating_add(self.window_ms)
    }

    /// Takes one tick of a group.
    pub(crate) fn append(&mut self, batch: &Batch, intern: &dyn Intern, limits: Limits, counters: &RingCounters) {
        let refused = if batch.ts < limits.oldest {
            Some(&counters.too_old)
        } else if batch.ts > limits.newest {
            Some(&counters.too_far_ahead)
        } else {
            None
        };
        if let Some(counter) = refused {
            counter.fetch_add(batch.len() as u64, Relaxed);
            return;
        }
        self.append_samples(batch, intern, counters);
        self.append_exemplars(batch.ts, &batch.exemplars, intern, limits, counters);
    }

    fn append_samples(&mut self, batch: &Batch, intern: &dyn Intern, counters: &RingCounters) {
        if batch.is_empty() {
            return;
        }
        let index = self.group_index(batch.group);
        let late = batch.ts < self.sealing
            || self.groups[index as usize].as_ref().and_then(|g| g.columns.newest()).is_some_and(|n| n >= batch.ts);
        if late {
            return self.append_late(batch, intern, counters);
        }
        let Some(mut group) = self.groups[index as usize].take() else { return };
        self.resolve(&mut group, index, batch, intern, counters);
        self.write_tick(&mut group, index, batch, intern);
        self.groups[index as usize] = Some(group);
        counters.samples.fetch_add(batch.len() as u64, Relaxed);
    }

    fn group_index(&mut self, id: GroupId) -> u32 {
        if let Some(index) = self.group_of.get(&id) {
            return *index;
        }
        let index = self.new_group(Some(id));
        self.group_of.insert(id, index);
        index
    }

    /// A new group; without an id it is one of an earlier run.
    pub(crate) fn new_group(&mut self, id: Option<GroupId>) -> u32 {
        let group = Some(Group { id, ..Group::default() });
        match self.free_groups.pop() {
            Some(index) => {
                self.groups[index as usize] = group;
                index
            }
            None => {
                self.groups.push(group);
                self.groups.len() as u32 - 1
            }
        }
    }

    /// Brings the group's order up to date with the batch: nothing to do when nothing changed.
    fn resolve(&mut self, group: &mut Group, index: u32, batch: &Batch, intern: &dyn Intern, counters: &RingCounters) {
        let same = group.order.len() == batch.floats.len()
            && group.order.iter().zip(&batch.floats).all(|(known, sample)| known.0 == sample.0);
        if same {
            return;
        }
        let mut order = Vec::with_capacity(batch.floats.len());
        let old = std::mem::take(&mut group.order);
        let mut known = old.iter();
        let mut unknown = 0;
        for (series, _) in &batch.floats {
            // The old order is a good guess even where single series came or went.
            let col = match known.clone().take(4).position(|(r, _)| r == series) {
                Some(skip) => known.nth(skip).map(|(_, col)| *col).filter(|col| *col != u32::MAX),
                None => self.column(group, index, *series, intern),
            };
            unknown += u64::from(col.is_none());
            order.push((*series, col.unwrap_or(u32::MAX)));
        }
        let full = group.columns.live() >= MAX_COLUMNS;
        let counter = if full { &counters.over_limit } else { &counters.unknown_series };
        counter.fetch_add(unknown, Relaxed);
        group.order = order;
    }

    /// The column of a series in a group that was taken out of the head; a new one if need be.
    fn column(&mut self, group: &mut Group, index: u32, series: SeriesRef, intern: &dyn Intern) -> Option<u32> {
        if let Some(sid) = self.series.by_ref(series)
            && group.columns.has(sid)
        {
            return Some(self.column_of(group, index, sid));
        }
        if group.columns.live() >= MAX_COLUMNS {
            return None;
        }
        let sid = self.sid_of(series, intern)?;
        Some(self.column_of(group, index, sid))
    }

    fn column_of(&mut self, group: &mut Group, index: u32, sid: Sid) -> u32 {
        let (col, new) = group.columns.column(sid);
        if new {
            group.rows.changed = true;
            if let Some(entry) = self.series.get_mut(sid) {
                entry.places.push(Place { group: index, col });
            }
            self.series.touch(sid);
        }
        col
    }

    fn sid_of(&mut self, series: SeriesRef, intern: &dyn Intern) -> Option<Sid> {
        if let Some(sid) = self.series.by_ref(series) {
            return Some(sid);
        }
        let labels = intern.labels(series)?;
        let sid = self.series.intern(&labels);
        self.series.bind(series, sid);
        Some(sid)
    }

    /// Writes a tick into the group's columns and its row into the log.
    fn write_tick(&mut self, group: &mut Group, index: u32, batch: &Batch, intern: &dyn Intern) {
        let mut histograms: Vec<(u32, Arc<Histogram>)> = Vec::new();
        for (series, histogram) in &batch.histograms {
            if let Some(col) = self.column(group, index, *series, intern) {
                histograms.push((col, histogram.clone()));
            }
        }
        let mut starts: Vec<(u32, Timestamp)> = Vec::new();
        for (series, start) in &batch.start_ts {
            if let Some(col) = self.column(group, index, *series, intern) {
                starts.push((col, *start));
            }
        }
        let window = self.window_for(batch.ts);
        let tick = group.columns.begin_tick(window, batch.ts);
        self.scratch.clear();
        self.scratch.resize(group.columns.len(), absent());
        for ((_, col), (_, value)) in group.order.iter().zip(&batch.floats) {
            if let Some(place) = self.scratch.get_mut(*col as usize) {
                *place = if is_absent(*value) { f64::NAN } else { *value };
            }
        }
        group.columns.put_all(tick, &self.scratch);
        for (col, histogram) in &histograms {
            group.columns.put_histogram(tick, *col, histogram.clone());
        }
        for (col, start) in &starts {
            group.columns.put_start(tick, *col, *start);
        }
        let row = Tick {
            group: index,
            window,
            ts: batch.ts,
            floats: &self.scratch,
            histograms: &histograms,
            starts: &starts,
        };
        let (series, columns, rows) = (&mut self.series, &group.columns, &mut group.rows);
        self.log.add(window, |out| rows.write(&row, || members(series, columns, window), out));
    }
}

/// The labels of a series when the rows of this window do not have them yet.
fn announce(series: &mut SeriesTable, sid: Sid, window: Timestamp) -> Option<Labels> {
    let entry = series.get_mut(sid)?;
    if entry.announced == window {
        return None;
    }
    entry.announced = window;
    Some(entry.labels.clone())
}

fn members(series: &mut SeriesTable, columns: &Columns, window: Timestamp) -> Vec<Member> {
    columns.sids().iter().map(|sid| sid.map(|sid| (sid.0, announce(series, sid, window)))).collect()
}
