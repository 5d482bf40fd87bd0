//! Which series the ring knows: labels ⇄ number, an inverted index for matchers, an order for answers.

use std::collections::BTreeMap;
use std::ops::Bound;

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use crate::model::{Labels, METRIC_NAME, MatchOp, Matcher, SeriesRef, Timestamp};

/// References that are remembered for one series.
const MAX_REFS: usize = 8;

/// A series inside the ring; reused after the series has left head and loaded segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Sid(pub(crate) u32);

/// Where a series has a dense column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) group: u32,
    pub(crate) col: u32,
}

/// What is known about one series.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) labels: Labels,
    /// Sorts as the labels do; renumbered when two neighbours leave no number between them.
    order: u64,
    pub(crate) places: SmallVec<[Place; 1]>,
    /// The references under which the process speaks of it.
    refs: SmallVec<[SeriesRef; 1]>,
    /// Loaded segment generations that name it, plus one while it has irregular samples in the head.
    pub(crate) uses: u32,
    /// The window whose rows carry its labels.
    pub(crate) announced: Timestamp,
}

/// All series of the head and of the segments that were read.
#[derive(Debug, Default)]
pub(crate) struct SeriesTable {
    entries: Vec<Option<Series>>,
    free: Vec<u32>,
    by_labels: BTreeMap<Labels, Sid>,
    by_ref: FxHashMap<SeriesRef, Sid>,
    /// Counts changes of what selections may find.
    changes: u64,
    /// The last change of a series of each metric name.
    changed: FxHashMap<Box<str>, u64>,
    /// The last change that concerns every name.
    all_changed: u64,
    /// Label name → value → series, ascending.
    postings: FxHashMap<Box<str>, FxHashMap<Box<str>, Vec<u32>>>,
}

/// Distance between the order numbers of series that arrive in order.
const ORDER_STEP: u64 = 1 << 32;

impl SeriesTable {
    pub(crate) fn len(&self) -> usize {
        self.by_labels.len()
    }

    pub(crate) fn get(&self, sid: Sid) -> Option<&Series> {
        self.entries.get(sid.0 as usize)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, sid: Sid) -> Option<&mut Series> {
        self.entries.get_mut(sid.0 as usize)?.as_mut()
    }

    pub(crate) fn by_ref(&self, series: SeriesRef) -> Option<Sid> {
        self.by_ref.get(&series).copied()
    }

    /// The series with these labels; a new one the first time.
    pub(crate) fn intern(&mut self, labels: &Labels) -> Sid {
        if let Some(sid) = self.by_labels.get(labels) {
            return *sid;
        }
        let order = self.order_for(labels);
        let series = Series {
            labels: labels.clone(),
            order,
            places: SmallVec::new(),
            refs: SmallVec::new(),
            uses: 0,
            announced: Timestamp::MIN,
        };
        let sid = match self.free.pop() {
            Some(slot) => Sid(slot),
            None => {
                self.entries.push(None);
                Sid(self.entries.len() as u32 - 1)
            }
        };
        self.entries[sid.0 as usize] = Some(series);
        self.by_labels.insert(labels.clone(), sid);
        for (name, value) in labels.iter() {
            insert_posting(&mut self.postings, name, value, sid.0);
        }
        self.touch(sid);
        sid
    }

    /// Notes that a series came, or that its samples are elsewhere now.
    pub(crate) fn touch(&mut self, sid: Sid) {
        let Some(Some(series)) = self.entries.get(sid.0 as usize) else { return };
        self.changes += 1;
        let name = series.labels.metric_name();
        match self.changed.get_mut(name) {
            Some(changed) => *changed = self.changes,
            None => {
                self.changed.insert(name.into(), self.changes);
            }
        }
    }

    /// Notes that nothing is where it was.
    pub(crate) fn touch_all(&mut self) {
        self.changes += 1;
        self.all_changed = self.changes;
    }

    /// A number that changes whenever the matchers may find other series, or find them elsewhere.
    pub(crate) fn generation(&self, matchers: &[Matcher]) -> u64 {
        let name = matchers.iter().find(|m| m.name == METRIC_NAME && m.op == MatchOp::Equal && !m.value.is_empty());
        match name {
            // A name that is unknown has no series; once it has some, its number is larger.
            Some(name) => self.changed.get(name.value.as_str()).copied().unwrap_or(0).max(self.all_changed),
            None => self.changes,
        }
    }

