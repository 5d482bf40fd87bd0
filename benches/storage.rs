//! What a sample costs in the ring: appending, sealing, selecting, decoding, and its bytes on disk.
//!
//! `cargo bench --bench storage`. The node data comes from `$WATCHFIRE_SHARED/data`; without it that part is skipped.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use watchfire::clock::{Clock, ManualClock, Stopwatch};
use watchfire::model::{Batch, GroupId, Intern, Irregular, Labels, MatchOp, Matcher, SeriesRef, Timestamp};
use watchfire::registry::SeriesTable;
use watchfire::storage::{Config, Progress, Querier, Ring, SelectRequest, Stop};

/// A ring in a temporary directory with a clock of its own.
struct Setup {
    ring: Ring,
    clock: ManualClock,
    config: Config,
    /// Reference n is the n-th label set.
    table: Arc<SeriesTable>,
    _dir: tempfile::TempDir,
}

impl Setup {
    fn new(names: &[Labels], now: Timestamp) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let config = Config { path: dir.path().to_path_buf(), ..Config::default() };
        let clock = ManualClock::new(now);
        let table = Arc::<SeriesTable>::default();
        for (n, labels) in names.iter().enumerate() {
            assert_eq!(table.intern_labels(labels), Some(SeriesRef(n as u32)), "{labels}");
        }
        let ring = Ring::open(config.clone(), Clock::Manual(clock.clone()), table.clone()).expect("opens");
        Self { ring, clock, config, table, _dir: dir }
    }

    /// Seals everything that is due; returns the time it took and the longest slice.
    fn maintain(&self) -> (Duration, Duration) {
        let (mut total, mut longest) = (Duration::ZERO, Duration::ZERO);
        loop {
            let watch = Stopwatch::start();
            let progress = self.ring.maintain(self.clock_now()).expect("maintains");
            let took = watch.elapsed();
            total += took;
            longest = longest.max(took);
            if progress == Progress::Idle {
                return (total, longest);
            }
        }
    }

    fn clock_now(&self) -> Timestamp {
        Clock::Manual(self.clock.clone()).now()
    }

    /// Series and places of a selection.
    fn select(&self, matchers: &[Matcher], start: Timestamp, end: Timestamp, last_only: bool) -> (usize, usize) {
        let request = SelectRequest {
            matchers: matchers.to_vec(),
            start,
            end,
            last_only,
            max_samples: 1 << 30,
            stop: Stop::never(),
        };
        let found = self.ring.select(&request).expect("selects");
        (found.labels.len(), found.pieces.iter().map(|p| p.rows.len() * p.times.len()).sum())
    }
}

fn per(took: Duration, things: usize) -> f64 {
    took.as_nanos() as f64 / things.max(1) as f64
}

/// A fleet page: a third stands still, a third counts, a third wanders.
fn fleet(series: usize) -> Vec<Labels> {
    let job = |i: usize| format!("job-{}", i % 20);
    (0..series)
        .map(|i| {
            let name = format!("metric_{}_total", i % 100);
            Labels::from_pairs(&[
                ("__name__", &name),
                ("job", &job(i)),
                ("instance", &format!("host-{}:9100", i / 100)),
            ])
        })
        .collect()
}

fn fleet_value(i: usize, tick: i64) -> f64 {
    match i % 3 {
        0 => i as f64,
        1 => (tick * (i as i64 % 17 + 1) + i as i64 * 1000) as f64,
        _ => ((tick * 7919 + i as i64 * 104_729) % 10_000) as f64 / 100.0,
    }
}

