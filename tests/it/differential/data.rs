//! The samples of both servers: an hour and twenty minutes around a leap day's midnight, made from nothing but arithmetic.
//!
//! Samples lie on half seconds (or on .3 and .7) and questions are asked at quarters, so that no window's left end meets
//! a sample by accident: it would count in Prometheus 2 and does not in version 3.

use watchfire::model::stale_marker;

/// 2024-02-29 23:00:00 UTC, in seconds.
pub(super) const BASE: i64 = 1_709_247_600;
/// Ticks of the regular series, and seconds between them.
pub(super) const TICKS: i64 = 320;
pub(super) const STEP: i64 = 15;

/// One series.
pub(super) struct Series {
    /// Sorted pairs, the name among them.
    pub(super) labels: Vec<(String, String)>,
    /// Milliseconds and values, ascending.
    pub(super) samples: Vec<(i64, f64)>,
    /// Whether its samples lie on the common ticks.
    pub(super) ticked: bool,
}

#[derive(Default)]
struct Data {
    all: Vec<Series>,
}

impl Data {
    /// A series of the common ticks.
    fn tick(&mut self, name: &str, labels: &[(&str, &str)], value: impl FnMut(i64) -> Option<f64>) {
        self.timed(name, labels, (500, STEP * 1000, TICKS), value);
        self.all.last_mut().expect("just pushed").ticked = true;
    }

    /// A series with times of its own: milliseconds of the first sample, between samples, and how many.
    fn timed(
        &mut self,
        name: &str,
        labels: &[(&str, &str)],
        (first, step, count): (i64, i64, i64),
        mut value: impl FnMut(i64) -> Option<f64>,
    ) {
        let mut pairs: Vec<_> = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        pairs.push(("__name__".to_owned(), name.to_owned()));
        pairs.sort();
        let at = |i: i64| BASE * 1000 + first + i * step;
        let samples = (0..count).filter_map(|i| value(i).map(|value| (at(i), value))).collect();
        self.all.push(Series { labels: pairs, samples, ticked: false });
    }

    /// A classic histogram's buckets; each counts `rate` a tick.
    fn buckets(&mut self, name: &str, labels: &[(&str, &str)], buckets: &[(&str, f64)]) {
        for (le, rate) in buckets {
            let labels = [labels, &[("le", *le)]].concat();
            self.tick(name, &labels, |i| Some((i + 3) as f64 * rate));
        }
    }
}

/// All series, sorted by labels.
pub(super) fn series() -> Vec<Series> {
    let mut data = Data::default();
    machines(&mut data);
    histograms(&mut data);
    partners(&mut data);
    odd_values(&mut data);
    odd_times(&mut data);
    odd_labels(&mut data);
    data.all.sort_by(|a, b| a.labels.cmp(&b.labels));
    data.all
}

/// Counters with and without resets, gauges.
fn machines(data: &mut Data) {
    let mut seed = 7u64;
    let mut random = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 40) as f64 / 16_777_216.0
    };
    for (nth, host) in [(1.0, "a"), (2.0, "b"), (3.0, "c")] {
        for mode in ["idle", "system", "user"] {
            let mut total = 500.0;
            data.tick("cpu_total", &[("host", host), ("mode", mode)], |i| {
                let falls = (mode == "system" && i % 100 == 99) || (mode == "user" && i == 140);
                total = if falls { 0.5 } else { total + random() * 5.0 };
                Some(total)
            });
        }
        data.tick("mem_bytes", &[("host", host)], |i| Some(1e9 + (i * 37 % 11) as f64 * 1e7 * nth));
        data.tick("temp", &[("host", host)], |i| Some((i as f64 / 5.0).sin() * 20.0 + nth));
        data.tick("level", &[("host", host)], |i| Some(((i + nth as i64) / 8 % 4) as f64));
    }
    data.tick("const", &[("job", "one")], |_| Some(42.0));
    data.tick("zero", &[], |_| Some(0.0));
    data.tick("down", &[("job", "one")], |i| Some(1000.0 - i as f64 * 2.5));
    data.tick("steps_total", &[("job", "one")], |i| Some((i / 10 * 100 + 700) as f64));
    data.tick("many_resets_total", &[("job", "one")], |i| Some((i % 7 * 3) as f64));
    data.tick("unix_time", &[("job", "one")], |i| Some((BASE + i * 86_400 * 5) as f64));
}

