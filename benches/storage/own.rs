//! The bench's own recording: what it does to the machine, ten times a second for as long as it runs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Scope;

use watchfire::clock::Clock;
use watchfire::model::{Batch, GroupId, Labels, SeriesRef, Timestamp};

use super::setup::{Setup, Work, print_bytes};

/// Files of `name value` lines, and what their series are called.
const SOURCES: [(&str, &str); 5] = [
    ("/proc/self/status", "process_status"),
    ("/proc/self/io", "process_io"),
    ("/proc/meminfo", "meminfo"),
    ("/proc/vmstat", "vmstat"),
    ("/proc/stat", "stat"),
];

/// Ticks of readings, by series.
type Recording = Vec<(Timestamp, BTreeMap<(&'static str, String), f64>)>;

/// Records until `done`.
pub(crate) fn record<'scope>(
    scope: &'scope Scope<'scope, '_>,
    done: &'scope AtomicBool,
) -> std::thread::ScopedJoinHandle<'scope, Recording> {
    scope.spawn(|| {
        let mut all = Recording::new();
        while !done.load(Ordering::Relaxed) {
            all.push((Clock::System.now(), reading()));
            std::thread::park_timeout(std::time::Duration::from_millis(100));
        }
        all
    })
}

fn reading() -> BTreeMap<(&'static str, String), f64> {
    let mut found = BTreeMap::new();
    for (path, name) in SOURCES {
        let Ok(text) = std::fs::read_to_string(path) else { continue };
        for line in text.lines() {
            let mut words = line.split_whitespace();
            let Some(key) = words.next() else { continue };
            for (i, value) in words.map_while(|word| word.parse::<f64>().ok()).take(10).enumerate() {
                found.insert((name, format!("{}.{i}", key.trim_end_matches(':'))), value);
            }
        }
    }
    found
}

/// Stores what was recorded and prints its bytes.
pub(crate) fn print(recording: &Recording) {
    let Some((first, values)) = recording.first() else { return };
    let keys: Vec<&(&str, String)> = values.keys().collect();
    let names: Vec<Labels> =
        keys.iter().map(|(name, item)| Labels::from_pairs(&[("__name__", name), ("item", item)])).collect();
    let setup = Setup::new(&names, *first);
    let mut work = Work::default();
    let mut last = Timestamp::MIN;
    for (ts, values) in recording {
        if *ts <= last {
            continue;
        }
        last = *ts;
        let mut batch = Batch::new(GroupId(1), *ts);
        let value = |(i, key): (usize, &&(&str, String))| Some((SeriesRef(i as u32), *values.get(*key)?));
        batch.floats = keys.iter().enumerate().filter_map(value).collect();
        setup.append(&batch);
        setup.ring.commit().expect("commits");
    }
    setup.clock.set(last + 2 * 3_600_000);
    work.add(&setup.maintain());
    let name = format!("the bench's own recording ({} series, 10 Hz, {} ticks)", names.len(), recording.len());
    print_bytes(&name, &setup, &work);
}
