//! Samples in any order in, window by window out: what does not fit into memory waits in temporary files.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::model::{Exemplar, Histogram, IrregularSample, Labels, Timestamp, Value};
use crate::storage::ExemplarSeries;

use super::format::{labels_json, read_histogram, read_labels, write_histogram};

/// Samples in memory before they are spilled: 40 MB.
const BUFFER: usize = 1 << 20;
/// Bytes of a spilled sample: kind, series, time, start, value or place of its bytes.
const RECORD: usize = 29;
/// Samples that become one segment at most, and that memory holds, unless so many are of one stretch of a window.
const PART: usize = 2_000_000;
/// Stretches into which a window with more samples than that is cut.
const STRETCHES: i64 = 1024;

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
enum Kind {
    Float = 0,
    /// `bits` is where its bytes are.
    Histogram = 1,
    /// The same.
    Exemplar = 2,
}

#[derive(Debug, Clone, Copy)]
struct Record {
    kind: Kind,
    series: u32,
    ts: Timestamp,
    start_ts: Timestamp,
    bits: u64,
}

/// Where records lie in the file: place and count.
type Chunk = (u64, usize);

/// Takes samples in any order.
pub(super) struct Sorter {
    spill: File,
    end: u64,
    /// Where the samples of a window are in the file.
    chunks: BTreeMap<Timestamp, Vec<Chunk>>,
    buffer: Vec<Record>,
    /// What is no number: histograms and exemplars, each with its length before it.
    bytes: BufWriter<File>,
    bytes_end: u64,
    series: Vec<Labels>,
    numbers: FxHashMap<Labels, u32>,
    window_ms: i64,
    samples: u64,
    /// [`PART`], smaller in tests.
    most: usize,
}

/// Samples and exemplars of one window or a part of it, by series, ascending.
#[derive(Debug, Default)]
pub(super) struct Part {
    pub(super) samples: Vec<(Labels, Vec<IrregularSample>)>,
    pub(super) exemplars: Vec<ExemplarSeries>,
    /// How many samples had a time that was taken by one before them; those are left out.
    pub(super) taken: u64,
}