fn fleet_bench(series: usize) {
    let start: Timestamp = 1_795_300_800_000;
    let setup = Setup::new(&fleet(series), start);
    let mut batch = Batch::new(GroupId(1), start);
    batch.floats = (0..series).map(|i| (SeriesRef(i as u32), 0.0)).collect();
    let ticks = 600i64;
    let (mut append, mut commit) = (Duration::ZERO, Duration::ZERO);
    let (mut slowest, mut row_bytes) = (Duration::ZERO, 0);
    let mut first = Duration::ZERO;
    for tick in 0..ticks {
        batch.ts = start + tick * 1000;
        setup.clock.set(batch.ts);
        for (i, sample) in batch.floats.iter_mut().enumerate() {
            sample.1 = fleet_value(i, tick);
        }
        let watch = Stopwatch::start();
        setup.ring.append(&batch).expect("appends");
        let took = watch.elapsed();
        row_bytes += setup.ring.stats().pending_bytes;
        let watch = Stopwatch::start();
        setup.ring.commit().expect("commits");
        commit += watch.elapsed();
        if tick == 0 {
            first = took;
        } else {
            append += took;
            slowest = slowest.max(took);
        }
    }
    let samples = series * (ticks - 1) as usize;
    println!(
        "append {series} series: {:.1} ns/sample (head + row); first tick {first:?}, slowest {slowest:?}",
        per(append, samples)
    );
    println!(
        "commit of each tick with fsync: {:.1} ns/sample, {:?} a commit, {:.2} row bytes/sample",
        per(commit, samples),
        commit / ticks as u32,
        row_bytes as f64 / samples as f64
    );
    select_bench(&setup, series, start, ticks);
    let stats = setup.ring.stats();
    println!("head: {:.1} MB in memory, file {:.1} MB", stats.head_bytes as f64 / 1e6, stats.disk_bytes as f64 / 1e6);
    setup.clock.set(start + ticks * 1000 + 60_000);
    let ((took, longest), wait) = longest_wait(&setup.ring, || setup.maintain());
    let stats = setup.ring.stats();
    println!(
        "seal: {:.1} ns/sample, longest slice {longest:?}, longest wait for the head meanwhile {wait:?}, {:.3} bytes/sample",
        per(took, stats.segment_samples as usize),
        stats.segment_bytes as f64 / stats.segment_samples as f64
    );
    replay_bench(setup, start, ticks);
}

/// How long somebody who wants the head had to wait at most while `work` ran.
fn longest_wait<T>(ring: &Ring, work: impl FnOnce() -> T) -> (T, Duration) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let mut longest = Duration::ZERO;
            while !done.load(Ordering::Relaxed) {
                let watch = Stopwatch::start();
                let none = Irregular { series: SeriesRef(0), samples: Vec::new() };
                ring.append_irregular(&[none]).expect("appends");
                longest = longest.max(watch.elapsed());
                std::thread::yield_now();
            }
            longest
        });
        let out = work();
        done.store(true, Ordering::Relaxed);
        (out, waiter.join().expect("no panic"))
    })
}

fn select_bench(setup: &Setup, series: usize, start: Timestamp, ticks: i64) {
    let end = start + ticks * 1000;
    let metric = [Matcher::equal("__name__", "metric_7_total")];
    let cases: [(&str, &[Matcher], Timestamp, bool); 4] = [
        ("instant, one metric", &metric, end - 300_000, true),
        ("instant, everything", &[], end - 300_000, true),
        ("five minutes, one metric", &metric, end - 300_000, false),
        ("ten minutes, everything", &[], start, false),
    ];
    for (name, matchers, from, last_only) in cases {
        let rounds = 20;
        let mut found = (0, 0);
        let watch = Stopwatch::start();
        for _ in 0..rounds {
            found = setup.select(matchers, from, end, last_only);
        }
        let took = watch.elapsed() / rounds;
        println!(
            "select of {series} from the head, {name}: {took:?} for {} series, {} samples ({:.1} ns/series, {:.2} ns/sample)",
            found.0,
            found.1,
            per(took, found.0),
            per(took, found.1)
        );
    }
}

/// Everything of one metric at five seconds, the way a page and its rules read it again and again.
fn refresh_bench(series: usize) {
    let start: Timestamp = 1_795_300_800_000;
    let label = |i: usize| {
        Labels::from_pairs(&[
            ("__name__", "requests_total"),
            ("instance", &format!("host-{}:9100", i / 100)),
            ("path", &format!("/api/{}", i % 100)),
        ])
    };
    let setup = Setup::new(&(0..series).map(label).collect::<Vec<_>>(), start);
    let mut batch = Batch::new(GroupId(1), start);
    let ticks = 780i64;
    for tick in 0..ticks {
        batch.ts = start + tick * 5000;
        setup.clock.set(batch.ts);
        batch.floats = (0..series).map(|i| (SeriesRef(i as u32), fleet_value(i, tick))).collect();
        setup.ring.append(&batch).expect("appends");
        if tick % 12 == 0 {
            setup.ring.commit().expect("commits");
            setup.maintain();
        }
    }
    let now = batch.ts;
    let metric = [Matcher::equal("__name__", "requests_total")];
    let host = [Matcher::equal("__name__", "requests_total"), regex("instance", "host-(3|7):.*")];
    let cases: [(&str, &[Matcher], i64, i64, bool); 7] = [
        ("instant", &metric, 300, 0, true),
        ("instant a minute ago", &metric, 360, 60, true),
        ("instant half an hour ago", &metric, 2100, 1800, true),
        ("a regex, instant", &host, 300, 0, true),
        ("five minutes", &metric, 300, 0, false),
        ("half an hour", &metric, 1800, 0, false),
        ("an hour", &metric, 3600, 0, false),
    ];
    for (name, matchers, from, to, last_only) in cases {
        let rounds = 20;
        let mut best = Duration::MAX;
        let mut found = (0, 0);
        for _ in 0..rounds {
            let watch = Stopwatch::start();
            found = setup.select(matchers, now - from * 1000 + 1, now - to * 1000, last_only);
            best = best.min(watch.elapsed());
        }
        println!(
            "select of {series} at 5 s, {name}: {best:?} for {} series, {} places ({:.1} ns/series, {:.2} ns/place)",
            found.0,
            found.1,
            per(best, found.0),
            per(best, found.1)
        );
    }
}

