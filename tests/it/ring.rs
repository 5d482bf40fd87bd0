//! Long lives of a ring, by a clock that a test moves: a month on a real file under load, and a year.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use watchfire::archive::for_each_series;
use watchfire::clock::{Clock, ManualClock};
use watchfire::model::{Batch, GroupId, Intern, Labels, Matcher, SeriesRef, Timestamp, Value};
use watchfire::promql::{Engine, QueryOptions, QueryValue};
use watchfire::registry::SeriesTable;
use watchfire::storage::{
    Column, Config, Durability, Progress, Ring, RingStats, SelectRequest, Stop, StorageError, verify,
};

use crate::support::temp_dir;

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
/// The first tick: any time on the grid of days.
const BEGIN: Timestamp = 20_000 * DAY;

/// What a series is at a time: noise that anybody can work out again. No two ticks of a series are alike, so that an answer shows
/// which tick each sample is of.
fn value(series: u64, ts: Timestamp) -> f64 {
    let mixed = (ts as u64 / 1000).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ series.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    ((mixed ^ (mixed >> 29)) >> 12) as f64
}

fn labels(series: u64, generation: i64) -> Labels {
    Labels::from_pairs(&[("__name__", "m"), ("i", &series.to_string()), ("generation", &generation.to_string())])
}

fn number(labels: &Labels) -> u64 {
    labels.get("i").parse().expect("ours")
}

/// A ring and who fills it.
struct Life {
    ring: Ring,
    table: Arc<SeriesTable>,
    clock: ManualClock,
    series: u64,
    step: i64,
    /// The references of a generation.
    references: Mutex<(i64, Vec<SeriesRef>)>,
    /// The newest tick that was appended.
    newest: AtomicI64,
}

impl Life {
    fn begin(config: Config, series: u64, step: i64) -> Self {
        let (clock, table) = (ManualClock::new(BEGIN), Arc::<SeriesTable>::default());
        let ring = Ring::open(config, Clock::Manual(clock.clone()), table.clone()).expect("opens");
        Self { ring, table, clock, series, step, references: Mutex::default(), newest: AtomicI64::new(BEGIN - step) }
    }

    /// One tick of all series. The last one has another label in each generation.
    fn tick(&self, generation: i64) -> Timestamp {
        let ts = self.newest.load(Ordering::Acquire) + self.step;
        self.clock.set(ts);
        let mut known = self.references.lock().expect("nobody panics here");
        if known.0 != generation || known.1.is_empty() {
            let last = |series| if series + 1 == self.series { generation } else { 0 };
            let intern = |series| self.table.intern_labels(&labels(series, last(series))).expect("few series");
            *known = (generation, (0..self.series).map(intern).collect());
        }
        let mut batch = Batch::new(GroupId(1), ts);
        batch.floats.extend(known.1.iter().zip(0..).map(|(reference, series)| (*reference, value(series, ts))));
        self.ring.append(&batch).expect("memory takes it");
        self.newest.store(ts, Ordering::Release);
        ts
    }

    fn maintain(&self, now: Timestamp) {
        while self.ring.maintain(now).expect("the disk works") == Progress::More {}
    }

    /// Samples of each series within bounds, by number; each is checked to be what it was.
    fn select(&self, only: Option<u64>, start: Timestamp, end: Timestamp) -> BTreeMap<u64, Vec<Timestamp>> {
        let matchers = only.map(|series| Matcher::equal("i", &series.to_string())).into_iter().collect();
        let stop = Stop::never();
        let request = SelectRequest { matchers, start, end, last_only: false, max_samples: 50_000_000, stop };
        let mut all: BTreeMap<u64, Vec<Timestamp>> = BTreeMap::new();
        for found in self.ring.select_raw(&request).expect("an answer").into_series() {
            let (series, list) = (number(&found.labels), all.entry(number(&found.labels)).or_default());
            for run in &found.runs {
                assert!(matches!(run.values, Column::Floats(_)));
                let (mut times, mut values) = (Vec::new(), Vec::new());
                run.floats_into(&mut times, &mut values);
                for (ts, found) in times.iter().zip(values) {
                    assert_eq!(found, value(series, *ts), "series {series} at {ts}");
                }
                list.extend(times);
            }
        }
        // Generations of one series follow each other.
        all.values_mut().for_each(|times| times.sort_unstable());
        all
    }

