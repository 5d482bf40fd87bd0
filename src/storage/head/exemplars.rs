//! Exemplars in memory, by series: which are taken, and which window seals them.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;

use rustc_hash::FxHashMap;

use crate::model::{Exemplar, Intern, SeriesRef, Timestamp, is_absent};
use crate::storage::codec::Stamped;
use crate::storage::config::RingCounters;
use crate::storage::rows::write_exemplar;

use super::{Head, Limits, Sid, announce};

/// Exemplars that a series may bring at once, …
const BURST: i64 = 60;
/// … and the milliseconds after which it may bring one more: a page that has a new one each second must not outweigh its
/// samples.
const REFILL_MS: i64 = 10_000;

/// All exemplars in memory.
#[derive(Debug, Default)]
pub(crate) struct Exemplars {
    series: FxHashMap<Sid, SeriesExemplars>,
    /// How many each window seals.
    windows: BTreeMap<Timestamp, usize>,
    count: usize,
}

#[derive(Debug)]
struct SeriesExemplars {
    /// The window that seals it and the exemplar, ascending in time.
    list: Vec<(Timestamp, Stamped)>,
    /// What the series may still bring, as of a time.
    credit: (i64, Timestamp),
}

/// What becomes of an exemplar that is offered.
enum Verdict {
    Take,
    /// It is there already.
    Known,
    OutOfOrder,
    /// Its series brings too many.
    TooMany,
}

impl SeriesExemplars {
    fn new(now: Timestamp) -> Self {
        Self { list: Vec::new(), credit: (BURST, now) }
    }

    fn has(&self, (ts, exemplar): &Stamped) -> bool {
        let from = self.list.partition_point(|(_, held)| held.0 < *ts);
        let same_time = self.list[from..].iter().take_while(|(_, held)| held.0 == *ts);
        same_time.into_iter().any(|(_, (_, held))| is_same(held, exemplar))
    }

    fn judge(&mut self, offered: &Stamped, now: Timestamp) -> Verdict {
        if self.has(offered) {
            return Verdict::Known;
        }
        if self.list.last().is_some_and(|(_, newest)| newest.0 > offered.0) {
            return Verdict::OutOfOrder;
        }
        let earned = now.saturating_sub(self.credit.1).max(0) / REFILL_MS;
        if self.credit.0.saturating_add(earned) >= BURST {
            self.credit = (BURST, now);
        } else {
            self.credit = (self.credit.0 + earned, self.credit.1 + earned * REFILL_MS);
        }
        if self.credit.0 == 0 {
            return Verdict::TooMany;
        }
        self.credit.0 -= 1;
        Verdict::Take
    }
}

/// Whether two exemplars of one time are one.
pub(crate) fn is_same(a: &Exemplar, b: &Exemplar) -> bool {
    a.value.to_bits() == b.value.to_bits() && a.labels == b.labels
}

impl Head {
    /// Takes exemplars that came with a tick at `now`.
    pub(crate) fn append_exemplars(
        &mut self,
        now: Timestamp,
        exemplars: &[(SeriesRef, Exemplar)],
        intern: &dyn Intern,
        limits: Limits,
        counters: &RingCounters,
    ) {
        for (series, exemplar) in exemplars {
            let ts = exemplar.ts.unwrap_or(now);
            if ts < limits.oldest || ts > limits.newest || exemplar.is_too_long() {
                counters.exemplars_refused.fetch_add(1, Relaxed);
                continue;
            }
            let Some(sid) = self.sid_of(*series, intern) else {
                counters.exemplars_refused.fetch_add(1, Relaxed);
                continue;
            };
            // The bits of a hole mean nothing outside of a column.
            let value = if is_absent(exemplar.value) { f64::NAN } else { exemplar.value };
            let offered = (ts, Exemplar { labels: exemplar.labels.clone(), value, ts: Some(ts) });
            self.offer_exemplar(sid, now, offered, limits.exemplars, counters);
            self.series.release_if_unused(sid);
        }
    }

