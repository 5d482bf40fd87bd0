//! A fleet page: what 50 instances of a service show when they are scraped every five seconds for eight hours.
//!
//! Each has its own load (from one request in five seconds to some hundred a second) that swings by half within three
//! hours; requests are Poisson, and everything else follows from them: bytes, CPU time in hundredths of a second, a
//! latency histogram of twelve buckets whose counts and count add up, and its sum as a float that grows by microseconds.
//! Gauges wander as such gauges do; a quarter of the series never changes. Every run brings the same values.

use watchfire::model::{Labels, Timestamp};

use super::setup::{Random, Setup, Work, empty_tick, print_bytes};

const INSTANCES: usize = 50;
/// Ticks of eight hours.
const TICKS: i64 = 5760;
const INTERVAL_MS: i64 = 5000;
/// Shares of the latency buckets, and the mean latency of each in seconds.
const LATENCIES: [(&str, f64, f64); 12] = [
    ("0.001", 0.02, 0.0008),
    ("0.0025", 0.10, 0.0019),
    ("0.005", 0.28, 0.0037),
    ("0.01", 0.30, 0.0072),
    ("0.025", 0.18, 0.016),
    ("0.05", 0.07, 0.034),
    ("0.1", 0.03, 0.07),
    ("0.25", 0.012, 0.15),
    ("0.5", 0.005, 0.33),
    ("1", 0.002, 0.7),
    ("2.5", 0.0008, 1.6),
    ("+Inf", 0.0002, 4.0),
];

/// The page's series and what they show, tick after tick.
pub(crate) struct Page {
    pub(crate) names: Vec<Labels>,
    pub(crate) values: Vec<f64>,
    instances: Vec<Instance>,
    random: Random,
}

/// One instance: what it does, beside what it shows.
struct Instance {
    /// Requests a second.
    load: f64,
    phase: f64,
    heap: f64,
    memory: f64,
    threads: f64,
    temperature: f64,
    load1: f64,
    cpu: [f64; 2],
}

/// Series that one instance shows without the histogram, in the order of [`Instance::tick`].
const PLAIN: [(&str, &[(&str, &str)]); 28] = [
    ("http_requests_total", &[("code", "200"), ("method", "GET")]),
    ("http_requests_total", &[("code", "200"), ("method", "POST")]),
    ("http_requests_total", &[("code", "404"), ("method", "GET")]),
    ("http_requests_total", &[("code", "500"), ("method", "GET")]),
    ("http_requests_total", &[("code", "503"), ("method", "GET")]),
    ("network_receive_bytes_total", &[]),
    ("network_transmit_bytes_total", &[]),
    ("process_cpu_seconds_total", &[("mode", "user")]),
    ("process_cpu_seconds_total", &[("mode", "system")]),
    ("gc_runs_total", &[]),
    ("disk_reads_total", &[]),
    ("disk_writes_total", &[]),
    ("disk_errors_total", &[]),
    ("restarts_total", &[]),
    ("process_resident_memory_bytes", &[]),
    ("heap_bytes", &[]),
    ("threads", &[]),
    ("open_fds", &[]),
    ("requests_in_flight", &[]),
    ("queue_length", &[]),
    ("temperature_celsius", &[]),
    ("load1", &[]),
    ("up", &[]),
    ("build_info", &[("version", "2.4.1")]),
    ("process_start_time_seconds", &[]),
    ("max_fds", &[]),
    ("max_memory_bytes", &[]),
    ("config_last_reload_successful", &[]),
];
const HISTOGRAM: usize = LATENCIES.len() + 2;

impl Page {
    pub(crate) fn new() -> Self {
        let mut random = Random::new(42);
        let names = (0..INSTANCES).flat_map(names_of).collect::<Vec<_>>();
        let mut page = Self { values: vec![0.0; names.len()], names, instances: Vec::new(), random: Random::new(43) };
        for (i, values) in page.values.chunks_mut(PLAIN.len() + HISTOGRAM).enumerate() {
            // Lognormal: most have some requests a second, a few have hundreds.
            let load = (1.5 + 1.6 * random.normal()).exp().clamp(0.2, 300.0);
            page.instances.push(Instance {
                load,
                phase: random.unit() * 6.0,
                heap: 3e7 * (1.0 + random.unit()),
                memory: 3e4,
                threads: 20.0,
                temperature: 50.0 + 10.0 * random.unit(),
                load1: load / 50.0,
                cpu: [0.0; 2],
            });
            let constants = [1.0, 1.0, 1_795_000_000.25 + i as f64, 1_048_576.0, 4e9, 1.0];
            values[22..28].copy_from_slice(&constants);
        }
        page
    }

    /// The values of one scrape.
    pub(crate) fn tick(&mut self, tick: i64) {
        for (instance, values) in self.instances.iter_mut().zip(self.values.chunks_mut(PLAIN.len() + HISTOGRAM)) {
            instance.tick(tick, values, &mut self.random);
        }
    }
}

