//! What is asked for again and again: everything of one metric at five seconds, the way a page and its rules read it again and again.

use std::time::Duration;

use watchfire::clock::Stopwatch;
use watchfire::model::{Labels, MatchOp, Matcher};

use super::append::value;
use super::setup::{START, Setup, empty_tick, per, read_all, size};

pub(crate) fn bench(series: usize) {
    let label = |i: usize| {
        Labels::from_pairs(&[
            ("__name__", "requests_total"),
            ("instance", &format!("host-{}:9100", i / 100)),
            ("path", &format!("/api/{}", i % 100)),
        ])
    };
    let setup = Setup::new(&(0..series).map(label).collect::<Vec<_>>(), START);
    let mut batch = empty_tick(series);
    // Two hours and five minutes: the hour before last is merged.
    for tick in 0..1500i64 {
        batch.ts = START + tick * 5000;
        batch.floats.iter_mut().enumerate().for_each(|(i, sample)| sample.1 = value(i, tick));
        setup.append(&batch);
        if tick % 12 == 0 {
            setup.ring.commit().expect("commits");
            setup.maintain();
        }
    }
    let now = batch.ts;
    let metric = [Matcher::equal("__name__", "requests_total")];
    let hosts = Matcher::new(MatchOp::Regex, "instance", "host-(3|7):.*").expect("compiles");
    let hosts = [Matcher::equal("__name__", "requests_total"), hosts];
    let cases: [(&str, &[Matcher], i64, i64, bool); 10] = [
        ("instant", &metric, 300, 0, true),
        ("instant a minute ago", &metric, 360, 60, true),
        ("instant half an hour ago (window)", &metric, 2100, 1800, true),
        ("instant at the end of a merged hour", &metric, 4500, 4200, true),
        ("instant in the middle of a merged hour", &metric, 6300, 6000, true),
        ("a regex, instant", &hosts, 300, 0, true),
        ("five minutes", &metric, 300, 0, false),
        ("five minutes of a merged hour", &metric, 6300, 6000, false),
        ("half an hour", &metric, 1800, 0, false),
        ("two hours", &metric, 7200, 0, false),
    ];
    for (name, matchers, from, to, last_only) in cases {
        let mut best = (Duration::MAX, Duration::MAX);
        let mut found = (0, 0);
        for _ in 0..20 {
            let watch = Stopwatch::start();
            let selection = setup.select(matchers, now - from * 1000 + 1, now - to * 1000, last_only);
            best.0 = best.0.min(watch.elapsed());
            read_all(&selection);
            best.1 = best.1.min(watch.elapsed());
            found = size(&selection);
        }
        println!(
            "select of {series} at 5 s, {name}: {:?}, {:?} with all rows read, for {} series, {} places ({:.1} ns/series, {:.2} ns/place)",
            best.0,
            best.1,
            found.0,
            found.1,
            per(best.1, found.0),
            per(best.1, found.1)
        );
    }
}
