//! Write-ahead rows: what one tick of one group changed. `schema.rs` has the layout.

use std::sync::Arc;

use crate::model::{Histogram, IrregularSample, Labels, Timestamp, Value, absent, is_absent};

use super::bytes::{FormatError, Reader, put_bytes, put_signed, put_varint, put_xor};
use super::codec::{Stamped, put_exemplar, put_histogram, read_exemplar, read_histogram};

const TICK: u8 = 1;
const IRREGULAR: u8 = 2;
const EXEMPLAR: u8 = 3;

const FULL: u8 = 1;
const PRESENCE: u8 = 2;
const HISTOGRAMS: u8 = 4;
const STARTS: u8 = 8;

/// One series of a full row: its number in this run of the process, and its labels where they are new to the window.
pub(crate) type Member = Option<(u32, Option<Labels>)>;

/// What the writer remembers of a group between two rows.
#[derive(Debug, Default)]
pub(crate) struct RowState {
    /// Window of the last row.
    window: Option<Timestamp>,
    /// Membership changed since the last row.
    pub(crate) changed: bool,
    /// Last value written of each column.
    bits: Vec<u64>,
    present: Vec<u64>,
    starts: Vec<(u32, Timestamp)>,
    mask: Vec<u64>,
}

/// The parts of one tick.
pub(crate) struct Tick<'a> {
    pub(crate) group: u32,
    pub(crate) window: Timestamp,
    pub(crate) ts: Timestamp,
    /// By column; holes are [`absent`].
    pub(crate) floats: &'a [f64],
    pub(crate) histograms: &'a [(u32, Arc<Histogram>)],
    pub(crate) starts: &'a [(u32, Timestamp)],
}

impl RowState {
    /// Whether the next row must be full.
    pub(crate) fn needs_full(&self, window: Timestamp) -> bool {
        self.changed || self.window != Some(window)
    }

    /// Makes the next row full: what was written before is lost.
    pub(crate) fn reset(&mut self) {
        self.window = None;
    }

    /// Appends the row of a tick. `members` is asked when the row must be full.
    pub(crate) fn write(&mut self, tick: &Tick<'_>, members: impl FnOnce() -> Vec<Member>, out: &mut Vec<u8>) {
        let full = self.needs_full(tick.window);
        let cols = tick.floats.len();
        let words = cols.div_ceil(64);
        if full {
            self.bits.clear();
            self.starts.clear();
            (self.window, self.changed) = (Some(tick.window), false);
        }
        self.bits.resize(cols, 0);
        let new_presence = self.find_presence(tick.floats, words) || full;
        let new_starts = self.starts != tick.starts;
        out.push(TICK);
        put_varint(out, tick.group.into());
        put_varint(out, (tick.ts - tick.window) as u64);
        let flag = |on: bool, flag: u8| if on { flag } else { 0 };
        out.push(
            flag(full, FULL)
                | flag(new_presence, PRESENCE)
                | flag(!tick.histograms.is_empty(), HISTOGRAMS)
                | flag(new_starts, STARTS),
        );
        put_varint(out, cols as u64);
        if full {
            put_members(&members(), out);
        }
        if new_presence {
            put_words(&self.present, cols, out);
        }
        self.put_changes(tick.floats, words, out);
        if !tick.histograms.is_empty() {
            put_varint(out, tick.histograms.len() as u64);
            for (col, histogram) in tick.histograms {
                put_varint(out, (*col).into());
                put_histogram(histogram, None, out);
            }
        }
        if new_starts {
            put_varint(out, tick.starts.len() as u64);
            for (col, start) in tick.starts {
                put_varint(out, (*col).into());
                put_signed(out, *start);
            }
            self.starts = tick.starts.to_vec();
        }
    }

