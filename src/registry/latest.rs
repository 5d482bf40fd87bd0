//! The newest value of each own series.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use super::SeriesTable;
use super::table::Own;
use crate::model::{Batch, Family, GroupId, Labels, SeriesRef, Timestamp, absent, is_absent, is_stale};

/// The slot of a series that `/metrics` leaves out.
const HIDDEN: u32 = u32::MAX;
/// Slots before the first search for dead ones.
const FIRST_SWEEP: usize = 1024;
/// How often [`Latest::look`] begins again because slots got other owners meanwhile; then it leaves those out.
const LOOKS: usize = 4;

/// What a page needs to know beside the values; valid for one generation.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The generation this layout belongs to.
    pub generation: u64,
    /// Families, sorted by name.
    pub families: Vec<LayoutFamily>,
}

/// A family with its series.
#[derive(Debug, Clone)]
pub struct LayoutFamily {
    /// Name, kind, unit, help.
    pub family: Family,
    /// Its series, sorted by labels and sample name.
    pub series: Vec<LayoutSeries>,
}

/// One series and where its value stands.
#[derive(Debug, Clone)]
pub struct LayoutSeries {
    /// Sample name: the family's, or that with a suffix.
    pub name: Arc<str>,
    /// Labels as `/metrics` shows them: without name, `job` and `instance`.
    pub labels: Labels,
    /// Index into the values of [`Latest::read`].
    pub slot: u32,
}

struct Group {
    refs: Vec<SeriesRef>,
    slots: Vec<u32>,
    shown: bool,
    ts: Timestamp,
    /// [`Slots::freed`] when the slots were looked up.
    freed: u64,
}

/// A series that has a slot, as [`Latest::look`] shows it.
#[derive(Clone)]
pub struct LatestSeries(Arc<Owner>);

struct Owner {
    series: SeriesRef,
    own: Own,
}

impl LatestSeries {
    /// Its family.
    pub fn family(&self) -> &Family {
        &self.0.own.family
    }

    /// Sample name: the family's, or that with a suffix.
    pub fn name(&self) -> &str {
        &self.0.own.name
    }

    /// Labels as `/metrics` shows them: without name, `job` and `instance`.
    pub fn labels(&self) -> &Labels {
        &self.0.own.labels
    }
}

/// Who has which slot, for readers that wait for nobody. A new owner is shown before its first value is written, so whoever
/// finds the same owners before and after reading a value knows whose it is.
#[derive(Default)]
struct Shown {
    owners: Vec<Option<Arc<Owner>>>,
    values: Values,
}

/// A value a slot, as bits; some more places than there are slots.
type Values = Arc<[AtomicU64]>;

#[derive(Default)]
struct Slots {
    owners: Vec<Option<Arc<Owner>>>,
    values: Values,
    free: Vec<u32>,
    next_sweep: usize,
    /// How often slots became free. A series that comes back may have its slot no more, though its number is the same.
    freed: u64,
    /// Whether owners changed since they were last shown.
    changed: bool,
}

impl Slots {
    fn set(&self, slot: u32, value: f64) {
        if let Some(place) = self.values.get(slot as usize) {
            place.store(value.to_bits(), Ordering::Release);
        }
    }

    /// One more slot, without owner and value.
    fn add(&mut self) -> u32 {
        if self.owners.len() >= self.values.len() {
            let more = (2 * self.values.len()).max(FIRST_SWEEP);
            let known = self.values.iter().map(|value| value.load(Ordering::Relaxed));
            self.values = known.chain(std::iter::repeat(absent().to_bits())).take(more).map(AtomicU64::new).collect();
        }
        self.owners.push(None);
        (self.owners.len() - 1) as u32
    }

    /// Nothing of `refs` is shown any more, unless its slot has another owner by now.
    fn clear(&mut self, refs: &[SeriesRef], slots: &[u32]) {
        for (series, slot) in refs.iter().zip(slots) {
            let owner = self.owners.get(*slot as usize).and_then(Option::as_ref);
            if owner.is_some_and(|owner| owner.series == *series) {
                self.set(*slot, absent());
            }
        }
    }
}

