//! Samples in any order in, window by window out: what does not fit into memory waits in a temporary file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use rustc_hash::FxHashMap;

use crate::model::{IrregularSample, Labels, Timestamp, Value};

/// Samples in memory before they are spilled: 32 MB.
const BUFFER: usize = 1 << 20;
/// Bytes of a spilled sample: series, time, start, value.
const RECORD: usize = 28;
/// Samples that become one segment at most.
const PART: usize = 2_000_000;

#[derive(Clone, Copy)]
struct Record {
    series: u32,
    ts: Timestamp,
    start_ts: Timestamp,
    bits: u64,
}

/// Takes samples in any order.
pub(super) struct Sorter {
    spill: File,
    end: u64,
    /// Where the samples of a window are in the file.
    chunks: BTreeMap<Timestamp, Vec<(u64, usize)>>,
    buffer: Vec<Record>,
    series: Vec<Labels>,
    numbers: FxHashMap<Labels, u32>,
    window_ms: i64,
    samples: u64,
}

/// Samples of one window, by series, ascending.
pub(super) type Part = Vec<(Labels, Vec<IrregularSample>)>;

impl Sorter {
    /// `dir` is where the temporary file lies; it has no name and goes with the process.
    pub(super) fn new(dir: &Path, window_ms: i64) -> io::Result<Self> {
        Ok(Self {
            spill: tempfile::tempfile_in(dir)?,
            end: 0,
            chunks: BTreeMap::new(),
            buffer: Vec::new(),
            series: Vec::new(),
            numbers: FxHashMap::default(),
            window_ms,
            samples: 0,
        })
    }

    /// The number of a series.
    pub(super) fn number(&mut self, labels: &Labels) -> u32 {
        let next = self.series.len() as u32;
        let number = *self.numbers.entry(labels.clone()).or_insert(next);
        if number == next {
            self.series.push(labels.clone());
        }
        number
    }

    pub(super) fn push(&mut self, series: u32, ts: Timestamp, start_ts: Timestamp, value: f64) -> io::Result<()> {
        self.buffer.push(Record { series, ts, start_ts, bits: value.to_bits() });
        self.samples += 1;
        if self.buffer.len() >= BUFFER { self.flush() } else { Ok(()) }
    }

    /// How many samples came.
    pub(super) fn samples(&self) -> u64 {
        self.samples
    }

    /// How many series they are of.
    pub(super) fn series(&self) -> u64 {
        self.series.len() as u64
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let window_ms = self.window_ms;
        let window_of = |record: &Record| record.ts.div_euclid(window_ms);
        // Stable: of two samples at one time the first stays the first.
        buffer.sort_by_key(window_of);
        self.spill.seek(SeekFrom::Start(self.end))?;
        let mut out = BufWriter::new(&self.spill);
        for chunk in buffer.chunk_by(|a, b| window_of(a) == window_of(b)) {
            for record in chunk {
                out.write_all(&record.series.to_le_bytes())?;
                out.write_all(&record.ts.to_le_bytes())?;
                out.write_all(&record.start_ts.to_le_bytes())?;
                out.write_all(&record.bits.to_le_bytes())?;
            }
            self.chunks.entry(window_of(&chunk[0])).or_default().push((self.end, chunk.len()));
            self.end += (chunk.len() * RECORD) as u64;
        }
        out.flush()?;
        drop(out);
        buffer.clear();
        self.buffer = buffer;
        Ok(())
    }

    /// Hands out everything, oldest window first. The second number is how many samples had a time that was taken by one
    /// before them; those are left out.
    pub(super) fn finish<E: From<io::Error>>(
        mut self,
        each: &mut dyn FnMut(Part, u64) -> Result<(), E>,
    ) -> Result<(), E> {
        self.flush()?;
        for chunks in std::mem::take(&mut self.chunks).into_values() {
            let mut records = Vec::with_capacity(chunks.iter().map(|(_, count)| count).sum());
            for (at, count) in chunks {
                self.read(at, count, &mut records)?;
            }
            records.sort_by_key(|record| (record.ts, record.series));
            let before = records.len();
            records.dedup_by_key(|record| (record.ts, record.series));
            let mut taken = (before - records.len()) as u64;
            let mut rest = records.as_mut_slice();
            while !rest.is_empty() {
                let at = rest.len().min(PART);
                let (part, after) = rest.split_at_mut(at);
                each(self.part(part), std::mem::take(&mut taken))?;
                rest = after;
            }
        }
        Ok(())
    }

    fn read(&mut self, at: u64, count: usize, records: &mut Vec<Record>) -> io::Result<()> {
        let mut bytes = vec![0; count * RECORD];
        self.spill.seek(SeekFrom::Start(at))?;
        self.spill.read_exact(&mut bytes)?;
        for record in bytes.chunks_exact(RECORD) {
            let number = |from: usize| {
                let mut eight = [0; 8];
                eight.copy_from_slice(&record[from..from + 8]);
                u64::from_le_bytes(eight)
            };
            let series = u32::from_le_bytes([record[0], record[1], record[2], record[3]]);
            records.push(Record { series, ts: number(4) as i64, start_ts: number(12) as i64, bits: number(20) });
        }
        Ok(())
    }

    fn part(&self, records: &mut [Record]) -> Part {
        records.sort_by_key(|record| (record.series, record.ts));
        let one = |records: &[Record]| {
            let sample = |r: &Record| IrregularSample {
                ts: r.ts,
                start_ts: r.start_ts,
                value: Value::Float(f64::from_bits(r.bits)),
            };
            (self.series[records[0].series as usize].clone(), records.iter().map(sample).collect())
        };
        records.chunk_by(|a, b| a.series == b.series).map(one).collect()
    }
}
