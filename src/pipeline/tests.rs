use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::{Pipeline, SourceClock, Store, rule_deadline};
use crate::clock::{Clock, ManualClock};
use crate::limits::STORAGE_QUEUE;
use crate::live::Hub;
use crate::model::{Batch, Irregular, IrregularSample, Output, SeriesRef, is_stale, stale_marker};
use crate::registry::{Latest, RegistryConfig, SeriesTable};
use crate::storage::StorageError;

/// Writes down what it is asked to do; while the gate is shut it takes nothing.
#[derive(Clone, Default)]
struct Recorder {
    lines: Arc<Mutex<Vec<String>>>,
    gate: Arc<(Mutex<bool>, Condvar)>,
}

impl Recorder {
    fn shut(&self, shut: bool) {
        *self.gate.0.lock() = shut;
        self.gate.1.notify_all();
    }

    fn record(&self, line: String) {
        let mut shut = self.gate.0.lock();
        while *shut {
            self.gate.1.wait(&mut shut);
        }
        self.lines.lock().push(line);
    }
}

impl Store for Recorder {
    fn append(&mut self, batch: &Batch) -> Result<(), StorageError> {
        let samples: Vec<String> = batch
            .floats
            .iter()
            .map(
                |(series, value)| {
                    if is_stale(*value) { format!("{}:-", series.0) } else { format!("{}:{value}", series.0) }
                },
            )
            .collect();
        self.record(format!("{}@{} {}", batch.group.0, batch.ts, samples.join(" ")));
        Ok(())
    }

    fn append_irregular(&mut self, items: &[Irregular]) -> Result<(), StorageError> {
        let series: Vec<String> = items.iter().take(3).map(|item| item.series.0.to_string()).collect();
        let samples: usize = items.iter().map(|item| item.samples.len()).sum();
        self.record(format!("irregular {} {samples}", series.join(" ")));
        Ok(())
    }

    fn commit(&mut self) -> Result<(), StorageError> {
        Ok(())
    }
}

fn pipeline(store: &Recorder) -> Pipeline {
    let table = Arc::new(SeriesTable::new(RegistryConfig::default()));
    let latest = Arc::new(Latest::new(Arc::clone(&table)));
    let sources = Arc::new(SourceClock::new(Clock::Manual(ManualClock::new(10_000))));
    Pipeline::start(table, latest, Arc::new(Hub::new()), sources, Box::new(store.clone())).expect("a thread")
}

fn tick(pipeline: &Pipeline, group: crate::model::GroupId, ts: i64, samples: &[(u32, f64)]) {
    let mut batch = Batch::new(group, ts);
    batch.floats.extend(samples.iter().map(|(series, value)| (SeriesRef(*series), *value)));
    pipeline.push(batch);
}

fn irregular(series: std::ops::Range<u32>) -> Vec<Irregular> {
    let samples = || vec![IrregularSample { ts: 1, start_ts: 0, value: 1.0.into() }];
    series.map(|series| Irregular { series: SeriesRef(series), samples: samples() }).collect()
}

#[tokio::test]
async fn a_page_of_timed_samples_takes_one_place_in_the_queue() {
    let store = Recorder::default();
    let pipeline = pipeline(&store);
    let group = pipeline.register_group("a");
    store.shut(true);
    tick(&pipeline, group, 1, &[(1, 1.0)]);
    pipeline.push_irregular(irregular(0..5_000));
    store.shut(false);
    pipeline.barrier().await;
    pipeline.shutdown();
    assert_eq!(*store.lines.lock(), ["0@1 1:1", "irregular 0 1 2 5000"]);
    assert_eq!(pipeline.counters().samples.load(Ordering::Relaxed), 5_001);
    assert_eq!(pipeline.counters().dropped_batches.load(Ordering::Relaxed), 0);
}

