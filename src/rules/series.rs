//! The series that rules write: each rule knows its own, and together they know who still writes what.

use std::sync::Arc;

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use crate::model::{Batch, GroupId, Intern, Labels, SeriesRef, Timestamp, Value, is_stale, stale_marker};

use super::doors::Written;

/// References of the series that rules write, counted: two rules may write to one series, and its stale marker comes with
/// the last. Each writer holds the series for itself.
pub(super) struct SeriesPool {
    intern: Arc<dyn Intern>,
    writers: Mutex<FxHashMap<SeriesRef, u32>>,
}

impl SeriesPool {
    pub(super) fn new(intern: Arc<dyn Intern>) -> Self {
        Self { intern, writers: Mutex::default() }
    }

    /// The reference of a series, with one more writer; `None` when a cardinality limit refuses it.
    fn acquire(&self, labels: &Labels) -> Option<SeriesRef> {
        let series = self.intern.intern_labels(labels)?;
        *self.writers.lock().entry(series).or_insert(0) += 1;
        Some(series)
    }

    /// One writer less; whether it was the last one.
    fn leave(&self, series: SeriesRef) -> bool {
        let mut writers = self.writers.lock();
        let Some(count) = writers.get_mut(&series) else { return false };
        *count -= 1;
        let last = *count == 0;
        if last {
            writers.remove(&series);
        }
        last
    }

    /// Gives back what writers left.
    pub(super) fn release(&self, refs: &[SeriesRef]) {
        self.intern.release(refs);
    }
}

/// Evaluations between two attempts to find a place for a series that a limit refused.
const RETRY_ROUNDS: u64 = 60;

/// The series of one rule.
#[derive(Debug, Default)]
pub(super) struct RuleSeries {
    known: FxHashMap<Labels, Known>,
    round: u64,
}

#[derive(Debug)]
struct Known {
    /// `None` when a limit refused it.
    series: Option<SeriesRef>,
    /// The round in which it last had a value.
    round: u64,
}

/// What went wrong while a rule's samples were written; the rest of them is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct WriteFaults {
    /// Series that a cardinality limit refused.
    pub(super) refused: usize,
    /// Samples of series to which an earlier rule of the group wrote another value at the same time.
    pub(super) duplicates: usize,
}

impl RuleSeries {
    /// Writes one evaluation's samples; series of the evaluation before that have none end with a stale marker.
    pub(super) fn write<'a>(
        &mut self,
        samples: impl Iterator<Item = (&'a Labels, Value)>,
        pool: &SeriesPool,
        out: &mut TickWriter,
    ) -> WriteFaults {
        let mut faults = WriteFaults::default();
        let mut written = 0;
        self.round += 1;
        for (labels, value) in samples {
            let series = match self.known.get_mut(labels) {
                Some(known) => {
                    written += usize::from(known.round != self.round);
                    known.round = self.round;
                    if known.series.is_none() && self.round.is_multiple_of(RETRY_ROUNDS) {
                        known.series = pool.acquire(labels);
                    }
                    known.series
                }
                None => {
                    written += 1;
                    let series = pool.acquire(labels);
                    self.known.insert(labels.clone(), Known { series, round: self.round });
                    series
                }
            };
            match series {
                Some(series) => faults.duplicates += usize::from(!out.push(series, labels, value)),
                None => faults.refused += 1,
            }
        }
        if written == self.known.len() {
            return faults;
        }
        let round = self.round;
        self.known.retain(|labels, known| {
            if known.round != round
                && let Some(series) = known.series
            {
                out.end(series, labels, pool);
            }
            known.round == round
        });
        faults
    }

    /// Ends all of them: the rule is gone.
    pub(super) fn end(&mut self, pool: &SeriesPool, out: &mut TickWriter) {
        for (labels, known) in self.known.drain() {
            if let Some(series) = known.series {
                out.end(series, &labels, pool);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }
}

/// Collects what a group writes in one tick.
pub(super) struct TickWriter {
    batch: Batch,
    /// Where each series stands in the batch; only for groups whose rules write to the same names.
    places: Option<FxHashMap<SeriesRef, Place>>,
    /// For later rules that read it; only for groups that have some.
    written: Option<Vec<Written>>,
    ended: Vec<SeriesRef>,
}

#[derive(Debug, Clone, Copy)]
enum Place {
    Float(usize),
    Histogram(usize),
}

impl TickWriter {
    pub(super) fn new(group: GroupId, ts: Timestamp, share_outputs: bool, has_readers: bool) -> Self {
        Self {
            batch: Batch::new(group, ts),
            places: share_outputs.then(FxHashMap::default),
            written: has_readers.then(Vec::new),
            ended: Vec::new(),
        }
    }

    /// What was written so far, if anybody in the group reads it.
    pub(super) fn written(&self) -> &[Written] {
        self.written.as_deref().unwrap_or_default()
    }

    /// The batch, and the references to give back once it is written.
    pub(super) fn finish(self) -> (Batch, Vec<SeriesRef>) {
        (self.batch, self.ended)
    }

    /// Adds a sample; `false` when the series has another value at this time.
    fn push(&mut self, series: SeriesRef, labels: &Labels, value: Value) -> bool {
        if let Some(place) = self.places.as_ref().and_then(|places| places.get(&series)).copied() {
            return self.push_again(place, labels, value);
        }
        let place = match &value {
            Value::Float(value) => {
                self.batch.floats.push((series, *value));
                Place::Float(self.batch.floats.len() - 1)
            }
            Value::Histogram(histogram) => {
                self.batch.histograms.push((series, Arc::clone(histogram)));
                Place::Histogram(self.batch.histograms.len() - 1)
            }
        };
        if let Some(places) = &mut self.places {
            places.insert(series, place);
        }
        self.note(labels, value);
        true
    }

    /// A second sample of one series: stale markers give way to values, equal values are one.
    fn push_again(&mut self, place: Place, labels: &Labels, value: Value) -> bool {
        match (place, value) {
            (_, Value::Float(new)) if is_stale(new) => true,
            (Place::Float(at), Value::Float(new)) => {
                let old = &mut self.batch.floats[at].1;
                if is_stale(*old) {
                    *old = new;
                    self.forget(labels);
                    self.note(labels, Value::Float(new));
                    return true;
                }
                old.to_bits() == new.to_bits()
            }
            (Place::Histogram(at), Value::Histogram(new)) => self.batch.histograms[at].1 == new,
            _ => false,
        }
    }

    fn note(&mut self, labels: &Labels, value: Value) {
        let ts = self.batch.ts;
        if let Some(written) = &mut self.written {
            written.push(Written { labels: labels.clone(), ts, value });
        }
    }

    /// A value takes the place of a stale marker.
    fn forget(&mut self, labels: &Labels) {
        if let Some(written) = &mut self.written {
            written.retain(|sample| sample.labels != *labels);
        }
    }

    /// A rule writes a series no more: the stale marker, unless another rule still writes to it.
    fn end(&mut self, series: SeriesRef, labels: &Labels, pool: &SeriesPool) {
        if pool.leave(series) {
            self.push(series, labels, Value::Float(stale_marker()));
        }
        self.ended.push(series);
    }
}
