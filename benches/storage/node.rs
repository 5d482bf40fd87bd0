//! Real node metrics at 1 Hz, replayed with shifted time.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use watchfire::clock::Stopwatch;
use watchfire::model::{Batch, GroupId, Labels, Matcher, SeriesRef, Timestamp};
use watchfire::storage::{Cells, LenderRoom};

use super::setup::{Setup, Work, per, print_bytes, size};

/// How often the data is replayed: it becomes ten hours that way.
const ROUNDS: i64 = 20;

/// The data: label sets, and ticks of one value a series (NaN: not there).
pub(crate) struct Node {
    pub(crate) names: Vec<Labels>,
    ticks: Vec<(Timestamp, Vec<f64>)>,
    /// How often it is replayed.
    pub(crate) rounds: i64,
}

impl Node {
    /// `None` without the shared folder.
    pub(crate) fn read() -> Option<Self> {
        let root = std::env::var_os("WATCHFIRE_SHARED").map_or_else(|| PathBuf::from("../shared"), PathBuf::from);
        let path = root.join("data/node-1hz-30m.txt.gz");
        let Ok(packed) = std::fs::read(&path) else {
            println!("SKIPPED: no node data at {}", path.display());
            return None;
        };
        let mut text = String::new();
        flate2::read::GzDecoder::new(&packed[..]).read_to_string(&mut text).expect("gzip");
        let (names, ticks) = parse(&text);
        Some(Self { names, ticks, rounds: ROUNDS })
    }

    fn span(&self) -> i64 {
        self.ticks[self.ticks.len() - 1].0 - self.ticks[0].0 + 1000
    }

    /// How long all rounds are.
    pub(crate) fn span_ms(&self) -> i64 {
        self.rounds * self.span()
    }

    /// Calls `each` with the time and the values of every tick of every round.
    pub(crate) fn scrapes(&self, start: Timestamp, mut each: impl FnMut(Timestamp, &[f64])) {
        for round in 0..self.rounds {
            for (ts, values) in &self.ticks {
                each(start + ts - self.ticks[0].0 + round * self.span(), values);
            }
        }
    }

    /// Writes all rounds as the daemon would.
    pub(crate) fn fill(&self, setup: &Setup, start: Timestamp) -> Work {
        let mut work = Work::default();
        let mut batch = Batch::new(GroupId(1), start);
        self.scrapes(start, |ts, values| {
            batch.ts = ts;
            batch.floats.clear();
            let there = values.iter().enumerate().filter(|(_, v)| !v.is_nan());
            batch.floats.extend(there.map(|(i, v)| (SeriesRef(i as u32), *v)));
            setup.append(&batch);
            if (ts / 1000) % 30 == 0 {
                setup.ring.commit().expect("commits");
                work.add(&setup.maintain());
            }
        });
        work
    }
}

pub(crate) fn bench() {
    let Some(node) = Node::read() else { return };
    let first = node.ticks[0].0;
    let setup = Setup::new(&node.names, first);
    let mut work = node.fill(&setup, first);
    setup.clock.set(first + node.span_ms() + 2 * 3_600_000);
    work.add(&setup.maintain());
    print_bytes("node data × 20", &setup, &work);
    let hour = first + 3 * node.span();
    decode(&setup, (hour, hour + 3_600_000));
    moments(&setup, hour);
    columns(&setup, &node.names, (hour, hour + 3_600_000));
}

/// The newest sample of all series at moments of a merged hour.
fn moments(setup: &Setup, within: Timestamp) {
    let begin = within - within.rem_euclid(3_600_000);
    for minutes in [1, 15, 30, 59] {
        let at = begin + minutes * 60_000;
        let mut best = Duration::MAX;
        let mut found = (0, 0);
        for _ in 0..50 {
            let watch = Stopwatch::start();
            let selection = setup.select(&[], at - 300_000 + 1, at, true);
            best = best.min(watch.elapsed());
            found = size(&selection);
        }
        println!(
            "a moment {minutes} minutes into a merged hour at 1 Hz: {best:?} for {} series ({:.0} ns/series)",
            found.1,
            per(best, found.1)
        );
    }
}

