//! PromQL over a ring of 10,000 series, 20 targets of 500 series scraped every 5 s for 35 minutes: a part sealed, a part
//! in the head, as a daemon has it. Instant, and ranges of 180 steps over the last half hour.
//!
//! `cargo bench --bench promql`. ns per series that the selectors took, and per series and step for ranges.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use watchfire::clock::{Clock, ManualClock, Stopwatch};
use watchfire::model::{Batch, GroupId, Intern, Labels, Matcher, SeriesRef, Timestamp};
use watchfire::promql::{Engine, QueryOptions, QueryValue};
use watchfire::registry::SeriesTable;
use watchfire::storage::{Config, Progress, Querier, Ring, SelectRequest, Stop};

/// As the daemon has it: another allocator gives large columns back after each query and pays for them again.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// How long each figure is measured at most; the median of its rounds is printed.
const MEASURE: Duration = Duration::from_millis(250);
const TARGETS: usize = 20;
/// Series of one target: 200 counters, 200 buckets, 50 used and 50 total bytes.
const OF_A_TARGET: usize = 500;
const SCRAPE_MS: i64 = 5_000;
const SPAN_MS: i64 = 35 * 60_000;
const STEPS: i64 = 180;
const STEP: Duration = Duration::from_secs(10);
const START: Timestamp = 1_795_300_800_000;

const QUERIES: [&str; 10] = [
    "requests_total",
    "requests_total{job=\"job-3\"}",
    "sum by (job) (rate(requests_total[5m]))",
    "sum by (job, code) (rate(requests_total{code!=\"2\"}[1m]))",
    "topk(5, sum by (instance) (rate(requests_total[5m])))",
    "histogram_quantile(0.95, sum by (job, le) (rate(latency_seconds_bucket[5m])))",
    "histogram_quantile(0.99, rate(latency_seconds_bucket[5m]))",
    "memory_used_bytes / memory_total_bytes",
    "1 - avg by (job) (memory_used_bytes / on (instance, part) memory_total_bytes)",
    "max_over_time(memory_used_bytes[5m]) > 0.5e9",
];

fn names() -> Vec<Labels> {
    let of_target = |target: usize| {
        let (job, instance) = (format!("job-{}", target % 5), format!("host-{target}:9100"));
        (0..OF_A_TARGET)
            .map(move |i| {
                let mut pairs = vec![("job", job.as_str()), ("instance", instance.as_str())];
                let (a, b);
                match i {
                    0..200 => {
                        (a, b) = ((i / 5).to_string(), (i % 5).to_string());
                        pairs.extend([("__name__", "requests_total"), ("handler", &*a), ("code", &*b)]);
                    }
                    200..400 => {
                        let bound = i % 10;
                        a = (i / 10).to_string();
                        b = if bound == 9 { "+Inf".to_owned() } else { format!("{}", 0.01 * f64::from(1 << bound)) };
                        pairs.extend([("__name__", "latency_seconds_bucket"), ("handler", &*a), ("le", &*b)]);
                    }
                    _ => {
                        a = (i % 50).to_string();
                        let name = if i < 450 { "memory_used_bytes" } else { "memory_total_bytes" };
                        pairs.extend([("__name__", name), ("part", &*a)]);
                    }
                }
                Labels::from_pairs(&pairs)
            })
            .collect::<Vec<_>>()
    };
    (0..TARGETS).flat_map(of_target).collect()
}

fn value(i: usize, tick: i64) -> f64 {
    match i % OF_A_TARGET {
        0..200 => (tick * (i as i64 % 17 + 1) + i as i64) as f64,
        at @ 200..400 => (tick * (at as i64 % 10 + 1)) as f64,
        400..450 => ((tick * 7919 + i as i64 * 104_729) % 1_000) as f64 * 1e6,
        _ => 1e9,
    }
}