    /// Remembers under which reference the process speaks of a series.
    pub(crate) fn bind(&mut self, series: SeriesRef, sid: Sid) {
        self.by_ref.insert(series, sid);
        let Some(entry) = self.get_mut(sid) else { return };
        entry.refs.push(series);
        // One that comes back each hour gets another reference each time, and the first of them are long dead.
        let dead = (entry.refs.len() > MAX_REFS).then(|| entry.refs.remove(0));
        if let Some(dead) = dead {
            self.by_ref.remove(&dead);
        }
    }

    /// Forgets a series that nothing holds any more.
    pub(crate) fn release_if_unused(&mut self, sid: Sid) {
        let Some(slot) = self.entries.get_mut(sid.0 as usize) else { return };
        let Some(series) = slot.take_if(|s| s.places.is_empty() && s.uses == 0) else { return };
        self.changes += 1;
        self.by_labels.remove(&series.labels);
        for series_ref in &series.refs {
            self.by_ref.remove(series_ref);
        }
        for (name, value) in series.labels.iter() {
            remove_posting(&mut self.postings, name, value, sid.0);
        }
        let name = series.labels.metric_name();
        if self.postings.get(METRIC_NAME).is_some_and(|names| names.contains_key(name)) {
            self.changed.insert(name.into(), self.changes);
        } else {
            self.changed.remove(name);
        }
        self.free.push(sid.0);
    }

    /// Makes the next row of every series carry its labels.
    pub(crate) fn forget_announcements(&mut self) {
        self.entries.iter_mut().flatten().for_each(|series| series.announced = Timestamp::MIN);
    }

    /// Sorts by labels.
    fn sort(&self, sids: &mut [Sid]) {
        sids.sort_by_cached_key(|sid| self.get(*sid).map_or(0, |s| s.order));
    }

    /// Forgets every series that nothing holds.
    pub(crate) fn release_unused(&mut self) {
        (0..self.entries.len() as u32).for_each(|sid| self.release_if_unused(Sid(sid)));
    }

    /// The series that satisfy all matchers, sorted by labels.
    pub(crate) fn matching(&self, matchers: &[Matcher]) -> Vec<Sid> {
        // A matcher that no empty value satisfies names its series through the index; others only filter.
        let (indexed, mut filters): (Vec<&Matcher>, Vec<&Matcher>) = matchers.iter().partition(|m| !m.matches_empty());
        let (literal, scanned): (Vec<&Matcher>, Vec<&Matcher>) =
            indexed.into_iter().partition(|m| m.literal_values().is_some());
        let mut lists: Vec<Vec<&[u32]>> = literal.iter().map(|m| self.lists_of(m)).collect();
        lists.sort_by_cached_key(|lists| size_of_lists(lists));
        let mut found: Option<Vec<u32>> = None;
        for lists in lists {
            found = Some(narrow(found, &lists));
        }
        for matcher in scanned {
            // Where few series are left, their values are fewer than those of the index.
            let values = self.postings.get(matcher.name.as_str()).map_or(0, FxHashMap::len);
            let left = found.as_ref().map_or(usize::MAX, Vec::len);
            if left < values {
                filters.push(matcher);
                continue;
            }
            let lists = self.lists_of(matcher);
            if size_of_lists(&lists) / 4 > left {
                filters.push(matcher);
            } else {
                found = Some(narrow(found, &lists));
            }
        }
        match found {
            Some(found) => {
                let mut found = self.filtered(found.into_iter().map(Sid), &filters);
                self.sort(&mut found);
                found
            }
            None => self.filtered(self.by_labels.values().copied(), &filters),
        }
    }

