//! A map that remembers what was used lately, bounded by weight.
//!
//! There are two generations. What is put in or found moves to the young one; when that is full, it becomes the old one,
//! and what nobody asked for since the last time leaves as a whole. So nothing is noted when an entry is found in the
//! young generation, and no list of uses is kept.

use std::borrow::Borrow;
use std::hash::Hash;

use rustc_hash::FxHashMap;

/// Two generations of entries with their weights.
#[derive(Debug)]
pub(crate) struct Generations<K, V> {
    young: FxHashMap<K, Weighed<V>>,
    old: FxHashMap<K, Weighed<V>>,
    young_weight: usize,
    /// The most that one generation weighs.
    most: usize,
}

#[derive(Debug)]
struct Weighed<V> {
    value: V,
    weight: usize,
}

/// Values that had to leave; where there is a lock, they are better dropped outside of it.
pub(crate) type Outgrown<V> = Vec<V>;

impl<K: Eq + Hash, V> Generations<K, V> {
    /// Both generations together weigh `max_weight` at most, and one entry more if that is heavier than half of it.
    pub(crate) fn new(max_weight: usize) -> Self {
        Self { young: FxHashMap::default(), old: FxHashMap::default(), young_weight: 0, most: max_weight / 2 }
    }

    /// What `read` says of an entry, if it is there.
    pub(crate) fn get<Q, R>(&mut self, key: &Q, read: impl FnOnce(&V) -> R) -> (Option<R>, Outgrown<V>)
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        if let Some(entry) = self.young.get(key) {
            return (Some(read(&entry.value)), Vec::new());
        }
        let Some((key, entry)) = self.old.remove_entry(key) else { return (None, Vec::new()) };
        (Some(read(&entry.value)), self.put_young(key, entry))
    }

    /// Remembers an entry, in the place of another with the same key.
    pub(crate) fn put(&mut self, key: K, value: V, weight: usize) -> Outgrown<V> {
        let replaced = self.old.remove(&key);
        let mut outgrown = self.put_young(key, Weighed { value, weight });
        outgrown.extend(replaced.map(|entry| entry.value));
        outgrown
    }

    fn put_young(&mut self, key: K, entry: Weighed<V>) -> Outgrown<V> {
        let is_full = self.young_weight.saturating_add(entry.weight) > self.most && !self.young.is_empty();
        let mut outgrown = if is_full { self.age() } else { Vec::new() };
        self.young_weight = self.young_weight.saturating_add(entry.weight);
        if let Some(replaced) = self.young.insert(key, entry) {
            self.young_weight -= replaced.weight;
            outgrown.push(replaced.value);
        }
        outgrown
    }

    /// What was not used since the last time leaves; the young generation becomes the old one.
    pub(crate) fn age(&mut self) -> Outgrown<V> {
        self.young_weight = 0;
        let old = std::mem::replace(&mut self.old, std::mem::take(&mut self.young));
        old.into_values().map(|entry| entry.value).collect()
    }

    /// All values, in no order.
    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.young.values().chain(self.old.values()).map(|entry| &entry.value)
    }

    /// Takes out the entries that `leaves` means.
    pub(crate) fn take(&mut self, leaves: impl Fn(&V) -> bool) -> Outgrown<V> {
        let Self { young, old, young_weight, .. } = self;
        let gone =
            young.extract_if(|_, entry| leaves(&entry.value)).inspect(|(_, entry)| *young_weight -= entry.weight);
        let mut taken: Vec<V> = gone.map(|(_, entry)| entry.value).collect();
        taken.extend(old.extract_if(|_, entry| leaves(&entry.value)).map(|(_, entry)| entry.value));
        taken
    }

    /// Entries of both generations.
    pub(crate) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::Generations;

    fn keys(map: &Generations<u32, u32>) -> Vec<u32> {
        let mut keys: Vec<u32> = map.values().copied().collect();
        keys.sort_unstable();
        keys
    }

    #[test]
    fn what_is_used_stays() {
        let mut map = Generations::new(8);
        for key in 0..100_u32 {
            map.put(key, key, 1);
            assert_eq!(map.get(&0, |value| *value).0, Some(0), "after {key}");
            assert!(map.len() <= 8);
        }
        assert_eq!(keys(&map).last(), Some(&99));
        assert_eq!(map.get(&50, |value| *value).0, None);
        let gone: Vec<u32> = (0..2).flat_map(|_| map.age()).collect();
        assert!(map.len() == 0 && gone.contains(&0) && gone.contains(&99));
    }

    #[test]
    fn replaced_and_taken_entries_weigh_nothing() {
        let mut map = Generations::new(8);
        for round in 0..10 {
            assert_eq!(map.put(1, round, 2), if round > 0 { vec![round - 1] } else { vec![] });
        }
        map.put(2, 20, 2);
        assert_eq!(keys(&map), [9, 20]);
        assert_eq!(map.take(|value| *value == 9), [9]);
        map.put(3, 30, 2);
        assert_eq!(map.put(4, 40, 2), [0; 0], "2 and 3 are old now");
        assert_eq!(map.put(2, 21, 2), [20], "also in the old generation");
        assert_eq!(keys(&map), [21, 30, 40]);
    }

    #[test]
    fn an_entry_that_is_too_heavy_is_there_alone() {
        let mut map = Generations::new(8);
        for key in 0..5 {
            map.put(key, key, 100);
        }
        assert_eq!(keys(&map), [3, 4]);
    }
}
