use std::collections::VecDeque;
use std::sync::Arc;

use super::rolling::{MAX_VALUES, Rolling, SPANS, Stats};
use super::signals::CPU;
use super::{SIGNALS, Windows, WindowsCollector};
use crate::collect::testing::{Interner, collect};
use crate::model::{Batch, Family, GroupId, Intern, MetricKind, Origin, SeriesKey, SeriesRef};

/// The same by sorting everything anew.
fn naive(entries: &VecDeque<(i64, f64, u32)>, now: i64, span: i64) -> Option<Stats> {
    let mut all: Vec<(f64, u64)> = entries
        .iter()
        .filter(|(ts, ..)| *ts > now - span)
        .map(|(_, value, weight)| (*value, u64::from(*weight).min(span as u64)))
        .collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let total: u64 = all.iter().map(|(_, weight)| weight).sum();
    let quantile = |share: f64| {
        let mut seen = 0;
        all.iter().find(|(_, weight)| {
            seen += weight;
            seen as f64 >= share * total as f64 - 1e-9
        })
    };
    let mean = all.iter().map(|(value, weight)| value * *weight as f64).sum::<f64>() / total as f64;
    Some(Stats { mean, max: all.last()?.0, p50: quantile(0.5)?.0, p95: quantile(0.95)?.0 })
}

#[test]
fn windows_are_what_sorting_anew_gives() {
    let (mut rolling, mut entries, mut seed, mut now) = (Rolling::default(), VecDeque::new(), 7u64, 0i64);
    for step in 0..6000 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let value = f64::from((seed >> 40) as u32 % 50) - 10.0;
        let passed = [100, 100, 100, 1000, 250][(seed >> 33) as usize % 5] * if step % 900 == 899 { 200 } else { 1 };
        now += passed;
        rolling.advance(now);
        rolling.push(now, value, passed as u32);
        entries.push_back((now, value, passed as u32));
        if step % 37 == 0 {
            for ((_, span), found) in SPANS.iter().zip(rolling.stats()) {
                let (found, expected) = (found.unwrap(), naive(&entries, now, *span).unwrap());
                assert!((found.mean - expected.mean).abs() < 1e-9, "{found:?} {expected:?}");
                assert_eq!((found.max, found.p50, found.p95), (expected.max, expected.p50, expected.p95), "at {now}");
            }
        }
    }
    rolling.advance(now + 300_000);
    assert_eq!((rolling.len(), rolling.stats()), (0, [None; 3]));
}

#[test]
fn a_signal_keeps_so_many_values_and_no_more() {
    let mut rolling = Rolling::default();
    for i in 0..3 * MAX_VALUES {
        rolling.push(i as i64, i as f64, 1);
    }
    assert_eq!(rolling.len(), MAX_VALUES);
    let stats = rolling.stats()[2].unwrap();
    assert_eq!(stats.max, 3.0 * MAX_VALUES as f64 - 1.0);
    assert_eq!(stats.p50, (2 * MAX_VALUES + MAX_VALUES / 2 - 1) as f64, "of the newest");
}

struct Machine {
    intern: Arc<Interner>,
    windows: Arc<Windows>,
    series: Vec<SeriesRef>,
}

/// Series that feed signals, and one that feeds none.
const SERIES: [(&str, &[(&str, &str)]); 9] = [
    ("node_cpu_seconds_total", &[("cpu", "0"), ("mode", "idle")]),
    ("node_cpu_seconds_total", &[("cpu", "0"), ("mode", "user")]),
    ("node_memory_MemTotal_bytes", &[]),
    ("node_memory_MemAvailable_bytes", &[]),
    ("node_network_receive_bytes_total", &[("device", "eth0")]),
    ("node_network_receive_bytes_total", &[("device", "lo")]),
    ("node_disk_read_bytes_total", &[("device", "sda")]),
    ("node_disk_read_bytes_total", &[("device", "dm-0")]),
    ("node_load1", &[]),
];

impl Machine {
    fn new() -> Self {
        let intern = Arc::new(Interner::default());
        let series = SERIES.map(|(name, labels)| {
            let family = Family { name: name.into(), kind: MetricKind::Gauge, unit: "".into(), help: "".into() };
            intern.intern(SeriesKey { family: &family, name, labels, origin: Origin::Own { job: "node" } }).unwrap()
        });
        Self { windows: Arc::new(Windows::new(intern.clone())), intern, series: series.to_vec() }
    }

    fn batch(&self, ts: i64, values: [f64; 9]) -> Batch {
        let mut batch = Batch::new(GroupId(0), ts);
        batch.floats = self.series.iter().copied().zip(values).collect();
        batch
    }

    fn mean(&self, signal: &str, window: &str, now: i64) -> Option<f64> {
        self.windows.stats(signal, window, now).map(|stats| stats.mean)
    }
}