    /// The series that pass; each value of a label is looked at once.
    fn filtered<'a>(&'a self, sids: impl Iterator<Item = Sid>, filters: &[&Matcher]) -> Vec<Sid> {
        let mut verdicts: Vec<FxHashMap<&'a str, bool>> = filters.iter().map(|_| FxHashMap::default()).collect();
        let mut passes = |sid: &Sid| {
            let Some(series) = self.get(*sid) else { return false };
            filters.iter().zip(&mut verdicts).all(|(matcher, verdicts)| {
                let value = series.labels.get(&matcher.name);
                match matcher.op {
                    MatchOp::Equal | MatchOp::NotEqual => matcher.matches(value),
                    _ => *verdicts.entry(value).or_insert_with(|| matcher.matches(value)),
                }
            })
        };
        sids.filter(|sid| passes(sid)).collect()
    }

    /// The postings of the values that satisfy a matcher.
    fn lists_of(&self, matcher: &Matcher) -> Vec<&[u32]> {
        let Some(values) = self.postings.get(matcher.name.as_str()) else { return Vec::new() };
        match matcher.literal_values() {
            Some(mut literals) => {
                literals.sort_unstable();
                literals.dedup();
                literals.into_iter().filter_map(|value| values.get(value)).map(Vec::as_slice).collect()
            }
            None => {
                let matching = values.iter().filter(|(value, _)| matcher.matches(value));
                matching.map(|(_, list)| list.as_slice()).collect()
            }
        }
    }

    fn order_for(&mut self, labels: &Labels) -> u64 {
        for _ in 0..2 {
            let above = (Bound::Excluded(labels), Bound::Unbounded);
            let next = self.by_labels.range::<Labels, _>(above).next().and_then(|(_, sid)| self.get(*sid));
            let last = self.by_labels.range::<Labels, _>(..labels).next_back().and_then(|(_, sid)| self.get(*sid));
            let low = last.map_or(0, |s| s.order);
            let high = next.map_or(low.saturating_add(2 * ORDER_STEP), |s| s.order);
            if high - low >= 2 {
                return low + (high - low) / 2;
            }
            self.renumber();
        }
        u64::MAX / 2
    }

    fn renumber(&mut self) {
        for (i, sid) in self.by_labels.values().enumerate() {
            if let Some(Some(series)) = self.entries.get_mut(sid.0 as usize) {
                series.order = (i as u64 + 1) * ORDER_STEP;
            }
        }
    }
}

fn insert_posting(
    postings: &mut FxHashMap<Box<str>, FxHashMap<Box<str>, Vec<u32>>>,
    name: &str,
    value: &str,
    sid: u32,
) {
    if !postings.contains_key(name) {
        postings.insert(name.into(), FxHashMap::default());
    }
    let Some(values) = postings.get_mut(name) else { return };
    match values.get_mut(value) {
        Some(list) => {
            if let Err(at) = list.binary_search(&sid) {
                list.insert(at, sid);
            }
        }
        None => {
            values.insert(value.into(), vec![sid]);
        }
    }
}

fn remove_posting(
    postings: &mut FxHashMap<Box<str>, FxHashMap<Box<str>, Vec<u32>>>,
    name: &str,
    value: &str,
    sid: u32,
) {
    let Some(values) = postings.get_mut(name) else { return };
    if let Some(list) = values.get_mut(value) {
        if let Ok(at) = list.binary_search(&sid) {
            list.remove(at);
        }
        if list.is_empty() {
            values.remove(value);
        }
    }
    if values.is_empty() {
        postings.remove(name);
    }
}

fn size_of_lists(lists: &[&[u32]]) -> usize {
    lists.iter().map(|list| list.len()).sum()
}

/// What was found so far and is in one of the lists, ascending. No two lists of one label share a series.
fn narrow(found: Option<Vec<u32>>, lists: &[&[u32]]) -> Vec<u32> {
    let union;
    let list = match lists {
        [] => &[][..],
        [one] => one,
        many => {
            let mut all = many.concat();
            all.sort_unstable();
            union = all;
            &union
        }
    };
    match found {
        Some(found) => intersect(&found, list),
        None => list.to_vec(),
    }
}

