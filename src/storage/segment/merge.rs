//! Several segments of adjacent windows as the slices of one: what followed each other in slices of the same series becomes
//! one slice. Where sources have a series at overlapping times, its samples are put in order, the newest segment's first.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{Histogram, Timestamp, absent, is_absent};
use crate::storage::bytes::{FormatError, Reader};
use crate::storage::codec::{FloatScratch, decode_floats_into, decode_histograms, decode_ints};

use super::index::MAX_TICKS;
use super::{ColumnEntry, ColumnKind, SegmentIndex, Slice, SliceInput};

/// Series of one series table: far more than a day brings, and few enough for a list of them.
const MAX_IDS: u32 = 1 << 22;
/// No track, or no place.
const NONE: u32 = u32::MAX;

/// A segment that is being merged.
pub(crate) struct Source {
    pub(crate) index: SegmentIndex,
    /// With some bytes of no meaning behind it, for pco reads ahead.
    pub(crate) stream: Arc<Vec<u8>>,
}

/// A slice of a source: the number of the source and the place of the slice in it.
type Member = (usize, usize);

/// Slices of the same series that follow each other.
struct Track {
    /// The newest first.
    members: Vec<Member>,
    first: Timestamp,
    ticks: usize,
}

/// Where the ticks of a source's slice go.
pub(super) struct MergedPart {
    source: Arc<Source>,
    slice: usize,
    places: Places,
}

enum Places {
    /// One after the other.
    From(usize),
    /// By tick; `NONE`: not in here.
    Each(Vec<u32>),
}

/// One series of a merged slice, decoded.
#[derive(Default)]
pub(super) struct MergedColumn {
    pub(super) floats: Vec<f64>,
    /// Empty when there is none.
    pub(super) histograms: Vec<Option<Arc<Histogram>>>,
    /// Empty when none is known.
    pub(super) starts: Vec<Timestamp>,
    room: Vec<f64>,
    scratch: FloatScratch,
}

/// Cuts what the sources (ascending in time) have into slices.
///
/// # Errors
/// When the index of a source is damaged.
pub(crate) fn merged_slices(sources: &[Arc<Source>]) -> Result<Vec<SliceInput>, FormatError> {
    let (tracks, shared) = tracks(sources)?;
    let contested = contested(sources, &shared);
    let mut slices = Vec::new();
    for track in tracks {
        let mut times = Vec::with_capacity(track.ticks);
        let mut parts = Vec::new();
        let mut ids: Vec<u32> = Vec::new();
        for member in track.members.iter().rev() {
            let slice = slice_of(sources, *member);
            parts.push(MergedPart::new(sources, *member, Places::From(times.len())));
            times.extend(times_of(&sources[member.0], slice)?);
            ids.extend(slice.columns.iter().map(|c| c.id).filter(|id| !contested.contains_key(id)));
        }
        ids.sort_unstable();
        ids.dedup();
        if !ids.is_empty() {
            slices.push(SliceInput::merged(times, ids, parts));
        }
    }
    let mut by_members: BTreeMap<Vec<Member>, Vec<u32>> = BTreeMap::new();
    for (id, members) in contested {
        by_members.entry(members).or_default().push(id);
    }
    for (members, ids) in by_members {
        interleaved(sources, &members, &ids, &mut slices)?;
    }
    Ok(slices)
}

/// Slices of one grid with all times of these members.
fn interleaved(
    sources: &[Arc<Source>],
    members: &[Member],
    ids: &[u32],
    slices: &mut Vec<SliceInput>,
) -> Result<(), FormatError> {
    // What is written later stands: the newest source last, and of one source the first slice last.
    let mut members = members.to_vec();
    members.sort_by_key(|(source, slice)| (*source, std::cmp::Reverse(*slice)));
    let mut own: Vec<Vec<Timestamp>> = Vec::with_capacity(members.len());
    for member in &members {
        own.push(times_of(&sources[member.0], slice_of(sources, *member))?);
    }
    let mut grid: Vec<Timestamp> = own.iter().flatten().copied().collect();
    grid.sort_unstable();
    grid.dedup();
    for grid in grid.chunks(MAX_TICKS) {
        let place = |ts: &Timestamp| grid.binary_search(ts).map_or(NONE, |at| at as u32);
        let parts = members.iter().zip(&own).filter_map(|(member, times)| {
            let places: Vec<u32> = times.iter().map(place).collect();
            let any = places.iter().any(|place| *place != NONE);
            any.then(|| MergedPart::new(sources, *member, Places::Each(places)))
        });
        slices.push(SliceInput::merged(grid.to_vec(), ids.to_vec(), parts.collect()));
    }
    Ok(())
}