    /// Brings the presence bitmap up to date; says whether it changed.
    fn find_presence(&mut self, floats: &[f64], words: usize) -> bool {
        let mut changed = self.present.len() != words;
        self.present.resize(words, 0);
        for (word, chunk) in self.present.iter_mut().zip(floats.chunks(64)) {
            let bits = chunk.iter().enumerate().fold(0u64, |w, (i, v)| w | u64::from(!is_absent(*v)) << i);
            changed |= *word != bits;
            *word = bits;
        }
        changed
    }

    /// A bitmap of the columns that changed, then their values as XOR against the last ones.
    fn put_changes(&mut self, floats: &[f64], words: usize, out: &mut Vec<u8>) {
        self.mask.clear();
        self.mask.resize(words, 0);
        for ((mask, values), last) in self.mask.iter_mut().zip(floats.chunks(64)).zip(self.bits.chunks(64)) {
            for (i, (value, last)) in values.iter().zip(last).enumerate() {
                *mask |= u64::from(!is_absent(*value) && value.to_bits() != *last) << i;
            }
        }
        put_words(&self.mask, floats.len(), out);
        for (word, mask) in self.mask.iter().enumerate() {
            let mut left = *mask;
            while left != 0 {
                let col = word * 64 + left.trailing_zeros() as usize;
                left &= left - 1;
                let bits = floats[col].to_bits();
                put_xor(out, bits ^ self.bits[col]);
                self.bits[col] = bits;
            }
        }
    }
}

fn put_members(members: &[Member], out: &mut Vec<u8>) {
    for member in members {
        let Some((sid, labels)) = member else {
            put_varint(out, 0);
            continue;
        };
        put_varint(out, (u64::from(*sid) + 1) << 1 | u64::from(labels.is_some()));
        if let Some(labels) = labels {
            put_labels(labels, out);
        }
    }
}

pub(crate) fn put_labels(labels: &Labels, out: &mut Vec<u8>) {
    put_varint(out, labels.len() as u64);
    for (name, value) in labels.iter() {
        put_bytes(out, name.as_bytes());
        put_bytes(out, value.as_bytes());
    }
}

pub(crate) fn read_labels(reader: &mut Reader<'_>) -> Result<Labels, FormatError> {
    let mut pairs = Vec::new();
    for _ in 0..reader.count(16)? {
        pairs.push((reader.str()?, reader.str()?));
    }
    Ok(Labels::from_pairs(&pairs))
}

fn put_words(words: &[u64], bits: usize, out: &mut Vec<u8>) {
    let mut left = bits.div_ceil(8);
    for word in words {
        let take = left.min(8);
        out.extend_from_slice(&word.to_le_bytes()[..take]);
        left -= take;
    }
}

/// Appends samples that carry their own timestamps.
pub(crate) fn write_irregular(
    window: Timestamp,
    sid: u32,
    labels: Option<&Labels>,
    samples: &[IrregularSample],
    out: &mut Vec<u8>,
) {
    out.push(IRREGULAR);
    put_varint(out, u64::from(sid) << 1 | u64::from(labels.is_some()));
    if let Some(labels) = labels {
        put_labels(labels, out);
    }
    put_varint(out, samples.len() as u64);
    let mut before = window;
    for sample in samples {
        put_signed(out, sample.ts - before);
        before = sample.ts;
        put_signed(out, sample.start_ts);
        match &sample.value {
            Value::Float(value) => {
                out.push(0);
                put_xor(out, value.to_bits());
            }
            Value::Histogram(histogram) => {
                out.push(1);
                put_histogram(histogram, None, out);
            }
        }
    }
}

/// Appends an exemplar of a series.
pub(crate) fn write_exemplar(
    window: Timestamp,
    sid: u32,
    labels: Option<&Labels>,
    exemplar: &Stamped,
    out: &mut Vec<u8>,
) {
    out.push(EXEMPLAR);
    put_varint(out, u64::from(sid) << 1 | u64::from(labels.is_some()));
    if let Some(labels) = labels {
        put_labels(labels, out);
    }
    put_exemplar(window, exemplar, out);
}