fn names_of(instance: usize) -> impl Iterator<Item = Labels> {
    let at = format!("10.1.{}.{}:8080", instance / 10, instance % 10 + 1);
    let label = move |name: &str, more: &[(&str, &str)]| {
        let mut pairs = vec![("__name__", name), ("instance", &at), ("job", "shop-api")];
        pairs.extend_from_slice(more);
        Labels::from_pairs(&pairs)
    };
    let mut names: Vec<Labels> = PLAIN.iter().map(|(name, more)| label(name, more)).collect();
    names.extend(LATENCIES.iter().map(|(le, _, _)| label("http_request_duration_seconds_bucket", &[("le", le)])));
    names.push(label("http_request_duration_seconds_count", &[]));
    names.push(label("http_request_duration_seconds_sum", &[]));
    names.into_iter()
}

impl Instance {
    fn tick(&mut self, tick: i64, values: &mut [f64], random: &mut Random) {
        let swing = 1.0 + 0.5 * (tick as f64 / 2160.0 * std::f64::consts::TAU + self.phase).sin();
        let mean = self.load * swing * 5.0;
        let requests = [0.75, 0.235, 0.014, 0.001].map(|share| random.poisson(mean * share));
        let all: f64 = requests.iter().sum();
        let (plain, histogram) = values.split_at_mut(PLAIN.len());
        for (value, requests) in plain.iter_mut().zip(requests) {
            *value += requests;
        }
        plain[5] += (all * 820.0 + all.sqrt() * 300.0 * random.normal()).round().max(0.0);
        plain[6] += (all * 5400.0 + all.sqrt() * 4000.0 * random.normal()).round().max(0.0);
        for (cpu, cost) in self.cpu.iter_mut().zip([0.0021, 0.0006]) {
            *cpu += all * cost * (1.0 + 0.1 * random.normal()).abs() + 0.002;
        }
        for (value, cpu) in plain[7..9].iter_mut().zip(self.cpu) {
            *value = (cpu * 100.0).floor() / 100.0;
        }
        // The heap grows with requests until it is collected.
        self.heap += all * 21_000.0 * (1.0 + 0.05 * random.normal());
        if self.heap > 9e7 {
            self.heap = 2.5e7 + 4e6 * random.unit();
            plain[9] += 1.0;
        }
        plain[10] += random.poisson(mean * 0.01);
        plain[11] += random.poisson(mean * 0.05 + 0.2);
        self.memory += if random.unit() < 0.2 { (random.normal() * 12.0).round() } else { 0.0 };
        self.threads =
            (self.threads + if random.unit() < 0.1 { random.normal().round() } else { 0.0 }).clamp(8.0, 64.0);
        self.temperature += 0.15 * random.normal() + 0.01 * (55.0 - self.temperature);
        self.load1 += 0.08 * (all / 250.0 * (1.0 + 0.3 * random.normal()) - self.load1);
        let in_flight = random.poisson(mean * 0.003);
        let gauges = [
            self.memory * 4096.0,
            (self.heap / 8.0).floor() * 8.0,
            self.threads,
            31.0 + in_flight,
            in_flight,
            if in_flight > 3.0 { random.poisson(1.0) } else { 0.0 },
            (self.temperature * 2.0).round() / 2.0,
            (self.load1.max(0.0) * 100.0).round() / 100.0,
        ];
        plain[14..22].copy_from_slice(&gauges);
        latencies(all, histogram, random);
    }
}

/// Puts so many requests into the buckets.
fn latencies(requests: f64, histogram: &mut [f64], random: &mut Random) {
    let (mut left, mut share_left, mut below, mut sum) = (requests, 1.0, 0.0, 0.0);
    for (place, (_, share, mean)) in histogram.iter_mut().zip(LATENCIES) {
        // Binomial by way of Poisson: near enough, and never more than there are.
        let here = if share >= share_left { left } else { random.poisson(left * share / share_left).min(left) };
        (left, share_left, below) = (left - here, share_left - share, below + here);
        sum += (here * mean * (1.0 + 0.1 * random.normal() / here.max(1.0).sqrt()) * 1e6).round() / 1e6;
        *place += below;
    }
    histogram[LATENCIES.len()] += requests;
    histogram[LATENCIES.len() + 1] += sum;
}

/// Calls `each` with the time and the values of every scrape.
pub(crate) fn scrapes(start: Timestamp, mut each: impl FnMut(Timestamp, &[f64])) {
    let mut page = Page::new();
    for tick in 0..TICKS {
        page.tick(tick);
        each(start + tick * INTERVAL_MS, &page.values);
    }
}

/// How long the page is.
pub(crate) const SPAN_MS: i64 = TICKS * INTERVAL_MS;

/// Writes the page as the daemon would.
pub(crate) fn fill(setup: &Setup, start: Timestamp) -> Work {
    let mut work = Work::default();
    let mut batch = empty_tick(setup.table.len());
    scrapes(start, |ts, values| {
        batch.ts = ts;
        batch.floats.iter_mut().zip(values).for_each(|(sample, value)| sample.1 = *value);
        setup.append(&batch);
        if (ts - start) % 60_000 == 0 {
            setup.ring.commit().expect("commits");
            work.add(&setup.maintain());
        }
    });
    work
}

pub(crate) fn bench() {
    let setup = Setup::new(&Page::new().names, super::setup::START);
    let mut work = fill(&setup, super::setup::START);
    setup.clock.set(setup.now() + 2 * 3_600_000);
    work.add(&setup.maintain());
    print_bytes("fleet page, 8 hours at 5 s", &setup, &work);
}
