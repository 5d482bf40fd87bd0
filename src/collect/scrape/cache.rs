//! Which series a target has, by the bytes of its lines.

use std::collections::hash_map::Entry as MapEntry;
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;

use super::series::SeriesRules;
use crate::model::{Family, Intern, Labels, METRIC_NAME, Origin, SeriesKey, SeriesRef, Timestamp};

/// Most scrapes after which a series that is gone leaves the cache; fewer where they take longer than [`KEEP_FOR`].
const KEEP_SCRAPES: u64 = 128;
/// How long a series that is gone stays held, give or take as much: what nobody appends to should not take a place in
/// the series table for hours.
const KEEP_FOR: Duration = Duration::from_secs(900);
/// Entries that a cache may have beyond twice its page before gone ones leave at once: a page whose labels change each time.
const SLACK: usize = 1_000;
/// Most scrapes between two attempts to find a place for a series that the table refused, and between two searches for
/// gone ones.
const RETRY_SCRAPES: u64 = 64;

pub(super) struct Entry {
    raw: Arc<str>,
    /// `None` when the table refused it, or another line holds it.
    pub(super) series: Option<SeriesRef>,
    /// The series that another line holds: both become the same one, by relabeling or since only their spelling differs. Its holder was never seen
    /// before this line was, so it does not leave earlier.
    shared: Option<SeriesRef>,
    /// Relabeling drops it: it is kept here only so that rules are asked once.
    dropped: bool,
    seen: u64,
    /// The last timestamp that the page itself stated. Samples at or before it were taken already, or come out of order.
    pub(super) stated: Option<Timestamp>,
    pub(super) exemplar: u64,
}

/// The series of one target.
#[derive(Default)]
pub(super) struct SeriesCache {
    by_raw: FxHashMap<Arc<str>, u32>,
    entries: Vec<Option<Entry>>,
    free: Vec<u32>,
    /// The entry that holds each series.
    refs: FxHashMap<SeriesRef, u32>,
    /// Entries in the order of the last page: a page seldom changes its order.
    last: Vec<u32>,
    order: Vec<u32>,
    scrape: u64,
    added: usize,
    /// Scrapes that a series which is gone stays for.
    keep: u64,
    /// Scrapes that failed since the last good one.
    failed: u64,
}

/// What the cache found for a line.
pub(super) enum Found<'c> {
    /// The line's series, with a reference or refused.
    Series(&'c mut Entry),
    /// The series stood on an earlier line of this page, and the line has no timestamp that would tell the two apart.
    Duplicate,
    /// Relabeling drops the series.
    Dropped,
}

impl SeriesCache {
    /// A cache for pages that come with this interval.
    pub(super) fn new(interval: Duration) -> Self {
        let scrapes = KEEP_FOR.as_millis() / interval.as_millis().max(1);
        let keep = u64::try_from(scrapes).unwrap_or(u64::MAX).clamp(1, KEEP_SCRAPES);
        Self { keep, ..Self::default() }
    }

    /// Starts a page.
    pub(super) fn begin(&mut self) {
        self.scrape += 1;
        self.added = 0;
        self.order.clear();
    }

    /// Ends a page that was read whole: gone series are released in the end.
    pub(super) fn finish(&mut self, intern: &dyn Intern) {
        self.failed = 0;
        std::mem::swap(&mut self.last, &mut self.order);
        let crowded = self.is_crowded();
        if crowded || self.is_time_to_look() {
            self.release_gone(if crowded { 1 } else { self.keep }, intern);
        }
    }

    /// There was no page, or none that could be taken: a target that stays away gives its series back.
    pub(super) fn fail(&mut self, intern: &dyn Intern) {
        self.failed += 1;
        if self.failed > self.keep {
            self.release_all(intern);
        } else if self.is_crowded() {
            // Pages over a limit bring new labels too.
            self.release_gone(1, intern);
        }
    }

    fn is_crowded(&self) -> bool {
        self.by_raw.len() > 2 * self.last.len() + SLACK
    }

    fn is_time_to_look(&self) -> bool {
        self.scrape.is_multiple_of(self.keep.min(RETRY_SCRAPES))
    }

    /// How many series the page in hand had that were not known before.
    pub(super) fn added(&self) -> usize {
        self.added
    }

    /// Makes the next page give all its timed samples again: those of a failed one were not kept.
    pub(super) fn forget_times(&mut self) {
        self.entries.iter_mut().flatten().for_each(|entry| entry.stated = None);
    }