/// Joins slices into tracks, and finds the series that are in more than one.
fn tracks(sources: &[Arc<Source>]) -> Result<(Vec<Track>, Vec<u32>), FormatError> {
    let columns = || sources.iter().flat_map(|s| &s.index.slices).flat_map(|s| &s.columns);
    let ids = columns().map(|c| c.id + 1).max().unwrap_or(0);
    if ids > MAX_IDS {
        return Err(FormatError("a series number is too large"));
    }
    let mut owner = vec![NONE; ids as usize];
    let (mut tracks, mut shared): (Vec<Track>, Vec<u32>) = (Vec::new(), Vec::new());
    for (number, source) in sources.iter().enumerate().rev() {
        for (at, slice) in source.index.slices.iter().enumerate() {
            let Some(first) = slice.columns.first() else { continue };
            let candidate = owner[first.id as usize];
            let common = || slice.columns.iter().filter(|c| owner[c.id as usize] == candidate).count();
            let joins = tracks.get(candidate as usize).is_some_and(|track| {
                slice.last < track.first
                    && track.ticks + slice.ticks <= MAX_TICKS
                    && common() * 2 >= slice.columns.len()
            });
            if joins {
                let track = &mut tracks[candidate as usize];
                track.members.push((number, at));
                (track.first, track.ticks) = (slice.first, track.ticks + slice.ticks);
            } else {
                tracks.push(Track { members: vec![(number, at)], first: slice.first, ticks: slice.ticks });
            }
            let track = if joins { candidate } else { tracks.len() as u32 - 1 };
            for column in &slice.columns {
                let owner = &mut owner[column.id as usize];
                if *owner == NONE {
                    *owner = track;
                } else if *owner != track {
                    shared.push(column.id);
                }
            }
        }
    }
    shared.sort_unstable();
    shared.dedup();
    Ok((tracks, shared))
}

/// The series whose slices overlap in time, with these slices.
fn contested(sources: &[Arc<Source>], shared: &[u32]) -> BTreeMap<u32, Vec<Member>> {
    let mut found: BTreeMap<u32, Vec<Member>> = BTreeMap::new();
    if shared.is_empty() {
        return found;
    }
    for (number, source) in sources.iter().enumerate() {
        for (at, slice) in source.index.slices.iter().enumerate() {
            for column in &slice.columns {
                if shared.binary_search(&column.id).is_ok() {
                    let members = found.entry(column.id).or_default();
                    if members.last() != Some(&(number, at)) {
                        members.push((number, at));
                    }
                }
            }
        }
    }
    found.retain(|_, members| {
        let mut spans: Vec<(Timestamp, Timestamp)> =
            members.iter().map(|member| slice_of(sources, *member)).map(|slice| (slice.first, slice.last)).collect();
        spans.sort_unstable();
        spans.windows(2).any(|pair| pair[1].0 <= pair[0].1)
    });
    found
}

fn slice_of(sources: &[Arc<Source>], (source, slice): Member) -> &Slice {
    &sources[source].index.slices[slice]
}

fn times_of(source: &Source, slice: &Slice) -> Result<Vec<Timestamp>, FormatError> {
    let bytes = source.bytes(&slice.times)?;
    let times = decode_ints(&source.index.codec, &mut Reader::new(bytes), slice.ticks)?;
    let ends = (times.first().copied(), times.last().copied());
    if !times.is_sorted_by(|a, b| a < b) || ends != (Some(slice.first), Some(slice.last)) {
        return Err(FormatError("its timestamps do not ascend"));
    }
    Ok(times)
}