/// A row as replay sees it.
pub(crate) enum Row {
    /// A tick of a group.
    Tick(TickRow),
    /// Samples of one series.
    Irregular { sid: u32, labels: Option<Labels>, samples: Vec<IrregularSample> },
    /// An exemplar of one series.
    Exemplar { sid: u32, labels: Option<Labels>, exemplar: Stamped },
}

/// A tick with the differences still in it.
pub(crate) struct TickRow {
    pub(crate) group: u32,
    pub(crate) ts: Timestamp,
    pub(crate) cols: usize,
    full: bool,
    /// Set for a full row.
    pub(crate) members: Option<Vec<Member>>,
    presence: Option<Vec<u8>>,
    changes: Vec<(u32, u64)>,
    pub(crate) histograms: Vec<(u32, Arc<Histogram>)>,
    starts: Option<Vec<(u32, Timestamp)>>,
}

/// What replay remembers of a group between two rows.
#[derive(Debug, Default)]
pub(crate) struct ReplayState {
    bits: Vec<u64>,
    present: Vec<u8>,
    values: Vec<f64>,
}

impl ReplayState {
    /// Applies a row; returns the tick's values by column, and brings the start timestamps up to date.
    pub(crate) fn apply(
        &mut self,
        row: &mut TickRow,
        starts: &mut Vec<(u32, Timestamp)>,
    ) -> Result<&[f64], FormatError> {
        if row.full {
            *self = Self::default();
            starts.clear();
        }
        self.bits.resize(row.cols, 0);
        if let Some(presence) = row.presence.take() {
            self.present = presence;
        }
        if let Some(new) = row.starts.take() {
            *starts = new;
        }
        if self.present.len() != row.cols.div_ceil(8) {
            return Err(FormatError("a row does not fit its group"));
        }
        for (col, xor) in &row.changes {
            *self.bits.get_mut(*col as usize).ok_or(FormatError("a row does not fit its group"))? ^= xor;
        }
        let value = |(col, bits): (usize, &u64)| {
            if self.present[col / 8] >> (col % 8) & 1 == 1 { f64::from_bits(*bits) } else { absent() }
        };
        self.values.clear();
        self.values.extend(self.bits.iter().enumerate().map(value));
        Ok(&self.values)
    }
}

/// Reads one row.
pub(crate) fn read_row(reader: &mut Reader<'_>, window: Timestamp) -> Result<Row, FormatError> {
    match reader.u8()? {
        TICK => read_tick(reader, window).map(Row::Tick),
        IRREGULAR => read_irregular(reader, window),
        EXEMPLAR => {
            let (sid, labels) = read_series(reader)?;
            Ok(Row::Exemplar { sid, labels, exemplar: read_exemplar(window, reader)? })
        }
        _ => Err(FormatError("unknown kind of row")),
    }
}

fn read_tick(reader: &mut Reader<'_>, window: Timestamp) -> Result<TickRow, FormatError> {
    let group = reader.varint_u32()?;
    let ts = window.wrapping_add(reader.varint()? as i64);
    let flags = reader.u8()?;
    let cols = reader.count(1)?;
    let members = if flags & FULL == 0 { None } else { Some(read_members(reader, cols)?) };
    let bitmap = cols.div_ceil(8);
    let presence = if flags & PRESENCE == 0 { None } else { Some(reader.take(bitmap)?.to_vec()) };
    let mask = reader.take(bitmap)?;
    let mut changes = Vec::new();
    for (byte, mask) in mask.iter().enumerate() {
        for bit in (0..8).filter(|bit| mask >> bit & 1 == 1) {
            changes.push((byte as u32 * 8 + bit, reader.xor()?));
        }
    }
    let mut histograms = Vec::new();
    if flags & HISTOGRAMS != 0 {
        for _ in 0..reader.count(16)? {
            histograms.push((reader.varint_u32()?, Arc::new(read_histogram(reader, None)?)));
        }
    }
    let mut starts = None;
    if flags & STARTS != 0 {
        let list = starts.insert(Vec::new());
        for _ in 0..reader.count(16)? {
            list.push((reader.varint_u32()?, reader.signed()?));
        }
    }
    Ok(TickRow { group, ts, cols, full: flags & FULL != 0, members, presence, changes, histograms, starts })
}

