//! The table of all series that this process knows.

use std::collections::hash_map::Entry as MapEntry;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use rustc_hash::FxHashMap;

use super::pages::Pages;
use crate::limits::MAX_SERIES;
use crate::model::{Family, FamilyDesc, Intern, Labels, LabelsBuilder, METRIC_NAME, Origin, SeriesKey, SeriesRef};

/// Series of one family that no catalogue declares (events, pushes): one runaway label must not take the whole table.
const DEFAULT_FAMILY_SERIES: u32 = 10_000;

/// Families of own series; their names come from catalogues and, within this bound, from events.
const MAX_FAMILIES: usize = 20_000;

/// How the table labels what watchfire measures, and how much it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryConfig {
    /// The ring's `instance` label of own series: host:port.
    pub instance: String,
    /// Renames of own jobs, for example `("node", "machine")`.
    pub jobs: Vec<(String, String)>,
    /// The most living series; at most [`MAX_SERIES`].
    pub max_series: u32,
}

impl Default for RegistryConfig {
    fn default() -> Self {
        Self { instance: "localhost:9480".to_owned(), jobs: Vec::new(), max_series: MAX_SERIES }
    }
}

/// What the table counted since the start.
#[derive(Debug, Default)]
pub struct RegistryCounters {
    /// Series that got a reference.
    pub created: AtomicU64,
    /// Series that were given back.
    pub released: AtomicU64,
    /// Refusals because the table was full.
    pub refused_total_limit: AtomicU64,
    /// Refusals because the series' family was full.
    pub refused_family_limit: AtomicU64,
}

/// A series as the table holds it.
#[derive(Clone)]
pub(super) struct Entry {
    /// Name, `job` and `instance` included.
    pub(super) ring: Labels,
    /// What `/metrics` prints; `None` for foreign series.
    pub(super) own: Option<Own>,
    released: bool,
}

/// How an own series appears on `/metrics`.
#[derive(Clone)]
pub(super) struct Own {
    pub(super) family: u32,
    pub(super) name: Arc<str>,
    pub(super) labels: Labels,
}

struct FamilyEntry {
    family: Family,
    series: u32,
    max_series: u32,
}

#[derive(Default)]
struct Families {
    by_name: FxHashMap<Box<str>, u32>,
    list: Vec<FamilyEntry>,
}

struct Inner {
    by_labels: FxHashMap<Labels, SeriesRef>,
    entries: Pages<Entry>,
    next: u32,
    living: u32,
    families: Families,
    /// Released since the last sweep, and before it: the second kind is freed by the next sweep.
    released: [Vec<SeriesRef>; 2],
}

/// Issues [`SeriesRef`]s: never reused within a process, limited in all and for each family.
pub struct SeriesTable {
    config: RegistryConfig,
    inner: RwLock<Inner>,
    generation: AtomicU64,
    counters: Arc<RegistryCounters>,
}

impl Default for SeriesTable {
    fn default() -> Self {
        Self::new(RegistryConfig::default())
    }
}

impl SeriesTable {
    /// An empty table.
    pub fn new(config: RegistryConfig) -> Self {
        let inner = Inner {
            by_labels: FxHashMap::default(),
            entries: Pages::new(),
            next: 0,
            living: 0,
            families: Families::default(),
            released: [Vec::new(), Vec::new()],
        };
        Self { config, inner: RwLock::new(inner), generation: AtomicU64::new(0), counters: Arc::default() }
    }

    /// Tells the table how many series each family of a catalogue may have.
    pub fn declare(&self, catalogue: &[FamilyDesc]) {
        let mut inner = self.inner.write();
        for desc in catalogue {
            let family = desc.family();
            let id = inner.families.id(&family);
            inner.families.list[id as usize].max_series = desc.max_series;
        }
    }

    /// How many living series there are.
    pub fn len(&self) -> usize {
        self.inner.read().living as usize
    }

