//! What queries read of the head.

use crate::model::{Exemplar, IrregularSample, Labels, Timestamp};
use crate::storage::querier::Run;

use super::group::OpenTimes;
use super::{Group, Head, IrregularSeries, Place, Sid};

impl Head {
    /// Exemplars in the order in which they came.
    pub(crate) fn exemplars(&self) -> impl Iterator<Item = &(Labels, Timestamp, Exemplar)> {
        self.exemplars.iter()
    }

    /// Runs of a series within the bounds, sorted by their first time.
    pub(crate) fn runs(&self, sid: Sid, start: Timestamp, end: Timestamp, copies: &mut [OpenTimes]) -> Vec<Run> {
        let mut runs = Vec::new();
        let Some(entry) = self.series.get(sid) else { return runs };
        for place in &entry.places {
            if let (Some(group), Some(copy)) = (self.group(*place), copies.get_mut(place.group as usize)) {
                group.columns.runs(place.col, start, end, copy, &mut runs);
            }
        }
        if let Some(irregular) = self.irregular.get(&sid) {
            irregular.runs(start, end, &mut runs);
        }
        runs
    }

    /// The newest sample of a series within the bounds.
    pub(crate) fn last(&self, sid: Sid, start: Timestamp, end: Timestamp, copies: &mut [OpenTimes]) -> Option<Run> {
        let entry = self.series.get(sid)?;
        let mut newest: Option<Run> = None;
        for place in &entry.places {
            let (Some(group), Some(copy)) = (self.group(*place), copies.get_mut(place.group as usize)) else {
                continue;
            };
            let run = group.columns.last(place.col, start, end, copy);
            newest = later(newest, run);
        }
        if let Some(irregular) = self.irregular.get(&sid) {
            let mut runs = Vec::new();
            irregular.runs(start, end, &mut runs);
            let run = runs.pop().map(|mut run| {
                run.from = run.to - 1;
                run
            });
            newest = later(newest, run);
        }
        newest
    }

    fn group(&self, place: Place) -> Option<&Group> {
        self.groups.get(place.group as usize)?.as_ref()
    }

    /// Room for the timestamps that a selection copies, one place a group.
    pub(crate) fn open_times(&self) -> Vec<OpenTimes> {
        self.groups.iter().map(|_| OpenTimes::default()).collect()
    }

    /// Oldest and newest time in memory, and approximate bytes.
    pub(crate) fn extent(&self) -> (Option<Timestamp>, Option<Timestamp>, usize) {
        let groups = || self.groups.iter().flatten();
        let oldest = groups()
            .filter_map(|g| g.columns.oldest())
            .chain(self.irregular.values().filter_map(IrregularSeries::oldest));
        let newest = groups()
            .filter_map(|g| g.columns.newest())
            .chain(self.irregular.values().filter_map(IrregularSeries::newest));
        let bytes = groups().map(|g| g.columns.bytes()).sum::<usize>()
            + self.irregular.values().map(|s| s.len() * size_of::<IrregularSample>()).sum::<usize>();
        (oldest.min(), newest.max(), bytes)
    }
}

/// The run whose last sample is newer.
fn later(a: Option<Run>, b: Option<Run>) -> Option<Run> {
    let last = |run: &Option<Run>| run.as_ref().map(|r| r.times[r.to - 1]);
    if last(&b) > last(&a) { b } else { a }
}
