//! At the start: rows that no segment covers go back into the head, as series of an earlier run.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use rustc_hash::FxHashMap;

use crate::model::{Histogram, Timestamp, is_absent};

use super::StorageError;
use super::bytes::{FormatError, Reader};
use super::config::RingCounters;
use super::head::{Head, Sid};
use super::rows::{Member, ReplayState, Row, TickRow, read_row};
use super::store::{Store, StoredRecord};

/// A group of an earlier run.
struct OldGroup {
    index: u32,
    state: ReplayState,
    sids: Vec<Option<Sid>>,
}

/// What the rows' numbers mean, by the run that wrote them.
#[derive(Default)]
struct Replay {
    series: FxHashMap<(u32, u32), Sid>,
    groups: FxHashMap<(u32, u32), OldGroup>,
    rows: u64,
}

/// Replays all rows. Returns how many there were.
pub(crate) fn replay(store: &Store, head: &mut Head, counters: &RingCounters) -> Result<u64, StorageError> {
    let mut replay = Replay::default();
    let damaged = store.rows(|record| {
        if replay.record(&record, head).is_err() {
            counters.damaged.fetch_add(1, Relaxed);
        }
    })?;
    counters.damaged.fetch_add(damaged, Relaxed);
    Ok(replay.rows)
}

impl Replay {
    fn record(&mut self, record: &StoredRecord, head: &mut Head) -> Result<(), FormatError> {
        let mut reader = Reader::new(&record.rows);
        while !reader.is_empty() {
            self.rows += 1;
            match read_row(&mut reader, record.window)? {
                Row::Tick(row) => self.tick(record.run, row, head)?,
                Row::Irregular { sid, labels, samples } => {
                    let sid = match labels {
                        Some(labels) => self.learn(record.run, sid, &labels, head),
                        None => self.known(record.run, sid)?,
                    };
                    for sample in samples {
                        // Late samples are kept under a later window than their own: that one decides.
                        if record.window < head.sealing || head.sample_at(sid, sample.ts).is_some() {
                            continue;
                        }
                        let window = head.window_of(sample.ts).max(head.sealing);
                        head.keep_irregular(sid, window, sample);
                    }
                }
            }
        }
        Ok(())
    }

    fn learn(&mut self, run: u32, number: u32, labels: &crate::model::Labels, head: &mut Head) -> Sid {
        let sid = head.series.intern(labels);
        self.series.insert((run, number), sid);
        sid
    }

    fn known(&self, run: u32, number: u32) -> Result<Sid, FormatError> {
        self.series.get(&(run, number)).copied().ok_or(FormatError("a row names a series without labels"))
    }

    fn tick(&mut self, run: u32, mut row: TickRow, head: &mut Head) -> Result<(), FormatError> {
        let key = (run, row.group);
        if let Some(members) = row.members.take() {
            let sids = self.members(run, &members, head)?;
            let group = self.groups.entry(key).or_insert_with(|| OldGroup {
                index: head.new_group(None),
                state: ReplayState::default(),
                sids: Vec::new(),
            });
            group.sids = sids;
            group.state = ReplayState::default();
        }
        let group = self.groups.get_mut(&key).ok_or(FormatError("a row without a full one before it"))?;
        let values = group.state.apply(&mut row)?;
        if head.window_of(row.ts) < head.sealing {
            return Ok(());
        }
        let sid = |col: usize| group.sids.get(col).copied().flatten();
        let there = values.iter().enumerate().filter(|(_, v)| !is_absent(**v));
        let samples: Vec<(Sid, f64)> = there.filter_map(|(col, v)| Some((sid(col)?, *v))).collect();
        let histograms: Vec<(Sid, Arc<Histogram>)> =
            row.histograms.into_iter().filter_map(|(col, h)| Some((sid(col as usize)?, h))).collect();
        let starts: Vec<(Sid, Timestamp)> =
            group.state.starts.iter().filter_map(|(col, start)| Some((sid(*col as usize)?, *start))).collect();
        head.replay_tick(group.index, row.ts, &samples, &histograms, &starts);
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
