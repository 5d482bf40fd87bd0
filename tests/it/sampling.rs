//! Sampling at both paces on a `/proc` whose contents follow a known function of the clock: no slot is lost, none drifts, what is
//! missed is counted, values are the truth within a stated bound, and windows say what the values say.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use watchfire::clock::{Clock, ManualClock};
use watchfire::collect::system::{Roots, SystemConfig, Usage, collectors};
use watchfire::collect::windows::{Tap, Windows, WindowsCollector};
use watchfire::collect::{
    CollectError, Collector, Demand, FastJob, FastSampler, FastSink, Job, RateCount, Reading, SamplingCounters,
    Scheduler,
};
use watchfire::model::{Batch, GroupId, Intern, Irregular, Output, SeriesRef, SourceId, Timestamp};
use watchfire::registry::{RegistryConfig, SeriesTable};

use crate::support::{Daemon, get, post, wait_for};

/// A whole second, some day.
const START: Timestamp = 1_700_000_000_000;
const SECONDS: i64 = 60;
const CORES: usize = 2;
/// CPU time is counted in hundredths of a second.
const JIFFY: f64 = 0.01;

/// The machine's truth, `t` seconds after the start.
mod truth {
    use std::f64::consts::TAU;

    /// Share of the CPU that is busy: a wave of 20 seconds between 0.1 and 0.9.
    pub(super) fn busy(t: f64) -> f64 {
        0.5 + 0.4 * (TAU * t / 20.0).sin()
    }

    /// Its integral.
    pub(super) fn busy_seconds(t: f64) -> f64 {
        0.5 * t + 0.4 * 20.0 / TAU * (1.0 - (TAU * t / 20.0).cos())
    }

    /// kB of memory in use: a saw.
    pub(super) fn used_kb(t: f64) -> u64 {
        1_000_000 + (t * 10.0).round() as u64 % 400 * 1000
    }

    /// Bytes received: a steady 1 MB/s.
    pub(super) fn received(t: f64) -> u64 {
        (t * 1e6).round() as u64
    }
}

/// Writes `/proc` as it is at `now`.
fn write_proc(proc: &Path, now: Timestamp) {
    let t = (now - START) as f64 / 1e3;
    // The machine has run for a while; every core does the same.
    let total = ((1000.0 + t) / JIFFY).round() as u64;
    let busy = (truth::busy_seconds(1000.0 + t) / JIFFY).floor() as u64;
    let idle = total - busy;
    let mut stat = format!("cpu  {} 0 0 {} 0 0 0 0 0 0\n", busy * CORES as u64, idle * CORES as u64);
    for core in 0..CORES {
        stat += &format!("cpu{core} {busy} 0 0 {idle} 0 0 0 0 0 0\n");
    }
    stat += "intr 1\nctxt 1\nbtime 1600000000\nprocesses 1\nprocs_running 1\nprocs_blocked 0\nsoftirq 1 1\n";
    let used = truth::used_kb(t);
    let meminfo = format!("MemTotal: 8000000 kB\nMemFree: 1000 kB\nMemAvailable: {} kB\n", 8_000_000 - used);
    let received = truth::received(1000.0 + t);
    let net = format!(
        "Inter-|   Receive  |  Transmit\n face |bytes packets|bytes\n    lo: {} 0 0 0 0 0 0 0 {} 0 0 0 0 0 0 0\n  eth0: {received} 0 0 0 0 0 0 0 5 0 0 0 0 0 0 0\n",
        received * 3,
        received * 3
    );
    std::fs::create_dir_all(proc.join("net")).expect("writable");
    for (name, text) in [("stat", stat), ("meminfo", meminfo), ("net/dev", net)] {
        std::fs::write(proc.join(name), text).expect("writable");
    }
}