    /// A whole answer: every tick from the oldest that is kept to the end, and all series the same ones.
    fn check_answer(&self, only: Option<u64>, start: Timestamp, end: Timestamp) -> usize {
        let end = end.min(self.newest.load(Ordering::Acquire));
        let found = self.select(only, start, end);
        // While the answer was made, the oldest segments may have gone: what it lacks must be older than what is left.
        let oldest = self.ring.stats().oldest.unwrap_or(Timestamp::MAX);
        let mut samples = 0;
        let first = found.values().next().and_then(|times| times.first()).copied();
        assert!(first.is_some() || end < oldest, "{start}..={end}: nothing, and {oldest} is there");
        let Some(first) = first else { return 0 };
        assert!(first - self.step < start.max(oldest), "{start}..={end} begins at {first}, {oldest} is there");
        let wanted = if only.is_some() { 1 } else { self.series as usize };
        assert_eq!(found.len(), wanted);
        for (series, times) in &found {
            samples += times.len();
            check_whole(times, first, end, self.step, &format!("series {series}, {start}..={end}"));
        }
        samples
    }
}

/// Every tick from `first` to the last one at or before `end`.
fn check_whole(times: &[Timestamp], first: Timestamp, end: Timestamp, step: i64, context: &str) {
    assert_eq!(times.first(), Some(&first), "{context}: all series begin together");
    let gap = times.windows(2).find(|pair| pair[1] - pair[0] != step);
    assert_eq!(gap, None, "{context}: a gap");
    assert!(times.last().is_some_and(|last| end - last < step), "{context}: ends at {:?}", times.last());
}

/// What the file may take: its limit and one segment.
fn check_size(stats: &RingStats, limit: u64, largest: u64) {
    assert!(
        stats.disk_bytes <= limit + largest,
        "{} bytes of blocks, {limit} and {largest}: {stats:?}",
        stats.disk_bytes
    );
}

fn largest_segment(ring: &Ring) -> u64 {
    ring.segments().iter().map(|segment| segment.page_bytes).max().unwrap_or(0)
}

/// Starts helpers as often as `every` so many ticks.
struct Signal {
    every: i64,
    send: SyncSender<()>,
}

impl Signal {
    fn new(every: i64) -> (Self, Receiver<()>) {
        let (send, receive) = sync_channel(1);
        (Self { every, send }, receive)
    }

    fn tick(&self, n: i64) {
        if n % self.every == 0 {
            // Whoever is still busy with the last one leaves this one out.
            let _ = self.send.try_send(());
        }
    }
}

/// A day of these samples is noise, and its rollups are nearly as large: both must fit, and turn over.
const MONTH_LIMIT: u64 = 16 << 20;
const MONTH_STEP: i64 = 30_000;

/// 64 series, a tick every thirty seconds; the ring turns over several times, while queries, exports and snapshots go on.
#[test]
fn a_simulated_month_stays_within_its_size() {
    let dir = temp_dir();
    let config = Config {
        path: dir.path().join("ring"),
        retention_size_bytes: MONTH_LIMIT,
        // Rows are written once in five minutes, or fsync would take most of the time.
        durability: Durability::Relaxed,
        relaxed_interval: Duration::from_secs(300),
        ..Config::default()
    };
    let life = Life::begin(config, 64, MONTH_STEP);
    let (answers, copies) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let (queries, asked) = Signal::new(200);
    let (snapshots, copied) = Signal::new(11_000);
    let (exports, exported) = Signal::new(15_000);
    let (mut largest_file, mut checks) = (0, 0);
    std::thread::scope(|scope| {
        let (life, answers, copies) = (&life, &answers, &copies);
        scope.spawn(move || {
            for (n, ()) in asked.iter().enumerate() {
                answers.fetch_add(ask(life, n as i64), Ordering::Relaxed);
            }
        });
        let path = dir.path().join("copy");
        scope.spawn(move || {
            for () in copied {
                check_snapshot(life, &path);
                copies.fetch_add(1, Ordering::Relaxed);
            }
        });
        scope.spawn(move || {
            for () in exported {
                check_export(life);
                copies.fetch_add(1, Ordering::Relaxed);
            }
        });
        for n in 0..30 * DAY / MONTH_STEP {
            let now = life.tick(0);
            life.ring.commit().expect("the disk works");
            if n % 20 == 0 {
                life.maintain(now);
                let stats = life.ring.stats();
                largest_file = largest_file.max(stats.disk_bytes);
                check_size(&stats, MONTH_LIMIT, largest_segment(&life.ring));
                checks += 1;
            }
            [&queries, &snapshots, &exports].into_iter().for_each(|signal| signal.tick(n));
        }
        drop((queries, snapshots, exports));
    });
    let stats = life.ring.stats();
    let counters = life.ring.counters();
    let written = counters.samples.load(Ordering::Relaxed) as f64 / stats.segment_samples as f64;
    eprintln!(
        "a month: {checks} checks, {largest_file} bytes of blocks at most, turned over {written:.1} times, {} samples answered, {} copies",
        answers.load(Ordering::Relaxed),
        copies.load(Ordering::Relaxed)
    );
    assert!(written > 3.0 && counters.retired.load(Ordering::Relaxed) > 50, "the ring turned over: {stats:?}");
    assert!(counters.merged.load(Ordering::Relaxed) > 1000 && largest_file > MONTH_LIMIT / 2, "{stats:?}");
    assert!(answers.load(Ordering::Relaxed) > 100_000 && copies.load(Ordering::Relaxed) >= 4);
    life.check_answer(None, Timestamp::MIN, Timestamp::MAX);
    life.ring.shutdown().expect("closes");
    assert_eq!(verify(&dir.path().join("ring"), &mut |_, _| {}).expect("opens").findings, []);
}