struct Inner {
    slot_of: FxHashMap<SeriesRef, u32>,
    slots: Slots,
    groups: FxHashMap<GroupId, Group>,
    generation: u64,
    ts: Timestamp,
}

/// The latest values of own series, for `/metrics`: a series that is missing from its group's newest batch, or stale there, is not shown.
pub struct Latest {
    table: Arc<SeriesTable>,
    inner: Mutex<Inner>,
    shown: ArcSwap<Shown>,
}

impl Latest {
    /// Nothing is known yet.
    pub fn new(table: Arc<SeriesTable>) -> Self {
        let inner = Inner {
            slot_of: FxHashMap::default(),
            slots: Slots { next_sweep: FIRST_SWEEP, ..Slots::default() },
            groups: FxHashMap::default(),
            generation: 1,
            ts: 0,
        };
        Self { table, inner: Mutex::new(inner), shown: ArcSwap::default() }
    }

    /// Takes a tick over. Same series in the same order as the group's last tick: one store each.
    pub fn update(&self, batch: &Batch) {
        let mut guard = self.inner.lock();
        let inner = &mut *guard;
        inner.ts = inner.ts.max(batch.ts);
        let group = inner.groups.entry(batch.group).or_insert_with(|| Group {
            refs: Vec::new(),
            slots: Vec::new(),
            shown: false,
            ts: Timestamp::MIN,
            freed: inner.slots.freed,
        });
        if batch.ts < group.ts {
            return;
        }
        group.ts = batch.ts;
        let same = group.freed == inner.slots.freed
            && group.refs.len() == batch.floats.len()
            && group.refs.iter().zip(&batch.floats).all(|(known, (series, _))| known == series);
        if !same {
            inner.slots.clear(&group.refs, &group.slots);
            group.refs.clear();
            group.slots.clear();
            group.shown = false;
            for (series, _) in &batch.floats {
                let slot = match inner.slot_of.get(series) {
                    Some(slot) => *slot,
                    None => self.new_slot(*series, &mut inner.slot_of, &mut inner.slots, &mut inner.generation),
                };
                group.shown |= slot != HIDDEN;
                group.refs.push(*series);
                group.slots.push(slot);
            }
            group.freed = inner.slots.freed;
            if std::mem::take(&mut inner.slots.changed) {
                let (owners, values) = (inner.slots.owners.clone(), Arc::clone(&inner.slots.values));
                self.shown.store(Arc::new(Shown { owners, values }));
            }
        }
        if !group.shown {
            return;
        }
        for (slot, (_, value)) in group.slots.iter().zip(&batch.floats) {
            inner.slots.set(*slot, if is_stale(*value) { absent() } else { *value });
        }
    }

    /// Forgets a group that has ended; its series are no longer shown.
    pub fn end_group(&self, group: GroupId) {
        let mut guard = self.inner.lock();
        let inner = &mut *guard;
        let Some(ended) = inner.groups.remove(&group) else { return };
        inner.slots.clear(&ended.refs, &ended.slots);
    }

    /// The generation of the layout: it changes when a slot gets a new owner.
    pub fn generation(&self) -> u64 {
        self.inner.lock().generation
    }

    /// Copies the values into `values` (by slot; [`crate::model::absent`] = not shown) and returns their generation and the newest tick.
    pub fn read(&self, values: &mut Vec<f64>) -> (u64, Timestamp) {
        let inner = self.inner.lock();
        values.clear();
        let all = inner.slots.values.iter().take(inner.slots.owners.len());
        values.extend(all.map(|value| f64::from_bits(value.load(Ordering::Relaxed))));
        (inner.generation, inner.ts)
    }

    /// The series that are shown now, with their values. Waits for nobody, whatever a tick does meanwhile: of a tick that is
    /// just being taken over some values may be new and others not.
    pub fn look(&self) -> Vec<(LatestSeries, f64)> {
        let mut shown = self.shown.load_full();
        let mut found = Vec::new();
        for _ in 0..LOOKS {
            let values = shown.values.iter().map(|value| f64::from_bits(value.load(Ordering::Acquire)));
            found.clear();
            found.extend(values.zip(&shown.owners).enumerate().filter_map(|(slot, (value, owner))| {
                let owner = owner.as_ref().filter(|_| !is_absent(value))?;
                Some((slot, LatestSeries(Arc::clone(owner)), value))
            }));
            let now = self.shown.load_full();
            if Arc::ptr_eq(&now, &shown) {
                break;
            }
            shown = now;
        }
        let is_same = |slot: usize, series: &LatestSeries| {
            let owner = shown.owners.get(slot).and_then(Option::as_ref);
            owner.is_some_and(|owner| Arc::ptr_eq(owner, &series.0))
        };
        found.into_iter().filter(|(slot, series, _)| is_same(*slot, series)).map(|(_, s, value)| (s, value)).collect()
    }