#[test]
fn signals_come_from_their_series() {
    let machine = Machine::new();
    machine.windows.observe(&machine.batch(1000, [10.0, 5.0, 100.0, 60.0, 1e6, 5e6, 1e3, 1e9, 7.0]));
    assert_eq!(machine.mean("cpu_ratio", "1s", 1000), None, "one reading of a counter says nothing");
    assert_eq!(machine.mean("memory_used_bytes", "1s", 1000), Some(40.0));
    machine.windows.observe(&machine.batch(2000, [10.25, 5.75, 100.0, 50.0, 1.5e6, 6e6, 3e3, 2e9, 7.0]));
    for (signal, expected) in [
        ("cpu_ratio", Some(0.75)),
        ("memory_used_bytes", Some(50.0)),
        ("network_receive_bytes_per_second", Some(5e5)),
        ("loopback_bytes_per_second", Some(1e6)),
        ("disk_read_bytes_per_second", Some(2e3)),
        ("network_transmit_bytes_per_second", None),
        ("gpu_utilization_ratio", None),
        ("nonsense", None),
    ] {
        assert_eq!(machine.mean(signal, "1s", 2000), expected, "{signal}");
    }
    assert_eq!(machine.mean("memory_used_bytes", "10s", 2000), Some(45.0));
    // The network's counters were reset; garbage is left out.
    machine.windows.observe(&machine.batch(3000, [10.5, 5.75, f64::NAN, 50.0, 2e5, 6e6, 3e3, 2e9, 7.0]));
    assert_eq!(machine.mean("network_receive_bytes_per_second", "1s", 3000), Some(2e5));
    assert_eq!(machine.mean("cpu_ratio", "1s", 3000), Some(0.0));
    assert_eq!(machine.mean("memory_used_bytes", "1s", 3000), None, "half a difference is none");
    // Nothing comes any more: the windows empty by themselves.
    assert_eq!(machine.mean("cpu_ratio", "10s", 14_000), None);
    assert!(machine.mean("cpu_ratio", "5m", 14_000).is_some());
}

/// The ring's reader of a counter and the fast one come in any order, and see the kernel's steps back at different moments.
#[test]
fn two_readers_of_a_counter_make_no_jumps() {
    let machine = Machine::new();
    let values = |idle: f64, user: f64| [idle, user, 100.0, 60.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    for (ts, idle, user) in [(1000, 5000.0, 100.0), (2000, 5000.5, 100.5)] {
        machine.windows.observe(&machine.batch(ts, values(idle, user)));
        machine.windows.read(ts, |_, _, _| {});
    }
    machine.windows.observe_fast(&machine.batch(3100, values(5001.0, 101.0)));
    machine.windows.observe(&machine.batch(3000, values(5000.9, 100.9)));
    assert_eq!(machine.mean("cpu_ratio", "1s", 3100), Some(0.5), "what comes too late is known");
    machine.windows.observe(&machine.batch(4100, values(5000.97, 101.5)));
    assert_eq!(machine.mean("cpu_ratio", "1s", 4100), Some(1.0), "idle time ran back a little");
    machine.windows.observe(&machine.batch(5100, values(5001.5, 102.0)));
    assert_eq!(machine.mean("cpu_ratio", "1s", 5100), Some(0.5));
    assert_eq!(machine.windows.stats("cpu_ratio", "5m", 5100).map(|stats| stats.max), Some(1.0));
}

/// A source that was away says nothing of the time between.
#[test]
fn a_gap_counts_for_nothing() {
    let machine = Machine::new();
    let values = |bytes: f64| [0.0, 0.0, 100.0, 60.0, bytes, 0.0, 0.0, 0.0, 0.0];
    for (ts, bytes) in [(1000, 1e3), (2000, 2e3)] {
        machine.windows.observe(&machine.batch(ts, values(bytes)));
    }
    machine.windows.observe(&Batch::new(GroupId(0), 3000));
    for (ts, bytes) in [(243_000, 50e3), (244_000, 51e3), (245_000, 52e3)] {
        machine.windows.observe(&machine.batch(ts, values(bytes)));
        machine.windows.read(ts, |_, _, _| {});
    }
    for window in ["1s", "10s"] {
        assert_eq!(machine.mean("network_receive_bytes_per_second", window, 245_000), Some(1e3), "{window}");
    }
    assert_eq!(machine.mean("memory_used_bytes", "10s", 245_000), Some(40.0));
}

/// Ten seconds at 10 Hz count as ten seconds among those at 1 Hz.
#[test]
fn fast_samples_do_not_outweigh_slow_ones() {
    let machine = Machine::new();
    let (mut busy, mut idle) = (0.0, 0.0);
    let mut at = |ts: i64, ratio: f64, ms: f64| {
        busy += ratio * ms / 1e3;
        idle += (1.0 - ratio) * ms / 1e3;
        machine.batch(ts, [idle, busy, 100.0, 100.0 - 100.0 * ratio, 0.0, 0.0, 0.0, 0.0, 0.0])
    };
    for second in 0..20 {
        let batch = at(second * 1000, 0.2, 1000.0);
        machine.windows.observe(&batch);
        machine.windows.read(second * 1000, |_, _, _| {});
    }
    for step in 1..=100 {
        let (ts, batch) = (19_000 + step * 100, at(19_000 + step * 100, 0.8, 100.0));
        if step % 10 == 0 {
            machine.windows.observe(&batch);
            machine.windows.read(ts, |_, _, _| {});
        } else {
            machine.windows.observe_fast(&batch);
        }
    }
    let stats = |window: &str| machine.windows.stats("cpu_ratio", window, 29_000).unwrap();
    let near = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-9, "{found} {expected}");
    near(stats("10s").mean, 0.8);
    near(stats("5m").mean, (19.0 * 0.2 + 10.0 * 0.8) / 29.0);
    near(stats("5m").p50, 0.2);
    near(stats("5m").p95, 0.8);
    assert_eq!(machine.windows.values(CPU), 19 + 100);
    let used = machine.windows.stats("memory_used_bytes", "5m", 29_000).unwrap();
    near(used.mean, (20.0 * 20.0 + 10.0 * 80.0) / 30.0);
}

