//! How a collector writes samples: a slot per series that is interned once, and tables of slots per device.

use crate::model::{Batch, Family, FamilyDesc, Intern, Origin, SeriesKey, SeriesRef};

/// Most labels that an own family carries (`node_dmi_info` has nineteen).
const MAX_LABELS: usize = 24;

/// Ticks that a device may be away before its series are given back: a flapping interface keeps its references.
const TICKS_BEFORE_RELEASE: u32 = 60;

/// Ticks after which a series that a limit refused is tried again: others may have ended.
const TICKS_BEFORE_RETRY: u8 = 60;

/// One series of a collector: not interned yet, known, or refused by a limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Slot {
    #[default]
    New,
    Known(SeriesRef),
    /// Refused, with the ticks until it is tried again.
    Refused(u8),
}

impl Slot {
    fn reference(self) -> Option<SeriesRef> {
        match self {
            Self::Known(series) => Some(series),
            Self::New | Self::Refused(_) => None,
        }
    }

    /// Whether the labels will be read with the next sample.
    pub(crate) fn is_due(self) -> bool {
        matches!(self, Self::New | Self::Refused(0 | 1))
    }

    /// Whether a reference is to be asked for now.
    #[inline]
    fn is_wanted(&mut self) -> bool {
        match self {
            Self::New => true,
            Self::Known(_) => false,
            Self::Refused(ticks) => {
                *ticks = ticks.saturating_sub(1);
                *ticks == 0
            }
        }
    }

    fn of(series: Option<SeriesRef>) -> Self {
        series.map_or(Self::Refused(TICKS_BEFORE_RETRY), Self::Known)
    }
}

/// Where one collector's samples of one tick go.
pub(crate) struct Emit<'a> {
    job: &'a str,
    intern: &'a dyn Intern,
    batch: &'a mut Batch,
}

impl<'a> Emit<'a> {
    pub(crate) fn new(job: &'a str, intern: &'a dyn Intern, batch: &'a mut Batch) -> Self {
        Self { job, intern, batch }
    }

    /// Appends a sample. `labels` are values in the order of `desc.labels`; they are read the first time only.
    #[inline]
    pub(crate) fn put(&mut self, slot: &mut Slot, desc: &FamilyDesc, labels: &[&str], value: f64) {
        if slot.is_wanted() {
            *slot = self.intern_desc(desc, labels);
        }
        self.push(*slot, value);
    }

    /// Appends a part of a classic histogram: `suffix` is `_bucket`, `_sum` or `_count`, `labels` are all pairs.
    pub(crate) fn put_part(
        &mut self,
        slot: &mut Slot,
        desc: &FamilyDesc,
        suffix: &str,
        labels: &[(&str, &str)],
        value: f64,
    ) {
        if slot.is_wanted() {
            let (family, name) = (desc.family(), format!("{}{suffix}", desc.name));
            let key = SeriesKey { family: &family, name: &name, labels, origin: Origin::Own { job: self.job } };
            *slot = Slot::of(self.intern.intern(key));
        }
        self.push(*slot, value);
    }

    /// As [`Emit::put`], for a reading that may be missing: then nothing is written.
    #[inline]
    pub(crate) fn put_opt(&mut self, slot: &mut Slot, desc: &FamilyDesc, labels: &[&str], value: Option<f64>) {
        if let Some(value) = value {
            self.put(slot, desc, labels, value);
        }
    }

    /// Appends a sample of a family that the kernel named and that no catalogue can list.
    pub(crate) fn put_family(&mut self, slot: &mut Slot, family: impl FnOnce() -> Family, value: f64) {
        if slot.is_wanted() {
            let family = family();
            let key =
                SeriesKey { family: &family, name: &family.name, labels: &[], origin: Origin::Own { job: self.job } };
            *slot = Slot::of(self.intern.intern(key));
        }
        self.push(*slot, value);
    }

    /// As [`Emit::put_family`], with labels.
    pub(crate) fn put_named(&mut self, slot: &mut Slot, family: &Family, labels: &[(&str, &str)], value: f64) {
        if slot.is_wanted() {
            let key = SeriesKey { family, name: &sample_name(family), labels, origin: Origin::Own { job: self.job } };
            *slot = Slot::of(self.intern.intern(key));
        }
        self.push(*slot, value);
    }

    #[inline]
    fn push(&mut self, slot: Slot, value: f64) {
        if let Slot::Known(series) = slot {
            self.batch.floats.push((series, value));
        }
    }

    fn intern_desc(&self, desc: &FamilyDesc, values: &[&str]) -> Slot {
        debug_assert_eq!(desc.labels.len(), values.len(), "labels of {}", desc.name);
        debug_assert!(values.len() <= MAX_LABELS, "labels of {}", desc.name);
        let family = desc.family();
        let mut pairs = [("", ""); MAX_LABELS];
        let mut count = 0;
        for (pair, (name, value)) in pairs.iter_mut().zip(desc.labels.iter().zip(values)) {
            *pair = (name, value);
            count += 1;
        }
        let labels = pairs.get(..count).unwrap_or_default();
        let key = SeriesKey { family: &family, name: desc.name, labels, origin: Origin::Own { job: self.job } };
        Slot::of(self.intern.intern(key))
    }

    /// Gives back the series of slots that will not be written again.
    pub(crate) fn release(&self, slots: &[Slot]) {
        let refs: Vec<SeriesRef> = slots.iter().filter_map(|slot| slot.reference()).collect();
        if !refs.is_empty() {
            self.intern.release(&refs);
        }
    }
}

