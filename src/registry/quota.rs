//! How many series each metric name has, and which names were refused more: each is named in the log once.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use parking_lot::Mutex;
use rustc_hash::{FxHashMap, FxHashSet};

use super::SeriesLimits;
use crate::limits::MAX_NAMED_REFUSALS;

/// Names that a full table mentions as its largest.
const LARGEST: usize = 3;

/// Whether so few are left that the next refusal is news again. Exactly at the limit would be news each minute while
/// series come and go.
fn has_room(series: u32, limit: u32) -> bool {
    u64::from(series) * 10 < u64::from(limit) * 9
}

/// One metric name.
#[derive(Debug, Default)]
struct Name {
    series: u32,
    /// Refusals since the name became full; 0 while it is not.
    refused: AtomicU64,
}

/// What the log should hear, once the table's lock is free.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Notice {
    FamilyFull { family: String, limit: u32 },
    FamilyHasRoom { family: String, refused: u64 },
    TableFull { family: String, limit: u32, largest: String },
    TableHasRoom { refused: u64 },
}

impl Notice {
    pub(super) fn log(&self) {
        match self {
            Self::FamilyFull { family, limit } => tracing::warn!(
                family,
                limit,
                "a metric has as many series as one may have: new ones are refused (storage.limits.series_per_family)"
            ),
            Self::FamilyHasRoom { family, refused } => {
                tracing::info!(family, refused, "a metric has room for new series again");
            }
            Self::TableFull { family, limit, largest } => tracing::warn!(
                family,
                limit,
                largest,
                "there are as many series as there may be in all: new ones are refused (storage.limits.series)"
            ),
            Self::TableHasRoom { refused } => tracing::info!(refused, "there is room for new series again"),
        }
    }
}

/// Counts by metric name; a name without a series is forgotten.
#[derive(Debug, Default)]
pub(super) struct Names {
    by_name: FxHashMap<Box<str>, Name>,
    /// How many are full.
    full: AtomicU32,
}

impl Names {
    pub(super) fn series_of(&self, name: &str) -> u32 {
        self.by_name.get(name).map_or(0, |entry| entry.series)
    }

    pub(super) fn add(&mut self, name: &str) {
        match self.by_name.get_mut(name) {
            Some(entry) => entry.series += 1,
            None => {
                self.by_name.insert(name.into(), Name { series: 1, ..Name::default() });
            }
        }
    }

    /// One series less.
    pub(super) fn remove(&mut self, name: &str, limit: u32) -> Option<Notice> {
        let entry = self.by_name.get_mut(name)?;
        entry.series -= 1;
        let notice = entry.recovered(name, limit);
        *self.full.get_mut() -= u32::from(notice.is_some());
        if entry.series == 0 {
            self.by_name.remove(name);
        }
        notice
    }

    /// Counts a refusal of a name that has as many series as the limit allows.
    pub(super) fn refuse(&self, name: &str, limit: u32) -> Option<Notice> {
        let before = self.by_name.get(name)?.refused.fetch_add(1, Ordering::Relaxed);
        (before == 0).then(|| {
            self.full.fetch_add(1, Ordering::Relaxed);
            Notice::FamilyFull { family: name.to_owned(), limit }
        })
    }

    /// What another limit changes.
    pub(super) fn look_again(&mut self, limit: u32) -> Vec<Notice> {
        let news: Vec<Notice> =
            self.by_name.iter_mut().filter_map(|(name, entry)| entry.recovered(name, limit)).collect();
        *self.full.get_mut() -= news.len() as u32;
        news
    }

    /// How many names are full.
    pub(super) fn full_count(&self) -> u32 {
        self.full.load(Ordering::Relaxed)
    }

    /// The names that are full, largest first.
    pub(super) fn full(&self) -> Vec<(String, u32)> {
        self.sorted(|entry| entry.refused.load(Ordering::Relaxed) > 0)
    }

    /// The largest names, for the log.
    pub(super) fn largest(&self) -> String {
        let mut names = self.sorted(|_| true);
        names.truncate(LARGEST);
        names.iter().map(|(name, series)| format!("{name} {series}")).collect::<Vec<_>>().join(", ")
    }

