//! Bands: rows that share their timestamps. What depends on times alone is worked out once for all rows of a band.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::model::{Histogram, Timestamp, absent, is_absent, is_stale};
use crate::storage::{Cells, Lender, LenderRoom, Piece, Selection};

use super::Block;
use super::samples::{Samples, Scratch};
use super::selector::{RawSample, RawValue};

/// Rows whose samples lie in the same pieces.
pub(super) struct Band<'a> {
    /// Places in the labels, ascending.
    pub(super) rows: Cow<'a, [u32]>,
    /// The times of all pieces, one after the other.
    pub(super) times: Cow<'a, [Timestamp]>,
    /// Whether there are floats only, and no start timestamps.
    pub(super) plain: bool,
    parts: SmallVec<[Part<'a>; 1]>,
}

/// One piece: dense rows of cells.
#[derive(Clone, Copy)]
struct Part<'a> {
    /// The rows that the piece has, ascending; `None`: all of them.
    rows: Option<&'a [u32]>,
    times: &'a [Timestamp],
    floats: Floats<'a>,
    /// A cell that is set hides the float.
    histograms: &'a [Option<Arc<Histogram>>],
    starts: &'a [Timestamp],
}

/// The floats of a piece.
#[derive(Clone, Copy)]
enum Floats<'a> {
    /// Row after row; empty where there are none.
    Dense(&'a [f64]),
    Lent(&'a Lender),
}

/// Room for the cells of one row.
#[derive(Default)]
pub(super) struct RowRoom {
    cells: Vec<f64>,
    lender: LenderRoom,
}

/// The bands of a selection, in the order of their first pieces. Rows without any piece are in none.
pub(super) fn bands(selection: &Selection) -> Vec<Band<'_>> {
    if let [piece] = selection.pieces.as_slice() {
        return vec![Band::of(Cow::Borrowed(&piece.rows), &[piece])];
    }
    let paths = Paths::of(selection);
    let mut bands: Vec<Option<Band<'_>>> = Vec::new();
    let mut at: Vec<u32> = vec![u32::MAX; paths.nodes.len()];
    for (node, path) in paths.nodes.iter().enumerate().skip(1).filter(|(_, path)| path.rows > 0) {
        let mut pieces: SmallVec<[&Piece; 4]> = SmallVec::new();
        let mut next = node;
        while next != 0 {
            pieces.push(&selection.pieces[paths.nodes[next].piece as usize]);
            next = paths.nodes[next].before as usize;
        }
        pieces.reverse();
        at[node] = bands.len() as u32;
        bands.push(Some(Band::of(Cow::Owned(Vec::with_capacity(path.rows as usize)), &pieces)));
    }
    for (row, node) in paths.of_row.iter().enumerate().filter(|(_, node)| **node != 0) {
        if let Some(Some(band)) = bands.get_mut(at[*node as usize] as usize) {
            band.rows.to_mut().push(row as u32);
        }
    }
    bands.into_iter().flatten().collect()
}

/// The lists of pieces that rows have, as a tree: rows with the same list stand at the same node.
struct Paths {
    /// The first is the root: no piece.
    nodes: Vec<Path>,
    of_row: Vec<u32>,
}

/// A list of pieces: that of `before`, and `piece`.
struct Path {
    before: u32,
    piece: u32,
    /// Rows with exactly this list.
    rows: u32,
    /// The piece that was last put after this list, and the node of that.
    next: (u32, u32),
}

impl Paths {
    fn of(selection: &Selection) -> Self {
        let root = Path { before: 0, piece: u32::MAX, rows: 0, next: (u32::MAX, 0) };
        let mut paths = Self { nodes: vec![root], of_row: vec![0; selection.labels.len()] };
        for (piece, rows) in selection.pieces.iter().enumerate() {
            for row in rows.rows.iter() {
                let Some(of_row) = paths.of_row.get_mut(*row as usize) else { continue };
                let before = *of_row as usize;
                let (known, mut after) = paths.nodes[before].next;
                if known != piece as u32 {
                    after = paths.nodes.len() as u32;
                    paths.nodes[before].next = (piece as u32, after);
                    let path = Path { before: before as u32, piece: piece as u32, rows: 0, next: (u32::MAX, 0) };
                    paths.nodes.push(path);
                }
                *of_row = after;
                paths.nodes[before].rows = paths.nodes[before].rows.saturating_sub(1);
                paths.nodes[after as usize].rows += 1;
            }
        }
        paths
    }
}