    /// Holds back everybody who takes a tick over, as a slow one does.
    #[cfg(test)]
    pub(crate) fn hold(&self) -> impl Drop {
        self.inner.lock()
    }

    /// Names and labels of everything that has a slot. Called when the generation has changed.
    pub fn layout(&self) -> Layout {
        let mut by_family: BTreeMap<Cow<'static, str>, LayoutFamily> = BTreeMap::new();
        let inner = self.inner.lock();
        for (slot, owner) in inner.slots.owners.iter().enumerate() {
            let Some(owner) = owner.as_ref().filter(|owner| !self.table.is_dead(owner.series)) else { continue };
            let own = &owner.own;
            let family = by_family
                .entry(own.family.name.clone())
                .or_insert_with(|| LayoutFamily { family: Family::clone(&own.family), series: Vec::new() });
            let (name, labels) = (Arc::clone(&own.name), own.labels.clone());
            family.series.push(LayoutSeries { name, labels, slot: slot as u32 });
        }
        let generation = inner.generation;
        drop(inner);
        let mut families: Vec<LayoutFamily> = by_family.into_values().collect();
        for family in &mut families {
            family.series.sort_unstable_by(|a, b| a.labels.cmp(&b.labels).then_with(|| a.name.cmp(&b.name)));
        }
        Layout { generation, families }
    }

    fn new_slot(
        &self,
        series: SeriesRef,
        slot_of: &mut FxHashMap<SeriesRef, u32>,
        slots: &mut Slots,
        generation: &mut u64,
    ) -> u32 {
        let Some(own) = self.table.own_entry(series) else { return HIDDEN };
        if slots.free.is_empty() && slots.owners.len() >= slots.next_sweep {
            self.free_dead(slot_of, slots);
        }
        *generation += 1;
        let slot = slots.free.pop().unwrap_or_else(|| slots.add());
        slots.set(slot, absent());
        slots.owners[slot as usize] = Some(Arc::new(Owner { series, own }));
        slots.changed = true;
        slot_of.insert(series, slot);
        slot
    }