impl Source {
    /// A part of the stream with all that follows it.
    fn bytes(&self, part: &std::ops::Range<usize>) -> Result<&[u8], FormatError> {
        self.stream.get(part.start..).ok_or(FormatError("a column lies outside its segment"))
    }
}

impl MergedPart {
    fn new(sources: &[Arc<Source>], (source, slice): Member, places: Places) -> Self {
        Self { source: Arc::clone(&sources[source]), slice, places }
    }

    fn slice(&self) -> &Slice {
        &self.source.index.slices[self.slice]
    }

    /// Writes what this part has of a series.
    fn read(&self, id: u32, out: &mut MergedColumn) -> Result<(), FormatError> {
        let slice = self.slice();
        let from = slice.columns.partition_point(|c| c.id < id);
        let mut entries = slice.columns[from..].iter().take_while(|c| c.id == id);
        match &self.places {
            Places::From(at) => entries.try_for_each(|entry| self.append(entry, *at, out)),
            Places::Each(places) => self.scatter(entries, places, out),
        }
    }

    /// A column whose ticks go where nothing else does.
    fn append(&self, entry: &ColumnEntry, at: usize, out: &mut MergedColumn) -> Result<(), FormatError> {
        let (codec, ticks) = (&self.source.index.codec, self.slice().ticks);
        let bytes = self.source.bytes(&entry.at)?;
        let places = out.floats.len();
        match entry.kind {
            ColumnKind::Floats => {
                let floats = &mut out.floats[at..at + ticks];
                decode_floats_into(codec, bytes, floats, &mut out.scratch)?;
            }
            ColumnKind::Histograms => {
                out.histograms.resize(places, None);
                let column = decode_histograms(bytes, ticks)?;
                out.histograms[at..at + ticks].clone_from_slice(&column);
            }
            ColumnKind::Starts => {
                out.starts.resize(places, 0);
                let starts = decode_ints(codec, &mut Reader::new(bytes), ticks)?;
                out.starts[at..at + ticks].copy_from_slice(&starts);
            }
        }
        Ok(())
    }

    /// Columns of which each sample takes the place of what was there at its time.
    fn scatter<'a>(
        &self,
        entries: impl Iterator<Item = &'a ColumnEntry>,
        places: &[u32],
        out: &mut MergedColumn,
    ) -> Result<(), FormatError> {
        let (codec, ticks) = (&self.source.index.codec, self.slice().ticks);
        let (mut histograms, mut starts) = (Vec::new(), Vec::new());
        out.room.clear();
        out.room.resize(ticks, absent());
        for entry in entries {
            let bytes = self.source.bytes(&entry.at)?;
            match entry.kind {
                ColumnKind::Floats => decode_floats_into(codec, bytes, &mut out.room, &mut out.scratch)?,
                ColumnKind::Histograms => histograms = decode_histograms(bytes, ticks)?,
                ColumnKind::Starts => starts = decode_ints(codec, &mut Reader::new(bytes), ticks)?,
            }
        }
        if !histograms.is_empty() {
            out.histograms.resize(out.floats.len(), None);
        }
        if !starts.is_empty() {
            out.starts.resize(out.floats.len(), 0);
        }
        for (i, place) in places.iter().enumerate() {
            let (value, place) = (out.room[i], *place as usize);
            let histogram = histograms.get_mut(i).and_then(Option::take);
            if place >= out.floats.len() || is_absent(value) && histogram.is_none() {
                continue;
            }
            out.floats[place] = if histogram.is_some() { absent() } else { value };
            if let Some(there) = out.histograms.get_mut(place) {
                *there = histogram;
            }
            if let Some(there) = out.starts.get_mut(place) {
                *there = starts.get(i).copied().unwrap_or(0);
            }
        }
        Ok(())
    }
}

impl MergedColumn {
    /// Decodes one series of a merged slice.
    pub(super) fn read(&mut self, parts: &[MergedPart], ticks: usize, id: u32) -> Result<(), FormatError> {
        self.floats.clear();
        self.floats.resize(ticks, absent());
        self.histograms.clear();
        self.starts.clear();
        parts.iter().try_for_each(|part| part.read(id, self))
    }
}