impl<'a> Band<'a> {
    fn of(rows: Cow<'a, [u32]>, pieces: &[&'a Piece]) -> Self {
        let parts: SmallVec<[Part<'a>; 1]> = pieces.iter().map(|piece| Part::of(piece)).collect();
        let times = match parts.as_slice() {
            [part] => Cow::Borrowed(part.times),
            parts => Cow::Owned(parts.iter().flat_map(|part| part.times.iter().copied()).collect()),
        };
        let plain = parts.iter().all(|part| part.histograms.is_empty() && part.starts.is_empty());
        Self { rows, times, plain, parts }
    }

    /// All rows of a block, whose steps are at `times`.
    pub(super) fn of_block(block: &'a Block, times: &'a [Timestamp]) -> Self {
        let histograms = block.histograms.as_deref().unwrap_or(&[]);
        let part = Part { rows: None, times, floats: Floats::Dense(&block.cells), histograms, starts: &[] };
        let rows = Cow::Owned((0..block.rows() as u32).collect());
        let parts = SmallVec::from_iter([part]);
        Self { rows, times: Cow::Borrowed(times), plain: histograms.is_empty(), parts }
    }

    /// The rows of the band that lie in `rows`.
    pub(super) fn rows_in(&self, rows: &Range<usize>) -> &[u32] {
        let from = self.rows.partition_point(|row| (*row as usize) < rows.start);
        let to = self.rows.partition_point(|row| (*row as usize) < rows.end);
        self.rows.get(from..to).unwrap_or(&[])
    }

    /// A reader that stands at no row yet.
    pub(super) fn reader(&self) -> Reader<'_, 'a> {
        Reader { band: self, places: self.parts.iter().map(|_| 0).collect() }
    }
}

impl<'a> Part<'a> {
    fn of(piece: &'a Piece) -> Self {
        let (floats, histograms): (Floats<'a>, &[_]) = match &piece.cells {
            Cells::Floats(cells) => (Floats::Dense(cells), &[]),
            Cells::Lent(lender) => (Floats::Lent(lender), &[]),
            Cells::Histograms(cells) => (Floats::Dense(&[]), cells),
        };
        let starts = piece.starts.as_deref().unwrap_or(&[]);
        Self { rows: Some(&piece.rows), times: &piece.times, floats, histograms, starts }
    }

    /// Where `row` stands among the rows of the piece, from `from` on.
    fn place(&self, from: usize, row: u32) -> usize {
        let Some(rows) = self.rows else { return row as usize };
        if rows.get(from) == Some(&row) {
            return from;
        }
        if rows.get(from + 1) == Some(&row) {
            return from + 1;
        }
        from + rows.get(from..).map_or(0, |rest| rest.partition_point(|other| *other < row))
    }

    /// A row's floats where they lie, if they lie together.
    fn in_place(&self, place: usize) -> Option<&'a [f64]> {
        let width = self.times.len();
        match self.floats {
            Floats::Dense(cells) => cells.get(place * width..(place + 1) * width),
            Floats::Lent(lender) => lender.in_place(place),
        }
    }

    /// Appends a row's floats, holes where it has none.
    fn append(&self, place: usize, room: &mut RowRoom) {
        match (self.in_place(place), self.floats) {
            (Some(cells), _) => room.cells.extend_from_slice(cells),
            (None, Floats::Lent(lender)) => lender.append(place, &mut room.cells, &mut room.lender),
            (None, Floats::Dense(_)) => room.cells.resize(room.cells.len() + self.times.len(), absent()),
        }
    }

    /// The sample in column `at`, holes left out; `cells` are those of the row.
    fn sample(&self, place: usize, at: usize, cells: &[f64]) -> Option<RawSample<'a>> {
        let index = place * self.times.len() + at;
        let value = match self.histograms.get(index).and_then(Option::as_ref) {
            Some(histogram) => RawValue::Histogram(histogram),
            None => RawValue::Float(*cells.get(at).filter(|value| !is_absent(**value))?),
        };
        let start = self.starts.get(index).copied().unwrap_or(0);
        Some(RawSample { ts: *self.times.get(at)?, start, value })
    }
}

/// Reads the rows of a band one after the other, in ascending order.
pub(super) struct Reader<'b, 'a> {
    band: &'b Band<'a>,
    places: SmallVec<[usize; 4]>,
}

impl<'b, 'a> Reader<'b, 'a> {
    /// Goes to a row of the band.
    #[inline]
    pub(super) fn seek(&mut self, row: u32) {
        for (place, part) in self.places.iter_mut().zip(&self.band.parts) {
            *place = part.place(*place, row);
        }
    }

