//! Strips of the same rows, one after the other in time, become one track: windows of a group that follow each other.

use std::sync::Arc;

use crate::model::Timestamp;

use super::strip::Strip;

/// Belongs to no track yet.
const NONE: u32 = u32::MAX;

/// Strips that never overlap in time.
pub(super) struct Track {
    /// Places in the list of strips, ascending in time.
    pub(super) strips: Vec<usize>,
    first: Timestamp,
    last: Timestamp,
}

/// Tracks, and the rows that are in several of them at the same time, ascending.
pub(super) struct Tracks {
    pub(super) tracks: Vec<Track>,
    pub(super) contested: Vec<u32>,
}

impl Tracks {
    /// Joins strips; `rows` is the number of rows of the selection.
    pub(super) fn of(strips: &[Arc<Strip<'_>>], rows: usize) -> Self {
        let track = |i: usize| Track { strips: vec![i], first: strips[i].first(), last: strips[i].last() };
        if let [_] = strips {
            return Self { tracks: vec![track(0)], contested: Vec::new() };
        }
        let mut owner = vec![NONE; rows];
        let mut newest_first: Vec<usize> = (0..strips.len()).collect();
        newest_first.sort_by_key(|i| std::cmp::Reverse(strips[*i].last()));
        let mut tracks: Vec<Track> = Vec::new();
        let mut shared: Vec<u32> = Vec::new();
        for i in newest_first {
            let strip = &strips[i];
            let candidate = owner[strip.rows[0] as usize];
            let common = || strip.rows.iter().filter(|row| owner[**row as usize] == candidate).count();
            let joins = tracks.get(candidate as usize).is_some_and(|t| strip.last() < t.first)
                && common() * 2 >= strip.rows.len();
            let number = if joins { candidate } else { tracks.len() as u32 };
            if joins {
                let track = &mut tracks[number as usize];
                track.strips.push(i);
                track.first = strip.first();
            } else {
                tracks.push(track(i));
            }
            for row in strip.rows.iter() {
                let owner = &mut owner[*row as usize];
                if *owner == NONE {
                    *owner = number;
                } else if *owner != number {
                    shared.push(*row);
                }
            }
        }
        tracks.iter_mut().for_each(|track| track.strips.reverse());
        shared.sort_unstable();
        shared.dedup();
        shared.retain(|row| overlap(&tracks, strips, *row));
        Self { tracks, contested: shared }
    }
}

/// Whether two tracks that have this row overlap in time.
fn overlap(tracks: &[Track], strips: &[Arc<Strip<'_>>], row: u32) -> bool {
    let has = |track: &&Track| track.strips.iter().any(|i| strips[*i].rows.binary_search(&row).is_ok());
    let mut spans: Vec<(Timestamp, Timestamp)> = tracks.iter().filter(has).map(|t| (t.first, t.last)).collect();
    spans.sort_unstable();
    spans.windows(2).any(|pair| pair[1].0 <= pair[0].1)
}

/// All rows of the strips, ascending.
pub(super) fn union(strips: &[Arc<Strip<'_>>]) -> Arc<[u32]> {
    let Some((first, others)) = strips.split_first() else { return Arc::default() };
    if others.iter().all(|strip| Arc::ptr_eq(&strip.rows, &first.rows) || strip.rows == first.rows) {
        return Arc::clone(&first.rows);
    }
    let mut rows: Vec<u32> = strips.iter().flat_map(|strip| strip.rows.iter().copied()).collect();
    rows.sort_unstable();
    rows.dedup();
    Arc::from(rows)
}
