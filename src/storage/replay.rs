//! At the start: rows that no segment covers go back into the head, as series of an earlier run.

use std::sync::atomic::Ordering::Relaxed;

use rustc_hash::FxHashMap;

use crate::model::{IrregularSample, Labels, Timestamp};

use super::StorageError;
use super::bytes::{FormatError, Reader};
use super::config::RingCounters;
use super::head::{Head, ReplayedTick, Sid};
use super::rows::{Member, ReplayState, Row, TickRow, read_row};
use super::store::{Store, StoredRecord, Writer};

/// A group of an earlier run.
struct OldGroup {
    index: u32,
    state: ReplayState,
    /// The head's column of each column of the rows.
    cols: Vec<Option<u32>>,
    starts: Vec<(u32, Timestamp)>,
    /// Rows before were lost: what the next ones changed means nothing before there is a full one.
    lost: bool,
    /// The time of the row before.
    last: Timestamp,
}

/// What the rows' numbers mean, by the run that wrote them.
struct Replay {
    scope: Scope,
    /// The run that is under way.
    run: u32,
    series: FxHashMap<(u32, u32), Sid>,
    groups: FxHashMap<(u32, u32), OldGroup>,
    rows: u64,
}

/// Which rows the head lacks.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Scope {
    /// All of them: it is new.
    All,
    /// Those of other runs of the process, and those before this time.
    Others(Timestamp),
    /// Those before this time.
    Before(Timestamp),
}

impl Scope {
    fn has(self, own: bool, ts: Timestamp) -> bool {
        match self {
            Self::All => true,
            Self::Others(limit) => !own || ts < limit,
            Self::Before(limit) => ts < limit,
        }
    }
}

/// Replays the rows that are missing. Returns how many there were in all.
pub(crate) fn replay(
    store: &Store,
    writer: &Writer,
    head: &mut Head,
    scope: Scope,
    counters: &RingCounters,
) -> Result<u64, StorageError> {
    let (covered, run) = (writer.rows_before(head.sealing), writer.run());
    let mut replay = Replay { scope, run, series: FxHashMap::default(), groups: FxHashMap::default(), rows: 0 };
    let damaged = store.rows(|record| match record {
        // Left over: a segment has all of it.
        Some(record) if record.window < covered => {}
        Some(record) => {
            counters.damaged.fetch_add(replay.record(&record, head), Relaxed);
        }
        None => replay.lose(),
    })?;
    counters.damaged.fetch_add(damaged, Relaxed);
    head.series.release_unused();
    Ok(replay.rows)
}

impl Replay {
    /// Replays a record; says how many of its rows mean nothing.
    fn record(&mut self, record: &StoredRecord, head: &mut Head) -> u64 {
        let mut reader = Reader::new(&record.rows);
        let mut unread = 0;
        while !reader.is_empty() {
            self.rows += 1;
            let Ok(row) = read_row(&mut reader, record.window) else {
                self.lose();
                return unread + 1;
            };
            let done = match row {
                Row::Tick(row) => self.tick(record.run, row, head),
                Row::Exemplar { sid, labels, exemplar } => self.series(record.run, sid, labels, head).map(|sid| {
                    if self.scope.has(record.run == self.run, exemplar.0) {
                        head.replay_exemplar(sid, exemplar);
                    }
                }),
                Row::Irregular { sid, labels, samples } => self.irregular(record.run, sid, labels, samples, head),
            };
            unread += u64::from(done.is_err());
        }
        unread
    }

    /// Rows were lost: numbers may have got another meaning, and values that changed are not known. Each window says both anew.
    fn lose(&mut self) {
        self.series.clear();
        self.groups.values_mut().for_each(|group| group.lost = true);
    }

    fn irregular(
        &mut self,
        run: u32,
        sid: u32,
        labels: Option<Labels>,
        samples: Vec<IrregularSample>,
        head: &mut Head,
    ) -> Result<(), FormatError> {
        let sid = self.series(run, sid, labels, head)?;
        for sample in samples {
            if !self.scope.has(run == self.run, sample.ts) || head.sample_at(sid, sample.ts).is_some() {
                continue;
            }
            let window = head.window_for(sample.ts);
            head.keep_irregular(sid, window, sample);
        }
        Ok(())
    }

    fn series(&mut self, run: u32, sid: u32, labels: Option<Labels>, head: &mut Head) -> Result<Sid, FormatError> {
        match labels {
            Some(labels) => Ok(self.learn(run, sid, &labels, head)),
            None => self.known(run, sid),
        }
    }

    fn learn(&mut self, run: u32, number: u32, labels: &Labels, head: &mut Head) -> Sid {
        let sid = head.series.intern(labels);
        self.series.insert((run, number), sid);
        sid
    }

    fn known(&self, run: u32, number: u32) -> Result<Sid, FormatError> {
        self.series.get(&(run, number)).copied().ok_or(FormatError("a row names a series without labels"))
    }

    fn tick(&mut self, run: u32, mut row: TickRow, head: &mut Head) -> Result<(), FormatError> {
        let key = (run, row.group);
        // A commit that failed may be in the file all the same, and once more behind it: differences count once.
        if row.members.is_none() && self.groups.get(&key).is_some_and(|group| row.ts <= group.last) {
            return Ok(());
        }
        if let Some(members) = row.members.take() {
            let sids = match self.members(run, &members, head) {
                Ok(sids) => sids,
                Err(error) => {
                    self.groups.entry(key).and_modify(|group| group.lost = true);
                    return Err(error);
                }
            };
            let group = self.groups.entry(key).or_insert_with(|| OldGroup {
                index: head.new_group(None),
                state: ReplayState::default(),
                cols: Vec::new(),
                starts: Vec::new(),
                lost: false,
                last: Timestamp::MIN,
            });
            group.lost = false;
            group.cols = head.replay_columns(group.index, &sids);
            group.starts.clear();
        }
        let group = self.groups.get_mut(&key).filter(|group| !group.lost);
        let group = group.ok_or(FormatError("a row without a full one before it"))?;
        group.last = row.ts;
        let values = group.state.apply(&mut row, &mut group.starts).inspect_err(|_| group.lost = true)?;
        if row.ts >= head.sealing && self.scope.has(run == self.run, row.ts) {
            let tick = ReplayedTick {
                ts: row.ts,
                cols: &group.cols,
                floats: values,
                histograms: &row.histograms,
                starts: &group.starts,
            };
            head.replay_tick(group.index, &tick);
        }
        Ok(())
    }

    fn members(&mut self, run: u32, members: &[Member], head: &mut Head) -> Result<Vec<Option<Sid>>, FormatError> {
        let mut sids = Vec::with_capacity(members.len());
        for member in members {
            sids.push(match member {
                None => None,
                Some((number, Some(labels))) => Some(self.learn(run, *number, labels, head)),
                Some((number, None)) => Some(self.known(run, *number)?),
            });
        }
        Ok(sids)
    }
}