/// Keeps what is sampled: `(time, value)` by series, ring and live view apart.
#[derive(Default)]
struct Kept {
    ring: Mutex<Vec<Batch>>,
    fast: Mutex<Vec<Batch>>,
    came: Condvar,
    windows: Option<Arc<Windows>>,
    groups: AtomicU32,
}

impl FastSink for Kept {
    fn push(&self, batch: Batch) {
        if let Some(windows) = &self.windows {
            windows.observe_fast(&batch);
        }
        self.fast.lock().expect("no panic while locked").push(batch);
        self.came.notify_all();
    }
}

impl Output for Kept {
    fn register_group(&self, _: &str) -> GroupId {
        GroupId(self.groups.fetch_add(1, Ordering::Relaxed))
    }
    fn push(&self, batch: Batch) {
        self.ring.lock().expect("no panic while locked").push(batch);
        self.came.notify_all();
    }
    fn push_irregular(&self, _: Vec<Irregular>) {}
    fn end_group(&self, _: GroupId, _: Timestamp) {}
    fn register_source(&self, _: Duration, _: Duration) -> SourceId {
        SourceId(0)
    }
    fn unregister_source(&self, _: SourceId) {}
    fn done(&self, _: SourceId, _: Timestamp) {}
}

/// The made-up machine with everything that samples it.
struct Machine {
    dir: tempfile::TempDir,
    clock: ManualClock,
    scheduler: Scheduler,
    fast: FastSampler,
    kept: Arc<Kept>,
    table: Arc<SeriesTable>,
    windows: Arc<Windows>,
    counters: Arc<SamplingCounters>,
}

impl Machine {
    fn new() -> Self {
        let dir = crate::support::temp_dir();
        write_proc(&dir.path().join("proc"), START);
        let table = Arc::new(SeriesTable::new(RegistryConfig::default()));
        let intern = || Arc::clone(&table) as Arc<dyn Intern>;
        let windows = Arc::new(Windows::new(intern()));
        let kept = Arc::new(Kept { windows: Some(Arc::clone(&windows)), ..Kept::default() });
        let config = SystemConfig { roots: Roots::under(dir.path()), ..SystemConfig::default() };
        let some = |names: &'static [&'static str]| {
            let jobs = collectors(&config, &Arc::<Usage>::default());
            jobs.into_iter().filter(move |job| names.contains(&job.collector.name()))
        };
        let fast = some(&["cpu", "meminfo"]).map(|job| FastJob { every: job.interval, collector: job.collector });
        let collector = Box::new(WindowsCollector::new(Arc::clone(&windows)));
        let last = Job { group: "windows", interval: Duration::from_secs(1), collector };
        let jobs = some(&["cpu", "meminfo", "netdev"]).chain([last]).collect();
        let tap = Tap { inner: kept.clone(), windows: Arc::clone(&windows) };
        let scheduler = Scheduler::new(jobs, intern(), Arc::new(tap));
        let counters = scheduler.counters();
        let fast = FastSampler::new(fast.collect(), intern(), kept.clone(), GroupId(9), Arc::clone(&counters));
        Self { dir, clock: ManualClock::new(START), scheduler, fast, kept, table, windows, counters }
    }

    /// Writes the files for the time that the clock shows, and lets both ticks see it.
    fn tick(&mut self, hz: u32) {
        let now = Clock::Manual(self.clock.clone()).now();
        write_proc(&self.dir.path().join("proc"), now);
        self.scheduler.tick(now);
        self.fast.tick(now, hz);
    }

    /// Everything that is known of a series, in order of time.
    fn samples(&self, name: &str, label: (&str, &str)) -> Vec<(Timestamp, f64)> {
        let mut found = BTreeMap::new();
        let (ring, fast) = (self.kept.ring.lock().expect("whole"), self.kept.fast.lock().expect("whole"));
        for batch in ring.iter().chain(fast.iter()) {
            for (series, value) in &batch.floats {
                let labels = self.table.labels(*series).expect("held");
                if labels.metric_name() == name && labels.get(label.0) == label.1 && labels.get("cpu") != "1" {
                    assert_eq!(found.insert(batch.ts, *value), None, "two values of {name} at {}", batch.ts);
                }
            }
        }
        found.into_iter().collect()
    }

    fn rate(&self, interval_ms: i64) -> RateCount {
        let rates = self.counters.rates();
        rates.into_iter().find(|rate| rate.interval_ms == interval_ms).unwrap_or_default()
    }
}