#[test]
fn vanished_series_are_ended_once() {
    let store = Recorder::default();
    let pipeline = pipeline(&store);
    let (a, b) = (pipeline.register_group("a"), pipeline.register_group("b"));
    assert_eq!(pipeline.group_name(b).as_deref(), Some("b"));
    tick(&pipeline, a, 1, &[(1, 1.0), (2, 2.0)]);
    tick(&pipeline, b, 1, &[(9, 9.0)]);
    tick(&pipeline, a, 2, &[(1, 1.0), (2, 2.0)]);
    tick(&pipeline, a, 3, &[(2, 2.0), (3, 3.0)]);
    tick(&pipeline, a, 4, &[(2, 2.0), (3, stale_marker())]);
    tick(&pipeline, a, 5, &[(2, 2.0)]);
    pipeline.push_irregular(irregular(7..8));
    pipeline.push_irregular(Vec::new());
    pipeline.end_group(a, 5);
    pipeline.end_group(a, 6);
    pipeline.shutdown();
    let expected = [
        "0@1 1:1 2:2",
        "1@1 9:9",
        "0@2 1:1 2:2",
        "0@3 2:2 3:3 1:-",
        "0@4 2:2 3:-",
        "0@5 2:2",
        "irregular 7 1",
        "0@6 2:-",
    ];
    assert_eq!(*store.lines.lock(), expected);
    assert_eq!(pipeline.counters().stale_markers.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_full_queue_drops_the_oldest_samples_and_no_marker() {
    let store = Recorder::default();
    let pipeline = pipeline(&store);
    let group = pipeline.register_group("a");
    let source = pipeline.sources().register_source(Duration::from_secs(1), Duration::ZERO);
    store.shut(true);
    for ts in 0..2 * STORAGE_QUEUE as i64 {
        tick(&pipeline, group, ts, &[(1, 1.0)]);
        if ts == 0 {
            pipeline.done(source, 11_000);
        }
    }
    let dropped = pipeline.counters().dropped_batches.load(Ordering::Relaxed);
    assert!(dropped >= STORAGE_QUEUE as u64 - 1 && dropped <= STORAGE_QUEUE as u64, "{dropped}");
    store.shut(false);
    pipeline.barrier().await;
    assert!(pipeline.sources().is_complete(11_000));
    pipeline.flush().await;
    pipeline.shutdown();
    let lines = store.lines.lock();
    assert_eq!(lines.last().map(String::as_str), Some(format!("0@{} 1:1", 2 * STORAGE_QUEUE - 1).as_str()));
}

#[test]
fn sources_are_due_at_their_slots() {
    let clock = ManualClock::new(10_000);
    let sources = SourceClock::new(Clock::Manual(clock));
    let second = sources.register_source(Duration::from_secs(1), Duration::ZERO);
    let jittered = sources.register_source(Duration::from_secs(5), Duration::from_millis(1_700));
    let cases: &[(&str, i64, bool)] = &[
        ("the slot before the start is not waited for", 10_999, true),
        ("its own slot is", 11_000, false),
        ("too many missed slots are forgiven", 14_000, true),
    ];
    for (what, t, expected) in cases {
        sources.done(jittered, 100_000);
        assert_eq!(sources.is_complete(*t), *expected, "{what}");
    }
    sources.done(second, 11_000);
    assert!(sources.is_complete(11_999));
    assert!(!sources.is_complete(12_000));
    sources.unregister_source(second);
    assert!(sources.is_complete(12_000));
}

#[tokio::test]
async fn an_evaluation_starts_when_all_is_in_or_at_its_deadline() {
    let sources = Arc::new(SourceClock::new(Clock::Manual(ManualClock::new(10_000))));
    let source = sources.register_source(Duration::from_secs(1), Duration::ZERO);
    let deadline = rule_deadline(11_000, Duration::from_secs(1));
    assert_eq!(deadline, 11_200);
    assert_eq!(rule_deadline(0, Duration::from_secs(60)), 500);
    assert!(!sources.wait_until_due(11_000, 10_000).await, "its deadline has passed");
    assert_eq!(sources.late(), 1);
    let waiter = tokio::spawn({
        let sources = Arc::clone(&sources);
        async move { sources.wait_until_due(11_000, deadline).await }
    });
    tokio::task::yield_now().await;
    sources.done(source, 11_000);
    assert!(waiter.await.expect("no panic"));
}
