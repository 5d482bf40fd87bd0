//! The table of all series that this process knows.

use std::collections::VecDeque;
use std::collections::hash_map::Entry as MapEntry;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::RwLock;
use rustc_hash::FxHashMap;

use super::config::{RegistryConfig, RegistryCounters, SeriesCounts, SeriesLimits};
use super::quota::{Names, Notice, Total};
use crate::clock::Clock;
use crate::limits::MOST_SERIES;
use crate::model::{
    Family, Intern, Labels, LabelsBuilder, METRIC_NAME, Origin, SeriesKey, SeriesRef, SeriesRefusal, Timestamp,
};

/// Series that one hold of the lock frees: a tenth of a millisecond or so.
const SWEEP_SLICE: usize = 512;
/// Slices of one sweep: a million series take a minute of sweeps, and none of them keeps samples waiting.
const SWEEP_SLICES: usize = 32;
/// Places that maps may keep for nothing.
const SHRINK_ABOVE: usize = 4096;

/// A series as the table holds it.
pub(super) struct Entry {
    /// Name, `job` and `instance` included.
    ring: Labels,
    /// What `/metrics` prints; `None` for foreign series.
    own: Option<Own>,
    /// How often it was handed out and not given back.
    holders: AtomicU32,
    /// When the last holder gave it back; means something while there is none.
    idle_since: Timestamp,
    /// Whether it waits in the list of idle ones.
    is_listed: bool,
}

impl Entry {
    fn is_held(&self) -> bool {
        self.holders.load(Ordering::Relaxed) > 0
    }
}

/// How an own series appears on `/metrics`.
#[derive(Clone)]
pub(super) struct Own {
    pub(super) family: Arc<Family>,
    pub(super) name: Arc<str>,
    pub(super) labels: Labels,
}

#[derive(Default)]
struct Inner {
    by_labels: FxHashMap<Labels, SeriesRef>,
    /// By reference. A map, because what stays among many that come and go would keep pages of an array alive.
    entries: FxHashMap<SeriesRef, Entry>,
    next: u32,
    names: Names,
    /// Families of own series, with how many series each has.
    families: FxHashMap<Box<str>, (Arc<Family>, u32)>,
    /// What was given back, oldest first.
    idle: VecDeque<(Timestamp, SeriesRef)>,
    limits: SeriesLimits,
    last_sweep: Timestamp,
}

/// Issues [`SeriesRef`]s: never reused within a process, limited in all and for each metric name.
pub struct SeriesTable {
    config: RegistryConfig,
    clock: Clock,
    inner: RwLock<Inner>,
    /// Series with a holder.
    held: AtomicU32,
    total: Total,
    counters: Arc<RegistryCounters>,
}

impl Default for SeriesTable {
    fn default() -> Self {
        Self::new(RegistryConfig::default())
    }
}

impl SeriesTable {
    /// An empty table that goes by the machine's clock.
    pub fn new(config: RegistryConfig) -> Self {
        Self::with_clock(config, Clock::System)
    }

    /// An empty table.
    pub fn with_clock(config: RegistryConfig, clock: Clock) -> Self {
        let inner = Inner { limits: config.limits, ..Inner::default() };
        let (held, total, counters) = (AtomicU32::new(0), Total::default(), Arc::default());
        Self { config, clock, inner: RwLock::new(inner), held, total, counters }
    }

    /// How many series count against the limits.
    pub fn len(&self) -> usize {
        self.inner.read().entries.len()
    }