/// Good ones, and every way to break one.
fn histograms(data: &mut Data) {
    let good = [("0.1", 1.0), ("0.5", 3.0), ("1", 6.0), ("5", 7.0), ("+Inf", 8.0)];
    for (nth, host) in [(1.0, "a"), (2.0, "b"), (3.0, "c")] {
        data.buckets("lat_bucket", &[("host", host)], &good.map(|(le, rate)| (le, rate * nth)));
        data.tick("lat_count", &[("host", host)], |i| Some(i as f64 * 8.0 * nth));
        data.tick("lat_sum", &[("host", host)], |i| Some(i as f64 * 4.25 * nth));
    }
    let kinds: [(&str, &[(&str, f64)]); 9] = [
        ("endless", &[("0.1", 1.0), ("1", 5.0), ("10", 9.0)]),
        ("falling", &[("0.1", 4.0), ("0.2", 3.0), ("1", 9.0), ("10", 8.0), ("+Inf", 10.0)]),
        ("negative", &[("-5", 1.0), ("-1", 4.0), ("0", 6.0), ("2", 9.0), ("+Inf", 9.0)]),
        ("lonely", &[("+Inf", 9.0)]),
        ("twins", &[("0.5", 2.0), ("1", 3.0), ("1.0", 4.0), ("+Inf", 9.0)]),
        ("garbage", &[("0.5", 2.0), ("one", 3.0), ("", 5.0), ("+Inf", 9.0)]),
        ("empty", &[("0.5", 0.0), ("1", 0.0), ("+Inf", 0.0)]),
        ("top", &[("0.5", 0.0), ("1", 0.0), ("+Inf", 5.0)]),
        ("spelled", &[("5e-1", 1.0), ("0x1p0", 2.0), ("1_0", 2.5), ("Inf", 3.0)]),
    ];
    for (kind, buckets) in kinds {
        data.buckets("broken_bucket", &[("kind", kind)], buckets);
    }
}

/// The other sides of joins.
fn partners(data: &mut Data) {
    data.tick("info_metric", &[("host", "a"), ("version", "1.2"), ("zone", "x")], |_| Some(1.0));
    data.tick("info_metric", &[("host", "b"), ("version", "1.3")], |_| Some(1.0));
    data.tick("mode_limit", &[("mode", "idle")], |_| Some(900.0));
    data.tick("mode_limit", &[("mode", "user")], |_| Some(800.0));
    data.tick("cpu_limit", &[("host", "a"), ("mode", "idle")], |i| Some(300.0 + i as f64));
    data.tick("cpu_limit", &[("host", "b"), ("mode", "user")], |i| Some(400.0 + i as f64));
    data.tick("cpu_limit", &[("host", "d"), ("mode", "user")], |i| Some(500.0 + i as f64));
    data.tick("twice", &[("host", "a"), ("n", "1")], |i| Some(i as f64));
    data.tick("twice", &[("host", "a"), ("n", "2")], |i| Some(i as f64 * 2.0));
    data.tick("sometimes_twice", &[("host", "a"), ("n", "1")], |i| Some(i as f64));
    data.tick("sometimes_twice", &[("host", "a"), ("n", "2")], |i| match i {
        0..100 => Some(1.0),
        100 => Some(stale_marker()),
        _ => None,
    });
    data.tick("same_one", &[("k", "v")], |i| Some(i as f64));
    data.tick("same_two", &[("k", "v")], |i| Some(i as f64));
}

