//! Recent time, uncompressed: groups of columns, irregular samples, and the rows that make them durable.

mod group;
mod irregular;
mod log;
mod series;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use rustc_hash::FxHashMap;

use crate::model::{
    Batch, Exemplar, GroupId, Histogram, Intern, Irregular, IrregularSample, Labels, SeriesRef, Timestamp, Value,
    absent, is_absent,
};

use super::config::RingCounters;
use super::querier::Run;
use super::rows::{Member, RowState, Tick, write_irregular};

pub(crate) use group::{BLOCK, Block, OpenTimes, bounds, push};
pub(crate) use irregular::{IrregularSeries, RunBuilder};
pub(crate) use log::{Log, Record};
pub(crate) use series::{Place, SeriesTable, Sid};

use group::Columns;

/// Exemplars that the head keeps in all; the oldest go first.
const MAX_EXEMPLARS: usize = 4096;

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
}

/// A tick as its row tells it: columns are the row's, `cols` says what they are in the head.
#[derive(Debug)]
pub(crate) struct ReplayedTick<'a> {
    pub(crate) ts: Timestamp,
    pub(crate) cols: &'a [Option<u32>],
    pub(crate) floats: &'a [f64],
    pub(crate) histograms: &'a [(u32, Arc<Histogram>)],
    pub(crate) starts: &'a [(u32, Timestamp)],
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
    exemplars: VecDeque<(Labels, Timestamp, Exemplar)>,
    /// Samples of windows before this one have been or are being sealed: late ones go into the next segment.
    pub(crate) sealing: Timestamp,
    /// Windows before this one are no longer in memory.
    pub(crate) floor: Timestamp,
    pub(crate) log: Log,
    /// Values of the tick at hand, by column.
    scratch: Vec<f64>,
}

/// The series of a group's columns, and its blocks.
pub(crate) type GroupData = (Vec<Option<Sid>>, Vec<Arc<Block>>);