    /// The row's cells, parallel to the band's times: in place when they lie in one piece, else put together in `room`.
    #[inline]
    pub(super) fn cells<'r>(&self, room: &'r mut RowRoom) -> &'r [f64]
    where
        'a: 'r,
    {
        self.fill(room);
        self.filled(room)
    }

    fn fill(&self, room: &mut RowRoom) {
        if self.in_place().is_none() {
            room.cells.clear();
            for (part, place) in self.band.parts.iter().zip(&self.places) {
                part.append(*place, room);
            }
        }
    }

    fn filled<'r>(&self, room: &'r RowRoom) -> &'r [f64]
    where
        'a: 'r,
    {
        self.in_place().unwrap_or(&room.cells)
    }

    fn in_place(&self) -> Option<&'a [f64]> {
        match (self.band.parts.as_slice(), self.places.as_slice()) {
            ([part], [place]) => part.in_place(*place),
            _ => None,
        }
    }

    /// The times of the band.
    pub(super) fn times(&self) -> &'b [Timestamp] {
        &self.band.times
    }

    /// All samples of the row, holes left out, stale markers included.
    pub(super) fn raw<'r>(&'r self, room: &'r mut RowRoom) -> impl Iterator<Item = RawSample<'a>>
    where
        'a: 'r,
    {
        let mut rest = self.cells(room);
        self.band.parts.iter().zip(&self.places).flat_map(move |(part, place)| {
            let (cells, after) = rest.split_at(part.times.len().min(rest.len()));
            rest = after;
            (0..part.times.len()).filter_map(move |at| part.sample(*place, at, cells))
        })
    }

    /// The row's samples without holes and stale markers.
    pub(super) fn samples<'r>(&self, room: &'r mut Scratch) -> Samples<'r>
    where
        'b: 'r,
        'a: 'r,
    {
        room.clear();
        if self.band.plain {
            self.fill(&mut room.row);
            let cells = self.filled(&room.row);
            if !any_nan(cells) {
                return Samples { times: &self.band.times, values: self.filled(&room.row), ..Samples::EMPTY };
            }
            compact(&self.band.times, cells, &mut room.times, &mut room.values);
        } else {
            let known_starts = self.band.parts.iter().any(|part| !part.starts.is_empty());
            let mut row = std::mem::take(&mut room.row);
            self.raw(&mut row).filter(|sample| !sample.value.is_stale()).for_each(|sample| match sample.value {
                RawValue::Float(value) => {
                    room.times.push(sample.ts);
                    room.values.push(value);
                    if known_starts {
                        room.starts.push(sample.start);
                    }
                }
                RawValue::Histogram(histogram) => {
                    room.histogram_times.push(sample.ts);
                    room.histograms.push(Arc::clone(histogram));
                }
            });
            room.row = row;
        }
        room.samples()
    }
}

/// Whether a NaN is among them; holes and stale markers are NaN by their bits.
pub(super) fn any_nan(cells: &[f64]) -> bool {
    // Written so that the compiler compares several at once.
    cells.iter().fold(false, |any, value| any | value.is_nan())
}

/// Copies what is neither a hole nor a stale marker.
pub(super) fn compact(times: &[Timestamp], cells: &[f64], to_times: &mut Vec<Timestamp>, to_values: &mut Vec<f64>) {
    for (ts, cell) in times.iter().zip(cells) {
        if !is_absent(*cell) && !is_stale(*cell) {
            to_times.push(*ts);
            to_values.push(*cell);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{RowRoom, bands};
    use crate::model::Labels;
    use crate::storage::{Cells, Piece, Selection};
    use std::sync::Arc;

    #[test]
    fn rows_with_the_same_pieces_are_together() {
        let piece = |times: &[i64], rows: &[u32]| Piece {
            times: times.into(),
            rows: rows.into(),
            cells: Cells::Floats(
                rows.iter().flat_map(|row| times.iter().map(move |ts| (*ts * 10 + i64::from(*row)) as f64)).collect(),
            ),
            starts: None,
        };
        let pieces = vec![piece(&[1, 2], &[0, 1, 3, 4]), piece(&[3], &[2]), piece(&[4, 5], &[1, 2, 4])];
        let selection = Selection { labels: Arc::new(vec![Labels::empty(); 6]), pieces, thinned: None };
        let mut found = Vec::new();
        for band in bands(&selection) {
            let (mut reader, mut room) = (band.reader(), RowRoom::default());
            for row in band.rows.iter() {
                reader.seek(*row);
                found.push(format!("{row} {:?} {:?}", band.times, reader.cells(&mut room)));
            }
        }
        let expected = [
            "0 [1, 2] [10.0, 20.0]",
            "3 [1, 2] [13.0, 23.0]",
            "1 [1, 2, 4, 5] [11.0, 21.0, 41.0, 51.0]",
            "4 [1, 2, 4, 5] [14.0, 24.0, 44.0, 54.0]",
            "2 [3, 4, 5] [32.0, 42.0, 52.0]",
        ];
        assert_eq!(found, expected);
    }
}
