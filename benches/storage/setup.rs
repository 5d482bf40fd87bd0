//! A ring with a clock of its own, and how its work is measured.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use watchfire::clock::{Clock, ManualClock, Stopwatch};
use watchfire::model::{Batch, GroupId, Intern, Labels, Matcher, SeriesRef, Timestamp};
use watchfire::registry::SeriesTable;
use watchfire::storage::{Cells, Config, LenderRoom, Progress, Querier, Ring, SelectRequest, Selection, Stop};

/// A round moment.
pub(crate) const START: Timestamp = 1_795_300_800_000;

/// A ring whose references are the places of their label sets.
pub(crate) struct Setup {
    pub(crate) ring: Ring,
    pub(crate) clock: ManualClock,
    pub(crate) config: Config,
    pub(crate) table: Arc<SeriesTable>,
    pub(crate) dir: Option<tempfile::TempDir>,
}

impl Setup {
    /// In a temporary directory.
    pub(crate) fn new(names: &[Labels], now: Timestamp) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let config = Config { path: dir.path().to_path_buf(), ..Config::default() };
        Self { dir: Some(dir), ..Self::with(config, names, now) }
    }

    /// In a directory that stays.
    pub(crate) fn at(dir: &Path, size: u64, names: &[Labels], now: Timestamp) -> Self {
        let config = Config { path: dir.to_path_buf(), retention_size_bytes: size, ..Config::default() };
        Self::with(config, names, now)
    }

    fn with(config: Config, names: &[Labels], now: Timestamp) -> Self {
        let clock = ManualClock::new(now);
        let table = Arc::<SeriesTable>::default();
        for (n, labels) in names.iter().enumerate() {
            assert_eq!(table.intern_labels(labels), Some(SeriesRef(n as u32)), "{labels}");
        }
        let ring = Ring::open(config.clone(), Clock::Manual(clock.clone()), table.clone()).expect("opens");
        Self { ring, clock, config, table, dir: None }
    }

    /// Appends a tick at its time.
    pub(crate) fn append(&self, batch: &Batch) {
        self.clock.set(batch.ts);
        self.ring.append(batch).expect("appends");
    }

    /// Does everything that is due; adds up what it took.
    pub(crate) fn maintain(&self) -> Work {
        let mut work = Work::default();
        let merged = || self.ring.counters().merged.load(Ordering::Relaxed);
        let sealed = || self.ring.counters().sealed.load(Ordering::Relaxed);
        loop {
            let before = (sealed(), merged());
            let (watch, cpu) = (Stopwatch::start(), cpu_time());
            let progress = self.ring.maintain(self.now()).expect("maintains");
            let (took, cpu) = (watch.elapsed(), cpu_time() - cpu);
            work.pending += cpu;
            if before == (sealed(), merged()) {
                work.longest = work.longest.max(cpu);
            } else {
                work.longest_commit = (work.longest_commit.0.max(cpu), work.longest_commit.1.max(took));
                let kind = if merged() == before.1 { &mut work.sealing } else { &mut work.merging };
                *kind += std::mem::take(&mut work.pending);
            }
            if progress == Progress::Idle {
                return work;
            }
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        Clock::Manual(self.clock.clone()).now()
    }

    pub(crate) fn select(&self, matchers: &[Matcher], start: Timestamp, end: Timestamp, last_only: bool) -> Selection {
        let request = SelectRequest {
            matchers: matchers.to_vec(),
            start,
            end,
            last_only,
            max_samples: 1 << 30,
            stop: Stop::never(),
        };
        self.ring.select(&request).expect("selects")
    }
}

/// A tick of all series, without values.
pub(crate) fn empty_tick(series: usize) -> Batch {
    let mut batch = Batch::new(GroupId(1), 0);
    batch.floats = (0..series).map(|i| (SeriesRef(i as u32), 0.0)).collect();
    batch
}