/// What a window holds, shared with the head or copied, for the sealer.
#[derive(Debug, Default)]
pub(crate) struct WindowData {
    pub(crate) groups: Vec<GroupData>,
    pub(crate) irregular: Vec<(Sid, Vec<IrregularSample>)>,
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
            exemplars: VecDeque::new(),
            sealing: Timestamp::MIN,
            floor: Timestamp::MIN,
            log: Log::default(),
            scratch: Vec::new(),
        }
    }

    pub(crate) fn window_of(&self, ts: Timestamp) -> Timestamp {
        ts.div_euclid(self.window_ms).saturating_mul(self.window_ms)
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
        if batch.is_empty() {
            return;
        }
        let index = self.group_index(batch.group);
        let late = self.window_of(batch.ts) < self.sealing
            || self.groups[index as usize].as_ref().and_then(|g| g.columns.newest()).is_some_and(|n| n >= batch.ts);
        if late {
            return self.append_late(batch, intern, counters);
        }
        let Some(mut group) = self.groups[index as usize].take() else { return };
        self.resolve(&mut group, index, batch, intern, counters);
        self.write_tick(&mut group, index, batch, intern);
        self.groups[index as usize] = Some(group);
        counters.samples.fetch_add(batch.len() as u64, Relaxed);
        for (series, exemplar) in &batch.exemplars {
            self.keep_exemplar(*series, batch.ts, exemplar, intern);
        }
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
        counters.unknown_series.fetch_add(unknown, Relaxed);
        group.order = order;
    }

    /// The column of a series in a group that was taken out of the head; a new one if need be.
    fn column(&mut self, group: &mut Group, index: u32, series: SeriesRef, intern: &dyn Intern) -> Option<u32> {
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
        let window = self.window_of(batch.ts);
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

    /// A tick that its group has passed already, or whose window is sealed.
    fn append_late(&mut self, batch: &Batch, intern: &dyn Intern, counters: &RingCounters) {
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
                None => {
                    let window = self.window_of(sample.ts).max(self.sealing);
                    self.keep_irregular(sid, window, sample.clone());
                    kept.push((window, sample));
                    0
                }
            };
        }
        self.series_rows(sid, &kept);
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
        }
        list.insert(window, sample);
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

    fn keep_exemplar(&mut self, series: SeriesRef, ts: Timestamp, exemplar: &Exemplar, intern: &dyn Intern) {
        let Some(sid) = self.sid_of(series, intern) else { return };
        let Some(labels) = self.series.get(sid).map(|s| s.labels.clone()) else { return };
        if self.exemplars.len() == MAX_EXEMPLARS {
            self.exemplars.pop_front();
        }
        self.exemplars.push_back((labels, exemplar.ts.unwrap_or(ts), exemplar.clone()));
    }

    /// Exemplars in the order in which they came.
    pub(crate) fn exemplars(&self) -> impl Iterator<Item = &(Labels, Timestamp, Exemplar)> {
        self.exemplars.iter()
    }

    /// The oldest window that is not sealed and has samples.
    pub(crate) fn first_open_window(&self) -> Option<Timestamp> {
        let groups = self.groups.iter().flatten().filter_map(|g| g.columns.first_window(self.sealing));
        let irregular = self.irregular.values().filter_map(|s| s.first_window(self.sealing));
        groups.chain(irregular).min()
    }

    /// Closes a window: later samples of it are late. Everything before it must be sealed.
    pub(crate) fn close_window(&mut self, window: Timestamp) -> WindowData {
        self.sealing = self.sealing.max(window.saturating_add(self.window_ms));
        self.window_data(window)
    }

    fn window_data(&mut self, window: Timestamp) -> WindowData {
        let mut data = WindowData::default();
        for group in self.groups.iter_mut().flatten() {
            group.columns.freeze_window(window);
            let blocks = group.columns.blocks_of(window);
            if !blocks.is_empty() {
                data.groups.push((group.columns.sids().to_vec(), blocks));
            }
        }
        for (sid, series) in &self.irregular {
            if let Some(samples) = series.of_window(window) {
                data.irregular.push((*sid, samples.to_vec()));
            }
        }
        data.irregular.sort_by_key(|(sid, _)| *sid);
        data
    }

    /// Drops windows before `floor` from memory.
    pub(crate) fn evict(&mut self, floor: Timestamp) {
        if floor <= self.floor {
            return;
        }
        self.floor = floor;
        for index in 0..self.groups.len() {
            let Some(group) = self.groups[index].as_mut() else { continue };
            let gone = group.columns.evict(floor);
            let empty = group.columns.is_empty();
            let id = group.id;
            for sid in gone {
                if let Some(entry) = self.series.get_mut(sid) {
                    entry.places.retain(|p| p.group != index as u32);
                }
                self.series.release_if_unused(sid);
            }
            if empty {
                self.groups[index] = None;
                self.free_groups.push(index as u32);
                if let Some(id) = id {
                    self.group_of.remove(&id);
                }
            }
        }
        let series = &mut self.series;
        self.irregular.retain(|sid, list| {
            list.evict(floor);
            if list.is_empty() {
                if let Some(entry) = series.get_mut(*sid) {
                    entry.uses -= 1;
                }
                series.release_if_unused(*sid);
            }
            !list.is_empty()
        });
    }

    /// Makes the next row of every group full: rows were lost.
    pub(crate) fn reset_rows(&mut self) {
        self.groups.iter_mut().flatten().for_each(|g| g.rows.reset());
        self.series.forget_announcements();
    }

    /// The columns of series in a group of an earlier run.
    pub(crate) fn replay_columns(&mut self, index: u32, sids: &[Option<Sid>]) -> Vec<Option<u32>> {
        let Some(mut group) = self.groups.get_mut(index as usize).and_then(Option::take) else { return Vec::new() };
        let cols = sids.iter().map(|sid| sid.map(|sid| self.column_of(&mut group, index, sid))).collect();
        self.groups[index as usize] = Some(group);
        cols
    }

    /// Writes a replayed tick of an earlier run; `cols` has the column of each value.
    pub(crate) fn replay_tick(&mut self, index: u32, tick: &ReplayedTick<'_>) {
        let window = self.window_of(tick.ts);
        let Some(Some(group)) = self.groups.get_mut(index as usize) else { return };
        if group.columns.newest().is_some_and(|newest| newest >= tick.ts) {
            return;
        }
        let at = group.columns.begin_tick(window, tick.ts);
        for (value, col) in tick.floats.iter().zip(tick.cols) {
            if let Some(col) = col {
                group.columns.put(at, *col, *value);
            }
        }
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

    /// Runs of a series within the bounds, sorted by their first time.
    pub(crate) fn runs(&self, sid: Sid, start: Timestamp, end: Timestamp, copies: &mut [OpenTimes]) -> Vec<Run> {
        let mut runs = Vec::new();
        let Some(entry) = self.series.get(sid) else { return runs };
        for place in &entry.places {
            if let (Some(group), Some(copy)) = (self.group(*place), copies.get_mut(place.group as usize)) {
                group.columns.runs(place.col, start, end, copy, &mut runs);
            }
        }
        if let Some(irregular) = self.irregular.get(&sid) {
            irregular.runs(start, end, &mut runs);
        }
        runs
    }

    /// The newest sample of a series within the bounds.
    pub(crate) fn last(&self, sid: Sid, start: Timestamp, end: Timestamp, copies: &mut [OpenTimes]) -> Option<Run> {
        let entry = self.series.get(sid)?;
        let mut newest: Option<Run> = None;
        for place in &entry.places {
            let (Some(group), Some(copy)) = (self.group(*place), copies.get_mut(place.group as usize)) else {
                continue;
            };
            let run = group.columns.last(place.col, start, end, copy);
            newest = later(newest, run);
        }
        if let Some(irregular) = self.irregular.get(&sid) {
            let mut runs = Vec::new();
            irregular.runs(start, end, &mut runs);
            let run = runs.pop().map(|mut run| {
                run.from = run.to - 1;
                run
            });
            newest = later(newest, run);
        }
        newest
    }

    fn group(&self, place: Place) -> Option<&Group> {
        self.groups.get(place.group as usize)?.as_ref()
    }

    /// Room for the timestamps that a selection copies, one place a group.
    pub(crate) fn open_times(&self) -> Vec<OpenTimes> {
        self.groups.iter().map(|_| OpenTimes::default()).collect()
    }

    /// Oldest and newest time in memory, and approximate bytes.
    pub(crate) fn extent(&self) -> (Option<Timestamp>, Option<Timestamp>, usize) {
        let groups = || self.groups.iter().flatten();
        let oldest = groups()
            .filter_map(|g| g.columns.oldest())
            .chain(self.irregular.values().filter_map(IrregularSeries::oldest));
        let newest = groups()
            .filter_map(|g| g.columns.newest())
            .chain(self.irregular.values().filter_map(IrregularSeries::newest));
        let bytes = groups().map(|g| g.columns.bytes()).sum::<usize>()
            + self.irregular.values().map(|s| s.len() * size_of::<IrregularSample>()).sum::<usize>();
        (oldest.min(), newest.max(), bytes)
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

/// The run whose last sample is newer.
fn later(a: Option<Run>, b: Option<Run>) -> Option<Run> {
    let last = |run: &Option<Run>| run.as_ref().map(|r| r.times[r.to - 1]);
    if last(&b) > last(&a) { b } else { a }
}
