//! The exemplars of one series on their way into a segment.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use crate::storage::bytes::FormatError;
use crate::storage::codec::{Stamped, decode_exemplars};
use crate::storage::head::{Sid, is_same};

use super::Source;

/// A column of another segment.
type Column = (Arc<Source>, Range<usize>);

/// Exemplars of a series: those of a window, or those that other segments have.
pub(crate) struct ExemplarInput {
    /// Number in the series table.
    pub(super) id: u32,
    own: Vec<Stamped>,
    merged: Vec<Column>,
}

impl ExemplarInput {
    /// Those of a window; `id_of` gives each series its number in the series table.
    pub(crate) fn of_window(series: Vec<(Sid, Vec<Stamped>)>, id_of: impl Fn(Sid) -> Option<u32>) -> Vec<Self> {
        let one = |(sid, own)| Some(Self { id: id_of(sid)?, own, merged: Vec::new() });
        let mut all: Vec<Self> = series.into_iter().filter_map(one).collect();
        all.sort_by_key(|input| input.id);
        all
    }

    /// Those of other segments.
    pub(crate) fn merged(sources: &[Arc<Source>]) -> Vec<Self> {
        let mut by_id: BTreeMap<u32, Vec<Column>> = BTreeMap::new();
        for source in sources {
            for (id, at) in &source.index.exemplars.columns {
                by_id.entry(*id).or_default().push((Arc::clone(source), at.clone()));
            }
        }
        by_id.into_iter().map(|(id, merged)| Self { id, own: Vec::new(), merged }).collect()
    }

    /// All of them, ascending in time, each once.
    pub(super) fn read(&self) -> Result<Vec<Stamped>, FormatError> {
        let mut all = self.own.clone();
        for (source, at) in &self.merged {
            let bytes = source.stream.get(at.clone()).ok_or(FormatError("a column lies outside its segment"))?;
            all.extend(decode_exemplars(&source.index.codec, source.index.exemplars.base, bytes)?);
        }
        sort_exemplars(&mut all);
        Ok(all)
    }
}

/// Sorts by time, and takes out what is there twice.
pub(crate) fn sort_exemplars(list: &mut Vec<Stamped>) {
    list.sort_by_key(|(ts, _)| *ts);
    let mut kept: Vec<Stamped> = Vec::with_capacity(list.len());
    for (ts, exemplar) in list.drain(..) {
        let known = kept.iter().rev().take_while(|(at, _)| *at == ts).any(|(_, known)| is_same(known, &exemplar));
        if !known {
            kept.push((ts, exemplar));
        }
    }
    *list = kept;
}