/// Every odd float.
fn odd_values(data: &mut Data) {
    type Of = fn(i64) -> f64;
    let values: [(&str, Of); 9] = [
        ("nan", |i| if i % 3 == 0 { f64::NAN } else { i as f64 }),
        ("inf", |i| if i % 7 == 0 { f64::INFINITY } else { -(i as f64) }),
        ("ninf", |i| if i % 5 == 0 { f64::NEG_INFINITY } else { i as f64 }),
        ("tiny", |i| 1e-9 * (i + 1) as f64),
        ("huge", |i| 1e22 * (i + 50) as f64),
        ("max", |i| if i % 2 == 0 { f64::MAX } else { f64::MAX / 2.0 }),
        ("subnormal", |i| f64::from_bits(i as u64 + 1)),
        ("minus", |i| if i % 2 == 0 { -0.0 } else { 0.0 }),
        ("half", |i| (i % 9) as f64 - 4.5),
    ];
    for (kind, value) in values {
        data.tick("weird", &[("k", kind)], |i| Some(value(i)));
    }
    data.tick("all_nan", &[("job", "one")], |_| Some(f64::NAN));
    data.tick("all_inf", &[("job", "one")], |_| Some(f64::INFINITY));
}

/// Gaps, ends, beginnings, other intervals.
fn odd_times(data: &mut Data) {
    data.tick("gappy", &[("job", "one")], |i| ((i / 25) % 2 == 0).then_some(i as f64));
    data.tick("gappy_total", &[("job", "one")], |i| ((i / 12) % 2 == 0).then_some(400.0 + i as f64));
    // Ends with a marker, comes and goes with markers, ends without one, begins late.
    data.tick("ended", &[("job", "one")], |i| match i {
        0..150 => Some(i as f64),
        150 => Some(stale_marker()),
        _ => None,
    });
    data.tick("flapping", &[("job", "one")], |i| match i % 20 {
        0..12 => Some(i as f64),
        12 => Some(stale_marker()),
        _ => None,
    });
    data.tick("silent", &[("job", "one")], |i| (i < 250).then_some(i as f64));
    data.tick("late_total", &[("job", "one")], |i| (i >= 115).then_some(800.0 + i as f64 * 3.0));
    // Prometheus 2 extrapolates these further towards the window's start.
    data.tick("newborn_total", &[("job", "one")], |i| (i >= 110).then_some(3.0 + (i - 110) as f64 * 5.0));
    data.tick("single", &[("job", "one")], |i| (i == 118).then_some(17.0));
    data.timed("slow", &[("job", "one")], (13_700, 60_000, 80), |i| Some((i * i % 17) as f64));
    data.timed("sparse_total", &[("job", "one")], (7_300, 240_000, 20), |i| Some(300.0 + i as f64));
    data.timed("fast_total", &[("job", "one")], (1_200_300, 1_000, 1500), |i| Some(900.0 + i as f64 * 0.25));
    for (nth, host) in ["a", "b", "c"].iter().enumerate() {
        let first = 700 + nth as i64 * 4_600;
        data.timed("skewed", &[("host", *host)], (first, 19_000, 240), |i| Some((i % 13) as f64 * 1.5));
    }
}

/// Values that try regular expressions, and values beyond ASCII.
fn odd_labels(data: &mut Data) {
    let paths =
        ["/", "/api", "/api/v1", "/api/v1/query", "/API/v1", "/api/v22", "/static/app.js", "/static/app-js", "api"];
    for (nth, path) in paths.iter().enumerate() {
        data.tick("hits", &[("path", *path), ("code", if nth % 2 == 0 { "200" } else { "404" })], |i| {
            Some(600.0 + (i * (nth as i64 + 1)) as f64)
        });
    }
    let texts = ["größe", "日本", "two words", "tab\there", "quo\"te", "back\\slash", "🔥", "ſ", "K", "٣", "3"];
    for (nth, text) in texts.iter().enumerate() {
        data.tick("text", &[("v", *text)], |i| Some((i + nth as i64) as f64));
    }
    data.tick("text", &[], |i| Some(-(i as f64)));
    data.tick("lines", &[("v", "first\nsecond")], |_| Some(1.0));
    data.tick("by", &[("on", "1"), ("bool", "2"), ("group_left", "3"), ("offset", "4")], |i| Some(i as f64));
    data.tick("rec:by_job:sum", &[("job", "one")], |i| Some(i as f64));
}
