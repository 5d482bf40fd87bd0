//! Ten thousand series at 1 Hz: what a tick costs its writer, what waits for it, and what a restart replays.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use watchfire::clock::{Clock, Stopwatch};
use watchfire::model::{Irregular, Labels, Matcher, SeriesRef, Timestamp};
use watchfire::storage::Ring;

use super::setup::{START, Setup, cpu_time, empty_tick, per, size};

/// A third stands still, a third counts, a third wanders.
fn names(series: usize) -> Vec<Labels> {
    let job = |i: usize| format!("job-{}", i % 20);
    let label = |i: usize| {
        let (name, instance) = (format!("metric_{}_total", i % 100), format!("host-{}:9100", i / 100));
        Labels::from_pairs(&[("__name__", &name), ("job", &job(i)), ("instance", &instance)])
    };
    (0..series).map(label).collect()
}

pub(crate) fn value(i: usize, tick: i64) -> f64 {
    match i % 3 {
        0 => i as f64,
        1 => (tick * (i as i64 % 17 + 1) + i as i64 * 1000) as f64,
        _ => ((tick * 7919 + i as i64 * 104_729) % 10_000) as f64 / 100.0,
    }
}

pub(crate) fn bench(series: usize) {
    let setup = Setup::new(&names(series), START);
    let mut batch = empty_tick(series);
    let ticks = 1200i64;
    let (mut appends, mut commits) = (Vec::new(), Vec::new());
    let (mut commit_wall, mut row_bytes) = (Duration::ZERO, 0);
    for tick in 0..ticks {
        batch.ts = START + tick * 1000;
        batch.floats.iter_mut().enumerate().for_each(|(i, sample)| sample.1 = value(i, tick));
        let cpu = cpu_time();
        setup.append(&batch);
        appends.push(cpu_time() - cpu);
        row_bytes += setup.ring.stats().pending_bytes;
        let (watch, cpu) = (Stopwatch::start(), cpu_time());
        setup.ring.commit().expect("commits");
        commits.push(cpu_time() - cpu);
        commit_wall += watch.elapsed();
        // As the maintenance thread does meanwhile; the last window stays open.
        setup.maintain();
    }
    let samples = series * (ticks - 1) as usize;
    let first = appends.remove(0);
    let sum: Duration = appends.iter().sum();
    appends.sort_unstable();
    let at = |share: f64| appends[((appends.len() - 1) as f64 * share) as usize];
    let commit_cpu: Duration = commits.iter().sum();
    println!(
        "append {series} series: {:.1} ns/sample of CPU (head + row); a tick: median {:?}, p99 {:?}, p99.9 {:?}, most {:?}, the first {first:?}",
        per(sum, samples),
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0),
    );
    println!(
        "commit of each tick: {:.1} ns/sample of CPU, {:.1} with fsync, {:?} a commit; {:.2} row bytes/sample; append and commit {:.1} ns/sample",
        per(commit_cpu, samples),
        per(commit_wall, samples),
        commit_wall / ticks as u32,
        row_bytes as f64 / samples as f64,
        per(sum + commit_wall, samples)
    );
    selects(&setup, series, batch.ts + 1000);
    let stats = setup.ring.stats();
    println!("head: {:.1} MB in memory, file {:.1} MB", stats.head_bytes as f64 / 1e6, stats.disk_bytes as f64 / 1e6);
    setup.clock.set(batch.ts + 601_000);
    let (work, wait) = longest_wait(&setup.ring, || setup.maintain());
    let stats = setup.ring.stats();
    work.print("those", stats.segment_samples as usize);
    println!(
        "longest wait for the head meanwhile {wait:?}, {:.3} bytes/sample",
        stats.segment_bytes as f64 / stats.segment_samples as f64
    );
    replay(setup, ticks);
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

fn selects(setup: &Setup, series: usize, end: Timestamp) {
    let metric = [Matcher::equal("__name__", "metric_7_total")];
    let cases: [(&str, &[Matcher], Timestamp, bool); 4] = [
        ("instant, one metric", &metric, end - 300_000, true),
        ("instant, everything", &[], end - 300_000, true),
        ("five minutes, one metric", &metric, end - 300_000, false),
        ("ten minutes, everything", &[], end - 600_000, false),
    ];
    for (name, matchers, from, last_only) in cases {
        let rounds = 20;
        let mut found = (0, 0);
        let watch = Stopwatch::start();
        for _ in 0..rounds {
            found = size(&setup.select(matchers, from, end, last_only));
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

/// Opens the ring anew after a window's worth of rows.
fn replay(setup: Setup, ticks: i64) {
    let mut batch = empty_tick(setup.table.len());
    for tick in ticks..ticks + 600 {
        batch.ts = START + tick * 1000;
        batch.floats.iter_mut().enumerate().for_each(|(i, sample)| sample.1 = value(i, tick));
        setup.append(&batch);
        if tick % 10 == 0 {
            setup.ring.commit().expect("commits");
        }
    }
    setup.ring.commit().expect("commits");
    let Setup { ring, clock, config, table, dir: _dir } = setup;
    drop(ring);
    let watch = Stopwatch::start();
    let ring = Ring::open(config, Clock::Manual(clock), table).expect("opens");
    let rows = ring.stats().replayed_rows as usize;
    let took = watch.elapsed();
    println!("open with {rows} rows to replay: {took:?} ({:.1} ns/sample)", per(took, rows * batch.floats.len()));
}
