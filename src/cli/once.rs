//! `watchfire once`: reads this machine and prints it; no port, no state.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use serde_json::{Map, Value, json};

use crate::app::processes_json;
use crate::clock::Clock;
use crate::collect::gpu::{GpuConfig, Gpus};
use crate::collect::system::{SystemConfig, Usage, collectors};
use crate::collect::worker::{WorkerConfig, Workers};
use crate::collect::{Job, Scheduler};
use crate::exposition::Format;
use crate::http::MetricsPage;
use crate::model::{Batch, GroupId, Intern, Irregular, Output, SourceId, Timestamp};
use crate::registry::{Latest, RegistryConfig, SeriesTable};
use crate::telemetry::OwnMetrics;

use super::Outcome;
use super::args::OnceArgs;

/// Between the two readings that percentages need.
const BETWEEN: Duration = Duration::from_millis(250);

/// Readings go nowhere but to the latest values.
struct IntoLatest(Arc<Latest>, AtomicU32);

impl Output for IntoLatest {
    fn register_group(&self, _: &str) -> GroupId {
        GroupId(self.1.fetch_add(1, Ordering::Relaxed))
    }

    fn push(&self, batch: Batch) {
        self.0.update(&batch);
    }

    fn push_irregular(&self, _: Vec<Irregular>) {}

    fn end_group(&self, group: GroupId, _: Timestamp) {
        self.0.end_group(group);
    }

    fn register_source(&self, _: Duration, _: Duration) -> SourceId {
        SourceId(0)
    }

    fn unregister_source(&self, _: SourceId) {}

    fn done(&self, _: SourceId, _: Timestamp) {}
}

pub(super) fn run(args: &OnceArgs) -> Outcome {
    let table = Arc::new(SeriesTable::new(RegistryConfig::default()));
    let latest = Arc::new(Latest::new(Arc::clone(&table)));
    let usage = Arc::<Usage>::default();
    let config = SystemConfig { roots: args.paths.roots(), ..SystemConfig::default() };
    let gpus = GpuConfig { roots: config.roots.clone(), ..GpuConfig::default() };
    let interval = Duration::from_millis(1);
    let mut jobs = collectors(&config, &usage);
    let workers = Workers::new(&config.roots, &WorkerConfig::default());
    let processes = workers.handle();
    jobs.push(Job { group: "worker", interval, collector: Box::new(workers) });
    jobs.push(Job { group: "gpu", interval, collector: Box::new(Gpus::new(Some(processes.clone()), &gpus)) });
    jobs.iter_mut().for_each(|job| job.interval = interval);
    let intern = Arc::clone(&table) as Arc<dyn Intern>;
    let mut scheduler = Scheduler::new(jobs, intern, Arc::new(IntoLatest(Arc::clone(&latest), AtomicU32::new(0))));
    scheduler.tick(Clock::System.now());
    pause(BETWEEN);
    let now = Clock::System.now();
    scheduler.tick(now);
    if args.prom {
        let own = Arc::new(OwnMetrics::new(false));
        let body = MetricsPage::new(latest, own).body(Format::OpenMetrics, false, now);
        print!("{}", String::from_utf8_lossy(&body));
    } else {
        println!("{}", snapshot(&latest, &processes.processes(), now));
    }
    Outcome::Ok
}

/// Waits without a sleep that nothing could end.
fn pause(time: Duration) {
    let (lock, never) = (Mutex::new(()), Condvar::new());
    never.wait_for(&mut lock.lock(), time);
}

/// Families with their series and values, and the processes.
fn snapshot(latest: &Latest, processes: &[crate::collect::worker::ProcessView], now: Timestamp) -> Value {
    let mut values = Vec::new();
    latest.read(&mut values);
    let mut families = Map::new();
    for family in &latest.layout().families {
        let series: Vec<Value> = family
            .series
            .iter()
            .filter_map(|series| {
                let value =
                    values.get(series.slot as usize).copied().filter(|value| !crate::model::is_absent(*value))?;
                let labels: Map<String, Value> =
                    series.labels.iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
                Some(json!({"name": &*series.name, "labels": labels, "value": value}))
            })
            .collect();
        if !series.is_empty() {
            families
                .insert(family.family.name.to_string(), json!({"type": family.family.kind.as_str(), "series": series}));
        }
    }
    json!({"timestamp_ms": now, "families": families, "processes": processes_json(processes)})
}