/// The name of a family's samples: counters end in `_total`.
fn sample_name(family: &Family) -> std::borrow::Cow<'_, str> {
    match family.kind {
        crate::model::MetricKind::Counter => format!("{}_total", family.name).into(),
        _ => (&*family.name).into(),
    }
}

/// What a table keeps of one device, mount or sensor.
#[derive(Debug)]
pub(crate) struct Row<T> {
    key: Vec<u8>,
    absent_ticks: u32,
    seen: bool,
    /// One slot per family.
    pub(crate) slots: Vec<Slot>,
    /// What the collector remembers beside the slots.
    pub(crate) state: T,
}

/// Rows in the order in which the source lists them: a steady tick compares each name once and allocates nothing.
#[derive(Debug)]
pub(crate) struct Table<T = ()> {
    rows: Vec<Row<T>>,
    width: usize,
    limit: usize,
    cursor: usize,
}

impl<T> Table<T> {
    /// A table with `width` slots a row and at most `limit` rows.
    pub(crate) fn new(width: usize, limit: usize) -> Self {
        Self { rows: Vec::new(), width, limit, cursor: 0 }
    }

    /// The row of `key`; `state` makes what is remembered when it is new. `None` when the table is full.
    pub(crate) fn row(&mut self, key: &[u8], state: impl FnOnce() -> T) -> Option<&mut Row<T>> {
        let index = self.position(key).or_else(|| self.insert(key, state))?;
        self.cursor = index + 1;
        let row = self.rows.get_mut(index)?;
        row.seen = true;
        Some(row)
    }

    fn position(&self, key: &[u8]) -> Option<usize> {
        if self.rows.get(self.cursor).is_some_and(|row| row.key == key) {
            return Some(self.cursor);
        }
        // What is missing in between is skipped; what is not found behind is in front, or new.
        let (before, after) = self.rows.split_at_checked(self.cursor)?;
        let behind = after.iter().position(|row| row.key == key).map(|index| self.cursor + index);
        behind.or_else(|| before.iter().position(|row| row.key == key))
    }

    fn insert(&mut self, key: &[u8], state: impl FnOnce() -> T) -> Option<usize> {
        if self.rows.len() >= self.limit {
            return None;
        }
        let index = self.cursor.min(self.rows.len());
        let slots = vec![Slot::New; self.width];
        self.rows.insert(index, Row { key: key.to_vec(), absent_ticks: 0, seen: false, slots, state: state() });
        Some(index)
    }

    /// All rows, in the order of the source.
    pub(crate) fn rows_mut(&mut self) -> impl Iterator<Item = &mut Row<T>> {
        self.rows.iter_mut()
    }

    /// The slots of all rows, to give their series back at once.
    pub(crate) fn slots(&self) -> Vec<Slot> {
        self.rows.iter().flat_map(|row| row.slots.iter().copied()).collect()
    }

    /// Ends a tick: rows that were not asked for age, and leave with their series after a grace.
    pub(crate) fn end_tick(&mut self, emit: &Emit<'_>) {
        self.cursor = 0;
        self.rows.retain_mut(|row| {
            row.absent_ticks = if row.seen { 0 } else { row.absent_ticks + 1 };
            row.seen = false;
            let keep = row.absent_ticks <= TICKS_BEFORE_RELEASE;
            if !keep {
                emit.release(&row.slots);
            }
            keep
        });
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }
}

#[cfg(test)]
mod tests {
    use super::{Emit, Slot, TICKS_BEFORE_RELEASE, TICKS_BEFORE_RETRY, Table};
    use crate::collect::testing::Interner;
    use crate::model::{Batch, FamilyDesc, GroupId, MetricKind};

    const DESC: FamilyDesc =
        FamilyDesc { name: "x_total", kind: MetricKind::Counter, unit: "", help: "h", labels: &["d"], max_series: 9 };

    fn tick(table: &mut Table, intern: &Interner, names: &[&str]) -> Batch {
        let mut batch = Batch::new(GroupId(0), 0);
        let mut emit = Emit::new("node", intern, &mut batch);
        for name in names {
            if let Some(row) = table.row(name.as_bytes(), || ()) {
                emit.put(&mut row.slots[0], &DESC, &[name], 1.0);
            }
        }
        table.end_tick(&emit);
        batch
    }

    #[test]
    fn a_device_keeps_its_series_and_gives_it_back_late() {
        let intern = Interner::default();
        let mut table = Table::new(1, 3);
        let first = tick(&mut table, &intern, &["a", "b"]);
        assert_eq!(first, tick(&mut table, &intern, &["a", "b"]));
        let swapped = tick(&mut table, &intern, &["c", "b", "a"]);
        assert_eq!(swapped.floats[2], first.floats[0]);
        assert_eq!(tick(&mut table, &intern, &["a", "b", "c", "d"]).len(), 3, "a full table refuses a fourth row");
        for _ in 0..=TICKS_BEFORE_RELEASE {
            tick(&mut table, &intern, &["b"]);
        }
        assert_eq!(table.len(), 1);
        assert_eq!(intern.released(), 2);
    }

    #[test]
    fn a_refused_series_is_left_out_and_tried_again() {
        let intern = Interner::refusing();
        let mut table = Table::new(1, 3);
        for round in 1..4 {
            for _ in 0..TICKS_BEFORE_RETRY {
                assert!(tick(&mut table, &intern, &["a"]).is_empty());
                assert!(matches!(table.rows[0].slots[0], Slot::Refused(_)));
            }
            assert_eq!(intern.count(), round, "asked for once in a while");
        }
    }
}