/// One query: all series for up to two hours, or one for days; often where the oldest segment is about to go.
fn ask(life: &Life, n: i64) -> usize {
    let stats = life.ring.stats();
    let (Some(oldest), newest) = (stats.oldest, life.newest.load(Ordering::Acquire)) else { return 0 };
    let chance = (n * 7919 % 100) as f64 / 100.0;
    let within = oldest + ((newest - oldest) as f64 * chance) as i64;
    match n % 4 {
        0 => life.check_answer(None, oldest - HOUR, oldest + HOUR),
        1 => life.check_answer(None, within, within + HOUR),
        2 => life.check_answer(Some(n as u64 % 64), oldest - DAY, within),
        _ => life.check_answer(Some(n as u64 % 64), within, newest),
    }
}

/// A copy of the ring is whole, and an export of it has every tick from its oldest to its newest.
fn check_snapshot(life: &Life, path: &Path) {
    life.ring.snapshot(path).expect("a copy");
    assert_eq!(verify(path, &mut |_, _| {}).expect("opens").findings, []);
    let copy = Ring::look(path, Clock::Manual(life.clock.clone())).expect("opens");
    let mut all: BTreeMap<u64, Vec<Timestamp>> = BTreeMap::new();
    read(&copy, &mut |series, ts| all.entry(series).or_default().push(ts));
    let stats = copy.stats();
    let (oldest, newest) = (stats.oldest.expect("samples"), stats.newest.expect("samples"));
    assert_eq!(all.len() as u64, life.series);
    for (series, times) in &all {
        check_whole(times, oldest, newest, life.step, &format!("series {series} of a copy"));
    }
    drop(copy);
    std::fs::remove_dir_all(path).expect("removes");
}

/// An export of the ring itself, while segments go: each sample is right and in order.
fn check_export(life: &Life) {
    let mut last = (0, Timestamp::MIN);
    read(&life.ring, &mut |series, ts| {
        assert!(series != last.0 || ts > last.1, "series {series}: {ts} after {}", last.1);
        last = (series, ts);
    });
    assert!(last.1 >= BEGIN, "the first export may see the first tick alone");
}

/// Every sample as an export sees it.
fn read(ring: &Ring, each: &mut dyn FnMut(u64, Timestamp)) {
    for_each_series::<StorageError>(ring, &[], (Timestamp::MIN, Timestamp::MAX), &mut |labels, samples| {
        let series = number(labels);
        for sample in samples {
            assert!(matches!(sample.value, Value::Float(found) if found == value(series, sample.ts)));
            each(series, sample.ts);
        }
        Ok(())
    })
    .expect("an export");
}

/// Set in the process that lives the year: what it takes is not mixed up with other tests.
const ALONE: &str = "WATCHFIRE_TEST_YEAR";
const YEAR_LIMIT: u64 = 6 << 20;
const YEAR_STEP: i64 = 60_000;
const YEAR_SERIES: u64 = 8;
/// Every week one series takes another label.
const GENERATION: i64 = 7 * DAY;

#[test]
fn a_simulated_year_stays_small() {
    if std::env::var_os(ALONE).is_some() {
        return live_a_year();
    }
    let program = std::env::current_exe().expect("a test is a program");
    let test = ["--exact", "ring::a_simulated_year_stays_small", "--nocapture"];
    let out = Command::new(program).args(test).env(ALONE, "1").output().expect("runs");
    let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "{said}");
    said.lines().filter(|line| line.contains("a year")).for_each(|line| eprintln!("{line}"));
}

/// Resident memory of this process in bytes.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).map_or(0, |pages| pages * 4096)
}

