//! `watchfire once`: reads this machine and prints it; no port, no state.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use serde_json::{Map, Value, json};

use crate::clock::Clock;
use crate::collect::gpu::Gpus;
use crate::collect::system::{SystemConfig, Usage, collectors};
use crate::collect::worker::{WorkerConfig, Workers};
use crate::collect::{BatchSink, Job, Scheduler};
use crate::exposition::Format;
use crate::http::MetricsPage;
use crate::model::{Batch, Intern, Timestamp};
use crate::registry::{Latest, RegistryConfig, SeriesTable};
use crate::telemetry::OwnMetrics;

use super::Outcome;
use super::args::OnceArgs;

/// Between the two readings that percentages need.
const BETWEEN: Duration = Duration::from_millis(250);

struct IntoLatest(Arc<Latest>);

impl BatchSink for IntoLatest {
    fn push(&self, batch: Batch) {
        self.0.update(&batch);
    }

    fn done(&self, _: &str, _: Timestamp) {}
}

pub(super) fn run(args: &OnceArgs) -> Outcome {
    let table = Arc::new(SeriesTable::new(RegistryConfig::default()));
    let latest = Arc::new(Latest::new(Arc::clone(&table)));
    let usage = Arc::<Usage>::default();
    let config = SystemConfig::default();
    let interval = Duration::from_millis(1);
    let mut jobs = collectors(&config, &usage);
    let workers = Workers::new(&config.roots, &WorkerConfig::default());
    let processes = workers.handle();
    jobs.push(Job { group: "worker", interval, collector: Box::new(workers) });
    jobs.push(Job { group: "gpu", interval, collector: Box::new(Gpus::new(Some(processes.clone()))) });
    jobs.iter_mut().for_each(|job| job.interval = interval);
    let intern = Arc::clone(&table) as Arc<dyn Intern>;
    let mut scheduler = Scheduler::new(jobs, intern, Arc::new(IntoLatest(Arc::clone(&latest))), &AtomicU32::new(0));
    scheduler.tick(Clock::System.now());
    pause(BETWEEN);
    let now = Clock::System.now();
    scheduler.tick(now);
    if args.prom {
        let own = Arc::new(OwnMetrics::new(false));
        let body = MetricsPage::new(latest, own).body(Format::OpenMetrics, false, now);
        print!("{}", String::from_utf8_lossy(&body));
    } else {
        println!("{}", snapshot(&latest, &processes.processes(now), now));
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
                let value = values.get(series.slot).copied().filter(|value| !crate::model::is_absent(*value))?;
                let labels: Map<String, Value> =
                    series.labels.iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
                Some(json!({"name": &*series.name, "labels": labels, "value": value}))
            })
            .collect();
        if !series.is_empty() {
            families.insert(family.family.name.to_string(), json!({"type": family.family.kind.as_str(), "series": series}));
        }
    }
    let processes: Vec<Value> = processes
        .iter()
        .map(|process| {
            json!({
                "pid": process.pid, "parent": process.parent, "name": process.name, "state": process.state.to_string(),
                "cpu_percent": process.cpu_percent, "rss_bytes": process.rss_bytes, "threads": process.threads,
                "open_fds": process.open_fds, "start_time": process.start_time, "group": process.group,
            })
        })
        .collect();
    json!({"timestamp_ms": now, "families": families, "processes": processes})
}