    /// Whether there is no series.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many series some source holds.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed) as usize
    }

    /// How full the table is.
    pub fn counts(&self) -> SeriesCounts {
        let inner = self.inner.read();
        let (held, alive) = (self.held.load(Ordering::Relaxed), inner.alive());
        let full_families = inner.names.full_count();
        SeriesCounts { held, ending: alive.saturating_sub(held), full_families, limits: inner.limits }
    }

    /// The families that were refused series and have not been below nine tenths of their limit since, with their number
    /// of series, largest first.
    pub fn full_families(&self) -> Vec<(String, u32)> {
        self.inner.read().names.full()
    }

    /// Changes the limits. What is there stays; only new series are refused.
    pub fn set_limits(&self, limits: SeriesLimits) {
        let mut inner = self.inner.write();
        inner.limits = limits;
        let mut news = inner.names.look_again(limits.series_per_family);
        news.extend(self.total.recovered(inner.alive(), limits));
        drop(inner);
        news.iter().for_each(Notice::log);
    }

    /// What the table counted.
    pub fn counters(&self) -> Arc<RegistryCounters> {
        Arc::clone(&self.counters)
    }

    /// The families of own series, for `/api/v1/metadata`.
    pub fn families(&self) -> Vec<Family> {
        self.inner.read().families.values().map(|(family, _)| Family::clone(family)).collect()
    }

    /// Frees series that nobody has held for [`RegistryConfig::keep`]: no queue and no memory of storage has samples of
    /// theirs any more. The pipeline calls it about once a second; one call frees 16,384 at most.
    pub fn sweep(&self) {
        let now = self.clock.now();
        let keep = i64::try_from(self.config.keep.as_millis()).unwrap_or(i64::MAX);
        self.inner.write().note_time(now);
        for slice in 1..=SWEEP_SLICES {
            let mut swept = Swept::default();
            let mut inner = self.inner.write();
            let more = inner.sweep(now.saturating_sub(keep), &mut swept) && slice < SWEEP_SLICES;
            if !more {
                swept.news.extend(self.total.recovered(inner.alive(), inner.limits));
                inner.shrink();
            }
            drop(inner);
            // Labels are dropped and news written where nobody waits.
            self.counters.released.fetch_add(swept.entries.len() as u64, Ordering::Relaxed);
            swept.news.iter().for_each(Notice::log);
            if !more {
                return;
            }
        }
    }

    /// What `/metrics` needs of an own series.
    pub(super) fn own_entry(&self, series: SeriesRef) -> Option<Own> {
        self.inner.read().entries.get(&series).and_then(|entry| entry.own.clone())
    }

    /// Whether nobody holds the series.
    pub(super) fn is_dead(&self, series: SeriesRef) -> bool {
        !self.inner.read().entries.get(&series).is_some_and(Entry::is_held)
    }

    fn ring_labels(&self, key: &SeriesKey<'_>) -> Labels {
        let Origin::Own { job } = key.origin else { return key.to_labels() };
        let mut pairs: Vec<(&str, &str)> = Vec::with_capacity(key.labels.len() + 3);
        pairs.extend_from_slice(key.labels);
        pairs.push((METRIC_NAME, key.name));
        let job = self.config.jobs.iter().find(|(from, _)| from == job).map_or(job, |(_, to)| to.as_str());
        if !key.labels.iter().any(|(name, _)| matches!(*name, "job" | "instance")) {
            pairs.push(("job", job));
            pairs.push(("instance", &self.config.instance));
            return Labels::from_pairs(&pairs);
        }
        // An own label of that name moves aside, as a scrape without honor_labels does it.
        let mut builder = LabelsBuilder::new();
        for (name, value) in pairs {
            match name {
                "job" => builder.put("exported_job", value),
                "instance" => builder.put("exported_instance", value),
                _ => builder.put(name, value),
            }
        }
        builder.set("job", job).set("instance", &self.config.instance).build()
    }

    /// The series, with one more holder, or that it cannot be had, or neither: then it may be added.
    fn find(&self, inner: &Inner, ring: &Labels) -> Result<Option<SeriesRef>, (SeriesRefusal, Option<Notice>)> {
        if let Some(series) = inner.by_labels.get(ring) {
            let before = inner.entries.get(series).map(|entry| entry.holders.fetch_add(1, Ordering::Relaxed));
            if before == Some(0) {
                self.held.fetch_add(1, Ordering::Relaxed);
            }
            return Ok(Some(*series));
        }
        let (name, limits) = (ring.metric_name(), inner.limits);
        if inner.names.series_of(name) >= limits.series_per_family {
            self.counters.refused_family_limit.fetch_add(1, Ordering::Relaxed);
            let news = inner.names.refuse(name, limits.series_per_family);
            return Err((SeriesRefusal::Family(limits.series_per_family), news));
        }
        // After four billion series there is no number left that nobody has seen.
        let most = if inner.next == u32::MAX { 0 } else { limits.series.min(MOST_SERIES) };
        if inner.alive() >= most {
            self.counters.refused_total_limit.fetch_add(1, Ordering::Relaxed);
            let news = self.total.refuse(name, limits.series, &inner.names);
            return Err((SeriesRefusal::Total(limits.series), news));
        }
        Ok(None)
    }
}

/// What a sweep took out, to be dropped without the lock.
#[derive(Default)]
struct Swept {
    entries: Vec<Entry>,
    news: Vec<Notice>,
}

impl Inner {
    fn alive(&self) -> u32 {
        self.entries.len() as u32
    }

    /// A clock that was set back must not make idle series wait for the time it showed before.
    fn note_time(&mut self, now: Timestamp) {
        if now < self.last_sweep {
            for (since, series) in &mut self.idle {
                *since = now.min(*since);
                if let Some(entry) = self.entries.get_mut(series) {
                    entry.idle_since = now.min(entry.idle_since);
                }
            }
        }
        self.last_sweep = now;
    }