#[test]
fn sampling_keeps_every_slot_and_tells_the_truth() {
    for hz in [1, 2, 5, 10] {
        let mut machine = Machine::new();
        let interval = 1000 / i64::from(hz);
        for _ in 0..SECONDS * 10 {
            machine.tick(hz);
            machine.clock.advance(Duration::from_millis(100));
        }
        let slots = SECONDS * i64::from(hz);
        // The n-th slot is n intervals after the start, to the millisecond: no drift, no jitter.
        let memory = machine.samples("node_memory_MemAvailable_bytes", ("cpu", ""));
        let expected: Vec<Timestamp> = (0..slots).map(|n| START + n * interval).collect();
        assert_eq!(memory.iter().map(|(ts, _)| *ts).collect::<Vec<_>>(), expected, "{hz} Hz");
        for rate in machine.counters.rates() {
            let ticks = SECONDS * 1000 / rate.interval_ms;
            let expected =
                RateCount { interval_ms: rate.interval_ms, ticks: ticks.unsigned_abs(), ..RateCount::default() };
            assert_eq!(rate, expected, "{hz} Hz: none missed, none late");
        }
        assert_eq!(machine.counters.rates().len(), 1 + usize::from(hz > 1));
        // The ring has one a second, whatever the live view gets.
        let ring = machine.kept.ring.lock().expect("whole").len() as i64;
        let fast = machine.kept.fast.lock().expect("whole").len() as i64;
        assert_eq!((ring, fast), (2 * SECONDS, if hz > 1 { slots - SECONDS } else { 0 }), "node and windows; live");

        for (ts, value) in &memory {
            let used = truth::used_kb((ts - START) as f64 / 1e3);
            assert_eq!(*value, (8_000_000 - used) as f64 * 1024.0, "memory is read, not derived");
        }
        let idle = machine.samples("node_cpu_seconds_total", ("mode", "idle"));
        assert_eq!(idle.len() as i64, slots);
        for pair in idle.windows(2) {
            let ((t0, before), (t1, after)) = (pair[0], pair[1]);
            let seconds = (t1 - t0) as f64 / 1e3;
            let found = 1.0 - (after - before) / seconds;
            let (t0, t1) = (1000.0 + (t0 - START) as f64 / 1e3, 1000.0 + (t1 - START) as f64 / 1e3);
            let truth = (truth::busy_seconds(t1) - truth::busy_seconds(t0)) / seconds;
            // One jiffy is what the kernel's counting leaves open.
            assert!((found - truth).abs() <= JIFFY / seconds + 1e-6, "{hz} Hz at {t1}: {found} {truth}");
        }
    }
}

