//! Exemplars of head and segments. What is in both, or in two segments, is one.

use rustc_hash::FxHashMap;
use std::ops::Range;

use crate::model::{Labels, Matcher, Timestamp};
use crate::storage::StorageError;
use crate::storage::bytes::FormatError;
use crate::storage::codec::{Stamped, decode_exemplars};
use crate::storage::head::{Sid, is_same};
use crate::storage::querier::ExemplarSeries;
use crate::storage::ring::Ring;
use crate::storage::segment::sort_exemplars;

use super::Sealed;

/// Exemplars of one answer: five times what Prometheus keeps in all, some 100 MB of JSON.
pub(super) const MAX_ANSWER: usize = 500_000;

impl Ring {
    /// What [`crate::storage::Querier::exemplars`] promises, but for answers with more than `most` of them.
    pub(crate) fn exemplars_of(
        &self,
        matchers: &[Matcher],
        start: Timestamp,
        end: Timestamp,
        most: usize,
    ) -> Result<Vec<ExemplarSeries>, StorageError> {
        let (inner, segments) = self.lock_loaded(&|inner| inner.catalog.with_exemplars(start, end))?;
        let resolved = self.resolutions.get(&inner.head, matchers);
        let recent = |sid: &Sid| inner.head.exemplars_within(*sid, start, end);
        let mut lists: Vec<Vec<Stamped>> = resolved.sids.iter().map(recent).collect();
        drop(inner);
        let mut count: usize = lists.iter().map(Vec::len).sum();
        for segment in &segments {
            let pairs = resolved.rows_of(segment.0.epoch, &segment.1);
            for (row, list) in self.sealed_exemplars(segment, &pairs)? {
                let within = list.into_iter().filter(|(ts, _)| (start..=end).contains(ts));
                let Some(to) = lists.get_mut(row as usize) else { continue };
                let before = to.len();
                to.extend(within);
                count += to.len() - before;
            }
            if count > most {
                return Err(StorageError::TooManySamples);
            }
        }
        let mut found = Vec::new();
        for (labels, mut exemplars) in resolved.labels.iter().zip(lists) {
            if !exemplars.is_empty() {
                sort_exemplars(&mut exemplars);
                found.push(ExemplarSeries { labels: labels.clone(), exemplars });
            }
        }
        Ok(found)
    }

    /// All exemplars of the series that match within inclusive bounds, however many they are: for exports, which ask for one
    /// metric or series at a time. As [`crate::storage::Querier::exemplars`] else.
    ///
    /// # Errors
    /// When the store failed.
    pub fn exemplars_unbounded(
        &self,
        matchers: &[Matcher],
        start: Timestamp,
        end: Timestamp,
    ) -> Result<Vec<ExemplarSeries>, StorageError> {
        self.exemplars_of(matchers, start, end, usize::MAX)
    }

    /// Series that match and may have exemplars within the bounds: those of a segment count as a whole.
    ///
    /// # Errors
    /// When the store failed.
    pub fn series_with_exemplars(
        &self,
        matchers: &[Matcher],
        start: Timestamp,
        end: Timestamp,
    ) -> Result<Vec<Labels>, StorageError> {
        let (inner, segments) = self.lock_loaded(&|inner| inner.catalog.with_exemplars(start, end))?;
        let resolved = self.resolutions.get(&inner.head, matchers);
        let recent = |sid: &Sid| !inner.head.exemplars_within(*sid, start, end).is_empty();
        let mut known: Vec<bool> = resolved.sids.iter().map(recent).collect();
        drop(inner);
        for (meta, ids) in &segments {
            let pairs = resolved.rows_of(meta.epoch, ids);
            let index = self.skip_damage(self.store.with_segment(meta, |reader| self.index(meta, &reader)))?;
            let Some(index) = index.flatten() else { continue };
            for (_, row) in pairs.iter().filter(|(id, _)| index.exemplars.of(*id).is_some()) {
                known[*row as usize] = true;
            }
        }
        let labels = resolved.labels.iter().zip(known);
        Ok(labels.filter(|(_, known)| *known).map(|(labels, _)| labels.clone()).collect())
    }

    /// Takes out exemplars that are older than `window` and in a segment already: pages show theirs again after a restart.
    pub(crate) fn without_sealed(
        &self,
        mut series: Vec<(Sid, Vec<Stamped>)>,
        window: Timestamp,
    ) -> Vec<(Sid, Vec<Stamped>)> {
        let late = || series.iter().flat_map(|(_, list)| list).map(|(ts, _)| *ts).filter(|ts| *ts < window);
        let (Some(start), Some(end)) = (late().min(), late().max()) else { return series };
        // Where segments cannot be read, twice is better than not at all.
        let Ok((inner, segments)) = self.lock_loaded(&|inner| inner.catalog.with_exemplars(start, end)) else {
            return series;
        };
        drop(inner);
        let rows: FxHashMap<Sid, u32> = series.iter().enumerate().map(|(row, (sid, _))| (*sid, row as u32)).collect();
        for segment in &segments {
            let row = |(id, sid): (usize, &Option<Sid>)| Some((id as u32, *rows.get(&(*sid)?)?));
            let pairs: Vec<(u32, u32)> = segment.1.iter().enumerate().filter_map(row).collect();
            for (row, sealed) in self.sealed_exemplars(segment, &pairs).unwrap_or_default() {
                let Some((_, list)) = series.get_mut(row as usize) else { continue };
                list.retain(|(ts, exemplar)| {
                    *ts >= window || !sealed.iter().any(|(at, known)| at == ts && is_same(known, exemplar))
                });
            }
        }
        series
    }

    /// The exemplars of a segment, by row; `pairs` ascend by the number in the series table. Damage costs what it hit.
    fn sealed_exemplars(
        &self,
        (meta, _): &Sealed,
        pairs: &[(u32, u32)],
    ) -> Result<Vec<(u32, Vec<Stamped>)>, StorageError> {
        if pairs.is_empty() {
            return Ok(Vec::new());
        }
        let read = self.store.with_segment(meta, |reader| {
            let Some(index) = self.index(meta, &reader)? else { return Ok(None) };
            let place = |(id, row): &(u32, u32)| Some((*row, index.exemplars.of(*id)?.clone()));
            let wanted: Vec<(u32, Range<usize>)> = pairs.iter().filter_map(place).collect();
            let parts: Vec<Range<usize>> = wanted.iter().map(|(_, at)| at.clone()).collect();
            Ok(Some((index, wanted, reader.load(&parts)?)))
        });
        let Some((index, wanted, stream)) = self.skip_damage(read)?.flatten() else { return Ok(Vec::new()) };
        let mut found = Vec::with_capacity(wanted.len());
        let mut damaged = stream.damage.is_some();
        for (row, at) in wanted {
            let bytes = stream.part(&at).ok_or(FormatError("it could not be read"));
            match bytes.and_then(|bytes| decode_exemplars(&index.codec, index.exemplars.base, &bytes)) {
                Ok(list) => found.push((row, list)),
                Err(_) => damaged = true,
            }
        }
        if damaged {
            self.count_damage(1);
        }
        Ok(found)
    }
}