fn fill() -> (Ring, Timestamp) {
    let clock = ManualClock::new(START);
    let table = Arc::<SeriesTable>::default();
    let all: Vec<SeriesRef> = names().iter().map(|labels| table.intern_labels(labels).expect("has room")).collect();
    let ring = Ring::in_memory(Config::default(), Clock::Manual(clock.clone()), table).expect("opens");
    let ticks = SPAN_MS / SCRAPE_MS;
    for tick in 0..ticks {
        let ts = START + tick * SCRAPE_MS;
        clock.set(ts);
        for (target, series) in all.chunks(OF_A_TARGET).enumerate() {
            let mut batch = Batch::new(GroupId(target as u32), ts);
            let value = |(i, series): (usize, &SeriesRef)| (*series, value(target * OF_A_TARGET + i, tick));
            batch.floats = series.iter().enumerate().map(value).collect();
            ring.append(&batch).expect("appends");
        }
        ring.commit().expect("commits");
        while ring.maintain(ts).expect("maintains") == Progress::More {}
    }
    let stats = ring.stats();
    println!(
        "{} series, {ticks} ticks of {SCRAPE_MS} ms; {} segments, head {:.1} MB\n",
        stats.head_series,
        stats.segments,
        stats.head_bytes as f64 / 1e6
    );
    (ring, START + (ticks - 1) * SCRAPE_MS)
}

/// Series under all selectors of the query: what its work is divided by.
fn series_under(ring: &Ring, query: &str, end: Timestamp) -> usize {
    let names = ["requests_total", "latency_seconds_bucket", "memory_used_bytes", "memory_total_bytes"];
    let found = names.iter().filter(|name| query.contains(**name)).map(|name| {
        let mut matchers = vec![Matcher::equal("__name__", name)];
        if query.contains("job=\"job-3\"") {
            matchers.push(Matcher::equal("job", "job-3"));
        }
        let request = SelectRequest {
            matchers,
            start: end - 60_000,
            end,
            last_only: true,
            max_samples: 1 << 20,
            stop: Stop::never(),
        };
        ring.select(&request).expect("selects").labels.len()
    });
    found.sum()
}

/// Median of as many rounds as fit.
fn median(mut work: impl FnMut()) -> Duration {
    work();
    let (timer, mut rounds) = (Stopwatch::start(), Vec::new());
    while rounds.len() < 5 || (timer.elapsed() < MEASURE && rounds.len() < 2_000) {
        let watch = Stopwatch::start();
        work();
        rounds.push(watch.elapsed());
    }
    rounds.sort();
    rounds[rounds.len() / 2]
}

fn size(value: &QueryValue) -> usize {
    match value {
        QueryValue::Vector(rows) => rows.len(),
        QueryValue::Matrix(rows) => rows.len(),
        _ => 1,
    }
}

fn geometric_mean(times: &[Duration]) -> f64 {
    (times.iter().map(|t| t.as_secs_f64().ln()).sum::<f64>() / times.len() as f64).exp() * 1e3
}

fn main() {
    let (ring, end) = fill();
    let engine = Engine::default();
    let options = QueryOptions::default();
    let start = end - (STEPS - 1) * STEP.as_millis() as i64;
    let (mut instants, mut ranges) = (Vec::new(), Vec::new());
    println!("| query | series | instant µs | ns/series | range of {STEPS} steps ms | ns/(series × step) | rows |");
    println!("|---|---|---|---|---|---|---|");
    for query in QUERIES {
        let expr = engine.parse(query).unwrap_or_else(|error| panic!("{query}: {error}"));
        let series = series_under(&ring, query, end);
        let run = || engine.range(&ring, &expr, start, end, STEP, &options).unwrap_or_else(|e| panic!("{query}: {e}"));
        let rows = size(&run().value);
        assert!(rows > 0, "{query} gives nothing");
        let instant = median(|| {
            black_box(engine.instant(&ring, &expr, end, &options).unwrap_or_else(|e| panic!("{query}: {e}")));
        });
        let range = median(|| {
            black_box(run());
        });
        println!(
            "| `{query}` | {series} | {:.0} | {:.0} | {:.2} | {:.1} | {rows} |",
            instant.as_secs_f64() * 1e6,
            instant.as_nanos() as f64 / series as f64,
            range.as_secs_f64() * 1e3,
            range.as_nanos() as f64 / (series as i64 * STEPS) as f64
        );
        instants.push(instant);
        ranges.push(range);
    }
    println!("\ngeometric mean: instant {:.3} ms, range {:.2} ms", geometric_mean(&instants), geometric_mean(&ranges));
}