/// One commit a simulated minute.
fn live_a_year() {
    // Half a million commits: memory, where there is some, spares them the disk's fsync.
    let dir = tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| temp_dir());
    let config = Config {
        path: dir.path().join("ring"),
        retention_size_bytes: YEAR_LIMIT,
        retention_time: Duration::from_secs(2 * 365 * 86_400),
        // Half an hour of eight series is little enough for a segment.
        window: Duration::from_secs(1800),
        merged_span: Duration::from_secs(6 * 3600),
        // A commit writes its rows, and none of them waits for a disk.
        durability: Durability::Relaxed,
        relaxed_interval: Duration::from_secs(3600),
        ..Config::default()
    };
    let life = Life::begin(config, YEAR_SERIES, YEAR_STEP);
    let (mut settled, mut largest_file, mut most) = (0, 0, RingStats::default());
    for n in 0..365 * DAY / YEAR_STEP {
        let now = life.tick((n * YEAR_STEP).div_euclid(GENERATION));
        life.ring.commit().expect("the disk works");
        if n % 10 == 0 {
            life.maintain(now);
        }
        if n % 60 == 31 {
            let stats = life.ring.stats();
            check_size(&stats, YEAR_LIMIT, largest_segment(&life.ring));
            largest_file = largest_file.max(stats.disk_bytes);
            most.head_bytes = most.head_bytes.max(stats.head_bytes);
            most.head_series = most.head_series.max(stats.head_series);
            most.segments = most.segments.max(stats.segments);
        }
        if n % (DAY / YEAR_STEP) == 0 {
            let end = now - (n * 7919) % (20 * DAY);
            life.check_answer(Some(n as u64 % (YEAR_SERIES - 1)), end - HOUR, end);
        }
        // By then the ring has turned over.
        if n == 120 * DAY / YEAR_STEP {
            settled = resident();
        }
    }
    let grown = resident().saturating_sub(settled);
    eprintln!(
        "a year: {largest_file} bytes of blocks, {} bytes and {} series in memory, {} segments at most; {grown} bytes more memory in the last 245 days",
        most.head_bytes, most.head_series, most.segments
    );
    assert!(most.head_bytes < 1 << 20, "{most:?}");
    // Seven that stay, and one for each week that the ring remembers.
    let weeks = (life.newest.load(Ordering::Relaxed) - life.ring.stats().oldest.unwrap_or(BEGIN)) / GENERATION;
    assert!(most.head_series as i64 <= 7 + weeks + 30, "{most:?}, {weeks} weeks");
    assert!(grown < 16 << 20, "{grown}");
    check_end(&life);
    life.ring.shutdown().expect("closes");
    assert_eq!(verify(&dir.path().join("ring"), &mut |_, _| {}).expect("opens").findings, []);
}

/// What is left at the end of the year is whole and right: the newest samples, and rollups of all the others.
fn check_end(life: &Life) {
    let samples = life.check_answer(None, Timestamp::MIN, Timestamp::MAX);
    assert!(samples > 10_000, "{samples}");
    let newest = life.newest.load(Ordering::Acquire);
    let oldest = life.ring.stats().oldest.expect("samples");
    assert!(oldest > BEGIN + 200 * DAY, "raw samples of the first months are gone");
    let engine = Engine::default();
    for (function, fold) in [
        ("sum_over_time", (|all: &[f64]| all.iter().sum()) as fn(&[f64]) -> f64),
        ("max_over_time", |all| all.iter().copied().fold(f64::MIN, f64::max)),
        ("count_over_time", |all| all.len() as f64),
        ("last_over_time", |all| all.last().copied().unwrap_or(f64::NAN)),
    ] {
        let expr = engine.parse(&format!("{function}(m{{i=\"3\"}}[1d])")).expect("parses");
        let day = Duration::from_millis(DAY as u64);
        let answer = engine.range(&life.ring, &expr, BEGIN, newest, day, &QueryOptions::default()).expect("an answer");
        let QueryValue::Matrix(series) = &answer.value else { panic!("a range query") };
        assert_eq!(series.len(), 1, "{function}");
        assert!(series[0].floats.len() >= 360, "{function}: {} days of 365", series[0].floats.len());
        for (end, found) in &series[0].floats {
            let ticks = (end - DAY + YEAR_STEP..=*end).step_by(YEAR_STEP as usize);
            let values: Vec<f64> = ticks.filter(|ts| *ts >= BEGIN).map(|ts| value(3, ts)).collect();
            let expected = fold(&values);
            assert!((found - expected).abs() <= 1e-9 * expected.abs(), "{function} at {end}: {found}, not {expected}");
        }
    }
}
