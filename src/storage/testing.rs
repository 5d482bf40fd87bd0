//! What the room's tests share.

/// A seeded generator (xorshift64*), so that a failing case can be run again.
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

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, ManualClock};
use crate::model::{Batch, GroupId, Intern, Labels, Matcher, SeriesRef, Timestamp, is_absent};
pub(crate) use crate::registry::SeriesTable;

use super::{Column, Config, Querier, Ring, SelectRequest, Stop};

/// The reference of a series that a test names.
pub(crate) fn of(table: &SeriesTable, labels: &Labels) -> SeriesRef {
    table.intern_labels(labels).expect("tests have few series")
}

/// `m{i="N"}`.
pub(crate) fn labels(i: u64) -> Labels {
    Labels::from_pairs(&[("__name__", "m"), ("i", &i.to_string()), ("odd", if i % 2 == 1 { "yes" } else { "" })])
}

/// A ring in a directory of its own that can be closed, killed and opened again.
pub(crate) struct Bench {
    pub(crate) clock: ManualClock,
    pub(crate) names: Arc<SeriesTable>,
    pub(crate) config: Config,
    pub(crate) ring: Option<Ring>,
    _dir: tempfile::TempDir,
}

impl Bench {
    /// Windows of ten seconds, sealed a second after their end, kept fifteen seconds in memory.
    pub(crate) fn new() -> Self {
        // Thousands of commits: memory, where there is some, spares them the disk's fsync.
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let config = Config {
            path: dir.path().join("ring"),
            window: Duration::from_secs(10),
            seal_delay: Duration::from_secs(1),
            head_span: Duration::from_secs(15),
            // Tests of rollups turn them on.
            rollups: [Duration::ZERO; 3],
            ..Config::default()
        };
        let mut bench = Self { clock: ManualClock::new(0), names: Arc::default(), config, ring: None, _dir: dir };
        bench.open();
        bench
    }

    pub(crate) fn open(&mut self) {
        // A new run knows nothing of the old references.
        self.names = Arc::default();
        let clock = Clock::Manual(self.clock.clone());
        self.ring = Some(Ring::open(self.config.clone(), clock, self.names.clone()).unwrap());
    }

    /// Drops the ring without a word, as SIGKILL does, and opens it again.
    pub(crate) fn kill_and_open(&mut self) {
        self.ring = None;
        self.open();
    }

    pub(crate) fn ring(&self) -> &Ring {
        self.ring.as_ref().unwrap()
    }

    /// One tick of group 1.
    pub(crate) fn tick(&self, ts: Timestamp, samples: &[(u64, f64)]) {
        let mut batch = Batch::new(GroupId(1), ts);
        batch.floats = samples.iter().map(|(i, v)| (of(&self.names, &labels(*i)), *v)).collect();
        self.ring().append(&batch).unwrap();
    }

    /// Does everything that is due.
    pub(crate) fn maintain(&self, now: Timestamp) {
        self.clock.set(now);
        while self.ring().maintain(now).unwrap() == super::Progress::More {}
    }

    /// All samples as `i@ts=value` words.
    pub(crate) fn dump(&self, start: Timestamp, end: Timestamp) -> String {
        let mut words = Vec::new();
        for (labels, ts, value) in select(self.ring(), &[], start, end, false) {
            let text = if crate::model::is_stale(value) { "stale".to_owned() } else { value.to_string() };
            words.push(format!("{}@{ts}={text}", labels.get("i")));
        }
        words.join(" ")
    }
}

/// All float samples of a selection, and a check that its runs keep their promises.
pub(crate) fn select(
    ring: &Ring,
    matchers: &[Matcher],
    start: Timestamp,
    end: Timestamp,
    last_only: bool,
) -> Vec<(Labels, Timestamp, f64)> {
    let request =
        SelectRequest { matchers: matchers.to_vec(), start, end, last_only, max_samples: 1 << 30, stop: Stop::never() };
    let found = ring.select(&request).unwrap().into_series();
    assert!(found.is_sorted_by(|a, b| a.labels < b.labels), "sorted by labels, each once");
    let mut all = Vec::new();
    for series in found {
        let mut last = Timestamp::MIN;
        for run in &series.runs {
            let Column::Floats(column) = &run.values else { panic!("only floats here") };
            assert!(run.times.len() == column.len() && run.from < run.to && run.to <= run.times.len());
            let (mut times, mut values) = (Vec::new(), Vec::new());
            run.floats_into(&mut times, &mut values);
            for (ts, value) in times.into_iter().zip(values) {
                assert!(ts > last && (start..=end).contains(&ts), "{ts} after {last} in {start}..={end}");
                last = ts;
                all.push((series.labels.clone(), ts, value));
            }
        }
    }
    all
}

/// Labels, time, start timestamp, and the value's bits or text.
pub(crate) type Answer = Vec<(Labels, Timestamp, Timestamp, String)>;

/// All samples that a ring has.
pub(crate) fn everything(ring: &Ring) -> Answer {
    let request = SelectRequest {
        matchers: vec![],
        start: 0,
        end: 1 << 40,
        last_only: false,
        max_samples: 1 << 20,
        stop: Stop::never(),
    };
    let found = ring.select(&request).unwrap();
    let mut all = Answer::new();
    for series in found.into_series() {
        for run in series.runs {
            for at in run.from..run.to {
                let text = match &run.values {
                    Column::Floats(floats) if is_absent(floats[at]) => continue,
                    Column::Floats(floats) => format!("{:x}", floats[at].to_bits()),
                    Column::Histograms(histograms) => match &histograms[at] {
                        Some(histogram) => format!("{histogram:?}"),
                        None => continue,
                    },
                };
                let start = run.start_times.as_ref().map_or(0, |starts| starts[at]);
                all.push((series.labels.clone(), run.times[at], start, text));
            }
        }
    }
    all.sort();
    all
}