    /// The entry of a line; a `timed` line may repeat a series.
    pub(super) fn find(
        &mut self,
        raw: &str,
        timed: bool,
        rules: SeriesRules<'_>,
        intern: &dyn Intern,
    ) -> Result<Found<'_>, String> {
        let index = match self.known(raw) {
            Some(index) => index,
            None => self.add(raw, rules, intern)?,
        };
        self.order.push(index);
        let (scrape, look) = (self.scrape, self.is_time_to_look());
        let Some(Some(entry)) = self.entries.get_mut(index as usize) else { return Ok(Found::Duplicate) };
        if entry.dropped {
            entry.seen = scrape;
            return Ok(Found::Dropped);
        }
        let before = std::mem::replace(&mut entry.seen, scrape);
        if entry.series.is_none() && entry.shared.is_none() && look {
            let labels = rules.labels(raw)?;
            self.hold(index, labels.and_then(|labels| intern_series(&labels, intern)), intern);
        }
        let (index, before) = self.take_over(index).unwrap_or((index, before));
        let Some(Some(entry)) = self.entries.get_mut(index as usize) else { return Ok(Found::Duplicate) };
        if before == scrape && !timed {
            return Ok(Found::Duplicate);
        }
        Ok(Found::Series(entry))
    }

    /// Where another line holds the series of this one: takes it over when this page does not have that line, at least not so far; or says
    /// which line that is, and the scrape that saw it.
    fn take_over(&mut self, index: u32) -> Option<(u32, u64)> {
        let series = self.entries.get(index as usize)?.as_ref()?.shared?;
        let holder = *self.refs.get(&series)?;
        let other = self.entries.get_mut(holder as usize)?.as_mut()?;
        if other.seen == self.scrape {
            return Some((holder, other.seen));
        }
        (other.series, other.shared) = (None, Some(series));
        let (stated, exemplar) = (other.stated.take(), other.exemplar);
        let own = self.entries.get_mut(index as usize)?.as_mut()?;
        (own.series, own.shared, own.stated, own.exemplar) = (Some(series), None, stated, exemplar);
        self.refs.insert(series, index);
        None
    }

    /// Gives the entry its series, unless another line has it: one line holds it.
    fn hold(&mut self, index: u32, series: Option<SeriesRef>, intern: &dyn Intern) {
        let Some(series) = series else { return };
        let Some(Some(entry)) = self.entries.get_mut(index as usize) else { return };
        match self.refs.entry(series) {
            MapEntry::Vacant(place) => {
                place.insert(index);
                entry.series = Some(series);
            }
            MapEntry::Occupied(_) => {
                entry.shared = Some(series);
                intern.release(&[series]);
            }
        }
    }

    /// The lines of this page so far, the newest first: their bytes, and the series of those without a timestamp.
    pub(super) fn latest(&self) -> impl Iterator<Item = (&str, Option<SeriesRef>)> {
        let entry = |index: &u32| self.entries.get(*index as usize).and_then(Option::as_ref);
        self.order
            .iter()
            .rev()
            .filter_map(entry)
            .map(|entry| (&*entry.raw, entry.series.filter(|_| entry.stated.is_none())))
    }

    /// Whether relabeling drops the line's series, without making room for it.
    pub(super) fn would_drop(&self, raw: &str, rules: SeriesRules<'_>) -> Result<bool, String> {
        if rules.job.metric_relabel.is_empty() {
            return Ok(false);
        }
        match self.by_raw.get(raw).and_then(|index| self.entries.get(*index as usize)) {
            Some(Some(entry)) => Ok(entry.dropped),
            _ => Ok(rules.labels(raw)?.is_none()),
        }
    }

    /// Series with timestamps of the page that this page (or none at all, after a failure) does not have any more.
    pub(super) fn gone_timed(&mut self, all: bool) -> Vec<SeriesRef> {
        let scrape = self.scrape;
        let gone = |entry: &mut Entry| {
            let is_gone = entry.stated.is_some() && (all || entry.seen != scrape);
            is_gone.then(|| entry.stated = None).and(entry.series)
        };
        self.entries.iter_mut().flatten().filter_map(gone).collect()
    }

    /// The line that stood at this place of the last page.
    pub(super) fn expected(&self) -> Option<&str> {
        let index = self.last.get(self.order.len())?;
        self.entries.get(*index as usize)?.as_ref().map(|entry| &*entry.raw)
    }

    fn known(&self, raw: &str) -> Option<u32> {
        let expected = self.last.get(self.order.len()).copied();
        let is_expected =
            |index: &u32| matches!(self.entries.get(*index as usize), Some(Some(entry)) if *entry.raw == *raw);
        expected.filter(is_expected).or_else(|| self.by_raw.get(raw).copied())
    }

    /// Gives all series back; the target has ended.
    pub(super) fn release_all(&mut self, intern: &dyn Intern) {
        let refs: Vec<SeriesRef> = self.refs.drain().map(|(series, _)| series).collect();
        intern.release(&refs);
        *self = Self { keep: self.keep, scrape: self.scrape, ..Self::default() };
    }

    fn add(&mut self, raw: &str, rules: SeriesRules<'_>, intern: &dyn Intern) -> Result<u32, String> {
        let labels = rules.labels(raw)?;
        let dropped = labels.is_none();
        let series = labels.and_then(|labels| intern_series(&labels, intern));
        let raw: Arc<str> = raw.into();
        let entry =
            Entry { raw: Arc::clone(&raw), series: None, shared: None, dropped, seen: 0, stated: None, exemplar: 0 };
        let index = match self.free.pop() {
            Some(index) => {
                self.entries[index as usize] = Some(entry);
                index
            }
            None => {
                self.entries.push(Some(entry));
                (self.entries.len() - 1) as u32
            }
        };
        self.by_raw.insert(raw, index);
        self.hold(index, series, intern);
        self.added += usize::from(!dropped);
        Ok(index)
    }

    fn release_gone(&mut self, keep: u64, intern: &dyn Intern) {
        let mut gone = Vec::new();
        for (index, place) in self.entries.iter_mut().enumerate() {
            let Some(entry) = place.take_if(|entry| entry.seen + keep < self.scrape) else { continue };
            self.by_raw.remove(&entry.raw);
            self.free.push(index as u32);
            gone.extend(entry.series);
        }
        for series in &gone {
            self.refs.remove(series);
        }
        if !gone.is_empty() {
            intern.release(&gone);
        }
    }
}

fn intern_series(labels: &Labels, intern: &dyn Intern) -> Option<SeriesRef> {
    let pairs: Vec<(&str, &str)> = labels.iter().filter(|(name, _)| *name != METRIC_NAME).collect();
    let family = Family::default();
    let name = labels.metric_name();
    intern.intern(SeriesKey { family: &family, name, labels: &pairs, origin: Origin::Foreign })
}