/// Rows and places of a selection.
pub(crate) fn size(found: &Selection) -> (usize, usize) {
    (found.labels.len(), found.pieces.iter().map(|p| p.rows.len() * p.times.len()).sum())
}

/// Puts every row together, as an aggregation does: what lies in segments is decoded now.
pub(crate) fn read_all(found: &Selection) {
    let (mut room, mut cells) = (LenderRoom::default(), Vec::new());
    for piece in &found.pieces {
        if let Cells::Lent(lender) = &piece.cells {
            for k in 0..lender.rows() {
                cells.clear();
                lender.append(k, &mut cells, &mut room);
                std::hint::black_box(&cells);
            }
        }
    }
}

/// What maintenance took, in CPU time of its thread: the machine may have others to run.
#[derive(Debug, Default)]
pub(crate) struct Work {
    pub(crate) sealing: Duration,
    pub(crate) merging: Duration,
    /// Of the job that is under way.
    pending: Duration,
    /// The longest slice without a transaction.
    longest: Duration,
    /// The longest transaction: CPU time, and time with its fsync.
    longest_commit: (Duration, Duration),
}

impl Work {
    pub(crate) fn add(&mut self, other: &Self) {
        self.sealing += other.sealing;
        self.merging += other.merging;
        self.longest = self.longest.max(other.longest);
        let (cpu, took) = other.longest_commit;
        self.longest_commit = (self.longest_commit.0.max(cpu), self.longest_commit.1.max(took));
    }

    pub(crate) fn print(&self, name: &str, samples: usize) {
        println!(
            "{name}: sealing {:.1} ns/sample, merging {:.1} ns/sample, longest slice {:?} of CPU; longest transaction {:?} of CPU, {:?} with fsync",
            per(self.sealing, samples),
            per(self.merging, samples),
            self.longest,
            self.longest_commit.0,
            self.longest_commit.1
        );
    }
}

/// Prints bytes a sample and the work behind them.
pub(crate) fn print_bytes(name: &str, setup: &Setup, work: &Work) {
    let stats = setup.ring.stats();
    let per_sample = |bytes: u64| bytes as f64 / stats.segment_samples as f64;
    println!(
        "{name}: {} samples, {:.4} bytes/sample ({:.4} end to end: with pages, indexes and series table) in {} segments, file {:.1} MB",
        stats.segment_samples,
        per_sample(stats.segment_bytes),
        per_sample(stats.segment_page_bytes),
        stats.segments,
        stats.disk_bytes as f64 / 1e6
    );
    println!(
        "{name}: rollups {:.4} bytes/sample more, in {} segments",
        per_sample(stats.rollup_page_bytes),
        stats.rollup_segments
    );
    work.print(name, stats.segment_samples as usize);
}

/// CPU time of this thread.
pub(crate) fn cpu_time() -> Duration {
    cpu_clock(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// CPU time of this process.
pub(crate) fn process_cpu_time() -> Duration {
    cpu_clock(libc::CLOCK_PROCESS_CPUTIME_ID)
}

/// A clock of CPU time.
pub(crate) fn cpu_clock(clock: libc::clockid_t) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a timespec that the call may write to.
    let result = unsafe { libc::clock_gettime(clock, &raw mut time) };
    assert_eq!(result, 0, "every Linux has these clocks");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

pub(crate) fn per(took: Duration, things: usize) -> f64 {
    took.as_nanos() as f64 / things.max(1) as f64
}

/// A generator of numbers that come out the same each time (xorshift64*).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// From 0 to below 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Normal, mean 0, variance 1: twelve uniforms.
    pub(crate) fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }

    /// Events of a Poisson process with this mean (Knuth below 30, else normal).
    pub(crate) fn poisson(&mut self, mean: f64) -> f64 {
        if mean > 30.0 {
            return (mean + mean.sqrt() * self.normal()).round().max(0.0);
        }
        let limit = (-mean).exp();
        let (mut product, mut events) = (self.unit(), 0.0);
        while product > limit {
            product *= self.unit();
            events += 1.0;
        }
        events
    }
}