    /// Slots of released series become free; the next search comes when the rest has doubled.
    fn free_dead(&self, slot_of: &mut FxHashMap<SeriesRef, u32>, slots: &mut Slots) {
        for (slot, owner) in slots.owners.iter_mut().enumerate() {
            let Some(series) = owner.as_ref().map(|owner| owner.series).filter(|series| self.table.is_dead(*series))
            else {
                continue;
            };
            // A group that still names a dead series would write into the slot of its successor: the value must be gone first.
            let value = slots.values.get(slot).map_or(0, |value| value.load(Ordering::Relaxed));
            if is_absent(f64::from_bits(value)) {
                slot_of.remove(&series);
                *owner = None;
                slots.free.push(slot as u32);
                slots.freed += 1;
            }
        }
        slots.next_sweep = FIRST_SWEEP.max(2 * (slots.owners.len() - slots.free.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::Latest;
    use crate::model::{Batch, Family, GroupId, Intern, Origin, SeriesKey, SeriesRef, is_absent, stale_marker};
    use crate::registry::{RegistryConfig, SeriesTable};
    use std::sync::Arc;

    fn setup() -> (Arc<SeriesTable>, Latest) {
        let table = Arc::new(SeriesTable::new(RegistryConfig::default()));
        (Arc::clone(&table), Latest::new(table))
    }

    fn intern(table: &SeriesTable, x: &str, origin: Origin<'_>) -> SeriesRef {
        let family = Family { name: "a".into(), ..Family::default() };
        table.intern(SeriesKey { family: &family, name: "a", labels: &[("x", x)], origin }).expect("room")
    }

    fn shown(latest: &Latest) -> String {
        let layout = latest.layout();
        let mut values = Vec::new();
        latest.read(&mut values);
        let mut looked: Vec<String> =
            latest.look().iter().map(|(series, value)| format!("{}={value}", series.labels().get("x"))).collect();
        looked.sort();
        let series = layout.families.iter().flat_map(|family| &family.series);
        let parts: Vec<String> = series
            .filter(|series| !is_absent(values[series.slot as usize]))
            .map(|series| format!("{}={}", series.labels.get("x"), values[series.slot as usize]))
            .collect();
        assert_eq!(looked, parts, "whoever waits for nobody sees the same");
        parts.join(" ")
    }

    #[test]
    fn shows_the_newest_tick_of_each_group() {
        let (table, latest) = setup();
        let own = Origin::Own { job: "node" };
        let refs = [intern(&table, "1", own), intern(&table, "2", own), intern(&table, "3", own)];
        let foreign = intern(&table, "f", Origin::Foreign);
        type Case<'a> = (u32, i64, &'a [(SeriesRef, f64)], &'a str);
        let cases: &[Case<'_>] = &[
            (0, 1, &[(refs[0], 1.0), (refs[1], 2.0)], "1=1 2=2"),
            (0, 2, &[(refs[0], 5.0), (refs[1], 6.0)], "1=5 2=6"),
            (1, 2, &[(refs[2], 7.0), (foreign, 9.0)], "1=5 2=6 3=7"),
            (0, 3, &[(refs[1], 8.0)], "2=8 3=7"),
            (0, 2, &[(refs[0], 1.0)], "2=8 3=7"),
            (1, 3, &[(refs[2], stale_marker())], "2=8"),
            (0, 4, &[], ""),
        ];
        for (group, ts, floats, expected) in cases {
            let mut batch = Batch::new(GroupId(*group), *ts);
            batch.floats.extend_from_slice(floats);
            latest.update(&batch);
            assert_eq!(shown(&latest), *expected, "group {group} at {ts}");
        }
    }

    #[test]
    fn a_look_waits_for_nobody() {
        let (table, latest) = setup();
        let series = intern(&table, "1", Origin::Own { job: "node" });
        let mut batch = Batch::new(GroupId(0), 1);
        batch.floats.push((series, 5.0));
        latest.update(&batch);
        let held = latest.hold();
        let seen: Vec<f64> = latest.look().iter().map(|(_, value)| *value).collect();
        drop(held);
        assert_eq!(seen, [5.0]);
    }

    /// Series come and go all the time and take each other's slots; the value of each is its own number.
    #[test]
    fn a_look_never_gives_a_value_to_another_series() {
        let (table, latest) = setup();
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for round in 0..400u32 {
                    let refs: Vec<SeriesRef> = (0..64)
                        .map(|i| intern(&table, &(round * 64 + i).to_string(), Origin::Own { job: "worker" }))
                        .collect();
                    let mut batch = Batch::new(GroupId(0), i64::from(round));
                    batch.floats.extend((0..64).zip(&refs).map(|(i, series)| (*series, f64::from(round * 64 + i))));
                    latest.update(&batch);
                    latest.update(&Batch::new(GroupId(0), i64::from(round)));
                    table.release(&refs);
                }
                done.store(true, std::sync::atomic::Ordering::Release);
            });
            while !done.load(std::sync::atomic::Ordering::Acquire) {
                for (series, value) in latest.look() {
                    assert_eq!(series.labels().get("x"), value.to_string());
                }
            }
        });
    }

    #[test]
    fn slots_follow_the_living_series() {
        let (table, latest) = setup();
        for round in 0..50i64 {
            let refs: Vec<SeriesRef> =
                (0..100).map(|i| intern(&table, &format!("{round}-{i}"), Origin::Own { job: "worker" })).collect();
            let mut batch = Batch::new(GroupId(0), round);
            batch.floats.extend(refs.iter().map(|series| (*series, 1.0)));
            latest.update(&batch);
            latest.update(&Batch::new(GroupId(0), round));
            table.release(&refs);
        }
        assert!(latest.inner.lock().slots.owners.len() <= 1200);
        assert!(latest.layout().families.is_empty());
    }
}