#[test]
fn sampling_windows_are_the_truth_at_both_paces() {
    for hz in [1, 10] {
        let mut machine = Machine::new();
        for _ in 0..=SECONDS * 10 {
            machine.tick(hz);
            machine.clock.advance(Duration::from_millis(100));
        }
        let (now, end) = (START + SECONDS * 1000, 1000.0 + SECONDS as f64);
        let window = |signal: &str, span: &str| machine.windows.stats(signal, span, now).expect("values");
        let mean = |from: f64| (truth::busy_seconds(end) - truth::busy_seconds(from)) / (end - from);
        for (span, seconds) in [("1s", 1.0), ("10s", 10.0), ("5m", SECONDS as f64)] {
            let found = window("cpu_ratio", span).mean;
            assert!((found - mean(end - seconds)).abs() <= JIFFY / seconds + 1e-6, "{hz} Hz, {span}: {found}");
        }
        // A whole number of waves: half of the time is below the middle, and the peak is a wave's.
        let all = window("cpu_ratio", "5m");
        let grain = JIFFY * f64::from(hz) + 0.02;
        assert!((all.p50 - 0.5).abs() <= 0.13 + grain && (all.max - 0.9).abs() <= grain, "{hz} Hz: {all:?}");
        assert!((all.p95 - truth::busy(5.0 - 0.5)).abs() <= 0.02 + grain, "{hz} Hz: {all:?}");
        // Loopback is a signal of its own, and no part of the network.
        let received = window("network_receive_bytes_per_second", "10s");
        assert!((received.mean - 1e6).abs() < 1.0 && (received.p95 - 1e6).abs() < 1.0, "{received:?}");
        assert!((window("loopback_bytes_per_second", "10s").max - 3e6).abs() < 1.0);
        let used = window("memory_used_bytes", "5m");
        assert_eq!(used.max, (1_000_000 + if hz == 10 { 399_000 } else { 390_000 }) as f64 * 1024.0);
    }
}

/// Takes its time, by a hand of the clock or truly.
struct Slow {
    clock: Option<ManualClock>,
    takes: Vec<u64>,
    round: usize,
}

impl Slow {
    fn new(clock: Option<ManualClock>, takes: &[u64]) -> Box<Self> {
        Box::new(Self { clock, takes: takes.to_vec(), round: 0 })
    }
}

impl Collector for Slow {
    fn name(&self) -> &'static str {
        "slow"
    }

    fn collect(&mut self, _: Timestamp, _: &dyn Intern, out: &mut Batch) -> Result<Reading, CollectError> {
        let takes = Duration::from_millis(self.takes[self.round % self.takes.len()]);
        self.round += 1;
        match &self.clock {
            Some(clock) => clock.advance(takes),
            None => std::thread::sleep(takes),
        }
        out.floats.push((SeriesRef(0), 1.0));
        Ok(Reading::Complete)
    }
}

fn sampler(collector: Box<dyn Collector>) -> (FastSampler, Arc<Kept>, Arc<SamplingCounters>) {
    let (kept, counters) = (Arc::new(Kept::default()), Arc::<SamplingCounters>::default());
    let intern = Arc::new(SeriesTable::new(RegistryConfig::default()));
    let job = FastJob { every: Duration::from_secs(3600), collector };
    (FastSampler::new(vec![job], intern, kept.clone(), GroupId(0), Arc::clone(&counters)), kept, counters)
}

#[test]
fn sampling_counts_what_a_slow_reader_misses() {
    // How long a reading takes in turn; then ticks, missed and the latest begin, in ten seconds of 10 Hz.
    for (takes, ticks, missed, latest) in [
        (&[0, 0][..], 100, 0, 0),
        (&[99], 100, 0, 0),
        (&[350], 25, 75, 50),
        (&[0, 0, 1000], 25, 75, 0),
        (&[30, 170], 100, 0, 70),
    ] {
        let clock = ManualClock::new(START + 100);
        let now = || Clock::Manual(clock.clone()).now();
        let (mut fast, kept, counters) = sampler(Slow::new(Some(clock.clone()), takes));
        while now() < START + 10_100 {
            if !fast.tick(now(), 10) {
                clock.advance(Duration::from_millis(1));
            }
        }
        let rate = counters.rates()[0];
        let all = rate.ticks + rate.missed;
        assert!(all.abs_diff(100) <= 10, "{takes:?}: {rate:?}");
        let near = |found: u64, expected: u64| assert!(found.abs_diff(expected) <= 10, "{takes:?}: {rate:?}");
        near(rate.ticks, ticks);
        near(rate.missed, missed);
        near(rate.latest_ms, latest);
        let batches = kept.fast.lock().expect("whole");
        // Each slot is a tick or is counted as missed: nothing is lost in between.
        let last = batches.last().expect("some").ts;
        assert_eq!((last - (START + 100)) / 100 + 1, all as i64, "{takes:?}");
        assert_eq!(batches.len() as u64, rate.ticks);
        assert!(batches.windows(2).all(|pair| pair[0].ts < pair[1].ts && pair[1].ts % 100 == 0));
    }
}