fn regex(name: &str, pattern: &str) -> Matcher {
    Matcher::new(MatchOp::Regex, name, pattern).expect("compiles")
}

/// Opens the ring anew after one more tick, twice: with only a segment, and with rows of a window.
fn replay_bench(setup: Setup, start: Timestamp, ticks: i64) {
    let Setup { ring, clock, config, table, _dir } = setup;
    let mut batch = Batch::new(GroupId(1), 0);
    for tick in ticks..2 * ticks {
        batch.ts = start + tick * 1000;
        clock.set(batch.ts);
        batch.floats = (0..table.len()).map(|i| (SeriesRef(i as u32), fleet_value(i, tick))).collect();
        ring.append(&batch).expect("appends");
        if tick % 10 == 0 {
            ring.commit().expect("commits");
        }
    }
    ring.commit().expect("commits");
    drop(ring);
    let watch = Stopwatch::start();
    let ring = Ring::open(config, Clock::Manual(clock), table).expect("opens");
    let rows = ring.stats().replayed_rows as usize;
    let took = watch.elapsed();
    println!("open with {rows} rows to replay: {took:?} ({:.1} ns/sample)", per(took, rows * batch.floats.len()));
}

/// Real node metrics at 1 Hz, replayed with shifted time.
fn node_bench() {
    let root = std::env::var_os("WATCHFIRE_SHARED").map_or_else(|| PathBuf::from("../shared"), PathBuf::from);
    let path = root.join("data/node-1hz-30m.txt.gz");
    let Ok(packed) = std::fs::read(&path) else {
        println!("SKIPPED: no node data at {}", path.display());
        return;
    };
    let mut text = String::new();
    flate2::read::GzDecoder::new(&packed[..]).read_to_string(&mut text).expect("gzip");
    let (names, ticks) = parse(&text);
    let first = ticks[0].0;
    let span = ticks[ticks.len() - 1].0 - first + 1000;
    let setup = Setup::new(&names, first);
    let mut batch = Batch::new(GroupId(1), 0);
    let mut seal = Duration::ZERO;
    let mut longest = Duration::ZERO;
    for round in 0..20 {
        for (ts, values) in &ticks {
            batch.ts = ts + round * span;
            batch.floats.clear();
            let there = values.iter().enumerate().filter(|(_, v)| !v.is_nan());
            batch.floats.extend(there.map(|(i, v)| (SeriesRef(i as u32), *v)));
            setup.clock.set(batch.ts);
            setup.ring.append(&batch).expect("appends");
            if (batch.ts / 1000) % 30 == 0 {
                setup.ring.commit().expect("commits");
                let (took, slice) = setup.maintain();
                seal += took;
                longest = longest.max(slice);
            }
        }
    }
    setup.clock.set(first + 20 * span + 1_200_000);
    let (took, slice) = setup.maintain();
    let stats = setup.ring.stats();
    println!(
        "node data × 20: {} samples, {:.4} bytes/sample ({:.4} with pages and series table) in {} segments, file {:.1} MB, seal {:.1} ns/sample, longest slice {:?}",
        stats.segment_samples,
        stats.segment_bytes as f64 / stats.segment_samples as f64,
        stats.segment_page_bytes as f64 / stats.segment_samples as f64,
        stats.segments,
        stats.disk_bytes as f64 / 1e6,
        per(seal + took, stats.segment_samples as usize),
        longest.max(slice)
    );
    let everything = first + 3 * span;
    let watch = Stopwatch::start();
    let (series, samples) = setup.select(&[], everything, everything + 3_600_000, false);
    let took = watch.elapsed();
    println!(
        "decode an hour of {series} node series: {took:?} ({:.2} ns/sample, {:?} a series)",
        per(took, samples),
        took / series as u32
    );
}

/// Label sets, and ticks of one value a series (NaN: not there).
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
    let mut ticks: std::collections::BTreeMap<Timestamp, Vec<f64>> = std::collections::BTreeMap::new();
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

fn main() {
    refresh_bench(4000);
    if std::env::args().any(|arg| arg == "refresh") {
        return;
    }
    fleet_bench(10_000);
    node_bench();
}