    /// Whether there is no living series.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Grows with each change of membership.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// What the table counted.
    pub fn counters(&self) -> Arc<RegistryCounters> {
        Arc::clone(&self.counters)
    }

    /// The families of own series that have a living series, for `/api/v1/metadata`.
    pub fn families(&self) -> Vec<Family> {
        let inner = self.inner.read();
        inner.families.list.iter().filter(|entry| entry.series > 0).map(|entry| entry.family.clone()).collect()
    }

    /// Frees the labels of series that were released before the last sweep. The pipeline calls it once in a while:
    /// a sample that still waits in a queue finds its labels until then.
    pub fn sweep(&self) {
        let mut inner = self.inner.write();
        let old = std::mem::take(&mut inner.released[1]);
        for series in &old {
            inner.entries.remove(series.0);
        }
        inner.released.swap(0, 1);
    }

    /// What `/metrics` needs of a living own series.
    pub(super) fn own_entry(&self, series: SeriesRef) -> Option<Own> {
        let inner = self.inner.read();
        inner.entries.get(series.0).filter(|entry| !entry.released).and_then(|entry| entry.own.clone())
    }

    /// Whether the series has been given back or was never issued.
    pub(super) fn is_dead(&self, series: SeriesRef) -> bool {
        self.inner.read().entries.get(series.0).is_none_or(|entry| entry.released)
    }