#[test]
fn sampling_survives_clocks_that_step() {
    let mut machine = Machine::new();
    let run = |machine: &mut Machine, seconds: i64| {
        for _ in 0..seconds * 10 {
            machine.tick(10);
            machine.clock.advance(Duration::from_millis(100));
        }
    };
    run(&mut machine, 5);
    assert_eq!((machine.rate(100).missed, machine.rate(1000).missed), (0, 0));
    // An hour forward: the slots in between are missed, once.
    machine.clock.advance(Duration::from_secs(3600));
    run(&mut machine, 5);
    assert_eq!((machine.rate(100).missed, machine.rate(1000).missed), (36_000, 3600));
    assert_eq!((machine.rate(100).ticks, machine.rate(1000).ticks), (100, 10));
    // Half a second back: time that was sampled is not sampled again.
    let now = Clock::Manual(machine.clock.clone()).now();
    machine.clock.set(now - 500);
    run(&mut machine, 5);
    assert_eq!((machine.rate(100).ticks, machine.rate(1000).ticks), (145, 15));
    // A day back, before everything: a new beginning, without a slot that was missed.
    machine.clock.set(START - 86_400_000);
    run(&mut machine, 5);
    assert_eq!((machine.rate(100).ticks, machine.rate(1000).ticks), (195, 20));
    assert_eq!((machine.rate(100).missed, machine.rate(1000).missed), (36_000, 3600));
    let now = Clock::Manual(machine.clock.clone()).now();
    let stats = machine.windows.stats("memory_used_bytes", "5m", now).expect("values");
    assert!(stats.max < 1.5e9 && stats.p50 > 1e9, "{stats:?}");
}

/// On the machine's clock nothing is said about time, only about counts.
#[test]
fn sampling_on_a_thread_counts_every_slot() {
    let (fast, kept, counters) = sampler(Slow::new(None, &[0, 0, 30, 250, 120]));
    let demand = Arc::new(Demand::default());
    let handle = fast.spawn(Clock::System, Arc::clone(&demand)).expect("a thread");
    demand.set(10);
    {
        let mut batches = kept.fast.lock().expect("whole");
        while batches.len() < 12 {
            let (guard, out) = kept.came.wait_timeout(batches, Duration::from_secs(30)).expect("whole");
            assert!(!out.timed_out(), "no sample in 30 s");
            batches = guard;
        }
    }
    // Stopped in the middle of a slot: it ends, and is counted.
    drop(handle);
    let batches = kept.fast.lock().expect("whole");
    let (first, last) = (batches[0].ts, batches[batches.len() - 1].ts);
    let rate = counters.rates()[0];
    assert_eq!(rate.ticks, batches.len() as u64);
    assert_eq!((last - first) / 100 + 1, (rate.ticks + rate.missed) as i64, "{rate:?}");
    assert!(rate.missed >= 2, "a reader that takes 250 ms misses two slots: {rate:?}");
    assert!(batches.windows(2).all(|pair| pair[0].ts < pair[1].ts && pair[1].ts % 100 == 0));
}