/// An hour of each column: decoding alone.
fn decode(setup: &Setup, (start, end): (Timestamp, Timestamp)) {
    let found = setup.select(&[], start, end, false);
    let (mut all, mut varying): (Duration, Vec<(Duration, usize)>) = (Duration::ZERO, Vec::new());
    for piece in &found.pieces {
        let Cells::Lent(lender) = &piece.cells else { continue };
        let (mut room, mut cells) = (LenderRoom::default(), Vec::new());
        for k in 0..lender.rows() {
            let one = |cells: &mut Vec<f64>, room: &mut LenderRoom| {
                cells.clear();
                let watch = Stopwatch::start();
                lender.append(k, cells, room);
                watch.elapsed()
            };
            let best = (0..15).map(|_| one(&mut cells, &mut room)).min().unwrap_or_default();
            all += best;
            if cells.windows(2).any(|pair| pair[0].to_bits() != pair[1].to_bits()) {
                varying.push((best, cells.len()));
            }
        }
    }
    let (series, samples) = size(&found);
    println!("decoding an hour of {series} node series: {:.2} ns/sample", per(all, samples));
    // Pieces that hold part of the hour count as columns of their own.
    varying.sort_by_key(|(took, cells)| took.as_nanos() / (*cells).max(1) as u128);
    let hour = |(took, cells): &(Duration, usize)| took.mul_f64(3600.0 / (*cells).max(1) as f64);
    if let (Some(median), Some(most)) = (varying.get(varying.len() / 2), varying.last()) {
        println!(
            "decoding an hour of one of {} varying columns: median {:?}, most {:?}",
            varying.len(),
            hour(median),
            hour(most)
        );
    }
}

/// An hour of each column that varies, asked for one by one: finding, reading, checking and decoding it.
fn columns(setup: &Setup, names: &[Labels], (start, end): (Timestamp, Timestamp)) {
    let mut took: Vec<Duration> = Vec::new();
    for labels in names {
        let matchers: Vec<Matcher> = labels.iter().map(|(name, value)| Matcher::equal(name, value)).collect();
        let (mut room, mut cells) = (LenderRoom::default(), Vec::new());
        let mut one = || {
            let watch = Stopwatch::start();
            let found = setup.select(&matchers, start, end, false);
            cells.clear();
            for piece in &found.pieces {
                if let Cells::Lent(lender) = &piece.cells {
                    lender.append(0, &mut cells, &mut room);
                }
            }
            let varies = cells.windows(2).any(|pair| pair[0].to_bits() != pair[1].to_bits());
            (watch.elapsed(), varies)
        };
        if one().1 {
            took.extend((0..15).map(|_| one().0).min());
        }
    }
    took.sort_unstable();
    if let (Some(median), Some(most)) = (took.get(took.len() / 2), took.last()) {
        println!("asking for an hour of one of {} varying columns: median {median:?}, most {most:?}", took.len());
    }
}

fn parse(text: &str) -> (Vec<Labels>, Vec<(Timestamp, Vec<f64>)>) {
    let mut names = Vec::new();
    let mut columns: Vec<Vec<(Timestamp, f64)>> = Vec::new();
    for line in text.lines() {
        if let Some(series) = line.strip_prefix("#series ") {
            names.push(labels(series));
            columns.push(Vec::new());
        } else if let (Some((ts, value)), Some(column)) = (line.split_once(' '), columns.last_mut()) {
            let ts = (ts.parse::<f64>().expect("a time") * 1000.0).round() as Timestamp;
            column.push((ts, value.parse().expect("a value")));
        }
    }
    let mut ticks: BTreeMap<Timestamp, Vec<f64>> = BTreeMap::new();
    for (i, column) in columns.iter().enumerate() {
        for (ts, value) in column {
            ticks.entry(*ts).or_insert_with(|| vec![f64::NAN; columns.len()])[i] = *value;
        }
    }
    (names, ticks.into_iter().collect())
}

/// Reads `name{a="b",c="d"}`; the data has no escapes that matter here.
fn labels(text: &str) -> Labels {
    let (name, rest) = text.split_once('{').unwrap_or((text, ""));
    let mut pairs = vec![("__name__", name)];
    for pair in rest.trim_end_matches('}').split("\",") {
        if let Some((name, value)) = pair.split_once("=\"") {
            pairs.push((name, value.trim_end_matches('"')));
        }
    }
    Labels::from_pairs(&pairs)
}
