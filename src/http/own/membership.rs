//! Which series of the batches a page follows, worked out once per change and not per tick.

use std::collections::HashMap;

use crate::model::{Batch, GroupId, Labels, Matcher, SeriesRef, is_absent, is_stale};

/// The series of one group: which were in its last batch, and which of them are followed.
#[derive(Default)]
struct Group {
    refs: Vec<SeriesRef>,
    /// Index into the batch and labels of each followed series.
    followed: Vec<(usize, SeriesRef, Labels)>,
}

/// Follows the series that match any of the selectors.
pub(super) struct Membership {
    selectors: Vec<Vec<Matcher>>,
    groups: HashMap<GroupId, Group>,
    /// What is known of series seen before: labels, if they are followed. Ended series leave it with their group's change.
    known: HashMap<SeriesRef, Option<Labels>>,
}

impl Membership {
    pub(super) fn new(selectors: Vec<Vec<Matcher>>) -> Self {
        Self { selectors, groups: HashMap::new(), known: HashMap::new() }
    }

    /// Takes a batch in; says whether the set of followed series changed. The steady case compares references only.
    pub(super) fn update(&mut self, batch: &Batch, labels_of: impl Fn(SeriesRef) -> Option<Labels>) -> bool {
        let group = self.groups.entry(batch.group).or_default();
        let living = || batch.floats.iter().filter(|(_, value)| !is_stale(*value)).map(|(series, _)| *series);
        if batch.floats.len() == group.refs.len() && living().eq(group.refs.iter().copied()) {
            return false;
        }
        let before: Vec<SeriesRef> = group.followed.iter().map(|(_, series, _)| *series).collect();
        for series in std::mem::take(&mut group.refs) {
            if !batch.floats.iter().any(|(living, value)| *living == series && !is_stale(*value)) {
                self.known.remove(&series);
            }
        }
        group.refs.extend(living());
        group.followed.clear();
        for (index, (series, value)) in batch.floats.iter().enumerate() {
            if is_stale(*value) {
                continue;
            }
            let selectors = &self.selectors;
            let followed = self.known.entry(*series).or_insert_with(|| {
                labels_of(*series).filter(|labels| selectors.iter().any(|selector| matches(selector, labels)))
            });
            if let Some(labels) = followed {
                group.followed.push((index, *series, labels.clone()));
            }
        }
        !before.iter().copied().eq(group.followed.iter().map(|(_, series, _)| *series))
    }

    /// The followed values of a batch that was taken in by [`Membership::update`].
    pub(super) fn values<'a>(&'a self, batch: &'a Batch) -> impl Iterator<Item = (SeriesRef, f64)> + 'a {
        let followed = self.groups.get(&batch.group).map(|group| group.followed.as_slice()).unwrap_or_default();
        followed
            .iter()
            .filter_map(|(index, series, _)| batch.floats.get(*index).map(|(_, value)| (*series, *value)))
            .filter(|(_, value)| !is_absent(*value))
    }

    /// The followed values of samples between two ticks. Series that no tick has shown yet wait for theirs.
    pub(super) fn fast_values<'a>(&'a self, batch: &'a Batch) -> impl Iterator<Item = (SeriesRef, f64)> + 'a {
        let followed = |series: &SeriesRef| matches!(self.known.get(series), Some(Some(_)));
        batch
            .floats
            .iter()
            .copied()
            .filter(move |(series, value)| followed(series) && !is_stale(*value) && !is_absent(*value))
    }

    /// All followed series.
    pub(super) fn all(&self) -> impl Iterator<Item = (SeriesRef, &Labels)> {
        self.groups.values().flat_map(|group| &group.followed).map(|(_, series, labels)| (*series, labels))
    }
}

fn matches(selector: &[Matcher], labels: &Labels) -> bool {
    selector.iter().all(|matcher| matcher.matches(labels.get(&matcher.name)))
}

#[cfg(test)]
mod tests {
    use super::Membership;
    use crate::model::{Batch, GroupId, Labels, Matcher, SeriesRef, stale_marker};

    fn batch(floats: &[(u32, f64)]) -> Batch {
        let mut batch = Batch::new(GroupId(1), 1000);
        batch.floats = floats.iter().map(|(series, value)| (SeriesRef(*series), *value)).collect();
        batch
    }

    fn labels(series: SeriesRef) -> Option<Labels> {
        let name = if series.0 < 10 { "wanted" } else { "other" };
        Some(Labels::from_pairs(&[("__name__", name), ("n", &series.0.to_string())]))
    }

    #[test]
    fn follows_what_comes_and_goes() {
        let mut members = Membership::new(vec![vec![Matcher::equal("__name__", "wanted")]]);
        // Batch, whether the membership changes, the followed values.
        type Step<'a> = (&'a [(u32, f64)], bool, &'a [(u32, f64)]);
        let steps: [Step<'_>; 6] = [
            (&[(1, 1.0), (10, 5.0)], true, &[(1, 1.0)]),
            (&[(1, 2.0), (10, 5.0)], false, &[(1, 2.0)]),
            (&[(10, 5.0), (1, 2.5)], false, &[(1, 2.5)]),
            (&[(1, 3.0), (2, 1.0), (10, 5.0)], true, &[(1, 3.0), (2, 1.0)]),
            (&[(1, stale_marker()), (2, 1.0)], true, &[(2, 1.0)]),
            (&[], true, &[]),
        ];
        for (floats, changes, expected) in steps {
            let batch = batch(floats);
            assert_eq!(members.update(&batch, labels), changes, "{floats:?}");
            let values: Vec<(u32, f64)> = members.values(&batch).map(|(series, value)| (series.0, value)).collect();
            assert_eq!(values, expected);
            assert_eq!(members.all().count(), expected.len());
        }
    }
}