fn read_members(reader: &mut Reader<'_>, cols: usize) -> Result<Vec<Member>, FormatError> {
    (0..cols)
        .map(|_| {
            let word = reader.varint()?;
            let Some(sid) = (word >> 1).checked_sub(1) else { return Ok(None) };
            let sid = u32::try_from(sid).map_err(|_| FormatError("a series number is too large"))?;
            let labels = if word & 1 == 1 { Some(read_labels(reader)?) } else { None };
            Ok(Some((sid, labels)))
        })
        .collect()
}

/// The number of a row's series, and its labels where they follow.
fn read_series(reader: &mut Reader<'_>) -> Result<(u32, Option<Labels>), FormatError> {
    let word = reader.varint()?;
    let sid = u32::try_from(word >> 1).map_err(|_| FormatError("a series number is too large"))?;
    let labels = if word & 1 == 1 { Some(read_labels(reader)?) } else { None };
    Ok((sid, labels))
}

fn read_irregular(reader: &mut Reader<'_>, window: Timestamp) -> Result<Row, FormatError> {
    let (sid, labels) = read_series(reader)?;
    let mut before = window;
    let mut samples = Vec::new();
    for _ in 0..reader.count(32)? {
        let ts = before.wrapping_add(reader.signed()?);
        before = ts;
        let start_ts = reader.signed()?;
        let value = match reader.u8()? {
            0 => Value::Float(f64::from_bits(reader.xor()?)),
            1 => Value::Histogram(Arc::new(read_histogram(reader, None)?)),
            _ => return Err(FormatError("unknown kind of value")),
        };
        samples.push(IrregularSample { ts, start_ts, value });
    }
    Ok(Row::Irregular { sid, labels, samples })
}

#[cfg(test)]
mod tests {
    use super::{Member, ReplayState, Row, RowState, Tick, read_row};
    use crate::model::{Labels, absent, stale_marker};
    use crate::storage::bytes::Reader;

    #[test]
    fn ticks_come_back() {
        let series = |i: u32| Labels::from_pairs(&[("n", &i.to_string())]);
        let ticks: &[(i64, &[f64])] = &[
            (5, &[1.0, absent(), 3.0]),
            (6, &[1.0, 2.0, absent()]),
            (7, &[stale_marker(), 2.0, 3.0, f64::NAN, -0.0, 0.0, 1.0, 2.0, 3.0]),
            (7, &[absent(); 9]),
            (8, &[0.0; 9]),
            (12, &[0.0; 9]),
        ];
        let (mut writer, mut reader_state) = (RowState::default(), ReplayState::default());
        let (mut cols, mut starts) = (0, Vec::new());
        for (ts, values) in ticks {
            let window = ts.div_euclid(10) * 10;
            writer.changed = values.len() != cols;
            cols = values.len();
            let tick = Tick { group: 3, window, ts: *ts, floats: values, histograms: &[], starts: &[(1, *ts / 6)] };
            let members = || (0..cols as u32).map(|i| -> Member { Some((i, Some(series(i)))) }).collect();
            let mut out = Vec::new();
            writer.write(&tick, members, &mut out);
            let Ok(Row::Tick(mut row)) = read_row(&mut Reader::new(&out), window) else { panic!("no tick at {ts}") };
            let back = reader_state.apply(&mut row, &mut starts).unwrap();
            let bits = |v: &[f64]| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            assert_eq!((row.group, row.ts, bits(back)), (3, *ts, bits(values)));
            assert_eq!(starts, [(1, *ts / 6)]);
            for cut in 0..out.len() {
                assert!(read_row(&mut Reader::new(&out[..cut]), window).is_err(), "{ts} cut at {cut}");
            }
        }
    }
}