    fn offer_exemplar(&mut self, sid: Sid, now: Timestamp, offered: Stamped, most: usize, counters: &RingCounters) {
        let full = self.exemplars.count >= most;
        let known = self.exemplars.series.get_mut(&sid);
        let verdict = match known {
            _ if full => Verdict::TooMany,
            Some(known) => known.judge(&offered, now),
            None => Verdict::Take,
        };
        let counter = match verdict {
            Verdict::Known => return,
            Verdict::OutOfOrder => &counters.exemplars_out_of_order,
            Verdict::TooMany => &counters.exemplars_over_limit,
            Verdict::Take => {
                let window = self.window_for(offered.0);
                let labels = announce(&mut self.series, sid, window);
                self.log.add(window, |out| write_exemplar(window, sid.0, labels.as_ref(), &offered, out));
                self.keep_exemplar(sid, window, offered, now);
                &counters.exemplars
            }
        };
        counter.fetch_add(1, Relaxed);
    }

    /// Puts an exemplar of a row back, unless it is there.
    pub(crate) fn replay_exemplar(&mut self, sid: Sid, exemplar: Stamped) {
        if self.exemplars.series.get(&sid).is_none_or(|known| !known.has(&exemplar)) {
            let window = self.window_for(exemplar.0);
            let now = exemplar.0;
            self.keep_exemplar(sid, window, exemplar, now);
        }
    }

    fn keep_exemplar(&mut self, sid: Sid, window: Timestamp, exemplar: Stamped, now: Timestamp) {
        let entry = self.exemplars.series.entry(sid).or_insert_with(|| {
            if let Some(series) = self.series.get_mut(sid) {
                series.uses += 1;
            }
            SeriesExemplars::new(now)
        });
        let at = entry.list.partition_point(|(_, held)| held.0 <= exemplar.0);
        entry.list.insert(at, (window, exemplar));
        *self.exemplars.windows.entry(window).or_default() += 1;
        self.exemplars.count += 1;
    }

    /// Those of a series within inclusive bounds, ascending.
    pub(crate) fn exemplars_within(&self, sid: Sid, start: Timestamp, end: Timestamp) -> Vec<Stamped> {
        let list = self.exemplars.series.get(&sid).map_or(&[][..], |series| &series.list);
        list.iter().filter(|(_, (ts, _))| (start..=end).contains(ts)).map(|(_, held)| held.clone()).collect()
    }

    /// Approximate bytes of all of them.
    pub(crate) fn exemplar_bytes(&self) -> usize {
        // Labels are an allocation of some fifty bytes.
        self.exemplars.count * (size_of::<(Timestamp, Stamped)>() + 64)
    }
}

impl Exemplars {
    /// The oldest window that has any.
    pub(super) fn first_window(&self, not_before: Timestamp) -> Option<Timestamp> {
        self.windows.range(not_before..).next().map(|(window, _)| *window)
    }

    /// Those that a window seals, by series.
    pub(super) fn of_window(&self, window: Timestamp) -> Vec<(Sid, Vec<Stamped>)> {
        let mut found = Vec::new();
        if !self.windows.contains_key(&window) {
            return found;
        }
        for (sid, series) in &self.series {
            let of = series.list.iter().filter(|(at, _)| *at == window);
            let of: Vec<Stamped> = of.map(|(_, exemplar)| exemplar.clone()).collect();
            if !of.is_empty() {
                found.push((*sid, of));
            }
        }
        found.sort_by_key(|(sid, _)| *sid);
        found
    }

    /// Forgets what windows before `floor` have sealed. Returns the series that have none left.
    pub(super) fn evict(&mut self, floor: Timestamp) -> Vec<Sid> {
        self.windows = self.windows.split_off(&floor);
        self.count = self.windows.values().sum();
        let mut gone = Vec::new();
        self.series.retain(|sid, series| {
            series.list.retain(|(window, _)| *window >= floor);
            if series.list.is_empty() {
                gone.push(*sid);
            }
            !series.list.is_empty()
        });
        gone
    }
}
