//! Instant selectors: the newest sample of each row.

use std::sync::Arc;

use crate::model::{Timestamp, Value, is_absent};
use crate::storage::StorageError;
use crate::storage::catalog::Ids;
use crate::storage::head::{Head, NewestTick};
use crate::storage::querier::Stop;
use crate::storage::ring::Ring;
use crate::storage::segment::SegmentMeta;
use crate::storage::selection::{Cells, Piece};

use super::apart;
use super::assemble::{share_out, threads_for};
use super::part::{Part, Sample};
use super::resolve::Resolved;
use super::slices::{Reading, Scratch};
use super::strip::Strip;

/// The newest samples found so far.
#[derive(Default)]
pub(super) struct Newest {
    /// Rows whose newest sample is the newest tick of their group.
    pieces: Vec<Piece>,
    /// All others.
    singles: Vec<(u32, Sample)>,
}

/// What is known of a row that more than one source may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Row {
    Open,
    Found,
    /// All of its sources must be asked.
    Exact,
}

impl Newest {
    /// The newest samples that memory has.
    pub(super) fn of_head(head: &Head, resolved: &Resolved, start: Timestamp, end: Timestamp) -> Self {
        let groups = resolved.groups.iter();
        let mut ticks: Vec<(usize, NewestTick<'_>)> = groups
            .enumerate()
            .filter_map(|(i, group)| Some((i, head.columns(group.group)?.newest_tick(start, end)?)))
            .collect();
        // The first group that has a row at its newest tick has the row's newest sample.
        ticks.sort_by_key(|(_, tick)| std::cmp::Reverse(tick.ts));
        let mut rows = states(resolved, &ticks);
        let mut newest = Self::default();
        let mut exact: Vec<u32> = Vec::new();
        for (i, tick) in &ticks {
            let group = &resolved.groups[*i];
            newest.tick(tick, &group.rows, &group.cols, rows.as_deref_mut(), &mut exact);
        }
        if let Some(rows) = rows {
            exact.clear();
            exact.extend((0..).zip(&rows).filter(|(_, row)| **row == Row::Exact).map(|(row, _)| row));
        }
        for row in exact {
            let Some(sid) = resolved.sids.get(row as usize) else { continue };
            if let Some(sample) = head.newest_sample(*sid, start, end) {
                newest.singles.push((row, (sample.ts, sample.start_ts, sample.value)));
            }
        }
        newest
    }

    /// Takes the rows that a group has at its newest tick; the others go to `exact`.
    fn tick(
        &mut self,
        tick: &NewestTick<'_>,
        rows: &Arc<[u32]>,
        cols: &[u32],
        mut states: Option<&mut [Row]>,
        exact: &mut Vec<u32>,
    ) {
        let mut values: Vec<f64> = Vec::with_capacity(cols.len());
        tick.floats(cols, &mut values);
        let histograms = tick.has_histograms();
        let whole = states.is_none() && !histograms && !values.iter().any(|v| is_absent(*v));
        let mut chosen: Vec<u32> = Vec::new();
        let mut starts: Vec<Timestamp> = Vec::new();
        if whole {
            if tick.has_starts() {
                starts.extend(cols.iter().map(|col| tick.start(*col)));
            }
        } else {
            let mut kept = 0;
            for (k, (row, col)) in rows.iter().zip(cols).enumerate() {
                let simple = !(is_absent(values[k]) || histograms && tick.has_histogram(*col));
                if let Some(state) = states.as_deref_mut().and_then(|states| states.get_mut(*row as usize)) {
                    if *state != Row::Open {
                        continue;
                    }
                    *state = if simple { Row::Found } else { Row::Exact };
                }
                if !simple {
                    exact.push(*row);
                    continue;
                }
                chosen.push(*row);
                values[kept] = values[k];
                kept += 1;
                if tick.has_starts() {
                    starts.push(tick.start(*col));
                }
            }
            values.truncate(kept);
        }
        if !values.is_empty() {
            self.pieces.push(Piece {
                times: Arc::from([tick.ts]),
                rows: if whole { Arc::clone(rows) } else { Arc::from(chosen) },
                cells: Cells::Floats(values),
                starts: starts.iter().any(|start| *start != 0).then_some(starts),
            });
        }
    }

    /// How many samples there are.
    pub(super) fn len(&self) -> usize {
        self.pieces.iter().map(|piece| piece.rows.len()).sum::<usize>() + self.singles.len()
    }

    pub(super) fn into_pieces(self) -> Vec<Piece> {
        let mut pieces = self.pieces;
        apart::singles(self.singles, &mut pieces);
        pieces.sort_by_key(|piece| piece.times.first().copied());
        pieces
    }

    /// The time of each row's sample, `Timestamp::MIN` where there is none.
    fn times(&self, rows: usize) -> Vec<Timestamp> {
        let mut times = vec![Timestamp::MIN; rows];
        for piece in &self.pieces {
            let ts = piece.times.first().copied().unwrap_or(Timestamp::MIN);
            piece.rows.iter().for_each(|row| times[*row as usize] = ts);
        }
        self.singles.iter().for_each(|(row, (ts, _, _))| times[*row as usize] = *ts);
        times
    }

    /// Puts newer samples in the place of older ones.
    fn replace(&mut self, newer: Vec<(u32, Sample)>, times: &mut [Timestamp]) {
        let known = newer.iter().any(|(row, _)| times[*row as usize] != Timestamp::MIN);
        for (row, (ts, _, _)) in &newer {
            times[*row as usize] = *ts;
        }
        if known {
            let mut rows: Vec<u32> = newer.iter().map(|(row, _)| *row).collect();
            rows.sort_unstable();
            let stays = |row: &u32| rows.binary_search(row).is_err();
            self.singles.retain(|(row, _)| stays(row));
            for piece in &mut self.pieces {
                let (Cells::Floats(values), chosen) = (&mut piece.cells, &piece.rows) else { continue };
                let keep: Vec<bool> = chosen.iter().map(stays).collect();
                let keeps = || keep.iter().copied();
                let mut kept = keeps();
                values.retain(|_| kept.next() == Some(true));
                if let Some(starts) = &mut piece.starts {
                    let mut kept = keeps();
                    starts.retain(|_| kept.next() == Some(true));
                }
                piece.rows = chosen.iter().copied().filter(stays).collect();
            }
            self.pieces.retain(|piece| !piece.rows.is_empty());
        }
        self.singles.extend(newer);
    }
}

/// The state of every row, where sources may have a row in common.
fn states(resolved: &Resolved, ticks: &[(usize, NewestTick<'_>)]) -> Option<Vec<Row>> {
    if resolved.loose.is_empty() && resolved.several.is_empty() {
        return None;
    }
    let mut rows = vec![Row::Open; resolved.sids.len()];
    let mut mark = |list: &[u32]| list.iter().for_each(|row| rows[*row as usize] = Row::Exact);
    mark(&resolved.loose);
    // Two ticks of one time: the order of the sources decides.
    if ticks.windows(2).any(|pair| pair[0].1.ts == pair[1].1.ts) {
        mark(&resolved.several);
    }
    Some(rows)
}

impl Ring {
    /// Adds what segments have of rows that memory has no newer sample of.
    pub(super) fn newest_of_segments(
        &self,
        segments: &[(Arc<SegmentMeta>, Ids)],
        resolved: &Resolved,
        bounds: (Timestamp, Timestamp),
        newest: &mut Newest,
        stop: &Stop,
    ) -> Result<(), StorageError> {
        let mut times = newest.times(resolved.sids.len());
        let reading = Reading::new(stop.clone(), self.counters());
        for segment in segments.iter().rev() {
            let last = segment.0.max_ts.min(bounds.1);
            if times.iter().all(|ts| *ts >= last) {
                continue;
            }
            let wants = |row: u32, last: Timestamp| times[row as usize] < last;
            let found = self.slices_of(segment, resolved, bounds, &reading, &wants)?;
            let Some(mut found) = found.filter(|found| !found.slices.is_empty()) else { continue };
            self.load(&found)?;
            let mut strips = Vec::new();
            Strip::of_segment(&mut found, &mut strips);
            for strip in strips {
                let newer = newest_of(&strip, &times);
                newest.replace(newer, &mut times);
            }
        }
        reading.go_on()
    }
}

/// The newest samples of a slice that are newer than what is known.
fn newest_of(strip: &Strip<'_>, known: &[Timestamp]) -> Vec<(u32, Sample)> {
    let mut found: Vec<(u32, Option<Sample>)> = strip.rows.iter().map(|row| (*row, None)).collect();
    let work = |first: usize, found: &mut [(u32, Option<Sample>)], scratch: &mut Scratch| {
        for (i, (row, sample)) in found.iter_mut().enumerate() {
            for part in &strip.parts {
                let after = known[*row as usize];
                if let Some(newest) = newest_in(part, first + i, after, scratch) {
                    *sample = Some(newest);
                }
            }
        }
    };
    let threads = threads_for(found.len() * strip.decoded_ticks());
    if threads == 1 {
        work(0, &mut found, &mut Scratch::default());
    } else {
        let share = found.len().div_ceil(threads * 8);
        share_out(found.chunks_mut(share), threads, |number, chunk, scratch| work(number * share, chunk, scratch));
    }
    found.into_iter().filter_map(|(row, sample)| Some((row, sample?))).collect()
}

/// The newest sample of a row in a slice, if it is newer than `after`.
fn newest_in(part: &Part<'_>, k: usize, after: Timestamp, scratch: &mut Scratch) -> Option<Sample> {
    let times = part.times();
    if times.last().is_none_or(|last| *last <= after) {
        return None;
    }
    if part.has_histograms() && part.has_histogram(k, 0) {
        let mut samples = Vec::new();
        part.samples(k, 0, scratch, &mut samples);
        return samples.pop().filter(|(ts, _, _)| *ts > after);
    }
    let (at, value) = part.newest_float(k, 0, scratch).filter(|(at, _)| times[*at] > after)?;
    let mut start = 0;
    if part.has_starts() {
        let mut starts = vec![0; times.len()];
        part.fill_starts(k, 0, &mut starts);
        start = starts[at];
    }
    Some((times[at], start, Value::Float(value)))
}