/// What both ascending lists hold; skips through the longer one.
fn intersect(a: &[u32], b: &[u32]) -> Vec<u32> {
    let (short, mut long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    let mut both = Vec::with_capacity(short.len());
    for value in short {
        // Gallop: double the step until it passes the value.
        let mut step = 1;
        while long.get(step).is_some_and(|v| v < value) {
            step *= 2;
        }
        let from = long[..(step + 1).min(long.len())].partition_point(|v| v < value);
        long = &long[from..];
        if long.first() == Some(value) {
            both.push(*value);
        }
    }
    both
}

#[cfg(test)]
mod tests {
    use super::{SeriesTable, Sid, intersect};
    use crate::model::{Labels, MatchOp, Matcher};

    fn table() -> SeriesTable {
        let mut table = SeriesTable::default();
        for (name, mode) in [("cpu", "user"), ("cpu", "idle"), ("mem", ""), ("up", "x"), ("cpu", "system")] {
            table.intern(&Labels::from_pairs(&[("__name__", name), ("mode", mode)]));
        }
        table
    }

    #[test]
    fn matchers_find_series() {
        use MatchOp::{Equal, NotEqual, NotRegex, Regex};
        type Case<'a> = (&'a [(MatchOp, &'a str, &'a str)], &'a str);
        let cases: &[Case<'_>] = &[
            (&[], "cpu/idle cpu/system cpu/user mem/ up/x"),
            (&[(Equal, "__name__", "cpu")], "cpu/idle cpu/system cpu/user"),
            (&[(Equal, "__name__", "cpu"), (Regex, "mode", "user|idle|gone")], "cpu/idle cpu/user"),
            (&[(Equal, "__name__", "cpu"), (NotEqual, "mode", "user")], "cpu/idle cpu/system"),
            (&[(Equal, "mode", "")], "mem/"),
            (&[(NotRegex, "mode", ".+")], "mem/"),
            (&[(Regex, "mode", ".*s.*")], "cpu/system cpu/user"),
            (&[(Regex, "__name__", "c.*|up"), (Regex, "mode", ".+")], "cpu/idle cpu/system cpu/user up/x"),
            (&[(Equal, "none", "x")], ""),
            (&[(Regex, "__name__", "up|mem|up")], "mem/ up/x"),
            (&[(Regex, "mode", "(u|i).+"), (Equal, "__name__", "cpu")], "cpu/idle cpu/user"),
            (&[(Equal, "__name__", "up"), (Regex, "mode", "[a-z]")], "up/x"),
            (&[(NotRegex, "mode", "[a-z]|i.*e"), (Regex, "__name__", "c.*|up")], "cpu/system cpu/user"),
            (&[(Regex, "mode", ".+"), (NotRegex, "__name__", "c.+")], "up/x"),
        ];
        for (matchers, expected) in cases {
            let matchers: Vec<Matcher> =
                matchers.iter().map(|(op, name, value)| Matcher::new(*op, name, value).unwrap()).collect();
            let table = table();
            let found = table.matching(&matchers);
            let text: Vec<String> = found
                .iter()
                .map(|sid| table.get(*sid).unwrap())
                .map(|s| format!("{}/{}", s.labels.metric_name(), s.labels.get("mode")))
                .collect();
            assert_eq!(text.join(" "), *expected, "{matchers:?}");
        }
    }

    #[test]
    fn order_survives_inserts_between_neighbours() {
        let mut table = SeriesTable::default();
        let label = |i: u32| Labels::from_pairs(&[("a", &format!("{i:06}"))]);
        // Ever closer to the first one: halves the gap each time.
        let mut all: Vec<Sid> = vec![table.intern(&label(0))];
        all.extend((1..200).rev().map(|i| table.intern(&label(i))));
        table.sort(&mut all);
        let sorted: Vec<&str> = all.iter().map(|sid| table.get(*sid).unwrap().labels.get("a")).collect();
        assert!(sorted.is_sorted(), "{sorted:?}");
    }

    #[test]
    fn released_series_leave_no_trace() {
        let mut table = table();
        for sid in table.matching(&[]) {
            table.release_if_unused(sid);
        }
        assert_eq!((table.len(), table.postings.len()), (0, 0));
    }

    #[test]
    fn intersections() {
        assert_eq!(intersect(&[1, 5, 9, 12], &[0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11]), [1, 9]);
        assert_eq!(intersect(&[], &[1]), [] as [u32; 0]);
        assert_eq!(intersect(&[7], &[7]), [7]);
    }
}