/// A stream of the live view, line by line.
fn follow(daemon: &Daemon, query: &str) -> BufReader<TcpStream> {
    let host = daemon.url.strip_prefix("http://").expect("http");
    let mut stream = TcpStream::connect(host).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a socket");
    let head = format!("GET /api/watchfire/v1/live?{query} HTTP/1.1\r\nhost: {host}\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("a request");
    BufReader::new(stream)
}

/// The data of the next event of that name.
fn next_event(stream: &mut BufReader<TcpStream>, name: &str) -> serde_json::Value {
    let mut line = String::new();
    let mut read = |line: &mut String| {
        line.clear();
        assert!(stream.read_line(line).expect("in time") > 0, "the stream ended before {name}");
    };
    while line.trim_end() != format!("event: {name}") {
        read(&mut line);
    }
    while !line.starts_with("data: ") {
        read(&mut line);
    }
    serde_json::from_str(line.trim_start_matches("data: ").trim_end()).expect("JSON")
}

#[test]
fn sampling_goes_fast_for_a_page_and_back_without_it() {
    let daemon = Daemon::start::<&str>(&[]);
    let metric = |name: &str| -> f64 {
        let page = get(&format!("{}/metrics", daemon.url)).text();
        let line = page.lines().find(|line| line.starts_with(name)).unwrap_or("x 0");
        line.rsplit(' ').next().and_then(|value| value.parse().ok()).expect("a number")
    };
    let waiting = Duration::from_secs(30);
    let (hertz, fast_ticks) = ("watchfire_live_hertz ", "watchfire_sampling_ticks_total{hertz=\"10\"}");
    wait_for("a tick", waiting, || Some(metric("watchfire_sampling_ticks_total{hertz=\"1\"}")).filter(|n| *n > 1.0));
    assert_eq!((metric(hertz), metric(fast_ticks)), (0.0, 0.0), "nobody follows");

    let mut slow = follow(&daemon, "match[]=node_memory_MemAvailable_bytes");
    next_event(&mut slow, "tick");
    wait_for("one sample a second", waiting, || Some(()).filter(|()| metric(hertz) == 1.0));
    assert_eq!(metric(fast_ticks), 0.0, "a page that wants one sample a second costs no fast one");

    let mut page = follow(&daemon, "match[]=node_memory_MemAvailable_bytes&match[]=generated_total&hz=10");
    next_event(&mut page, "series");
    for _ in 0..12 {
        let event = next_event(&mut page, "fast");
        let ts = event["ts"].as_i64().expect("a time");
        assert!(ts % 100 == 0 && ts % 1000 != 0 && event["values"][0][1].as_f64() > Some(0.0), "{event}");
    }
    assert_eq!(metric(hertz), 10.0);
    // Token events come as they come: two between the same ticks are two values.
    let generate = || {
        post(&format!("{}/api/watchfire/v1/events", daemon.url), br#"{"name":"generated","type":"counter","value":7}"#)
    };
    assert_eq!(generate().status, 200);
    next_event(&mut page, "series");
    let before = daemon.value("watchfire_pipeline_batches_total");
    assert!(before.is_some());
    assert_eq!(generate().status, 200);
    wait_for("the event itself", waiting, || {
        let event = next_event(&mut page, "fast");
        event["values"].as_array()?.iter().any(|value| value[1] == 14.0).then_some(())
    });

    drop(page);
    wait_for("the end of the wish", waiting, || Some(()).filter(|()| metric(hertz) < 2.0));
    let (at, slow_at) = (metric(fast_ticks), metric("watchfire_sampling_ticks_total{hertz=\"1\"}"));
    assert!(at >= 12.0);
    wait_for("two more seconds", waiting, || {
        Some(()).filter(|()| metric("watchfire_sampling_ticks_total{hertz=\"1\"}") >= slow_at + 2.0)
    });
    assert!(metric(fast_ticks) <= at + 1.0, "nothing is sampled fast any more");
    // None of it is in the ring.
    let most = daemon.value("max(count_over_time(node_memory_MemAvailable_bytes[10s]))").expect("samples");
    assert!(most <= 10.0, "{most} samples in ten seconds");
    let windows = daemon.value("count(watchfire_window{signal=\"memory_used_bytes\"})");
    assert_eq!(windows, Some(12.0), "three windows with four figures");
}
