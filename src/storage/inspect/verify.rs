//! A walk over everything that has a checksum, from the directory down to each column.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;

use crate::model::Timestamp;
use crate::storage::StorageError;
use crate::storage::config::{Config, RingCounters};
use crate::storage::head::Head;
use crate::storage::replay::{Scope, replay};
use crate::storage::segment::{SegmentMeta, decode_series};
use crate::storage::store::Store;

use super::CACHE_BYTES;
use super::segment::take_apart;

/// Something that is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where, in words: which table, segment, piece, column.
    pub place: String,
    /// What is wrong there.
    pub problem: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.problem)
    }
}

/// What a walk over a ring saw.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// Segments in the directory.
    pub segments: u64,
    /// Columns that were decoded.
    pub columns: u64,
    /// Samples in them.
    pub samples: u64,
    /// Exemplars that were decoded.
    pub exemplars: u64,
    /// Label sets in the series tables.
    pub series: u64,
    /// Ticks in the write-ahead rows.
    pub rows: u64,
    /// Everything that is wrong, in the order of the walk.
    pub findings: Vec<Finding>,
}

impl Verified {
    fn found(&mut self, place: impl Into<String>, problem: impl fmt::Display) {
        self.findings.push(Finding { place: place.into(), problem: problem.to_string() });
    }
}

/// Walks over the ring in a directory without changing it: directory, series tables, pieces, indexes and columns of the
/// segments, write-ahead rows, and last the pages of the database. `progress` is told after each segment how many of
/// how many are done.
///
/// # Errors
/// When the ring cannot be opened at all. What is wrong inside of it is among the findings.
pub fn verify(path: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<Verified, StorageError> {
    let store = Store::to_look_at(path, CACHE_BYTES);
    store.reopen()?;
    Ok(walk(&store, progress))
}

/// The same with a store that is open; nothing else may use it meanwhile.
pub(crate) fn walk(store: &Store, progress: &mut dyn FnMut(u64, u64)) -> Verified {
    let mut seen = Verified::default();
    let metas = note(&mut seen, "directory", |seen| directory(store, seen)).unwrap_or_default();
    let tables = note(&mut seen, "series tables", |seen| series_tables(store, seen)).unwrap_or_default();
    note(&mut seen, "segments", |seen| strangers(store, &metas, seen));
    for (number, meta) in metas.iter().enumerate() {
        note(&mut seen, &format!("segment {}", meta.id), |seen| segment(store, meta, &tables, seen));
        progress(number as u64 + 1, metas.len() as u64);
    }
    note(&mut seen, "write-ahead rows", |seen| rows(store, &metas, seen));
    match store.check_pages() {
        Ok(true) => {}
        Ok(false) => seen.found("pages of the database", "a page does not match its checksum"),
        Err(error) => seen.found("pages of the database", error),
    }
    seen
}

/// A part of the walk that fails is a finding; the walk goes on.
fn note<T>(seen: &mut Verified, place: &str, look: impl FnOnce(&mut Verified) -> Result<T, StorageError>) -> Option<T> {
    match look(seen) {
        Ok(found) => Some(found),
        Err(error) => {
            seen.found(place, error);
            None
        }
    }
}

fn directory(store: &Store, seen: &mut Verified) -> Result<Vec<SegmentMeta>, StorageError> {
    let mut metas = Vec::new();
    for (id, record) in store.raw_directory()? {
        seen.segments += 1;
        match SegmentMeta::decode(id, &record) {
            Ok(meta) => metas.push(meta),
            Err(error) => seen.found(format!("directory, segment {id}"), error),
        }
    }
    Ok(metas)
}

/// Which series each table has: first number and count of each block that could be read.
type Tables = BTreeMap<u32, Vec<(u32, u32)>>;

fn series_tables(store: &Store, seen: &mut Verified) -> Result<Tables, StorageError> {
    let mut tables = Tables::new();
    for epoch in store.epochs()? {
        let blocks = tables.entry(epoch).or_default();
        for (first, block) in store.raw_series(epoch)? {
            match decode_series(&block) {
                Ok(labels) => {
                    seen.series += labels.len() as u64;
                    blocks.push((first, labels.len() as u32));
                }
                Err(error) => seen.found(format!("series table {epoch}, block of series {first}"), error),
            }
        }
    }
    Ok(tables)
}

/// Segments that the directory does not know: their room would never be freed.
fn strangers(store: &Store, metas: &[SegmentMeta], seen: &mut Verified) -> Result<(), StorageError> {
    for id in store.segment_ids()? {
        if metas.binary_search_by_key(&id, |meta| meta.id).is_err() {
            seen.found(format!("segment {id}"), "it has pieces, and no record of the directory that can be read");
        }
    }
    Ok(())
}

fn segment(store: &Store, meta: &SegmentMeta, tables: &Tables, seen: &mut Verified) -> Result<(), StorageError> {
    let facts = take_apart(store, meta)?;
    let name = format!("segment {} ({} to {})", meta.id, instant(meta.min_ts), instant(meta.max_ts));
    let known = tables.get(&meta.epoch).map_or(&[][..], Vec::as_slice);
    let mut nameless = 0;
    let ids = facts.columns.iter().map(|column| column.id).chain(facts.exemplars.iter().map(|(id, ..)| *id));
    for id in ids {
        seen.columns += 1;
        let block = known.partition_point(|(first, _)| *first <= id).checked_sub(1).map(|at| known[at]);
        nameless += u64::from(block.is_none_or(|(first, count)| id - first >= count));
    }
    seen.samples += facts.columns.iter().map(|column| column.samples).sum::<u64>();
    seen.exemplars += facts.exemplars.iter().map(|(_, _, count)| count).sum::<u64>();
    for (place, problem) in facts.problems {
        seen.found(format!("{name}, {place}"), problem);
    }
    if nameless > 0 {
        seen.found(name, format!("{nameless} columns have no labels in series table {}", meta.epoch));
    }
    Ok(())
}

fn rows(store: &Store, metas: &[SegmentMeta], seen: &mut Verified) -> Result<(), StorageError> {
    let damaged = store.rows(|_| {})?;
    if damaged > 0 {
        seen.found("write-ahead rows", format!("{damaged} records do not match their checksum"));
    }
    let mut head = Head::new(crate::storage::catalog::millis(Config::default().window));
    head.sealing = metas.iter().map(|meta| meta.window_end).max().unwrap_or(Timestamp::MIN);
    let counters = RingCounters::default();
    seen.rows = replay(store, &store.writer(), &mut head, Scope::All, &counters)?;
    let unread = counters.damaged.load(Relaxed).saturating_sub(damaged);
    if unread > 0 {
        seen.found("write-ahead rows", format!("{unread} records cannot be replayed"));
    }
    Ok(())
}

/// A time as people read it.
fn instant(ts: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(ts).map_or_else(|_| ts.to_string(), |ts| ts.to_string())
}