    pub(super) fn family(&self, id: u32) -> Option<Family> {
        self.inner.read().families.list.get(id as usize).map(|entry| entry.family.clone())
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
}

impl Families {
    fn id(&mut self, family: &Family) -> u32 {
        if let Some(id) = self.by_name.get(family.name.as_ref()) {
            return *id;
        }
        let id = self.list.len() as u32;
        self.by_name.insert(family.name.as_ref().into(), id);
        self.list.push(FamilyEntry { family: family.clone(), series: 0, max_series: DEFAULT_FAMILY_SERIES });
        id
    }
}

impl Intern for SeriesTable {
    fn intern(&self, key: SeriesKey<'_>) -> Option<SeriesRef> {
        let ring = self.ring_labels(&key);
        if let Some(series) = self.inner.read().by_labels.get(&ring) {
            return Some(*series);
        }
        let mut guard = self.inner.write();
        let inner = &mut *guard;
        if let Some(series) = inner.by_labels.get(&ring) {
            return Some(*series);
        }
        if inner.living >= self.config.max_series.min(MAX_SERIES) || inner.next == u32::MAX {
            self.counters.refused_total_limit.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        let own = match key.origin {
            Origin::Foreign => None,
            Origin::Own { .. } => {
                let families = &mut inner.families;
                let is_full = families.list.len() >= MAX_FAMILIES && !families.by_name.contains_key(&*key.family.name);
                let id = if is_full { 0 } else { families.id(key.family) };
                let family = &mut families.list[id as usize];
                if is_full || family.series >= family.max_series {
                    self.counters.refused_family_limit.fetch_add(1, Ordering::Relaxed);
                    return None;
                }
                family.series += 1;
                Some(Own { family: id, name: key.name.into(), labels: Labels::from_pairs(key.labels) })
            }
        };
        let series = SeriesRef(inner.next);
        inner.next += 1;
        inner.living += 1;
        inner.entries.insert(series.0, Entry { ring: ring.clone(), own, released: false });
        inner.by_labels.insert(ring, series);
        self.counters.created.fetch_add(1, Ordering::Relaxed);
        self.generation.fetch_add(1, Ordering::Release);
        Some(series)
    }

    fn release(&self, refs: &[SeriesRef]) {
        let mut guard = self.inner.write();
        let inner = &mut *guard;
        let mut count = 0;
        for series in refs {
            let Some(entry) = inner.entries.get_mut(series.0) else { continue };
            if std::mem::replace(&mut entry.released, true) {
                continue;
            }
            if let Some(own) = &entry.own {
                inner.families.list[own.family as usize].series -= 1;
            }
            if let MapEntry::Occupied(place) = inner.by_labels.entry(entry.ring.clone()) {
                place.remove();
            }
            inner.living -= 1;
            inner.released[0].push(*series);
            count += 1;
        }
        if count > 0 {
            self.counters.released.fetch_add(count, Ordering::Relaxed);
            self.generation.fetch_add(1, Ordering::Release);
        }
    }

    fn labels(&self, series: SeriesRef) -> Option<Labels> {
        self.inner.read().entries.get(series.0).map(|entry| entry.ring.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::{RegistryConfig, SeriesTable};
    use crate::model::{Family, FamilyDesc, Intern, MetricKind, Origin, SeriesKey, SeriesRef};
    use std::sync::atomic::Ordering;

    fn intern(
        table: &SeriesTable,
        name: &'static str,
        labels: &[(&str, &str)],
        origin: Origin<'_>,
    ) -> Option<SeriesRef> {
        let family = Family { name: name.into(), ..Family::default() };
        table.intern(SeriesKey { family: &family, name, labels, origin })
    }

    #[test]
    fn ring_labels_carry_job_and_instance_of_own_series_only() {
        let config = RegistryConfig { jobs: vec![("gpu".into(), "cards".into())], ..RegistryConfig::default() };
        let table = SeriesTable::new(config);
        type Case<'a> = (&'a [(&'a str, &'a str)], Origin<'a>, &'a str);
        let cases: &[Case<'_>] = &[
            (&[], Origin::Own { job: "node" }, r#"a{instance="localhost:9480", job="node"}"#),
            (
                &[("x", "1"), ("y", "")],
                Origin::Own { job: "gpu" },
                r#"a{instance="localhost:9480", job="cards", x="1"}"#,
            ),
            (
                &[("job", "mine")],
                Origin::Own { job: "events" },
                r#"a{exported_job="mine", instance="localhost:9480", job="events"}"#,
            ),
            (&[("job", "app")], Origin::Foreign, r#"a{job="app"}"#),
        ];
        for (labels, origin, expected) in cases {
            let series = intern(&table, "a", labels, *origin).expect("below the limit");
            assert_eq!(table.labels(series).expect("known").to_string(), *expected);
            assert_eq!(intern(&table, "a", labels, *origin), Some(series));
        }
    }

    #[test]
    fn a_released_reference_is_never_issued_again() {
        let table = SeriesTable::new(RegistryConfig::default());
        let first = intern(&table, "a", &[], Origin::Foreign).expect("room");
        let generation = table.generation();
        table.release(&[first, first]);
        assert_eq!(table.len(), 0);
        assert!(table.generation() > generation);
        let second = intern(&table, "a", &[], Origin::Foreign).expect("room");
        assert_ne!(first, second);
        table.sweep();
        assert!(table.labels(first).is_some(), "a queue may still hold its sample");
        table.sweep();
        assert!(table.labels(first).is_none());
        assert!(table.labels(second).is_some());
    }

    #[test]
    fn limits_are_counted() {
        let table = SeriesTable::new(RegistryConfig { max_series: 3, ..RegistryConfig::default() });
        let desc = FamilyDesc { name: "a", kind: MetricKind::Gauge, unit: "", help: "", labels: &["x"], max_series: 2 };
        table.declare(&[desc]);
        let own = Origin::Own { job: "node" };
        let refs: Vec<_> = ["1", "2", "3"].iter().map(|x| intern(&table, "a", &[("x", x)], own)).collect();
        assert!(refs[0].is_some() && refs[1].is_some() && refs[2].is_none());
        assert!(intern(&table, "b", &[], own).is_some());
        assert!(intern(&table, "c", &[], Origin::Foreign).is_none());
        let counters = table.counters();
        assert_eq!(counters.refused_family_limit.load(Ordering::Relaxed), 1);
        assert_eq!(counters.refused_total_limit.load(Ordering::Relaxed), 1);
        table.release(&[refs[0].expect("issued")]);
        assert!(intern(&table, "a", &[("x", "3")], own).is_some(), "release makes room");
    }
}