#[test]
fn clocks_may_step() {
    let machine = Machine::new();
    let tick = |now: i64, used: f64| {
        let batch = machine.batch(now, [0.0, 0.0, 100.0, 100.0 - used, 0.0, 0.0, 0.0, 0.0, 0.0]);
        machine.windows.observe(&batch);
        machine.mean("memory_used_bytes", "5m", now)
    };
    assert_eq!(tick(1_000_000, 10.0), Some(10.0));
    // A second back: the value waits. An hour back: everything begins anew. A day forward: what was is long ago.
    assert_eq!(tick(999_000, 20.0), Some(10.0));
    assert_eq!(tick(1_001_000, 20.0), Some(15.0));
    assert_eq!(tick(1_001_000 - 3_600_000, 50.0), Some(50.0));
    assert_eq!(tick(90_000_000, 30.0), Some(30.0));
}

#[test]
fn frames_of_pages_are_bounded_and_checked() {
    let machine = Machine::new();
    let windows = &machine.windows;
    assert_eq!(windows.frame_counts(), None);
    for bad in [&[][..], &[0.0], &[-1.0], &[f64::NAN], &[f64::INFINITY], &[61.0], &[0.016; 601]] {
        assert!(windows.frames(bad, 1000).is_err(), "{bad:?}");
    }
    let mut frames = vec![1.0 / 60.0; 58];
    frames.push(0.05);
    for second in 1..=400 {
        windows.frames(&frames, second * 1000).unwrap();
    }
    assert_eq!(windows.frame_counts(), Some((59 * 400, 400)));
    let stats = windows.stats("frame_seconds", "5m", 400_000).unwrap();
    assert!((stats.p95 - 1.0 / 60.0).abs() <= 5e-5 && (stats.max - 0.05).abs() < 1e-9, "{stats:?}");
}

#[test]
fn the_series_are_there_once_there_is_something_to_say() {
    let machine = Machine::new();
    let mut collector = WindowsCollector::new(machine.windows.clone());
    assert!(collect(&mut collector, &machine.intern, 0).0.is_empty());
    let before = machine.intern.count();
    for second in 1..4 {
        machine.windows.observe(&machine.batch(second * 1000, [second as f64, 0.0, 9.0, 4.0, 0.0, 0.0, 0.0, 0.0, 0.0]));
        assert!(collect(&mut collector, &machine.intern, second * 1000).1.is_ok());
    }
    machine.windows.frames(&[0.02], 3500).unwrap();
    let (page, _) = collect(&mut collector, &machine.intern, 4000);
    assert_eq!(page[r#"watchfire_window{signal="memory_used_bytes", stat="p95", window="10s"}"#], 5.0);
    assert_eq!(page[r#"watchfire_window{signal="frame_seconds", stat="max", window="1s"}"#], 0.02);
    assert_eq!(page["ui_frames_total"], 1.0);
    assert_eq!(page.get(r#"watchfire_window{signal="memory_used_bytes", stat="p95", window="1s"}"#), None, "over");
    // CPU, memory, receive, loopback, disk read, and frames.
    assert_eq!(machine.intern.count() - before, 6 * 12 + 2);
    assert_eq!(SIGNALS.len(), 14);
}