impl Sorter {
    /// `dir` is where the temporary files lie; they have no names and go with the process.
    pub(super) fn new(dir: &Path, window_ms: i64) -> io::Result<Self> {
        Ok(Self {
            spill: tempfile::tempfile_in(dir)?,
            end: 0,
            chunks: BTreeMap::new(),
            buffer: Vec::new(),
            bytes: BufWriter::new(tempfile::tempfile_in(dir)?),
            bytes_end: 0,
            series: Vec::new(),
            numbers: FxHashMap::default(),
            window_ms,
            samples: 0,
            most: PART,
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

    pub(super) fn push(&mut self, series: u32, ts: Timestamp, start_ts: Timestamp, value: &Value) -> io::Result<()> {
        let (kind, bits) = match value {
            Value::Float(value) => (Kind::Float, value.to_bits()),
            Value::Histogram(histogram) => {
                let mut text = Vec::new();
                write_histogram(&mut text, histogram);
                (Kind::Histogram, self.keep(&text)?)
            }
        };
        self.samples += 1;
        self.add(Record { kind, series, ts, start_ts, bits })
    }

    pub(super) fn push_exemplar(&mut self, series: u32, ts: Timestamp, exemplar: &Exemplar) -> io::Result<()> {
        let mut text = exemplar.value.to_bits().to_le_bytes().to_vec();
        text.extend_from_slice(labels_json(&exemplar.labels).as_bytes());
        let bits = self.keep(&text)?;
        self.add(Record { kind: Kind::Exemplar, series, ts, start_ts: 0, bits })
    }

    /// How many samples came.
    pub(super) fn samples(&self) -> u64 {
        self.samples
    }

    /// How many series they are of.
    pub(super) fn series(&self) -> u64 {
        self.series.len() as u64
    }

    fn add(&mut self, record: Record) -> io::Result<()> {
        self.buffer.push(record);
        if self.buffer.len() >= BUFFER.min(self.most) { self.flush() } else { Ok(()) }
    }

    /// Puts bytes into the second file; returns their place.
    fn keep(&mut self, text: &[u8]) -> io::Result<u64> {
        let at = self.bytes_end;
        let length = u32::try_from(text.len()).map_err(|_| io::Error::other("a value is too long"))?;
        self.bytes.write_all(&length.to_le_bytes())?;
        self.bytes.write_all(text)?;
        self.bytes_end += text.len() as u64 + 4;
        Ok(at)
    }

    fn kept(&self, at: u64) -> io::Result<Vec<u8>> {
        let mut length = [0; 4];
        self.bytes.get_ref().read_exact_at(&mut length, at)?;
        let mut text = vec![0; u32::from_le_bytes(length) as usize];
        self.bytes.get_ref().read_exact_at(&mut text, at + 4)?;
        Ok(text)
    }

    fn flush(&mut self) -> io::Result<()> {
        let window_ms = self.window_ms;
        let window_of = |record: &Record| record.ts.div_euclid(window_ms);
        // Stable: of two samples at one time the first stays the first.
        self.buffer.sort_by_key(window_of);
        let mut out = Vec::new();
        for chunk in self.buffer.chunk_by(|a, b| window_of(a) == window_of(b)) {
            out.clear();
            for record in chunk {
                out.push(record.kind as u8);
                out.extend_from_slice(&record.series.to_le_bytes());
                out.extend_from_slice(&record.ts.to_le_bytes());
                out.extend_from_slice(&record.start_ts.to_le_bytes());
                out.extend_from_slice(&record.bits.to_le_bytes());
            }
            self.spill.write_all_at(&out, self.end)?;
            self.chunks.entry(window_of(&chunk[0])).or_default().push((self.end, chunk.len()));
            self.end += out.len() as u64;
        }
        self.buffer.clear();
        Ok(())
    }

    /// Hands out everything, oldest window first.
    pub(super) fn finish<E: From<io::Error>>(mut self, each: &mut dyn FnMut(Part) -> Result<(), E>) -> Result<(), E> {
        self.flush()?;
        self.buffer = Vec::new();
        self.bytes.flush()?;
        for (window, chunks) in std::mem::take(&mut self.chunks) {
            for (from, to) in self.stretches(window, &chunks)? {
                let mut records = Vec::new();
                self.read(&chunks, &mut |record| {
                    if (from..to).contains(&record.ts) {
                        records.push(record);
                    }
                })?;
                records.sort_by_key(|record| (record.ts, record.series, record.kind == Kind::Exemplar));
                let before = records.len();
                records.dedup_by(|a, b| {
                    (a.ts, a.series) == (b.ts, b.series) && a.kind != Kind::Exemplar && b.kind != Kind::Exemplar
                });
                let mut taken = (before - records.len()) as u64;
                for records in records.chunks_mut(self.most) {
                    let part = self.part(records, std::mem::take(&mut taken))?;
                    each(part)?;
                }
            }
        }
        Ok(())
    }

    /// Cuts a window into stretches of time that fit into memory.
    fn stretches(&self, window: i64, chunks: &[Chunk]) -> io::Result<Vec<(Timestamp, Timestamp)>> {
        let (start, end) = (window.saturating_mul(self.window_ms), (window + 1).saturating_mul(self.window_ms));
        if chunks.iter().map(|(_, count)| count).sum::<usize>() <= self.most {
            return Ok(vec![(start, end)]);
        }
        let step = (self.window_ms / STRETCHES).max(1);
        let mut counts: BTreeMap<i64, usize> = BTreeMap::new();
        self.read(chunks, &mut |record| *counts.entry((record.ts - start) / step).or_default() += 1)?;
        let mut found: Vec<(Timestamp, Timestamp)> = Vec::new();
        let (mut from, mut held) = (start, 0);
        for (stretch, count) in counts {
            if held + count > self.most && held > 0 {
                found.push((from, start + stretch * step));
                (from, held) = (start + stretch * step, 0);
            }
            held += count;
        }
        found.push((from, end));
        Ok(found)
    }

    fn read(&self, chunks: &[Chunk], each: &mut dyn FnMut(Record)) -> io::Result<()> {
        const AT_ONCE: usize = 1 << 16;
        let mut bytes = Vec::new();
        for (at, count) in chunks {
            for from in (0..*count).step_by(AT_ONCE) {
                bytes.resize(AT_ONCE.min(count - from) * RECORD, 0);
                self.spill.read_exact_at(&mut bytes, at + (from * RECORD) as u64)?;
                for record in bytes.chunks_exact(RECORD) {
                    let number = |from: usize| {
                        let mut eight = [0; 8];
                        eight.copy_from_slice(&record[from..from + 8]);
                        u64::from_le_bytes(eight)
                    };
                    let kind = match record[0] {
                        0 => Kind::Float,
                        1 => Kind::Histogram,
                        _ => Kind::Exemplar,
                    };
                    let series = u32::from_le_bytes([record[1], record[2], record[3], record[4]]);
                    each(Record { kind, series, ts: number(5) as i64, start_ts: number(13) as i64, bits: number(21) });
                }
            }
        }
        Ok(())
    }

    fn part(&self, records: &mut [Record], taken: u64) -> io::Result<Part> {
        records.sort_by_key(|record| (record.series, record.ts));
        let mut part = Part { taken, ..Part::default() };
        for records in records.chunk_by(|a, b| a.series == b.series) {
            let labels = &self.series[records[0].series as usize];
            let (mut samples, mut exemplars) = (Vec::new(), Vec::new());
            for record in records {
                match record.kind {
                    Kind::Exemplar => exemplars.push((record.ts, self.exemplar(record)?)),
                    _ => {
                        let value = self.value(record)?;
                        samples.push(IrregularSample { ts: record.ts, start_ts: record.start_ts, value });
                    }
                }
            }
            if !samples.is_empty() {
                part.samples.push((labels.clone(), samples));
            }
            if !exemplars.is_empty() {
                part.exemplars.push(ExemplarSeries { labels: labels.clone(), exemplars });
            }
        }
        Ok(part)
    }

    fn value(&self, record: &Record) -> io::Result<Value> {
        Ok(match record.kind {
            Kind::Histogram => {
                let histogram: Histogram = read_histogram(&self.kept(record.bits)?).map_err(io::Error::other)?;
                Value::Histogram(Arc::new(histogram))
            }
            _ => Value::Float(f64::from_bits(record.bits)),
        })
    }

    fn exemplar(&self, record: &Record) -> io::Result<Exemplar> {
        let bytes = self.kept(record.bits)?;
        let (value, labels) = bytes.split_first_chunk().ok_or_else(|| io::Error::other("an exemplar is cut off"))?;
        let value = f64::from_bits(u64::from_le_bytes(*value));
        Ok(Exemplar { labels: read_labels(labels).map_err(io::Error::other)?, value, ts: Some(record.ts) })
    }
}

#[cfg(test)]
mod tests {
    use super::{Part, Sorter};
    use crate::model::{Exemplar, Labels, Value};

    #[test]
    fn windows_with_too_many_samples_come_in_parts() {
        let mut sorter = Sorter::new(&std::env::temp_dir(), 600_000).unwrap();
        sorter.most = 100;
        let series: Vec<u32> = (0..3).map(|n| sorter.number(&Labels::from_pairs(&[("n", &n.to_string())]))).collect();
        let mut expected = 0;
        for n in (0..700i64).rev() {
            for series in &series {
                sorter.push(*series, n * 2000 - 700_000, 0, &Value::Float(n as f64)).unwrap();
                expected += 1;
            }
        }
        // Taken, in another spill.
        sorter.push(series[1], 0, 0, &Value::Float(-1.0)).unwrap();
        let exemplar = Exemplar { labels: Labels::from_pairs(&[("t", "ü")]), value: f64::INFINITY, ts: None };
        sorter.push_exemplar(series[2], 5, &exemplar).unwrap();
        let (mut samples, mut taken, mut last, mut parts) = (0, 0, i64::MIN, 0);
        sorter
            .finish(&mut |part: Part| {
                let times = || part.samples.iter().flat_map(|(_, samples)| samples.iter().map(|s| s.ts));
                let count = times().count();
                assert!(count <= 100, "{count}");
                assert!(times().min().is_none_or(|first| first >= last), "parts ascend");
                assert!(part.samples.iter().all(|(_, samples)| samples.is_sorted_by(|a, b| a.ts < b.ts)));
                last = times().max().unwrap_or(last);
                for series in &part.exemplars {
                    assert_eq!(series.exemplars, [(5, Exemplar { ts: Some(5), ..exemplar.clone() })]);
                    expected += 1;
                    samples += 1;
                }
                samples += count;
                taken += part.taken;
                parts += 1;
                Ok::<_, std::io::Error>(())
            })
            .unwrap();
        assert_eq!((samples, taken), (expected, 1));
        assert!((21..60).contains(&parts), "{parts}");
    }
}