    /// Gives memory back that a flood of series needed.
    fn shrink(&mut self) {
        let (series, idle) = (self.entries.len(), self.idle.len());
        if self.entries.capacity() > 4 * series + SHRINK_ABOVE {
            self.entries.shrink_to(2 * series);
            self.by_labels.shrink_to(2 * series);
        }
        if self.idle.capacity() > 4 * idle + SHRINK_ABOVE {
            self.idle.shrink_to(2 * idle);
        }
    }

    fn add(&mut self, key: &SeriesKey<'_>, ring: Labels) -> SeriesRef {
        let own = matches!(key.origin, Origin::Own { .. }).then(|| Own {
            family: self.own_family(key.family),
            name: key.name.into(),
            labels: Labels::from_pairs(key.labels),
        });
        let series = SeriesRef(self.next);
        self.next += 1;
        self.names.add(ring.metric_name());
        let entry = Entry { ring: ring.clone(), own, holders: AtomicU32::new(1), idle_since: 0, is_listed: false };
        self.entries.insert(series, entry);
        self.by_labels.insert(ring, series);
        series
    }

    fn own_family(&mut self, family: &Family) -> Arc<Family> {
        if let Some((known, series)) = self.families.get_mut(family.name.as_ref()) {
            *series += 1;
            return Arc::clone(known);
        }
        let shared = Arc::new(family.clone());
        self.families.insert(family.name.as_ref().into(), (Arc::clone(&shared), 1));
        shared
    }

    /// Takes out some of what has been idle since `due` or longer; true when there may be more.
    fn sweep(&mut self, due: Timestamp, swept: &mut Swept) -> bool {
        for _ in 0..SWEEP_SLICE {
            let Some((_, series)) = self.idle.pop_front_if(|(since, _)| *since <= due) else { return false };
            let MapEntry::Occupied(mut place) = self.entries.entry(series) else { continue };
            let entry = place.get_mut();
            entry.is_listed = false;
            if entry.is_held() {
                continue;
            }
            if entry.idle_since > due {
                // It was held meanwhile.
                entry.is_listed = true;
                self.idle.push_back((entry.idle_since, series));
                continue;
            }
            let entry = place.remove();
            self.by_labels.remove(&entry.ring);
            swept.news.extend(self.names.remove(entry.ring.metric_name(), self.limits.series_per_family));
            if let Some(own) = &entry.own
                && let Some((_, series)) = self.families.get_mut(own.family.name.as_ref())
            {
                *series -= 1;
                if *series == 0 {
                    self.families.remove(own.family.name.as_ref());
                }
            }
            swept.entries.push(entry);
        }
        true
    }
}

impl Intern for SeriesTable {
    fn intern(&self, key: SeriesKey<'_>) -> Option<SeriesRef> {
        self.try_intern(key).ok()
    }

    fn try_intern(&self, key: SeriesKey<'_>) -> Result<SeriesRef, SeriesRefusal> {
        let ring = self.ring_labels(&key);
        // What is refused needs no more than the lock that readers share: it may come again with every page.
        let found = self.find(&self.inner.read(), &ring);
        let found = match found {
            Ok(None) => {
                let mut inner = self.inner.write();
                self.find(&inner, &ring).map(|found| {
                    found.unwrap_or_else(|| {
                        self.held.fetch_add(1, Ordering::Relaxed);
                        self.counters.created.fetch_add(1, Ordering::Relaxed);
                        inner.add(&key, ring)
                    })
                })
            }
            Ok(Some(series)) => Ok(series),
            Err(refused) => Err(refused),
        };
        found.map_err(|(refusal, news)| {
            if let Some(news) = news {
                news.log();
            }
            refusal
        })
    }

    fn release(&self, refs: &[SeriesRef]) {
        if refs.is_empty() {
            return;
        }
        let now = self.clock.now();
        let mut guard = self.inner.write();
        let inner = &mut *guard;
        for series in refs {
            let Some(entry) = inner.entries.get_mut(series) else { continue };
            let holders = entry.holders.get_mut();
            // Given back more often than it was had: a mistake that must not become somebody else's loss.
            debug_assert!(*holders > 0, "{series:?} {} was given back twice", entry.ring);
            if *holders == 0 {
                continue;
            }
            *holders -= 1;
            if *holders > 0 {
                continue;
            }
            self.held.fetch_sub(1, Ordering::Relaxed);
            entry.idle_since = now;
            if !std::mem::replace(&mut entry.is_listed, true) {
                inner.idle.push_back((now, *series));
            }
        }
    }

    fn labels(&self, series: SeriesRef) -> Option<Labels> {
        self.inner.read().entries.get(&series).map(|entry| entry.ring.clone())
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