    fn sorted(&self, wanted: impl Fn(&Name) -> bool) -> Vec<(String, u32)> {
        let found = self.by_name.iter().filter(|(_, entry)| wanted(entry));
        let mut names: Vec<(String, u32)> = found.map(|(name, entry)| (name.to_string(), entry.series)).collect();
        names.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        names
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }
}

impl Name {
    fn recovered(&mut self, name: &str, limit: u32) -> Option<Notice> {
        let refused = self.refused.get_mut();
        if *refused == 0 || !has_room(self.series, limit) {
            return None;
        }
        Some(Notice::FamilyHasRoom { family: name.to_owned(), refused: std::mem::take(refused) })
    }
}

/// What the table as a whole refused since it became full.
#[derive(Debug, Default)]
pub(super) struct Total {
    refused: AtomicU64,
    named: Mutex<FxHashSet<Box<str>>>,
}

impl Total {
    /// Counts a refusal; news is each name, up to [`MAX_NAMED_REFUSALS`].
    pub(super) fn refuse(&self, name: &str, limit: u32, names: &Names) -> Option<Notice> {
        self.refused.fetch_add(1, Ordering::Relaxed);
        let mut named = self.named.lock();
        if named.len() >= MAX_NAMED_REFUSALS || !named.insert(name.into()) {
            return None;
        }
        drop(named);
        Some(Notice::TableFull { family: name.to_owned(), limit, largest: names.largest() })
    }

    /// To be called when series have left.
    pub(super) fn recovered(&self, series: u32, limits: SeriesLimits) -> Option<Notice> {
        if self.refused.load(Ordering::Relaxed) == 0 || !has_room(series, limits.series) {
            return None;
        }
        self.named.lock().clear();
        Some(Notice::TableHasRoom { refused: self.refused.swap(0, Ordering::Relaxed) })
    }
}

#[cfg(test)]
mod tests {
    use super::{Names, Notice, Total};
    use crate::limits::MAX_NAMED_REFUSALS;
    use crate::registry::SeriesLimits;

    #[test]
    fn a_full_name_is_news_once_until_there_was_room() {
        let mut names = Names::default();
        (0..10).for_each(|_| names.add("a"));
        let full = || Some(Notice::FamilyFull { family: "a".to_owned(), limit: 10 });
        assert_eq!((names.refuse("a", 10), names.refuse("a", 10)), (full(), None));
        assert_eq!((names.full(), names.full_count()), (vec![("a".to_owned(), 10)], 1));
        // One less is no news: series that come and go would be in the log each minute.
        assert_eq!(names.remove("a", 10), None);
        names.add("a");
        assert_eq!(names.refuse("a", 10), None);
        assert_eq!(names.remove("a", 10), None);
        let room = Some(Notice::FamilyHasRoom { family: "a".to_owned(), refused: 3 });
        assert_eq!(names.remove("a", 10), room);
        assert_eq!((names.full(), names.full_count()), (vec![], 0));
        assert_eq!(names.refuse("a", 10), full());
        assert_eq!(names.look_again(20).len(), 1, "a higher limit makes room");
        (0..8).for_each(|_| assert_eq!(names.remove("a", 10), None));
        assert_eq!((names.len(), names.series_of("a"), names.refuse("a", 10)), (0, 0, None));
        assert_eq!(names.full_count(), 0);
    }

    #[test]
    fn a_full_table_names_each_family_once_and_not_without_end() {
        let (mut names, total) = (Names::default(), Total::default());
        (0..3).for_each(|_| names.add("big"));
        names.add("small");
        let news = |name: &str| total.refuse(name, 4, &names);
        let full = Notice::TableFull { family: "x0".to_owned(), limit: 4, largest: "big 3, small 1".to_owned() };
        assert_eq!((news("x0"), news("x0")), (Some(full), None));
        let named = (0..1000).filter(|i| news(&format!("x{i}")).is_some()).count();
        assert_eq!(named, MAX_NAMED_REFUSALS - 1);
        let limits = SeriesLimits { series: 10, series_per_family: 10 };
        assert_eq!(total.recovered(9, limits), None);
        assert_eq!(total.recovered(8, limits), Some(Notice::TableHasRoom { refused: 1002 }));
        assert_eq!(total.recovered(8, limits), None);
        assert!(total.refuse("x0", 4, &names).is_some());
    }
}
